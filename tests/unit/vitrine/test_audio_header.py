"""Recordings judged by their first bytes: container, length, shape."""

import io
import struct
import wave
from contextlib import suppress

import pytest

from vitrine.audio_header import AudioRejected, inspect_audio
from vitrine.domain.limits import MAX_AUDIO_BYTES


def wav(seconds: float = 1.0, *, rate: int = 8_000, channels: int = 1) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(bytes(2 * channels * round(seconds * rate)))
    return buffer.getvalue()


def flac(*, samples: int, rate: int = 48_000, channels: int = 1) -> bytes:
    packed = rate << 44 | (channels - 1) << 41 | 15 << 36 | samples
    return b"fLaC\x80\x00\x00\x22" + bytes(10) + packed.to_bytes(8, "big") + bytes(16)


def ogg(position: int, packet: bytes = b"OpusHead\x01\x01" + bytes(9)) -> bytes:
    def page(granule: int, content: bytes) -> bytes:
        return b"OggS\0\0" + struct.pack("<qIIIBB", granule, 1, 0, 0, 1, len(content)) + content

    return page(0, packet) + page(position, b"sound")


def element(name: int, content: bytes, *, known: bool = True) -> bytes:
    size = struct.pack(">Q", 1 << 56 | len(content)) if known else b"\x01" + b"\xff" * 7
    return name.to_bytes((name.bit_length() + 7) // 8, "big") + size + content


def webm(info: bytes, doc_type: bytes = b"webm") -> bytes:
    head = element(0x1A45DFA3, element(0x4286, b"\x01") + element(0x4282, doc_type))
    body = element(0xEC, b"\0" * 8) + element(0x1549A966, info) + element(0x1F43B675, b"cluster")
    return head + element(0x18538067, body, known=False)


def reason(data: bytes) -> str:
    with pytest.raises(AudioRejected) as refused:
        inspect_audio(data)
    return refused.value.reason


@pytest.mark.parametrize(
    ("data", "container", "seconds"),
    [
        (wav(2.5), "WAV", 2.5),
        (wav(30.0), "WAV", 30.0),
        (flac(samples=96_000), "FLAC", 2.0),
        (flac(samples=0), "FLAC", None),
        (ogg(144_000), "OGG", 3.0),
        (ogg(-1), "OGG", None),
        (ogg(44_100, b"\x01vorbis\0\0\0\0\x02" + struct.pack("<I", 44_100) + bytes(15)), "OGG", 1.0),
        (webm(element(0x2AD7B1, b"\x0f\x42\x40") + element(0x4489, struct.pack(">f", 1500.0))), "WEBM", 1.5),
        (webm(element(0x4489, struct.pack(">d", 1500.0))), "WEBM", 1.5),
        (webm(b""), "WEBM", None),
    ],
)
def test_container_and_length_are_read(data: bytes, container: str, seconds: float | None) -> None:
    """Each container says what it is, and how long, where it does."""
    header = inspect_audio(data)
    assert (header.format, header.seconds) == (container, seconds)


def test_a_wav_is_as_long_as_the_sound_that_is_there() -> None:
    """A stream's header names the most that there can be; a cut file has less than it says."""
    data = bytearray(wav(2.0))
    struct.pack_into("<I", data, 40, 0xFFFFFFFF)
    assert inspect_audio(bytes(data)).seconds == 2.0
    assert inspect_audio(wav(2.0)[: 44 + 16_000]).seconds == 1.0


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is empty"),
        (b"RIFF" + bytes(MAX_AUDIO_BYTES - 3), "has 2,000,001 bytes; the limit is 2,000,000"),
        (b"ID3\x04not a container of ours", "is not a WAV, FLAC, Ogg or WebM recording"),
        (b"\0\0\0\x18ftypM4A ", "is not a WAV, FLAC, Ogg or WebM recording"),
        (wav(30.1), "lasts 30.1 s; the limit is 30 s"),
        (wav(600, rate=1_600), "has 1,600 samples a second; the limit is 4,000 to 192,000"),
        (flac(samples=48_000 * 600), "lasts 600.0 s; the limit is 30 s"),
        (flac(samples=9, rate=655_350), "has 655,350 samples a second; the limit is 4,000 to 192,000"),
        (ogg(48_000 * 600), "lasts 600.0 s; the limit is 30 s"),
        (ogg(9, b"OpusHead\x01\xff" + bytes(9)), "has 255 channels; the limit is 1 to 8"),
        (ogg(9, b"\x80theora"), "is an Ogg of another coding than Opus or Vorbis"),
        (webm(element(0x4489, struct.pack(">d", 600_000.0))), "lasts 600.0 s; the limit is 30 s"),
        (webm(element(0x4489, struct.pack(">d", float("nan")))), "lasts nan s; the limit is 30 s"),
        (webm(b"", b"matroska"), "is a Matroska file, and no WebM"),
        (wav()[:20], "is truncated or damaged"),
        (flac(samples=1)[:20], "is truncated or damaged"),
        (b"OggS", "is truncated or damaged"),
        (b"\x1a\x45\xdf\xa3", "is truncated or damaged"),
    ],
)
def test_what_breaks_a_limit_is_refused_in_one_line(data: bytes, said: str) -> None:
    """The reason names the limit and quotes nothing of the file."""
    assert reason(data) == said


def test_another_coding_in_a_wav_is_refused() -> None:
    """ADPCM, MP3 and the like are no plain samples."""
    data = bytearray(wav())
    struct.pack_into("<H", data, 20, 0x55)
    assert reason(bytes(data)) == "is a WAV of another coding than plain samples"


@pytest.mark.parametrize("whole", [wav(), flac(samples=9), ogg(9), webm(element(0x4489, bytes(8)))])
def test_no_cut_and_no_flipped_byte_raises_anything_else(whole: bytes) -> None:
    """Whatever stands in a header, it is read or refused."""
    head = whole[:160]
    broken = [head[:cut] for cut in range(len(head))]
    broken += [
        head[:place] + bytes([value]) + head[place + 1 :]
        for place in range(len(head))
        for value in (0, 127, 255)
    ]
    for data in broken:
        with suppress(AudioRejected):
            assert inspect_audio(data).format
