"""Draws the picture of a spec."""

import random
from collections.abc import Callable
from functools import cache

import numpy as np
import skia
from numpy.typing import NDArray

from catalogue.grammar import Spec, caption
from catalogue.randomness import generator
from catalogue.render.bags import draw_bag
from catalogue.render.brush import stroke
from catalogue.render.cloth import Sketch, sketch
from catalogue.render.dresses import draw_dress, draw_top
from catalogue.render.geometry import at, bend, line
from catalogue.render.hats import draw_hat
from catalogue.render.jackets import draw_jacket
from catalogue.render.palette import METAL, RGB
from catalogue.render.scene import UNITS, draw_backdrop, draw_light, draw_shadow, photograph
from catalogue.render.shoes import draw_shoes
from catalogue.render.skirts import draw_skirt
from catalogue.render.trousers import draw_trousers

_DRAWERS: dict[str, Callable[[Sketch], None]] = {
    "dress": draw_dress,
    "top": draw_top,
    "skirt": draw_skirt,
    "jacket": draw_jacket,
    "trousers": draw_trousers,
    "shoes": draw_shoes,
    "bag": draw_bag,
    "hat": draw_hat,
}
_HANGER_TOPS = {"dress": 22, "top": 22, "jacket": 14}
_HUNG_SHARE = 0.3
_HANGER: RGB = (96, 98, 104)


def render(spec: Spec, seed: int, size: int) -> NDArray[np.uint8]:
    """Draw the product: uint8 (size, size, 3), RGB.

    Equal arguments give equal pixels; another seed gives another cut, pose, backdrop and light; another size gives
    the same picture, larger or smaller.
    """
    rng = generator(caption(spec), seed)
    picture, layer = _surfaces(size)
    scale = size / UNITS
    canvas = picture.getCanvas()
    canvas.save()
    canvas.scale(scale, scale)
    draw_backdrop(canvas, rng)
    canvas.restore()
    _draw_product(layer.getCanvas(), rng, spec, scale)
    product = layer.makeImageSnapshot()
    draw_shadow(canvas, rng, product)
    canvas.drawImage(product, 0, 0)
    canvas.save()
    canvas.scale(scale, scale)
    draw_light(canvas, rng)
    canvas.restore()
    pixels = np.ascontiguousarray(picture.toarray(colorType=skia.kRGBA_8888_ColorType)[:, :, :3])
    return photograph(pixels, rng)


@cache
def _surfaces(size: int) -> tuple[skia.Surface, skia.Surface]:
    return skia.Surface(size, size), skia.Surface(size, size)


def _draw_product(canvas: skia.Canvas, rng: random.Random, spec: Spec, scale: float) -> None:
    """Draw the product alone, posed, over transparent ground."""
    canvas.clear(0)
    canvas.save()
    canvas.scale(scale, scale)
    top, bottom, width = _extent(spec)
    fit = min(222 / (bottom - top), 228 / width) * rng.uniform(0.84, 1.0)
    canvas.translate(128 + rng.gauss(0, 6), 128 + rng.gauss(0, 5))
    canvas.rotate(rng.gauss(0, 4))
    canvas.scale(fit * rng.uniform(0.95, 1.05) * rng.choice([-1, 1]), fit)
    canvas.skew(rng.gauss(0, 0.025), 0)
    canvas.translate(0, -(top + bottom) / 2)
    if spec.category in _HANGER_TOPS and rng.random() < _HUNG_SHARE:
        _draw_hanger(canvas, _HANGER_TOPS[spec.category])
    _DRAWERS[spec.category](sketch(canvas, rng, spec))
    canvas.restore()


def _draw_hanger(canvas: skia.Canvas, top: float) -> None:
    hook = line([at(0, top + 24), at(0, top + 4), bend(13, top - 2), bend(8, top - 14), at(-7, top - 9)])
    canvas.drawPath(hook, stroke(_HANGER, 3))
    canvas.drawPath(hook, stroke(METAL, 1.4))


def _extent(spec: Spec) -> tuple[float, float, float]:
    """Return about where the drawing begins and ends, and how wide it is; products fill their pictures alike."""
    if spec.category in _HANGER_TOPS:
        return _torso_extent(spec)
    if spec.category == "skirt":
        return 58, {"mini": 140, "midi": 178, "maxi": 226}[spec["length"]], 140
    if spec.category == "trousers":
        return 36, {"cropped": 176, "full-length": 230}[spec["length"]], 130
    if spec.category == "shoes":
        return (34 if spec["type"] == "boots" else 76), 214, 224
    return {
        "tote": (30, 212, 130), "backpack": (30, 214, 140), "handbag": (40, 212, 136), "clutch": (92, 202, 186),
        "cap": (58, 172, 184), "beanie": (38, 204, 144), "bucket-hat": (62, 212, 190), "fedora": (72, 196, 216),
    }[spec["type"]]  # fmt: skip


def _torso_extent(spec: Spec) -> tuple[float, float, float]:
    wide = {"long-sleeve": 170, "short-sleeve": 116}.get(spec.get("sleeve"), 96)
    if spec.category == "dress":
        return 28, {"mini": 160, "midi": 196, "maxi": 236}[spec["length"]], wide
    if spec.category == "top":
        return 28, 152, wide
    top = 2 if spec["collar"] == "hooded" else 24
    return top, {"cropped": 136, "hip-length": 166, "longline": 216}[spec["length"]], 180
