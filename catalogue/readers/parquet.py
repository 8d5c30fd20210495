"""Parquet files with a row a product, in one file or in shards, their pictures inside the rows or beside them."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from catalogue.readers.rows import CatalogueError, Row, RowError, Table, keyed, keys_of, nested_row

_BATCH = 256
_SHARD = re.compile(r"(?P<name>.+)-(?P<number>\d{5})-of-(?P<shards>\d{5})")
_PART = re.compile(r"part-\d{4,}.*")

Shorten = Callable[[object], object]


def open_parquet(path: Path, shards: Sequence[Path] = ()) -> Table:
    """Open a Parquet file, or the shards of one.

    Raises:
        CatalogueError: one of them is none, or its end is missing.
    """
    files = tuple(shards) or (path,)
    rows = 0
    columns: dict[str, None] = {}
    for each in files:
        with _open(each) as file:
            rows += int(file.metadata.num_rows)
            columns |= dict.fromkeys(file.schema_arrow.names)
    return Table(
        source=path,
        files=files,
        format="parquet",
        rows=(row for each in files for row in _rows(each)),
        columns=tuple(columns),
        estimate=rows,
    )


def shards_in(tables: Sequence[Path]) -> list[Path]:
    """Return the tables where all of them are shards of one catalogue; none where they are not.

    Raises:
        CatalogueError: a shard is missing.
    """
    if len(tables) > 1 and all(path.suffix == ".parquet" and _PART.fullmatch(path.stem) for path in tables):
        return sorted(tables)
    found = [_SHARD.fullmatch(path.stem) for path in tables if path.suffix == ".parquet"]
    numbers: dict[tuple[str, int], set[int]] = defaultdict(set)
    for match in found:
        if match is None:
            return []
        numbers[match["name"], int(match["shards"])].add(int(match["number"]))
    if not found or len(found) != len(tables):
        return []
    for (name, shards), there in numbers.items():
        if missing := sorted(set(range(shards)) - there):
            file = tables[0].parent / f"{name}-{missing[0]:05}-of-{shards:05}.parquet"
            raise CatalogueError(f"{file}: missing; {len(there)} of its {shards} shards are there")
    return sorted(tables)


def _open(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise CatalogueError(f"{path}: not a complete Parquet file: {_first_line(error)}") from error


def _rows(path: Path) -> Iterator[Row | RowError]:
    """Yield the rows; a row group that is damaged is one error, and the next one is read."""
    with _open(path) as file:
        start = 1
        names = keys_of(file.schema_arrow.names)
        shorten = {each.name: _shorten(each.type) for each in file.schema_arrow if _is_narrow(each.type)}
        for group in range(file.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            yield from _group_rows(path, file, group, range(start, start + rows), (names, shorten))
            start += rows


def _group_rows(
    path: Path,
    file: pq.ParquetFile,
    group: int,
    lines: range,
    columns: tuple[Mapping[str, str], Mapping[str, Shorten]],
) -> Iterator[Row | RowError]:
    line = lines.start
    try:
        for batch in file.iter_batches(_BATCH, row_groups=[group]):
            for index in range(batch.num_rows):
                yield _row(path, line, batch.slice(index, 1), columns)
                line += 1
    except (pa.ArrowException, OSError) as error:
        lost = lines.stop - line
        reason = f"{lost} rows of row group {group} cannot be read: {_first_line(error)}"
        yield RowError(file=path, line=line, field="", reason=reason, rows=lost)


def _row(
    path: Path, line: int, row: pa.RecordBatch, columns: tuple[Mapping[str, str], Mapping[str, Shorten]]
) -> Row | RowError:
    names, shorten = columns
    try:
        values: dict[str, Any] = row.to_pylist(maps_as_pydicts="lossy")[0]
    except UnicodeDecodeError:
        return RowError(file=path, line=line, field="", reason="holds text that is not UTF-8")
    except (ValueError, OverflowError) as error:  # a date that Python cannot hold
        return RowError(file=path, line=line, field="", reason=_first_line(error))
    for name, short in shorten.items():
        values[name] = short(values[name])
    if any(isinstance(value, dict | list) for value in values.values()):
        return nested_row(path, line, values)
    return Row(file=path, line=line, values=keyed(values.items()), names=names)


def _is_narrow(kind: pa.DataType) -> bool:
    return bool(pa.types.is_float32(kind) or pa.types.is_float16(kind))


def _shorten(kind: pa.DataType) -> Shorten:
    """Return what reads a narrow float as the shortest decimal that is stored so: 19.99, not 19.989999771118164."""
    narrow = np.float32 if pa.types.is_float32(kind) else np.float16

    def shorten(value: object) -> object:
        return float(str(narrow(value))) if isinstance(value, float | np.floating) else value

    return shorten


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
