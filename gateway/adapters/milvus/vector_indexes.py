"""Which index the vectors of a collection have, by how many rows it has, and what its searches are told.

Up to EXACT_ROWS rows every search is exact (FLAT): it finds each row, under filters of any selectivity too. Beyond them a
graph (HNSW) finds the nearest rows at a cost that hardly grows with their number; `ef`, how many rows it keeps in view, decides
how surely. The numbers are those of docs/benchmarks.md#the-index-at-scale, for a recall@10 of .99 at least at 50,000
rows. Milvus Lite builds no graphs: there every search is exact.

A collection has FLAT while it is built, and the index that fits its rows before it is swapped in.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

EXACT_ROWS = 50_000

_LEAST_EF = 256
_LEAST_FILTERED_EF = 1_024
"""Under a condition a walk passes over most of what it meets. A server searches exactly under one that a hundredth of the
rows satisfy."""
_EF_A_ROW = 2
_MOST_EF = 32_768
"""What servers take."""

WIDEST = MappingProxyType({"ef": _MOST_EF})

MOST_SCANNED = 16_384
"""Rows that are looked at one by one, at most, where a walk has found fewer than there are."""


@dataclass(frozen=True, slots=True)
class VectorIndex:
    """A kind of index."""

    kind: str
    build: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))


FLAT = VectorIndex("FLAT")
HNSW = VectorIndex("HNSW", MappingProxyType({"M": 16, "efConstruction": 200}))


def index_for(rows: int) -> VectorIndex:
    """Return the index that a collection of that many rows has."""
    return FLAT if rows <= EXACT_ROWS else HNSW


def graph_params(rows: int, *, filtered: bool) -> dict[str, int]:
    """Return what a search of a graph for that many rows is told."""
    least = _LEAST_FILTERED_EF if filtered else _LEAST_EF
    return {"ef": min(_MOST_EF, max(least, _EF_A_ROW * rows))}
