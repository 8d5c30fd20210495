"""The real engine: Whisper base hears espeak-ng and people, and hears nothing where nobody speaks."""

import io
import os
import shutil
import signal
import subprocess
import sys
import wave
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from numpy.typing import NDArray

from gateway.adapters.speech import open_speech
from gateway.testing import ServedGateway, product, serving
from tests.ports import free_address
from vitrine.v1 import search_pb2, search_pb2_grpc, speech_pb2, speech_pb2_grpc

ROOT = Path(__file__).parents[2]
RECORDINGS = Path("/usr/share/pocketsphinx/test/data")
PATIENCE_S = 120
MISSING = [
    name
    for name, there in (
        ("faster-whisper: make setup-speech", find_spec("faster_whisper") is not None),
        ("espeak-ng: make setup-test", shutil.which("espeak-ng") is not None),
        ("pocketsphinx-testdata: make setup-test", RECORDINGS.is_dir()),
    )
    if not there
]

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"no {', no '.join(MISSING)}")


@contextmanager
def process(**settings: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """Run `python -m speech` with these settings; give it and its address."""
    address = free_address()
    env = {name: value for name, value in os.environ.items() if not name.startswith("SPEECH_")}
    own = {f"SPEECH_{name.upper()}": value for name, value in settings.items()}
    running = subprocess.Popen(
        [sys.executable, "-m", "speech"],
        cwd=ROOT,
        env=env | {"SPEECH_LISTEN": address, "SPEECH_DRAIN_S": "0", "SPEECH_GRACE_S": "1"} | own,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield running, address
    finally:
        running.kill()
        running.communicate()


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    """The address of a speech service with Whisper."""
    with process(log_level="error") as (_, address):
        with grpc.insecure_channel(address) as channel:
            grpc.channel_ready_future(channel).result(timeout=PATIENCE_S)
        yield address


def spoken(text: str, voice: str = "en-us") -> bytes:
    """Say it."""
    command = ["espeak-ng", "-v", voice, "-s", "150", "--stdout", text]
    return subprocess.run(command, capture_output=True, check=True).stdout


def sound(samples: NDArray[np.float64], rate: int = 16_000) -> bytes:
    """Return a WAV."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.clip(samples, -1, 1) * 32_767).astype("<i2").tobytes())
    return buffer.getvalue()


@asynccontextmanager
async def gateway(address: str) -> AsyncIterator[ServedGateway]:
    products = [
        product("p1", "black leather handbag"),
        product("p2", "white shirt"),
        product("p3", "red dress"),
    ]
    async with (
        open_speech(address) as transcriber,
        serving(products=products, transcriber=transcriber) as served,
    ):
        yield served


async def search(served: ServedGateway, audio: bytes, locale: str = "en") -> search_pb2.SearchResponse:
    stub = search_pb2_grpc.SearchServiceStub(served.channel)
    request = search_pb2.SearchRequest(audio=audio, locale=locale)
    return await stub.Search(request, timeout=PATIENCE_S)


async def test_what_is_spoken_finds_products(service: str) -> None:
    """From the sound to the hit, through the gateway."""
    async with gateway(service) as served:
        answer = await search(served, spoken("a black leather handbag"))
    # Whether the article is heard differs between processors.
    assert answer.heard.text.lower().removeprefix("a ") == "black leather handbag"
    assert answer.heard.language == "en"
    assert answer.heard.seconds == pytest.approx(1.9, abs=0.5)
    assert answer.hits[0].product_id == "p1"
    assert list(answer.degraded) == []


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("librivox/sense_and_sensibility_01_austen_64kb-0880.wav", "he was not an ill-disposed young man"),
        (
            "librivox/sense_and_sensibility_01_austen_64kb-0930.wav",
            "he might even have been made amiable himself",
        ),
        ("cards/003.wav", "7 of clubs"),
    ],
)
def test_people_are_understood(service: str, name: str, words: str) -> None:
    """Recordings of a reader and of players of cards, word by word, with the language detected."""
    with grpc.insecure_channel(service) as channel:
        stub = speech_pb2_grpc.SpeechServiceStub(channel)
        audio = (RECORDINGS / name).read_bytes()
        answer = stub.Transcribe(speech_pb2.TranscribeRequest(audio=audio), timeout=PATIENCE_S)
    # Processors differ in how a number is written.
    assert answer.text.lower().replace("seven", "7") == words
    assert answer.language == "en"


NOISE = np.random.default_rng(1).normal(size=16_000 * 5)
CLOCK = np.arange(16_000 * 5) / 16_000
CHORD = sum(np.sin(2 * np.pi * hertz * CLOCK) for hertz in (262, 330, 392)) / 3


@pytest.mark.parametrize(
    "samples",
    [np.zeros(80_000), NOISE * 0.01, NOISE * 0.2, CHORD * 0.5, CHORD * (np.sin(2 * np.pi * 2 * CLOCK) > 0)],
    ids=["silence", "hiss", "noise", "chord", "music"],
)
async def test_where_nobody_speaks_nothing_is_made_up(service: str, samples: NDArray[np.float64]) -> None:
    """Silence, noise and music are told for what they are."""
    async with gateway(service) as served:
        with pytest.raises(aio.AioRpcError) as refused:
            await search(served, sound(samples))
    assert refused.value.details() == "audio: nothing was understood in it: say it again, or write it"


async def test_what_cannot_be_heard_is_one_line(service: str) -> None:
    """A recording whose header is right and whose sound is none, through both services."""
    broken = b"OggS\0\2" + bytes(20) + b"\x01\x13OpusHead\x01\x01" + bytes(9) + b"OggS" + bytes(60)
    async with gateway(service) as served:
        with pytest.raises(aio.AioRpcError) as refused:
            await search(served, broken)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.value.details() == "audio: is damaged, or of a coding that is not taken"


def test_the_process_answers_drains_and_ends() -> None:
    """Health says SERVING until SIGTERM; the log has lengths and no word, and the exit is 0."""
    with process(log_level="info") as (running, address):
        with grpc.insecure_channel(address) as channel:
            grpc.channel_ready_future(channel).result(timeout=PATIENCE_S)
            health: Any = health_pb2_grpc.HealthStub(channel)  # its stubs leave the methods out
            name = health_pb2.HealthCheckRequest(service="vitrine.v1.SpeechService")
            assert health.Check(name, timeout=PATIENCE_S).status == health_pb2.HealthCheckResponse.SERVING
            stub = speech_pb2_grpc.SpeechServiceStub(channel)
            request = speech_pb2.TranscribeRequest(audio=spoken("red summer dress"), language="en")
            assert "dress" in stub.Transcribe(request, timeout=PATIENCE_S).text.lower()
        running.send_signal(signal.SIGTERM)
        log = running.communicate(timeout=PATIENCE_S)[1]
        assert running.returncode == 0, log
    assert '"event": "heard"' in log
    assert "dress" not in log.lower()


def test_wrong_settings_end_it_with_one_line() -> None:
    """The variable is named."""
    with process(engine="siri") as (running, _):
        log = running.communicate(timeout=PATIENCE_S)[1]
    assert running.returncode == 1
    assert log == "speech: SPEECH_ENGINE must be one of whisper, openai, got 'siri'\n"
