"""`python -m benchmarks peers`: the same graphs served by others, on the same cores, by the same clients."""

import asyncio
import base64
import os
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import aiohttp
import psutil

from benchmarks.environment import describe_environment
from benchmarks.generator import OK, Send, closed_loop, sender
from benchmarks.infer import infer_sender, query_inputs
from benchmarks.processes import cpu_seconds
from benchmarks.second_triton import second_triton
from benchmarks.serving import PRODUCTS, Served
from benchmarks.stages import KINDS
from benchmarks.summary import summarise_repeats, summarise_run
from benchmarks.workloads import Material, image_requests, read_pictures, text_requests
from catalogue.randomness import generator
from vitrine.client import VitrineClient
from vitrine.v1.search_pb2 import SearchRequest

FOLDER = Path("build/peers")
"""Where `make bench-peers` makes an environment for each."""
OURS = "vitrine"
CLIENTS = (1, 16)

_START_S = 90.0
_STOP_S = 20.0
_SECONDS = 1.5
_WARM_UP_S = 1.0
_MB = 2**20


class PeerError(Exception):
    """A peer that is installed did not start; names its log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A server that answers POST /embed."""

    name: str
    kinds: tuple[str, ...] = ("text", "image")
    field: str = "query"
    """Of the JSON that it takes; queries is a list."""


PEERS = (
    Peer(name="fastapi"),
    Peer(name="litserve"),
    Peer(name="bentoml", field="queries"),
    Peer(name="chain", kinds=("search",)),
)


@dataclass(slots=True)
class _Case:
    """A server, asked one kind of query."""

    peer: str
    kind: str
    send: Send[Any]
    requests: Iterator[Any]
    pids: dict[str, int]
    start_s: float | None


async def measure_peers(
    served: Served, *, repeats: int, salt: str, say: Callable[[str], None]
) -> dict[str, Any]:
    """Start every peer that is installed, and measure them and ours in turn; give the document of the result file."""
    missing = [peer.name for peer in PEERS if not _python(peer).exists()]
    async with AsyncExitStack() as running:
        client = await running.enter_async_context(VitrineClient(served.address, retry=False))
        environment = describe_environment(await client.describe())
        cases = [case async for case in _ours(running, client, served, salt)]
        for peer in PEERS:
            for kind in peer.kinds if peer.name not in missing else ():
                try:
                    cases.append(await running.enter_async_context(_served_by(peer, kind, served, salt)))
                except PeerError as error:
                    say(str(error))
                    missing.append(f"{peer.name} for {kind}")
        results = await _measure(cases, repeats, say)
    params = {
        "benchmark": "peers",
        "repeats": repeats,
        "clients": CLIENTS,
        "salt": salt,
        "left out": missing,
    }
    return {"environment": environment, "params": params, "results": results}


async def _measure(cases: list[_Case], repeats: int, say: Callable[[str], None]) -> list[dict[str, Any]]:
    for case in cases:
        await closed_loop(case.send, case.requests, clients=4, seconds=_WARM_UP_S)
    traces: dict[tuple[int, int], list[Any]] = {}
    runs: dict[tuple[int, int], list[Any]] = {}
    for _ in range(repeats):
        for number, case in enumerate(cases):
            for clients in CLIENTS:
                before = cpu_seconds(case.pids)
                trace = await closed_loop(case.send, case.requests, clients=clients, seconds=_SECONDS)
                used = {name: seconds - before[name] for name, seconds in cpu_seconds(case.pids).items()}
                traces.setdefault((number, clients), []).append(trace)
                runs.setdefault((number, clients), []).append(summarise_run(trace, used))
    results = []
    for (number, clients), own in runs.items():
        case, pooled = cases[number], summarise_repeats(traces[number, clients], own)
        results.append(
            {
                "peer": case.peer,
                "kind": case.kind,
                "clients": clients,
                "memory_mb": sum(map(_memory_mb, case.pids.values())),
                "start_s": case.start_s,
                "pooled": pooled,
                "repeats": own,
            }
        )
        say(f"{case.peer}, {case.kind}, {clients} clients: {pooled['cpu_ms_per_answer']}")
    return results


async def _ours(
    running: AsyncExitStack, client: VitrineClient, served: Served, salt: str
) -> AsyncIterator[_Case]:
    triton = running.enter_context(second_triton(served.pids["triton"]))
    infer = await running.enter_async_context(infer_sender(triton.address))
    for kind in ("text", "image"):
        calls = map(partial(query_inputs, KINDS[kind], embedding_dim=0), _queries(kind, served, salt))
        yield _Case(OURS, kind, infer, calls, {"triton": triton.pid}, triton.start_s)
    yield _Case(OURS, "search", sender(client), _queries("search", served, salt), served.pids, None)


@asynccontextmanager
async def _served_by(peer: Peer, kind: str, served: Served, salt: str) -> AsyncIterator[_Case]:
    """Run a peer for one kind of query."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {
        "PEER_PORT": str(port),
        "PEER_KIND": "text" if kind == "search" else kind,
        "PEER_REPOSITORY": str(served.repository),
        "PEER_PRODUCTS": str(PRODUCTS),
        "PYTHONPATH": os.curdir,
        "TOKENIZERS_PARALLELISM": "false",
        "BENTOML_DO_NOT_TRACK": "true",
    }
    queries = _queries(kind, served, salt)
    with (FOLDER / f"{peer.name}-{kind}.log").open("wb") as log:
        begun = time.monotonic()
        process = _start(peer, settings, log)
        try:
            async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
                send = partial(_post, session, peer.field)
                while await send(next(queries), _START_S) != OK:
                    if process.poll() is not None or time.monotonic() - begun > _START_S:
                        raise PeerError(f"{peer.name} did not start: {log.name}")
                    await asyncio.sleep(0.1)
                start_s = round(time.monotonic() - begun, 1)
                yield _Case(peer.name, kind, send, queries, {peer.name: process.pid}, start_s)
        finally:
            _stop(process)


async def _post(session: aiohttp.ClientSession, field: str, query: SearchRequest, timeout_s: float) -> str:
    value: Any = base64.b64encode(query.image).decode() if query.image else query.text
    body = {field: [value] if field == "queries" else value}
    try:
        timeout = aiohttp.ClientTimeout(timeout_s)
        async with session.post("/embed", json=body, timeout=timeout) as answer:
            await answer.read()
            return OK if answer.ok else str(answer.status)
    except (aiohttp.ClientError, TimeoutError) as error:
        return type(error).__name__


def _queries(kind: str, served: Served, salt: str) -> Iterator[SearchRequest]:
    rng = generator("peers", kind, salt)
    if kind == "image":
        return image_requests(Material(read_pictures(served.queries), ()), rng)
    return text_requests(Material((), ()), rng)


def _start(peer: Peer, settings: dict[str, str], log: BinaryIO) -> "subprocess.Popen[bytes]":
    command = [str(_python(peer).absolute()), "-m", f"benchmarks.peers.{peer.name}_server"]
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


def _memory_mb(pid: int) -> int:
    """Return the memory of a process and its children; what they share counts once."""
    tree = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    return round(sum(each.memory_full_info().pss for each in tree) / _MB)


def _python(peer: Peer) -> Path:
    return FOLDER / peer.name / "bin" / "python"
