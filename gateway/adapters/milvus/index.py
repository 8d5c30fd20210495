"""The index on Milvus: one collection, one vector a product, one exact call a search.

A product's vector is (image half | text half) and a query's (weights.image * q | weights.text * q_text), so that
their inner product is the ranking r = weights.text * S_text + weights.image * S_image.

The same calls serve Milvus Lite 2.5 and the servers since 2.3; what they do not share is in milvus_pointer.py and
milvus_expression.py.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from gateway.adapters.milvus.collections import REBUILD, MilvusCollections
from gateway.adapters.milvus.connection import MilvusConnection, connect
from gateway.adapters.milvus.expression import encode_text, milvus_expression
from gateway.adapters.milvus.ledger import MilvusLedger
from gateway.adapters.milvus.scan import summarise
from gateway.adapters.milvus.schema import ID, PRODUCT_FIELDS, VECTOR, take_vectors, to_product, with_keys
from gateway.adapters.milvus.writer import SCAN_TIMEOUT_S, MilvusWriter, count_rows
from gateway.errors import DeadlineExceeded, FailedPrecondition, VectorIndexError
from gateway.model import (
    Deadline,
    Embedding,
    FieldSummary,
    Filter,
    Hit,
    IndexSummary,
    IndexVersion,
    StoredProduct,
    Weights,
)
from vitrine.tensors import EMBEDDING_DIM

POINTER_TTL_S = 1.0
"""Age at which the pointer is read anew. Until then a reader may answer from the collection that was in use before,
in full; it is kept for that."""

SUMMARY_TTL_S = 300.0
"""Age at which the fields are summarised anew, though neither a write here nor the number of products asks for it."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Summary:
    fields: tuple[FieldSummary, ...]
    made_at: float
    made_of: tuple[str, int, int]
    """The collection, its number of products and the writes of this process to it."""


@asynccontextmanager
async def open_milvus(
    uri: str,
    *,
    name: str = "products",
    token: str = "",
    max_concurrency: int = 32,
    write_timeout_s: float = 30.0,
) -> AsyncIterator["MilvusIndex"]:
    """Open the index of that name at a pymilvus URI, `http://host:19530` or `unix:/path`.

    Nothing is asked of the server yet: it may come later, and calls raise VectorIndexError until it does.
    `name` is the alias, or the pointer's key, and begins the names of the collections. `max_concurrency` bounds the
    calls under way; what exceeds it waits here, within its own timeout.
    """
    async with connect(uri, token=token, max_concurrency=max_concurrency) as connection:
        index = MilvusIndex(connection, name=name, write_timeout_s=write_timeout_s)
        try:
            yield index
        finally:
            await index.close()


