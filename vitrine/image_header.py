"""What an encoded picture's bytes say of it before anything decodes it: its format, its size, and what decoding costs.

The cost is an estimate of the decoder's CPU time in nanoseconds, from rates that were measured on pictures of one
colour, on noise and on photographs (docs/decisions/0027); it bounds what a few hundred bytes can ask for.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

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

MAX_WORK = 1_000_000_000
"""Estimated nanoseconds of decoding one picture of a catalogue."""

MAX_QUERY_WORK = 200_000_000
"""Estimated nanoseconds of decoding the picture of a query. The 12 megapixels of a telephone take a third of it."""

ImageFormat = Literal["JPEG", "PNG", "WEBP"]

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_PNG_DEPTHS = {0: {1, 2, 4, 8, 16}, 2: {8, 16}, 3: {1, 2, 4, 8}, 4: {8, 16}, 6: {8, 16}}
_PNG_PALETTE = 3
_PNG_ALPHA = {4, 6}
_DEEP_GREY = (0, 16)  # Pillow has no mode that could be shrunk
_WEBP_ANIMATION_FLAG = 0x02

# A JPEG marker that a length follows: not a stuffed, fill or restart byte, nor the start or end of the picture.
# Without groups, which would cost as much as the search does: a scan has thousands of stuffed bytes.
_MARKER = re.compile(rb"\xff[\x02-\xcf\xda-\xfe]")
# What ends the data of a scan: any marker but a restart.
_AFTER_SCAN = re.compile(rb"\xff[\x02-\xcf\xd8-\xfe]")
_SOS, _EOI, _APP1 = 0xDA, 0xD9, 0xE1
_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_ARITHMETIC = frozenset(range(0xC9, 0xD0)) - {0xCC}

# Nanoseconds, measured.
_SECTION_NS = 6_000
_TEXT_NS = 3_500_000  # a compressed chunk of text unpacks to 1 MB at most
_TAG_NS = 18_000
_JPEG_SCAN_NS, _JPEG_BYTE_NS, _JPEG_PROGRESSIVE_BYTE_NS = 0.95, 15.0, 25.0
_PNG_PIXEL_NS, _PNG_BYTE_NS, _ALPHA_NS, _DEEP_GREY_NS = 2.0, 4.0, 6.0, 6.0
_WEBP_NS = 33.0


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
    work: int = 0
    """Estimated nanoseconds of decoding."""
    end: int = 0
    """Bytes up to the picture's end; what lies behind it is no part of the picture."""


def inspect_image(data: bytes, *, max_work: int = MAX_WORK) -> ImageHeader:
    """Reads format and size from the header and checks every limit, without decoding.

    Args:
        data: the encoded picture.
        max_work: the most that decoding may cost, MAX_QUERY_WORK for what anybody may send.

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
    if header.work > max_work:
        raise ImageRejected(
            f"takes about {header.work // 1_000_000:,} ms to decode; the limit is {max_work // 1_000_000:,}: send it"
            " smaller, or as a plain JPEG"
        )
    return header


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
    """ITU-T T.81 annex B: the marker segments."""
    size, scans, sections, tags, last, end = None, 0, 0, 0, 0, 0
    for marker, offset in _jpeg_segments(data):
        if marker == _EOI:
            end = offset
            break
        sections += 1
        last = offset
        if marker == _SOS:
            scans = _counted(scans + 1)
        elif marker in _ARITHMETIC:
            raise ImageRejected("is a JPEG of arithmetic coding, which no browser reads either")
        elif marker in _FRAME_MARKERS and not scans:
            height, width = struct.unpack_from(">HH", data, offset + 3)
            size = (width, height)
        elif marker == _APP1 and data.startswith(b"Exif\0\0", offset + 2):
            tags += _exif_tags(data, offset + 8)
    if size is None:
        raise ImageRejected("is truncated or damaged")
    per_byte = _JPEG_PROGRESSIVE_BYTE_NS if scans > 1 else _JPEG_BYTE_NS
    work = size[0] * size[1] * max(1, scans) * _JPEG_SCAN_NS + len(data) * per_byte
    work += sections * _SECTION_NS + tags * _TAG_NS
    return ImageHeader("JPEG", *size, work=int(work), end=end or _jpeg_end(data, last))


def _counted(scans: int) -> int:
    if scans > MAX_JPEG_SCANS:
        raise ImageRejected(f"has more than {MAX_JPEG_SCANS} progressive scans")
    return scans


def _jpeg_end(data: bytes, last: int) -> int:
    """Return where the end marker behind the last segment ends; a file that was cut has none."""
    if last + 2 > len(data):
        return len(data)
    end = data.find(b"\xff\xd9", last + struct.unpack_from(">H", data, last)[0])
    return len(data) if end < 0 else end + 2


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Yields marker and offset (of the length field) of every segment, up to the end of the picture.

    The last one is the end marker, with the offset behind it, where there was a scan before it. What lies behind that is
    another picture's, such as a telephone's map of brightness.
    """
    offset, stray, scanning = 2, 0, False
    for _ in range(MAX_SECTIONS):
        if scanning:
            marker = _AFTER_SCAN.search(data, offset)
        else:
            marker = _MARKER.search(data, offset, offset + MAX_STRAY_BYTES + 3)
        if marker is None:
            return
        kind, behind = data[marker.end() - 1], marker.end()
        if not scanning:
            stray += marker.start() - offset
            if stray > MAX_STRAY_BYTES:
                raise ImageRejected("is truncated or damaged")
        yield kind, behind
        scanning |= kind == _SOS
        if kind == _EOI or (scanning and behind + 2 > len(data)):
            return
        offset = behind + struct.unpack_from(">H", data, behind)[0]
    raise ImageRejected(f"has more than {MAX_SECTIONS:,} sections")


