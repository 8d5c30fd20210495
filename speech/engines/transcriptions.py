"""The engine behind an OpenAI-compatible server of /audio/transcriptions: speaches, vLLM, whisper.cpp or a hosted one."""

import io
import json
import re
import wave
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import numpy as np

from speech.engines.port import SAMPLE_RATE, EngineError, Heard, Samples
from speech.engines.sureness import Segment, said
from vitrine.process.authorities import Authorities
from vitrine.process.secrets import Secret, bearer
from vitrine.process.tracing import hop_context, span

MAX_ANSWER_BYTES = 256 * 1024
_CODE = re.compile(r"[a-z]{2,3}")


class Transcriptions:
    """Sends a recording as the plain WAV that was made of it, so that no server decodes what a stranger sent."""

    def __init__(self, client: httpx.AsyncClient, *, model: str, form: str) -> None:
        self.version = model
        self._client = client
        self._form = form

    async def transcribe(self, samples: Samples, *, language: str) -> Heard:
        """Return what the server made of the recording; what it is not sure of, where it says so, was not said."""
        fields = {"model": self.version, "response_format": self._form, "temperature": "0"}
        if language:
            fields["language"] = language
        try:
            with span("model audio/transcriptions", **{"peer.service": "model"}):
                answer = await self._ask(fields, wav(samples))
        except httpx.HTTPError as error:
            raise EngineError(f"unreachable: {type(error).__name__}") from error
        return _heard(answer, language)

    async def _ask(self, fields: Mapping[str, str], sound: bytes) -> Any:
        async with self._client.stream(
            "POST",
            "audio/transcriptions",
            data=dict(fields),
            files={"file": ("speech.wav", sound, "audio/wav")},
            headers=dict(hop_context()),
        ) as response:
            if response.status_code != httpx.codes.OK:
                raise EngineError(f"status {response.status_code}")
            answer = bytearray()
            async for piece in response.aiter_bytes():
                answer += piece
                if len(answer) > MAX_ANSWER_BYTES:
                    raise EngineError(f"an answer of over {MAX_ANSWER_BYTES:,} bytes")
        try:
            return json.loads(answer)
        except (ValueError, RecursionError):
            raise EngineError("an answer that is no JSON") from None


def wav(samples: Samples) -> bytes:
    """Return samples as a WAV of 16 bits."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes((np.clip(samples, -1, 1) * 32_767).astype("<i2").tobytes())
    return buffer.getvalue()


def _heard(answer: Any, language: str) -> Heard:
    match answer:
        case {"text": str(text), "segments": [_, *_] as segments}:
            parts = [_segment(each) for each in segments]
            words = said(parts) if any(each.text for each in parts) else said([Segment(text=text)])
        case {"text": str(text)}:
            words = said([Segment(text=text)])
        case _:
            raise EngineError("an answer without a text")
    told = answer.get("language")
    # Some servers say "english".
    known = told if isinstance(told, str) and _CODE.fullmatch(told) else language
    return Heard(words, known if words else "")


def _segment(segment: Any) -> Segment:
    if not isinstance(segment, dict):
        raise EngineError("an answer with a segment that is none")
    numbers = {
        name: segment[key]
        for name, key in (
            ("log_probability", "avg_logprob"),
            ("no_speech", "no_speech_prob"),
            ("compression", "compression_ratio"),
        )
        if isinstance(segment.get(key), int | float)
    }
    return Segment(text=str(segment.get("text", "")), **numbers)


@asynccontextmanager
async def open_transcriptions(
    *,
    url: str,
    api_key: Secret,
    model: str,
    form: str,
    connections: int,
    authorities: Authorities | None = None,
) -> AsyncIterator[Transcriptions]:
    """Hold the connections to the server whose API begins at the URL."""
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    # No timeout of httpx: the whole call has one.
    async with httpx.AsyncClient(
        base_url=url,
        auth=bearer(api_key),
        limits=limits,
        timeout=None,  # noqa: S113 - as said above
        trust_env=False,
        **(authorities.options if authorities is not None else {}),
    ) as client:
        yield Transcriptions(client, model=model, form=form)
