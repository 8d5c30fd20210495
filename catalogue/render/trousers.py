"""Trousers."""

from catalogue.render.cloth import Band, Cut, Sketch, draw_button, draw_part, draw_seam, draw_stitches
from catalogue.render.geometry import Point, at, bend, on_side
from catalogue.render.palette import METAL

_LENGTHS = {"cropped": (130, 140), "full-length": (184, 194)}
_KNEES = {"skinny": (11, 12.5), "straight-leg": (15.5, 17.5), "wide-leg": (22, 25), "flared": (12, 14)}
_ANKLES = {"skinny": (8.5, 10), "straight-leg": (15, 16.5), "wide-leg": (27, 32), "flared": (24, 29)}
"""Half widths."""
_TOP = 38
_KNEE = 134


def draw_trousers(s: Sketch) -> None:
    """Draw trousers with waistband and cuffs, or a side stripe, of the accent colour."""
    waist, spread = s.vary(28, 32), s.vary(6, 16)
    hip, bottom = waist + 6, _TOP + s.vary(*_LENGTHS[s.spec["length"]])
    knee, ankle = s.vary(*_KNEES[s.spec["fit"]]), s.vary(*_ANKLES[s.spec["fit"]])
    for side in (-1, 1):
        outer, cuff = _leg(waist=waist, spread=spread, knee=knee, ankle=ankle, bottom=bottom)
        crotch = [bend(0.55 * hip + 0.2 * spread - knee, _KNEE), at(1.5, _TOP + 54)]
        points = on_side(side, [at(-0.5, _TOP + 2), *outer, *cuff, *crotch])
        bands = [Band(on_side(side, [at(-4, _TOP + 1), at(waist + 2, _TOP)]), 9)]
        if s.variant == 1:
            bands.append(Band(on_side(side, outer), 5))
        else:
            bands.append(Band(on_side(side, cuff), 7.5))
        draw_part(s, points, Cut(folds=6, angle=-3 * side, bands=bands))
        draw_stitches(s, on_side(side, [at(11, _TOP + 10), bend(15, _TOP + 25), at(hip - 1, _TOP + 27)]), 1.1)
    draw_seam(s, [at(0, _TOP + 9), at(0, _TOP + 52)], 1.5)
    draw_button(s, 0, _TOP + 5, 2.8, METAL)


def _leg(
    *, waist: float, spread: float, knee: float, ankle: float, bottom: float
) -> tuple[list[Point], list[Point]]:
    """Return the outer contour from waist to ankle, and the cuff from its outer end inwards."""
    hip = waist + 6
    knee_x, foot_x = 0.55 * hip + 0.2 * spread, 0.55 * hip + 0.6 * spread
    outer = [
        at(waist, _TOP),
        bend(hip + 1, _TOP + 26),
        bend(knee_x + 1.05 * knee, _KNEE),
        at(foot_x + ankle, bottom),
    ]
    return outer, [at(foot_x + ankle, bottom), bend(foot_x, bottom + 2), at(foot_x - ankle, bottom)]
