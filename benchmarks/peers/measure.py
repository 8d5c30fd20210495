"""`python -m benchmarks peers`: the same graphs served by others, on the same cores, by the same clients.

In each repeat every server is started anew, asked by more and more clients, and ended before the next one starts, so that none
idles beside another. Ours runs all the time, for the others are held against it.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from benchmarks.environment import describe_environment
from benchmarks.generator import Send, Trace, closed_loop, sender
from benchmarks.infer import infer_sender, query_inputs
from benchmarks.peers.servers import PEERS, Peer, PeerError, memory_mb, started
from benchmarks.processes import cpu_seconds
from benchmarks.second_triton import second_triton
from benchmarks.serving import Served
from benchmarks.stages import KINDS
from benchmarks.summary import summarise_repeats, summarise_run
from benchmarks.workloads import Material, image_requests, read_pictures, text_requests
from catalogue.randomness import generator
from vitrine.client import VitrineClient
from vitrine.v1.search_pb2 import SearchRequest

OURS = "vitrine"
BOUNDS_MS = {"text": 50.0, "image": 250.0, "search": 100.0}
"""Of the p99 under which throughput is compared, the same for all servers: some five to ten times the latency of one client."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeersPlan:
    """What is measured, and for how long."""

    repeats: int = 3
    clients: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    seconds: float = 3.0
    """Of a run of so many clients."""
    warm_up_seconds: float = 1.0
    only: tuple[str, ...] = ()
    """Names of peers; all where there is none."""


@dataclass(slots=True, kw_only=True)
class _Case:
    """A server that runs, and is asked one kind of query."""

    peer: str
    kind: str
    send: Send[Any]
    requests: Iterator[Any]
    pids: dict[str, int]
    start_s: float | None


@dataclass(slots=True, kw_only=True)
class _Measured:
    """The runs of a server by a number of clients, one a repeat."""

    traces: list[Trace] = field(default_factory=list)
    runs: list[dict[str, Any]] = field(default_factory=list)
    memory_mb: list[int] = field(default_factory=list)
    start_s: list[float] = field(default_factory=list)


async def measure_peers(
    served: Served, plan: PeersPlan, *, salt: str, say: Callable[[str], None]
) -> dict[str, Any]:
    """Measure every peer that is installed, and ours, in turn; give the document of the result file."""
    wanted = [peer for peer in PEERS if not plan.only or peer.name in plan.only]
    missing = [peer.name for peer in wanted if not peer.python().exists()]
    measured: dict[tuple[str, str, int], _Measured] = {}
    async with AsyncExitStack() as running:
        client = await running.enter_async_context(VitrineClient(served.address, retry=False))
        environment = describe_environment(await client.describe())
        ours = [case async for case in _ours(running, client, served, salt)]
        for repeat in range(plan.repeats):
            for case in ours:
                await _climb(case, plan, measured, say)
            for peer, kind in _asked(wanted, missing):
                try:
                    async with _running(peer, kind, served, f"{salt}-{repeat}") as case:
                        await _climb(case, plan, measured, say)
                except PeerError as error:
                    say(str(error))
                    missing.append(f"{peer.name} for {kind}")
    return {
        "environment": environment,
        "params": _params(plan, salt, missing),
        "results": [_result(*key, each) for key, each in measured.items()],
    }


def _asked(peers: list[Peer], missing: list[str]) -> Iterator[tuple[Peer, str]]:
    for peer in peers:
        for kind in peer.kinds:
            if peer.name not in missing and f"{peer.name} for {kind}" not in missing:
                yield peer, kind


async def _climb(
    case: _Case,
    plan: PeersPlan,
    measured: dict[tuple[str, str, int], _Measured],
    say: Callable[[str], None],
) -> None:
    """Run a server with each number of clients."""
    await closed_loop(case.send, case.requests, clients=4, seconds=plan.warm_up_seconds)
    rates = []
    for clients in plan.clients:
        before = cpu_seconds(case.pids)
        trace = await closed_loop(case.send, case.requests, clients=clients, seconds=plan.seconds)
        used = {name: seconds - before[name] for name, seconds in cpu_seconds(case.pids).items()}
        own = measured.setdefault((case.peer, case.kind, clients), _Measured())
        own.traces.append(trace)
        own.runs.append(summarise_run(trace, used))
        own.memory_mb.append(sum(map(memory_mb, case.pids.values())))
        if case.start_s is not None:
            own.start_s.append(case.start_s)
        rates.append(f"{clients}: {own.runs[-1]['answered_per_s']:.0f}/s")
    say(f"{case.peer}, {case.kind}, by clients: {', '.join(rates)}")


def _result(peer: str, kind: str, clients: int, own: _Measured) -> dict[str, Any]:
    return {
        "peer": peer,
        "kind": kind,
        "clients": clients,
        "memory_mb": max(own.memory_mb),
        "start_s": max(own.start_s, default=None),
        "pooled": summarise_repeats(own.traces, own.runs),
        "repeats": own.runs,
    }


def _params(plan: PeersPlan, salt: str, missing: list[str]) -> dict[str, Any]:
    return {
        "benchmark": "peers",
        "repeats": plan.repeats,
        "clients": plan.clients,
        "seconds": plan.seconds,
        "salt": salt,
        "bounds_ms": BOUNDS_MS,
        "left out": missing,
    }


async def _ours(
    running: AsyncExitStack, client: VitrineClient, served: Served, salt: str
) -> AsyncIterator[_Case]:
    triton = running.enter_context(second_triton(served.pids["triton"]))
    infer = await running.enter_async_context(infer_sender(triton.address))
    for kind in ("text", "image"):
        calls = map(partial(query_inputs, KINDS[kind], embedding_dim=0), _queries(kind, served, salt))
        yield _Case(
            peer=OURS,
            kind=kind,
            send=infer,
            requests=calls,
            pids={"triton": triton.pid},
            start_s=triton.start_s,
        )
    searches = _queries("search", served, salt)
    yield _Case(
        peer=OURS, kind="search", send=sender(client), requests=searches, pids=served.pids, start_s=None
    )


@asynccontextmanager
async def _running(peer: Peer, kind: str, served: Served, salt: str) -> AsyncIterator[_Case]:
    queries = _queries(kind, served, salt)
    async with started(peer, kind, served.repository, queries) as server:
        yield _Case(
            peer=peer.name,
            kind=kind,
            send=server.send,
            requests=queries,
            pids={peer.name: server.pid},
            start_s=server.start_s,
        )


def _queries(kind: str, served: Served, salt: str) -> Iterator[SearchRequest]:
    rng = generator("peers", kind, salt)
    if kind == "image":
        return image_requests(Material(read_pictures(served.queries), ()), rng)
    return text_requests(Material((), ()), rng)
