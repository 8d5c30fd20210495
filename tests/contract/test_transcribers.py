"""What every transcriber promises: the fake, and the speech service behind gRPC with an engine that is told what to hear."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import numpy as np
import pytest

from gateway.adapters.speech import open_speech
from gateway.context import Call, enter_call
from gateway.errors import DeadlineExceeded, InvalidQuery, Overloaded, SpeechError
from gateway.model import Deadline
from gateway.ports import Transcriber
from gateway.testing import FakeTranscriber, recording
from speech.desk import Desk
from speech.desk import Overloaded as DeskIsFull
from speech.engines.port import EngineError, Heard, Samples
from speech.metrics import Metrics
from speech.server import serving
from speech.settings import Settings


@dataclass
class Told:
    """An engine and a decoder that do as they are told."""

    text: str = ""
    fails: bool = False
    busy: bool = False
    delay_s: float = 0.0
    version = "told-1"

    async def transcribe(self, samples: Samples, *, language: str) -> Heard:
        """Hear what it was told to."""
        del samples
        await asyncio.sleep(self.delay_s)
        if self.fails:
            raise EngineError("told to")
        if self.busy:
            raise DeskIsFull
        return Heard(self.text, (language or "en") if self.text else "")

    async def decode(self, audio: bytes) -> Samples:
        """Return a sound that is as long as the WAV of 8,000 samples a second."""
        return np.ones(len(audio) - 44, np.float32)

    async def prepare(self) -> None:
        """Do nothing."""


Open = Callable[..., AbstractAsyncContextManager[Transcriber]]


@asynccontextmanager
async def _fake(**told: object) -> AsyncIterator[Transcriber]:
    yield FakeTranscriber(**told)


@asynccontextmanager
async def _over_grpc(**told: object) -> AsyncIterator[Transcriber]:
    engine = Told(**told)
    async with (
        serving(Settings(listen="127.0.0.1:0", grace_s=0.1), engine, engine, Metrics()) as server,
        open_speech(f"127.0.0.1:{server.port}") as transcriber,
    ):
        yield transcriber


@pytest.fixture(params=[_fake, _over_grpc], ids=["fake", "grpc"])
def opened(request: pytest.FixtureRequest) -> Open:
    """Open a transcriber of the kind."""
    return request.param


async def test_words_come_with_their_language_and_length(opened: Open) -> None:
    """The language that was asked for, or the one that was heard."""
    async with opened(text="a red dress") as transcriber:
        heard = await transcriber.transcribe(recording(1.5), language="es", timeout_s=30)
        assert (heard.text, heard.language, heard.seconds) == ("a red dress", "es", 1.5)
        heard = await transcriber.transcribe(recording(1.5), language="", timeout_s=30)
        assert heard.language == "en"


async def test_nothing_that_was_understood_is_an_answer_too(opened: Open) -> None:
    """Without words and without a language."""
    async with opened() as transcriber:
        heard = await transcriber.transcribe(recording(), language="", timeout_s=30)
    assert (heard.text, heard.language) == ("", "")


@pytest.mark.parametrize(
    ("audio", "said"),
    [
        (b"GIF89a", "audio: is not a WAV, FLAC, Ogg or WebM recording"),
        (recording(31.0, loudness=0.0), "audio: lasts 31.0 s; the limit is 30 s"),
    ],
)
async def test_a_recording_that_breaks_a_limit_is_the_callers(opened: Open, audio: bytes, said: str) -> None:
    """By its field, with the limit."""
    async with opened(text="a") as transcriber:
        with pytest.raises(InvalidQuery) as refused:
            await transcriber.transcribe(audio, language="", timeout_s=30)
    assert str(refused.value) == said
    assert refused.value.field == "audio"


@pytest.mark.parametrize(
    ("told", "error"),
    [({"fails": True}, SpeechError), ({"busy": True}, Overloaded), ({"delay_s": 60.0}, DeadlineExceeded)],
)
async def test_failure_load_and_lateness_are_told_apart(
    opened: Open, told: dict[str, object], error: type[Exception]
) -> None:
    """Each has its error."""
    async with opened(text="a", **told) as transcriber:
        with pytest.raises(error):
            await transcriber.transcribe(
                recording(), language="", timeout_s=0.5 if error is DeadlineExceeded else 60
            )


async def test_one_that_is_full_says_when_to_come_back() -> None:
    """The delay is the service's."""
    async with _over_grpc(busy=True) as transcriber:
        with pytest.raises(Overloaded) as refused:
            await transcriber.transcribe(recording(), language="", timeout_s=30)
    assert refused.value.retry_after_s == 2.0


async def test_one_that_is_not_there_is_unavailable() -> None:
    """Nobody listening is told at once; a call's id goes along without harm."""
    enter_call(Call(method="Search", request_id="abc-1", deadline=Deadline.after(60)))
    async with open_speech("127.0.0.1:1") as transcriber:
        with pytest.raises(SpeechError, match="speech is unavailable"):
            await transcriber.transcribe(recording(), language="", timeout_s=60)


async def test_a_desk_takes_as_many_as_it_has_places() -> None:
    """Two at once, and no third where none may wait."""
    desk = Desk(workers=2, waiting=0)
    async with desk.place(), desk.place():
        with pytest.raises(DeskIsFull):
            async with desk.place():
                pass
