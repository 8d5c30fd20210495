"""How well speech is heard, and what that costs: a service of its own, asked over gRPC, whose CPU time is counted.

The sentences are those of spoken.toml in the voices of espeak-ng, and recordings of people from pocketsphinx-testdata, both
packages of Debian; then sounds that are no speech, in which nothing may be heard.
"""

import io
import os
import socket
import statistics
import subprocess
import sys
import time
import tomllib
import wave
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray

from benchmarks.environment import describe_machine
from benchmarks.processes import cpu_seconds
from benchmarks.spoken import mistakes, words
from benchmarks.tables import Document, origin, table
from vitrine.v1 import speech_pb2, speech_pb2_grpc

PHRASES = Path(__file__).with_name("spoken.toml")
RECORDINGS = Path("/usr/share/pocketsphinx/test/data")
_SETS = {
    "people, Jane Austen": "librivox/transcription",
    "people, playing cards": "cards/cards.transcription",
}
_PATIENCE_S = 120.0
_RATE = 16_000


class SpeechBenchError(Exception):
    """Something that is needed is missing; one line that names the way out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Utterance:
    """A recording, and what is said in it."""

    audio: bytes
    text: str
    language: str


def measure_speech(*, say: Any = print) -> dict[str, Any]:
    """Return the result: environment, params, and the figures of each set of utterances and of what is no speech."""
    sets = {**_synthesised(), **_recorded()}
    with _service() as (stub, pid):
        results: dict[str, Any] = {"sets": {}}
        version = ""
        for name, utterances in sets.items():
            for told in (True, False):
                figures, version = _measured(stub, pid, utterances, told=told)
                results["sets"].setdefault(name, {})["told" if told else "detected"] = figures
                say(
                    f"{name}, language {'told' if told else 'detected'}: {figures['word_error_rate']:.1f} % of words wrong"
                )
        results["no speech"] = {
            name: [answer.text for answer in (_ask(stub, sound, "en"), _ask(stub, sound, "")) if answer.text]
            for name, sound in _noises().items()
        }
    environment = describe_machine() | {"model": version, "espeak-ng": _espeak_version()}
    return {"environment": environment, "params": {"benchmark": "speech", "threads": 1}, "results": results}


def speech_section(documents: Mapping[str, Document]) -> list[str]:
    """Return the table of each result, and a line on what is no speech."""
    lines: list[str] = []
    for name, document in documents.items():
        results = document["results"]
        noises = results["no speech"]
        made_up = sum(bool(heard) for heard in noises.values())
        lines += [
            *origin(name, document),
            f"Model {document['environment']['model']}, one thread.",
            "",
            *table(
                ["what was said", "language", "utterances", "words wrong, %", "all right, %", "nothing understood, %",
                 "language right, %", "seconds of sound", "CPU s: median, 95th percentile", "wait s: median"],
                [_row(name, way, figures) for name, ways in results["sets"].items() for way, figures in ways.items()],
            ),
            "",
            f"Sounds that are no speech ({', '.join(noises)}): words were made up in {made_up} of {len(noises)}.",
            "",
        ]  # fmt: skip
    return lines[:-1]


def _row(name: str, way: str, figures: Mapping[str, Any]) -> list[str]:
    return [
        name,
        way,
        str(figures["utterances"]),
        f"{figures['word_error_rate']:.1f}",
        f"{figures['all_right']:.1f}",
        f"{figures['nothing']:.1f}",
        f"{figures['language_right']:.1f}",
        f"{figures['seconds_median']:.1f}",
        f"{figures['cpu_s_median']:.2f}, {figures['cpu_s_p95']:.2f}",
        f"{figures['wait_s_median']:.2f}",
    ]


def _measured(
    stub: speech_pb2_grpc.SpeechServiceStub, pid: int, utterances: list[Utterance], *, told: bool
) -> tuple[dict[str, Any], str]:
    wrong = all_words = right = nothing = languages = 0
    cpu, wait, seconds, version = [], [], [], ""
    for each in utterances:
        used, began = _used(pid), time.perf_counter()
        answer = _ask(stub, each.audio, each.language if told else "")
        wait.append(time.perf_counter() - began)
        cpu.append(_used(pid) - used)
        seconds.append(answer.seconds)
        version = answer.model_version
        said = words(each.text)
        errors = mistakes(said, words(answer.text))
        wrong, all_words, right = wrong + errors, all_words + len(said), right + (not errors)
        nothing += not answer.text
        languages += answer.language == each.language
    count = len(utterances)
    return {
        "utterances": count,
        "words": all_words,
        "word_error_rate": 100 * wrong / all_words,
        "all_right": 100 * right / count,
        "nothing": 100 * nothing / count,
        "language_right": 100 * languages / count,
        "seconds_median": statistics.median(seconds),
        "cpu_s_median": statistics.median(cpu),
        "cpu_s_p95": float(np.percentile(cpu, 95)),
        "wait_s_median": statistics.median(wait),
    }, version


def _ask(
    stub: speech_pb2_grpc.SpeechServiceStub, audio: bytes, language: str
) -> speech_pb2.TranscribeResponse:
    return stub.Transcribe(
        speech_pb2.TranscribeRequest(audio=audio, language=language), timeout=_PATIENCE_S, wait_for_ready=True
    )


def _used(pid: int) -> float:
    return cpu_seconds({"speech": pid})["speech"]


@contextmanager
def _service() -> Iterator[tuple[speech_pb2_grpc.SpeechServiceStub, int]]:
    """Run a speech service of one thread on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    settings = {
        "SPEECH_LISTEN": address,
        "SPEECH_LOG_LEVEL": "error",
        "SPEECH_DRAIN_S": "0",
        "OMP_NUM_THREADS": "1",
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SPEECH_")}
    process = subprocess.Popen([sys.executable, "-m", "speech"], env=inherited | settings)
    try:
        with grpc.insecure_channel(address) as channel:
            _until_ready(process, channel)
            yield speech_pb2_grpc.SpeechServiceStub(channel), process.pid
    finally:
        process.terminate()
        process.wait()


def _until_ready(process: "subprocess.Popen[bytes]", channel: grpc.Channel) -> None:
    ready = grpc.channel_ready_future(channel)
    for _ in range(int(_PATIENCE_S)):
        try:
            ready.result(timeout=1)
        except grpc.FutureTimeoutError:
            if process.poll() is not None:
                raise SpeechBenchError("the speech service did not start (make setup-speech)") from None
        else:
            return
    raise SpeechBenchError("the speech service was not ready in time")


def _synthesised() -> dict[str, list[Utterance]]:
    voices = tomllib.loads(PHRASES.read_text(encoding="utf-8"))["voices"]
    return {
        f"espeak-ng: {voice['name']}": [
            Utterance(audio=_said(phrase, voice["voice"]), text=phrase, language=voice["language"])
            for phrase in voice["phrases"]
        ]
        for voice in voices
    }


def _said(phrase: str, voice: str) -> bytes:
    try:
        command = ["espeak-ng", "-v", voice, "-s", "150", "--stdout", phrase]
        return subprocess.run(command, capture_output=True, check=True).stdout
    except FileNotFoundError:
        raise SpeechBenchError("espeak-ng is not installed (make setup-test)") from None


def _espeak_version() -> str:
    return subprocess.run(
        ["espeak-ng", "--version"], capture_output=True, text=True, check=True
    ).stdout.split()[3]


def _recorded() -> dict[str, list[Utterance]]:
    sets = {}
    for name, listing in _SETS.items():
        path = RECORDINGS / listing
        if not path.exists():
            raise SpeechBenchError("pocketsphinx-testdata is not installed (make setup-test)")
        sets[name] = [_recording(path.parent, line) for line in path.read_text(encoding="utf-8").splitlines()]
    return sets


def _recording(folder: Path, line: str) -> Utterance:
    """Read a line such as `<s> ten of clubs </s> (001)`."""
    text, _, name = line.partition("</s>")
    audio = (folder / f"{name.strip(' ()')}.wav").read_bytes()
    return Utterance(audio=audio, text=text.removeprefix("<s>").strip(), language="en")


def _noises() -> dict[str, bytes]:
    rng = np.random.default_rng(7)
    clock = np.arange(6 * _RATE) / _RATE
    beat = np.sin(2 * np.pi * 2 * clock) > 0
    chord = sum(np.sin(2 * np.pi * hertz * clock) for hertz in (262, 330, 392, 523)) / 4
    melody = np.sin(2 * np.pi * np.repeat(rng.choice([262, 294, 330, 392, 440], 24), _RATE // 4) * clock)
    return {
        "silence": _wav(np.zeros_like(clock)),
        "hiss": _wav(rng.normal(size=clock.size) * 0.01),
        "white noise": _wav(rng.normal(size=clock.size) * 0.2),
        "brown noise": _wav(np.cumsum(rng.normal(size=clock.size)) / 400),
        "hum": _wav(np.sin(2 * np.pi * 50 * clock) * 0.3),
        "tone": _wav(np.sin(2 * np.pi * 1000 * clock) * 0.3),
        "chords": _wav(chord * beat * 0.5),
        "melody": _wav(melody * 0.4),
        "clicks": _wav((np.arange(clock.size) % 8_000 < _RATE // 400) * 0.8),
        "drums": _wav(rng.normal(size=clock.size) * np.exp(-((clock * 2) % 1) * 20) * 0.5),
    }


def _wav(samples: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(_RATE)
        file.writeframes((np.clip(samples, -1, 1) * 32_767).astype("<i2").tobytes())
    return buffer.getvalue()
