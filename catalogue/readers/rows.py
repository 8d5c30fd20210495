"""What the readers have in common: rows, errors, and the way from a row to a Product."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path

from catalogue.product import InvalidProductError, Product

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "id": ("id", "product_id", "sku", "article_id"),
    "title": ("title", "name", "caption"),
    "category": ("category", "product_type"),
    "image": ("image", "image_path", "image_file", "picture", "file_name", "filename"),
    "price": ("price",),
    "colour": ("colour", "color"),
    "pattern": ("pattern",),
    "brand": ("brand",),
}
"""A product's fields and the names of columns that are read as them, whatever their case; the first one wins.

A column `attributes` that holds a mapping adds its entries to the product's attributes, and so does every other
column. Without a column for it the id is the picture's path. The image is a path, relative to the table's folder.
"""

REQUIRED = ("title", "category", "image")
_ATTRIBUTES = "attributes"
_SHOWN = 60
"""Characters of a bad value that an error quotes."""


class CatalogueError(Exception):
    """Nothing can be read there; the message says why and what is expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowError:
    """A row, or a run of rows, that holds no product."""

    file: Path
    line: int
    """Counted from 1: the row's last line of a text file, or its row of a Parquet file."""
    field: str
    reason: str
    rows: int = 1
    """How many rows are lost."""

    def __str__(self) -> str:
        subject = f"{self.field}: " if self.field else ""
        return f"{self.file}:{self.line}: {subject}{self.reason}"


@dataclass(frozen=True, slots=True)
class Row:
    """A row as the file has it."""

    line: int
    values: Mapping[str, object]


def check_columns(file: Path, names: Iterable[str]) -> None:
    """Raise CatalogueError when the columns cannot hold products."""
    names = list(names)
    known = {_normalised(name) for name in names}
    for field in REQUIRED:
        if known.isdisjoint(COLUMNS[field]):
            expected = ", ".join(COLUMNS[field])
            raise CatalogueError(
                f"{file}: no column for the {field} (one of {expected}); it has {', '.join(names)}"
            )


def products(file: Path, rows: Iterable[Row | RowError]) -> Iterator[Product | RowError]:
    """Turn the rows of a file into products; an id that was there before is an error."""
    seen: set[str] = set()
    for row in rows:
        if isinstance(row, RowError):
            yield row
        else:
            yield product_or_error(file, row.line, partial(product_from_row, row.values, file.parent), seen)


def product_or_error(
    file: Path, line: int, make: Callable[[], Product], seen: set[str]
) -> Product | RowError:
    """Make the product and add its id to those seen, or say what is wrong with the line."""
    try:
        product = make()
    except InvalidProductError as error:
        return RowError(file=file, line=line, field=error.field, reason=error.reason)
    if product.id in seen:
        return RowError(file=file, line=line, field="id", reason=f"{shown(product.id)} was there before")
    seen.add(product.id)
    return product


def product_from_row(values: Mapping[str, object], folder: Path) -> Product:
    """Give the product that the columns describe; raises InvalidProductError."""
    fields, rest = _split(values)
    image = text("image", fields.pop("image", None))
    price = number("price", fields.pop("price", None))
    texts = {name: text(name, value) for name, value in fields.items()}
    return Product(
        id=texts.pop("id", "") or image,
        title=texts.pop("title", ""),
        category=texts.pop("category", ""),
        image=picture_file(folder, image),
        price=price,
        attributes=_attributes(rest),
        **texts,
    )


def picture_file(folder: Path, image: str) -> Path:
    """Give the picture's path; raises InvalidProductError unless a file is there."""
    if not image:
        raise InvalidProductError("image", "must not be empty")
    try:
        if (folder / image).is_file():
            return folder / image
    except OSError as error:
        raise InvalidProductError("image", f"{shown(image)}: {error.strerror}") from error
    raise InvalidProductError("image", f"no file {shown(image)} in {folder}")


def text(field: str, value: object) -> str:
    """Give the value as text without white space around it; raises InvalidProductError."""
    if value is None:
        return ""
    if not isinstance(value, str | int | float | Decimal):
        raise InvalidProductError(field, f"must be text, got {shown(value)}")
    stripped = str(value).strip()
    try:
        stripped.encode()
    except UnicodeEncodeError:
        raise InvalidProductError(field, "is not UTF-8") from None
    return stripped


def number(field: str, value: object) -> float:
    """Give the value as a number, 0 where there is none; raises InvalidProductError."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return 0.0
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        raise InvalidProductError(field, f"must be a number, got {shown(value)}")
    try:
        return float(value)
    except (ValueError, OverflowError):
        raise InvalidProductError(field, f"must be a number, got {shown(value)}") from None


def shown(value: object) -> str:
    """Quote a value in an error, in ASCII and cut short."""
    quoted = ascii(value)
    return quoted if len(quoted) <= _SHOWN else f"{quoted[:_SHOWN]}..."


def _split(values: Mapping[str, object]) -> tuple[dict[str, object], dict[str, object]]:
    """Part the fields of the product from what is left."""
    rest = {_normalised(name): value for name, value in values.items()}
    fields = {}
    for field, names in COLUMNS.items():
        name = next((name for name in names if name in rest), None)
        if name is not None:
            fields[field] = rest.pop(name)
    return fields, rest


def _normalised(name: str) -> str:
    return name.strip().lower()


def _attributes(rest: Mapping[str, object]) -> dict[str, str]:
    """Give what has a value as text; lists and nested values as JSON."""
    given = dict(rest)
    nested = given.get(_ATTRIBUTES)
    if isinstance(nested, Mapping):
        given = {name: value for name, value in given.items() if name != _ATTRIBUTES} | dict(nested)
    attributes = {}
    for name, value in given.items():
        if isinstance(value, bytes):  # what a Parquet file embeds is no text
            continue
        if value is not None and not isinstance(value, str | int | float | Decimal):
            value = json.dumps(value, default=str, ensure_ascii=False)  # noqa: PLW2901 - the same value as text
        key = text(_ATTRIBUTES, name)
        if said := text(f"{_ATTRIBUTES}[{shown(key)}]", value):
            attributes[key] = said
    return attributes
