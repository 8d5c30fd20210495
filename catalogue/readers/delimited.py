"""CSV in its usual dialects: commas, semicolons, tabs or bars, seen from the header and the first rows.

A cell in quotes may hold line ends. A quote that is never closed is an error of its line, and the next line is read
as a row of its own: no product is made of several rows.
"""

import csv
import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TextIO

from catalogue.readers.decoding import ERRORS, HEAD_BYTES, detect_encoding
from catalogue.readers.rows import CatalogueError, Row, RowError, Table, keyed, keys_of

SEPARATORS = (",", ";", "\t", "|")
_MAX_LINE = 4_000_000
"""Characters of a line; what is longer is reported and passed over."""
_MAX_RECORD = 1_000_000
"""Characters of a row of several lines."""
_MAX_RECORD_LINES = 2_000
_SAMPLE_LINES = 50
_ROW_LIKE = 4
"""Columns from which a line with as many cells as the header is taken for a row of its own."""
_SEP_LINE = re.compile(r"sep=(.)\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    text: str
    too_long: bool = False


@dataclass(slots=True)
class _Lines:
    """The lines of a file; those that were read ahead can be put back."""

    file: TextIO
    number: int = 0
    ahead: deque[_Line] = field(default_factory=deque)

    def next(self) -> _Line | None:
        """Return the next line; None at the end."""
        if self.ahead:
            return self.ahead.popleft()
        text = self.file.readline(_MAX_LINE)
        if not text:
            return None
        self.number += 1
        too_long = len(text) >= _MAX_LINE and not text.endswith(("\n", "\r"))
        while too_long and (rest := self.file.readline(_MAX_LINE)) and not rest.endswith(("\n", "\r")):
            pass
        return _Line(self.number, text, too_long)

    def put_back(self, lines: Iterable[_Line]) -> None:
        """Have the lines read again."""
        self.ahead.extendleft(reversed(list(lines)))


@dataclass(frozen=True, slots=True)
class _Record:
    line: int
    cells: list[str]


@dataclass(frozen=True, slots=True)
class _Damage:
    line: int
    reason: str


def open_delimited(path: Path) -> Table:
    """Open a file with a header.

    Raises:
        CatalogueError: there is no header.
    """
    encoding = detect_encoding(path)
    separator, header, mean = _inspect(path, encoding.name)
    notes = (f"read as {encoding.name}, since it is no UTF-8",) if encoding.guessed else ()
    return Table(
        source=path,
        files=(path,),
        format="delimited",
        rows=_rows(path, encoding.name, separator, header),
        columns=tuple(header),
        estimate=max(1, round(path.stat().st_size / mean) - 1),
        notes=notes,
    )


def _open(path: Path, encoding: str) -> TextIO:
    return path.open(encoding=encoding, errors=ERRORS, newline="")


def _inspect(path: Path, encoding: str) -> tuple[str, list[str], float]:
    """Return the separator, the header, and the mean length of a line in bytes."""
    with _open(path, encoding) as file:
        text = file.read(HEAD_BYTES)
    sample = [line for line in islice(_physical(text), _SAMPLE_LINES + 1) if not _is_blank(line)]
    if not sample:
        raise CatalogueError(f"{path}: empty; a header is expected")
    if said := _SEP_LINE.fullmatch(sample[0].lstrip("\ufeff")):
        separator = said[1]
    else:
        separator = _separator(sample, path)
    with _open(path, encoding) as file:
        _, header = _header(path, _Lines(file), separator)
    share = path.stat().st_size * min(1.0, len(text) / max(1, _characters(path, encoding, text)))
    return separator, header, max(1.0, share / max(1, text.count("\n") or text.count("\r") or 1))


def _characters(path: Path, encoding: str, text: str) -> int:
    """Return about how many characters the file has."""
    size = path.stat().st_size
    if len(text) < HEAD_BYTES:
        return len(text)
    codec = {"utf-8-sig": "utf-8", "utf-16": "utf-16-le", "utf-32": "utf-32-le"}.get(encoding, encoding)
    return round(size * len(text) / max(1, len(text.encode(codec, errors="replace"))))


def _separator(sample: Sequence[str], path: Path) -> str:
    """Return what parts the cells: where most rows have as many as the header, and there are most of them."""

    def fit(separator: str) -> tuple[float, bool, int]:
        counts = [len(_split(line, separator)) for line in sample]
        agree = sum(count == counts[0] for count in counts[1:])
        share = agree / len(counts[1:]) if counts[1:] else 1.0
        usual = separator == "\t" and path.suffix.lower() in {".tsv", ".tab"}
        return (round(share, 1), usual, counts[0])

    possible = [separator for separator in SEPARATORS if len(_split(sample[0], separator)) > 1]
    usual = "\t" if path.suffix.lower() == ".tsv" else ","
    return max(possible, key=fit, default=usual)


def _physical(text: str) -> Iterator[str]:
    yield from re.split(r"\r\n|\n|\r", text)


def _is_blank(line: str) -> bool:
    return not line.strip('\ufeff,;|" \t\r\n')


def _header(path: Path, lines: _Lines, separator: str) -> tuple[_Lines, list[str]]:
    """Return the lines after the header, and the header: the first line that is not blank."""
    while (line := lines.next()) is not None:
        if _is_blank(line.text) or _SEP_LINE.fullmatch(line.text.lstrip("\ufeff")):
            continue
        lines.put_back([line])
        match _record(lines, separator, None):
            case _Record(_, cells):
                return lines, [cell.strip("\ufeff \t") for cell in cells]
            case _Damage(number, reason):
                raise CatalogueError(f"{path}:{number}: the header {reason}")
    raise CatalogueError(f"{path}: empty; a header is expected")


def _rows(path: Path, encoding: str, separator: str, header: Sequence[str]) -> Iterator[Row | RowError]:
    names = keys_of(header)
    with _open(path, encoding) as file:
        lines, _ = _header(path, _Lines(file), separator)
        while (record := _record(lines, separator, len(header))) is not None:
            if isinstance(record, _Damage):
                yield RowError(file=path, line=record.line, field="", reason=record.reason)
            else:
                values = keyed(zip(header, record.cells, strict=True))
                yield Row(file=path, line=record.line, values=values, names=names)


def _record(lines: _Lines, separator: str, width: int | None) -> _Record | _Damage | None:
    """Read the next row of that many cells, or of any number; of a damaged one the first line is consumed."""
    first = lines.next()
    while first is not None and _is_blank(first.text):
        first = lines.next()
    if first is None:
        return None
    if first.too_long:
        return _Damage(first.number, f"has over {_MAX_LINE:,} characters")
    cells = _parse(first.text, separator)
    if cells is None:
        return _long_record(lines, first, separator, width)
    if width is not None and len(cells) != width:
        return _Damage(first.number, f"has {len(cells)} cells where the header has {width}")
    return _Record(first.number, cells)


def _long_record(lines: _Lines, first: _Line, separator: str, width: int | None) -> _Record | _Damage:
    """Read on to the line that closes the quote; where that makes no row, the lines after the first are put back."""
    taken: list[_Line] = []
    size = len(first.text)
    cells: list[str] | None = None
    closed = False
    while not closed and size <= _MAX_RECORD and len(taken) < _MAX_RECORD_LINES:
        if (line := lines.next()) is None:
            break
        taken.append(line)
        size += len(line.text)
        if '"' in line.text:
            text = "".join(each.text for each in (first, *taken))
            cells = _parse(text, separator, strict=True)
            closed = cells is not None or not _is_open(text, separator)
    if (
        cells is not None
        and (width is None or len(cells) == width)
        and not _are_rows(first, taken, separator, width)
    ):
        return _Record(first.number, cells)
    lines.put_back(taken)
    return _Damage(first.number, "opens a quote that is not closed")


def _are_rows(first: _Line, taken: Sequence[_Line], separator: str, width: int | None) -> bool:
    """Whether the lines of one quoted cell look like rows of their own: a stray quote in one closed that of another."""
    if width is None or width < _ROW_LIKE:
        return False
    naive = [_ends_off(line.text).split(separator) for line in (first, *taken)]
    return all(len(cells) == width and not any(cell[:1] == " " for cell in cells) for cells in naive)


def _ends_off(text: str) -> str:
    return text.rstrip("\r\n")


def _split(text: str, separator: str) -> list[str]:
    return _parse(text, separator) or _ends_off(text).split(separator)


def _parse(text: str, separator: str, *, strict: bool = False) -> list[str] | None:
    """Return the cells of a row; None where a quote stays open, or, if strict, is followed by more of its cell."""
    if '"' not in text:
        return _ends_off(text).split(separator)
    if not strict and _is_open(text, separator):
        return None
    try:
        return next(csv.reader([text], delimiter=separator, strict=strict), [])
    except csv.Error:
        return None


def _is_open(text: str, separator: str) -> bool:
    """Whether the row's last cell is one in quotes that does not end."""
    place, end = 0, len(text)
    while place < end:
        if text[place] == '"':
            place = _closing_quote(text, place + 1)
            if place < 0:
                return True
        place = text.find(separator, place)
        if place < 0:
            return False
        place += 1
    return False


def _closing_quote(text: str, place: int) -> int:
    """Return the place of the quote that ends a cell, two in a row being one of its letters; -1 where none does."""
    while (place := text.find('"', place)) >= 0:
        if text[place + 1 : place + 2] != '"':
            return place
        place += 2
    return -1


csv.field_size_limit(_MAX_LINE)
