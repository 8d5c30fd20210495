"""Shoes, a pair seen from the side."""

from collections.abc import Sequence

import skia

from catalogue.render.brush import fill, stroke
from catalogue.render.cloth import (
    Band,
    Cut,
    Sketch,
    draw_button,
    draw_opening,
    draw_part,
    draw_seam,
    draw_trim,
)
from catalogue.render.geometry import Point, at, bend, line
from catalogue.render.palette import BLACK, shade

_PAIR = ((11.0, -26.0, 0.92), (-7.0, 16.0, 1.0))
"""Shift and scale of the far shoe and the near one."""


def draw_shoes(s: Sketch) -> None:
    """Draw the far shoe, then the near one."""
    draw = _TYPES[s.spec["type"]]
    shaft = s.vary(46, 60)
    for dx, dy, scale in _PAIR:
        s.canvas.save()
        s.canvas.translate(dx, dy + 128)
        s.canvas.scale(1.12 * scale, 1.12 * scale)
        s.canvas.translate(0, -128)
        draw(s, shaft)
        s.canvas.restore()


def _draw_sole(s: Sketch, thickness: float, *, lift: float = 6) -> None:
    """Draw a sole of the accent colour; the toe is lifted off the ground."""
    points = [
        at(-86, 162),
        bend(-90, 166 + thickness),
        at(-76, 166 + thickness),
        at(60, 166 + thickness),
        bend(88, 166 + thickness - 1),
        at(92, 166 - lift + 3),
        bend(88, 163),
        at(70, 165),
        bend(0, 167),
    ]
    draw_part(s, points, Cut(colour=s.accent, material="cotton", printed=False, folds=0))
    groove = line([at(-84, 164 + 0.55 * thickness), at(80, 164 + 0.55 * thickness)])
    s.canvas.drawPath(groove, stroke(BLACK, 1.1, alpha=80))


def _draw_sneaker(s: Sketch, _: float) -> None:
    draw_opening(s, [at(-74, 112), bend(-52, 100), at(-28, 106), bend(-48, 122)])
    upper = [
        at(-84, 168),
        bend(-90, 138),
        at(-80, 108),
        bend(-76, 102),
        at(-70, 108),
        bend(-52, 126),
        at(-32, 104),
        bend(-24, 100),
        at(-16, 108),
        bend(10, 132),
        at(40, 138),
        bend(80, 142),
        at(86, 168),
    ]
    collar = [at(-80, 108), bend(-76, 102), at(-70, 108), bend(-52, 126), at(-32, 104)]
    draw_part(s, upper, Cut(folds=3, bands=[Band(collar, 4.5)]))
    draw_trim(s, [at(-66, 156), bend(-30, 160), at(14, 132)], 6)
    draw_seam(s, [at(34, 138), bend(40, 152), at(30, 166)])
    for index in range(4):
        x, y = -22 + 12 * index, 111 + 7.2 * index
        draw_trim(s, [at(x + 5, y - 5), at(x - 8, y + 9)], 3.4)
    _draw_sole(s, 13)


def _draw_boot(s: Sketch, top: float) -> None:
    heel = [at(-80, 168), at(-48, 168), at(-50, 184), at(-78, 184)]
    draw_part(s, heel, Cut(colour=shade(s.accent, 0.85), material="cotton", printed=False, folds=0))
    draw_opening(s, [at(-74, top + 1), bend(-48, top - 8), at(-20, top + 1), bend(-48, top + 8)])
    upper = [
        at(-78, 170),
        bend(-80, 130),
        at(-75, top),
        bend(-48, top + 7),
        at(-19, top),
        bend(-22, 112),
        bend(-10, 130),
        at(40, 138),
        bend(82, 144),
        at(86, 170),
    ]
    draw_part(s, upper, Cut(folds=4, bands=[Band([at(-75, top), bend(-48, top + 7), at(-19, top)], 9)]))
    gusset = [
        at(-56, top + 14),
        bend(-46, 104),
        at(-52, 124),
        at(-40, 124),
        bend(-34, 104),
        at(-38, top + 14),
    ]
    draw_part(s, gusset, Cut(colour=s.accent, material="knit", printed=False, folds=0, rounded=False))
    _draw_sole(s, 7, lift=4)


