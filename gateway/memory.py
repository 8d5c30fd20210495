"""Bytes that are held at the same time, counted where they come in."""

import asyncio
import time
from collections import deque
from collections.abc import Callable

from gateway.errors import Overloaded

_RETRY_S = 0.5

KEPT_PRODUCTS = 1_024
"""Products that were read of late and are kept as values and as messages, since searches show the same ones again and again."""
MAX_KEPT_BYTES = 4_096
"""Of a product that is kept, as the index holds it and as a message; a larger one is read anew each time."""

SMALL = 65_536
"""Bytes of a request that is let in whatever the others hold: their number bounds them."""


class ByteBudget:
    """Counts the bytes of what is being worked on, and keeps them within a limit.

    What is larger than the limit is let in while there is nothing else, so that nothing is refused for ever; and small
    requests always, so that words are searched by while pictures take all there is.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self._turn = asyncio.Lock()
        self._freed = asyncio.Event()

    def held(self, size: int) -> "_Held":
        """Return what holds so many bytes while a block runs; the block raises Overloaded where they do not fit."""
        return _Held(self, size)

    def hold(self, size: int) -> None:
        """Hold so many bytes until `release`; raises Overloaded where they do not fit."""
        if size > SMALL and not self._fits(size):
            raise Overloaded(
                f"the requests being answered hold {self.used:,} of at most {self.limit:,} bytes",
                retry_after_s=_RETRY_S,
            )
        self.used += size

    async def reserve(self, size: int) -> None:
        """Wait until so many bytes fit, in the order in which they were asked for, and hold them until `release`."""
        async with self._turn:
            while not self._fits(size):
                self._freed.clear()
                await self._freed.wait()
            self.used += size

    def release(self, size: int) -> None:
        """Hold so many bytes no longer."""
        self.used -= size
        self._freed.set()

    def _fits(self, size: int) -> bool:
        return not self.used or self.used + size <= self.limit


class _Held:
    """Bytes of a budget while a block runs."""

    __slots__ = ("_budget", "_size")

    def __init__(self, budget: ByteBudget, size: int) -> None:
        self._budget = budget
        self._size = size

    def __enter__(self) -> None:
        self._budget.hold(self._size)

    def __exit__(self, *_: object) -> None:
        self._budget.release(self._size)


class StreamedBytes:
    """What one stream holds of a budget, item by item, in the order in which they came."""

    def __init__(self, budget: ByteBudget, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._budget = budget
        self._clock = clock
        self._items: deque[tuple[int, float]] = deque()
        """Of each its size and when it came."""

    @property
    def lag_s(self) -> float:
        """Age of the oldest item, in seconds; 0 without one."""
        return self._clock() - self._items[0][1] if self._items else 0.0

    async def add(self, size: int) -> None:
        """Hold one more item; waits until it fits."""
        came = self._clock()
        await self._budget.reserve(size)
        self._items.append((size, came))

    def drop(self, count: int) -> None:
        """Hold the oldest items no longer."""
        self._budget.release(sum(self._items.popleft()[0] for _ in range(min(count, len(self._items)))))

    def close(self) -> None:
        """Hold nothing any more."""
        self.drop(len(self._items))
