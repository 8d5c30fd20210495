"""Opens a catalogue, whatever its form."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from catalogue.product import Product
from catalogue.readers.fashion200k import label_files, read_fashion200k
from catalogue.readers.rows import CatalogueError, Row, RowError, products
from catalogue.readers.tables import open_parquet, read_csv, read_jsonl, read_parquet

_TABLES: dict[str, Callable[[Path], Iterator[Row | RowError]]] = {
    ".parquet": read_parquet,
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
    ".csv": read_csv,
    ".tsv": read_csv,
}
_USUAL_STEM = "products"
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class OpenCatalogue:
    """A catalogue that can be read once."""

    source: Path
    """The table, or the folder of Fashion200K's layout."""
    rows: Iterator[Product | RowError]
    estimate: int
    """About how many rows there are, for a progress bar."""


def open_catalogue(path: Path) -> OpenCatalogue:
    """Open a table, a folder that holds one beside its pictures, or a folder in Fashion200K's layout.

    Raises:
        CatalogueError: there is nothing of the kind; also while the rows are read, when a file as a whole is bad.
    """
    if path.is_dir():
        if labels := label_files(path):
            return OpenCatalogue(path, read_fashion200k(path), sum(map(_count_lines, labels)))
        path = _find_table(path)
    if not path.is_file():
        raise CatalogueError(f"{path}: no such file or folder")
    read = _TABLES.get(path.suffix.lower())
    if read is None:
        raise CatalogueError(f"{path}: not a catalogue; expected a folder or a file ending in {_endings()}")
    return OpenCatalogue(path, products(path, read(path)), _count_rows(path))


def _find_table(folder: Path) -> Path:
    tables = sorted(path for path in folder.iterdir() if path.suffix.lower() in _TABLES)
    usual = [path for path in tables if path.stem == _USUAL_STEM]
    for candidates in (tables, usual):
        if len(candidates) == 1:
            return candidates[0]
    if tables:
        names = ", ".join(path.name for path in tables)
        raise CatalogueError(f"{folder}: several tables ({names}); name the one that is meant")
    raise CatalogueError(f"{folder}: no table ({_endings()}) beside the pictures, nor Fashion200K's labels/")


def _endings() -> str:
    return ", ".join(_TABLES)


def _count_rows(path: Path) -> int:
    if path.suffix.lower() == ".parquet":
        with open_parquet(path) as file:
            return int(file.metadata.num_rows)
    return _count_lines(path)


def _count_lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(_CHUNK), b""))
