"""A speech service in memory, and sounds to say to it."""

import asyncio
import io
import wave
from dataclasses import dataclass, field

import numpy as np

from gateway.errors import DeadlineExceeded, InvalidQuery, Overloaded, SpeechError
from gateway.model import Transcript
from vitrine.audio_header import AudioRejected, inspect_audio

_RATE = 8_000
_HERTZ = 440.0


def recording(seconds: float = 1.0, *, loudness: float = 0.5) -> bytes:
    """Return a WAV of a tone; of silence where it has no loudness."""
    turns = np.arange(round(seconds * _RATE)) * _HERTZ / _RATE
    samples = np.rint(32_767 * loudness * np.sin(2 * np.pi * turns)).astype("<i2")
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(_RATE)
        file.writeframes(samples.tobytes())
    return buffer.getvalue()


@dataclass
class FakeTranscriber:
    """Hears `text` in every recording that is one."""

    text: str = ""
    language: str = "en"
    fails: bool = False
    busy: bool = False
    delay_s: float = 0.0
    asked: list[str] = field(default_factory=list)
    """The language of each call."""

    async def transcribe(self, audio: bytes, *, language: str, timeout_s: float) -> Transcript:
        """Return what it was told to hear; fails, refuses and dawdles as it was told to."""
        self.asked.append(language)
        try:
            header = inspect_audio(audio)
        except AudioRejected as error:
            raise InvalidQuery("audio", error.reason) from None
        if self.busy:
            raise Overloaded("too many recordings wait to be heard", retry_after_s=2.0)
        if self.fails:
            raise SpeechError
        if self.delay_s > timeout_s:
            await asyncio.sleep(timeout_s)
            raise DeadlineExceeded("what was said was not heard in time")
        await asyncio.sleep(self.delay_s)
        told = (language or self.language) if self.text else ""
        return Transcript(text=self.text, language=told, seconds=header.seconds or 0.0)
