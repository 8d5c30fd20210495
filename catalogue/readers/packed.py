"""Tables that are packed with gzip, as feeds often are: unpacked into a temporary file that lasts as long as they are read."""

import gzip
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from catalogue.readers.rows import CatalogueError, Row, RowError, Table

ENDING = ".gz"
MAX_BYTES = 64 << 30
"""Of a table when it is unpacked."""
_CHUNK = 1 << 20


def open_packed(path: Path, read: Callable[[Path], Table]) -> Table:
    """Open a packed table by what reads it unpacked; its rows and errors name the packed file.

    Raises:
        CatalogueError: it is no gzip, is damaged, or is larger than MAX_BYTES when it is unpacked; or `read` says why not.
        OSError: it cannot be read, or there is no room for the temporary file.
    """
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="vitrine-"))
        plain = Path(folder) / path.stem
        try:
            _unpack(path, plain)
            table = read(plain)
        except CatalogueError as error:
            raise CatalogueError(str(error).replace(str(plain), str(path))) from error
        rows = _renamed(table.rows, path, plain, stack.pop_all())
    return replace(table, source=path, files=(path,), rows=rows)


def _unpack(path: Path, plain: Path) -> None:
    size = 0
    try:
        with gzip.open(path) as packed, plain.open("wb") as out:
            while chunk := packed.read(_CHUNK):
                size += len(chunk)
                if size > MAX_BYTES:
                    raise CatalogueError(f"{path}: more than {MAX_BYTES:,} bytes when it is unpacked")
                out.write(chunk)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise CatalogueError(f"{path}: not gzip, or damaged: {error}") from error


def _renamed(
    rows: Iterator[Row | RowError], path: Path, plain: Path, folder: ExitStack
) -> Iterator[Row | RowError]:
    with folder:
        try:
            for row in rows:
                yield replace(row, file=path)
        except CatalogueError as error:
            raise CatalogueError(str(error).replace(str(plain), str(path))) from error
