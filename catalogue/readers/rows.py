"""What the readers have in common: tables, rows, and errors of rows."""

import math
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

_SHOWN = 60
"""Characters of a bad value that an error quotes."""
_NO_LETTERS = re.compile(r"[\W_]+")
_LEVELS = 3
"""Depth to which nested values become columns of their own."""


class CatalogueError(Exception):
    """Nothing can be read there; the message says why and what is expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowError:
    """A row, or a run of rows, that holds no product."""

    file: Path
    line: int
    """Counted from 1: the row's first line of a text file, or its row of a Parquet, JSON or XML file."""
    field: str
    reason: str
    rows: int = 1
    """How many rows are lost."""

    def __str__(self) -> str:
        subject = f"{self.field}: " if self.field else ""
        return f"{self.file}:{self.line}: {subject}{self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row as the file has it, its columns by their keys; a tuple holds the several values of joined rows."""

    file: Path
    line: int
    values: Mapping[str, object]
    names: Mapping[str, str]
    """What the columns are called, by key."""
    parts: tuple[Mapping[str, object], ...] = ()
    """The values of each of the rows that were joined."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A catalogue's rows before anything is known of its columns."""

    source: Path
    """The table's file, or the folder."""
    files: tuple[Path, ...]
    """What the rows come from; a change of it is another source."""
    format: str
    """One of the formats that feeds name."""
    rows: Iterator[Row | RowError]
    columns: tuple[str, ...] = ()
    """Names of all columns, where the file names them before its rows."""
    estimate: int
    """About how many rows there are, for a progress bar."""
    notes: tuple[str, ...] = ()
    """What the reader took for granted."""


@lru_cache(maxsize=8_192)
def column_key(name: str) -> str:
    """Return the form in which names of columns are compared: without case, spaces, hyphens and underscores."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    return _NO_LETTERS.sub("", folded) or folded.strip()


def is_missing(value: object) -> bool:
    """Whether a cell holds nothing: no text, no number."""
    match value:
        case None:
            return True
        case str():
            return not value or value.isspace()
        case float():
            return math.isnan(value)
        case list() | tuple() | dict() | bytes():
            return not value
        case _:
            return False


def keyed(pairs: Iterable[tuple[str, object]]) -> dict[str, object]:
    """Return the values by the keys of their columns; of two columns of one name the first that has a value counts."""
    values: dict[str, object] = {}
    for name, value in pairs:
        key = column_key(name)
        if key and is_missing(values.get(key)):
            values[key] = value
    return values


def keys_of(names: Iterable[str]) -> dict[str, str]:
    """Return what the columns are called by their keys; the first name of a key counts."""
    called: dict[str, str] = {}
    for name in names:
        if key := column_key(name):
            called.setdefault(key, name.strip())
    return called


def nested_row(file: Path, line: int, values: Mapping[str, object]) -> Row:
    """Return the row of a record whose values may be nested: what is nested becomes columns such as variants.price."""
    flat = dict(_flattened("", values, _LEVELS))
    return Row(file=file, line=line, values=keyed(flat.items()), names=keys_of(flat))


def shown(value: object) -> str:
    """Quote a value in an error, in ASCII and cut short."""
    if isinstance(value, str | bytes | list | tuple):
        value = value[: 2 * _SHOWN]
    quoted = ascii(value)
    return quoted if len(quoted) <= _SHOWN else f"{quoted[:_SHOWN]}..."


def _flattened(prefix: str, values: Mapping[str, object], levels: int) -> Iterator[tuple[str, object]]:
    for name, value in values.items():
        path = f"{prefix}{name}"
        if isinstance(value, Mapping) and levels and not is_picture(value):
            inner = "" if not prefix and column_key(path) == "attributes" else f"{path}."
            yield from _flattened(inner, value, levels - 1)
        elif _is_list_of_records(value) and levels:
            assert isinstance(value, list)
            yield from _columns_of_records(path, value, levels)
        else:
            yield path, value


def _columns_of_records(
    path: str, records: list[Mapping[str, object]], levels: int
) -> Iterator[tuple[str, object]]:
    """Yield a column for each key of the records, with the values of all of them."""
    columns: dict[str, list[object]] = {}
    for record in records:
        for name, value in _flattened("", record, levels - 1):
            if not is_missing(value):
                columns.setdefault(name, []).append(value)
    for name, listed in columns.items():
        yield f"{path}.{name}", tuple(listed)


def _is_list_of_records(value: object) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(each, Mapping) and not is_picture(each) for each in value)
    )


def is_picture(value: object) -> bool:
    """Whether a value is a picture as the library `datasets` writes it: its bytes, and its path."""
    return (
        isinstance(value, Mapping)
        and "bytes" in value
        and value.keys() <= {"bytes", "path"}
        and isinstance(value["bytes"], bytes | None)
    )
