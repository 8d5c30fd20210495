"""What was counted of a collection, kept until something speaks for another count."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gateway.adapters.milvus.connection import MilvusConnection, within
from gateway.adapters.milvus.counting import count_everything, count_values
from gateway.adapters.milvus.expression import filter_expression
from gateway.adapters.milvus.layout import Layout
from gateway.adapters.milvus.reading import Reading
from gateway.adapters.milvus.writer import SCAN_TIMEOUT_S
from gateway.caches import LruCache, SingleFlight
from gateway.model import Deadline, FieldSummary
from vitrine.domain.filters import Filter

SUMMARY_TTL_S = 300.0
"""Age at which everything is counted anew, though neither a write here nor the number of products asks for it."""

_FACETS_TTL_S = 60.0
_FACETS_KEPT = 256

Facets = tuple[FieldSummary, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What tells one state of a collection from another."""

    collection: str
    schema: str
    """Its digest."""
    products: int
    writes: int
    """Calls of this process that changed the collection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a collection holds."""

    fields: Facets
    words: Mapping[str, int]
    state: State
    made_at: float = field(default_factory=time.monotonic)


class Counts:
    """Counts the values of fields, and keeps what it counted."""

    def __init__(self, connection: MilvusConnection) -> None:
        self._connection = connection
        self._summary: Summary | None = None
        self._summarising: asyncio.Task[Summary] | None = None
        self._facets = LruCache[object, Facets](_FACETS_KEPT, ttl_s=_FACETS_TTL_S)
        self._counting = SingleFlight[object, Facets]()

    async def close(self) -> None:
        """Stop what is still being counted."""
        if self._summarising is not None:
            self._summarising.cancel()
            await asyncio.wait([self._summarising])

    async def summary(self, layout: Layout, state: State, *, deadline: Deadline) -> Summary:
        """Return the counts of every field that is filtered or counted, and of the words."""
        kept = self._summary
        if kept is not None and kept.state == state and time.monotonic() - kept.made_at <= SUMMARY_TTL_S:
            return kept
        # It outlives a caller that cannot wait: the next one finds it further on, or done.
        if self._summarising is None:
            self._summarising = asyncio.create_task(self._summarise(layout, state))
        async with within(deadline.remaining_s()):
            return await asyncio.shield(self._summarising)

    async def facets(
        self, reading: Reading, state: State, *, filters: Filter | None, names: Sequence[str]
    ) -> Facets:
        """Return the counts of fields over the products that fulfil the condition."""
        key = (state, filters, tuple(names))
        kept = self._facets.get(key)
        if kept is not None:
            return kept

        async def count() -> Facets:
            expression = "" if filters is None else filter_expression(filters, reading.layout)
            facets = await count_values(reading, names, expression=expression)
            self._facets.put(key, facets)
            return facets

        return await self._counting.run(key, count)

    async def _summarise(self, layout: Layout, state: State) -> Summary:
        try:
            reading = Reading(
                connection=self._connection, layout=layout, deadline=Deadline.after(SCAN_TIMEOUT_S)
            )
            names = [each.name for each in layout.version.schema if each.filter or each.facet]
            fields, words = await count_everything(reading, names)
            self._summary = Summary(fields=fields, words=words, state=state)
            return self._summary
        finally:
            self._summarising = None
