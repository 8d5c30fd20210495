"""Colours: what each name looks like, and arithmetic on them."""

import colorsys
import random

RGB = tuple[float, float, float]
"""Red, green and blue, 0 to 255."""

BLACK: RGB = (0, 0, 0)
WHITE: RGB = (255, 255, 255)
STITCHING: RGB = (225, 165, 80)
"""The thread of denim seams."""
METAL: RGB = (205, 203, 196)

NAMED: dict[str, RGB] = {
    "black": (30, 30, 33),
    "white": (244, 243, 240),
    "grey": (142, 145, 149),
    "red": (198, 34, 42),
    "burgundy": (108, 20, 42),
    "pink": (238, 146, 172),
    "orange": (234, 118, 34),
    "yellow": (242, 202, 58),
    "green": (42, 138, 74),
    "olive": (112, 112, 54),
    "teal": (22, 134, 140),
    "blue": (50, 106, 202),
    "navy": (28, 38, 86),
    "purple": (114, 62, 150),
    "brown": (112, 70, 44),
    "beige": (214, 190, 156),
}


def mix(first: RGB, second: RGB, share: float) -> RGB:
    """Blend two colours; `share`, 0 to 1, is the second one's."""
    red, green, blue = (a * (1 - share) + b * share for a, b in zip(first, second, strict=True))
    return red, green, blue


def shade(colour: RGB, factor: float) -> RGB:
    """Darken by a factor below 1; lighten towards white by what it has above 1."""
    return mix(BLACK, colour, factor) if factor <= 1 else mix(colour, WHITE, factor - 1)


def luminance(colour: RGB) -> float:
    """Return the brightness that the eye sees, 0 to 1 (weights of ITU-R BT.601)."""
    red, green, blue = colour
    return (0.299 * red + 0.587 * green + 0.114 * blue) / 255


def dyed(rng: random.Random, name: str) -> RGB:
    """Return the named colour as one dyeing comes out: a little off in hue, saturation and value."""
    hue, saturation, value = colorsys.rgb_to_hsv(*(channel / 255 for channel in NAMED[name]))
    return from_hsv(
        (hue + rng.gauss(0, 0.008)) % 1,
        min(1.0, saturation * max(0.0, rng.gauss(1, 0.07))),
        min(1.0, max(0.03, value * rng.gauss(1, 0.06))),
    )


def from_hsv(hue: float, saturation: float, value: float) -> RGB:
    """Convert hue, saturation and value, each 0 to 1."""
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    return 255 * red, 255 * green, 255 * blue