def _draw_heel(s: Sketch, _: float) -> None:
    stiletto = [at(-86, 114), at(-62, 130), bend(-70, 152), at(-73, 188), at(-80, 188), bend(-78, 150)]
    draw_part(s, stiletto, Cut(colour=s.accent, material="leather", printed=False, folds=0))
    draw_opening(
        s,
        [at(-82, 96), bend(-58, 96), at(-40, 126), bend(-4, 148), at(30, 144), bend(-24, 164), at(-70, 118)],
    )
    upper = [
        at(-86, 116),
        bend(-88, 96),
        at(-78, 92),
        bend(-66, 98),
        at(-50, 128),
        bend(-6, 156),
        at(34, 143),
        bend(70, 146),
        at(96, 172),
        bend(44, 178),
        at(0, 166),
        bend(-46, 146),
        at(-66, 130),
    ]
    topline = [at(-78, 92), bend(-66, 98), at(-50, 128), bend(-6, 156), at(34, 143)]
    draw_part(s, upper, Cut(folds=1, bands=[Band(topline, 4)]))
    draw_trim(s, [at(-64, 131), bend(-40, 156), at(0, 169), bend(48, 181), at(95, 174)], 4.5)


def _draw_loafer(s: Sketch, _: float) -> None:
    heel = [at(-84, 168), at(-46, 168), at(-46, 181), at(-84, 181)]
    draw_part(s, heel, Cut(colour=shade(s.accent, 0.9), material="cotton", printed=False, folds=0))
    draw_opening(s, [at(-78, 116), bend(-44, 104), at(-6, 116), bend(-44, 128)])
    upper = [
        at(-84, 168),
        bend(-90, 136),
        at(-80, 115),
        bend(-44, 130),
        at(-12, 114),
        bend(-2, 112),
        at(6, 118),
        bend(30, 130),
        at(54, 138),
        bend(84, 148),
        at(88, 168),
    ]
    draw_part(s, upper, Cut(folds=1))
    strap = [at(-16, 114), bend(-4, 110), at(4, 116), bend(10, 140), at(4, 168), at(-16, 168), bend(-8, 140)]
    draw_part(s, strap, Cut(colour=s.accent, printed=False, folds=0, rounded=False))
    s.canvas.drawPath(line([at(14, 128), bend(44, 136), at(70, 158)]), stroke(BLACK, 1.6, alpha=130))
    _draw_sole(s, 7, lift=4)


def _draw_sandal(s: Sketch, _: float) -> None:
    insole = fill(shade(s.colour, 0.5))
    s.canvas.drawRoundRect(skia.Rect.MakeXYWH(-84, 158, 172, 9), 4, 4, insole)
    _draw_strap(s, [at(-80, 164), bend(-86, 134), at(-74, 110), at(-62, 112), bend(-73, 136), at(-64, 164)])
    _draw_strap(s, [at(-18, 164), bend(-26, 140), at(-30, 120), at(-18, 116), bend(-10, 140), at(0, 164)])
    ankle = [at(-76, 118), bend(-46, 100), at(-16, 114), at(-16, 127), bend(-46, 114), at(-77, 131)]
    draw_part(s, ankle, Cut(folds=0, bands=[Band(ankle[:3], 3.5)]))
    toe = [at(18, 165), bend(26, 134), at(44, 131), at(66, 138), bend(64, 148), at(60, 165), bend(40, 140)]
    draw_part(s, toe, Cut(folds=0, bands=[Band(toe[3:6], 4)]))
    draw_button(s, -30, 114, 5)
    _draw_sole(s, 10)


def _draw_strap(s: Sketch, points: Sequence[Point]) -> None:
    draw_part(s, points, Cut(folds=0, rounded=False))


_TYPES = {
    "sneakers": _draw_sneaker,
    "boots": _draw_boot,
    "heels": _draw_heel,
    "loafers": _draw_loafer,
    "sandals": _draw_sandal,
}
