"""Paints: fills, strokes and gradients in the terms of the palette."""

from collections.abc import Sequence

import skia

from catalogue.render.palette import RGB

LINEAR = skia.SamplingOptions(skia.FilterMode.kLinear)
MIPMAPPED = skia.SamplingOptions(skia.FilterMode.kLinear, skia.MipmapMode.kLinear)
_OPAQUE = 255


def ink(colour: RGB, alpha: float = _OPAQUE) -> int:
    """Return skia's packed colour; alpha is 0 to 255."""
    red, green, blue = (round(min(255, max(0, channel))) for channel in colour)
    return int(skia.Color(red, green, blue, round(min(255, max(0, alpha)))))


def fill(colour: RGB, *, alpha: float = _OPAQUE, blur: float = 0) -> skia.Paint:
    """Return a paint that fills; blur is the standard deviation of the soft edge."""
    paint = skia.Paint(AntiAlias=True, Color=ink(colour, alpha))
    if blur:
        paint.setMaskFilter(skia.MaskFilter.MakeBlur(skia.kNormal_BlurStyle, blur))
    return paint


def stroke(
    colour: RGB, width: float, *, alpha: float = _OPAQUE, blur: float = 0, dashes: Sequence[float] = ()
) -> skia.Paint:
    """Return a paint that draws lines with round ends, or dashes of the given lengths with flat ones."""
    paint = fill(colour, alpha=alpha, blur=blur)
    paint.setStyle(skia.Paint.kStroke_Style)
    paint.setStrokeWidth(width)
    if dashes:
        paint.setPathEffect(skia.DashPathEffect.Make(list(dashes), 0))
    else:
        paint.setStrokeCap(skia.Paint.kRound_Cap)
        paint.setStrokeJoin(skia.Paint.kRound_Join)
    return paint


def gradient(
    start: tuple[float, float], end: tuple[float, float], stops: Sequence[tuple[float, int]]
) -> skia.Paint:
    """Return a linear gradient; a stop is a position, 0 to 1, and an ink."""
    paint = skia.Paint()
    positions, inks = zip(*stops, strict=True)
    paint.setShader(skia.GradientShader.MakeLinear([start, end], list(inks), list(positions)))
    return paint


def radial(centre: tuple[float, float], radius: float, inks: Sequence[int]) -> skia.Paint:
    """Return a gradient from the centre outwards, its inks evenly spaced."""
    paint = skia.Paint()
    paint.setShader(skia.GradientShader.MakeRadial(centre, radius, list(inks)))
    return paint
