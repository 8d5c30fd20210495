"""What a recording's bytes say of it before anything decodes it: its container, and how long it says that it is.

A header may lie, and some have no length: whoever decodes holds the sound itself to the same limits.
"""

import struct
from dataclasses import dataclass
from typing import Literal

from vitrine.domain.limits import MAX_AUDIO_BYTES, MAX_AUDIO_S

AudioFormat = Literal["WAV", "FLAC", "OGG", "WEBM"]

MAX_CHANNELS = 8
MAX_SAMPLE_RATE = 192_000
"""Hertz, of what microphones and studios record; a voice is understood from 16,000."""
MIN_SAMPLE_RATE = 4_000

_MAX_CHUNKS = 64
"""Of a WAV before its sound, and of a WebM before its first cluster; real ones have fewer than ten."""
_WAV_TAGS = frozenset({1, 3, 6, 7, 0xFFFE})
"""Whole numbers, floating point, A-law, mu-law, and any of them described at length."""
_OPUS_RATE = 48_000
_EBML, _SEGMENT, _INFO = b"\x1a\x45\xdf\xa3", 0x18538067, 0x1549A966
_DOC_TYPE, _SCALE, _DURATION = 0x4282, 0x2AD7B1, 0x4489
_FLOAT_BYTES = {4: ">f", 8: ">d"}


class AudioRejected(Exception):  # noqa: N818 - named as callers know it
    """The recording breaks a limit or is none; `reason` says which limit, without quoting the file."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class AudioHeader:
    """What a recording's first bytes say of it."""

    format: AudioFormat
    seconds: float | None = None
    """None where the container does not say."""


def inspect_audio(data: bytes) -> AudioHeader:
    """Reads the container and the length from the header and checks every limit, without decoding.

    Raises:
        AudioRejected: empty, none of the four containers, damaged, or over a limit.
    """
    if not data:
        raise AudioRejected("is empty")
    if len(data) > MAX_AUDIO_BYTES:
        raise AudioRejected(f"has {len(data):,} bytes; the limit is {MAX_AUDIO_BYTES:,}")
    try:
        header = _read_header(data)
    except (struct.error, IndexError):
        raise AudioRejected("is truncated or damaged") from None
    if header.seconds is not None:
        check_seconds(header.seconds)
    return header


def check_seconds(seconds: float) -> None:
    """Raise AudioRejected for a recording that is longer than the limit, or has no length that is a number."""
    if not 0 <= seconds <= MAX_AUDIO_S:
        raise AudioRejected(f"lasts {seconds:,.1f} s; the limit is {MAX_AUDIO_S:g} s")


def _read_header(data: bytes) -> AudioHeader:
    if data[:4] in {b"RIFF", b"RF64"} and data[8:12] == b"WAVE":
        return AudioHeader("WAV", _wav_seconds(data))
    if data.startswith(b"fLaC"):
        return AudioHeader("FLAC", _flac_seconds(data[8:]))
    if data.startswith(b"OggS"):
        return AudioHeader("OGG", _ogg_seconds(data))
    if data.startswith(_EBML):
        return AudioHeader("WEBM", _webm_seconds(data))
    raise AudioRejected("is not a WAV, FLAC, Ogg or WebM recording")


def _check_shape(channels: int, rate: int) -> None:
    if not 1 <= channels <= MAX_CHANNELS:
        raise AudioRejected(f"has {channels} channels; the limit is 1 to {MAX_CHANNELS}")
    if not MIN_SAMPLE_RATE <= rate <= MAX_SAMPLE_RATE:
        raise AudioRejected(
            f"has {rate:,} samples a second; the limit is {MIN_SAMPLE_RATE:,} to {MAX_SAMPLE_RATE:,}"
        )


