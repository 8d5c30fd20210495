"""Writes one collection."""

import asyncio
from collections.abc import Collection, Sequence

from gateway.adapters.milvus.connection import MilvusConnection
from gateway.adapters.milvus.expression import decode_text, encode_text
from gateway.adapters.milvus.ledger import MilvusLedger
from gateway.adapters.milvus.scan import PAGE_ROWS, scan
from gateway.adapters.milvus.schema import ID, to_row, with_keys
from gateway.model import Deadline, IndexVersion, StoredProduct

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
        self, connection: MilvusConnection, ledger: MilvusLedger, *, version: IndexVersion, timeout_s: float
    ) -> None:
        self.version = version
        self.writes = 0
        """Calls that changed the collection so far."""
        self._connection = connection
        self._ledger = ledger
        self._timeout_s = timeout_s
        self._seal_lock = asyncio.Lock()

    async def digests(self, ids: Sequence[str]) -> dict[str, str]:
        """As the port says; writes of the last moments may be missing, which costs a needless embedding."""
        rows = await self._connection.call(
            "query",
            self.version.collection,
            filter=with_keys(map(encode_text, ids)),
            output_fields=[ID, "digest"],
            consistency_level="Bounded",
            timeout_s=self._timeout_s,
        )
        return {decode_text(row[ID]): row["digest"] for row in rows}

    async def upsert(self, products: Sequence[StoredProduct]) -> None:
        """As the port says; ValueError for a product whose embeddings are not both there and finite."""
        rows = [to_row(product, embedding_dim=self.version.embedding_dim) for product in products]
        self.writes += 1
        await self._connection.call("upsert", self.version.collection, rows, timeout_s=self._timeout_s)

    async def delete(self, ids: Sequence[str]) -> int:
        """As the port says; no reader sees the products any more when this returns."""
        present = await self._connection.call(
            "query",
            self.version.collection,
            filter=with_keys(map(encode_text, ids)),
            output_fields=[ID],
            consistency_level="Strong",
            timeout_s=self._timeout_s,
        )
        if not present:
            return 0
        await self._delete_rows([row[ID] for row in present])
        # The server answers before the deletion can be seen; a count that waits for it makes it so.
        await self._count()
        return len(present)

    async def seal(self) -> int:
        """As the port says."""
        async with self._seal_lock:
            count = await self._count()
            await self._ledger.write(self.version.collection, str(count), timeout_s=self._timeout_s)
        return count

    async def retain(self, ids: Collection[str]) -> int:
        """As the port says."""
        await self._count()  # what was written last can be seen from here on
        kept = {encode_text(product_id) for product_id in ids}
        deadline = Deadline.after(SCAN_TIMEOUT_S)
        deleted = 0
        async for page in scan(self._connection, self.version.collection, (), deadline=deadline):
            if stale := [row[ID] for row in page if row[ID] not in kept]:
                await self._delete_rows(stale)
                deleted += len(stale)
        await self._count()  # and what was deleted cannot
        return deleted

    async def _delete_rows(self, keys: Sequence[str]) -> None:
        """Delete up to PAGE_ROWS rows by their encoded ids."""
        assert len(keys) <= PAGE_ROWS, "Milvus limits the length of an expression"
        self.writes += 1
        async with self._seal_lock:
            sealed = await self._ledger.read(self.version.collection, timeout_s=self._timeout_s)
            if sealed is not None:
                lowered = max(0, int(sealed) - len(keys))
                await self._ledger.write(self.version.collection, str(lowered), timeout_s=self._timeout_s)
            await self._connection.call(
                "delete",
                self.version.collection,
                filter=with_keys(keys),
                timeout_s=self._timeout_s,
            )

    async def _count(self) -> int:
        return await count_rows(
            self._connection, self.version.collection, consistency="Strong", timeout_s=self._timeout_s
        )


async def count_rows(
    connection: MilvusConnection,
    collection: str,
    *,
    expression: str = "",
    consistency: str,
    timeout_s: float,
) -> int:
    """Count the rows of a collection that fulfil the expression."""
    rows = await connection.call(
        "query",
        collection,
        filter=expression,
        output_fields=["count(*)"],
        consistency_level=consistency,
        timeout_s=timeout_s,
    )
    return int(rows[0]["count(*)"])
