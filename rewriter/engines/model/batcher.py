"""Continuous batching: texts join and leave between steps, so that none waits for another to end.

One thread owns the network. Callers hand it jobs through a bounded queue; a job past its deadline, or whose caller has
gone, is dropped before its next step.
"""

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from llguidance import LLMatcher
from llguidance import numpy as masks

from rewriter.engines.model.decoder import Logits
from vitrine.process.logs import log_event

_logger = logging.getLogger(__name__)

_POLL_S = 0.2
"""How often an idle thread looks whether it is to stop."""


class Refused(Exception):  # noqa: N818 - the queue is full
    """As many jobs wait as may."""


class Expired(Exception):  # noqa: N818 - the deadline has passed
    """The job's time ran out before its answer was whole."""


class Overlong(Exception):  # noqa: N818 - the text has no room
    """The answer does not fit the model's length."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer's tokens, and the least probability of a choice among those that the grammar allowed."""

    tokens: tuple[int, ...]
    certainty: float


@dataclass(slots=True, eq=False)
class Job:
    """A text on its way; the future belongs to the loop."""

    matcher: LLMatcher
    deadline: float
    loop: asyncio.AbstractEventLoop
    future: "asyncio.Future[Answer]"
    pending: list[int]
    """Tokens to feed at the next step."""
    tokens: list[int] = field(default_factory=list)
    certainty: float = 1.0

    def finish(self, result: Answer | Exception) -> None:
        """Hand the result to the caller, who may have gone."""
        try:
            self.loop.call_soon_threadsafe(_set, self.future, result)
        except RuntimeError:
            return  # the loop has closed


class Stepper(Protocol):
    """What the batcher needs of a network; `rewriter.engines.model.decoder.Decoder` says more."""

    rows: int

    def free(self, row: int) -> None:
        """Forget a row."""

    def move(self, source: int, target: int) -> None:
        """Put one row in another's place."""

    def room(self, row: int) -> int:
        """Return the tokens that still fit."""
        ...

    def step(self, first: int, fed: Sequence[Sequence[int]]) -> Logits:
        """Feed rows from the first on."""
        ...


class Batcher:
    """Runs jobs on a network in a thread of its own; at most `waiting` of them wait."""

    def __init__(self, stepper: Stepper, *, end: int, size: int, waiting: int) -> None:
        self._stepper = stepper
        self._end = end
        self._size = size
        self._queue: queue.Queue[Job] = queue.Queue(maxsize=waiting)
        self._active: list[Job] = []
        self._stopping = threading.Event()
        self._bitmask = masks.allocate_token_bitmask(1, size)
        self._thread = threading.Thread(target=self._run, name="decoder", daemon=True)
        self._thread.start()

    async def answer(self, prompt: Sequence[int], matcher: LLMatcher, *, timeout_s: float) -> Answer:
        """Return the model's answer to a prompt, held to the matcher's grammar.

        Raises:
            Refused: the queue is full, or the thread has ended.
            Expired: the time ran out.
            Overlong: the answer does not fit.
        """
        loop = asyncio.get_running_loop()
        forced = _forced(matcher)
        job = Job(
            matcher=matcher,
            deadline=time.monotonic() + timeout_s,
            loop=loop,
            future=loop.create_future(),
            pending=[*prompt, *forced],
            tokens=forced,
        )
        try:
            self._queue.put_nowait(job)
        except queue.Full:
            raise Refused from None
        if self._stopping.is_set():  # after the job was put, so that either this or the thread's end sees it
            raise Refused
        try:
            async with asyncio.timeout(timeout_s):
                return await job.future
        except TimeoutError:
            raise Expired from None

    def close(self) -> None:
        """End the thread; jobs under way are dropped."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._admit()
                if self._active:
                    self._step()
        except Exception:  # noqa: BLE001 - the thread's outermost; from here on the rules read the turns
            log_event(_logger, logging.ERROR, "decoder_failed", failed=True)
        finally:  # also when a step fails: then no job waits in vain
            self._stopping.set()
            for job in (*self._active, *self._waiting()):
                job.finish(Refused())

    def _waiting(self) -> Iterator[Job]:
        """Take every job out of the queue."""
        while True:
            try:
                yield self._queue.get_nowait()
            except queue.Empty:
                return

    def _admit(self) -> None:
        """Take waiting jobs while there are rows; each reads its prompt alone, for prompts differ in length."""
        while len(self._active) < self._stepper.rows:
            try:
                job = self._queue.get(timeout=None if self._active else _POLL_S, block=not self._active)
            except queue.Empty:
                return
            if self._is_lost(job):
                continue
            row = len(self._active)
            self._stepper.free(row)
            self._active.append(job)
            self._advance(row, self._stepper.step(row, [job.pending])[0])

    def _step(self) -> None:
        """Feed every active text what is pending, from the last row, so that a leaving one moves no row twice."""
        for row in reversed(range(len(self._active))):
            job = self._active[row]
            if self._is_lost(job):
                self._leave(row)
            elif self._stepper.room(row) < len(job.pending):
                job.finish(Overlong())
                self._leave(row)
        if not self._active:
            return
        logits = self._stepper.step(0, [job.pending for job in self._active])
        for row in reversed(range(len(self._active))):
            self._advance(row, logits[row])

    def _advance(self, row: int, logits: Logits) -> None:
        """Choose the text's next token, and let those that the grammar forces follow it."""
        job = self._active[row]
        chosen = self._choose(job, logits)
        job.matcher.consume_token(chosen)
        job.pending = [chosen, *_forced(job.matcher)]
        job.tokens += job.pending
        if job.matcher.is_accepting() or job.matcher.is_stopped():
            job.finish(Answer(tuple(token for token in job.tokens if token != self._end), job.certainty))
            self._leave(row)

    def _choose(self, job: Job, logits: Logits) -> int:
        """Return the likeliest token that the grammar allows, and note how likely it is among those."""
        masks.fill_next_token_bitmask(job.matcher, self._bitmask, 0)
        allowed = np.flatnonzero(
            np.unpackbits(self._bitmask.view(np.uint8)[0], bitorder="little")[: self._size]
        )
        scores = logits[allowed]
        best = int(scores.argmax())
        job.certainty = min(job.certainty, float(1.0 / np.exp(scores - scores[best]).sum()))
        return int(allowed[best])

    def _leave(self, row: int) -> None:
        """Take a text out; the last one moves into its place."""
        last = self._active.pop()
        self._stepper.free(row)
        if row < len(self._active):
            self._active[row] = last
            self._stepper.move(len(self._active), row)

    @staticmethod
    def _is_lost(job: Job) -> bool:
        """Return whether no one waits for the job's answer any more."""
        return job.future.done() or time.monotonic() > job.deadline


def _set(future: "asyncio.Future[Answer]", result: Answer | Exception) -> None:
    if future.done():
        return
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)


def _forced(matcher: LLMatcher) -> list[int]:
    """Return the tokens that the grammar leaves no choice about, already taken by the matcher."""
    forced = list(matcher.compute_ff_tokens())
    if forced:
        matcher.consume_tokens(forced)
    return forced
