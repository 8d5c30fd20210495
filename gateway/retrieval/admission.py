"""Admission: how many searches may run at once, who is refused, and who goes next.

The limit follows AIMD (additive increase, multiplicative decrease; Chiu and Jain, 1989): it grows by one while
searches that end in good time keep at least half of it busy, and shrinks to nine tenths when one takes longer than the
target or is dropped by a dependency. What a caller does to itself is no sign of anything: a search that
ended before the target had passed, because its deadline was shorter or its caller hung up, moves the limit neither way.

Behind the limit stands a queue with a bound on its length and on the wait, fair between callers. Words and pictures
have a limit each, so that a slow picture costs no search of words its place; what is encoded for the index has a lane
of its own, which is narrow while anybody searches.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from gateway.errors import Overloaded
from gateway.model import Deadline
from gateway.retrieval.fair_queue import FairQueue, PushedOut

_SMOOTHING = 0.1
"""Weight of the newest latency in the running mean that the advice to retry is made of."""

_MIN_RETRY_S = 0.05

_LIGHT_PATIENCE = 5
"""Times the wait in the queue, for a caller with nothing else running or waiting: where slots are few and slow, its turn
comes with the next one that is free, and that may take longer than a crowd should stand in line."""

_BATCH_QUEUE = 1_000
"""Bound of the batches that wait; the number of ingests at once, and of the batches of each, keeps far below it."""

_BATCH_RETRY_S = 5.0

_QUIET_S = 1.0
"""For so long after the last search the lane of batches stays narrow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AimdLimit:
    """The rule alone: integers in, an integer out."""

    maximum: int
    minimum: int = 1
    backoff: float = 0.9

    def after(self, limit: int, *, in_flight: int, overloaded: bool) -> int:
        """Return the limit after a search ended; `in_flight` counts it."""
        if overloaded:
            return max(self.minimum, int(limit * self.backoff))
        return min(self.maximum, limit + 1) if in_flight * 2 >= limit else limit


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueBounds:
    """The queue in front of the slots."""

    length: int
    wait_s: float


