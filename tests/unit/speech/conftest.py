"""Sounds in every container."""

import importlib.util
import io
from collections.abc import Callable

import numpy as np
import pytest

Make = Callable[..., bytes]


@pytest.fixture(scope="session")
def encoded() -> Make:
    """Give a recording of a tone: its container, its codec, its seconds, its rate."""
    if importlib.util.find_spec("av") is None:
        pytest.skip("no PyAV: make setup-speech")
    import av  # noqa: PLC0415 - an extra

    def make(container: str, codec: str, *, seconds: float = 1.0, rate: int = 48_000) -> bytes:
        tone = np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate)) / rate) * 0.5
        frame = av.AudioFrame.from_ndarray((tone * 32_767).astype("<i2")[None], format="s16", layout="mono")
        frame.sample_rate = rate
        layout, options = ("stereo", {"strict": "-2"}) if codec == "vorbis" else ("mono", {})
        buffer = io.BytesIO()
        with av.open(buffer, "w", format=container) as out:
            stream = out.add_stream(codec, rate=rate, layout=layout, options=options)
            context = stream.codec_context
            resampler = av.AudioResampler(
                context.format, layout, rate, frame_size=context.frame_size or 4_096
            )
            for piece in [*resampler.resample(frame), *resampler.resample(None), None]:
                for packet in stream.encode(piece):
                    out.mux(packet)
        return buffer.getvalue()

    return make
