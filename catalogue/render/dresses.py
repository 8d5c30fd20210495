"""Dresses and tops."""

from catalogue.render.cloth import Sketch, draw_emblem, draw_trim
from catalogue.render.geometry import at, bend
from catalogue.render.torso import Torso, draw_torso, sleeve_length

_DRESS_LENGTHS = {"mini": (150, 160), "midi": (186, 198), "maxi": (226, 238)}
_DRESS_FLARE = {"mini": (32, 46), "midi": (33, 52), "maxi": (38, 58)}
"""Half the hem's width."""


def draw_dress(s: Sketch) -> None:
    """Draw a dress with a waist; a third of them have a belt."""
    length = s.vary(*_DRESS_LENGTHS[s.spec["length"]])
    hem, waist = s.vary(*_DRESS_FLARE[s.spec["length"]]), s.vary(20, 24)
    side = [
        at(s.vary(28, 31), 80),
        bend(waist, 106),
        bend(waist + 6, 124),
        at(hem, length),
        bend(0.5 * hem, length + 5),
    ]
    torso = Torso(
        side=side,
        shoulder=s.vary(34, 38),
        neck=s.vary(14, 17),
        top=42,
        neckline=s.spec["neck"],
        sleeve=s.spec["sleeve"],
        sleeve_length=sleeve_length(s, s.spec["sleeve"]),
        cuff=9 if s.spec["sleeve"] == "long-sleeve" else 13,
        folds=8,
    )
    draw_torso(s, torso)
    if s.variant == 0:
        draw_trim(s, [at(-waist - 3, 112), bend(0, 115), at(waist + 3, 112)], 5.5)


def draw_top(s: Sketch) -> None:
    """Draw a top; some of the plain ones bear an emblem on the chest."""
    hem, length = s.vary(29, 35), s.vary(138, 150)
    side = [at(s.vary(30, 33), 82), bend(s.vary(27, 30), 112), at(hem, length), bend(0.5 * hem, length + 4)]
    torso = Torso(
        side=side,
        shoulder=s.vary(36, 40),
        neck=s.vary(14, 17),
        top=42,
        neckline=s.spec["neck"],
        sleeve=s.spec["sleeve"],
        sleeve_length=sleeve_length(s, s.spec["sleeve"]),
        cuff=9.5 if s.spec["sleeve"] == "long-sleeve" else 14,
        folds=6,
    )
    draw_torso(s, torso)
    if s.variant == 0 and s.pattern is None and s.spec["neck"] in {"crew-neck", "turtleneck"}:
        draw_emblem(s, s.rng.choice([-14, 0, 14]), 86, s.vary(4, 6.5))
