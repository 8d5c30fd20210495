"""Bounded caches and shared computations."""

import asyncio

import pytest

from gateway.caches import LruCache, SingleFlight
from gateway.errors import DeadlineExceeded


def test_least_recently_used_makes_room() -> None:
    """The capacity holds, and what was asked for last stays."""
    cache = LruCache[str, int](2)
    cache.put("a", 1)
    cache.put("b", 2)
    assert cache.get("a") == 1
    cache.put("c", 3)
    assert (cache.get("a"), cache.get("b"), cache.get("c"), len(cache)) == (1, None, 3, 2)


def test_capacity_zero_keeps_nothing() -> None:
    """A cache that is switched off holds nothing."""
    cache = LruCache[str, int](0)
    cache.put("a", 1)
    assert cache.get("a") is None


def test_entries_grow_too_old() -> None:
    """A value is given up to its age limit and not beyond."""
    now = 0.0
    cache = LruCache[str, int](2, ttl_s=10, clock=lambda: now)
    cache.put("a", 1)
    now = 10.0
    assert cache.get("a") == 1
    now = 10.1
    assert cache.get("a") is None
    assert len(cache) == 0


def test_what_is_too_old_takes_no_memory() -> None:
    """Entries that nobody asks for again go with the next one that is kept; one that is still given stays."""
    now = 0.0
    cache = LruCache[str, int](100, ttl_s=10, clock=lambda: now)
    for number in range(50):
        cache.put(f"old {number}", number)
    now = 5.0
    cache.put("younger", 1)
    now = 10.1
    cache.put("new", 2)
    assert (len(cache), cache.get("younger"), cache.get("new")) == (2, 1, 2)


async def test_callers_at_the_same_time_share_one_computation() -> None:
    """Ten callers of one key cost one computation; a later one costs another."""
    flights = SingleFlight[str, int]()
    calls = 0

    async def compute() -> int:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0.01)
        return calls

    assert await asyncio.gather(*(flights.run("k", compute) for _ in range(10))) == [1] * 10
    assert await flights.run("k", compute) == 2


async def test_computation_outlives_the_caller_that_began_it() -> None:
    """When the first caller hangs up, those who joined still get the value."""
    flights = SingleFlight[str, int]()

    async def compute() -> int:
        await asyncio.sleep(0.02)
        return 7

    first = asyncio.create_task(flights.run("k", compute))
    second = asyncio.create_task(flights.run("k", compute))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == 7


async def test_computation_ends_with_its_last_caller() -> None:
    """When nobody waits any more the work is cancelled, and a newcomer starts afresh."""
    flights = SingleFlight[str, int]()
    cancelled = asyncio.Event()

    async def endless() -> int:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return 0

    async def quick() -> int:
        return 1

    caller = asyncio.create_task(flights.run("k", endless))
    await asyncio.sleep(0.001)
    caller.cancel()
    await asyncio.sleep(0)
    assert await flights.run("k", quick) == 1
    await asyncio.wait_for(cancelled.wait(), 60)


async def test_one_who_joined_does_not_inherit_the_deadline() -> None:
    """A computation that died of its own caller's deadline is repeated by a caller with more time."""
    flights = SingleFlight[str, int]()

    async def hurried() -> int:
        await asyncio.sleep(0.001)
        raise DeadlineExceeded("late")

    async def patient() -> int:
        return 3

    first = asyncio.create_task(flights.run("k", hurried))
    await asyncio.sleep(0)
    assert await flights.run("k", patient) == 3
    with pytest.raises(DeadlineExceeded):
        await first
