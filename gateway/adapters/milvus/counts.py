"""What was counted of a collection, kept until something speaks for another count."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from gateway.adapters.milvus.connection import MilvusConnection, within
from gateway.adapters.milvus.counting import count_everything, count_values
from gateway.adapters.milvus.layout import Layout
from gateway.adapters.milvus.reading import Reading
from gateway.adapters.milvus.saying import whole_expression
from gateway.adapters.milvus.writer import SCAN_TIMEOUT_S
from gateway.caches import LruCache, SingleFlight
from gateway.model import Deadline, FieldSummary
from vitrine.domain.filters import Filter

SUMMARY_TTL_S = 300.0
"""Age at which everything is counted anew, though neither a write here nor the number of products asks for it."""

FEW_PRODUCTS = 20_000
"""Collections of fewer are counted whenever something was written."""

REST = 19.0
"""Of others, what was counted is kept for so many times as long as counting it took, whatever is written meanwhile: so
an ingest never has a gateway count for more than a twentieth of the time."""

_FACETS_TTL_S = 60.0
_FACETS_KEPT = 256

Facets = tuple[FieldSummary, ...]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What tells one state of a collection from another."""

    collection: str
    schema: str
    """Its digest."""
    products: int
    writes: int
    """Calls of this process that changed the collection."""

    @property
    def readable(self) -> tuple[str, str]:
        """Return what has to be equal for older counts to be read as this state's."""
        return self.collection, self.schema


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted(Generic[T]):
    """What was counted, and how long it took."""

    what: T
    state: State
    began_at: float
    ended_at: float

    def serves(self, state: State, *, ttl_s: float, now: float) -> bool:
        """Whether it may be given for the state: it is the same, or counting anew would come too soon."""
        if self.state == state:
            return now - self.ended_at <= ttl_s
        if self.state.readable != state.readable or state.products < FEW_PRODUCTS:
            return False
        return now - self.ended_at <= min(ttl_s, REST * (self.ended_at - self.began_at))


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a collection holds."""

    fields: Facets
    words: Mapping[str, int]


class Counts:
    """Counts the values of fields, and keeps what it counted."""

    def __init__(self, connection: MilvusConnection, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._connection = connection
        self._clock = clock
        self._summary: Counted[Summary] | None = None
        self._summarising: asyncio.Task[Summary] | None = None
        self._facets = LruCache[object, Counted[Facets]](_FACETS_KEPT, ttl_s=_FACETS_TTL_S, clock=clock)
        self._counting = SingleFlight[object, Facets]()

    async def close(self) -> None:
        """Stop what is still being counted."""
        if self._summarising is not None:
            self._summarising.cancel()
            await asyncio.wait([self._summarising])

    async def summary(self, layout: Layout, state: State, *, deadline: Deadline) -> Summary:
        """Return the counts of every field that is filtered or counted, and of the words."""
        kept = self._summary
        if kept is not None and kept.serves(state, ttl_s=SUMMARY_TTL_S, now=self._clock()):
            return kept.what
        # It outlives a caller that cannot wait: the next one finds it further on, or done.
        if self._summarising is None:
            self._summarising = asyncio.create_task(self._summarise(layout, state))
        async with within(deadline.remaining_s()):
            return await asyncio.shield(self._summarising)

    async def facets(
        self, reading: Reading, state: State, *, filters: Filter | None, names: Sequence[str]
    ) -> Facets:
        """Return the counts of fields over the products that fulfil the condition."""
        key = (state.readable, filters, tuple(names))
        kept = self._facets.get(key)
        if kept is not None and kept.serves(state, ttl_s=_FACETS_TTL_S, now=self._clock()):
            return kept.what

        async def count() -> Facets:
            began_at = self._clock()
            expression = await whole_expression(filters, reading)
            facets = await count_values(reading, names, expression=expression)
            self._facets.put(key, self._counted(facets, state, began_at))
            return facets

        return await self._counting.run((state, *key), count)

    async def _summarise(self, layout: Layout, state: State) -> Summary:
        began_at = self._clock()
        try:
            reading = Reading(
                connection=self._connection, layout=layout, deadline=Deadline.after(SCAN_TIMEOUT_S)
            )
            names = [each.name for each in layout.version.schema if each.filter or each.facet]
            fields, words = await count_everything(reading, names)
            summary = Summary(fields=fields, words=words)
            self._summary = self._counted(summary, state, began_at)
            return summary
        finally:
            self._summarising = None

    def _counted(self, what: T, state: State, began_at: float) -> Counted[T]:
        return Counted(what=what, state=state, began_at=began_at, ended_at=self._clock())
