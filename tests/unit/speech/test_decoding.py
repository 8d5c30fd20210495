"""Recordings to samples: every container that is taken, and what strangers may send instead."""

import io
import struct
import subprocess
import sys
import wave
from collections.abc import Callable

import numpy as np
import pytest

from gateway.testing import recording
from speech.decoder import Decoder, open_decoder
from speech.engines.port import SAMPLE_RATE, Samples
from vitrine.audio_header import AudioRejected

Make = Callable[..., bytes]

CONTAINERS = [
    ("wav", "pcm_s16le", 48_000),
    ("wav", "pcm_f32le", 44_100),
    ("wav", "pcm_mulaw", 8_000),
    ("flac", "flac", 44_100),
    ("ogg", "libopus", 48_000),
    ("ogg", "vorbis", 48_000),
    ("webm", "libopus", 48_000),
    ("webm", "vorbis", 44_100),
]


async def decoded(audio: bytes) -> Samples:
    async with open_decoder() as decoder:
        return await decoder.decode(audio)


async def refusal(audio: bytes) -> str:
    with pytest.raises(AudioRejected) as refused:
        await decoded(audio)
    return refused.value.reason


@pytest.mark.parametrize(("container", "codec", "rate"), CONTAINERS)
async def test_every_container_gives_the_same_sound(
    encoded: Make, container: str, codec: str, rate: int
) -> None:
    """A tone of 440 Hz is one of 440 Hz at 16,000 samples a second, as long and about as loud as it was."""
    samples = await decoded(encoded(container, codec, seconds=2.0, rate=rate))
    assert samples.dtype == np.float32
    assert len(samples) / SAMPLE_RATE == pytest.approx(2.0, abs=0.05)
    spectrum = np.abs(np.fft.rfft(samples))
    assert np.argmax(spectrum) * SAMPLE_RATE / len(samples) == pytest.approx(440, abs=3)
    assert np.abs(samples).max() == pytest.approx(0.45, abs=0.15)


@pytest.mark.slow
@pytest.mark.parametrize(("container", "codec", "rate"), CONTAINERS)
async def test_what_is_cut_short_is_refused_or_shorter(
    encoded: Make, container: str, codec: str, rate: int
) -> None:
    """A recording cut anywhere gives the sound up to there, or one clear line."""
    whole = encoded(container, codec, rate=rate)
    async with open_decoder() as decoder:
        for cut in (5, 30, len(whole) // 2, len(whole) - 7):
            await decoder.prepare()
            try:
                length = len(await decoder.decode(whole[:cut]))
            except AudioRejected as error:
                length = 1 if error.reason and "\n" not in error.reason else 0
            assert 0 < length <= 1.05 * SAMPLE_RATE


async def test_a_length_that_the_header_hides_is_found_while_decoding(encoded: Make) -> None:
    """A recording of ten minutes that fits the bytes and names no length is cut off at the limit."""
    long = encoded("flac", "flac", seconds=31.0, rate=8_000)
    info = bytearray(long)
    info[8 + 13] &= 0xF0
    info[8 + 14 : 8 + 18] = bytes(4)
    assert await refusal(bytes(info)) == "lasts longer than 30 s"


async def test_another_coding_in_a_container_that_is_taken_is_refused(encoded: Make) -> None:
    """ADPCM in a WAV, Speex and pictures in others: the decoder knows no such codec."""
    data = bytearray(recording())
    struct.pack_into("<H", data, 20, 1)
    struct.pack_into("<H", data, 34, 64)  # as 64-bit whole numbers, which FFmpeg has
    assert await refusal(bytes(data)) == "holds no sound of PCM, FLAC, Opus or Vorbis"
    del encoded


async def test_a_recording_without_sound_is_refused(encoded: Make) -> None:
    """A header alone holds nothing to hear."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
    assert await refusal(buffer.getvalue()) == "holds no sound"
    del encoded


async def test_a_decoder_that_dies_takes_nobody_along(encoded: Make) -> None:
    """The recording is refused, and the next one is decoded."""
    async with open_decoder() as decoder:
        assert decoder._spare is not None
        decoder._spare.kill()
        await decoder._spare.wait()
        assert len(await decoder.decode(encoded("wav", "pcm_s16le"))) == SAMPLE_RATE


def test_a_decoder_has_little_of_everything(encoded: Make) -> None:
    """Memory, time and files are bounded before a byte is read."""
    del encoded
    code = (
        "import resource, speech.decoding as d; d._confine();"
        "print(*(resource.getrlimit(x)[0] for x in (resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_FSIZE)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.split() == [str(1 << 30), "5", "0"]


async def test_a_spare_is_made_once() -> None:
    """Two recordings at the same time leave one process waiting."""
    decoder = Decoder()
    await decoder.prepare()
    first = decoder._spare
    await decoder.prepare()
    assert decoder._spare is first
    await decoder.close()
