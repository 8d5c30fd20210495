"""What goes from the reader to the workers: a catalogue's rows, a chunk at a time."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

CHUNK_ROWS = 256
"""Rows of a chunk: some seconds of embedding, which is what a kill costs at most, a worker."""

NUMBER = "number"
"""The column of a chunk's number, from 0."""
ROWS = "rows"
"""The column of its rows, pickled; empty where its part is there already."""

T = TypeVar("T")


def chunks(rows: Iterable[T], size: int = CHUNK_ROWS) -> Iterator[list[T]]:
    """Yield the rows in lists of that size, the last one shorter."""
    iterator = iter(rows)
    while chunk := list(islice(iterator, size)):
        yield chunk
