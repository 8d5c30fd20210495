"""One reader's calls to one collection, all within one deadline."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gateway.adapters.milvus.connection import MilvusConnection
from gateway.adapters.milvus.expression import ALWAYS, conjunction
from gateway.adapters.milvus.found import Found
from gateway.adapters.milvus.layout import DOCUMENT, ID, PICTURES, PRODUCTS, VECTOR, Layout
from gateway.adapters.milvus.rows import read_key, row_key, to_product, with_keys
from gateway.adapters.milvus.searching import Asked
from gateway.adapters.milvus.vector_indexes import MOST_SCANNED, WIDEST, graph_params
from gateway.model import Deadline, Embedding, StoredProduct

PAGE_ROWS = 1_000
"""Rows of one answer, and keys of one expression."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A collection, the connection to it, and the deadline of everything that is asked of it."""

    connection: MilvusConnection
    layout: Layout
    deadline: Deadline
    consistency: str = "Bounded"

    async def query(self, expression: str, columns: Sequence[str], **options: Any) -> list[dict[str, Any]]:
        """Return the columns and the key of the rows that fulfil the expression."""
        rows = await self.connection.call(
            "query",
            self.layout.collection,
            filter=expression,
            output_fields=[ID, *columns],
            consistency_level=self.consistency,
            timeout_s=self.deadline.remaining_s(),
            **options,
        )
        return list(rows)

    async def search(self, vector: Embedding, *, expression: str, rows: int, columns: Sequence[str]) -> Found:
        """Return the rows nearest to the vector, with those columns, as a bounded read.

        Fewer than asked come only where no more satisfy the expression.
        """
        if self.layout.exact:
            return await self._search(vector, expression, rows, columns, {})
        params = graph_params(rows, filtered=bool(expression))
        found = await self._search(vector, expression, rows, columns, params)
        if len(found) >= rows:
            return found
        # A walk through a graph may end before it has met all that satisfy a selective condition.
        there = await self._count_rows(expression)
        if len(found) >= min(rows, there):
            return found
        if there > MOST_SCANNED:
            return await self._search(vector, expression, rows, columns, WIDEST)
        return await self._scanned(vector, expression, rows, columns)

    async def _scanned(self, vector: Embedding, expression: str, rows: int, columns: Sequence[str]) -> Found:
        """Return the same by looking at every row that satisfies the expression."""
        asked = list(dict.fromkeys([VECTOR, *columns]))
        there = [row async for page in self.scan(expression, asked) for row in page]
        if not there:
            return Found(keys=(), vectors=np.empty((0, 0), np.float32), rows=())
        vectors = np.array([row[VECTOR] for row in there], np.float32)
        nearest = np.argsort(-(vectors @ vector), kind="stable")[:rows]
        return Found(
            keys=[there[i][ID] for i in nearest], vectors=vectors[nearest], rows=[there[i] for i in nearest]
        )

    async def _search(
        self,
        vector: Embedding,
        expression: str,
        rows: int,
        columns: Sequence[str],
        params: Mapping[str, int],
    ) -> Found:
        asked = Asked(self.layout.collection, expression, rows, tuple(columns), tuple(params.items()))
        return await self.connection.search(asked, vector, timeout_s=self.deadline.remaining_s())

    async def count(self, expression: str = "") -> int:
        """Count the products that fulfil the expression."""
        return await self._count_rows(conjunction(PRODUCTS, expression))

    async def _count_rows(self, expression: str) -> int:
        rows = await self.connection.call(
            "query",
            self.layout.collection,
            filter=expression or ALWAYS,
            output_fields=["count(*)"],
            consistency_level=self.consistency,
            timeout_s=self.deadline.remaining_s(),
        )
        return int(rows[0]["count(*)"])

    async def by_keys(self, keys: Sequence[str], columns: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return the rows of those keys that are there, by key."""
        found = {}
        for start in range(0, len(keys), PAGE_ROWS):
            for row in await self.query(with_keys(keys[start : start + PAGE_ROWS]), columns):
                found[row[ID]] = row
        return found

    async def products(self, ids: Sequence[str]) -> dict[str, StoredProduct]:
        """Return those products that are there, by id, with the vectors of all their pictures."""
        keys = {product_id: row_key(product_id) for product_id in ids}
        main = await self.by_keys(list(dict.fromkeys(keys.values())), [*DOCUMENT, VECTOR])
        further = [key for key, row in main.items() for key in further_keys(key, row[PICTURES]["count"])]
        more = await self.by_keys(further, [VECTOR])
        return {
            product_id: _whole(product_id, main[key], more) for product_id, key in keys.items() if key in main
        }

    async def scan(self, expression: str, columns: Sequence[str]) -> AsyncIterator[list[dict[str, Any]]]:
        """Yield every row that fulfils the expression once: pages of PAGE_ROWS, ascending by key."""
        last = ""
        while True:
            page = await self.query(
                # A key is stored encoded: it needs no encoding again.
                conjunction(f'{ID} > "{last}"', expression),
                columns,
                limit=PAGE_ROWS,
                iterator="True",  # makes the server order the whole answer by key before it cuts it
            )
            if page:
                yield page
                last = page[-1][ID]
            if len(page) < PAGE_ROWS:
                return


def further_keys(key: str, pictures: int) -> list[str]:
    """Return the keys of the rows beside the main row of a product with that many pictures."""
    product_id, _ = read_key(key)
    return [row_key(product_id, part) for part in range(1, pictures)]


def _whole(product_id: str, main: dict[str, Any], more: dict[str, dict[str, Any]]) -> StoredProduct:
    """Return the product of its main row and of the rows of its further pictures."""
    keys = further_keys(row_key(product_id), main[PICTURES]["count"])
    rows = [main, *(more[key] for key in keys if key in more)]
    vectors = np.asarray([row[VECTOR] for row in rows], np.float32)
    half = vectors.shape[1] // 2
    return to_product(product_id, main, images=vectors[:, :half], text=vectors[0, half:])
