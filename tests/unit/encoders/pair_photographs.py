"""Photographs of mugs, plates and bowls, and the sizes with which the tests of the family `pair` train on them."""

import io

from PIL import Image

from encoders.pair.networks import Sizes
from encoders.photographs.products import Photograph

COLOURS = {"red": (200, 30, 30), "green": (30, 160, 60), "blue": (30, 60, 200), "white": (250, 250, 250)}
SHAPES = ("mug", "plate", "bowl")
SMALL = Sizes(head_width=32, fusion_width=16)


def picture(colour: str, shape: str, number: int) -> bytes:
    image = Image.new("RGB", (96, 96), (240, 240, 240))
    size = 30 + 4 * number + 20 * SHAPES.index(shape)
    image.paste(COLOURS[colour], (10, 10, size, 20 + size // (1 + SHAPES.index(shape))))
    encoded = io.BytesIO()
    image.save(encoded, "JPEG", quality=90)
    return encoded.getvalue()


def photograph(colour: str, shape: str, number: int = 0) -> Photograph:
    return Photograph(
        product_id=f"{colour}-{shape}-{number}",
        title=f"{colour} {shape} no. {number}",
        category=shape,
        attributes={"category": shape, "colour": colour, "glaze": "matt"},
        group=f"{colour} {shape} {number}",
        split="train",
        picture=picture(colour, shape, number),
    )
