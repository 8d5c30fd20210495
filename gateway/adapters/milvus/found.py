"""The rows that a search found, decoded no further than they are looked at.

Most rows are asked for to make the last place certain, and are never read: making Python objects of their cells would
cost more than the search itself.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
import orjson
from pymilvus.grpc_gen import schema_pb2

from gateway.adapters.milvus.layout import VECTOR
from gateway.model import Embedding


class Row(Mapping[str, Any]):
    """A row's columns by name; a JSON cell is decoded when it is first asked for."""

    __slots__ = ("_cells", "_index", "_known")

    def __init__(self, cells: Mapping[str, Sequence[Any]], index: int) -> None:
        self._cells = cells
        self._index = index
        self._known: dict[str, Any] = {}

    def __getitem__(self, column: str) -> Any:
        if column not in self._known:
            cell = self._cells[column][self._index]
            self._known[column] = orjson.loads(cell) if isinstance(cell, bytes) else cell
        return self._known[column]

    def raw(self, columns: Sequence[str]) -> tuple[bytes, ...]:
        """Return JSON cells as they came."""
        return tuple(self._cells[column][self._index] for column in columns)

    def __contains__(self, column: object) -> bool:
        return column in self._cells

    def __iter__(self) -> Iterator[str]:
        return iter(self._cells)

    def __len__(self) -> int:
        return len(self._cells)


@dataclass(frozen=True, slots=True)
class Found:
    """The rows nearest to a vector, as Milvus orders them."""

    keys: Sequence[str]
    vectors: Embedding
    """(n, 2 d), both halves of each; (0, 0) where the column was not asked for."""
    rows: Sequence[Mapping[str, Any]]

    def __len__(self) -> int:
        return len(self.keys)


def take_found(results: schema_pb2.SearchResultData, vectors: int = 1) -> list[Found]:
    """Return the rows of what Milvus answers to so many vectors, of each vector in turn."""
    keys = list(results.ids.str_id.data)
    columns = {field.field_name: field for field in results.fields_data}
    found = columns.pop(VECTOR, None)
    rows = np.empty((0, 0), np.float32) if found is None or not keys else _unpacked(found)
    cells = {name: _cells(field) for name, field in columns.items()}
    if vectors == 1:
        return [_part(keys, rows, cells, 0, len(keys))]
    # Where nothing is found at all, some servers count nothing.
    ends = list(accumulate(results.topks or [0] * vectors))
    return [_part(keys, rows, cells, begin, end) for begin, end in zip([0, *ends[:-1]], ends, strict=True)]


def _part(
    keys: Sequence[str], vectors: Embedding, cells: Mapping[str, Sequence[Any]], begin: int, end: int
) -> Found:
    return Found(
        keys=keys[begin:end],
        # Rows of its own: whoever remembers one of them does not keep those of the others.
        vectors=vectors[begin:end].copy() if begin < end else np.empty((0, 0), np.float32),
        rows=[Row(cells, i) for i in range(begin, end)],
    )


def _cells(field: schema_pb2.FieldData) -> Sequence[Any]:
    """Return a column's values as they came: JSON as bytes."""
    values = getattr(field.scalars, field.scalars.WhichOneof("data") or "json_data")
    cells: Sequence[Any] = values.data
    return cells


def _unpacked(field: schema_pb2.FieldData) -> Embedding:
    """Return a column of vectors, (n, 2 d): packed floats are the tail of their message as they are."""
    packed = field.vectors.float_vector
    rows = np.frombuffer(packed.SerializeToString()[-4 * len(packed.data) :], "<f4")
    return rows.reshape(-1, field.vectors.dim)
