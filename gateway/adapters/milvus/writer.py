"""Writes one collection."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from gateway.adapters.milvus.connection import MilvusConnection
from gateway.adapters.milvus.layout import ID, PICTURES, PRODUCTS, Layout
from gateway.adapters.milvus.ledger import MilvusLedger
from gateway.adapters.milvus.reading import PAGE_ROWS, Reading, further_keys
from gateway.adapters.milvus.rows import read_key, row_key, to_rows, with_keys
from gateway.model import Deadline, IndexVersion, StoredDigests, StoredProduct

SCAN_TIMEOUT_S = 600.0
"""For a pass over a whole collection."""


class MilvusWriter:
    """Obeys `gateway.ports.CollectionWriter`; one process writes a collection at a time.

    Milvus acknowledges an upsert when it is in its log (the server) or committed to its file (Lite): nothing needs
    to be flushed for it to survive a kill.

    The server replaces a product at one point of its time. Lite deletes it and inserts it anew, so that a search
    may miss it for some milliseconds; a rebuild has no such gap on either.

    The ledger keeps how many products the collection holds at least, its seal: a damaged file that loads in part
    is told from a whole one by that. It is lowered before products are deleted and raised after all are written,
    so a kill in between leaves it too low, never too high.
    """

    def __init__(
        self, connection: MilvusConnection, ledger: MilvusLedger, *, layout: Layout, timeout_s: float
    ) -> None:
        self.version: IndexVersion = layout.version
        self.writes = 0
        """Calls that changed the collection so far."""
        self._layout = layout
        self._connection = connection
        self._ledger = ledger
        self._timeout_s = timeout_s
        self._seal_lock = asyncio.Lock()
        # What an earlier process wrote can be seen after one wait for it; what this one writes, always.
        self._caught_up = False

    def use(self, layout: Layout) -> None:
        """Write by this layout from here on: the schema has become another."""
        self._layout = layout
        self.version = layout.version

    async def digests(self, ids: Sequence[str]) -> dict[str, StoredDigests]:
        """As the port says; writes of the last moments may be missing, which costs a needless embedding."""
        rows = await self._reading("Bounded").by_keys(
            [row_key(product_id) for product_id in ids], ["digest", "vectors_digest"]
        )
        return {
            read_key(key)[0]: StoredDigests(digest=row["digest"], vectors_digest=row["vectors_digest"])
            for key, row in rows.items()
        }

    async def vectors(self, ids: Sequence[str]) -> dict[str, StoredProduct]:
        """As the port says."""
        return await self._reading(self._own_writes()).products(ids)

    async def upsert(self, products: Sequence[StoredProduct]) -> None:
        """As the port says; ValueError for a product whose vectors are not all there and finite."""
        latest = {product.id: product for product in products}  # of two of one id the last one counts
        rows = [row for product in latest.values() for row in to_rows(product, self._layout)]
        # Before the write: if the process is killed in between, the old digest has the product written again.
        stale = await self._further_rows(list(map(row_key, latest))) - {row[ID] for row in rows}
        await self._delete_rows(sorted(stale), products=0)
        self.writes += 1
        await self._connection.call("upsert", self.version.collection, rows, timeout_s=self._timeout_s)

    async def delete(self, ids: Sequence[str]) -> int:
        """As the port says; no reader sees the products any more when this returns."""
        rows = await self._reading("Strong").by_keys([row_key(product_id) for product_id in ids], [PICTURES])
        if not rows:
            return 0
        await self._delete_products(rows)
        # The server answers before the deletion can be seen; a count that waits for it makes it so.
        await self._reading("Strong").count()
        return len(rows)

    async def seal(self) -> int:
        """As the port says."""
        async with self._seal_lock:
            count = await self._reading("Strong").count()
            await self._ledger.write(self.version.collection, str(count), timeout_s=self._timeout_s)
        return count

    async def retain(self, ids: Collection[str]) -> int:
        """As the port says."""
        await self._reading("Strong").count()  # what was written last can be seen from here on
        kept = set(ids)
        deleted = 0
        async for page in self._reading("Bounded", timeout_s=SCAN_TIMEOUT_S).scan(PRODUCTS, [PICTURES]):
            stale = {row[ID]: row for row in page if read_key(row[ID])[0] not in kept}
            await self._delete_products(stale)
            deleted += len(stale)
        await self._reading("Strong").count()  # and what was deleted cannot
        return deleted

    async def _further_rows(self, keys: Sequence[str]) -> set[str]:
        """Return the keys of the further pictures that the products of those main rows have in the collection."""
        rows = await self._reading(self._own_writes()).by_keys(keys, [PICTURES])
        self._caught_up = True
        return set(_further(rows))

    async def _delete_products(self, rows: Mapping[str, Mapping[str, Any]]) -> None:
        """Delete the products of these main rows, which go last: while one is there, a deletion finds the others."""
        await self._delete_rows(_further(rows), products=0)
        await self._delete_rows(list(rows), products=len(rows))

    async def _delete_rows(self, keys: Sequence[str], *, products: int) -> None:
        """Delete rows by their keys; `products` of them are main rows."""
        if not keys:
            return
        self.writes += 1
        async with self._seal_lock:
            sealed = (
                await self._ledger.read(self.version.collection, timeout_s=self._timeout_s)
                if products
                else None
            )
            if sealed is not None:
                lowered = max(0, int(sealed) - products)
                await self._ledger.write(self.version.collection, str(lowered), timeout_s=self._timeout_s)
            for start in range(0, len(keys), PAGE_ROWS):
                await self._connection.call(
                    "delete",
                    self.version.collection,
                    filter=with_keys(keys[start : start + PAGE_ROWS]),  # Milvus limits an expression's length
                    timeout_s=self._timeout_s,
                )

    def _own_writes(self) -> str:
        return "Session" if self._caught_up else "Strong"

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
