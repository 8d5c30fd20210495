"""Where a garment is shown: backdrop, placement, shadow, light and the camera's noise."""

import random
from functools import cache

import numpy as np
import simplejpeg
import skia
from numpy.typing import NDArray

from catalogue.render.brush import LINEAR, MIPMAPPED, fill, gradient, ink, radial
from catalogue.render.palette import BLACK, RGB, WHITE, from_hsv, shade
from catalogue.render.textures import lay_texture

UNITS = 256
"""Side of the drawing in its own units, whatever the picture's size."""

_SHADOW_REDUCTION = 4
_FRAME = skia.Rect.MakeWH(UNITS, UNITS)
_WOODS: tuple[RGB, ...] = ((182, 140, 98), (206, 178, 144), (120, 84, 58))


def draw_backdrop(canvas: skia.Canvas, rng: random.Random) -> None:
    """Draw a studio backdrop, a floor against a wall, or a surface that the product lies on."""
    tone = from_hsv(rng.random(), rng.choice([0.0, 0.0, 0.02, 0.04, 0.08, 0.14]), rng.uniform(0.82, 0.99))
    kind = rng.choices(["lit", "graded", "floor", "surface"], (0.35, 0.25, 0.2, 0.2))[0]
    far = shade(tone, rng.uniform(0.8, 0.97))
    if kind == "lit":
        canvas.drawRect(_FRAME, radial((128 + rng.gauss(0, 30), 110), 190, [ink(tone), ink(far)]))
    elif kind == "graded":
        canvas.drawRect(_FRAME, gradient((0, 0), (rng.gauss(0, 60), UNITS), [(0, ink(tone)), (1, ink(far))]))
    elif kind == "floor":
        _draw_floor(canvas, rng, tone, far)
    else:
        _draw_surface(canvas, rng, tone, far)


def _draw_floor(canvas: skia.Canvas, rng: random.Random, wall: RGB, corner: RGB) -> None:
    horizon = rng.uniform(170, 225) / UNITS
    floor = shade(wall, rng.uniform(0.74, 0.92))
    stops = [
        (0, ink(wall)),
        (horizon, ink(corner)),
        (horizon + 0.012, ink(floor)),
        (1, ink(shade(floor, 1.1))),
    ]
    canvas.drawRect(_FRAME, gradient((0, 0), (0, UNITS), stops))


def _draw_surface(canvas: skia.Canvas, rng: random.Random, tone: RGB, far: RGB) -> None:
    kind = rng.choice(["wood", "canvas", "cloud"])
    if kind == "wood":
        canvas.drawRect(_FRAME, fill(rng.choice(_WOODS)))
    else:
        canvas.drawRect(_FRAME, gradient((0, 0), (UNITS, UNITS), [(0, ink(tone)), (1, ink(far))]))
    lay_texture(canvas, rng, _FRAME, kind=kind, scale=rng.uniform(0.6, 1.5), alpha=rng.uniform(45, 110))


def draw_shadow(canvas: skia.Canvas, rng: random.Random, product: skia.Image) -> None:
    """Draw the soft shadow of the product's layer, which covers the picture; blurred small, since it costs by area."""
    small = _shadow_surface(max(1, product.width() // _SHADOW_REDUCTION))
    side, softness = small.width(), rng.uniform(3, 9) * small.width() / UNITS
    paint = skia.Paint()
    paint.setImageFilter(
        skia.ImageFilters.DropShadowOnly(
            rng.uniform(-6, 6) * side / UNITS,
            rng.uniform(2, 9) * side / UNITS,
            softness,
            softness,
            ink(BLACK, rng.uniform(60, 130)),
        )
    )
    small.getCanvas().clear(0)
    small.getCanvas().drawImageRect(product, skia.Rect.MakeWH(side, side), MIPMAPPED, paint)
    picture = skia.Rect.MakeWH(product.width(), product.height())
    canvas.drawImageRect(small.makeImageSnapshot(), picture, LINEAR, None)


@cache
def _shadow_surface(side: int) -> skia.Surface:
    return skia.Surface(side, side)


def draw_light(canvas: skia.Canvas, rng: random.Random) -> None:
    """Darken the picture away from a lamp."""
    centre, radius = (rng.uniform(40, 216), rng.uniform(0, 140)), rng.uniform(180, 300)
    paint = radial(centre, radius, [ink(WHITE), ink(shade(WHITE, rng.uniform(0.68, 0.96)))])
    paint.setBlendMode(skia.BlendMode.kMultiply)
    canvas.drawRect(_FRAME, paint)


def photograph(pixels: NDArray[np.uint8], rng: random.Random) -> NDArray[np.uint8]:
    """Return the picture as a camera saves it: exposure, white balance, noise and JPEG's losses; same shape."""
    warmth, exposure = rng.gauss(0, 0.03), rng.uniform(0.84, 1.12)
    light = np.array([exposure * (1 + warmth), exposure, exposure * (1 - warmth)], np.float32)
    noise = np.random.default_rng(rng.randrange(1 << 30))
    grain = noise.standard_normal((*pixels.shape[:2], 1), dtype=np.float32) * rng.uniform(0, 5)
    exposed = np.clip(pixels * light + grain, 0, 255).astype(np.uint8)
    saved = simplejpeg.encode_jpeg(exposed, quality=rng.randrange(50, 95))
    decoded: NDArray[np.uint8] = simplejpeg.decode_jpeg(saved)
    return decoded
