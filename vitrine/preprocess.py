"""Encoded pictures to pixels and texts to token ids, the same way in training, export and serving.

    bytes -- inspect_image --> ImageHeader       at the door: microseconds, allocates nothing, trusts no decoder
    bytes -- decode_image ---> uint8 pixels      in Triton and in training
    texts -- Tokenizer ------> int64 token ids

Everything here is pure and safe to call from several threads.

A picture keeps its proportions: it is scaled until its longer side is the family's size and the rest is padded with
white, evenly on both sides. A centre crop would cut hems, shoes and sleeves off; squashing would turn a midi
dress into a mini one, and lengths are what people search for. White is what transparent pictures lie on too.
"""

import io
import re
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from vitrine.tensors import IMAGE_SIZE, TEXT_LENGTH

MAX_IMAGE_BYTES = 8_000_000
"""Size of an encoded picture."""

MAX_IMAGE_PIXELS = 20_000_000
"""Width times height: a decoded picture takes three to four bytes each."""

MAX_IMAGE_SIDE = 8_192
"""Pixels of the longer side."""

MAX_SECTIONS = 16_384
"""Chunks or segments of a file. Its decoder walks them one by one; the largest real PNGs have about 1,000."""

MAX_STRAY_BYTES = 65_536
"""Bytes between the segments of a JPEG: cameras write some, and Pillow skips them one by one, in Python."""

MAX_JPEG_SCANS = 100
"""Passes of a progressive JPEG, each over every pixel; encoders write about ten."""

PAD_ID = 0
"""Token id that fills a text up, where the tokenizer names no other."""

ImageFormat = Literal["JPEG", "PNG", "WEBP"]

