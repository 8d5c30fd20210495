"""Who is heard now, who waits, and who is sent away: a queue with a bound, in the order of arrival."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Overloaded(Exception):  # noqa: N818 - refused at the door; no work was done
    """As many recordings wait as may."""


class Desk:
    """Hears `workers` recordings at once and lets `waiting` more wait."""

    def __init__(self, *, workers: int, waiting: int) -> None:
        self.hearing = 0
        self.waiting = 0
        self._free = asyncio.Semaphore(workers)
        self._most_waiting = waiting

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Wait for a place and hold it while the block runs; raises Overloaded where too many wait already."""
        if self._free.locked() and self.waiting >= self._most_waiting:
            raise Overloaded
        self.waiting += 1
        try:
            await self._free.acquire()
        finally:
            self.waiting -= 1
        self.hearing += 1
        try:
            yield
        finally:
            self.hearing -= 1
            self._free.release()
