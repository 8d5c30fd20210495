"""Writes one collection."""

from collections.abc import AsyncIterator, Container, Mapping, Sequence
from typing import Any

from gateway.adapters.milvus.connection import MilvusConnection
from gateway.adapters.milvus.importing import import_file
from gateway.adapters.milvus.layout import ID, PICTURES, PRODUCTS, Layout
from gateway.adapters.milvus.reading import PAGE_ROWS, Reading, further_keys
from gateway.adapters.milvus.rows import read_key, row_key, to_rows, with_keys
from gateway.adapters.milvus.seals import Seals
from gateway.model import Deadline, IndexVersion, StoredDigests, StoredProduct

SCAN_TIMEOUT_S = 600.0
"""For a pass over a whole collection."""

_DIGESTS = ("digest", "vectors_digest")
_DELETIONS = 100
"""After so many the collection is sealed anew: each is a row of the ledger."""


class MilvusWriter:
    """Obeys `gateway.ports.CollectionWriter`; any number of processes may write a collection at a time.

    Milvus acknowledges an upsert when it is in its log (the server) or committed to its file (Lite): nothing needs
    to be flushed for it to survive a kill.

    The server replaces a product at one point of its time. Lite deletes it and inserts it anew, so that a search
    may miss it for some milliseconds; a rebuild has no such gap on either.

    Its seal is how many products the collection holds at least: a damaged file that loads in part is told from a
    whole one by that. It is lowered before products are deleted and raised after all are written.
    """

    def __init__(
        self,
        connection: MilvusConnection,
        seals: Seals,
        *,
        layout: Layout,
        timeout_s: float,
        alone: bool = False,
    ) -> None:
        """Write the collection of the layout; `alone` says that no other process does at the same time."""
        self.version: IndexVersion = layout.version
        self.writes = 0
        """Calls that changed the collection so far."""
        self._layout = layout
        self._connection = connection
        self._seals = seals
        self._timeout_s = timeout_s
        self._deletions = 0
        self._alone = alone
        # What an earlier process wrote can be seen after one wait for it; what this one writes, always.
        self._caught_up = False

    def use(self, layout: Layout) -> None:
        """Write by this layout from here on: the schema has become another."""
        self._layout = layout
        self.version = layout.version

    async def digests(self, ids: Sequence[str], *, fresh: bool = False) -> dict[str, StoredDigests]:
        """As the port says; otherwise writes of the last moments may be missing, which costs a needless embedding."""
        rows = await self._reading("Strong" if fresh else "Bounded").by_keys(
            [row_key(product_id) for product_id in ids], _DIGESTS
        )
        return {read_key(key)[0]: _digests(row) for key, row in rows.items()}

    async def entries(self) -> AsyncIterator[dict[str, StoredDigests]]:
        """As the port says."""
        # A scan waits for no write on a server, whatever its consistency; what a count waited for, it has.
        await self._count()
        async for page in self._reading("Bounded", timeout_s=SCAN_TIMEOUT_S).scan(PRODUCTS, _DIGESTS):
            yield {read_key(row[ID])[0]: _digests(row) for row in page}

    async def vectors(self, ids: Sequence[str]) -> dict[str, StoredProduct]:
        """As the port says."""
        return await self._reading(self._own_writes()).products(ids)

    async def upsert(self, products: Sequence[StoredProduct], *, replaces: bool = True) -> None:
        """As the port says; ValueError for a product whose vectors are not all there and finite."""
        latest = {product.id: product for product in products}  # of two of one id the last one counts
        rows = [row for product in latest.values() for row in to_rows(product, self._layout)]
        if replaces:
            # Before the write: if the process is killed in between, the old digest has the product written again.
            stale = await self._further_rows(list(map(row_key, latest))) - {row[ID] for row in rows}
            await self._delete_rows(sorted(stale))
        self.writes += 1
        await self._connection.call("upsert", self.version.collection, rows, timeout_s=self._timeout_s)

    def encode(self, products: Sequence[StoredProduct]) -> bytes:
        """Return the rows of products as a file that `insert_file` takes in; ValueError as of `upsert`."""
        from gateway.adapters.milvus.parquet import encode_rows  # noqa: PLC0415 - the gateway's image has no pyarrow

        return encode_rows(
            (row for product in products for row in to_rows(product, self._layout)), self._layout
        )

    async def insert_file(self, path: str, *, timeout_s: float) -> int:
        """Have the server take in a file of `encode`, none of whose products it holds; return its rows.

        Nobody finds them before `load`.
        """
        self.writes += 1
        return await import_file(self._connection, self.version.collection, path, timeout_s=timeout_s)

    async def unload(self) -> None:
        """Have the server hold none of the collection in memory, while it takes files in."""
        await self._connection.call("release_collection", self.version.collection, timeout_s=self._timeout_s)

    async def load(self, *, timeout_s: float) -> None:
        """Have the server hold all of it again."""
        await self._connection.call("load_collection", self.version.collection, timeout_s=timeout_s)

    async def delete(self, ids: Sequence[str]) -> int:
        """As the port says; no reader sees the products any more when this returns."""
        rows = await self._reading("Strong").by_keys([row_key(product_id) for product_id in ids], [PICTURES])
        if not rows:
            return 0
        await self._delete_products(rows)
        # The server answers before the deletion can be seen; a count that waits for it makes it so.
        await self._count()
        if self._deletions >= _DELETIONS:
            await self.seal()
        return len(rows)

    async def seal(self) -> int:
        """As the port says."""
        self._deletions = 0
        return await self._seals.write(self.version.collection, self._count, timeout_s=self._timeout_s)

    async def retain(self, ids: Container[str]) -> int:
        """As the port says."""
        await self._count()  # what was written last can be seen from here on
        deleted = 0
        async for page in self._reading("Bounded", timeout_s=SCAN_TIMEOUT_S).scan(PRODUCTS, [PICTURES]):
            stale = {row[ID]: row for row in page if read_key(row[ID])[0] not in ids}
            await self._delete_products(stale)
            deleted += len(stale)
        await self._count()  # and what was deleted cannot
        return deleted

    async def _further_rows(self, keys: Sequence[str]) -> set[str]:
        """Return the keys of the further pictures that the products of those main rows have in the collection."""
        rows = await self._reading(self._own_writes()).by_keys(keys, [PICTURES])
        self._caught_up = True
        return set(_further(rows))

    async def _delete_products(self, rows: Mapping[str, Mapping[str, Any]]) -> None:
        """Delete the products of these main rows, which go last: while one is there, a deletion finds the others."""
        if not rows:
            return
        self._deletions += 1
        await self._delete_rows(_further(rows))
        async with self._seals.deleting(self.version.collection, len(rows), timeout_s=self._timeout_s):
            await self._delete_rows(list(rows))

    async def _delete_rows(self, keys: Sequence[str]) -> None:
        """Delete rows by their keys."""
        for start in range(0, len(keys), PAGE_ROWS):
            self.writes += 1
            await self._connection.call(
                "delete",
                self.version.collection,
                filter=with_keys(keys[start : start + PAGE_ROWS]),  # Milvus limits an expression's length
                timeout_s=self._timeout_s,
            )

    async def _count(self) -> int:
        return await self._reading("Strong").count()

    def _own_writes(self) -> str:
        return "Session" if self._alone and self._caught_up else "Strong"

    def _reading(self, consistency: str, *, timeout_s: float | None = None) -> Reading:
        return Reading(
            connection=self._connection,
            layout=self._layout,
            deadline=Deadline.after(timeout_s or self._timeout_s),
            consistency=consistency,
        )


def _further(rows: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the keys of the rows beside these main rows."""
    return [each for key, row in rows.items() for each in further_keys(key, row[PICTURES]["count"])]


def _digests(row: Mapping[str, Any]) -> StoredDigests:
    return StoredDigests(digest=row["digest"], vectors_digest=row["vectors_digest"])
