"""Jackets and coats."""

from catalogue.render.brush import fill, stroke
from catalogue.render.cloth import (
    Band,
    Cut,
    Sketch,
    draw_button,
    draw_part,
    draw_seam,
    draw_stitches,
    draw_trim,
)
from catalogue.render.geometry import at, bend, line, on_side, outline
from catalogue.render.palette import BLACK, METAL, luminance, shade
from catalogue.render.torso import Torso, draw_torso

_LENGTHS = {"cropped": (122, 130), "hip-length": (154, 164), "longline": (204, 216)}
_TOP = 42
_FRONT_STARTS = {"lapel": 104, "stand-collar": 46, "hooded": 60}


def draw_jacket(s: Sketch) -> None:
    """Draw a jacket; a third of them hang open and show a lining of the accent colour."""
    length, hem = s.vary(*_LENGTHS[s.spec["length"]]), s.vary(37, 43)
    torso = Torso(
        side=[
            at(s.vary(35, 38), 84),
            bend(s.vary(33, 36), 115),
            at(hem, length),
            bend(0.5 * hem, length + 2),
        ],
        shoulder=s.vary(41, 45),
        neck=15,
        top=_TOP,
        neckline="crew-neck",
        sleeve="long-sleeve",
        sleeve_length=s.vary(78, 90),
        cuff=11.5,
        folds=6,
    )
    draw_torso(s, torso)
    gap = 12.0 if s.variant == 0 else 0.0
    _draw_front(s, length, gap)
    _COLLARS[s.spec["collar"]](s)
    _draw_closure(s, length, gap)
    _draw_pockets(s, length)
    if s.spec["material"] == "denim":
        _draw_denim_seams(s, length)


def _draw_front(s: Sketch, length: float, gap: float) -> None:
    if gap:
        lining = outline([at(-5, 58), at(5, 58), at(gap, length + 2), at(-gap, length + 2)])
        s.canvas.drawPath(lining, fill(shade(s.accent, 0.82)))
        s.canvas.drawPath(lining, stroke(BLACK, 3, alpha=90, blur=2))
    for side in (1, -1):
        draw_seam(s, on_side(side, [at(5 if gap else 0, 58), at(gap, length)]), 1.6)


def _draw_lapels(s: Sketch) -> None:
    colour = shade(s.colour, 0.9 if luminance(s.colour) > 0.2 else 1.12)  # noqa: PLR2004 - black needs a lighter lapel
    for side in (1, -1):
        points = on_side(side, [at(12, 38), at(26, 50), at(20, 58), at(27, 64), at(1, 108), at(2, 72)])
        draw_part(s, points, Cut(colour=colour, folds=0, rounded=False))
        s.canvas.drawPath(outline(points), stroke(BLACK, 1.2, alpha=140))
        draw_trim(s, on_side(side, [at(27, 64), at(1, 108)]), 2.2)


def _draw_stand_collar(s: Sketch) -> None:
    rim = [at(-15, 29), bend(0, 25), at(15, 29)]
    points = [at(-17, 46), *rim, at(17, 46), bend(0, 55)]
    draw_part(s, points, Cut(colour=shade(s.colour, 0.88), folds=0, bands=[Band(rim, 6)]))


def _draw_hood(s: Sketch) -> None:
    hood = [
        at(22, 52),
        bend(31, 24),
        bend(17, 8),
        bend(0, 3),
        bend(-17, 8),
        bend(-31, 24),
        at(-22, 52),
        bend(0, 68),
    ]
    draw_part(s, hood, Cut(colour=shade(s.colour, 0.96), folds=2))
    face = [at(14, 49), bend(17, 26), bend(0, 12), bend(-17, 26), at(-14, 49), bend(0, 60)]
    s.canvas.drawPath(outline(face), fill(shade(s.accent, 0.6)))
    s.canvas.drawPath(outline(face), stroke(s.accent, 3.4))
    for side in (1, -1):
        draw_trim(s, on_side(side, [at(7, 57), at(8, 82)]), 1.8)


_COLLARS = {"lapel": _draw_lapels, "stand-collar": _draw_stand_collar, "hooded": _draw_hood}


def _draw_closure(s: Sketch, length: float, gap: float) -> None:
    start = _FRONT_STARTS[s.spec["collar"]]
    if s.spec["closure"] == "zip":
        place = [at(gap * (start - 58) / (length - 58) if gap else 0, start), at(gap, length - 1)]
        s.canvas.drawPath(line(place), stroke(s.accent, 5))
        s.canvas.drawPath(line(place), stroke(METAL, 2.4, dashes=(1.5, 1.5)))
        draw_trim(s, [place[0], at(place[0].x, start + 9)], 2.2, METAL)
        return
    count = max(2, round((length - start) / 20))
    for index in range(count):
        y = start + 8 + index * (length - start - 14) / count
        draw_button(s, gap * (y - 58) / (length - 58) + 5, y, 3.7)


def _draw_pockets(s: Sketch, length: float) -> None:
    y = min(length - 26, 134)
    for side in (1, -1):
        draw_seam(s, on_side(side, [at(16, y + 1), at(30, y + 7)]), 1.8)
        if s.variant == 1:
            draw_trim(s, on_side(side, [at(16, y - 2), at(30, y + 4)]), 2.6)


def _draw_denim_seams(s: Sketch, length: float) -> None:
    for side in (1, -1):
        draw_stitches(s, on_side(side, [at(6, 66), at(34, 72)]))
        draw_stitches(s, on_side(side, [at(19, 72), at(21, length - 6)]))
