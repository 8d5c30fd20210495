"""Prints: stripes, polka dots, checks and flowers in the accent colour.

The main colour keeps at least 65 % of the cloth, so that main and accent colour cannot be mistaken for each other.
"""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass

import skia

from catalogue.render.brush import fill
from catalogue.render.palette import RGB, mix

_VARIANTS = 3
_LEAF: RGB = (70, 120, 70)
_POLLEN: RGB = (250, 222, 96)


@dataclass(frozen=True, slots=True)
class Pattern:
    """One product's print; every part of it is cut from this cloth."""

    kind: str
    variant: int
    period: float
    """Distance of the repeats, in units."""
    upright: bool
    """Whether stripes run up and down."""


_PERIODS = {"striped": (10, 19), "polka-dot": (14, 24), "checked": (16, 28), "floral": (22, 33)}


def sample_pattern(rng: random.Random, kind: str) -> Pattern | None:
    """Draw a print of the kind; None for plain cloth."""
    if kind == "plain":
        return None
    return Pattern(kind, rng.randrange(_VARIANTS), rng.uniform(*_PERIODS[kind]), rng.random() < 1 / 3)


def draw_pattern(
    canvas: skia.Canvas, rng: random.Random, pattern: Pattern, extent: float, accent: RGB
) -> None:
    """Cover the square of half side `extent` about the origin."""
    _DRAWERS[pattern.kind](canvas, rng, pattern, extent, accent)


def _steps(extent: float, period: float) -> Iterator[float]:
    count = math.ceil(extent / period)
    return (index * period for index in range(-count, count + 1))


def _stripes(canvas: skia.Canvas, _: random.Random, pattern: Pattern, extent: float, accent: RGB) -> None:
    width = pattern.period * (0.34, 0.3, 0.24)[pattern.variant]
    if pattern.upright:
        canvas.rotate(90)
    for y in _steps(extent, pattern.period):
        canvas.drawRect(skia.Rect.MakeXYWH(-extent, y, 2 * extent, width), fill(accent))


def _polka_dots(canvas: skia.Canvas, _: random.Random, pattern: Pattern, extent: float, accent: RGB) -> None:
    radius = pattern.period * (0.2, 0.225, 0.185)[pattern.variant]
    dots = skia.Path()
    for y in _steps(extent, pattern.period):
        for x in _steps(extent, pattern.period):
            dots.addCircle(x, y, radius)
            dots.addCircle(x + pattern.period / 2, y + pattern.period / 2, radius)
    canvas.drawPath(dots, fill(accent))


def _checks(canvas: skia.Canvas, _: random.Random, pattern: Pattern, extent: float, accent: RGB) -> None:
    """Draw gingham, a windowpane with a thin second line, or a board of squares that is mostly main colour."""
    period = pattern.period
    if pattern.variant == 2:  # noqa: PLR2004 - one of three
        _squares(canvas, period, extent, accent)
        return
    bands = ((0, 0.3, 140),) if pattern.variant == 0 else ((0, 0.13, 235), (0.3, 0.05, 235))
    for start, share, alpha in bands:
        paint = fill(accent, alpha=alpha)
        for step in _steps(extent, period):
            place = step + start * period
            canvas.drawRect(skia.Rect.MakeXYWH(place, -extent, share * period, 2 * extent), paint)
            canvas.drawRect(skia.Rect.MakeXYWH(-extent, place, 2 * extent, share * period), paint)


def _squares(canvas: skia.Canvas, period: float, extent: float, accent: RGB) -> None:
    side = 0.4 * period
    squares = skia.Path()
    for y in _steps(extent, period):
        for x in _steps(extent, period):
            squares.addRect(skia.Rect.MakeXYWH(x, y, side, side))
            squares.addRect(skia.Rect.MakeXYWH(x + period / 2, y + period / 2, side, side))
    canvas.drawPath(squares, fill(accent))


def _flowers(canvas: skia.Canvas, rng: random.Random, pattern: Pattern, extent: float, accent: RGB) -> None:
    leaves, petals, hearts = skia.Path(), skia.Path(), skia.Path()
    large = pattern.period * (0.25, 0.22, 0.265)[pattern.variant]
    for y in _steps(extent, pattern.period):
        for x in _steps(extent, pattern.period):
            for radius, shift in ((large, 0.0), (0.65 * large, pattern.period / 2)):
                place = (x + shift + rng.gauss(0, 1), y + shift + rng.gauss(0, 1))
                _flower(place, radius, rng.uniform(0, math.tau), (leaves, petals, hearts))
    canvas.drawPath(leaves, fill(mix(accent, _LEAF, 0.7)))
    canvas.drawPath(petals, fill(accent))
    canvas.drawPath(hearts, fill(mix(accent, _POLLEN, 0.75)))


def _flower(
    place: tuple[float, float], radius: float, turn: float, layers: tuple[skia.Path, skia.Path, skia.Path]
) -> None:
    leaves, petals, hearts = layers
    x, y = place
    for index in range(2):
        angle = turn + 0.6 + 2.4 * index
        leaves.addCircle(x + 1.1 * radius * math.cos(angle), y + 1.1 * radius * math.sin(angle), 0.3 * radius)
    for index in range(5):
        angle = turn + index * math.tau / 5
        petals.addCircle(
            x + 0.58 * radius * math.cos(angle), y + 0.58 * radius * math.sin(angle), 0.46 * radius
        )
    hearts.addCircle(x, y, 0.3 * radius)


_DRAWERS = {"striped": _stripes, "polka-dot": _polka_dots, "checked": _checks, "floral": _flowers}
