"""Where a search's time goes."""

import time
from types import TracebackType

from gateway.retrieval.query import Timings
from vitrine.process.tracing import span


class StageClock:
    """Adds up the seconds of named stages; started when made."""

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self._stages: dict[str, float] = {}

    def stage(self, name: str) -> "_Stage":
        """Return what times a stage while a block runs, also one that fails."""
        return _Stage(self._stages, name)

    def add(self, timings: Timings) -> None:
        """Take over the stages of a part."""
        for name, seconds in timings.stages_s.items():
            self._stages[name] = self._stages.get(name, 0.0) + seconds

    def timings(self) -> Timings:
        """Return what was measured so far."""
        return Timings(total_s=time.perf_counter() - self._started, stages_s=dict(self._stages))


class _Stage:
    """A stage while its block runs."""

    __slots__ = ("_name", "_span", "_stages", "_started")

    def __init__(self, stages: dict[str, float], name: str) -> None:
        self._stages = stages
        self._name = name

    def __enter__(self) -> None:
        self._started = time.perf_counter()
        self._span = span(f"stage {self._name}")
        self._span.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stages[self._name] = self._stages.get(self._name, 0.0) + time.perf_counter() - self._started
        self._span.__exit__(kind, error, trace)
