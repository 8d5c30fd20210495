"""Whisper base in this process, by faster-whisper: a second or two of one core for what a shopper says."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import numpy as np
from faster_whisper import WhisperModel
from faster_whisper.vad import VadOptions, get_speech_timestamps

from speech.engines.port import NOTHING, Heard, Samples
from speech.engines.sureness import Segment, said
from speech.packages import whisper_files, whisper_version

_MOST_TOKENS = 200
"""Of one recording: 30 seconds of hurried speech have some 150."""
_BEAMS = 5
_VOICE = VadOptions(min_silence_duration_ms=500, speech_pad_ms=300)


class Whisper:
    """Hears `workers` recordings at once, each with a thread of its own and what it needs of others."""

    def __init__(self, *, workers: int, threads: int, languages: Sequence[str]) -> None:
        """Load the weights; raises PackageMissing where they are not there, or others."""
        self.version = whisper_version()
        self._model = WhisperModel(
            "whisper-base",
            device="cpu",
            compute_type="int8",
            cpu_threads=threads,
            num_workers=workers,
            files=whisper_files(),
        )
        self._known = frozenset(self._model.supported_languages)
        self._detected = frozenset(languages) & self._known or self._known
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="whisper")

    async def transcribe(self, samples: Samples, *, language: str) -> Heard:
        """Return what was said; a recording that nobody waits for any more is not begun, and ended where it was."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._hear, samples, language)

    def close(self) -> None:
        """Begin no recording any more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _hear(self, samples: Samples, language: str) -> Heard:
        spoken = _spoken(samples)
        if not len(spoken):
            return NOTHING
        chosen = language if language in self._known else self._detect(spoken)
        segments, _ = self._model.transcribe(
            spoken,
            language=chosen,
            beam_size=_BEAMS,
            temperature=0.0,
            condition_on_previous_text=False,
            without_timestamps=True,
            max_new_tokens=_MOST_TOKENS,
        )
        text = said(
            Segment(
                text=each.text,
                log_probability=each.avg_logprob,
                no_speech=each.no_speech_prob,
                compression=each.compression_ratio,
            )
            for each in segments
        )
        return Heard(text, chosen)

    def _detect(self, spoken: Samples) -> str:
        """Return the likeliest of the languages that may be heard."""
        _, _, likely = self._model.detect_language(audio=spoken)
        _, likeliest = max((share, str(name)) for name, share in likely if name in self._detected)
        return likeliest


def _spoken(samples: Samples) -> Samples:
    """Return the stretches in which somebody speaks, one after the other; (0,) where nobody does."""
    stretches = get_speech_timestamps(samples, _VOICE)
    parts = [samples[each["start"] : each["end"]] for each in stretches]
    return np.concatenate(parts) if parts else samples[:0]


@asynccontextmanager
async def open_whisper(*, workers: int, threads: int, languages: Sequence[str]) -> AsyncIterator[Whisper]:
    """Load Whisper beside the event loop and hold it."""
    whisper = await asyncio.to_thread(Whisper, workers=workers, threads=threads, languages=languages)
    try:
        yield whisper
    finally:
        whisper.close()