def _wav_seconds(data: bytes) -> float:
    """Return the seconds of the sound that is there, whatever the header of a stream that was cut says."""
    place, bytes_a_second = 12, 0
    for _ in range(_MAX_CHUNKS):
        name, size = data[place : place + 4], struct.unpack_from("<I", data, place + 4)[0]
        if name == b"fmt ":
            tag, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", data, place + 8)
            if tag not in _WAV_TAGS or bits not in {8, 16, 24, 32, 64}:
                raise AudioRejected("is a WAV of another coding than plain samples")
            _check_shape(channels, rate)
            bytes_a_second = rate * channels * bits // 8
        elif name == b"data" and bytes_a_second:
            seconds: float = min(size, len(data) - place - 8) / bytes_a_second
            return seconds
        place += 8 + size + size % 2
    raise AudioRejected("is truncated or damaged")


def _flac_seconds(stream_info: bytes) -> float | None:
    """Return the seconds that a FLAC's first block names; it holds 0 samples where a stream was not known to end."""
    packed = int.from_bytes(stream_info[10:18], "big")
    if len(stream_info) < 18:  # noqa: PLR2004 - up to the number of samples
        raise AudioRejected("is truncated or damaged")
    rate, channels, samples = packed >> 44, (packed >> 41 & 7) + 1, packed & (1 << 36) - 1
    _check_shape(channels, rate)
    return samples / rate if samples else None


def _ogg_seconds(data: bytes) -> float | None:
    """Return the seconds up to the last page; None where that does not say."""
    first = 27 + data[26]
    packet = data[first : first + 48]
    if packet.startswith(b"OpusHead"):
        channels, rate = packet[9], _OPUS_RATE
    elif packet.startswith(b"\x01vorbis"):
        channels, rate = struct.unpack_from("<BI", packet, 11)
    else:
        raise AudioRejected("is an Ogg of another coding than Opus or Vorbis")
    _check_shape(channels, rate)
    (position,) = struct.unpack_from("<q", data, data.rfind(b"OggS") + 6)
    return position / rate if position >= 0 else None


def _webm_seconds(data: bytes) -> float | None:
    """Return the seconds that a WebM names; None where it does not, as what a browser records does not."""
    place, end = _element_body(data, 0)
    if _children(data, place, end).get(_DOC_TYPE, b"").rstrip(b"\0") != b"webm":
        raise AudioRejected("is a Matroska file, and no WebM")
    place = end
    if _number(data, place, keep_mark=True)[0] != _SEGMENT:
        raise AudioRejected("is truncated or damaged")
    place, _ = _element_body(data, place)
    for _ in range(_MAX_CHUNKS):
        if place >= len(data):
            return None
        name, _ = _number(data, place, keep_mark=True)
        place, end = _element_body(data, place)
        if name == _INFO:
            return _info_seconds(_children(data, place, end))
        place = end
    return None


def _info_seconds(info: dict[int, bytes]) -> float | None:
    form = _FLOAT_BYTES.get(len(info.get(_DURATION, b"")))
    if form is None:
        return None
    scale = int.from_bytes(info.get(_SCALE, b"\x0f\x42\x40"), "big")
    return float(struct.unpack(form, info[_DURATION])[0]) * scale / 1e9


def _children(data: bytes, place: int, end: int) -> dict[int, bytes]:
    """Return the first elements between two places, by their numbers; the short ones."""
    found = {}
    for _ in range(_MAX_CHUNKS):
        if place >= end:
            break
        name, _ = _number(data, place, keep_mark=True)
        place, after = _element_body(data, place)
        found[name] = data[place : min(after, place + 16)]
        place = after
    return found


def _element_body(data: bytes, place: int) -> tuple[int, int]:
    """Return where the content of the element at the place begins and ends; one of unknown size ends with the data."""
    _, place = _number(data, place, keep_mark=True)
    size, body = _number(data, place, keep_mark=False)
    unknown = size == (1 << 7 * (body - place)) - 1
    return body, len(data) if unknown else min(body + size, len(data))


def _number(data: bytes, place: int, *, keep_mark: bool) -> tuple[int, int]:
    """Return the number of variable length at the place, and the place behind it."""
    length = 9 - data[place].bit_length()
    if length > 8 or place + length > len(data):  # noqa: PLR2004 - bytes of the longest
        raise AudioRejected("is truncated or damaged")
    value = int.from_bytes(data[place : place + length], "big")
    return (value if keep_mark else value ^ (1 << 7 * length)), place + length