# What Pillow and the libraries below it raise on a damaged file; found by fuzzing, kept by a test.
_DECODER_ERRORS = (
    OSError,
    ValueError,
    SyntaxError,
    LookupError,
    TypeError,
    EOFError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_WEBP_ANIMATION_FLAG = 0x02
_WHITE = (255, 255, 255)

# A JPEG marker that a length follows: not a stuffed, fill or restart byte, nor the start or end of the picture.
_MARKER = re.compile(rb"\xff([\x02-\xcf\xda-\xfe])")
_SOS = b"\xda"
_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


class ImageRejected(Exception):  # noqa: N818 - named as callers know it
    """The picture breaks a limit or cannot be decoded; `reason` says which limit, without quoting the file."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """What a picture's first bytes say of it, before any rotation."""

    format: ImageFormat
    width: int
    height: int


def inspect_image(data: bytes) -> ImageHeader:
    """Reads format and size from the header and checks every limit, without decoding.

    Raises:
        ImageRejected: empty, not JPEG/PNG/WebP, animated, damaged, or over a limit.
    """
    if not data:
        raise ImageRejected("is empty")
    if len(data) > MAX_IMAGE_BYTES:
        raise ImageRejected(f"has {len(data):,} bytes; the limit is {MAX_IMAGE_BYTES:,}")
    try:
        header = _read_header(data)
    except (struct.error, IndexError):
        raise ImageRejected("is truncated or damaged") from None
    _check_size(header)
    return header


def decode_image(data: bytes, *, size: int = IMAGE_SIZE) -> NDArray[np.uint8]:
    """Decodes a picture to (size, size, 3) uint8 RGB, upright, whole and on white.

    Raises:
        ImageRejected: as `inspect_image` does, and when the decoder finds the file truncated or damaged.
    """
    header = inspect_image(data)
    try:
        with Image.open(io.BytesIO(data), formats=(header.format,)) as image:
            _check_agreement(image, header)
            return _to_pixels(image, size)
    except _DECODER_ERRORS:
        raise ImageRejected("is truncated or damaged") from None


class Tokenizer:
    """Turns texts into token ids, cut or padded to the length that the file says; TEXT_LENGTH where it says none."""

    def __init__(self, serialised: str) -> None:
        # Imported here because the gateway and the client inspect pictures without this library.
        import tokenizers  # noqa: PLC0415

        self._tokenizer = tokenizers.Tokenizer.from_str(serialised)
        padding = self._tokenizer.padding or {}
        self.length: int = padding.get("length") or TEXT_LENGTH
        self._tokenizer.enable_truncation(self.length)
        self._tokenizer.enable_padding(length=self.length, pad_id=padding.get("pad_id", PAD_ID))

    @classmethod
    def from_file(cls, path: Path) -> Self:
        """Reads a tokenizer.json of the Hugging Face `tokenizers` format."""
        return cls(path.read_text(encoding="utf-8"))

    def __call__(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Return (n, length) int64 token ids; of an empty text, padding and what the tokenizer puts around texts."""
        token_ids, _ = self.encode(texts)
        return token_ids

    def encode(self, texts: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return the token ids, (n, length), and whether each text had more of them than fit, (n,)."""
        encodings = self._tokenizer.encode_batch_fast(list(texts))
        token_ids = np.array([e.ids for e in encodings], dtype=np.int64).reshape(-1, self.length)
        return token_ids, np.array([bool(e.overflowing) for e in encodings], dtype=np.bool_)


def _read_header(data: bytes) -> ImageHeader:
    if data.startswith(b"\xff\xd8\xff"):
        return _read_jpeg_header(data)
    if data.startswith(_PNG_SIGNATURE):
        return _read_png_header(data)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return _read_webp_header(data)
    raise ImageRejected("is not a JPEG, PNG or WebP picture")


def _check_size(header: ImageHeader) -> None:
    width, height = header.width, header.height
    if not width or not height:
        raise ImageRejected("has no pixels")
    if max(width, height) > MAX_IMAGE_SIDE:
        raise ImageRejected(f"has {width:,} x {height:,} pixels; the limit is {MAX_IMAGE_SIDE:,} a side")
    if width * height > MAX_IMAGE_PIXELS:
        raise ImageRejected(f"has {width:,} x {height:,} pixels; the limit is {MAX_IMAGE_PIXELS:,} in all")


def _read_jpeg_header(data: bytes) -> ImageHeader:
    """ITU-T T.81 annex B: marker segments up to the first scan."""
    if data.count(b"\xff" + _SOS) > MAX_JPEG_SCANS:
        raise ImageRejected(f"has more than {MAX_JPEG_SCANS} progressive scans")
    size = None
    for marker, offset in _jpeg_segments(data):
        if marker in _FRAME_MARKERS:
            height, width = struct.unpack_from(">HH", data, offset + 3)
            size = (width, height)
    if size is None:
        raise ImageRejected("is truncated or damaged")
    return ImageHeader("JPEG", *size)


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Yields marker and offset (of the length field) of every segment before the first scan."""
    offset, stray = 2, 0
    for _ in range(MAX_SECTIONS):
        marker = _MARKER.search(data, offset, offset + MAX_STRAY_BYTES + 3)
        if marker is None or marker[1] == _SOS:
            return
        stray += marker.start() - offset
        if stray > MAX_STRAY_BYTES:
            raise ImageRejected("is truncated or damaged")
        yield marker[1][0], marker.end()
        offset = marker.end() + struct.unpack_from(">H", data, marker.end())[0]
    raise ImageRejected(f"has more than {MAX_SECTIONS:,} sections")


def _read_png_header(data: bytes) -> ImageHeader:
    """W3C PNG, sections 11.2.1 (IHDR) and 11.3.5.1 (acTL)."""
    chunks = list(_png_chunks(data))
    if not chunks or chunks[0][0] != b"IHDR":
        raise ImageRejected("is truncated or damaged")
    for kind, offset in chunks:
        if kind == b"acTL" and struct.unpack_from(">I", data, offset)[0] > 1:
            raise ImageRejected("is animated; send a single picture")
    width, height = struct.unpack_from(">II", data, chunks[0][1])
    return ImageHeader("PNG", width, height)


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, int]]:
    """Yields kind and offset (of the content) of every chunk."""
    offset = len(_PNG_SIGNATURE)
    for _ in range(MAX_SECTIONS):
        if offset + 8 > len(data):
            return
        length, kind = struct.unpack_from(">I4s", data, offset)
        yield kind, offset + 8
        offset += 12 + length
    raise ImageRejected(f"has more than {MAX_SECTIONS:,} sections")


def _read_webp_header(data: bytes) -> ImageHeader:
    """RFC 9649: the first chunk is VP8X (extended), VP8L (lossless) or VP8 (lossy)."""
    kind = data[12:16]
    if kind == b"VP8X":
        if data[20] & _WEBP_ANIMATION_FLAG and _webp_frames(data) != 1:
            raise ImageRejected("is animated; send a single picture")
        width = 1 + int.from_bytes(data[24:27], "little")
        height = 1 + int.from_bytes(data[27:30], "little")
    elif kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    elif kind == b"VP8 ":
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
    else:
        raise ImageRejected("is truncated or damaged")
    return ImageHeader("WEBP", width, height)


def _webp_frames(data: bytes) -> int:
    """Counts the frames (chunks ANMF) of a file that may be animated; a single one is a still picture."""
    frames, offset = 0, 12
    for _ in range(MAX_SECTIONS):
        if offset + 8 > len(data):
            return frames
        kind, length = data[offset : offset + 4], int.from_bytes(data[offset + 4 : offset + 8], "little")
        frames += kind == b"ANMF"
        offset += 8 + length + length % 2
    raise ImageRejected(f"has more than {MAX_SECTIONS:,} sections")


def _check_agreement(image: Image.Image, header: ImageHeader) -> None:
    # A file may hold two headers: what was checked must be what is decoded.
    if image.size != (header.width, header.height):
        raise ImageRejected("contradicts its own header")


def _to_pixels(image: Image.Image, side: int) -> NDArray[np.uint8]:
    size = _fitted(image.size, side)
    # A JPEG is decoded at 1/2, 1/4 or 1/8, the smallest that still holds twice the pixels we keep:
    # the DCT then does most of the shrinking, and one filtered resize the rest.
    image.draft(None, (2 * size[0], 2 * size[1]))
    small = _resizable(image).resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)
    upright = _on_white(_rotated(small, like=image))
    square = Image.new("RGB", (side, side), _WHITE)
    square.paste(upright, ((side - upright.width) // 2, (side - upright.height) // 2))
    return np.array(square, dtype=np.uint8)


def _fitted(size: tuple[int, int], longest: int) -> tuple[int, int]:
    scale = longest / max(size)
    width, height = (max(1, round(side * scale)) for side in size)
    return width, height


def _resizable(image: Image.Image) -> Image.Image:
    """Return the picture in a mode that can be filtered: eight bits, no palette, alpha kept."""
    if image.mode.startswith("I"):  # 16-bit greyscale, which Pillow would clip rather than scale
        return Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        return image.convert("RGBA")
    return image if image.mode in {"RGB", "L", "CMYK"} else image.convert("RGB")


def _rotated(image: Image.Image, *, like: Image.Image) -> Image.Image:
    """Turns the picture as the metadata of the file says; a change of mode may have dropped them on the way."""
    try:
        image.getexif().update(like.getexif())
        return ImageOps.exif_transpose(image)
    except _DECODER_ERRORS:
        return image  # broken metadata is no reason to refuse a sound picture


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode != "RGBA":
        return image.convert("RGB")
    return Image.alpha_composite(Image.new("RGBA", image.size, (*_WHITE, 255)), image).convert("RGB")