class Limiter:
    """Holds the slots; `async with limiter.slot(deadline)` cannot forget to give one back."""

    def __init__(
        self,
        rule: AimdLimit,
        queue: QueueBounds,
        *,
        initial: int,
        latency_target_s: float,
        on_shed: Callable[[str], None] = lambda _reason: None,
    ) -> None:
        self._rule = rule
        self._wait_s = queue.wait_s
        self._latency_target_s = latency_target_s
        self._on_shed = on_shed
        self._queue = FairQueue(queue.length)
        self._running: Counter[str] = Counter()
        self._mean_latency_s = 0.0
        self._used_at = float("-inf")
        self.limit = min(initial, rule.maximum)
        self.in_flight = 0

    @property
    def queued(self) -> int:
        """Searches that wait for a slot."""
        return len(self._queue)

    @property
    def quiet_s(self) -> float:
        """Seconds since the last search ended; 0 while there is one."""
        return 0.0 if self.in_flight or self.queued else time.monotonic() - self._used_at

    @asynccontextmanager
    async def slot(self, deadline: Deadline, *, share: str = "") -> AsyncIterator[None]:
        """Hold a slot; `share` says whose search it is.

        Raises:
            Overloaded: the queue is full, or the wait in it was too long, or a caller with fewer searches came.
        """
        await self._acquire(deadline, share)
        self._running[share] += 1
        started = time.monotonic()
        answered = dropped = False
        try:
            yield
            answered = True
        except Overloaded:
            dropped = True
            raise
        finally:
            self._learn(started, answered=answered, dropped=dropped)
            self._running[share] -= 1
            if not self._running[share]:
                del self._running[share]
            self.in_flight -= 1
            self._admit()

    async def _acquire(self, deadline: Deadline, share: str) -> None:
        if self.in_flight < self.limit and not self._queue:
            self.in_flight += 1
            return
        light = not self._running[share] and not self._queue.waiting(share)
        turn = self._queue.join(share)
        if turn is None:
            raise self._refusal("queue_full")
        wait_s = self._wait_s * (_LIGHT_PATIENCE if light else 1)
        try:
            async with asyncio.timeout(min(wait_s, deadline.remaining_s())):
                await turn
        except PushedOut:
            raise self._refusal("queue_share") from None
        except TimeoutError:
            self._leave(share, turn)
            raise self._refusal("queue_wait") from None
        except asyncio.CancelledError:
            self._leave(share, turn)
            raise

    def _leave(self, share: str, turn: asyncio.Future[None]) -> None:
        """Take the waiter out; pass its slot on if one was given to it in the very same moment."""
        served = not self._queue.leave(share, turn) and not turn.cancelled() and turn.exception() is None
        if served:
            self.in_flight -= 1
            self._admit()

    def _learn(self, started: float, *, answered: bool, dropped: bool) -> None:
        self._used_at = time.monotonic()
        latency_s = self._used_at - started
        late = latency_s > self._latency_target_s
        if answered:
            self._mean_latency_s += _SMOOTHING * (latency_s - self._mean_latency_s)
        if answered or dropped or late:
            self.limit = self._rule.after(self.limit, in_flight=self.in_flight, overloaded=dropped or late)

    def _admit(self) -> None:
        while self._queue and self.in_flight < self.limit:
            if not self._queue.serve():
                return
            self.in_flight += 1

    def _refusal(self, reason: str) -> Overloaded:
        self._on_shed(reason)
        retry_after_s = max(_MIN_RETRY_S, self._mean_latency_s * (self.queued + 1) / self.limit)
        return Overloaded(
            f"{self.in_flight} searches are running and {self.queued} are waiting",
            retry_after_s=retry_after_s,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Lanes:
    """The limits of searches: what one kind of them costs takes no place from the other."""

    words: Limiter
    """Searches that encode words alone, or nothing; and look-ups."""
    pictures: Limiter
    """Searches with a picture."""

    def of(self, *, picture: bool) -> Limiter:
        """Return the limiter of a search."""
        return self.pictures if picture else self.words


class BatchLane:
    """Lets batches of an ingest through to the encoders, fairly between callers.

    While anybody searches they take a share of the searches' own limit, one at least; alone, as many as there are slots.
    """

    def __init__(self, lanes: Lanes, *, slots: int, share: float) -> None:
        self._lanes = lanes
        self._slots = slots
        self._share = share
        self._queue = FairQueue(_BATCH_QUEUE)
        self.in_flight = 0

    @property
    def queued(self) -> int:
        """Batches that wait."""
        return len(self._queue)

    @property
    def limit(self) -> int:
        """Batches that may be encoded at once now."""
        if min(self._lanes.words.quiet_s, self._lanes.pictures.quiet_s) >= _QUIET_S:
            return self._slots
        return min(self._slots, max(1, int(self._share * self._lanes.words.limit)))

    @asynccontextmanager
    async def slot(self, *, share: str = "") -> AsyncIterator[None]:
        """Hold a slot; waits as long as the call lasts, for each slot is held for a bounded time."""
        await self._acquire(share)
        try:
            yield
        finally:
            self._release()

    async def _acquire(self, share: str) -> None:
        if self.in_flight < self.limit and not self._queue:
            self.in_flight += 1
            return
        turn = self._queue.join(share)
        if turn is None:
            raise self._refusal()
        try:
            await turn
        except PushedOut:
            raise self._refusal() from None
        except asyncio.CancelledError:
            if not self._queue.leave(share, turn) and not turn.cancelled() and turn.exception() is None:
                self._release()
            raise

    def _refusal(self) -> Overloaded:
        return Overloaded("too many batches wait to be encoded", retry_after_s=_BATCH_RETRY_S)

    def _release(self) -> None:
        self.in_flight -= 1
        while self._queue and self.in_flight < self.limit and self._queue.serve():
            self.in_flight += 1
