"""Events on their way in: each held to what it names, its products looked up together, then recorded."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gateway.caches import LruCache
from gateway.errors import FailedPrecondition, InvalidQuery
from gateway.events import Event, Outcome
from gateway.feedback.pseudonyms import Keyring, Keys
from gateway.metrics import Metrics
from gateway.model import Deadline
from gateway.ports import EventStore, VectorIndex
from vitrine.domain import limits

KNOWN_PRODUCTS = 100_000
KNOWN_S = 60.0
"""For how long a product counts as one of the index without being looked up again."""

_NANOS = 1_000_000_000
_OFF = "no events are taken here: GATEWAY_EVENTS says where they are kept"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """An event that was refused, and why."""

    id: str
    field: str
    reason: str


@dataclass(slots=True)
class Tally:
    """What became of the events of a stream."""

    outcomes: Counter[Outcome] = field(default_factory=Counter)
    refused: int = 0
    first_refused: list[Refused] = field(default_factory=list)

    def refuse(self, refused: Refused) -> None:
        """Count a refusal, and keep it where it is one of the first."""
        self.refused += 1
        if len(self.first_refused) < limits.MAX_EVENT_ERRORS:
            self.first_refused.append(refused)


class Intake:
    """Takes events in; None for a store: none are taken."""

    def __init__(
        self,
        store: EventStore,
        keys: Keys,
        index: VectorIndex,
        metrics: Metrics,
        *,
        on_recorded: Callable[[Sequence[Event]], None] = lambda _: None,
    ) -> None:
        self._store = store
        self._keys = keys
        self._index = index
        self._metrics = metrics
        self._on_recorded = on_recorded
        self._known = LruCache[str, bool](KNOWN_PRODUCTS, ttl_s=KNOWN_S)

    async def keyring(self, deadline: Deadline) -> Keyring:
        """Return the keys by which events are read; raises EventStoreError."""
        return await self._keys.keyring(timeout_s=deadline.remaining_s())

    async def record(self, events: Sequence[Event], tally: Tally, deadline: Deadline) -> None:
        """Record events whose fields were checked, and count what became of each.

        Raises:
            DependencyError, DeadlineExceeded, Overloaded: nothing is known of these events; they may be sent again.
        """
        there = await self._existing({event.product_id for event in events}, deadline)
        accepted = []
        for event in events:
            if event.product_id in there:
                accepted.append(event)
            else:
                tally.refuse(Refused(id=event.id, field="product_id", reason="is no product of the index"))
        if not accepted:
            return
        with self._metrics.dependency("events"):
            outcomes = await self._store.append(accepted, timeout_s=deadline.remaining_s())
        for event, outcome in zip(accepted, outcomes, strict=True):
            self._metrics.events.labels(event.kind.name.lower(), outcome.value).inc()
            if outcome is Outcome.ERASED:
                tally.refuse(Refused(id=event.id, field="user_id", reason="was erased after this happened"))
            else:
                tally.outcomes[outcome] += 1
        self._on_recorded(
            [event for event, outcome in zip(accepted, outcomes, strict=True) if outcome is Outcome.RECORDED]
        )

    async def _existing(self, ids: set[str], deadline: Deadline) -> set[str]:
        """Return which of the products the index has."""
        unknown = sorted(each for each in ids if self._known.get(each) is None)
        if unknown:
            with self._metrics.dependency("index"):
                found = await self._index.get(unknown, timeout_s=deadline.remaining_s())
            for product in found:
                self._known.put(product.id, True)
            return (ids - set(unknown)) | {product.id for product in found}
        return ids


def event_time(seconds: int, nanos: int, *, now_s: float | None = None) -> int:
    """Return when an event happened, in ms since 1970; raises InvalidQuery for a time that no event may have."""
    now_s = time.time() if now_s is None else now_s
    if not 0 <= nanos < _NANOS:
        raise InvalidQuery("time", "is no valid timestamp")
    age_s = now_s - seconds
    if age_s < -limits.MAX_EVENT_AHEAD_S:
        raise InvalidQuery("time", f"must not be more than {limits.MAX_EVENT_AHEAD_S} s in the future")
    if age_s > limits.MAX_EVENT_AGE_DAYS * 86_400:
        raise InvalidQuery("time", f"must be at most {limits.MAX_EVENT_AGE_DAYS} days ago")
    return seconds * 1_000 + nanos // 1_000_000


def off() -> FailedPrecondition:
    """Return the refusal of a gateway that keeps no events."""
    return FailedPrecondition(_OFF)
