"""The engine behind a server of transcriptions, against a real HTTP server on loopback."""

import asyncio
import io
import json
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
from aiohttp import web

from speech.engines.port import EngineError, Heard, Samples
from speech.engines.transcriptions import Transcriptions, open_transcriptions

SAMPLES: Samples = np.linspace(-1, 1, 16_000, dtype=np.float32)


class Server:
    """Answers what it is told to, and keeps what it was sent."""

    def __init__(self, answer: Any = None, *, status: int = 200, body: bytes | None = None) -> None:
        self.body = json.dumps(answer).encode() if body is None else body
        self.status = status
        self.fields: dict[str, str] = {}
        self.sound = b""
        self.authorization = ""

    async def answer(self, request: web.Request) -> web.Response:
        """Read the form; answer."""
        self.authorization = request.headers.get("Authorization", "")
        async for part in await request.multipart():
            if part.name == "file":
                self.sound = await part.read()
            else:
                self.fields[part.name] = await part.text()
        return web.Response(status=self.status, body=self.body, content_type="application/json")


@asynccontextmanager
async def engine(server: Server, form: str = "verbose_json") -> AsyncIterator[Transcriptions]:
    app = web.Application()
    app.router.add_post("/v1/audio/transcriptions", server.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        async with open_transcriptions(
            url=f"http://127.0.0.1:{port}/v1",
            api_key=lambda: "key-1",
            model="whisper-1",
            form=form,
            connections=1,
        ) as opened:
            yield opened
    finally:
        await runner.cleanup()


async def test_the_server_gets_a_plain_wav_and_the_language() -> None:
    """What a stranger sent is decoded here, and the server sees samples alone."""
    server = Server({"text": " a red dress ", "language": "en"})
    async with engine(server) as transcriptions:
        heard = await transcriptions.transcribe(SAMPLES, language="en")
    assert heard == Heard("a red dress", "en")
    assert server.authorization == "Bearer key-1"
    assert server.fields == {
        "model": "whisper-1",
        "response_format": "verbose_json",
        "temperature": "0",
        "language": "en",
    }
    with wave.open(io.BytesIO(server.sound)) as sound:
        assert (sound.getframerate(), sound.getnchannels(), sound.getnframes()) == (16_000, 1, 16_000)


async def test_what_the_server_is_not_sure_of_was_not_said() -> None:
    """Its own word on each segment counts, where it gives one."""
    answer = {
        "text": "Thanks for watching! a dress",
        "language": "english",
        "segments": [
            {
                "text": "Thanks for watching!",
                "no_speech_prob": 0.9,
                "avg_logprob": -0.2,
                "compression_ratio": 1,
            },
            {"text": " a dress", "no_speech_prob": 0.1, "avg_logprob": -0.2, "compression_ratio": 1},
        ],
    }
    async with engine(Server(answer)) as transcriptions:
        assert await transcriptions.transcribe(SAMPLES, language="") == Heard("a dress", "")


async def test_nothing_said_is_nothing() -> None:
    """An empty text has no language."""
    async with engine(Server({"text": "", "language": "en"}), "json") as transcriptions:
        assert await transcriptions.transcribe(SAMPLES, language="en") == Heard()


@pytest.mark.parametrize(
    ("server", "said"),
    [
        (Server({}, status=503), "status 503"),
        (Server(body=b"<html>"), "an answer that is no JSON"),
        (Server({"words": 1}), "an answer without a text"),
        (Server({"text": "a", "segments": ["b"]}), "an answer with a segment that is none"),
        (Server(body=b" " * 300_000), "an answer of over 262,144 bytes"),
    ],
)
async def test_an_answer_that_is_none_is_an_engine_error(server: Server, said: str) -> None:
    """The reason is for the log and quotes nothing of the answer."""
    async with engine(server) as transcriptions:
        with pytest.raises(EngineError, match=said):
            await transcriptions.transcribe(SAMPLES, language="")


async def test_a_server_that_is_not_there_is_an_engine_error() -> None:
    """Nobody listening is told at once."""
    async with open_transcriptions(
        url="http://127.0.0.1:1/v1", api_key=lambda: "", model="m", form="json", connections=1
    ) as transcriptions:
        with pytest.raises(EngineError, match="unreachable"):
            await asyncio.wait_for(transcriptions.transcribe(SAMPLES, language=""), 30)
