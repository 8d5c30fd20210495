"""Draws scenes: flat shapes on a grid, each a little off its place, under a light of its own."""

import random

import numpy as np
from PIL import Image, ImageDraw

from catalogue.randomness import generator
from encoders.augment import Pixels
from encoders.css.scenes import Scene, Thing, describe
from vitrine.tensors import IMAGE_SIZE

_SCALE = 4
"""Drawn so many times larger, then shrunk, for smooth edges."""

_COLOURS = {
    "grey": (120, 120, 120), "red": (205, 45, 45), "blue": (45, 75, 205), "green": (40, 150, 60),
    "brown": (130, 85, 40), "purple": (140, 50, 165), "cyan": (50, 195, 205), "yellow": (225, 205, 50),
}  # fmt: skip
_RADII = {"small": 0.16, "large": 0.34}
"""Of a cell's side."""

_OFF = 0.08
"""How far a shape may stand off the middle of its cell."""


def draw_scene(scene: Scene, seed: int) -> Pixels:
    """Return (IMAGE_SIZE, IMAGE_SIZE, 3); equal scenes and seeds give equal pictures."""
    rng = generator("css picture", describe(scene), seed)
    side = IMAGE_SIZE * _SCALE
    picture = Image.new("RGB", (side, side), (rng.randint(215, 245),) * 3)
    draw = ImageDraw.Draw(picture)
    for place, thing in enumerate(scene):
        if thing:
            row, column = divmod(place, 3)
            cell = side / 3
            x, y = ((index + 0.5 + rng.uniform(-_OFF, _OFF)) * cell for index in (column, row))
            _draw_thing(draw, thing, (x, y), radius=_RADII[thing.size] * cell)
    light = np.asarray(picture.reduce(_SCALE), np.float32) * rng.uniform(0.92, 1.05)
    return np.clip(light + _noise(rng), 0, 255).astype(np.uint8)


def _draw_thing(
    draw: ImageDraw.ImageDraw, thing: Thing, middle: tuple[float, float], *, radius: float
) -> None:
    x, y = middle
    fill = _COLOURS[thing.colour]
    box = (x - radius, y - radius, x + radius, y + radius)
    if thing.shape == "circle":
        draw.ellipse(box, fill=fill)
    elif thing.shape == "square":
        draw.rectangle(box, fill=fill)
    else:
        draw.polygon([(x, y - radius), (x - radius, y + radius), (x + radius, y + radius)], fill=fill)


def _noise(rng: random.Random) -> np.typing.NDArray[np.float32]:
    grain = np.random.default_rng(rng.randrange(2**32)).normal(0, 3, (IMAGE_SIZE, IMAGE_SIZE, 1))
    return grain.astype(np.float32)
