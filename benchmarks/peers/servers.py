"""Other servers of the same graphs: how each is started, asked and ended."""

import asyncio
import base64
import os
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import aiohttp
import psutil

from benchmarks.generator import OK, Send
from benchmarks.serving import PRODUCTS
from vitrine.v1.search_pb2 import SearchRequest

FOLDER = Path("build/peers")
"""Where `make bench-peers` makes an environment for each."""

_START_S = 90.0
_STOP_S = 20.0


class PeerError(Exception):
    """A peer that is installed did not start; names its log."""


def _query(_: str, value: str) -> dict[str, Any]:
    return {"query": value}


def _queries(_: str, value: str) -> dict[str, Any]:
    return {"queries": [value]}


def _openai(kind: str, value: str) -> dict[str, Any]:
    """Return the body of OpenAI's embeddings, with a picture as infinity takes it."""
    if kind == "image":
        value = f"data:image/jpeg;base64,{value}"
    return {"model": "vitrine", "input": [value], "modality": kind}


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A server that answers POST."""

    name: str
    kinds: tuple[str, ...] = ("text", "image")
    path: str = "/embed"
    body: Callable[[str, str], dict[str, Any]] = _query
    """Gives the JSON of a kind of query and its text, or its picture in base64."""

    def python(self) -> Path:
        """Return the interpreter of its environment."""
        return FOLDER / self.name / "bin" / "python"


PEERS = (
    Peer(name="fastapi"),
    Peer(name="litserve"),
    Peer(name="bentoml", body=_queries),
    Peer(name="rayserve"),
    Peer(name="infinity", path="/embeddings", body=_openai),
    Peer(name="chain", kinds=("search",)),
)


@dataclass(frozen=True, slots=True)
class Started:
    """A peer that runs and has answered."""

    send: Send[SearchRequest]
    pid: int
    start_s: float


@asynccontextmanager
async def started(
    peer: Peer, kind: str, repository: Path, queries: Iterator[SearchRequest]
) -> AsyncIterator[Started]:
    """Run a peer for one kind of query, from its start until it has answered one.

    Raises:
        PeerError: it answered none.
    """
    port = _free_port()
    with (FOLDER / f"{peer.name}-{kind}.log").open("wb") as log:
        begun = time.monotonic()
        process = _start(peer, _settings(kind, port, repository), log)
        try:
            async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
                send = partial(_post, session, peer, kind)
                while await send(next(queries), _START_S) != OK:
                    if process.poll() is not None or time.monotonic() - begun > _START_S:
                        raise PeerError(f"{peer.name} did not start: {log.name}")
                    await asyncio.sleep(0.1)
                yield Started(send, process.pid, round(time.monotonic() - begun, 1))
        finally:
            _stop(process)


def memory_mb(pid: int) -> int:
    """Return the memory of a process and its descendants; what they share counts once."""
    tree = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    return round(sum(each.memory_full_info().pss for each in tree) / 2**20)


async def _post(
    session: aiohttp.ClientSession, peer: Peer, kind: str, query: SearchRequest, timeout_s: float
) -> str:
    value = base64.b64encode(query.image).decode() if query.image else query.text
    try:
        timeout = aiohttp.ClientTimeout(timeout_s)
        async with session.post(peer.path, json=peer.body(kind, value), timeout=timeout) as answer:
            await answer.read()
            return OK if answer.ok else str(answer.status)
    except (aiohttp.ClientError, TimeoutError) as error:
        return type(error).__name__


def _settings(kind: str, port: int, repository: Path) -> dict[str, str]:
    return {
        "PEER_PORT": str(port),
        "PEER_KIND": "text" if kind == "search" else kind,
        "PEER_REPOSITORY": str(repository.absolute()),
        "PEER_PRODUCTS": str(PRODUCTS),
        "PYTHONPATH": str(Path.cwd()),
        "TOKENIZERS_PARALLELISM": "false",
        "BENTOML_DO_NOT_TRACK": "true",
        "DO_NOT_TRACK": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": "disabled",  # else it writes a token into the home folder
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _start(peer: Peer, settings: dict[str, str], log: BinaryIO) -> "subprocess.Popen[bytes]":
    command = [str(peer.python().absolute()), "-m", f"benchmarks.peers.{peer.name}_server"]
    return subprocess.Popen(
        command, env=os.environ | settings, stdout=log, stderr=log, start_new_session=True
    )


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """End a server and what it started."""
    tree = [*psutil.Process(process.pid).children(recursive=True)] if process.poll() is None else []
    process.terminate()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
    for left in tree:
        if left.is_running():
            left.kill()
