"""Admission: how many searches may run at once, and who is refused.

The limit follows AIMD (additive increase, multiplicative decrease; Chiu and Jain, 1989): it grows by one while
searches that end in good time keep at least half of it busy, and shrinks to nine tenths when one ends late or is
dropped by a dependency. Behind it stands a short queue with a bound on its length and on the wait.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from gateway.errors import DeadlineExceeded, Overloaded
from gateway.model import Deadline

_SMOOTHING = 0.1
"""Weight of the newest latency in the running mean that the advice to retry is made of."""

_MIN_RETRY_S = 0.05


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
        self._queue = queue
        self._latency_target_s = latency_target_s
        self._on_shed = on_shed
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._mean_latency_s = 0.0
        self.limit = min(initial, rule.maximum)
        self.in_flight = 0

    @property
    def queued(self) -> int:
        """Searches that wait for a slot."""
        return len(self._waiting)

    @asynccontextmanager
    async def slot(self, deadline: Deadline) -> AsyncIterator[None]:
        """Hold a slot.

        Raises:
            Overloaded: the queue is full, or the wait in it was too long.
        """
        await self._acquire(deadline)
        started = time.monotonic()
        overloaded = False
        try:
            yield
        except (DeadlineExceeded, Overloaded):
            overloaded = True
            raise
        except asyncio.CancelledError:
            # Callers hang up when their time is over: late is late, whoever says so. An early hang-up is no sign.
            overloaded = deadline.remaining_s() == 0.0
            raise
        finally:
            self._release(time.monotonic() - started, overloaded=overloaded)

    async def _acquire(self, deadline: Deadline) -> None:
        if self.in_flight < self.limit and not self._waiting:
            self.in_flight += 1
            return
        if len(self._waiting) >= self._queue.length:
            raise self._refusal("queue_full")
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(min(self._queue.wait_s, deadline.remaining_s())):
                await turn
        except TimeoutError:
            self._leave(turn)
            raise self._refusal("queue_wait") from None
        except asyncio.CancelledError:
            self._leave(turn)
            raise

    def _leave(self, turn: asyncio.Future[None]) -> None:
        """Take the waiter out; pass its slot on if one was given to it in the very same moment."""
        if turn in self._waiting:
            self._waiting.remove(turn)
        elif turn.done() and not turn.cancelled():
            self.in_flight -= 1
            self._admit()

    def _release(self, latency_s: float, *, overloaded: bool) -> None:
        late = latency_s > self._latency_target_s
        self._mean_latency_s += _SMOOTHING * (latency_s - self._mean_latency_s)
        self.limit = self._rule.after(self.limit, in_flight=self.in_flight, overloaded=overloaded or late)
        self.in_flight -= 1
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self.in_flight < self.limit:
            turn = self._waiting.popleft()
            if not turn.done():
                self.in_flight += 1
                turn.set_result(None)

    def _refusal(self, reason: str) -> Overloaded:
        self._on_shed(reason)
        retry_after_s = max(_MIN_RETRY_S, self._mean_latency_s * (self.queued + 1) / self.limit)
        return Overloaded(
            f"{self.in_flight} searches are running and {self.queued} are waiting",
            retry_after_s=retry_after_s,
        )
