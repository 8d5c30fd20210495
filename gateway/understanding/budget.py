"""The time that optional work gets: twice what it takes at its 95th percentile of late, within bounds."""

import math
import time
from collections import deque
from collections.abc import Callable

QUANTILE = 0.95
FACTOR = 2.0
WINDOW = 100
"""Calls that are looked back at."""

WINDOW_S = 60.0
"""Age at which a call is no longer looked at."""

FEWEST = 20
"""With fewer calls to look at, the whole ceiling is given."""


class AdaptiveBudget:
    """Gives seconds from `floor_s` to `ceiling_s`; the ceiling wins where they contradict each other.

    A call that did not answer in time counts as one that took the ceiling. So as soon as more than one call in
    twenty is late, the budget is the ceiling again: a budget that was too small never keeps itself small.
    """

    def __init__(
        self, *, ceiling_s: float, floor_s: float = 0.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.ceiling_s = ceiling_s
        self._floor_s = floor_s
        self._clock = clock
        self._calls: deque[tuple[float, float]] = deque(maxlen=WINDOW)
        """When each call ended, and how long it took."""
        self._seconds: float | None = None
        """The budget by these calls; None until it is computed."""

    def observe(self, seconds: float, *, late: bool = False) -> None:
        """Note how long a call took."""
        self._seconds = None
        self._calls.append((self._clock(), self.ceiling_s if late else seconds))

    def seconds(self) -> float:
        """Return the budget of the next call."""
        oldest = self._clock() - WINDOW_S
        while self._calls and self._calls[0][0] < oldest:
            self._calls.popleft()
            self._seconds = None
        if self._seconds is None:
            self._seconds = self._computed()
        return self._seconds

    def _computed(self) -> float:
        if len(self._calls) < FEWEST:
            return self.ceiling_s
        durations = sorted(duration for _, duration in self._calls)
        quantile = durations[math.ceil(QUANTILE * len(durations)) - 1]
        return min(self.ceiling_s, max(self._floor_s, FACTOR * quantile))
