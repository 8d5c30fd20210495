"""Calls that several askers share: what is asked while enough calls of its kind are under way goes along with the next one.

Who finds a call free makes it alone, at once and in his own task, so that nothing is waited for where few ask. A batch is
therefore as large as the load makes it. It is sent when a call ends, or when one has taken so long that nobody should wait for it.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Hashable, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from gateway.errors import DeadlineExceeded

K = TypeVar("K", bound=Hashable)
A = TypeVar("A")
R = TypeVar("R")

_PATIENCE_S = 0.05
"""A call that takes longer than so long keeps nobody waiting: those who came meanwhile get one of their own."""


@dataclass(slots=True, eq=False)
class _Batch:
    """A call for several."""

    waiting: int
    call: asyncio.Task[Any] | None = None


@dataclass(slots=True, eq=False, kw_only=True)
class _Waiter(Generic[A, R]):
    """One who waits for the next call."""

    asked: A
    ends_at: float
    """Of the loop's clock."""
    answer: asyncio.Future[R]
    context: Context
    batch: _Batch | None = None


@dataclass(slots=True, eq=False)
class _Line(Generic[A, R]):
    """Those who ask for one kind."""

    running: int = 0
    waiters: deque[_Waiter[A, R]] = field(default_factory=deque)
    timer: asyncio.TimerHandle | None = None
    """Ends the patience of those who wait."""


class Gathering(Generic[K, A, R]):
    """Makes at most `at_once` calls of a kind at a time, or more where they take long, each for at most `most` askers.

    `call` answers a kind and what was asked, in that order, within the seconds that it is given. It runs with the context of the
    first of them: the request that it names is theirs. What it raises is raised for all of them. `late` says that no answer came in
    time.

    Bounds of who waits are the callers' own; a kind is forgotten when nobody asks for it.
    """

    def __init__(
        self,
        call: Callable[[K, Sequence[A], float], Coroutine[Any, Any, Sequence[R]]],
        *,
        most: int,
        at_once: int,
        late: str,
    ) -> None:
        self._call = call
        self._most = most
        self._at_once = at_once
        self._late = late
        self._lines: dict[K, _Line[A, R]] = {}

    async def run(self, kind: K, asked: A, *, timeout_s: float) -> R:
        """Return the answer.

        Raises:
            DeadlineExceeded: it did not come in time; the call goes on while another waits for it.
        """
        line = self._lines.get(kind)
        if line is None:
            line = self._lines[kind] = _Line()
        if line.running >= self._at_once:
            return await self._wait(kind, line, asked, timeout_s)
        line.running += 1
        try:
            (answer,) = await self._call(kind, [asked], timeout_s)
        finally:
            self._end(kind, line)
        return answer

    async def _wait(self, kind: K, line: _Line[A, R], asked: A, timeout_s: float) -> R:
        loop = asyncio.get_running_loop()
        waiter = _Waiter[A, R](
            asked=asked,
            ends_at=loop.time() + timeout_s,
            answer=loop.create_future(),
            context=copy_context(),
        )
        line.waiters.append(waiter)
        if len(line.waiters) == 1:
            self._watch(kind, line)
        timer = loop.call_at(waiter.ends_at, _expire, waiter.answer, self._late)
        try:
            return await waiter.answer
        finally:
            timer.cancel()
            _leave(line, waiter)

    def _end(self, kind: K, line: _Line[A, R]) -> None:
        """A call has ended: make the next one, for all who wait, where somebody does."""
        line.running -= 1
        if line.waiters:
            if line.running < self._at_once:
                self._begin(kind, line)
        elif not line.running:
            self._lines.pop(kind, None)

    def _begin(self, kind: K, line: _Line[A, R]) -> None:
        """Make a call for all who wait, or as many as fit."""
        waiters = [line.waiters.popleft() for _ in range(min(self._most, len(line.waiters)))]
        self._watch(kind, line)
        if not waiters:
            return
        line.running += 1
        batch = _Batch(len(waiters))
        for waiter in waiters:
            waiter.batch = batch
        batch.call = asyncio.get_running_loop().create_task(
            self._answer(kind, waiters), context=waiters[0].context
        )
        # Not at the end of what the task does: one that is cancelled before its first step does nothing.
        batch.call.add_done_callback(lambda call: self._ended(kind, line, waiters, call))

    def _watch(self, kind: K, line: _Line[A, R]) -> None:
        """See to it that who waits now does not wait for long."""
        if line.timer is not None:
            line.timer.cancel()
        loop = asyncio.get_running_loop()
        line.timer = loop.call_later(_PATIENCE_S, self._begin, kind, line) if line.waiters else None

    async def _answer(self, kind: K, waiters: Sequence[_Waiter[A, R]]) -> Sequence[R]:
        timeout_s = max(each.ends_at for each in waiters) - asyncio.get_running_loop().time()
        answers = await self._call(kind, [each.asked for each in waiters], timeout_s)
        return [answer for _, answer in zip(waiters, answers, strict=True)]

    def _ended(
        self,
        kind: K,
        line: _Line[A, R],
        waiters: Sequence[_Waiter[A, R]],
        call: asyncio.Task[Sequence[R]],
    ) -> None:
        error = None if call.cancelled() else call.exception()
        for place, waiter in enumerate(waiters):
            if waiter.answer.done():
                continue
            if call.cancelled():
                waiter.answer.cancel()
            elif error is not None:
                waiter.answer.set_exception(error)
            else:
                waiter.answer.set_result(call.result()[place])
        self._end(kind, line)


def _expire(answer: asyncio.Future[Any], late: str) -> None:
    if not answer.done():
        answer.set_exception(DeadlineExceeded(late))


def _leave(line: _Line[A, R], waiter: _Waiter[A, R]) -> None:
    """End the waiting; a call that nobody waits for any more is cancelled."""
    if waiter.batch is None:
        line.waiters.remove(waiter)
        return
    waiter.batch.waiting -= 1
    if not waiter.batch.waiting and waiter.batch.call is not None:
        waiter.batch.call.cancel()  # no effect where it has ended
