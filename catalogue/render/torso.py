"""The upper body that dresses, tops and jackets share: shoulders, neckline and sleeves."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import skia

from catalogue.render.brush import fill
from catalogue.render.cloth import Band, Cut, Sketch, draw_opening, draw_part, draw_trim
from catalogue.render.geometry import Point, at, bend, mirrored, on_side
from catalogue.render.palette import WHITE, shade

_SHOULDER_DROP = 9
_SLEEVELESS_INSET = 9
_SLEEVE_LENGTHS = {"sleeveless": (0, 0), "short-sleeve": (17, 23), "long-sleeve": (82, 96)}
"""From the middle of the armhole to the cuff."""
_NECK_DEPTHS = {"crew-neck": 14, "v-neck": 40, "square-neck": 27, "turtleneck": 0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Torso:
    """Measures of an upper body; y of the shoulder's top is `top`."""

    side: Sequence[Point]
    """The right contour from the armpit, a corner, to the hem's middle."""
    shoulder: float
    neck: float
    top: float
    neckline: str
    sleeve: str
    sleeve_length: float
    cuff: float
    """Half the sleeve's width at the cuff."""
    hem_band: float = 6
    folds: int = 7


def draw_torso(s: Sketch, torso: Torso) -> skia.Path:
    """Draw sleeves, body and neckline; give the body's path."""
    if torso.neckline != "turtleneck":
        _draw_inside(s, torso)
    if torso.sleeve_length:
        angle = s.vary(0.16, 0.5)
        for side in (1, -1):
            _draw_sleeve(s, torso, side, angle)
    neckline = _neckline(torso, s.vary(0.9, 1.12))
    right = _right_contour(torso)
    hem = torso.side[-2:]
    bands = [Band([*hem, *mirrored(hem)], torso.hem_band)]
    if torso.neckline != "turtleneck":
        bands.append(Band(neckline, 4.5))
    if not torso.sleeve_length:
        armhole = right[: 2 + 1]
        bands += [Band(on_side(side, armhole), 3.2) for side in (1, -1)]
    path = draw_part(s, [*neckline, *right, *mirrored(right)], Cut(folds=torso.folds, bands=bands))
    if torso.neckline == "turtleneck":
        _draw_turtleneck(s, torso)
    return path


def sleeve_length(s: Sketch, sleeve: str) -> float:
    """Draw a length for the kind of sleeve."""
    return s.vary(*_SLEEVE_LENGTHS[sleeve])


def _right_contour(torso: Torso) -> list[Point]:
    armpit = torso.side[0]
    inset = 0 if torso.sleeve_length else _SLEEVELESS_INSET
    shoulder = at(torso.shoulder - inset, torso.top + _SHOULDER_DROP)
    armhole = bend(armpit.x - (7 if inset else 3), armpit.y - 12)
    return [shoulder, armhole, *torso.side]


def _neckline(torso: Torso, depth_factor: float) -> list[Point]:
    """Return the neckline from the left shoulder to the right one."""
    half, top = torso.neck, torso.top
    depth = _NECK_DEPTHS[torso.neckline] * depth_factor
    right = {
        "crew-neck": [bend(0, top + 1.3 * depth), bend(0.8 * half, top + 1.2 * depth), at(half, top)],
        "v-neck": [at(0, top + depth), at(half, top)],
        "square-neck": [at(1.12 * half, top + depth), at(1.2 * half, top + 1)],
        "turtleneck": [at(0.75 * half, top - 2)],
    }[torso.neckline]
    left = mirrored(right)
    return [*left, *right[1:]] if right[0].x == 0 else [*left, *right]


def _draw_inside(s: Sketch, torso: Torso) -> None:
    """Draw the back as it is seen through the neckline, with its binding and label."""
    half, top = torso.neck * (1.25 if torso.neckline == "square-neck" else 1), torso.top
    draw_opening(
        s,
        [at(-half - 1, top), bend(0, top - 8), at(half + 1, top), at(half, top + 46), at(-half, top + 46)],
    )
    draw_trim(s, [at(-half, top), bend(0, top - 7), at(half, top)], 2.6, shade(s.accent, 0.75))
    s.canvas.drawRect(skia.Rect.MakeXYWH(-4.5, top + 1.5, 9, 4.5), fill(WHITE, alpha=200))


def _draw_sleeve(s: Sketch, torso: Torso, side: int, angle: float) -> None:
    """Draw one sleeve; it starts inside the body, which is drawn over it."""
    armpit, length, cuff = torso.side[0], torso.sleeve_length, torso.cuff
    down, out = (math.sin(angle), math.cos(angle)), (math.cos(angle), -math.sin(angle))
    shoulder = (torso.shoulder - 1, torso.top + _SHOULDER_DROP - 0.5)
    middle = ((shoulder[0] + armpit.x) / 2, (shoulder[1] + armpit.y) / 2)

    def along(start: tuple[float, float], far: float, aside: float) -> tuple[float, float]:
        return start[0] + far * down[0] + aside * out[0], start[1] + far * down[1] + aside * out[1]

    outer, inner = along(middle, length, cuff), along(middle, length, -cuff)
    points = [
        at(shoulder[0] - 8, shoulder[1] - 0.5),
        at(*shoulder),
        bend(*along(shoulder, 0.16 * length, 4.5)),
        at(*outer),
        at(*inner),
        at(armpit.x - 1, armpit.y + 3),
        at(armpit.x - 10, armpit.y - 8),
    ]
    cut = Cut(
        colour=shade(s.colour, 0.96),
        angle=-side * math.degrees(angle),
        folds=4 if length > 60 else 1,  # noqa: PLR2004 - a long sleeve
        bands=[Band(on_side(side, [at(*outer), at(*inner)]), 6)],
    )
    draw_part(s, on_side(side, points), cut)


def _draw_turtleneck(s: Sketch, torso: Torso) -> None:
    half, top = torso.neck, torso.top
    rim = [at(0.68 * half, top - 18), bend(0, top - 20), at(-0.68 * half, top - 18)]
    collar = [*rim, at(-0.78 * half, top), bend(0, top + 6), at(0.78 * half, top)]
    cut = Cut(colour=shade(s.colour, 0.92), printed=False, folds=0, material="knit", bands=[Band(rim, 4.5)])
    draw_part(s, collar, cut)
