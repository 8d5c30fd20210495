"""Bags."""

from catalogue.render.cloth import (
    Band,
    Cut,
    Sketch,
    draw_button,
    draw_emblem,
    draw_part,
    draw_seam,
    draw_stitches,
    draw_trim,
)
from catalogue.render.geometry import at, bend, on_side, symmetric
from catalogue.render.palette import METAL, shade


def draw_bag(s: Sketch) -> None:
    """Draw a bag of the spec's type."""
    _TYPES[s.spec["type"]](s)


def _draw_tote(s: Sketch) -> None:
    width = s.vary(52, 60)
    for lift, factor in ((-6, 0.72), (4, 1.0)):
        handle = [at(-32, 106), bend(-31, 38 + lift), bend(0, 26 + lift), bend(31, 38 + lift), at(32, 106)]
        draw_trim(s, handle, 7, shade(s.accent, factor))
    rim = [at(-width, 97), at(width, 97)]
    body = [at(-width, 97), at(width, 97), at(width - 7, 204), bend(0, 214), at(-width + 7, 204)]
    base = [at(-width + 7, 204), bend(0, 214), at(width - 7, 204)]
    draw_part(s, body, Cut(folds=5, bands=[Band(rim, 9), Band(base, 9)]))
    for side in (1, -1):
        draw_button(s, 32 * side, 110, 2.6, METAL)
    if s.variant == 0 and s.pattern is None:
        draw_emblem(s, 0, 152, 14)


def _draw_backpack(s: Sketch) -> None:
    draw_trim(s, [at(-18, 60), bend(-18, 36), bend(0, 30), bend(18, 36), at(18, 60)], 7)
    for side in (1, -1):
        pocket = on_side(side, [at(50, 124), bend(67, 130), bend(67, 188), at(50, 196)])
        draw_part(s, pocket, Cut(colour=shade(s.colour, 0.86), folds=1))
    body = [
        at(52, 206), bend(57, 110), bend(48, 54), bend(0, 46), bend(-48, 54), bend(-57, 110), at(-52, 206), bend(0, 216),
    ]  # fmt: skip
    base = [at(-52, 206), bend(0, 216), at(52, 206)]
    draw_part(s, body, Cut(folds=4, bands=[Band(base, 10)]))
    lid = [at(-50, 108), bend(0, 92), at(50, 108)]
    draw_trim(s, lid, 5.5)
    front = [
        at(-38, 198),
        bend(-39, 150),
        at(-32, 140),
        at(32, 140),
        bend(39, 150),
        at(38, 198),
        bend(0, 204),
    ]
    draw_part(
        s, front, Cut(colour=shade(s.colour, 0.94), folds=1, bands=[Band([at(-34, 141), at(34, 141)], 7)])
    )
    draw_button(s, 0, 152, 3.4, METAL)


def _draw_handbag(s: Sketch) -> None:
    width = s.vary(56, 64)
    draw_trim(s, [at(-35, 112), bend(-34, 52), bend(0, 40), bend(34, 52), at(35, 112)], 8)
    right = [at(width - 14, 104), bend(width, 150), at(width, 198), bend(0.5 * width, 212)]
    base = [*right[-2:], bend(-0.5 * width, 212), at(-width, 198)]
    draw_part(s, [*symmetric(right), bend(0, 98)], Cut(folds=3, bands=[Band(base, 8)]))
    flap_half = [at(width - 15, 105), bend(width - 18, 148), bend(0.4 * width, 160)]
    flap = symmetric(flap_half)
    edge = flap
    draw_part(s, flap, Cut(colour=shade(s.colour, 0.93), folds=1, bands=[Band(edge, 4.5)]))
    for side in (1, -1):
        draw_button(s, 35 * side, 111, 3.4, METAL)
    draw_button(s, 0, 153, 7)


def _draw_clutch(s: Sketch) -> None:
    s.canvas.translate(-10, 0)
    width = s.vary(72, 80)
    draw_trim(s, [at(width - 3, 112), bend(width + 24, 140), at(width - 6, 200)], 4.5)
    right = [at(width, 98), bend(width + 3, 172), at(width - 3, 177)]
    draw_part(s, symmetric(right), Cut(folds=3))
    flap = [at(-width, 98), at(width, 98), bend(0.35 * width, 146), bend(0, 154), bend(-0.35 * width, 146)]
    edge = [at(width, 98), bend(0.35 * width, 146), bend(0, 154), bend(-0.35 * width, 146), at(-width, 98)]
    draw_part(s, flap, Cut(colour=shade(s.colour, 0.92), folds=1, bands=[Band(edge, 6)]))
    draw_stitches(s, [at(-width + 5, 172), at(width - 5, 172)])
    draw_button(s, 0, 141, 7)
    draw_seam(s, [at(-width, 98), at(width, 98)])


_TYPES = {"tote": _draw_tote, "backpack": _draw_backpack, "handbag": _draw_handbag, "clutch": _draw_clutch}
