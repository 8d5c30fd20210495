"""JSON with a record a product: one a line, an array of them, or an object that holds such an array."""

import json
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import ijson

from catalogue.readers.decoding import ERRORS
from catalogue.readers.rows import CatalogueError, Row, RowError, Table, nested_row

_MAX_LINE = 16_000_000
"""Characters of a line; what is longer is reported and passed over."""
_CHUNK = 1 << 20
_SMALL_CHUNK = 8_192
_SAMPLE = 5_000
_MAX_EVENTS = 2_000_000
"""Parts of a file among which the arrays of its outermost object are looked for."""
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def open_json_lines(path: Path) -> Table:
    """Open a file with a JSON object a line."""
    return Table(source=path, files=(path,), format="json", rows=_lines(path), estimate=_count_lines(path))


def open_json(path: Path) -> Table:
    """Open a .json file: an array, an object with an array in it, or an object a line.

    Raises:
        CatalogueError: it holds no list of objects.
    """
    lists = json_lists(path)
    if lists is None:
        return open_json_lines(path)
    if not lists:
        raise CatalogueError(
            f'{path}: holds no list of objects, such as [{{...}}] or {{"products": [{{...}}]}}'
        )
    prefix = lists[0]
    rows = _items(path, prefix)
    return Table(source=path, files=(path,), format="json", rows=rows, estimate=_estimate(path, prefix))


def json_lists(path: Path) -> list[str] | None:
    """Return the places of the lists of objects of a file, as ijson names them; None where each line is an object."""
    if _holds_lines(path):
        return None
    found = []
    try:
        with path.open("rb") as file:
            for prefix, event, _ in islice(ijson.parse(_without_bom(path, file)), _MAX_EVENTS):
                if event == "start_map" and prefix.endswith("item") and prefix.count(".") <= 1:
                    if prefix not in found:
                        found.append(prefix)
                    if prefix == "item":
                        break
    except (ijson.JSONError, UnicodeDecodeError) as error:
        if not found:
            raise CatalogueError(f"{path}: not JSON: {_first_line(error)}") from error
    return found


def json_items(path: Path, prefix: str) -> Iterator[Any]:
    """Yield the items of a list of a JSON file; raises ijson.JSONError where it is damaged."""
    with path.open("rb") as file:
        yield from ijson.items(_without_bom(path, file), prefix, use_float=True)


def _without_bom(path: Path, file: Any) -> Any:
    start = file.read(3)
    if start[:2] in _UTF16:
        raise CatalogueError(f"{path}: is UTF-16; JSON is UTF-8")
    if start != b"\xef\xbb\xbf":
        file.seek(0)
    return file


def _holds_lines(path: Path) -> bool:
    """Whether the file's first line is an object of its own, and another follows."""
    with path.open(encoding="utf-8-sig", errors=ERRORS) as file:
        first = next((line for line in _bounded(file) if line.strip()), "")
        second = next((line for line in _bounded(file) if line.strip()), "")
    if not first.lstrip().startswith("{"):
        return False
    try:
        json.loads(first)
    except (ValueError, RecursionError):
        return False
    return second.lstrip().startswith("{") or not (second or _wraps(json.loads(first)))


def _wraps(record: Mapping[str, object]) -> bool:
    return any(isinstance(value, list) and value and isinstance(value[0], dict) for value in record.values())


def _bounded(file: Any) -> Iterator[str]:
    while line := file.readline(_MAX_LINE):
        yield line


def _lines(path: Path) -> Iterator[Row | RowError]:
    with path.open(encoding="utf-8-sig", errors=ERRORS) as file:
        number, begun = 0, False
        for line in _bounded(file):
            whole = line.endswith("\n") or len(line) < _MAX_LINE
            number += not begun
            if not begun and not whole:
                yield _error(path, number, f"has over {_MAX_LINE:,} characters")
            elif not begun and line.strip():
                yield _record(path, number, line)
            begun = not whole


def _record(path: Path, number: int, line: str) -> Row | RowError:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:
        return _error(path, number, f"not JSON: {error}")
    return _row(path, number, values)


def _items(path: Path, prefix: str) -> Iterator[Row | RowError]:
    number = 0
    try:
        for number, values in enumerate(json_items(path, prefix), start=1):
            yield _row(path, number, values)
    except (ijson.JSONError, UnicodeDecodeError) as error:
        yield _error(path, number + 1, f"not JSON, and nothing after it is read: {_first_line(error)}")


def _row(path: Path, number: int, values: object) -> Row | RowError:
    if not isinstance(values, dict):
        return _error(path, number, "not a JSON object")
    return nested_row(path, number, values)


def _error(path: Path, number: int, reason: str) -> RowError:
    return RowError(file=path, line=number, field="", reason=reason)


def _estimate(path: Path, prefix: str) -> int:
    """Return about how many items a list has, from the first ones."""
    with path.open("rb") as file:
        try:
            items = sum(1 for _ in islice(ijson.items(file, prefix, buf_size=_SMALL_CHUNK), _SAMPLE))
            read = file.tell()
        except (ijson.JSONError, UnicodeDecodeError):
            return 1
    return max(items, round(items * path.stat().st_size / max(1, read)))


def _count_lines(path: Path) -> int:
    """Return about how many lines there are, from the first ones."""
    with path.open("rb") as file:
        head = file.read(_CHUNK)
    lines = head.count(b"\n") + (not head.endswith(b"\n"))
    return max(1, round(lines * path.stat().st_size / max(1, len(head))))


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
