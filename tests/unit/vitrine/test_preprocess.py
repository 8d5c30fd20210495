"""Pictures of every kind become the same pixels, and none that breaks a limit is ever decoded."""

import io
import random
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from vitrine.preprocess import (
    MAX_IMAGE_BYTES,
    MAX_IMAGE_SIDE,
    ImageHeader,
    ImageRejected,
    decode_image,
    inspect_image,
)
from vitrine.tensors import IMAGE_SIZE

RED, GREEN, BLUE, WHITE = (200, 30, 40), (30, 160, 60), (40, 60, 200), (255, 255, 255)
DAMAGED = "is truncated or damaged"


def quadrants(width: int = 256, height: int = 256) -> Image.Image:
    """A picture whose four corners tell rotation, reflection and cropping apart."""
    image = Image.new("RGB", (width, height), RED)
    image.paste(GREEN, (width // 2, 0, width, height // 2))
    image.paste(BLUE, (0, height // 2, width // 2, height))
    image.paste(WHITE, (width // 2, height // 2, width, height))
    return image


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_of(width: int, height: int) -> bytes:
    """A PNG whose header claims a size, with next to no pixels behind it."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def rejection(data: bytes) -> str:
    with pytest.raises(ImageRejected) as caught:
        inspect_image(data)
    return caught.value.reason


def corner(pixels: NDArray[np.uint8], row: int, column: int) -> tuple[int, ...]:
    """The colour in the middle of a quarter of the picture."""
    quarter = IMAGE_SIZE // 4
    return tuple(int(v) for v in pixels[quarter + 2 * quarter * row, quarter + 2 * quarter * column])


def test_limits_are_those_of_the_public_contract() -> None:
    """8 MB and 8,192 pixels a side."""
    assert (MAX_IMAGE_BYTES, MAX_IMAGE_SIDE) == (8_000_000, 8_192)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("PNG", {}),
        ("WEBP", {}),
        ("WEBP", {"lossless": True}),
        ("WEBP", {"exif": Image.Exif()}),
    ],
)
def test_header_tells_format_and_size(kind: str, options: dict[str, object]) -> None:
    """Format and size of each kind of file are read without decoding."""
    picture = encoded(quadrants(300, 200), kind, **options)
    header = inspect_image(picture)
    assert header == ImageHeader(kind, 300, 200, work=header.work, end=len(picture))  # type: ignore[arg-type]
    assert 0 < header.work < 10_000_000


def test_header_of_a_transparent_webp() -> None:
    """The extended WebP header, which alpha brings, is read too."""
    assert inspect_image(encoded(quadrants(300, 200).convert("RGBA"), "WEBP")).width == 300


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_pixels_are_the_picture_at_the_models_size(kind: str) -> None:
    """A square picture fills the square, in RGB order, close to its colours."""
    pixels = decode_image(encoded(quadrants(), kind, quality=95))
    assert pixels.shape == (IMAGE_SIZE, IMAGE_SIZE, 3)
    assert pixels.dtype == np.uint8
    for (row, column), colour in {(0, 0): RED, (0, 1): GREEN, (1, 0): BLUE, (1, 1): WHITE}.items():
        np.testing.assert_allclose(corner(pixels, row, column), colour, atol=12)


def test_shrinking_in_the_decoder_changes_little() -> None:
    """A JPEG decoded at a fraction of its size gives nearly the pixels of the full decode."""
    noise = np.random.default_rng(1).integers(0, 255, (24, 24, 3), dtype=np.uint8)
    picture = Image.fromarray(noise).resize((1024, 1024), Image.Resampling.BICUBIC)
    jpeg = encoded(picture, "JPEG", quality=95)
    full = encoded(Image.open(io.BytesIO(jpeg)), "PNG")
    difference = np.abs(decode_image(jpeg).astype(int) - decode_image(full).astype(int))
    assert difference.mean() < 1.0


@pytest.mark.parametrize(("width", "height"), [(100, 200), (200, 100), (8_192, 1), (1, 1)])
def test_proportions_are_kept_on_white(width: int, height: int) -> None:
    """The whole picture is scaled to fit and padded evenly with white."""
    pixels = decode_image(encoded(Image.new("RGB", (width, height), BLUE)))
    coloured = (pixels == BLUE).all(axis=-1)
    assert (coloured | (pixels == WHITE).all(axis=-1)).all()
    rows, columns = np.flatnonzero(coloured.any(axis=1)), np.flatnonzero(coloured.any(axis=0))
    scale = IMAGE_SIZE / max(width, height)
    assert (len(columns), len(rows)) == (max(1, round(width * scale)), max(1, round(height * scale)))
    assert abs(rows[0] - (IMAGE_SIZE - 1 - rows[-1])) <= 1
    assert abs(columns[0] - (IMAGE_SIZE - 1 - columns[-1])) <= 1


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(("orientation", "turn"), [(3, 180), (6, 270), (8, 90)])
def test_exif_orientation_equals_the_rotated_picture(kind: str, orientation: int, turn: int) -> None:
    """A picture that its camera turned comes out as if it had been stored upright."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, object] = {"quality": 95, "lossless": True} if kind == "WEBP" else {"quality": 95}
    picture = quadrants(256, 192)
    turned = decode_image(encoded(picture, kind, exif=exif, **options))
    upright = decode_image(encoded(picture.rotate(turn, expand=True), kind, **options))
    assert np.abs(turned.astype(int) - upright.astype(int)).mean() < 1.0


def in_mode(picture: Image.Image, mode: str) -> Image.Image:
    """Give the picture in a mode; Pillow itself makes no greyscale of 16 bits."""
    if mode != "I;16":
        return picture.convert(mode)
    return Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_orientation_survives_every_mode(mode: str) -> None:
    """A picture of any depth, with a palette or alpha, is turned as its metadata say."""
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = in_mode(quadrants(256, 192), mode)
    upright = in_mode(quadrants(256, 192).rotate(270, expand=True), mode)
    turned = decode_image(encoded(picture, "PNG", exif=exif))
    difference = np.abs(turned.astype(int) - decode_image(encoded(upright, "PNG")).astype(int))
    # Dithering to one bit depends on where it begins.
    assert difference.mean() < (12.0 if mode == "1" else 1.0)


def test_greyscale_becomes_rgb() -> None:
    """A grey picture has three equal channels."""
    pixels = decode_image(encoded(Image.new("L", (64, 64), 90), "JPEG"))
    assert (pixels == 90).all()


def test_sixteen_bit_greyscale_is_scaled_not_clipped() -> None:
    """The upper eight of sixteen bits are kept."""
    grey = np.full((64, 64), 0x5A00, dtype=np.uint16)
    assert (decode_image(encoded(Image.fromarray(grey))) == 0x5A).all()


def test_sixteen_bit_colour() -> None:
    """A PNG of sixteen bits a channel is decoded."""
    rows = b"".join(b"\0" + struct.pack(">HHH", 0xC800, 0x1E00, 0x2800) * 8 for _ in range(8))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 16, 2, 0, 0, 0))
    data = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    assert (decode_image(data) == (200, 30, 40)).all()


def test_cmyk_jpeg_keeps_its_colours() -> None:
    """A picture of the print shop comes out red where it is red."""
    pixels = decode_image(encoded(quadrants().convert("CMYK"), "JPEG", quality=95))
    np.testing.assert_allclose(corner(pixels, 0, 0), RED, atol=16)


@pytest.mark.parametrize(("mode", "kind"), [("RGBA", "PNG"), ("LA", "PNG"), ("RGBA", "WEBP")])
def test_transparent_is_white(mode: str, kind: str) -> None:
    """What cannot be seen does not colour the picture, whatever lies beneath."""
    picture = Image.new("RGBA", (64, 64), (0, 0, 0, 0)).convert(mode)
    assert (decode_image(encoded(picture, kind, lossless=True)) == 255).all()


def test_half_transparent_mixes_with_white() -> None:
    """Alpha is a mixture, not a mask."""
    pixels = decode_image(encoded(Image.new("RGBA", (64, 64), (200, 0, 100, 128))))
    np.testing.assert_allclose(pixels[0, 0], (227, 127, 177), atol=2)


def test_palette_with_a_transparent_colour() -> None:
    """A palette's transparent entry is white, its others keep their colour."""
    picture = Image.new("P", (64, 64), 0)
    picture.putpalette([*RED, *GREEN])
    picture.paste(1, (32, 0, 64, 64))
    pixels = decode_image(encoded(picture, transparency=0))
    assert corner(pixels, 0, 0) == WHITE
    assert corner(pixels, 0, 1) == GREEN


def test_nothing_is_not_a_picture() -> None:
    """No bytes at all."""
    assert rejection(b"") == "is empty"


@pytest.mark.parametrize(
    "data", [b"a red dress", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"RIFF\0\0\0\0WAVE", bytes(100)]
)
def test_other_files_are_refused(data: bytes) -> None:
    """The magic number decides, not a name."""
    assert rejection(data) == "is not a JPEG, PNG or WebP picture"


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "BMP"])
def test_other_picture_formats_are_refused(kind: str) -> None:
    """Three decoders are exposed, no more."""
    assert rejection(encoded(quadrants(), kind)) == "is not a JPEG, PNG or WebP picture"


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_animations_are_refused(kind: str) -> None:
    """An animated PNG or WebP is told from a still one by its header."""
    data = encoded(quadrants(), kind, save_all=True, append_images=[Image.new("RGB", (256, 256))])
    assert rejection(data) == "is animated; send a single picture"


def webp_of_one_frame(*, chunks: int = 1) -> bytes:
    """A still picture in a container that may be animated, its frame there so many times."""
    still = encoded(quadrants(64, 64), "WEBP", lossless=True)[12:]
    size = (63).to_bytes(3, "little")
    frame = bytes(6) + size + size + (100).to_bytes(3, "little") + b"\0" + still
    anmf = b"ANMF" + len(frame).to_bytes(4, "little") + frame
    head = b"VP8X" + (10).to_bytes(4, "little") + b"\x02\0\0\0" + size + size
    body = b"WEBP" + head + b"ANIM" + (6).to_bytes(4, "little") + bytes(6) + anmf * chunks
    return b"RIFF" + len(body).to_bytes(4, "little") + body


def test_a_webp_of_one_frame_is_a_still_picture() -> None:
    """A container that may be animated holds a picture where it has one frame; two are refused, and so is none."""
    still = decode_image(encoded(quadrants(64, 64), "WEBP", lossless=True))
    np.testing.assert_array_equal(decode_image(webp_of_one_frame()), still)
    assert rejection(webp_of_one_frame(chunks=2)) == "is animated; send a single picture"
    assert rejection(webp_of_one_frame(chunks=0)) == "is animated; send a single picture"


def test_over_the_limit_of_bytes() -> None:
    """8,000,000 bytes are read, one more is not."""
    jpeg = encoded(quadrants(), "JPEG")
    inspect_image(jpeg + bytes(MAX_IMAGE_BYTES - len(jpeg)))
    assert rejection(jpeg + bytes(MAX_IMAGE_BYTES - len(jpeg) + 1)) == (
        "has 8,000,001 bytes; the limit is 8,000,000"
    )


@pytest.mark.parametrize(
    ("width", "height", "limit"),
    [
        (5_001, 4_000, "20,000,000 in all"),
        (8_193, 10, "8,192 a side"),
        (10, 100_000, "8,192 a side"),
        (2**31 - 1, 2**31 - 1, "8,192 a side"),
    ],
)
def test_bomb_is_refused_by_its_header(width: int, height: int, limit: str) -> None:
    """A tiny file that claims a huge picture is never decoded."""
    data = png_of(width, height)
    assert len(data) < 200
    assert rejection(data) == f"has {width:,} x {height:,} pixels; the limit is {limit}"
    with pytest.raises(ImageRejected, match="the limit is"):
        decode_image(data)


def test_largest_picture_that_is_allowed() -> None:
    """20 megapixels are decoded."""
    assert decode_image(encoded(Image.new("L", (5_000, 4_000), 7))).shape == (IMAGE_SIZE, IMAGE_SIZE, 3)


def test_no_pixels() -> None:
    """A side of zero is refused before a decoder divides by it."""
    assert rejection(png_of(0, 10)) == "has no pixels"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_truncated_pictures_are_refused(kind: str) -> None:
    """A file that ends early, wherever, is never taken for a whole one."""
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), kind)
    for length in (*range(12, 64), len(data) // 2, len(data) * 9 // 10):
        with pytest.raises(ImageRejected) as caught:
            decode_image(data[:length])
        assert caught.value.reason == DAMAGED


def test_too_many_sections() -> None:
    """A file of hundreds of thousands of empty chunks is refused before its decoder walks them."""
    png = png_of(8, 8)
    flood = png[:-12] + chunk(b"teXt", b"") * 20_000 + png[-12:]
    assert rejection(flood) == "has more than 16,384 sections"
    jpeg = encoded(quadrants(), "JPEG")
    assert rejection(jpeg[:2] + b"\xff\xe5\0\2" * 20_000 + jpeg[2:]) == "has more than 16,384 sections"


def test_stray_bytes_between_jpeg_segments() -> None:
    """Some are skipped, as decoders do; a flood of them is not."""
    jpeg = encoded(quadrants(), "JPEG")
    assert inspect_image(jpeg[:2] + b"\xff" * 64 + jpeg[2:]).width == 256
    assert rejection(jpeg[:2] + b"\xff\0" * 100_000 + jpeg[2:]) == DAMAGED


def test_too_many_scans() -> None:
    """A progressive JPEG that repeats its passes is refused: each costs a walk over all pixels."""
    jpeg = encoded(quadrants(), "JPEG", progressive=True)
    last_scan = jpeg[jpeg.rindex(b"\xff\xda") : -2]
    assert rejection(jpeg[:-2] + last_scan * 120 + jpeg[-2:]) == "has more than 100 progressive scans"


def test_two_headers_that_disagree() -> None:
    """What was checked is what is decoded: a second size in the same file is refused."""
    png = png_of(8, 8)
    second = chunk(b"IHDR", struct.pack(">IIBBBBB", 6_000, 6_000, 8, 2, 0, 0, 0))
    with pytest.raises(ImageRejected, match="contradicts its own header"):
        decode_image(png[:33] + second + png[33:])


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_broken_metadata_does_not_spoil_a_sound_picture() -> None:
    """EXIF that cannot be read is ignored."""
    data = encoded(quadrants(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xffjunk")
    assert decode_image(data).shape == (IMAGE_SIZE, IMAGE_SIZE, 3)


# Pillow warns of metadata that it skips; the picture is what counts here.
@pytest.mark.filterwarnings("ignore:Corrupt EXIF", "ignore:Tag data larger", "ignore:Truncated File Read")
def test_damaged_files_are_refused_or_decoded_never_more() -> None:
    """Whatever bytes are flipped, cut or added, the outcome is pixels or ImageRejected."""
    source = random.Random(7)
    exif = Image.Exif()
    exif[0x0112] = 6
    seeds = [
        encoded(quadrants(40, 30), "JPEG", exif=exif),
        encoded(quadrants(40, 30), "JPEG", progressive=True),
        encoded(quadrants(40, 30).convert("CMYK"), "JPEG"),
        encoded(quadrants(40, 30), "PNG", exif=exif),
        encoded(quadrants(40, 30).convert("P"), "PNG"),
        encoded(quadrants(40, 30).convert("P"), "PNG", transparency=0),
        encoded(quadrants(40, 30).convert("LA"), "PNG"),
        encoded(quadrants(40, 30).convert("1"), "PNG"),
        encoded(in_mode(quadrants(40, 30), "I;16"), "PNG"),
        encoded(quadrants(40, 30).convert("RGBA"), "WEBP", exif=exif),
        encoded(quadrants(40, 30), "WEBP", lossless=True),
    ]
    outcomes = {"decoded": 0, "refused": 0}
    for _ in range(3_000):
        data = bytearray(source.choice(seeds))
        for _ in range(source.choice((1, 2, 8))):
            at = source.randrange(len(data))
            data[at : at + source.randrange(3)] = source.randbytes(source.randrange(3))
        try:
            assert decode_image(bytes(data)).shape == (IMAGE_SIZE, IMAGE_SIZE, 3)
            outcomes["decoded"] += 1
        except ImageRejected:
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 300


def test_threads_share_nothing() -> None:
    """Many threads decode at once and each gets what one alone gets."""
    files = [encoded(quadrants(200 + i, 150), kind) for i in range(8) for kind in ("JPEG", "PNG", "WEBP")]
    alone = [decode_image(data) for data in files]
    with ThreadPoolExecutor(8) as pool:
        for pixels, expected in zip(pool.map(decode_image, files), alone, strict=True):
            np.testing.assert_array_equal(pixels, expected)
