"""The service over a loopback port: what is heard, refused, shed and late, and what is told of it."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import numpy as np
import pytest
from google.rpc import error_details_pb2
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from gateway.testing import recording, until
from speech.desk import Desk, Overloaded
from speech.engines.port import Engine, EngineError, Heard, Samples
from speech.metrics import Metrics
from speech.server import SERVICE, serving
from speech.settings import Settings
from vitrine.audio_header import AudioRejected
from vitrine.process.logs import JsonFormatter
from vitrine.process.settings import InvalidSettings
from vitrine.v1 import speech_pb2, speech_pb2_grpc

SECRET = "a red dress"


class Ear:
    """An engine that hears one text, when it is let, and fails where it is told to."""

    version = "ear-1"

    def __init__(self, *, held: bool = False, fails: bool = False) -> None:
        self.go = asyncio.Event()
        if not held:
            self.go.set()
        self.fails = fails
        self.languages: list[str] = []

    async def transcribe(self, samples: Samples, *, language: str) -> Heard:
        """Hear."""
        assert samples.dtype == np.float32
        self.languages.append(language)
        await self.go.wait()
        if self.fails:
            raise EngineError("status 500")
        return Heard(SECRET, language or "en")


class PlainDecoder:
    """Takes a WAV of 16 bits as it is."""

    async def decode(self, audio: bytes) -> Samples:
        """Return the samples behind the header, as if they were 16,000 a second."""
        if b"broken" in audio:
            raise AudioRejected("is damaged")
        return np.frombuffer(audio[44:], "<i2").astype(np.float32) / 32_768

    async def prepare(self) -> None:
        """Do nothing."""


@asynccontextmanager
async def service(
    engine: Engine, metrics: Metrics | None = None, **settings: int
) -> AsyncIterator[aio.Channel]:
    chosen = Settings(listen="127.0.0.1:0", grace_s=0.1, **settings)
    async with (
        serving(chosen, engine, PlainDecoder(), metrics or Metrics()) as server,
        aio.insecure_channel(f"127.0.0.1:{server.port}") as channel,
    ):
        yield channel


async def hear(
    channel: aio.Channel, audio: bytes, language: str = "", timeout_s: float = 60
) -> speech_pb2.TranscribeResponse:
    stub = speech_pb2_grpc.SpeechServiceStub(channel)
    return await stub.Transcribe(
        speech_pb2.TranscribeRequest(audio=audio, language=language), timeout=timeout_s
    )


async def refused(channel: aio.Channel, audio: bytes, timeout_s: float = 60) -> aio.AioRpcError:
    with pytest.raises(aio.AioRpcError) as error:
        await hear(channel, audio, timeout_s=timeout_s)
    return error.value


async def test_what_was_said_comes_back_with_its_language_and_length() -> None:
    """The engine's words, in the language that was asked for."""
    ear = Ear()
    async with service(ear) as channel:
        answer = await hear(channel, recording(2.0), "es")
    assert (answer.text, answer.language, answer.model_version) == (SECRET, "es", "ear-1")
    assert answer.seconds == 1.0  # 16,000 samples
    assert ear.languages == ["es"]


async def test_silence_asks_no_engine() -> None:
    """Nobody's time is spent on it, and nothing is made up."""
    ear = Ear()
    metrics = Metrics()
    async with service(ear, metrics) as channel:
        answer = await hear(channel, recording(loudness=0.0))
    assert (answer.text, answer.language, ear.languages) == ("", "", [])
    assert metrics.registry.get_sample_value("vitrine_speech_transcripts_total", {"outcome": "nothing"}) == 1


async def test_a_language_that_is_none_is_detected() -> None:
    """Whatever stands there reaches no engine."""
    ear = Ear()
    async with service(ear) as channel:
        await hear(channel, recording(), "../en")
    assert ear.languages == [""]


@pytest.mark.parametrize(
    ("audio", "message"),
    [
        (b"", "audio: is empty"),
        (b"GIF89a", "audio: is not a WAV, FLAC, Ogg or WebM recording"),
        (b"RIFF" + bytes(1_999_997), "audio: has 2,000,001 bytes; the limit is 2,000,000"),
        (recording() + b"broken", "audio: is damaged"),
    ],
)
async def test_what_cannot_be_heard_is_refused_by_its_field(audio: bytes, message: str) -> None:
    """One line that names the field and the limit, and the field for programs."""
    async with service(Ear()) as channel:
        error = await refused(channel, audio)
    assert error.details() == message
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    (detail,) = rpc_status.from_call(error).details
    request = error_details_pb2.BadRequest()
    assert detail.Unpack(request)
    assert request.field_violations[0].field == "audio"


