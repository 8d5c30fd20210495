"""What was shown and what was done with it, read from the store of events."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.events import Answer, EventKind
from gateway.ports import EventStore

MAX_ANSWERS = 1_000_000
"""Answers that are read, the first ones of the log; the gateway keeps fewer unless it is told otherwise."""
MAX_EVENTS = 10_000_000
_PAGE = 2_000
_WAIT_S = 30.0

CHOSEN = frozenset({EventKind.CLICK, EventKind.CART, EventKind.PURCHASE, EventKind.FAVOURITE})
"""Events by which a shopper says that a hit was what they looked for."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """An answer, and which of its hits were chosen."""

    answer: Answer
    chosen: NDArray[np.bool_]
    """(n,), as the hits stand."""

    @property
    def positions(self) -> Floats:
        """Return where the hits stood, from 1, (n,)."""
        return np.array([shown.position for shown in self.answer.shown], dtype=np.float64)

    @property
    def product_ids(self) -> list[str]:
        """Return the hits' products."""
        return [shown.product_id for shown in self.answer.shown]

    @property
    def features(self) -> Sequence[Mapping[str, float]]:
        """Return the hits' features by name."""
        return [shown.features for shown in self.answer.shown]

    def feature(self, name: str) -> Floats:
        """Return one feature of all hits, (n,); 0 where it is not known."""
        return np.array([shown.features.get(name, 0.0) for shown in self.answer.shown])


async def read_log(store: EventStore) -> list[Judged]:
    """Return every answer that is kept, the oldest first, with what was chosen of it."""
    chosen: defaultdict[str, set[str]] = defaultdict(set)
    mark, read = "", 0
    while read < MAX_EVENTS:
        events, mark = await store.read_events(mark, limit=_PAGE, timeout_s=_WAIT_S)
        if not events:
            break
        read += len(events)
        for event in events:
            if event.kind in CHOSEN and event.request_id:
                chosen[event.request_id].add(event.product_id)
    judged: list[Judged] = []
    mark = ""
    while len(judged) < MAX_ANSWERS:
        answers, mark = await store.read_answers(mark, limit=_PAGE, timeout_s=_WAIT_S)
        if not answers:
            break
        judged += [_judged(answer, chosen.get(answer.request_id, set())) for answer in answers]
    return sorted(judged, key=lambda each: (each.answer.at_ms, each.answer.request_id))


def _judged(answer: Answer, chosen: set[str]) -> Judged:
    # Where a hit stood is what the gateway knows, not what the event says of it.
    return Judged(
        answer=answer, chosen=np.array([shown.product_id in chosen for shown in answer.shown], dtype=bool)
    )
