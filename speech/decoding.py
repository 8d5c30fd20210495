"""A recording's bytes to plain samples, in a process that does this once and nothing else: `python -m speech.decoding`.

It reads a recording from its standard input to the end and writes 16-bit samples, 16,000 a second, to its standard output;
what it refuses it says in one line on its standard error, and ends with REFUSED. FFmpeg reads what strangers sent here:
the process has little memory, little time, no files to write and no secrets, so that what a hostile recording can bring
down is this process alone.
"""

import io
import resource
import sys
from collections.abc import Iterator

import av
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer

from vitrine.audio_header import AudioFormat, AudioRejected, inspect_audio
from vitrine.domain.limits import MAX_AUDIO_BYTES, MAX_AUDIO_S

SAMPLE_RATE = 16_000
REFUSED = 3
"""The exit status for a recording that is refused."""

_CODECS = frozenset(
    {
        *("pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_f64le", "pcm_alaw", "pcm_mulaw"),
        *("flac", "opus", "libopus", "vorbis"),
    }
)
_FORMATS: dict[AudioFormat, str] = {"WAV": "wav", "FLAC": "flac", "OGG": "ogg", "WEBM": "matroska"}
_MAX_DAMAGED = 8
"""Packets that may be passed over; browsers cut the last one short at times."""
_MEMORY_BYTES, _CPU_S = 1 << 30, 5
"""Of address space, most of it libraries; 30 seconds of any of the codecs take a part of a second."""


def decode(data: bytes) -> Iterator[bytes]:
    """Yield the samples of a recording, little-endian, piece by piece.

    Raises:
        AudioRejected: over a limit, damaged, or of a coding that is not taken.
    """
    header = inspect_audio(data)
    options = {"codec_whitelist": ",".join(sorted(_CODECS))}
    try:
        with av.open(
            io.BytesIO(data), format=_FORMATS[header.format], options=options, metadata_errors="ignore"
        ) as container:
            yield from _samples(container)
    except (av.FFmpegError, ValueError, EOFError):
        raise AudioRejected("is damaged, or of a coding that is not taken") from None


def _samples(container: InputContainer) -> Iterator[bytes]:
    stream = next(iter(container.streams.audio), None)
    # Of a coding that it has no decoder for, a stream has no context.
    if stream is None or stream.codec_context is None or stream.codec_context.name not in _CODECS:
        raise AudioRejected("holds no sound of PCM, FLAC, Opus or Vorbis")
    stream.codec_context.thread_count = 1
    resampler = AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
    written = 0
    for frame in _resampled(container, stream, resampler):
        written += frame.samples
        if written > MAX_AUDIO_S * SAMPLE_RATE:
            raise AudioRejected(f"lasts longer than {MAX_AUDIO_S:g} s")
        yield bytes(frame.planes[0])[: 2 * frame.samples]
    if not written:
        raise AudioRejected("holds no sound")


def _resampled(
    container: InputContainer, stream: AudioStream, resampler: AudioResampler
) -> Iterator[AudioFrame]:
    damaged = 0
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except av.InvalidDataError:
            damaged += 1
            if damaged > _MAX_DAMAGED:
                raise
            continue
        for frame in frames:
            assert isinstance(frame, AudioFrame), "of an audio stream"
            yield from resampler.resample(frame)
    yield from resampler.resample(None)


def _confine() -> None:
    """Give up what a decoder does not need."""
    for what, limit in (
        (resource.RLIMIT_AS, _MEMORY_BYTES),
        (resource.RLIMIT_CPU, _CPU_S),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (limit, limit))


def main() -> int:
    """Decode the standard input; return the exit status."""
    _confine()
    data = sys.stdin.buffer.read(MAX_AUDIO_BYTES + 1)
    if not data:
        return 0  # a spare one that is not needed
    try:
        sound = b"".join(decode(data))
    except AudioRejected as error:
        sys.stderr.write(error.reason)
        return REFUSED
    sys.stdout.buffer.write(sound)
    return 0


if __name__ == "__main__":
    sys.exit(main())
