"""What training does to a picture before the resize that serving does: crop, shape, flip, light and JPEG."""

import io
import random

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vitrine.tensors import IMAGE_SIZE

Pixels = NDArray[np.uint8]
"""(height, width, 3) RGB, or (n, height, width, 3)."""

STORED_SIZE = 2 * IMAGE_SIZE
"""Side at which training pictures are stored: what `vitrine.preprocess` has in hand before its last resize."""

_WHITE = (255, 255, 255)


def resize(picture: Image.Image, box: tuple[float, float, float, float] | None = None) -> Image.Image:
    """Scale the box of the picture as `vitrine.preprocess` does: whole, on white, with its proportions."""
    left, top, right, bottom = box or (0, 0, *picture.size)
    scale = IMAGE_SIZE / max(right - left, bottom - top)
    size = (max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale)))
    small = picture.resize(size, Image.Resampling.BICUBIC, box=(left, top, right, bottom), reducing_gap=2.0)
    square = Image.new("RGB", (IMAGE_SIZE, IMAGE_SIZE), _WHITE)
    square.paste(small, ((IMAGE_SIZE - size[0]) // 2, (IMAGE_SIZE - size[1]) // 2))
    return square


def augmented(pixels: Pixels, rng: random.Random) -> Pixels:
    """Return another view of a stored picture, (IMAGE_SIZE, IMAGE_SIZE, 3).

    Crops stay mild and colours nearly true: hems, soles and the step from blue to navy are attributes.
    """
    picture = Image.fromarray(pixels)
    if rng.random() < 0.1:  # noqa: PLR2004 - a share, as below
        picture = _recompressed(picture, quality=rng.randint(30, 80))
    view = resize(picture, _random_box(rng))
    if rng.random() < 0.5:  # noqa: PLR2004
        view = view.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    light = rng.uniform(0.9, 1.1)
    tints = [light * rng.gauss(1, 0.015) for _ in range(3)]
    lit = np.asarray(view, dtype=np.float32) * np.array(tints, dtype=np.float32)
    return np.clip(lit, 0, 255).astype(np.uint8)


def _random_box(rng: random.Random) -> tuple[float, float, float, float]:
    width = height = STORED_SIZE * (1.0 if rng.random() < 0.3 else rng.uniform(0.86, 1.0))  # noqa: PLR2004
    shape = rng.random()
    if shape < 0.1:  # noqa: PLR2004
        width *= rng.uniform(0.75, 0.95)
    elif shape < 0.2:  # noqa: PLR2004
        height *= rng.uniform(0.85, 0.95)
    left = rng.uniform(0, STORED_SIZE - width)
    top = rng.uniform(0, STORED_SIZE - height)
    return left, top, left + width, top + height


def _recompressed(picture: Image.Image, *, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")
