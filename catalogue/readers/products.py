"""Rows as products, by a schema and a feed."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from catalogue.feeds.feed import Feed
from catalogue.product import CatalogueProduct
from catalogue.readers.cells import Facts, read_cell
from catalogue.readers.fitting import fitted_attributes, fitted_value
from catalogue.readers.pictures import PicturePlan, find_pictures, path_of, plan_pictures
from catalogue.readers.rows import Row, RowError, column_key, is_missing, shown
from catalogue.readers.text import plain_text
from vitrine.domain.errors import InvalidValue
from vitrine.domain.product import Product, check_product, encoded_text
from vitrine.domain.schema import Field, Kind, Role, Schema
from vitrine.domain.values import Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Which columns are which fields."""

    schema: Schema
    feed: Feed
    facts: Facts
    pictures: PicturePlan
    has_ids: bool
    """Whether the table has a column for the id."""
    whole_ids: bool = False
    """Whether every id is written as a whole number with a decimal: 42.0."""
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Keys of the columns of each field, the foremost first."""


def make_plan(schema: Schema, feed: Feed, facts: Facts, folder: Path, rows: Iterable[Row]) -> Plan:
    """Return the plan for a table that begins with these rows."""
    keys = {each.name: keys_of_field(each) for each in schema}
    owner = schema.role(Role.ID)
    assert owner is not None
    ids = [cell for row in rows for key in keys[owner.name] if not is_missing(cell := row.values.get(key))]
    return Plan(
        schema=schema,
        feed=feed,
        facts=facts,
        has_ids=bool(ids),
        whole_ids=bool(ids) and all(isinstance(each, str) and _is_whole(each) for each in ids),
        keys=keys,
        pictures=plan_pictures(schema, feed, folder),
    )


def keys_of_field(owner: Field) -> tuple[str, ...]:
    """Return the keys of the columns that are read as a field: its name first, unless its columns say where."""
    keys = dict.fromkeys(map(column_key, owner.columns))
    name = column_key(owner.name)
    return tuple(keys) if name in keys else (name, *keys)


def products(
    rows: Iterable[Row | RowError], plan: Plan, notes: Counter[str]
) -> Iterator[CatalogueProduct | RowError]:
    """Turn rows into products; an id that was there before is an error. `notes` counts what was cut or left out."""
    seen: set[str] = set()
    for row in rows:
        if isinstance(row, RowError):
            yield row
            continue
        try:
            made = _new_product(row, plan, notes, seen)
        except InvalidValue as error:
            yield RowError(file=row.file, line=row.line, field=error.field, reason=error.reason)
        else:
            yield made


def _new_product(row: Row, plan: Plan, notes: Counter[str], seen: set[str]) -> CatalogueProduct:
    made = _product(row, plan, notes)
    if made.product.id in seen:
        raise InvalidValue("id", f"{shown(made.product.id)} was there before")
    seen.add(made.product.id)
    return made


def _product(row: Row, plan: Plan, notes: Counter[str]) -> CatalogueProduct:
    product_id = _id(row, plan)
    values: dict[str, Value] = {}
    used = {key for name in _id_names(plan) for key in plan.keys[name]} | set(plan.pictures.keys)
    for owner in plan.schema.stored:
        key, value = _value(owner, row, plan)
        if key is not None:
            used.add(key)
        if value is not None:
            values[owner.name] = fitted_value(owner, value, notes)
    attributes = fitted_attributes(_rest(row, used, plan), notes)
    product = Product(id=product_id, values=values, attributes=attributes)
    found = find_pictures(row, plan.pictures, product_id)
    check_product(product, plan.schema)
    if not found.pictures and not encoded_text(product, plan.schema):
        raise _nothing_to_find_it_by(plan.schema, found.errors[0] if found.errors else None)
    return CatalogueProduct(
        product=product, pictures=found.pictures, file=row.file, line=row.line, errors=found.errors
    )


def _nothing_to_find_it_by(schema: Schema, error: object) -> InvalidValue:
    from_picture = getattr(error, "reason", "")
    title = schema.role(Role.TITLE)
    named = title.name if title is not None else "image"
    reason = "must not be empty where there is no picture"
    return InvalidValue(named, f"{reason} ({from_picture})" if from_picture else reason)


def _id_names(plan: Plan) -> list[str]:
    return [owner.name for owner in (plan.schema.role(Role.ID),) if owner is not None]


def _id(row: Row, plan: Plan) -> str:
    (name,) = _id_names(plan)
    for key in plan.keys[name]:
        cell = row.values.get(key)
        if not is_missing(cell):
            text = plain_text(name, cell[0] if isinstance(cell, tuple) else cell)
            return text.removesuffix(".0") if plan.whole_ids and _is_whole(text) else text
    if plan.has_ids:
        raise InvalidValue(name, "must not be empty")
    if path := path_of(row, plan.pictures):
        return path
    if plan.feed.id_from_row:
        return f"{row.file.stem}-{row.line}"
    raise InvalidValue(name, "no column has it, and no picture's path stands in for it")


def _is_whole(text: str) -> bool:
    digits = text.strip().removesuffix(".0")
    return digits != text.strip() and digits.isdecimal()


def _value(owner: Field, row: Row, plan: Plan) -> tuple[str | None, Value | None]:
    """Return the value of a field, and the column that has it: of its columns the first that is not empty."""
    if owner.kind is Kind.MONEY and row.parts:
        return _lowest(owner, row, plan)
    for key in plan.keys[owner.name]:
        value = _read(owner, key, row.values.get(key), plan)
        if value is not None:
            return key, value
    return None, None


def _lowest(owner: Field, row: Row, plan: Plan) -> tuple[str | None, Value | None]:
    """Return the lowest amount of the rows that were joined."""
    found: dict[float, str] = {}
    for part in row.parts:
        for key in plan.keys[owner.name]:
            amount = _read(owner, key, part.get(key), plan)
            if isinstance(amount, float):
                found.setdefault(amount, key)
                break
    return (found[min(found)], min(found)) if found else (None, None)


def _read(owner: Field, key: str, cell: object, plan: Plan) -> Value | None:
    return read_cell(owner, key, cell, plan.feed.rules_of(key), plan.facts)


def _rest(row: Row, used: set[str], plan: Plan) -> dict[str, object]:
    """Return what is neither field nor picture, under the names of the columns in lower case."""
    return {
        row.names.get(key, key).lower(): cell
        for key, cell in row.values.items()
        if key not in used and not is_missing(cell) and not plan.feed.leaves_out(key)
    }
