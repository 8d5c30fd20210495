"""What people do to a picture before they upload it again; docs/benchmarks.md says it in words."""

import io
import math
import random
from collections.abc import Callable, Mapping, Sequence

from PIL import Image, ImageEnhance, ImageOps

_QUARTERS = (Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270)

Picture = Image.Image
Edit = Callable[[Picture, random.Random], Picture]


def edited(data: bytes, edit: Edit, dice: random.Random) -> bytes:
    """Return a picture after an edit, compressed once more."""
    with Image.open(io.BytesIO(data)) as image:
        return _jpeg(edit(image.convert("RGB"), dice), 90)


def _jpeg(image: Picture, quality: int) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()


def edits(others: Sequence[bytes]) -> Mapping[str, Edit]:
    """Return what is done to a blocked picture, by name; docs/benchmarks.md says it in words."""
    white, black, red = "white", "black", "#c33"
    return {
        "crop": lambda image, dice: _crop(image, dice, even=True),
        "uneven crop": lambda image, dice: _crop(image, dice, even=False),
        "resize": lambda image, dice: _scale(image, dice.uniform(0.4, 2)),
        "recompress": lambda image, dice: Image.open(io.BytesIO(_jpeg(image, dice.randint(30, 90)))),
        "flip": lambda image, _: ImageOps.mirror(image),
        "brightness": lambda image, dice: ImageEnhance.Brightness(image).enhance(dice.uniform(0.7, 1.3)),
        "border": lambda image, dice: ImageOps.expand(
            image, round(max(image.size) * dice.uniform(0.03, 0.12)), dice.choice((white, black, red))
        ),
        "rotation": lambda image, dice: image.rotate(
            dice.uniform(-3, 3), resample=Image.Resampling.BICUBIC, expand=True, fillcolor=white
        ),
        "turn of 3 to 10 degrees": lambda image, dice: image.rotate(
            dice.choice((-1, 1)) * dice.uniform(3, 10),
            resample=Image.Resampling.BICUBIC,
            expand=True,
            fillcolor=dice.choice((white, black)),
        ),
        "turn within 5 degrees, cut to what is inside": lambda image, dice: _straightened(
            image, dice.uniform(-5, 5)
        ),
        "quarter turn": lambda image, dice: image.transpose(dice.choice(_QUARTERS)),
        "flipped crop": lambda image, dice: _crop(ImageOps.mirror(image), dice, even=False),
        "collage of 2": lambda image, dice: _collage(image, others, 2, dice),
        "collage of 4": lambda image, dice: _collage(image, others, 4, dice),
    }


def _crop(image: Picture, dice: random.Random, *, even: bool) -> Picture:
    """Take 5 to 20 % off both sides, by the same share where it is even, at a random place."""
    wide, high = image.size
    across = dice.uniform(0.05, 0.2)
    along = across if even else dice.uniform(0.05, 0.2)
    left, top = dice.uniform(0, wide * across), dice.uniform(0, high * along)
    return image.crop(
        (round(left), round(top), round(left + wide * (1 - across)), round(top + high * (1 - along)))
    )


def _straightened(image: Picture, degrees: float) -> Picture:
    """Turn a picture and cut it to the largest part of its form without corners, as phones do."""
    turned = image.rotate(degrees, resample=Image.Resampling.BICUBIC, expand=True)
    sine, cosine = math.sin(math.radians(abs(degrees))), math.cos(math.radians(degrees))
    wide, high = image.size
    share = min(wide / (wide * cosine + high * sine), high / (wide * sine + high * cosine))
    left, top = (turned.width - wide * share) / 2, (turned.height - high * share) / 2
    return turned.crop((round(left), round(top), round(turned.width - left), round(turned.height - top)))


def _scale(image: Picture, by: float) -> Picture:
    return image.resize((round(image.width * by), round(image.height * by)))


def _collage(image: Picture, others: Sequence[bytes], cells: int, dice: random.Random) -> Picture:
    """Put a picture beside others of its size, in a row of two or two rows of two, at a random place."""
    wide, high = image.size
    parts = [image]
    for other in dice.sample(others, cells - 1):
        with Image.open(io.BytesIO(other)) as opened:
            parts.append(opened.convert("RGB").resize(image.size))
    dice.shuffle(parts)
    whole = Image.new("RGB", (2 * wide, high * cells // 2))
    for place, part in enumerate(parts):
        whole.paste(part, (place % 2 * wide, place // 2 * high))
    return whole