async def test_one_more_than_may_wait_is_told_when_to_come_back() -> None:
    """One is heard, one waits, the third is refused; both others are answered."""
    ear, metrics = Ear(held=True), Metrics()
    async with service(ear, metrics, workers=1, max_waiting=1) as channel:
        both = [asyncio.create_task(hear(channel, recording())) for _ in range(2)]
        await until(lambda: metrics.registry.get_sample_value("vitrine_speech_waiting") == 1)
        error = await refused(channel, recording())
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        info = error_details_pb2.RetryInfo()
        assert rpc_status.from_call(error).details[0].Unpack(info)
        assert info.retry_delay.seconds == 2
        ear.go.set()
        assert [answer.text for answer in await asyncio.gather(*both)] == [SECRET, SECRET]


async def test_who_is_late_leaves_its_place_to_others() -> None:
    """A deadline that passes ends the call, in the queue and before the engine alike."""
    ear, metrics = Ear(held=True), Metrics()
    async with service(ear, metrics, workers=1, max_waiting=1) as channel:
        first = asyncio.create_task(refused(channel, recording(), timeout_s=1.5))
        await until(lambda: metrics.registry.get_sample_value("vitrine_speech_hearing") == 1)
        assert (
            await refused(channel, recording(), timeout_s=0.1)
        ).code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert (await first).code() is grpc.StatusCode.DEADLINE_EXCEEDED
        ear.go.set()
        assert (await hear(channel, recording())).text == SECRET


async def test_an_engine_that_fails_is_unavailable_and_says_nothing_of_why() -> None:
    """The reason is for the log."""
    async with service(Ear(fails=True)) as channel:
        error = await refused(channel, recording())
    assert (error.code(), error.details()) == (grpc.StatusCode.UNAVAILABLE, "no engine answered")


async def test_health_says_serving() -> None:
    """Of the service and of the process."""
    async with service(Ear()) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)  # its stubs leave the methods out
        for name in ("", SERVICE):
            answer = await stub.Check(health_pb2.HealthCheckRequest(service=name))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_the_log_holds_no_word(caplog: pytest.LogCaptureFixture) -> None:
    """Lengths and times, and nothing that was said."""
    caplog.set_level(logging.INFO)
    async with service(Ear()) as channel:
        await hear(channel, recording())
    lines = [JsonFormatter().format(record) for record in caplog.records]
    told = [json.loads(line) for line in lines if json.loads(line).get("event") == "heard"]
    assert told[0]["seconds"] == 0.5
    assert told[0]["container"] == "WAV"
    assert not any("dress" in line for line in lines)


async def test_a_desk_is_left_as_it_was_found() -> None:
    """A place that was given up is free again; a queue without room refuses at once."""
    desk = Desk(workers=1, waiting=0)
    async with desk.place():
        assert desk.hearing == 1
        with pytest.raises(Overloaded):
            async with desk.place():
                pass
    async with desk.place():
        assert (desk.hearing, desk.waiting) == (1, 0)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"engine": "siri"}, "SPEECH_ENGINE must be one of whisper, openai, got 'siri'"),
        ({"workers": 0}, "SPEECH_WORKERS must be a number >= 1, got 0"),
        ({"engine": "openai"}, "SPEECH_OPENAI_URL must be an http(s) URL, got ''"),
        (
            {"engine": "openai", "openai_url": "http://far/v1", "openai_model": "w", "openai_api_key": "k"},
            (
                "SPEECH_OPENAI_URL must be https where a key goes with it, unless it is this machine's own:"
                " anybody on the way could read the key"
            ),
        ),
        (
            {"engine": "openai", "openai_url": "http://127.0.0.1/v1"},
            "SPEECH_OPENAI_MODEL must name the model",
        ),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, object], said: str) -> None:
    """One line with the variable."""
    with pytest.raises(InvalidSettings) as refused_:
        Settings(**settings)
    assert str(refused_.value) == said


def test_languages_are_read_as_a_list() -> None:
    """Codes with commas between."""
    assert Settings(languages=" en, ES,").detected == ("en", "es")
