"""Hats."""

from catalogue.render.brush import fill, stroke
from catalogue.render.cloth import Band, Cut, Sketch, draw_button, draw_emblem, draw_part, draw_seam
from catalogue.render.geometry import at, bend, line
from catalogue.render.palette import shade


def draw_hat(s: Sketch) -> None:
    """Draw a hat of the spec's type."""
    _TYPES[s.spec["type"]](s)


def _draw_cap(s: Sketch) -> None:
    s.canvas.translate(-18, 0)
    crown = [
        at(-70, 152),
        bend(-74, 96),
        bend(-46, 62),
        bend(2, 62),
        bend(46, 74),
        at(54, 146),
        bend(-10, 152),
    ]
    draw_part(s, crown, Cut(folds=3))
    draw_seam(s, [at(-18, 67), bend(-44, 94), at(-46, 149)])
    draw_seam(s, [at(-18, 67), bend(14, 92), at(18, 148)])
    brim = [
        at(-18, 148),
        bend(24, 140),
        at(54, 140),
        bend(98, 142),
        at(108, 166),
        bend(70, 156),
        at(-10, 166),
    ]
    draw_part(s, brim, Cut(colour=s.accent, printed=False, folds=0))
    s.canvas.drawPath(
        line([at(-14, 155), bend(54, 144), at(102, 162)]), stroke(shade(s.accent, 0.5), 0.9, alpha=150)
    )
    draw_button(s, -18, 66, 4.5)
    if s.pattern is None:
        draw_emblem(s, 34, 112, 8)


def _draw_beanie(s: Sketch) -> None:
    if s.variant:
        s.canvas.drawCircle(0, 58, 19, fill(shade(s.accent, 0.8), blur=2.5))
        s.canvas.drawCircle(-2, 56, 16, fill(s.accent, blur=2.5))
    crown = [at(-62, 168), bend(-66, 74), bend(0, 44), bend(66, 74), at(62, 168)]
    draw_part(s, crown, Cut(folds=3, material="knit"))
    fold = [
        at(-66, 152),
        bend(0, 144),
        at(66, 152),
        bend(70, 174),
        at(67, 194),
        bend(0, 202),
        at(-67, 194),
        bend(-70, 174),
    ]
    draw_part(s, fold, Cut(colour=s.accent, printed=False, folds=0, material="knit"))


def _draw_bucket_hat(s: Sketch) -> None:
    brim = [
        at(-90, 190),
        bend(-70, 150),
        at(-50, 140),
        bend(0, 130),
        at(50, 140),
        bend(70, 150),
        at(90, 190),
        bend(0, 216),
    ]
    edge = [at(-90, 190), bend(0, 216), at(90, 190)]
    draw_part(s, brim, Cut(colour=shade(s.colour, 0.93), folds=5, bands=[Band(edge, 5)]))
    crown = [at(-55, 148), bend(-48, 72), bend(0, 62), bend(48, 72), at(55, 148), bend(0, 162)]
    band = [at(-55, 148), bend(0, 162), at(55, 148)]
    draw_part(s, crown, Cut(folds=3, bands=[Band(band, 11)]))


def _draw_fedora(s: Sketch) -> None:
    brim = [
        at(-104, 158),
        bend(-70, 144),
        at(-46, 146),
        bend(0, 140),
        at(46, 146),
        bend(70, 144),
        at(104, 158),
        bend(0, 206),
    ]
    draw_part(s, brim, Cut(colour=shade(s.colour, 0.93), folds=2))
    crown = [
        at(-55, 160), bend(-52, 92), bend(-26, 70), bend(0, 88), bend(26, 70), bend(52, 92), at(55, 160), bend(0, 176),
    ]  # fmt: skip
    band = [at(-57, 160), bend(0, 176), at(57, 160)]
    draw_part(s, crown, Cut(folds=3, bands=[Band(band, 15)]))


_TYPES = {"cap": _draw_cap, "beanie": _draw_beanie, "bucket-hat": _draw_bucket_hat, "fedora": _draw_fedora}
