"""Opens a catalogue, whatever its form."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

from catalogue.feeds.feed import Feed
from catalogue.feeds.loading import recognise
from catalogue.product import CatalogueProduct
from catalogue.readers.cells import Facts, currencies_of, mark_of, texts
from catalogue.readers.delimited import open_delimited
from catalogue.readers.json_rows import open_json, open_json_lines
from catalogue.readers.layouts import PICTURE_ENDINGS, open_coco_file, open_layout, open_pictures
from catalogue.readers.packed import ENDING as PACKED
from catalogue.readers.packed import open_packed
from catalogue.readers.parquet import open_parquet, shards_in
from catalogue.readers.pictures import PicturePlan, embedded_key, find_pictures, plan_pictures
from catalogue.readers.products import keys_of_field, make_plan, products
from catalogue.readers.rows import CatalogueError, Row, RowError, Table, keys_of
from catalogue.readers.variants import joined
from catalogue.readers.xml_rows import open_xml
from vitrine.domain.schema import NUMBER_KINDS, Field, Kind, Role, Schema

_TABLES: dict[str, Callable[[Path], Table]] = {
    ".parquet": open_parquet,
    ".jsonl": open_json_lines,
    ".ndjson": open_json_lines,
    ".json": lambda path: open_coco_file(path) or open_json(path),
    ".csv": open_delimited,
    ".tsv": open_delimited,
    ".txt": open_delimited,
    ".xml": open_xml,
}
TABLE_ENDINGS = _TABLES.keys() - {".txt"}
"""Endings of tables that are looked for; a .txt is read where it is named."""
_USUAL_STEM = "products"
_SHARD_FOLDERS = (".", "data")
_HEAD_ROWS = 200
"""Rows from which the feed and the forms of numbers are seen."""
_HEAD_BYTES = 32_000_000
"""Bytes of pictures inside these rows."""
_MOST = 0.9
"""Share of the prices with a currency that agree on it where a table is in one."""
_LOOKED_AT = 20
"""Rows whose pictures are looked for beside the table, before it is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The first rows of a table, and all of them."""

    table: Table
    rows: tuple[Row, ...]
    feed: Feed
    names: Mapping[str, str]
    """What the columns are called, by key."""
    every_row: Iterator[Row | RowError]
    """One row a product, the first ones again among them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenCatalogue:
    """A catalogue that can be read once."""

    source: Path
    """The table, or the folder."""
    files: tuple[Path, ...]
    """What it is read from."""
    feed: str
    """What it looks like."""
    schema: Schema
    rows: Iterator[CatalogueProduct | RowError]
    estimate: int
    """About how many rows there are, for a progress bar."""
    notes: Counter[str] = field(default_factory=Counter)
    """What was cut, left out or taken for granted, and how often; complete when the rows are read."""


def open_catalogue(
    path: Path,
    schema: Schema | None = None,
    *,
    usual: Callable[[], Schema | None] = lambda: None,
    allow_outside: bool = False,
) -> OpenCatalogue:
    """Open a table, a folder that holds one beside its pictures, or a folder in a layout that is known.

    Without a schema it has that of its feed; a table of no known feed has the `usual` one, where that is given. The
    paths of its pictures stay in its folder, unless they may lead outside.

    Raises:
        CatalogueError: there is nothing of the kind, or a column is missing; also while the rows are read, when a file
            as a whole is bad.
    """
    head = read_head(open_table(path))
    return _opened(head, schema if schema is not None else _fitting(head, usual), allow_outside=allow_outside)


def open_table(path: Path) -> Table:
    """Open what lies at a path, before anything is known of its columns."""
    if path.is_dir():
        if (layout := open_layout(path)) is not None:
            return layout
        found = _find_table(path)
        if isinstance(found, Table):
            return found
        path = found
    if not path.is_file():
        raise CatalogueError(f"{path}: no such file or folder")
    read = _TABLES.get(_ending(path))
    if read is None:
        raise CatalogueError(f"{path}: not a catalogue; expected a folder or a file ending in {_endings()}")
    return open_packed(path, read) if path.suffix.lower() == PACKED else read(path)


def read_head(table: Table) -> Head:
    """Read the first rows, recognise the feed, and join the rows that are one product."""
    raw: list[Row | RowError] = []
    size = 0
    for row in table.rows:
        raw.append(row)
        size += 0 if isinstance(row, RowError) else sum(map(_size, row.values.values()))
        if len(raw) >= _HEAD_ROWS or size > _HEAD_BYTES:
            break
    rows = [row for row in raw if isinstance(row, Row)]
    names = keys_of(table.columns) | {key: name for row in rows for key, name in row.names.items()}
    embedded = any(embedded_key(row.values) is not None for row in rows)
    feed = recognise(table.format, names.keys(), embedded_pictures=embedded)
    return Head(
        table=table,
        rows=tuple(row for row in joined(iter(rows), feed) if isinstance(row, Row)),
        feed=feed,
        names=names,
        every_row=joined(chain(raw, table.rows), feed),
    )


def _size(cell: object) -> int:
    data = cell.get("bytes") if isinstance(cell, dict) else cell
    return len(data) if isinstance(data, bytes) else 0


def _fitting(head: Head, ask_usual: Callable[[], Schema | None]) -> Schema:
    """Return the feed's schema, or the usual one where the feed is no known one and that knows as many columns."""
    own = head.feed.schema
    usual = None if head.feed.columns else ask_usual()
    if (
        usual is not None
        and not head.feed.columns
        and _columns_known(head, usual) >= _columns_known(head, own)
    ):
        return usual
    named, agreeing = _currencies(head, own)
    # A catalogue whose prices name a currency is in that, where the schema says none.
    single = len(named) == 1 and agreeing >= _MOST
    return replace(own, currency=next(iter(named))) if single and not own.currency else own


