"""More load than there is capacity for, and load for long."""

import asyncio
import itertools
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any

from grpc import aio

from benchmarks.generator import OK, Sample, Send, Trace, closed_loop, open_loop, poisson_arrivals, sender
from benchmarks.workloads import Material, text_requests
from tests.chaos.service import Resources, Service
from vitrine.client import VitrineClient
from vitrine.v1 import search_pb2_grpc
from vitrine.v1.search_pb2 import SearchRequest

OVERLOAD = 3.0
"""Times the peak."""
IDLE_SHARE = 0.1
"""Of the peak: load under which nobody waits for anybody."""
SOAK_SHARE = 0.7
CONNECTIONS = 32
PEAK_CLIENTS = (4, 8, 16, 32)
DEADLINE_S = 2.0
WINDOW_S = 10.0
"""Of one sample of a soak."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A stretch of a soak."""

    piece: int
    """Which start of the service it belongs to, from 1: a soak that was cut goes on with another."""
    seconds: float
    answered: int
    failed: int
    p50_ms: float
    p99_ms: float
    resources: dict[str, dict[str, float]]


async def overload(address: str, *, seconds: float, seed: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Find the peak, then offer three times as much; return what came of both."""
    async with _many_connections(address) as send:
        words = _requests(seed)
        best, clients = await _peak(send, words, seconds)
        say(f"peak: {best:.1f} answers/s with {clients} clients")
        idle = await open_loop(
            send, words, poisson_arrivals(best * IDLE_SHARE, 3 * seconds, Random(seed)), deadline_s=DEADLINE_S
        )
        over = await open_loop(
            send, words, poisson_arrivals(best * OVERLOAD, seconds, Random(seed + 1)), deadline_s=DEADLINE_S
        )
        after = await closed_loop(send, words, clients=1, seconds=seconds / 2, deadline_s=DEADLINE_S)
    goodput, idle_p99, over_p99 = _rate(over, seconds), _quantile(idle, 0.99), _quantile(over, 0.99)
    return {
        "peak_per_s": round(best, 1),
        "peak_clients": clients,
        "offered_per_s": round(best * OVERLOAD, 1),
        "goodput_per_s": round(goodput, 1),
        "goodput_share": round(goodput / best, 3),
        "unloaded_p50_ms": _quantile(idle, 0.5),
        "unloaded_p99_ms": idle_p99,
        "accepted_p50_ms": _quantile(over, 0.5),
        "accepted_p99_ms": over_p99,
        "p99_ratio": round(over_p99 / idle_p99, 2),
        "statuses": dict(Counter(each.status for each in over.samples)),
        "after_p99_ms": _quantile(after, 0.99),
    }


async def soak(
    service: Service, folder: Path, *, minutes: float, seed: int, say: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Load at 70 % of the peak until so many minutes are measured; return the windows.

    Every window is written down as it ends, and the next call goes on behind them, on the service that still runs.
    """
    kept = folder / "soak.jsonl"
    plan = folder / "soak.json"
    async with VitrineClient(service.settings.gateway, retry=False) as client:
        send, words = sender(client), _requests(seed)
        if not plan.exists():
            best, clients = await _peak(send, words, WINDOW_S)
            plan.write_text(json.dumps({"peak_per_s": best, "peak_clients": clients}))
        piece = 1 + max((each["piece"] for each in _windows(kept)), default=0)
        rate = json.loads(plan.read_text())["peak_per_s"] * SOAK_SHARE
        while (done := sum(each["seconds"] for each in _windows(kept))) < minutes * 60:
            arrivals = poisson_arrivals(rate, WINDOW_S, Random(f"{seed} {done}"))
            trace = await open_loop(send, words, arrivals, deadline_s=DEADLINE_S)
            window = asdict(_window(trace, service.resources(), piece))
            with kept.open("a") as lines:
                lines.write(json.dumps(window) + "\n")
            say(
                f"{done / 60:5.1f} min  {window['answered']:,} answered, {window['failed']} failed"
                f"  p99 {window['p99_ms']:.0f} ms  gateway {window['resources']['gateway']['rss_mb']:.0f} MB"
            )
    return [summarise(list(_windows(kept)), rate)]


def summarise(windows: Sequence[dict[str, Any]], rate: float) -> dict[str, Any]:
    """Return how the second third of a soak and its last third differ; the first one warms up."""
    third = max(1, len(windows) // 3)
    middle, last = windows[third : 2 * third] or windows[:1], windows[-third:]
    names = list(windows[-1]["resources"])
    return {
        "minutes": round(sum(each["seconds"] for each in windows) / 60, 1),
        "pieces": windows[-1]["piece"],
        "rate_per_s": round(rate, 1),
        "answered": sum(each["answered"] for each in windows),
        "failed": sum(each["failed"] for each in windows),
        "p50_ms": {"middle": _median(middle, "p50_ms"), "last": _median(last, "p50_ms")},
        "p99_ms": {"middle": _median(middle, "p99_ms"), "last": _median(last, "p99_ms")},
        **{
            key: {
                name: {"middle": _held(middle, name, key), "last": _held(last, name, key)} for name in names
            }
            for key in ("rss_mb", "descriptors", "threads", "processes")
        },
    }


@asynccontextmanager
async def _many_connections(address: str) -> AsyncIterator[Send]:
    """Yield what sends over one connection after the other: callers are many, and a connection's calls are bounded."""
    async with AsyncExitStack() as held:
        channels = [
            await held.enter_async_context(
                aio.insecure_channel(
                    address, options=[("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
                )
            )
            for _ in range(CONNECTIONS)
        ]
        stubs = itertools.cycle([search_pb2_grpc.SearchServiceStub(channel) for channel in channels])

        async def send(request: SearchRequest, timeout_s: float) -> str:
            try:
                await next(stubs).Search(request, timeout=timeout_s)
            except aio.AioRpcError as error:
                return str(error.code().name)
            return OK

        yield send


async def _peak(send: Send, words: Iterator[SearchRequest], seconds: float) -> tuple[float, int]:
    """Return the most answers a second of a closed loop, and with how many clients; a warm-up is thrown away."""
    await closed_loop(send, words, clients=4, seconds=seconds / 2, deadline_s=DEADLINE_S)
    rates = {}
    for clients in PEAK_CLIENTS:
        trace = await closed_loop(send, words, clients=clients, seconds=seconds, deadline_s=DEADLINE_S)
        rates[clients] = _rate(trace, seconds)
        await asyncio.sleep(1.0)
    clients = max(rates, key=lambda each: rates[each])
    return rates[clients], clients


def _requests(seed: int) -> Iterator[SearchRequest]:
    return text_requests(Material([], []), Random(f"{seed} {time.time_ns()}"))


def _window(trace: Trace, resources: dict[str, Resources], piece: int) -> Window:
    answered = _answered(trace)
    return Window(
        piece=piece,
        seconds=round(max(trace.seconds, WINDOW_S), 2),
        answered=len(answered),
        failed=len(trace.samples) - len(answered),
        p50_ms=_quantile(trace, 0.5),
        p99_ms=_quantile(trace, 0.99),
        resources={name: asdict(each) for name, each in resources.items()},
    )


def _windows(path: Path) -> Iterator[dict[str, Any]]:
    if path.exists():
        yield from map(json.loads, path.read_text().splitlines())


def _answered(trace: Trace) -> list[Sample]:
    return [each for each in trace.samples if each.status == OK]


def _rate(trace: Trace, seconds: float) -> float:
    return len(_answered(trace)) / max(seconds, trace.seconds)


def _quantile(trace: Trace, share: float) -> float:
    latencies = sorted(each.latency_s for each in _answered(trace))
    return (
        round(latencies[min(len(latencies) - 1, int(share * len(latencies)))] * 1e3, 1) if latencies else 0.0
    )


def _median(windows: Sequence[dict[str, Any]], key: str) -> float:
    return float(sorted(each[key] for each in windows)[len(windows) // 2])


def _held(windows: Sequence[dict[str, Any]], name: str, key: str) -> float:
    held = sorted(each["resources"].get(name, {}).get(key, 0) for each in windows)
    return float(held[len(held) // 2])