class MilvusIndex:
    """Obeys `gateway.ports.VectorIndex` and `gateway.ports.IndexAdministrator`."""

    def __init__(self, connection: MilvusConnection, *, name: str, write_timeout_s: float) -> None:
        self._connection = connection
        self._ledger = MilvusLedger(connection, name=f"{name}_ledger")
        self._collections = MilvusCollections(connection, self._ledger, prefix=name)
        self._write_timeout_s = write_timeout_s
        self._version: IndexVersion | None = None
        self._version_read_at = float("-inf")
        self._version_lock = asyncio.Lock()
        self._writers: dict[str, MilvusWriter] = {}
        self._summary: _Summary | None = None
        self._summarising: asyncio.Task[_Summary] | None = None

    async def close(self) -> None:
        """Stop what is still being computed."""
        if self._summarising is not None:
            self._summarising.cancel()
            await asyncio.wait([self._summarising])

    async def search(
        self,
        embedding: Embedding,
        *,
        text_embedding: Embedding | None = None,
        weights: Weights,
        filters: Filter | None,
        limit: int,
        timeout_s: float,
    ) -> list[Hit]:
        """As the port says; the hits carry both halves of their vectors."""
        text = embedding if text_embedding is None else text_embedding
        vector = np.concatenate([weights.image * embedding, weights.text * text]).astype(np.float32)

        async def ask(collection: str, remaining_s: float) -> Any:
            return await self._connection.call(
                "search",
                collection,
                data=[vector],
                anns_field=VECTOR,
                filter="" if filters is None else milvus_expression(filters),
                limit=limit,
                output_fields=list(PRODUCT_FIELDS),
                search_params={"metric_type": "IP"},
                consistency_level="Bounded",
                timeout_s=remaining_s,
            )

        (found,) = await self._read(ask, timeout_s)
        vectors = take_vectors(found)
        hits = [
            _hit(to_product(row[ID], row["entity"], vector), embedding, text, weights)
            for row, vector in zip(found, vectors, strict=True)
        ]
        return sorted(hits, key=lambda hit: (-hit.score, hit.product.id))

    async def get(self, ids: Sequence[str], *, timeout_s: float) -> list[StoredProduct]:
        """As the port says; a caller in this process sees his own writes."""
        if not ids:
            return []

        async def ask(collection: str, remaining_s: float) -> Any:
            return await self._connection.call(
                "query",
                collection,
                filter=with_keys(map(encode_text, ids)),
                output_fields=[ID, *PRODUCT_FIELDS],
                consistency_level="Session",
                timeout_s=remaining_s,
            )

        rows = await self._read(ask, timeout_s)
        products = (to_product(row[ID], row, np.asarray(row[VECTOR], np.float32)) for row in rows)
        found = {product.id: product for product in products}
        return [found[product_id] for product_id in ids if product_id in found]

    async def count(self, filters: Filter, *, timeout_s: float) -> int:
        """As the port says."""

        async def ask(collection: str, remaining_s: float) -> int:
            return await count_rows(
                self._connection,
                collection,
                expression=milvus_expression(filters),
                consistency="Bounded",
                timeout_s=remaining_s,
            )

        return int(await self._read(ask, timeout_s))

    async def version(self, *, timeout_s: float) -> IndexVersion:
        """As the port says.

        Raises:
            FailedPrecondition: there is no index yet, or it was not made for this gateway, or is damaged.
        """
        deadline = Deadline.after(timeout_s)
        async with self._within(deadline), self._version_lock:
            if time.monotonic() - self._version_read_at < POINTER_TTL_S and self._version is not None:
                return self._version
            return await self._read_version(deadline)

    async def describe(self, *, timeout_s: float) -> IndexSummary:
        """As the port says; the summary of the fields is kept until something speaks for another."""
        deadline = Deadline.after(timeout_s)
        version = await self.version(timeout_s=deadline.remaining_s())
        products = await count_rows(
            self._connection,
            version.collection,
            consistency="Bounded",
            timeout_s=deadline.remaining_s(),
        )
        fields = await self._fields(version, products, deadline)
        return IndexSummary(version=version, products=products, fields=fields)

    async def current(self, manifest: str, *, embedding_dim: int = EMBEDDING_DIM) -> MilvusWriter:
        """As the port says."""
        deadline = Deadline.after(self._write_timeout_s)
        if await self._collections.in_use(timeout_s=deadline.remaining_s()) is None:
            created = await self._collections.create(
                manifest, "", embedding_dim=embedding_dim, timeout_s=deadline.remaining_s()
            )
            await self._collections.put_in_use(created.collection, timeout_s=deadline.remaining_s())
            await self._forget_version()
        version = await self.version(timeout_s=deadline.remaining_s())
        if version.manifest != manifest:
            raise FailedPrecondition(
                f"encoders {version.manifest[:12]} made the index {version.collection}, and {manifest[:12]} serve"
                f" now: {REBUILD}"
            )
        return self._writer(version)

    async def build(self, manifest: str, source: str, *, embedding_dim: int = EMBEDDING_DIM) -> MilvusWriter:
        """As the port says; drops the collection that was in use before the current one, and other unfinished ones."""
        deadline = Deadline.after(self._write_timeout_s)
        version = await self._collections.unfinished(manifest, source, timeout_s=deadline.remaining_s())
        if version is None:
            version = await self._collections.create(
                manifest, source, embedding_dim=embedding_dim, timeout_s=deadline.remaining_s()
            )
        return self._writer(version)

    async def promote(self, version: IndexVersion) -> None:
        """As the port says."""
        # Nothing is lost without it; but a server searches what it has flushed with less work.
        await self._connection.call("flush", version.collection, timeout_s=self._write_timeout_s)
        await self._writer(version).seal()
        await self._collections.put_in_use(version.collection, timeout_s=self._write_timeout_s)
        await self._forget_version()
        self._writers = {version.collection: self._writer(version)}

    def _writer(self, version: IndexVersion) -> MilvusWriter:
        if version.collection not in self._writers:
            self._writers[version.collection] = MilvusWriter(
                self._connection, self._ledger, version=version, timeout_s=self._write_timeout_s
            )
        return self._writers[version.collection]

    async def _read(self, ask: Callable[[str, float], Awaitable[T]], timeout_s: float) -> T:
        """Ask the collection in use; once more where the failure has to do with its being swapped."""
        deadline = Deadline.after(timeout_s)
        version = await self.version(timeout_s=deadline.remaining_s())
        try:
            return await ask(version.collection, deadline.remaining_s())
        except VectorIndexError:
            await self._forget_version()
            moved = await self.version(timeout_s=deadline.remaining_s())
            if moved.collection == version.collection:
                raise
            return await ask(moved.collection, deadline.remaining_s())

    async def _read_version(self, deadline: Deadline) -> IndexVersion:
        collection = await self._collections.in_use(timeout_s=deadline.remaining_s())
        if collection is None:
            self._version = None
            raise FailedPrecondition("there is no index yet: run `vitrine index PATH`")
        if self._version is None or self._version.collection != collection:
            self._version = await self._collections.verified(collection, timeout_s=deadline.remaining_s())
        self._version_read_at = time.monotonic()
        return self._version

    async def _forget_version(self) -> None:
        """Make the next reader read the pointer and verify what it names: the server may have come back with less."""
        async with self._version_lock:  # a reading under way must not bring the old one back
            self._version = None

    async def _fields(
        self, version: IndexVersion, products: int, deadline: Deadline
    ) -> tuple[FieldSummary, ...]:
        made_of = (version.collection, products, self._writer(version).writes)
        summary = self._summary
        if (
            summary is None
            or summary.made_of != made_of
            or time.monotonic() - summary.made_at > SUMMARY_TTL_S
        ):
            # It outlives a caller that cannot wait: the next one finds it further on, or done.
            if self._summarising is None:
                self._summarising = asyncio.create_task(self._summarise(made_of))
            async with self._within(deadline):
                summary = await asyncio.shield(self._summarising)
        return summary.fields

    async def _summarise(self, made_of: tuple[str, int, int]) -> _Summary:
        try:
            fields = await summarise(self._connection, made_of[0], deadline=Deadline.after(SCAN_TIMEOUT_S))
            self._summary = _Summary(fields=fields, made_at=time.monotonic(), made_of=made_of)
            return self._summary
        finally:
            self._summarising = None

    @asynccontextmanager
    async def _within(self, deadline: Deadline) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(deadline.remaining_s()):
                yield
        except TimeoutError:
            raise DeadlineExceeded("the index did not answer in time") from None


def _hit(product: StoredProduct, embedding: Embedding, text_embedding: Embedding, weights: Weights) -> Hit:
    """Give the hit: its parts are computed from the vector that came with it."""
    assert product.text_embedding is not None
    assert product.image_embedding is not None
    text_score = float(product.text_embedding @ text_embedding)
    image_score = float(product.image_embedding @ embedding)
    return Hit(
        product=product,
        score=weights.text * text_score + weights.image * image_score,
        text_score=text_score,
        image_score=image_score,
    )
