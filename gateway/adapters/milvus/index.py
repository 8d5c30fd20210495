"""The index on Milvus: one collection a generation, one row a picture, one call a search.

A row's vector is (image half | text half) and a query's (weights.image * q | weights.text * q_text), so that
their inner product is the ranking r = weights.text * S_text + weights.image * S_image.

The same calls serve Milvus Lite 2.5 and the servers since 2.3; what they do not share is in pointer.py and
expression.py.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

import numpy as np

from gateway.adapters.milvus.administration import MilvusAdministrator
from gateway.adapters.milvus.blocked import MilvusBlocked
from gateway.adapters.milvus.collections import MilvusCollections
from gateway.adapters.milvus.connection import MilvusConnection, connect, within
from gateway.adapters.milvus.counts import Counts, State
from gateway.adapters.milvus.documents import MilvusDocuments
from gateway.adapters.milvus.expression import conjunction, words_expression
from gateway.adapters.milvus.layout import Layout
from gateway.adapters.milvus.lease import LEASE_S
from gateway.adapters.milvus.ranking import Query, rank, to_hits
from gateway.adapters.milvus.reading import Reading
from gateway.adapters.milvus.rows import keys_of, with_keys
from gateway.adapters.milvus.saying import whole_expression
from gateway.adapters.milvus.sorting import rank_sorted
from gateway.errors import FailedPrecondition, IndexSwapped, VectorIndexError
from gateway.model import (
    Deadline,
    Embedding,
    FieldSummary,
    IndexSummary,
    IndexVersion,
    Pool,
    Sort,
    Standing,
    StoredProduct,
    Weights,
)
from gateway.ports import MAX_POOL
from vitrine.channels import Tls
from vitrine.domain.filters import Filter
from vitrine.process.secrets import Secret

POINTER_TTL_S = 1.0
"""Age at which pointer and schema are read anew. Until then a reader may answer from the collection that was in use
before, in full; it is kept for that."""

T = TypeVar("T")


@asynccontextmanager
async def open_milvus(
    uri: str,
    *,
    name: str = "products",
    token: Secret = lambda: "",
    tls: Tls | None = None,
    max_concurrency: int = 32,
    calls_at_once: int = 1,
    write_timeout_s: float = 30.0,
    max_pool: int = MAX_POOL,
    lease_s: float = LEASE_S,
) -> AsyncIterator["MilvusIndex"]:
    """Open the index of that name at a pymilvus URI, `http://host:19530` or `unix:/path`.

    Nothing is asked of the server yet: it may come later, and calls raise VectorIndexError until it does.
    `name` is the alias, or the pointer's key, and begins the names of the collections. `max_concurrency` bounds the
    calls under way; what exceeds it waits here, within its own timeout. Of searches that differ in their vectors alone
    `calls_at_once` are under way, and those that come meanwhile go together. `max_pool` bounds the products that are
    ordered by a field at once. `lease_s` is how long a lease of this process keeps others waiting once it is gone; its
    claims say so, and processes may differ.
    """
    async with connect(
        uri, token=token, tls=tls, max_concurrency=max_concurrency, calls_at_once=calls_at_once
    ) as connection:
        collections = MilvusCollections(connection, prefix=name, lease_s=lease_s)
        index = MilvusIndex(
            connection,
            collections,
            documents=MilvusDocuments(connection, prefix=name, lease_s=lease_s),
            blocked=MilvusBlocked(connection, prefix=name, lease_s=lease_s),
            write_timeout_s=write_timeout_s,
            max_pool=max_pool,
        )
        try:
            yield index
        finally:
            await index.close()


class MilvusIndex(MilvusAdministrator):
    """Obeys `gateway.ports.VectorIndex` and `gateway.ports.IndexAdministrator`."""

    def __init__(
        self,
        connection: MilvusConnection,
        collections: MilvusCollections,
        *,
        documents: MilvusDocuments,
        blocked: MilvusBlocked,
        write_timeout_s: float,
        max_pool: int = MAX_POOL,
    ) -> None:
        super().__init__(connection, collections, timeout_s=write_timeout_s)
        self.documents = documents
        """The shop's documents, which lie beside the index."""
        self.blocked = blocked
        """The shop's blocked pictures, the same."""
        self._max_pool = max_pool
        self._layout: Layout | None = None
        self._layout_read_at = float("-inf")
        self._layout_lock = asyncio.Lock()
        self._counts = Counts(connection)

    async def close(self) -> None:
        """Stop what is still being computed, and give back what leases are held."""
        await super().close()
        await self._counts.close()

    async def search(
        self,
        embedding: Embedding,
        *,
        text_embedding: Embedding | None = None,
        weights: Weights,
        filters: Filter | None,
        limit: int,
        words: Sequence[str] = (),
        products: Sequence[str] = (),
        sort: Sort | None = None,
        manifest: str = "",
        timeout_s: float,
    ) -> Pool:
        """As the port says; the hits carry both halves of their vectors."""
        text = embedding if text_embedding is None else text_embedding
        query = Query(image=embedding.astype(np.float64), text=text.astype(np.float64), weights=weights)

        async def look_up(reading: Reading) -> Pool:
            expression = conjunction(
                await whole_expression(filters, reading),
                words_expression(words) if words else "",
                with_keys(keys_of(products)) if products else "",
            )
            if sort is None:
                ranking = await rank(reading, query, expression=expression, limit=limit, documents=True)
            else:
                ranking = await rank_sorted(
                    reading,
                    query,
                    expression=expression,
                    filtered=filters is not None,
                    sort=sort,
                    limit=limit,
                    max_pool=self._max_pool,
                )
            return Pool(hits=await to_hits(reading, ranking.candidates), complete=ranking.complete)

        return await self._read(look_up, timeout_s, manifest=manifest)

    async def get(self, ids: Sequence[str], *, manifest: str = "", timeout_s: float) -> list[StoredProduct]:
        """As the port says; a caller in this process sees his own writes."""
        if not ids:
            return []
        found = await self._read(
            lambda reading: reading.products(ids), timeout_s, consistency="Session", manifest=manifest
        )
        return [found[product_id] for product_id in ids if product_id in found]

    async def count(self, filters: Filter, *, timeout_s: float) -> int:
        """As the port says."""

        async def count(reading: Reading) -> int:
            return await reading.count(await whole_expression(filters, reading))

        return await self._read(count, timeout_s)

    async def facets(
        self, filters: Filter | None, fields: Sequence[str], *, timeout_s: float
    ) -> tuple[FieldSummary, ...]:
        """As the port says; kept for a minute, or until a write here or another number of products."""

        async def count(reading: Reading) -> tuple[FieldSummary, ...]:
            state = await self._state(reading)
            return await self._counts.facets(reading, state, filters=filters, names=fields)

        return await self._read(count, timeout_s)

    async def version(self, *, timeout_s: float) -> IndexVersion:
        """As the port says.

        Raises:
            FailedPrecondition: there is no index yet, or it was not made for this gateway, or is damaged.
        """
        return (await self._current_layout(Deadline.after(timeout_s))).version

    async def describe(self, *, timeout_s: float) -> IndexSummary:
        """As the port says; the summary of the fields is kept until something speaks for another."""
        deadline = Deadline.after(timeout_s)
        layout = await self._current_layout(deadline)
        state = await self._state(Reading(connection=self._connection, layout=layout, deadline=deadline))
        summary = await self._counts.summary(layout, state, deadline=deadline)
        return IndexSummary(
            version=layout.version, products=state.products, fields=summary.fields, words=summary.words
        )

    async def opened(self, collection: str) -> Layout:
        """Return the layout of the collection in use, verified once."""
        deadline = Deadline.after(self._timeout_s)
        if self._layout is not None and self._layout.collection == collection:
            return await self._collections.refreshed(self._layout, timeout_s=deadline.remaining_s())
        await self._forget_layout()
        return await self._current_layout(deadline)

    async def pointer_moved(self) -> None:
        """Have the next reader read the pointer."""
        await self._forget_layout()

    async def standing(self) -> Standing:
        """As the port says; readers of this process learn of a swap by it."""
        standing = await super().standing()
        if self._layout is not None and self._layout.collection != standing.in_use:
            await self._forget_layout()
        return standing

    async def _state(self, reading: Reading) -> State:
        return State(
            collection=reading.layout.collection,
            schema=reading.layout.version.schema.digest,
            products=await reading.count(),
            writes=self.writes(reading.layout.collection),
        )

    async def _read(
        self,
        ask: Callable[[Reading], Awaitable[T]],
        timeout_s: float,
        *,
        consistency: str = "Bounded",
        manifest: str = "",
    ) -> T:
        """Ask the collection in use, if it is of that manifest; once more where the failure has to do with a swap."""
        deadline = Deadline.after(timeout_s)

        def reading(layout: Layout) -> Reading:
            if manifest not in ("", layout.version.manifest):
                raise IndexSwapped
            return Reading(
                connection=self._connection, layout=layout, deadline=deadline, consistency=consistency
            )

        layout = await self._current_layout(deadline)
        try:
            return await ask(reading(layout))
        except VectorIndexError:
            await self._forget_layout()
            moved = await self._current_layout(deadline)
            if moved.collection == layout.collection:
                raise
            return await ask(reading(moved))

    async def _current_layout(self, deadline: Deadline) -> Layout:
        if (known := self._fresh_layout()) is not None:
            return known
        async with within(deadline.remaining_s()), self._layout_lock:
            if (known := self._fresh_layout()) is None:
                known = self._layout = await self._read_layout(deadline)
                self._layout_read_at = time.monotonic()
            return known

    def _fresh_layout(self) -> Layout | None:
        return self._layout if time.monotonic() - self._layout_read_at < POINTER_TTL_S else None

    async def _read_layout(self, deadline: Deadline) -> Layout:
        known = self._layout
        collection = await self._collections.in_use(timeout_s=deadline.remaining_s())
        if collection is None:
            self._layout = None
            raise FailedPrecondition("there is no index yet: run `vitrine index PATH`")
        if known is not None and known.collection == collection:
            return await self._collections.refreshed(known, timeout_s=deadline.remaining_s())
        return await self._collections.verified(collection, timeout_s=deadline.remaining_s())

    async def _forget_layout(self) -> None:
        """Make the next reader read the pointer and verify what it names: the server may have come back with less."""
        async with self._layout_lock:  # a reading under way must not bring the old one back
            self._layout = None
