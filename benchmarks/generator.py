"""Sends requests in an open or a closed loop and keeps how each one went.

Times are perf_counter's: uvloop's own clock ticks in whole milliseconds.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from time import perf_counter
from typing import Final, TypeVar

import grpc

from benchmarks.workloads import Request, Turn
from vitrine.client import VitrineClient, VitrineError

OK: Final = "OK"
SHED: Final = grpc.StatusCode.RESOURCE_EXHAUSTED.name
LATE: Final = grpc.StatusCode.DEADLINE_EXCEEDED.name
UNSENT: Final = "UNSENT"
"""The generator itself had too many requests under way."""

DEADLINE_S = 5.0
"""Of each request, from the moment at which it was meant to be sent."""

MAX_OUTSTANDING = 1_000
"""Requests of an open loop that may be under way at once."""

Sent = TypeVar("Sent")
"""What is sent: a request of ours, or another server's."""

Send = Callable[[Sent, float], Awaitable[str]]
"""Sends a request with so many seconds to live and gives its status."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One request."""

    status: str
    latency_s: float
    """From the moment at which it was meant to be sent to its answer."""
    lag_s: float = 0.0
    """From the moment at which it was meant to be sent to the one at which it was."""


@dataclass(frozen=True, slots=True)
class Trace:
    """The samples of a run and the seconds until the last answer."""

    samples: list[Sample]
    seconds: float


def sender(client: VitrineClient) -> Send[Request]:
    """Return a function that sends with the client; no request is repeated."""

    async def send(request: Request, timeout_s: float) -> str:
        try:
            if isinstance(request, Turn):
                await _converse(client, request, timeout_s)
            else:
                await client.search(request, timeout_s=timeout_s)
        except VitrineError as error:
            return error.code.name
        return OK

    return send


async def _converse(client: VitrineClient, turn: Turn, timeout_s: float) -> None:
    async for answer in client.converse(turn.request(), timeout_s=timeout_s):
        turn.session.id = answer.session_id


def poisson_arrivals(rate: float, seconds: float, rng: random.Random) -> list[float]:
    """Return the moments, in seconds from the start, of independent arrivals at so many a second.

    Their number is fixed, and a Poisson process of a known number of arrivals has them anywhere, uniformly: as
    bursty as chance, without runs that by chance were offered more.
    """
    return sorted(rng.uniform(0, seconds) for _ in range(round(rate * seconds)))


def constant_arrivals(rate: float, seconds: float) -> list[float]:
    """Return the moments, in seconds from the start, of arrivals at even distances."""
    return [number / rate for number in range(round(rate * seconds))]


async def open_loop(
    send: Send[Sent],
    requests: Iterator[Sent],
    arrivals: list[float],
    *,
    deadline_s: float = DEADLINE_S,
    max_outstanding: int = MAX_OUTSTANDING,
) -> Trace:
    """Send at the given moments, whether or not earlier requests were answered.

    A request that goes out late, because the generator or the service had no room, has waited all the same: its
    latency counts from the moment that was meant (no coordinated omission).
    """
    samples: list[Sample] = []
    outstanding: set[asyncio.Task[None]] = set()
    begun = perf_counter()

    async def one(request: Sent, meant: float) -> None:
        lag = perf_counter() - meant
        status = await send(request, deadline_s - lag) if lag < deadline_s else LATE
        samples.append(Sample(status, perf_counter() - meant, lag))

    for at, request in zip(arrivals, requests, strict=False):
        await asyncio.sleep(max(0.0, begun + at - perf_counter()))
        if len(outstanding) >= max_outstanding:
            samples.append(Sample(UNSENT, deadline_s))
            continue
        task = asyncio.create_task(one(request, begun + at))
        outstanding.add(task)
        task.add_done_callback(outstanding.discard)
    if outstanding:
        await asyncio.gather(*outstanding)
    return Trace(samples, perf_counter() - begun)


async def closed_loop(
    send: Send[Sent],
    requests: Iterator[Sent],
    *,
    clients: int,
    seconds: float,
    deadline_s: float = DEADLINE_S,
) -> Trace:
    """Let so many clients each send their next request as soon as the last one is answered."""
    samples: list[Sample] = []
    begun = perf_counter()

    async def client() -> None:
        while (sent := perf_counter()) < begun + seconds:
            status = await send(next(requests), deadline_s)
            samples.append(Sample(status, perf_counter() - sent))

    await asyncio.gather(*(client() for _ in range(clients)))
    return Trace(samples, perf_counter() - begun)
