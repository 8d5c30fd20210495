"""Skirts."""

import skia

from catalogue.render.brush import stroke
from catalogue.render.cloth import Band, Cut, Sketch, draw_part, draw_stitches
from catalogue.render.geometry import Point, at, bend, mirrored
from catalogue.render.palette import BLACK, WHITE

_LENGTHS = {"mini": (62, 72), "midi": (108, 118), "maxi": (154, 166)}
_PLEATS = 9


def draw_skirt(s: Sketch) -> None:
    """Draw a skirt with a waistband of the accent colour."""
    waist, top = s.vary(27, 31), 60.0
    length = s.vary(*_LENGTHS[s.spec["length"]])
    shape = s.spec["shape"]
    hem = {
        "a-line": waist + length * s.vary(0.24, 0.32) + 8,
        "pencil": waist + s.vary(0, 5),
        "pleated": waist + length * s.vary(0.26, 0.36) + 10,
    }[shape]
    bottom = top + length
    hip = bend(waist + (12 if shape == "pencil" else 8), top + 28)
    band = Band([at(-waist - 2, top), bend(0, top + 3), at(waist + 2, top)], 10)
    if shape == "pleated":
        path = _draw_pleated(s, (waist, top), (hem, bottom), band)
        _lay_pleats(s, path, (waist, top), (hem, bottom))
    else:
        _draw_smooth(s, [at(waist, top), hip, at(hem, bottom), bend(0.5 * hem, bottom + 5)], band)
    if shape == "pencil":
        slit = hem * 0.45
        s.canvas.drawLine(slit, bottom - 26, slit + 1, bottom + 1, stroke(BLACK, 1.8, alpha=160))
    if s.spec["material"] == "denim":
        draw_stitches(s, [at(-waist - 4, top + 15), bend(0, top + 18), at(waist + 4, top + 15)])
        draw_stitches(s, [at(0, top + 12), at(0, bottom)])


def _draw_smooth(s: Sketch, right: list[Point], waistband: Band) -> None:
    hem = [*right[-2:], *mirrored(right[-2:])]
    right = [right[0], *right[1:]]
    top = right[0]
    points = [*right, *mirrored(right), bend(0, top.y + 3)]
    draw_part(s, points, Cut(folds=7, bands=[waistband, Band(hem, 5.5)]))


def _draw_pleated(s: Sketch, waist: tuple[float, float], hem: tuple[float, float], band: Band) -> skia.Path:
    half, bottom = hem
    zigzag = [at(half - 2 * half * i / _PLEATS, bottom + (5 if i % 2 else 0)) for i in range(_PLEATS + 1)]
    side = bend(waist[0] + 9, waist[1] + 28)
    points = [at(*waist), side, *zigzag, *mirrored([side]), at(-waist[0], waist[1]), bend(0, waist[1] + 3)]
    return draw_part(s, points, Cut(folds=2, bands=[band, Band(zigzag, 5)]))


def _lay_pleats(s: Sketch, path: skia.Path, waist: tuple[float, float], hem: tuple[float, float]) -> None:
    s.canvas.save()
    s.canvas.clipPath(path, doAntiAlias=True)
    for index in range(1, _PLEATS):
        x, end = (half - 2 * half * index / _PLEATS for half in (waist[0], hem[0]))
        s.canvas.drawLine(x, waist[1] + 12, end, hem[1] + 6, stroke(BLACK, 2.4, alpha=125, blur=1.1))
        s.canvas.drawLine(x + 2.5, waist[1] + 12, end + 4, hem[1] + 6, stroke(WHITE, 2.6, alpha=62, blur=1.4))
    s.canvas.restore()
