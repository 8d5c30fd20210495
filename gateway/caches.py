"""Bounded caches: the least recently used entry makes room."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

from gateway.errors import DeadlineExceeded

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class LruCache(Generic[K, V]):
    """Keeps at most `capacity` values, each for at most `ttl_s` seconds."""

    def __init__(
        self, capacity: int, *, ttl_s: float = float("inf"), clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._capacity = capacity
        self._ttl_s = ttl_s
        self._clock = clock
        self._ages = ttl_s != float("inf")
        self._entries: OrderedDict[K, tuple[float, V]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: K) -> V | None:
        """Return the value, or None when it is not there or too old."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        stored_at, value = entry
        if self._ages and self._clock() - stored_at > self._ttl_s:
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return value

    def forget(self, key: K) -> None:
        """Keep the key's value no longer, if it is kept."""
        self._entries.pop(key, None)

    def put(self, key: K, value: V) -> None:
        """Keep the value, and let go of the least recently used ones that nobody gets any more."""
        now = self._clock() if self._ages else 0.0
        self._entries[key] = (now, value)
        self._entries.move_to_end(key)
        while self._entries and (len(self._entries) > self._capacity or self._first_is_too_old(now)):
            self._entries.popitem(last=False)

    def _first_is_too_old(self, now: float) -> bool:
        stored_at, _ = next(iter(self._entries.values()))
        return self._ages and now - stored_at > self._ttl_s


class SingleFlight(Generic[K, V]):
    """Lets callers that ask for the same thing at the same time share one computation.

    The computation goes on while one of them waits; when the last has gone, it is cancelled.
    """

    def __init__(self) -> None:
        self._flights: dict[K, asyncio.Task[V]] = {}
        self._waiters: dict[asyncio.Task[V], int] = {}

    def __contains__(self, key: K) -> bool:
        return key in self._flights

    async def run(self, key: K, compute: Callable[[], Coroutine[Any, Any, V]]) -> V:
        """Return what `compute` gives, or what the computation under way for the key gives.

        A computation under way lasts as long as its own caller's deadline allows: one who joined it and still has
        time when that passes computes for itself.
        """
        flight = self._flights.get(key)
        if flight is None:
            return await self._wait(key, self._start(key, compute))
        try:
            return await self._wait(key, flight)
        except DeadlineExceeded:
            return await compute()

    def _start(self, key: K, compute: Callable[[], Coroutine[Any, Any, V]]) -> asyncio.Task[V]:
        flight = asyncio.create_task(compute())
        self._flights[key] = flight
        self._waiters[flight] = 0
        flight.add_done_callback(lambda _: self._land(key, flight))
        return flight

    async def _wait(self, key: K, flight: asyncio.Task[V]) -> V:
        self._waiters[flight] += 1
        try:
            return await asyncio.shield(flight)
        finally:
            self._waiters[flight] -= 1
            if self._waiters[flight] == 0:
                del self._waiters[flight]
                self._forget(key, flight)
                flight.cancel()  # nobody is left; no effect where it has ended

    def _land(self, key: K, flight: asyncio.Task[V]) -> None:
        self._forget(key, flight)
        if not flight.cancelled():
            flight.exception()  # the waiters saw it, if any is left: asyncio need not report it

    def _forget(self, key: K, flight: asyncio.Task[V]) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]