def _columns_known(head: Head, schema: Schema) -> int:
    return len({key for owner in schema for key in keys_of_field(owner)} & head.names.keys())


def _opened(head: Head, schema: Schema, *, allow_outside: bool) -> OpenCatalogue:
    table = head.table
    _check_columns(head, schema)
    currencies, agreeing = (
        (frozenset({schema.currency}), 1.0) if schema.currency else _currencies(head, schema)
    )
    mixed = bool(currencies) and agreeing < _MOST
    facts = Facts(
        marks={
            key: mark
            for owner in schema
            if owner.kind in NUMBER_KINDS
            for key in keys_of_field(owner)
            if (mark := mark_of(row.values.get(key) for row in head.rows))
        },
        currencies=frozenset() if mixed else currencies,
    )
    plan = make_plan(schema, head.feed, facts, _folder(table), head.rows)
    plan = replace(plan, pictures=replace(plan.pictures, allow_outside=allow_outside))
    notes = Counter(dict.fromkeys(table.notes, 1))
    if mixed:
        notes[
            "prices in several currencies are taken as they stand: `currency` in a schema refuses all but one"
        ] = 1
    if head.rows and not plan.has_ids:
        notes["no column for the id: the picture's path is the id"] = 1
    return OpenCatalogue(
        source=table.source,
        files=table.files,
        feed=head.feed.title,
        schema=schema,
        rows=products(head.every_row, plan, notes),
        estimate=table.estimate,
        notes=notes,
    )


def _folder(table: Table) -> Path:
    """Return where the paths of pictures begin."""
    return table.source if table.source.is_dir() else table.source.parent


def _currencies(head: Head, schema: Schema) -> tuple[frozenset[str], float]:
    """Return the currencies that the first prices may be in, and which share of those that name one agrees."""
    keys = [key for owner in schema if owner.kind is Kind.MONEY for key in keys_of_field(owner)]
    return currencies_of(text for row in head.rows for key in keys for text in texts(row.values.get(key)))


def _check_columns(head: Head, schema: Schema) -> None:
    """Refuse a table that can hold no product; all that is missing is said at once."""
    there = head.names.keys()
    if not there:
        return
    plan = plan_pictures(schema, head.feed, _folder(head.table))
    pictures = head.feed.embedded_pictures or not there.isdisjoint(plan.keys)
    missing = []
    if not pictures and not _has_column(schema.role(Role.ID), there):
        missing.append(_looked_for(schema.role(Role.ID)))
    words = any(_has_column(owner, there) for owner in schema.encoded)
    if not words and not pictures and not _finds_beside(head, schema, plan):
        missing.append(
            " or ".join(filter(None, map(_looked_for, map(schema.role, (Role.TITLE, Role.IMAGE)))))
        )
    if missing:
        columns = ", ".join(dict.fromkeys(head.names.values()))
        raise CatalogueError(
            f"{head.table.source}: no column for {'; nor for '.join(missing)}; it has {columns}"
            f" (`vitrine schema {head.table.source}` proposes a schema for it)"
        )


def _has_column(owner: Field | None, there: Collection[str]) -> bool:
    return owner is not None and any(key in there for key in keys_of_field(owner))


def _looked_for(owner: Field | None) -> str:
    return (
        f"the {owner.name} (one of {', '.join(dict.fromkeys((owner.name, *owner.columns)))})" if owner else ""
    )


def _finds_beside(head: Head, schema: Schema, plan: PicturePlan) -> bool:
    """Whether the first products have pictures that no column names, in files that are called after them."""
    owner = schema.role(Role.ID)
    assert owner is not None
    for row in head.rows[:_LOOKED_AT]:
        ids = [text for key in keys_of_field(owner) for text in texts(row.values.get(key))]
        if find_pictures(row, plan, ids[0] if ids else "").pictures:
            return True
    return False


def _find_table(folder: Path) -> Path | Table:
    for name in _SHARD_FOLDERS:
        tables = _tables_in(folder / name)
        if shards := shards_in(tables):
            return open_parquet(folder, shards)
    tables = _tables_in(folder)
    usual = [path for path in tables if _plain(path).stem == _USUAL_STEM]
    for candidates in (tables, usual):
        if len(candidates) == 1:
            return candidates[0]
    if tables:
        names = ", ".join(path.name for path in tables)
        raise CatalogueError(f"{folder}: several tables ({names}); name the one that is meant")
    if (pictures := open_pictures(folder)) is not None:
        return pictures
    raise CatalogueError(
        f"{folder}: no table ({_endings()}), no pictures ({', '.join(PICTURE_ENDINGS)}), and no layout that is known:"
        " Fashion200K's labels/, DeepFashion's Anno/, COCO's annotations/"
    )


def _tables_in(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    tables = sorted(path for path in folder.iterdir() if _ending(path) in TABLE_ENDINGS and path.is_file())
    return [
        path for path in tables if _plain(path) == path
    ] or tables  # what is packed beside them is kept, not meant


def _plain(path: Path) -> Path:
    """Return the name that a packed file has when it is unpacked, and any other file's own."""
    return path.with_suffix("") if path.suffix.lower() == PACKED else path


def _ending(path: Path) -> str:
    return _plain(path).suffix.lower()


def _endings() -> str:
    return f"{', '.join(_TABLES)}, or one of these packed as {PACKED}"
