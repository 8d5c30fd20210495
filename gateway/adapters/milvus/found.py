"""The rows that a search found, decoded no further than they are looked at.

pymilvus would make a list of Python floats of each vector, and a dictionary of each JSON cell, of every row that was asked
for; most of them are asked for to make the last place certain, and never read.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from gateway.adapters.milvus.layout import ID, VECTOR
from gateway.model import Embedding


class Row(Mapping[str, Any]):
    """A row's columns by name; a JSON cell is decoded when it is first asked for."""

    __slots__ = ("_cells", "_index", "_known")

    def __init__(self, known: dict[str, Any], cells: Mapping[str, Sequence[bytes]], index: int) -> None:
        self._known = known
        self._cells = cells
        self._index = index

    def __getitem__(self, column: str) -> Any:
        if column not in self._known:
            self._known[column] = orjson.loads(self._cells[column][self._index])
        return self._known[column]

    def __contains__(self, column: object) -> bool:
        return column in self._known or column in self._cells

    def __iter__(self) -> Iterator[str]:
        return iter(self._known.keys() | self._cells.keys())

    def __len__(self) -> int:
        return len(self._known.keys() | self._cells.keys())


@dataclass(frozen=True, slots=True)
class Found:
    """The rows nearest to a vector, as Milvus orders them."""

    keys: Sequence[str]
    vectors: Embedding
    """(n, 2 d), both halves of each; (0, 0) where the column was not asked for."""
    rows: Sequence[Mapping[str, Any]]

    def __len__(self) -> int:
        return len(self.keys)


def take_found(hits: Any) -> Found:
    """Take the rows of a search's hits out of what pymilvus holds undecoded."""
    columns = {field.field_name: field for field in hits.lazy_field_data}
    hits.lazy_field_data.clear()  # what is left here is decoded as soon as a hit is looked at
    vectors = columns.pop(VECTOR, None)
    cells = {name: field.scalars.json_data.data for name, field in columns.items()}
    raw = [hits.get_raw_item(i) for i in range(len(hits))]
    return Found(
        keys=[hit[ID] for hit in raw],
        vectors=np.empty((0, 0), np.float32) if vectors is None or not raw else _unpacked(vectors),
        rows=[Row(hit["entity"], cells, i) for i, hit in enumerate(raw)],
    )


def _unpacked(field: Any) -> Embedding:
    """Return a column of vectors, (n, 2 d): packed floats are the tail of their message as they are."""
    packed = field.vectors.float_vector
    rows = np.frombuffer(packed.SerializeToString()[-4 * len(packed.data) :], "<f4")
    return rows.reshape(-1, field.vectors.dim)
