"""A circuit breaker: after failures in a row it spares a dependency further calls, then lets one try."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum


class BreakerOpen(Exception):  # noqa: N818 - a reason to do without, not a failure
    """The dependency failed too often of late and is not asked."""


class BreakerState(IntEnum):
    """As the gauge shows it."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


class CircuitBreaker:
    """Opens after `failures` in a row, half-opens `cooldown_s` later for a single trial, closes when that succeeds.

    A call that began before it opened, or in an earlier trial, says nothing when it ends later: only the calls that
    the state was made for change it.
    """

    def __init__(
        self, *, failures: int, cooldown_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._allowed = failures
        self._cooldown_s = cooldown_s
        self._clock = clock
        self._failed = 0
        self._opened_at = 0.0
        self._trying = False
        self._period = 0
        """Counts how often it opened and closed; calls of an earlier period are no longer listened to."""

    @property
    def state(self) -> BreakerState:
        """What the next call meets."""
        if self._failed < self._allowed:
            return BreakerState.CLOSED
        if self._trying or self._clock() - self._opened_at < self._cooldown_s:
            return BreakerState.OPEN
        return BreakerState.HALF_OPEN

    @contextmanager
    def attempt(self, *failures: type[Exception]) -> Iterator[None]:
        """Guard one call; exceptions of the given types count against the dependency.

        Raises:
            BreakerOpen: the call must not be made.
        """
        state = self.state
        if state is BreakerState.OPEN:
            raise BreakerOpen
        trial = state is BreakerState.HALF_OPEN
        self._trying = trial
        period = self._period
        try:
            yield
        except failures:
            if period == self._period:
                self._fail()
            raise
        else:
            if period == self._period:
                self._succeed(trial=trial)
        finally:
            # A cancelled trial proves nothing: the next call is the trial.
            if trial:
                self._trying = False

    def _fail(self) -> None:
        self._failed += 1
        if self._failed >= self._allowed:
            self._period += 1
            self._opened_at = self._clock()

    def _succeed(self, *, trial: bool) -> None:
        self._failed = 0
        if trial:
            self._period += 1
