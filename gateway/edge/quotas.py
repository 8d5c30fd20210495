"""Quotas: how much one caller may ask for, so that it costs others nothing."""

import time
from collections.abc import Callable, Container, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

from gateway.callers import LOCAL, Caller, Quotas
from gateway.errors import QuotaExceeded
from gateway.metrics import Metrics

_INGEST_RETRY_S = 5.0
_SHORTEST_RETRY_S, _LONGEST_RETRY_S = 0.05, 5.0
_WEIGHT = 0.1
"""Of one more call in the average of their durations."""


_UNCOUNTED = nullcontext()


@dataclass(slots=True)
class _Usage:
    """What one caller has used up."""

    allowance: float
    """Requests that it may make at once."""
    counted_at: float
    calls: int = 0
    streams: int = 0
    seconds: float = _SHORTEST_RETRY_S
    """About how long its calls take: after that long one of them makes room."""


class QuotaKeeper:
    """Counts calls by caller, of which there are as many as the file of callers has.

    A quota of 0 is none; the callers of a gateway that asks nobody who they are have none.
    """

    def __init__(
        self, defaults: Quotas, metrics: Metrics, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._defaults = defaults
        self._metrics = metrics
        self._clock = clock
        self._usages: dict[str, _Usage] = {}

    def forget_all_but(self, known: Container[str]) -> None:
        """Drop what is counted of callers that are not known any more and have no call under way."""
        gone = [
            name
            for name, usage in self._usages.items()
            if name not in known and not usage.calls and not usage.streams
        ]
        for name in gone:
            del self._usages[name]

    def held(self, caller: Caller, *, ingest: bool) -> AbstractContextManager[None]:
        """Return what counts one call, or one stream of products, while a block runs; the block raises QuotaExceeded."""
        return _UNCOUNTED if caller is LOCAL else self._held(caller, ingest=ingest)

    @contextmanager
    def _held(self, caller: Caller, *, ingest: bool) -> Iterator[None]:
        usage = self._usages.setdefault(caller.name, _Usage(allowance=1.0, counted_at=self._clock() - 1.0))
        self._check_room(caller, usage, ingest=ingest)
        self._take_request(caller, usage)
        began = self._clock()
        usage.streams += ingest
        usage.calls += not ingest
        try:
            yield
        finally:
            usage.streams -= ingest
            usage.calls -= not ingest
            if not ingest:
                usage.seconds += _WEIGHT * (self._clock() - began - usage.seconds)

    def _check_room(self, caller: Caller, usage: _Usage, *, ingest: bool) -> None:
        if ingest:
            streams = self._limit(caller.quotas.ingest_streams, self._defaults.ingest_streams)
            if streams and usage.streams >= streams:
                raise self._refusal(
                    caller, "ingest_streams", f"{streams} streams of products at once", _INGEST_RETRY_S
                )
            return
        calls = self._limit(caller.quotas.concurrent, self._defaults.concurrent)
        if calls and usage.calls >= calls:
            after_s = min(max(usage.seconds, _SHORTEST_RETRY_S), _LONGEST_RETRY_S)
            raise self._refusal(caller, "concurrent", f"{calls} calls at once", after_s)

    def _take_request(self, caller: Caller, usage: _Usage) -> None:
        rate = self._limit(caller.quotas.requests_per_s, self._defaults.requests_per_s)
        if not rate:
            return
        now = self._clock()
        most = max(rate, 1.0)
        usage.allowance = min(most, usage.allowance + (now - usage.counted_at) * rate)
        usage.counted_at = now
        if usage.allowance < 1:
            raise self._refusal(
                caller, "requests_per_s", f"{rate:g} requests a second", (1 - usage.allowance) / rate
            )
        usage.allowance -= 1

    def _refusal(self, caller: Caller, quota: str, limit: str, retry_after_s: float) -> QuotaExceeded:
        self._metrics.quota_refusals.labels(caller.name, quota).inc()
        return QuotaExceeded(f"{caller.name}: at most {limit}", retry_after_s=retry_after_s)

    @staticmethod
    def _limit(own: float | None, default: float | None) -> float:
        return (own if own is not None else default) or 0
