"""What decoding costs is estimated from the header, so that a few hundred bytes cannot ask for a second of it."""

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from vitrine.image_header import MAX_QUERY_WORK, MAX_WORK, ImageRejected, inspect_image
from vitrine.preprocess import decode_image

MEGAPIXELS_20, TELEPHONE, SCREEN_4K = (5_000, 4_000), (4_000, 3_000), (3_840, 2_160)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def with_scans(jpeg: bytes, count: int) -> bytes:
    """Repeat the last pass of a progressive JPEG."""
    last_scan = jpeg[jpeg.rindex(b"\xff\xda") : -2]
    return jpeg[:-2] + last_scan * count + jpeg[-2:]


def with_chunks(png: bytes, *chunks: bytes) -> bytes:
    """Put chunks behind a PNG's header."""
    return png[:33] + b"".join(chunks) + png[33:]


def exif(tags: int, *, size: int) -> bytes:
    """Metadata of so many tags, each of which claims so many bytes."""
    entries = b"".join(struct.pack("<HHII", i, 7, size, 0) for i in range(tags))
    return b"II*\0\x08\0\0\0" + struct.pack("<H", tags) + entries + bytes(size)


BLACK = Image.new("RGB", MEGAPIXELS_20)
SMALL_PNG = encoded(Image.new("RGB", (8, 8)), "PNG")
TEXT = chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(1_000_000), 9))


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(
            lambda: with_scans(encoded(BLACK, "JPEG", progressive=True), 80), id="a JPEG of 90 scans"
        ),
        pytest.param(lambda: encoded(BLACK, "WEBP", lossless=True), id="a lossless WebP of one colour"),
        pytest.param(lambda: encoded(BLACK, "PNG"), id="a PNG of one colour"),
        pytest.param(lambda: encoded(BLACK.convert("RGBA"), "PNG"), id="a PNG with alpha"),
        pytest.param(lambda: with_chunks(SMALL_PNG, *[TEXT] * 64), id="compressed texts"),
        pytest.param(
            lambda: with_chunks(SMALL_PNG, chunk(b"eXIf", exif(60_000, size=1_000_000))), id="a flood of tags"
        ),
    ],
)
def test_what_would_take_long_is_refused_for_a_query(make: Callable[[], bytes]) -> None:
    """By its header, with the limit."""
    data = make()
    with pytest.raises(ImageRejected, match=r"takes about [\d,]+ ms to decode; the limit is 200") as refused:
        inspect_image(data, max_work=MAX_QUERY_WORK)
    assert len(data) < 2_000_000, refused.value


def photograph(size: tuple[int, int]) -> Image.Image:
    """Blurred noise, which costs a decoder what a photograph does."""
    cells = np.random.default_rng(0).integers(0, 255, (size[1] // 8, size[0] // 8, 3), dtype=np.uint8)
    return Image.fromarray(cells).resize(size, Image.Resampling.BICUBIC)


@pytest.mark.parametrize(
    ("size", "kind", "options"),
    [
        (TELEPHONE, "JPEG", {"quality": 90}),
        (TELEPHONE, "JPEG", {"quality": 75, "progressive": True}),
        (MEGAPIXELS_20, "JPEG", {"quality": 75}),
        ((2_000, 2_000), "WEBP", {"quality": 75, "method": 0}),
        ((2_000, 2_000), "PNG", {"compress_level": 1}),
    ],
)
def test_real_pictures_are_taken_by_a_query(
    size: tuple[int, int], kind: str, options: dict[str, object]
) -> None:
    """Photographs of a telephone, and what shops and screens have."""
    assert inspect_image(encoded(photograph(size), kind, **options), max_work=MAX_QUERY_WORK).width == size[0]


def test_a_screen_with_alpha_is_taken_by_a_query() -> None:
    """Screenshots are PNGs, many with alpha."""
    png = encoded(Image.new("RGBA", SCREEN_4K), "PNG")
    assert inspect_image(png, max_work=MAX_QUERY_WORK).width == SCREEN_4K[0]


def test_a_catalogue_may_cost_more_within_its_own_limit() -> None:
    """20 megapixels of any kind, but no flood of scans."""
    assert inspect_image(encoded(BLACK, "WEBP", lossless=True)).work < MAX_WORK
    with pytest.raises(ImageRejected, match="the limit is 1,000"):
        decode_image(with_scans(encoded(BLACK, "JPEG", progressive=True), 80))


def test_what_lies_behind_the_end_of_a_jpeg_costs_nothing() -> None:
    """A telephone appends a map of brightness, which is a JPEG as well."""
    jpeg = encoded(photograph((400, 300)), "JPEG")
    assert inspect_image(jpeg + jpeg).work == pytest.approx(inspect_image(jpeg).work, rel=0.8)


def test_scans_cannot_hide_in_a_segment() -> None:
    """A segment that holds the end of a picture does not end it."""
    jpeg = encoded(Image.new("RGB", (64, 64)), "JPEG", progressive=True)
    second = jpeg.index(b"\xff\xda", jpeg.index(b"\xff\xda") + 2)
    hidden = jpeg[:second] + b"\xff\xfe\0\x04\xff\xd9" + jpeg[second:]
    with pytest.raises(ImageRejected, match="100 progressive scans"):
        inspect_image(with_scans(hidden, 120))


def test_arithmetic_coding_is_refused() -> None:
    """No browser reads it, and its decoder is slow."""
    jpeg = encoded(Image.new("RGB", (64, 64)), "JPEG")
    with pytest.raises(ImageRejected, match="arithmetic"):
        inspect_image(jpeg.replace(b"\xff\xc0", b"\xff\xc9"))


PALETTE_WITHOUT_COLOURS = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000008000000080803000000f3d14eb9"
    "0000000c49444154789c6360a00e0000004800012eb83c7e0000000049454e44ae426082"
)


def test_a_palette_without_colours_is_refused_by_its_header() -> None:
    """Pillow fails on it with an assertion, which is none of the errors that a decoder is known for."""
    for read in (inspect_image, decode_image):
        with pytest.raises(ImageRejected, match="damaged"):
            read(PALETTE_WITHOUT_COLOURS)


@pytest.mark.parametrize("error", [AssertionError, RuntimeError, MemoryError, AttributeError, RecursionError])
def test_whatever_a_decoder_raises_the_picture_is_refused(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Callers know one exception of a bad picture."""

    def broken(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(Image, "open", broken)
    with pytest.raises(ImageRejected, match="damaged"):
        decode_image(SMALL_PNG)
