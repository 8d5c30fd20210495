"""A catalogue as rows of Ray Data: one row a chunk, read by `catalogue.readers` wherever Ray puts the reading."""

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
from ray.data.block import BlockMetadata
from ray.data.datasource import Datasource, ReadTask

from bulk.chunks import NUMBER, ROWS, chunks
from catalogue.readers.opening import open_catalogue
from vitrine.domain.schema import Schema


class CatalogueSource(Datasource):  # type: ignore[misc] # Ray has no types
    """Reads a catalogue from its beginning to its end: feeds have rows that are one product with their neighbours."""

    def __init__(self, path: Path, schema: Schema, *, allow_outside: bool, done: frozenset[int]) -> None:
        """Read the catalogue; of the chunks that are `done` nothing but their number is passed on."""
        self._path = path
        self._schema = schema
        self._allow_outside = allow_outside
        self._done = done

    def estimate_inmemory_data_size(self) -> int | None:
        """Return None: it is not known before the rows are read."""
        return None

    def get_read_tasks(self, *_: Any, **__: Any) -> list[ReadTask]:
        """Return the one task that yields the chunks in order."""
        told = BlockMetadata(num_rows=None, size_bytes=None, input_files=[str(self._path)], exec_stats=None)
        return [ReadTask(self._read, told)]

    def _read(self) -> Iterator[pa.Table]:
        catalogue = open_catalogue(self._path, self._schema, allow_outside=self._allow_outside)
        for number, rows in enumerate(chunks(catalogue.rows)):
            # Ray moves pickles between its processes anyway; nobody else reads these.
            sent = b"" if number in self._done else pickle.dumps(rows)
            yield pa.table(
                {NUMBER: pa.array([number], pa.int64()), ROWS: pa.array([sent], pa.large_binary())}
            )
