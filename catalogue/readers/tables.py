"""CSV, JSONL and Parquet files with a row a product."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from catalogue.readers.rows import CatalogueError, Row, RowError, check_columns

_BATCH = 256
_SEPARATORS = {".csv": ",", ".tsv": "\t"}


def read_csv(path: Path) -> Iterator[Row | RowError]:
    """Read a file with a header; a bad row is reported with its last line.

    Bytes that are no UTF-8 are carried along, so that they spoil no row but their own.

    Raises:
        CatalogueError: there is no header, or it has no column for the title, the category or the image.
    """
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        lines = csv.reader(file, delimiter=_SEPARATORS.get(path.suffix.lower(), ","))
        header = next(lines, None)
        if not header:
            raise CatalogueError(f"{path}: empty; a header is expected")
        check_columns(path, header)
        while True:
            try:
                cells = next(lines)
            except StopIteration:
                return
            except csv.Error as error:  # a cell over the module's limit, mostly for want of a closing quote
                yield RowError(file=path, line=lines.line_num, field="", reason=str(error))
                continue
            if len(cells) == len(header):
                yield Row(lines.line_num, dict(zip(header, cells, strict=True)))
            elif cells:
                reason = f"has {len(cells)} cells where the header has {len(header)}"
                yield RowError(file=path, line=lines.line_num, field="", reason=reason)


def read_jsonl(path: Path) -> Iterator[Row | RowError]:
    """Read a file with a JSON object a line; empty lines are passed over."""
    with path.open(encoding="utf-8-sig", errors="surrogateescape") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield _json_row(path, number, line)


def _json_row(path: Path, number: int, line: str) -> Row | RowError:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:
        return RowError(file=path, line=number, field="", reason=f"not JSON: {error}")
    if not isinstance(values, dict):
        return RowError(file=path, line=number, field="", reason="not a JSON object")
    return Row(number, values)


def read_parquet(path: Path) -> Iterator[Row | RowError]:
    """Read a Parquet file; a row group that is damaged is reported as one error, and the next one is read.

    Raises:
        CatalogueError: the file as a whole cannot be read, or a needed column is missing.
    """
    with open_parquet(path) as file:
        check_columns(path, file.schema_arrow.names)
        start = 1
        for group in range(file.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            yield from _group_rows(path, file, group, range(start, start + rows))
            start += rows


def open_parquet(path: Path) -> pq.ParquetFile:
    """Open the file; raises CatalogueError when it is none, or its end is missing."""
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise CatalogueError(f"{path}: not a complete Parquet file: {_first_line(error)}") from error


def _group_rows(path: Path, file: pq.ParquetFile, group: int, lines: range) -> Iterator[Row | RowError]:
    line = lines.start
    try:
        for batch in file.iter_batches(_BATCH, row_groups=[group]):
            for index in range(batch.num_rows):
                yield _parquet_row(path, line, batch.slice(index, 1))
                line += 1
    except (pa.ArrowException, OSError) as error:
        lost = lines.stop - line
        reason = f"{lost} rows of row group {group} cannot be read: {_first_line(error)}"
        yield RowError(file=path, line=line, field="", reason=reason, rows=lost)


def _parquet_row(path: Path, line: int, row: pa.RecordBatch) -> Row | RowError:
    try:
        return Row(line, row.to_pylist(maps_as_pydicts="lossy")[0])
    except UnicodeDecodeError:
        return RowError(file=path, line=line, field="", reason="holds text that is not UTF-8")
    except (ValueError, OverflowError) as error:  # a date that Python cannot hold
        return RowError(file=path, line=line, field="", reason=_first_line(error))


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
