"""Where a picture ends: what lies behind it is nobody's picture and is kept by nobody."""

import io

import numpy as np
import pytest
from PIL import Image

from vitrine.image_header import inspect_image
from vitrine.preprocess import decode_image

NOISE = np.random.default_rng(7).integers(0, 256, (48, 64, 3), dtype=np.uint8)


def encoded(kind: str, mode: str = "RGB", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(NOISE).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


def several() -> bytes:
    """Two JPEGs in one file, as telephones write a map of brightness behind the picture."""
    buffer = io.BytesIO()
    second = Image.new("RGB", (16, 16), "red")
    Image.fromarray(NOISE).save(buffer, "MPO", save_all=True, append_images=[second])
    return buffer.getvalue()


PICTURES = {
    "baseline": encoded("JPEG"),
    "progressive": encoded("JPEG", progressive=True),
    "restarts": encoded("JPEG", restart_marker_blocks=2),
    "grey": encoded("JPEG", "L"),
    "png": encoded("PNG"),
    "palette": encoded("PNG", "P"),
    "lossy": encoded("WEBP", quality=60),
    "lossless": encoded("WEBP", lossless=True),
    "alpha": encoded("WEBP", "RGBA"),
}
BEHIND = [
    b"",
    b"\0",
    b"\0" * 100_000,
    b"\xff\xd9" * 40,
    b"\xff\xda\0\x08" * 40,
    b"IEND" * 9,
    b"PK\3\4 an archive",
]


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("behind", BEHIND, ids=range(len(BEHIND)))
def test_a_picture_ends_where_its_format_says(name: str, behind: bytes) -> None:
    """Whatever lies behind it, the end is found, and what is left has the very same pixels."""
    picture = PICTURES[name]
    end = inspect_image(picture + behind).end
    assert end == len(picture)
    assert np.array_equal(decode_image((picture + behind)[:end]), decode_image(picture + behind))


def test_the_first_of_several_pictures_is_the_picture() -> None:
    """The second one is left out, and the first decodes as before."""
    both = several()
    end = inspect_image(both).end
    assert both[end : end + 2] == b"\xff\xd8"
    assert np.array_equal(decode_image(both[:end]), decode_image(both))


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_that_was_cut_ends_with_its_bytes(name: str) -> None:
    """A file without its end is passed on whole: whether it can be decoded is the decoder's to say."""
    cut = PICTURES[name][:-20]
    assert inspect_image(cut).end == len(cut)
