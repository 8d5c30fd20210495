"""Grey tiles of cloth, leather and wood, blended over flat colour to give it a surface."""

import math
import random
from collections.abc import Callable
from functools import cache

import numpy as np
import skia
from numpy.typing import NDArray

from catalogue.render.brush import LINEAR

_SIDE = 256
_VARIANTS = 3
_CONTRAST = 40
"""Grey levels of one standard deviation."""

Tile = NDArray[np.float64]
"""(_SIDE, _SIDE); mean and spread do not matter."""


def lay_texture(
    canvas: skia.Canvas,
    rng: random.Random,
    area: skia.Rect,
    *,
    kind: str,
    scale: float,
    alpha: float,
    mode: skia.BlendMode = skia.BlendMode.kOverlay,
) -> None:
    """Blend a random window of the tile over the area; scale is units a texel.

    A blit, not a shader: setting an image shader through skia-python costs about 8 ms a call.
    """
    image = _image(kind, rng.randrange(_VARIANTS))
    width = min(2 * _SIDE, area.width() / scale)
    height = min(2 * _SIDE, area.height() / scale)
    window = skia.Rect.MakeXYWH(rng.random() * (_SIDE - 1), rng.random() * (_SIDE - 1), width, height)
    paint = skia.Paint(BlendMode=mode)
    paint.setAlpha(round(alpha))
    canvas.drawImageRect(image, window, area, LINEAR, paint)


@cache
def _image(kind: str, variant: int) -> skia.Image:
    tile = _TILES[kind](np.random.default_rng(variant))
    grey = np.clip(128 + _CONTRAST * (tile - tile.mean()) / (tile.std() + 1e-6), 0, 255).astype(np.uint8)
    grey = np.tile(grey, (3, 3))
    return skia.Image.fromarray(np.dstack([grey, grey, grey, np.full_like(grey, 255)]))


def _grid() -> tuple[Tile, Tile]:
    steps = np.arange(_SIDE, dtype=np.float64)
    x, y = np.meshgrid(steps, steps)
    return x, y


def _smoothed(tile: Tile, width: float) -> Tile:
    """Low-pass a tile so that its edges still meet; width is in texels."""
    frequency = np.fft.fftfreq(_SIDE)
    squared = frequency[:, None] ** 2 + frequency[None, :] ** 2
    kept = np.exp(-squared * 2 * (math.pi * width) ** 2)
    smoothed: Tile = np.real(np.fft.ifft2(np.fft.fft2(tile) * kept))
    return smoothed


def _noise(rng: np.random.Generator) -> Tile:
    return rng.standard_normal((_SIDE, _SIDE))


def _cloud(rng: np.random.Generator) -> Tile:
    layers = [_smoothed(_noise(rng), width) for width in (28, 14, 7, 3.5)]
    total: Tile = np.sum([layer / layer.std() / 2**octave for octave, layer in enumerate(layers)], axis=0)
    return total


def _wool(rng: np.random.Generator) -> Tile:
    return _smoothed(_noise(rng), 1.7)


def _twill(rng: np.random.Generator) -> Tile:
    x, y = _grid()
    slubs = np.repeat(rng.standard_normal((1, _SIDE)), _SIDE, axis=0)
    ribs: Tile = np.sin((x + y) * 2 * math.pi / 4)
    cloth: Tile = 0.7 * ribs + 0.6 * _noise(rng) + 0.5 * slubs
    return cloth


def _canvas(rng: np.random.Generator) -> Tile:
    x, y = _grid()
    weave: Tile = np.sin(x * 2 * math.pi / 4) * np.sin(y * 2 * math.pi / 4)
    return weave + 0.3 * _noise(rng)


def _knit(rng: np.random.Generator) -> Tile:
    x, y = _grid()
    across = (x % 8) / 8
    stitches: Tile = 0.7 * np.cos(2 * math.pi * (y / 6.4 + 1.2 * np.abs(across - 0.5)))
    grooves: Tile = np.exp(-60 * across**2) + np.exp(-60 * (across - 1) ** 2)
    cloth: Tile = stitches - 1.5 * grooves + 0.1 * _noise(rng)
    return cloth


def _wood(rng: np.random.Generator) -> Tile:
    _, y = _grid()
    grain: Tile = np.sin(y / 9 + 1.5 * _cloud(rng))
    streaks = _smoothed(np.repeat(rng.standard_normal((_SIDE, 1)), _SIDE, axis=1), 0.7)
    joints = y % 64 < 1.5  # noqa: PLR2004 - the dark line between two boards, in texels
    boards: Tile = grain + 1.5 * streaks - 4.0 * joints
    return boards


_TILES: dict[str, Callable[[np.random.Generator], Tile]] = {
    "grain": _noise,
    "cloud": _cloud,
    "wool": _wool,
    "twill": _twill,
    "canvas": _canvas,
    "knit": _knit,
    "wood": _wood,
}
