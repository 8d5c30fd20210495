"""Which index a collection has by its size, and that a search which finds too few looks again."""

from typing import Any

import numpy as np
import pytest

from gateway.adapters.milvus.found import Found
from gateway.adapters.milvus.layout import ID, VECTOR, Layout
from gateway.adapters.milvus.reading import Reading
from gateway.adapters.milvus.searching import Asked
from gateway.adapters.milvus.vector_indexes import EXACT_ROWS, FLAT, HNSW, WIDEST, graph_params, index_for
from gateway.model import Deadline, Embedding, IndexVersion
from vitrine.domain.schema_files import shipped_schema

VECTORS = np.array([[1, 0], [0, 1], [0.6, 0.8], [-1, 0]], np.float32)
KEYS = ["a", "b", "c", "d"]


class Milvus:
    """A graph that finds the rows that it is told to; `query` has all of them."""

    def __init__(self, *walks: list[int], there: int = len(KEYS)) -> None:
        self.walks = list(walks)
        self.there = there
        self.asked: list[Any] = []

    async def search(self, asked: Asked, vector: Embedding, *, timeout_s: float) -> Found:
        """Answer as the connection does."""
        assert timeout_s > 0
        assert vector.shape == (2,)
        self.asked.append(dict(asked.params))
        rows = self.walks.pop(0)
        return Found(keys=[KEYS[i] for i in rows], vectors=VECTORS[rows], rows=[{} for _ in rows])

    async def call(self, _: str, *__: Any, **said: Any) -> Any:
        """Answer as the connection does."""
        if said["output_fields"] == ["count(*)"]:
            self.asked.append("count")
            return [{"count(*)": self.there}]
        self.asked.append("scan")
        rows = [{ID: key, VECTOR: vector.tolist()} for key, vector in zip(KEYS, VECTORS, strict=True)]
        return rows if '""' in said["filter"] else []


async def search(milvus: Milvus, *, rows: int, exact: bool = False, expression: str = "price < 9") -> Found:
    version = IndexVersion(collection="c", manifest="m", embedding_dim=1, schema=shipped_schema())
    layout = Layout(version=version, source="", created_with=version.schema, exact=exact)
    reading = Reading(connection=milvus, layout=layout, deadline=Deadline.after(60))  # type: ignore[arg-type]
    return await reading.search(
        np.array([1, 0.1], np.float32), expression=expression, rows=rows, columns=[VECTOR]
    )


def test_the_size_decides() -> None:
    assert (index_for(0), index_for(EXACT_ROWS), index_for(EXACT_ROWS + 1)) == (FLAT, FLAT, HNSW)


@pytest.mark.parametrize(
    ("rows", "filtered", "ef"),
    [(27, False, 256), (27, True, 1_024), (1_141, True, 2_282), (16_384, True, 32_768)],
)
def test_a_walk_keeps_more_in_view_than_it_is_to_find(rows: int, *, filtered: bool, ef: int) -> None:
    assert graph_params(rows, filtered=filtered) == {"ef": ef}


async def test_an_exact_search_is_believed() -> None:
    """Fewer than asked are all that there are: nothing is counted."""
    milvus = Milvus([0])
    assert list((await search(milvus, rows=3, exact=True)).keys) == ["a"]
    assert milvus.asked == [{}]


async def test_a_walk_that_finds_enough_is_believed() -> None:
    milvus = Milvus([0, 2])
    assert len(await search(milvus, rows=2)) == 2
    assert milvus.asked == [graph_params(2, filtered=True)]


async def test_a_walk_that_finds_all_that_there_are_is_believed() -> None:
    milvus = Milvus([0, 2], there=2)
    assert len(await search(milvus, rows=3)) == 2
    assert milvus.asked == [graph_params(3, filtered=True), "count"]


async def test_where_a_walk_finds_too_few_all_are_looked_at() -> None:
    """The nearest of them, in their order, with their vectors and columns."""
    milvus = Milvus([0])
    found = await search(milvus, rows=3)
    assert list(found.keys) == ["a", "c", "b"]
    np.testing.assert_array_equal(found.vectors, VECTORS[[0, 2, 1]])
    assert milvus.asked == [graph_params(3, filtered=True), "count", "scan"]


async def test_too_many_to_be_looked_at_are_walked_once_more() -> None:
    milvus = Milvus([0], [0, 2, 1], there=1_000_000)
    assert len(await search(milvus, rows=3)) == 3
    assert milvus.asked[-1] == dict(WIDEST)
