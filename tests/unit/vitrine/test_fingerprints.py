"""Perceptual hashes: copies of a picture are near it, other pictures are not."""

import io
import random
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

from vitrine.moderation.fingerprints import blocked_hashes, seen_hashes
from vitrine.moderation.judging import BlockedPicture, Blocklist, Kind, Match, Rules
from vitrine.preprocess import decode_image

RULES = Rules(copy_bits=24, tile_bits=24, crop_bits=24, crop_similarity=0.9)
SIDE = 128
"""Pixels of the longer side, as an encoder decodes them."""
Picture = Image.Image


def draw(seed: int, size: tuple[int, int] = (240, 320)) -> Picture:
    """A scene of coloured shapes, no two alike."""
    dice = random.Random(seed)
    image = Image.new("RGB", size, tuple(dice.randrange(90, 255) for _ in range(3)))
    pen = ImageDraw.Draw(image)
    for _ in range(24):
        x, y = dice.randrange(size[0]), dice.randrange(size[1])
        box = (x, y, x + dice.randrange(20, 120), y + dice.randrange(20, 120))
        pen.ellipse(box, fill=tuple(dice.randrange(256) for _ in range(3)))
    return image


def jpeg(image: Picture, quality: int = 88) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()


def blocked(seed: int, embedding: list[float]) -> BlockedPicture:
    image = draw(seed)
    kept = blocked_hashes(decode_image(jpeg(image), size=SIDE), image.size)
    assert kept is not None
    return BlockedPicture(
        id=f"{seed:02x}",
        label="",
        added_ms=0,
        manifest="m",
        embedding=np.array(embedding, np.float32),
        copies=kept.copies,
        windows=kept.windows,
    )


LIST_OF_ONE = [blocked(1, [1, 0])]
LIST = Blocklist([*LIST_OF_ONE, blocked(2, [0, 1])])


def look(image: Picture, embedding: tuple[float, float] = (0, 0), manifest: str = "m") -> Match | None:
    seen = seen_hashes(decode_image(jpeg(image), size=SIDE), image.size)
    return LIST.copy_of(seen, RULES) or LIST.crop_of(seen, np.array(embedding, np.float32), manifest, RULES)


@pytest.mark.parametrize(
    "edit",
    [
        lambda image: image,
        lambda image: image.resize((96, 128)),
        lambda image: Image.open(io.BytesIO(jpeg(image, 30))),
        ImageOps.mirror,
        lambda image: ImageOps.expand(image, 14, "black"),
        lambda image: ImageEnhance.Brightness(image).enhance(0.75),
        lambda image: image.transpose(Image.Transpose.ROTATE_90),
        lambda image: image.transpose(Image.Transpose.ROTATE_180),
        lambda image: image.transpose(Image.Transpose.TRANSVERSE),
    ],
    ids=[
        "same",
        "scaled",
        "compressed",
        "mirrored",
        "bordered",
        "darker",
        "a quarter",
        "upside down",
        "three quarters and mirrored",
    ],
)
def test_a_copy_is_found_by_its_hash_alone(edit: Callable[[Picture], Picture]) -> None:
    """However it was scaled, compressed, mirrored, framed, darkened or laid on its side; the id is that of its picture."""
    match = look(edit(draw(2)))
    assert match is not None
    assert (match.id, match.kind, match.similarity) == ("02", Kind.COPY, None)


def test_a_crop_needs_a_near_embedding_of_the_same_encoders() -> None:
    """A crop off the grid of windows is found where its embedding is near too; not with another picture's, or another model's."""
    crop = draw(1).crop((17, 31, 226, 308))
    match = look(crop, (0.9, 0.1))
    assert match is not None
    assert (match.id, match.kind) == ("01", Kind.CROP)
    assert match.similarity == pytest.approx(0.9)
    assert look(crop, (0.1, 0.9)) is None
    assert look(crop, (0.9, 0.1), manifest="other") is None


@pytest.mark.parametrize(
    "edit",
    [
        lambda image: image.crop((0, 60, 193, 317)),
        lambda image: ImageOps.mirror(image.crop((45, 2, 238, 262))),
        lambda image: image.rotate(5, resample=Image.Resampling.BICUBIC, expand=True, fillcolor="white"),
        lambda image: image.rotate(-8.7, resample=Image.Resampling.BICUBIC, expand=True, fillcolor="black"),
        lambda image: image.rotate(-3.2, resample=Image.Resampling.BICUBIC).crop((14, 14, 226, 306)),
    ],
    ids=["a fifth of both sides", "mirrored too", "turned on white", "turned on black", "turned and cut"],
)
def test_what_was_cut_or_turned_is_laid_over_the_blocked_picture(edit: Callable[[Picture], Picture]) -> None:
    """Between the windows of the grid, and by angles between those that are tried first."""
    match = look(edit(draw(1)), (0.9, 0.1))
    assert match is not None
    assert (match.id, match.kind) == ("01", Kind.CROP)


def test_an_entry_of_an_earlier_grid_is_found_by_its_windows() -> None:
    """What was blocked when fewer windows were kept has those alone, and needs not be blocked again."""
    entry = LIST_OF_ONE[0]
    earlier = entry.windows.reshape(21, 21, 32)[:15, :15].reshape(
        -1, 32
    )  # what lacks up to a fifth of a side
    fewer = Blocklist([replace(entry, windows=earlier)])
    crop = draw(1).crop((17, 31, 226, 308))
    seen = seen_hashes(decode_image(jpeg(crop), size=SIDE), crop.size)
    match = fewer.crop_of(seen, entry.embedding, "m", RULES)
    assert match is not None
    assert match.id == "01"


@pytest.mark.parametrize("cells", [2, 4])
def test_a_blocked_picture_is_found_in_a_collage(cells: int) -> None:
    """As a half or a quarter of it."""
    collage = Image.new("RGB", (480, 320 * cells // 2))
    for cell in range(cells):
        collage.paste(draw(1 if cell == cells - 1 else 50 + cell), (cell % 2 * 240, cell // 2 * 320))
    match = look(collage)
    assert match is not None
    assert (match.id, match.kind) == ("01", Kind.TILE)


def test_other_pictures_are_not_found() -> None:
    """Not by hash, and not where their embedding is that of a blocked picture."""
    assert [look(draw(seed), (1, 0)) for seed in range(10, 22)] == [None] * 12


def test_pictures_that_show_nothing_are_neither_blocked_nor_found() -> None:
    """The hash of an even colour is noise; a plain half of a picture finds nothing either."""
    plain = Image.new("RGB", (100, 120), "white")
    assert blocked_hashes(decode_image(jpeg(plain), size=SIDE), plain.size) is None
    assert look(plain, (1, 0)) is None
    assert Blocklist().copy_of(seen_hashes(decode_image(jpeg(draw(1)), size=SIDE), (240, 320)), RULES) is None
