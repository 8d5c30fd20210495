import asyncio
from itertools import pairwise, repeat

import pytest

from benchmarks.generator import (
    LATE,
    OK,
    UNSENT,
    closed_loop,
    constant_arrivals,
    open_loop,
    poisson_arrivals,
)
from catalogue.randomness import generator
from vitrine.v1.search_pb2 import SearchRequest


class Service:
    """Answers one request after the other, each after the same time."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._turn = asyncio.Lock()
        self.timeouts: list[float] = []
        self.most = 0
        self._under_way = 0

    async def send(self, _: SearchRequest, timeout_s: float) -> str:
        """Wait for the turn, then answer."""
        self.timeouts.append(timeout_s)
        self._under_way += 1
        self.most = max(self.most, self._under_way)
        async with self._turn:
            await asyncio.sleep(self._seconds)
        self._under_way -= 1
        return OK


REQUESTS = repeat(SearchRequest())


async def test_a_request_that_had_to_wait_has_waited() -> None:
    """A service of 20 ms asked every 10 ms falls behind, and the latencies grow by 10 ms a request."""
    trace = await open_loop(Service(0.02).send, REQUESTS, constant_arrivals(100, 0.2))
    latencies = [sample.latency_s for sample in trace.samples]
    assert len(latencies) == 20
    assert all(latency >= 0.02 + number * 0.01 - 0.005 for number, latency in enumerate(latencies))
    assert trace.seconds >= 0.39


async def test_latency_counts_from_the_moment_that_was_meant() -> None:
    """When the generator itself stalls, the requests it then sends late have waited for as long."""

    async def stall(_: SearchRequest, __: float) -> str:
        loop = asyncio.get_running_loop()
        until = loop.time() + 0.05
        while loop.time() < until:
            pass  # the event loop stands still, and with it the generator
        return OK

    trace = await open_loop(stall, REQUESTS, [0.0, 0.01, 0.02])
    last = trace.samples[-1]
    assert last.lag_s >= 2 * 0.05 - 0.02
    assert last.latency_s >= 3 * 0.05 - 0.02


async def test_a_request_has_only_what_is_left_of_its_time() -> None:
    """The deadline runs from the moment that was meant; one that passed before sending counts as late."""
    service = Service(0.0)
    trace = await open_loop(service.send, REQUESTS, [-0.5, -3.0], deadline_s=2.0)
    assert len(service.timeouts) == 1
    assert 0 < service.timeouts[0] <= 1.5
    assert sorted(sample.status for sample in trace.samples) == [LATE, OK]


async def test_requests_under_way_are_bounded() -> None:
    """Beyond its bound the generator counts a request as unsent instead of piling it up."""
    service = Service(0.05)
    trace = await open_loop(service.send, REQUESTS, [0.0] * 5, max_outstanding=2)
    assert service.most == 2
    assert sorted(sample.status for sample in trace.samples) == [OK, OK, UNSENT, UNSENT, UNSENT]


async def test_a_closed_loop_has_one_request_a_client() -> None:
    """Three clients keep three requests under way until the time is up, and wait for their last answers."""
    service = Service(0.01)
    trace = await closed_loop(service.send, REQUESTS, clients=3, seconds=0.1)
    assert service.most == 3
    assert 3 <= len(trace.samples) <= 13
    assert trace.seconds >= 0.1


def test_poisson_arrivals_have_their_rate() -> None:
    """Arrivals come at the rate, in order, and as unevenly as independent ones do."""
    arrivals = poisson_arrivals(200, 50, generator("test"))
    assert len(arrivals) == 10_000
    assert 0 <= arrivals[0] < arrivals[-1] <= 50
    assert arrivals == sorted(arrivals)
    gaps = [b - a for a, b in pairwise(arrivals)]
    mean = sum(gaps) / len(gaps)
    variance = sum((gap - mean) ** 2 for gap in gaps) / len(gaps)
    assert variance**0.5 == pytest.approx(mean, rel=0.1)


def test_constant_arrivals_are_even() -> None:
    """Ten a second for half a second are five, a tenth apart."""
    assert constant_arrivals(10, 0.5) == [0.0, 0.1, 0.2, 0.3, 0.4]