def _read_png_header(data: bytes) -> ImageHeader:
    """W3C PNG, sections 11.2.1 (IHDR), 11.2.2 (PLTE) and 11.3.5.1 (acTL)."""
    chunks = list(_png_chunks(data))
    if not chunks or chunks[0][0] != b"IHDR":
        raise ImageRejected("is truncated or damaged")
    width, height, depth, colour = struct.unpack_from(">IIBB", data, chunks[0][1])
    kinds = [kind for kind, _ in chunks]
    before_pixels = kinds[: kinds.index(b"IDAT")] if b"IDAT" in kinds else kinds
    if depth not in _PNG_DEPTHS.get(colour, ()) or (colour == _PNG_PALETTE and b"PLTE" not in before_pixels):
        raise ImageRejected("is truncated or damaged")
    work = len(chunks) * _SECTION_NS
    for kind, offset in chunks:
        if kind == b"acTL" and struct.unpack_from(">I", data, offset)[0] > 1:
            raise ImageRejected("is animated; send a single picture")
        if kind == b"eXIf":
            work += _exif_tags(data, offset) * _TAG_NS
        elif kind in {b"zTXt", b"iTXt", b"iCCP"}:
            work += _TEXT_NS
    alpha = colour in _PNG_ALPHA or b"tRNS" in kinds
    pixel_bytes = _PNG_CHANNELS[colour] * max(8, depth) / 8  # what has fewer bits is unpacked to eight
    per_pixel = _PNG_PIXEL_NS + _PNG_BYTE_NS * pixel_bytes + _ALPHA_NS * alpha
    per_pixel += _DEEP_GREY_NS * ((colour, depth) == _DEEP_GREY)
    last, offset = chunks[-1]
    end = min(len(data), offset + 4) if last == b"IEND" else len(data)
    return ImageHeader("PNG", width, height, work=work + int(width * height * per_pixel), end=end)


def _exif_tags(data: bytes, offset: int) -> int:
    """Return how many tags the first directory of the metadata says it has; each costs Pillow a few microseconds."""
    order = ">" if data.startswith(b"MM", offset) else "<"
    if offset + 8 > len(data):
        return 0
    directory: int = struct.unpack_from(order + "I", data, offset + 4)[0]
    if offset + directory + 2 > len(data):
        return 0
    count: int = struct.unpack_from(order + "H", data, offset + directory)[0]
    return min(count, (len(data) - offset - directory) // 12)


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, int]]:
    """Yields kind and offset (of the content) of every chunk up to the last one, IEND."""
    offset = len(_PNG_SIGNATURE)
    for _ in range(MAX_SECTIONS):
        if offset + 8 > len(data):
            return
        length, kind = struct.unpack_from(">I4s", data, offset)
        yield kind, offset + 8
        if kind == b"IEND":
            return
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
    end = min(len(data), 8 + int.from_bytes(data[4:8], "little"))
    return ImageHeader("WEBP", width, height, work=int(width * height * _WEBP_NS), end=end)


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
