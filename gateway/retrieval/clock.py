"""Where a search's time goes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from gateway.retrieval.query import Timings
from vitrine.process.tracing import span


class StageClock:
    """Adds up the seconds of named stages; started when made."""

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self._stages: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage, also one that fails."""
        started = time.perf_counter()
        try:
            with span(f"stage {name}"):
                yield
        finally:
            self._stages[name] = self._stages.get(name, 0.0) + time.perf_counter() - started

    def add(self, timings: Timings) -> None:
        """Take over the stages of a part."""
        for name, seconds in timings.stages_s.items():
            self._stages[name] = self._stages.get(name, 0.0) + seconds

    def timings(self) -> Timings:
        """Return what was measured so far."""
        return Timings(total_s=time.perf_counter() - self._started, stages_s=dict(self._stages))
