"""The index on Milvus: one collection a generation, one row a picture, one exact call a search.

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

from gateway.adapters.milvus.collections import REBUILD, MilvusCollections
from gateway.adapters.milvus.connection import MilvusConnection, connect, within
from gateway.adapters.milvus.counts import Counts, State
from gateway.adapters.milvus.expression import conjunction, filter_expression, words_expression
from gateway.adapters.milvus.layout import Layout
from gateway.adapters.milvus.ranking import Query, rank, to_hits
from gateway.adapters.milvus.reading import Reading
from gateway.adapters.milvus.sorting import rank_sorted
from gateway.adapters.milvus.writer import MilvusWriter
from gateway.errors import FailedPrecondition, IndexSwapped, VectorIndexError
from gateway.model import (
    Deadline,
    Embedding,
    FieldSummary,
    IndexSummary,
    IndexVersion,
    Pool,
    Sort,
    StoredProduct,
    Weights,
)
from gateway.ports import MAX_POOL
from vitrine.channels import Tls
from vitrine.domain.filters import Filter
from vitrine.domain.schema import Schema, changes
from vitrine.domain.schema_files import shipped_schema
from vitrine.tensors import EMBEDDING_DIM

POINTER_TTL_S = 1.0
"""Age at which pointer and schema are read anew. Until then a reader may answer from the collection that was in use
before, in full; it is kept for that."""

T = TypeVar("T")


@asynccontextmanager
async def open_milvus(
    uri: str,
    *,
    name: str = "products",
    token: str = "",
    tls: Tls | None = None,
    max_concurrency: int = 32,
    write_timeout_s: float = 30.0,
    max_pool: int = MAX_POOL,
) -> AsyncIterator["MilvusIndex"]:
    """Open the index of that name at a pymilvus URI, `http://host:19530` or `unix:/path`.

    Nothing is asked of the server yet: it may come later, and calls raise VectorIndexError until it does.
    `name` is the alias, or the pointer's key, and begins the names of the collections. `max_concurrency` bounds the
    calls under way; what exceeds it waits here, within its own timeout. `max_pool` bounds the products that are
    ordered by a field at once.
    """
    async with connect(uri, token=token, tls=tls, max_concurrency=max_concurrency) as connection:
        index = MilvusIndex(connection, name=name, write_timeout_s=write_timeout_s, max_pool=max_pool)
        try:
            yield index
        finally:
            await index.close()


class MilvusIndex:
    """Obeys `gateway.ports.VectorIndex` and `gateway.ports.IndexAdministrator`."""

    def __init__(
        self, connection: MilvusConnection, *, name: str, write_timeout_s: float, max_pool: int = MAX_POOL
    ) -> None:
        self._connection = connection
        self._collections = MilvusCollections(connection, prefix=name)
        self._write_timeout_s = write_timeout_s
        self._max_pool = max_pool
        self._layout: Layout | None = None
        self._layout_read_at = float("-inf")
        self._layout_lock = asyncio.Lock()
        self._writers: dict[str, MilvusWriter] = {}
        self._counts = Counts(connection)

    async def close(self) -> None:
        """Stop what is still being computed."""
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
        sort: Sort | None = None,
        manifest: str = "",
        timeout_s: float,
    ) -> Pool:
        """As the port says; the hits carry both halves of their vectors."""
        text = embedding if text_embedding is None else text_embedding
        query = Query(image=embedding.astype(np.float64), text=text.astype(np.float64), weights=weights)

        async def look_up(reading: Reading) -> Pool:
            expression = conjunction(
                "" if filters is None else filter_expression(filters, reading.layout),
                words_expression(words) if words else "",
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
        return await self._read(
            lambda reading: reading.count(filter_expression(filters, reading.layout)), timeout_s
        )

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

    async def current(
        self, manifest: str, schema: Schema | None = None, *, embedding_dim: int = EMBEDDING_DIM
    ) -> MilvusWriter:
        """As the port says."""
        deadline = Deadline.after(self._write_timeout_s)
        if await self._collections.in_use(timeout_s=deadline.remaining_s()) is None:
            created = await self._collections.create(
                manifest,
                "",
                schema or shipped_schema(),
                embedding_dim=embedding_dim,
                timeout_s=deadline.remaining_s(),
            )
            await self._collections.put_in_use(created.collection, timeout_s=deadline.remaining_s())
            await self._forget_layout()
        layout = await self._current_layout(deadline)
        if layout.version.manifest != manifest:
            raise FailedPrecondition(
                f"encoders {layout.version.manifest[:12]} made the index {layout.collection}, and {manifest[:12]}"
                f" serve now: {REBUILD}"
            )
        return self._writer(await self._adopted(layout, schema, deadline))

    async def build(
        self, manifest: str, source: str, schema: Schema | None = None, *, embedding_dim: int = EMBEDDING_DIM
    ) -> MilvusWriter:
        """As the port says; drops the collection that was in use before the current one, and other unfinished ones."""
        deadline = Deadline.after(self._write_timeout_s)
        schema = schema or await self._schema_in_use(deadline)
        layout = await self._collections.unfinished(
            manifest, source, schema, timeout_s=deadline.remaining_s()
        )
        if layout is None:
            layout = await self._collections.create(
                manifest, source, schema, embedding_dim=embedding_dim, timeout_s=deadline.remaining_s()
            )
        elif layout.version.schema != schema:
            layout = await self._collections.adopt(layout, schema, timeout_s=deadline.remaining_s())
        return self._writer(layout)

    async def promote(self, version: IndexVersion) -> None:
        """As the port says."""
        # Nothing is lost without it; but a server searches what it has flushed with less work.
        await self._connection.call("flush", version.collection, timeout_s=self._write_timeout_s)
        writer = self._writer(
            await self._collections.layout(version.collection, timeout_s=self._write_timeout_s)
        )
        await writer.seal()
        await self._collections.put_in_use(version.collection, timeout_s=self._write_timeout_s)
        await self._forget_layout()
        self._writers = {version.collection: writer}

    def _writer(self, layout: Layout) -> MilvusWriter:
        if layout.collection not in self._writers:
            self._writers[layout.collection] = MilvusWriter(
                self._connection, self._collections.ledger, layout=layout, timeout_s=self._write_timeout_s
            )
        self._writers[layout.collection].use(layout)
        return self._writers[layout.collection]

    async def _adopted(self, layout: Layout, schema: Schema | None, deadline: Deadline) -> Layout:
        """Return the layout after a schema that the collection can take on as it stands has become its own."""
        if schema is None or schema == layout.version.schema:
            return layout
        # Another process may have given it a field within the last moments.
        layout = await self._collections.layout(layout.collection, timeout_s=deadline.remaining_s())
        if (difference := changes(layout.version.schema, schema)).breaking:
            raise FailedPrecondition(
                f"the schema of the index {layout.collection} has changed: {difference}: {REBUILD}"
            )
        adopted = await self._collections.adopt(layout, schema, timeout_s=deadline.remaining_s())
        await self._forget_layout()
        return adopted

    async def _schema_in_use(self, deadline: Deadline) -> Schema:
        """Return the schema of the collection in use, or fashion where there is none that can be read."""
        collection = await self._collections.in_use(timeout_s=deadline.remaining_s())
        if collection is None:
            return shipped_schema()
        try:
            layout = await self._collections.layout(collection, timeout_s=deadline.remaining_s())
        except FailedPrecondition:
            return shipped_schema()
        return layout.version.schema

    async def _state(self, reading: Reading) -> State:
        return State(
            collection=reading.layout.collection,
            schema=reading.layout.version.schema.digest,
            products=await reading.count(),
            writes=self._writers[reading.layout.collection].writes
            if reading.layout.collection in self._writers
            else 0,
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
        async with within(deadline.remaining_s()), self._layout_lock:
            if self._layout is None or time.monotonic() - self._layout_read_at >= POINTER_TTL_S:
                self._layout = await self._read_layout(deadline)
                self._layout_read_at = time.monotonic()
            return self._layout

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
