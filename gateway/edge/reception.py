"""Messages on their way in: how many calls may send at once, and what all of them together may hold.

gRPC's core gathers a whole message before anybody sees its size, so a call is read from only while it holds one of a few
places. Most messages are there at once and need theirs for less than a millisecond. One that takes longer, a picture over a
slow line or a message that trickles, moves to the slow places and leaves the quick ones to others; where the slow ones
are taken too, it is refused.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from typing import cast

from google.protobuf.message import Message

from gateway.errors import DeadlineExceeded, InvalidQuery, Overloaded
from gateway.memory import ByteBudget
from gateway.retrieval.fair_queue import FairQueue, PushedOut, Turn

QUICK_S = 0.25
"""For a message that is there already; the slow places are for the others."""
END_S = 0.05
"""For the end of a request behind its message; most come together."""
SHORT = 16_384
"""Bytes of a message up to which its end is not waited for: gRPC would wake the process once more for it, a tenth of a search."""
SLOW_S = 10.0
"""For the whole of a message: 12 MB over 10 Mbit/s."""
WAIT_S = 2.0
"""For a quick place."""
_QUEUE = 1_024
"""Calls that wait for one; the number of calls at once keeps below it."""


class Reception:
    """Receives the messages of all calls.

    `places` is how many calls are read from at once, half of them quickly; with the size of the largest message it bounds
    what the core holds. Those who wait for a place come in turn by their shares, a caller or a connection each, and no share
    has more than half of the slow places.
    """

    def __init__(self, *, places: int, budget: ByteBudget) -> None:
        self.budget = budget
        self._free = max(1, places - places // 2)
        self._queue = FairQueue(_QUEUE)
        self._most_slow = max(1, places // 2)
        self._slow: Counter[str] = Counter()

    @property
    def receiving_slowly(self) -> int:
        """Calls that are still sending."""
        return self._slow.total()

    @asynccontextmanager
    async def message(
        self, stream: AsyncIterator[bytes], parse: Callable[[bytes], Message], *, share: str = ""
    ) -> AsyncIterator[Message]:
        """Receive and parse the one message of a call, and count its bytes until the block is left.

        Raises:
            Overloaded: too many calls are sending, or hold too much.
            InvalidQuery: there is none, there are several, or `parse` refuses it.
            DeadlineExceeded: it took longer than SLOW_S.
        """
        data = await self.receive(stream, share)
        with self.budget.held(len(data)):
            message = parse(data)
            del data  # the message has its own copy, and lasts as long as the call
            yield message

    async def receive(self, stream: AsyncIterator[bytes], share: str) -> bytes:
        """Receive the one message of a call; raises as `message` does, but for what concerns parsing."""
        await self._take(share)
        place = _Place(self, share)
        try:
            return await place.read(stream)
        finally:
            place.leave()

    async def _take(self, share: str) -> None:
        if self._free and not self._queue:
            self._free -= 1
            return
        turn = self._queue.join(share)
        if turn is None:
            raise Overloaded("too many requests are being received", retry_after_s=WAIT_S)
        try:
            async with asyncio.timeout(WAIT_S):
                await turn
        except (TimeoutError, PushedOut):
            self._queue.leave(share, turn)
            if not _granted(turn):
                raise Overloaded("too many requests are being received", retry_after_s=WAIT_S) from None
        except asyncio.CancelledError:
            self._queue.leave(share, turn)
            if _granted(turn):
                self.give_back()
            raise

    def give_back(self) -> None:
        """Let the next one have a quick place."""
        if not self._queue.serve():
            self._free += 1

    def take_slow(self, share: str) -> bool:
        """Take a slow place; False where there is none for the share."""
        if self._slow.total() >= self._most_slow or self._slow[share] >= max(1, self._most_slow // 2):
            return False
        self._slow[share] += 1
        return True

    def leave_slow(self, share: str) -> None:
        """Give back a slow place."""
        self._slow[share] -= 1
        self._slow += Counter()  # forgets the shares that have none


class _Place:
    """Where one call is read from: a quick place, and a slow one if there is room once QUICK_S have passed."""

    def __init__(self, reception: Reception, share: str) -> None:
        self._reception = reception
        self._share = share
        self._loop = asyncio.get_running_loop()
        self._limit = asyncio.timeout(None)
        self._quick = True
        self._slow = False

    async def read(self, stream: AsyncIterator[bytes]) -> bytes:
        """Return the one message of a request, once its end was read too, unless it is short.

        Without that gRPC keeps the bytes of a call that it refuses until Python's collector comes by, and that may be
        hundreds of calls later. A caller who does not end its request is answered all the same; what comes after a short
        message is not looked at, as with gRPC's own handlers.
        """
        moving = self._loop.call_later(QUICK_S, self._move)
        data = more = None
        try:
            async with self._limit, closing_requests(stream) as messages:
                data = await anext(messages, None)
                moving.cancel()
                if data is not None and len(data) > SHORT:
                    self._limit.reschedule(self._loop.time() + END_S)
                    more = await anext(messages, None)
        except TimeoutError:
            if data is None and not self._slow:
                raise Overloaded("too many requests are still being sent", retry_after_s=1.0) from None
            if data is None:
                raise DeadlineExceeded(f"the request was not complete after {SLOW_S:g} s") from None
        finally:
            moving.cancel()
        if data is None:
            raise InvalidQuery("request", "is missing")
        if more is not None:
            raise InvalidQuery("request", "must be one message")
        return data

    def leave(self) -> None:
        """Give back the place."""
        if self._quick:
            self._quick = False
            self._reception.give_back()
        if self._slow:
            self._reception.leave_slow(self._share)

    def _move(self) -> None:
        """Leave the quick places to others; the call ends now where the slow ones are taken."""
        self._quick = False
        self._reception.give_back()
        self._slow = self._reception.take_slow(self._share)
        self._limit.reschedule(self._loop.time() + (SLOW_S if self._slow else 0.0))


def _granted(turn: Turn) -> bool:
    """Return whether the turn came, if only while its owner was leaving."""
    return turn.done() and not turn.cancelled() and turn.exception() is None


class Crowd:
    """Counts those who are here, and lets no more than so many in."""

    def __init__(self, whom: str, most: int, *, retry_after_s: float = 0.5) -> None:
        self.here = 0
        self._whom = whom
        self._most = most
        self._retry_after_s = retry_after_s

    def entered(self) -> "Crowd":
        """Return what lets one in while a block runs; the block raises Overloaded where there is no place."""
        return self

    def __enter__(self) -> None:
        if self.here >= self._most:
            raise Overloaded(f"at most {self._most:,} {self._whom}", retry_after_s=self._retry_after_s)
        self.here += 1

    def __exit__(self, *_: object) -> None:
        self.here -= 1


def closing_requests(
    stream: AsyncIterator[bytes],
) -> AbstractAsyncContextManager[AsyncGenerator[bytes, None]]:
    """Give gRPC's requests of a call, closed when the block is left.

    gRPC's iterator and its generator hold each other otherwise, and with them a call that should end.
    """
    return aclosing(cast("AsyncGenerator[bytes, None]", aiter(stream)))
