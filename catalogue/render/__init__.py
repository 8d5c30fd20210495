"""The renderer: a picture of a spec, drawn with skia on the CPU. Serving images do not have skia: nothing else imports it.

Garments are drawn in units of a square of 256, x from -128 to 128 about the centre line, y downwards from 0,
and scaled to the picture's size.
"""
