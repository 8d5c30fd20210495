"""A schema for a catalogue, from what its columns hold."""

import re
import tomllib
import unicodedata
from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from itertools import islice
from typing import Any

from babel.numbers import list_currencies

from catalogue.feeds.loading import PLAIN, known_feeds
from catalogue.proposal.profiling import SAMPLE_ROWS, Profile, profile
from catalogue.readers.cells import currencies_of
from catalogue.readers.opening import Head
from catalogue.readers.products import keys_of_field
from catalogue.readers.rows import CatalogueError, Row, column_key
from vitrine.domain import limits
from vitrine.domain.schema import KINDS_OF_ROLES, RESERVED, Field, Kind, Role, Schema, default_flags
from vitrine.domain.schema_files import shipped_schema
from vitrine.domain.values import fold, to_boolean

_MOST = 0.9
"""Share of a column's cells from which they all are taken for of a kind; the others are refused when they are read."""
_FEW_ROWS = 20
"""Rows from which the share of distinct values says something."""
_MANY_DISTINCT = 0.5
_FEW_FAULTS = 0.25
"""Share of rows without an id, and of ids that come again, up to which a column called so is the id before any other."""
_HALF = 0.5
"""Share of a column's cells that must fit a role by whose name it goes; those that do not are refused when they are read."""
_AGREEING = 0.9
_LONG = 80
"""Mean length of a value, in characters, from which it is a text."""
_TEXT_WORDS = 3.5
"""Mean length of a value, in words, from which one that is seldom twice is a text."""
_TITLE_WORDS = (1.3, 25)
_ID_LENGTH = 40
_CODE_WORDS = 1.2
"""Mean length of a code, in words."""
_CODE = re.compile(r"(?=[^\d]*\d)[A-Z0-9._/-]+")
_CODE_DIGITS = 8
"""Digits from which a number that is seldom twice is a code, such as a GTIN."""
_COMPULSORY = (Role.ID, Role.TITLE, Role.IMAGE)
_FLAGS = ("filter", "facet", "sort", "lexical", "encoded")


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A schema, and the columns that it was proposed for."""

    schema: Schema
    feed: str
    columns: tuple[Profile, ...]
    rows: int
    """Rows that were looked at."""
    complete: bool
    """Whether they are all rows."""

    def field_of(self, column: Profile) -> Field | None:
        """Return the field that is read from a column, where it is the foremost of that field's; else None."""
        there = [each.key for each in self.columns]
        for each in self.schema:
            foremost = next((key for key in keys_of_field(each) if key in there), None)
            if foremost == column.key:
                return each
        return None


def propose(head: Head) -> Proposal:
    """Look at the first rows of a catalogue and propose its schema.

    Raises:
        CatalogueError: there is no row, or nothing that could be a title or a picture.
    """
    sample = list(islice(head.every_row, SAMPLE_ROWS))
    complete = next(head.every_row, None) is None
    rows = [row for row in sample if isinstance(row, Row)]
    if not rows:
        raise CatalogueError(f"{head.table.source}: has no row that can be read")
    columns = profile(rows, head.names.items())
    if head.feed.columns or head.feed.formats == ("pictures",):
        schema = _of_feed(head, columns)
    else:
        schema = _of_columns(head, columns, len(rows))
    return Proposal(
        schema=schema,
        feed=head.feed.title,
        columns=tuple(column for column in columns if column.filled),
        rows=len(rows),
        complete=complete,
    )


def _of_feed(head: Head, columns: Sequence[Profile]) -> Schema:
    """Return the feed's own fields, as far as the catalogue has them."""
    there = {column.key for column in columns if column.filled}
    own = head.feed.schema
    fields = [each for each in own if each.role in _COMPULSORY or not there.isdisjoint(keys_of_field(each))]
    currency = own.currency or _currency(fields, columns)
    return replace(own, fields=tuple(fields), currency=currency)


def _of_columns(head: Head, columns: Sequence[Profile], rows: int) -> Schema:
    there = [column for column in columns if column.filled and column.nested < column.filled]
    roles = _roles(there, rows)
    calls = Counter(column_key(_called(column)) for column in there)
    fields: list[Field] = []
    for column in there:
        role = next((role for role, owner in roles.items() if owner is column), None)
        if role is None and _is_picture(column):
            continue  # further pictures are no field
        called = _called(column)
        if role is None and calls[column_key(called)] > 1:
            called = column.name  # brand.name beside brand.text
        each = _field(column, role, rows, called=called, taken={taken.name for taken in fields})
        fields.append(each)
    if Role.ID not in roles:
        name = "product_id" if any(each.name == "id" for each in fields) else "id"
        # Where neither a code nor a picture tells the products apart, their titles may.
        titles = [roles[Role.TITLE]] if Role.TITLE in roles and Role.IMAGE not in roles else []
        told = tuple(each.name for each in titles if _is_id(each, rows))
        fields.insert(
            len(fields) if told else 0, _flagged(name=name, kind=Kind.KEYWORD, role=Role.ID, columns=told)
        )
    if not roles.keys() & {Role.TITLE, Role.IMAGE}:
        columns_there = ", ".join(column.name for column in columns)
        raise CatalogueError(
            f"{head.table.source}: no column looks like a title or a picture; it has {columns_there}"
        )
    kept = _most_filled(fields, there)
    name = re.sub(r"[\W_]+", " ", head.table.source.stem).strip()[: limits.MAX_LABEL_LENGTH] or "catalogue"
    return Schema(name=name, currency=_currency(kept, columns), fields=tuple(kept))


def _most_filled(fields: list[Field], columns: Sequence[Profile]) -> list[Field]:
    """Return as many fields as a schema may have: those with a role, then those that most rows have."""
    if len(fields) <= limits.MAX_SCHEMA_FIELDS:
        return fields
    filled = {column.key: column.filled for column in columns}
    ranked = sorted(
        fields, key=lambda each: (each.role is None, -max(filled.get(key, 0) for key in keys_of_field(each)))
    )
    kept = {each.name for each in ranked[: limits.MAX_SCHEMA_FIELDS]}
    return [each for each in fields if each.name in kept]


def _roles(columns: Sequence[Profile], rows: int) -> dict[Role, Profile]:
    """Return the columns that have a role: by their names, then by what they hold."""
    found: dict[Role, Profile] = {}
    named = {role: _named(role, columns) for role in Role}
    for role in Role:
        free = [c for c in named[role] if c not in found.values() and _may_have(role, c, rows)]
        if free:
            found[role] = free[0]
    # What begins with @ says of JSON-LD what it is, and of no product; but for its id.
    seen = [c for c in columns if not c.name.startswith("@") or c.key in _role_names()[Role.ID]]
    titles = sorted(filter(_is_title, seen), key=lambda column: -column.distinct)
    codes = [c for c in seen if _is_id(c, rows) and not _shows_prices(c, least=_HALF)]
    candidates: tuple[tuple[Role, Iterable[Profile]], ...] = (
        (Role.IMAGE, filter(_is_picture, seen)),
        (Role.ID, (c for c in named[Role.ID] if _is_id(c, rows, faults=_FEW_FAULTS))),
        (Role.ID, (c for c in codes if c.mean_words <= _CODE_WORDS)),
        (Role.ID, (c for c in named[Role.ID] if _is_id(c, rows, faults=_HALF))),
        # The one column that can be a title is no code.
        (Role.ID, (c for c in codes if Role.TITLE in found or any(t is not c for t in titles))),
        (Role.TITLE, titles),
        (Role.PRICE, (c for c in seen if _shows_prices(c, least=_MOST))),
    )
    for role, fitting in candidates:
        free = [c for c in fitting if role not in found and c not in found.values()]
        if free:
            found[role] = free[0]
    if Role.TITLE not in found and Role.DESCRIPTION in found and _is_title(found[Role.DESCRIPTION]):
        found[Role.TITLE] = found.pop(Role.DESCRIPTION)
    if Role.TITLE not in found and (free := [c for c in named[Role.TITLE] if c not in found.values()]):
        found[Role.TITLE] = free[0]
    return found


def _named(role: Role, columns: Sequence[Profile]) -> list[Profile]:
    """Return the columns that are called as one of a role is, the most usual name first."""
    names = _role_names()[role]
    keys = {c.key: key for c in columns if (key := _key_among(names, c)) is not None}
    there = (c for c in columns if c.key in keys and not c.name.startswith("@"))
    return sorted(there, key=lambda c: names.index(keys[c.key]))


def _may_have(role: Role, column: Profile, rows: int) -> bool:
    """Whether a column that is called so holds what the role means."""
    if role is Role.ID:
        return _is_id(column, rows)
    if (
        role is Role.TITLE and column.key not in _known_fields()
    ):  # "article" and "item" are codes and kinds too
        return not column.embedded and not _is_code(column) and column.distinct >= _HALF * column.filled
    if role is Role.PRICE:
        return column.share(column.numbers + column.prices) >= _HALF
    if role is Role.IMAGE:
        return column.embedded > 0 or column.share(column.pictures + column.urls + column.lists) > 0
    if role is Role.AVAILABILITY and _measured_kind(column, rows) is Kind.NUMBER:
        return False  # how many there are
    return not column.embedded


def _is_id(column: Profile, rows: int, *, faults: float = 0.0) -> bool:
    """Whether a column tells the rows apart; `faults` is the share of rows without a value, and of values that come again."""
    filled = column.filled >= (1 - faults) * rows
    unique = column.distinct >= (1 - faults) * column.filled or column.more
    fits = column.mean_length <= _ID_LENGTH and not column.lists and not _is_picture(column)
    return filled and unique and fits


def _is_code(column: Profile) -> bool:
    return bool(column.numbers) or all(map(_CODE.fullmatch, column.texts))


def _is_title(column: Profile) -> bool:
    low, high = _TITLE_WORDS
    fits = low <= column.mean_words <= high and column.longest <= limits.MAX_TITLE_LENGTH
    return fits and not column.urls and not _shows_prices(column, least=_HALF)


def _shows_prices(column: Profile, *, least: float) -> bool:
    """Whether a share of a column's cells are prices, whatever it is called; some of them are no codes such as R12."""
    return column.share(column.prices) >= least and column.prices > column.like_codes


def _is_picture(column: Profile) -> bool:
    return column.embedded > 0 or column.share(column.pictures) >= _MOST


def _field(column: Profile, role: Role | None, rows: int, *, called: str, taken: set[str]) -> Field:
    key = _key_among(_known_fields(), column)
    known = None if key is None else _known_fields()[key]
    if known is not None and (known.role is not role or known.name in taken):
        known = None
    kind = _kind(column, role, rows)
    name = known.name if known is not None else _name(role.value if role else called, taken)
    each = _flagged(
        name=name,
        kind=kind,
        role=role,
        columns=() if column_key(name) == column.key else (column.name,),
        labels=dict(known.labels) if known is not None else {"en": _label(called)},
        questions=dict(known.questions) if known is not None else {},
    )
    if kind not in {Kind.KEYWORD, Kind.KEYWORDS} or not each.facet:
        return each
    if role is None and kind is Kind.KEYWORD and column.distinct >= _MOST * column.filled:
        each = replace(each, lexical=True)  # names a product, as a Latin name does
    many = column.more or column.distinct > limits.MAX_FACET_VALUES or _is_mostly_distinct(column)
    return replace(each, facet=not many, lexical=each.lexical or (many and kind is Kind.KEYWORD))


def _flagged(*, name: str, kind: Kind, role: Role | None, **rest: Any) -> Field:
    flags: dict[str, Any] = dict(default_flags(kind, role))
    return Field(name=name, kind=kind, role=role, **flags, **rest)


def _kind(column: Profile, role: Role | None, rows: int) -> Kind:
    measured = _measured_kind(column, rows)
    if role is Role.AVAILABILITY and _says_whether(column):
        return Kind.BOOLEAN
    if role is None or measured in KINDS_OF_ROLES[role]:
        return measured
    return next(kind for kind in Kind if kind in KINDS_OF_ROLES[role])


def _measured_kind(column: Profile, rows: int) -> Kind:
    if column.share(column.booleans) == 1 and column.distinct <= 2 and rows > 2:  # noqa: PLR2004 - true and false
        return Kind.BOOLEAN
    if column.share(column.numbers) >= _MOST and not column.several:
        code = (
            _is_mostly_distinct(column)
            and column.mean_length >= _CODE_DIGITS
            and "." not in column.samples[0]
        )
        return Kind.KEYWORD if column.codes or code else Kind.NUMBER
    if column.share(column.prices + column.numbers) >= _MOST and column.prices > column.like_codes:
        return Kind.MONEY
    if column.share(column.lists) >= _MANY_DISTINCT or _is_list(column):
        return (
            Kind.KEYWORDS
            if column.mean_length <= limits.MAX_KEYWORD_LENGTH and not column.urls
            else Kind.TEXT
        )
    if column.longest > limits.MAX_KEYWORD_LENGTH or column.mean_length > _LONG or column.urls:
        return Kind.TEXT
    return Kind.TEXT if _is_mostly_distinct(column) and column.mean_words >= _TEXT_WORDS else Kind.KEYWORD


def _says_whether(column: Profile) -> bool:
    """Whether all values of a column are words for true or false as they are read from a plain table."""
    rules = known_feeds()[PLAIN].usual_rules
    return not column.more and all(
        value.replace("_", " ") in rules.true | rules.false or to_boolean(value) is not None
        for value in column.values
    )


def _is_list(column: Profile) -> bool:
    """Whether texts with commas are lists: their parts are short, and come again."""
    return column.share(column.separated) >= _MANY_DISTINCT and 2 * len(column.parts) <= sum(
        column.parts.values()
    )


def _is_mostly_distinct(column: Profile) -> bool:
    return column.filled >= _FEW_ROWS and column.distinct > _MANY_DISTINCT * column.filled


def _currency(fields: Sequence[Field], columns: Sequence[Profile]) -> str:
    keys = {key for each in fields if each.kind is Kind.MONEY for key in keys_of_field(each)}
    named, agreeing = currencies_of(text for column in columns if column.key in keys for text in column.texts)
    if named or not keys:
        return next(iter(named)) if len(named) == 1 and agreeing >= _AGREEING else ""
    beside = [column for column in columns if column.key in _headings()["currency"] and not column.more]
    named_beside = {
        part.upper() for column in beside for value in column.values for part in value.split(", ")
    }
    codes = named_beside & list_currencies()
    return codes.pop() if len(named_beside) == len(codes) == 1 else ""


def _name(text: str, taken: set[str]) -> str:
    """Return a name that a field may have, of a column's name in any script."""
    plain = unicodedata.normalize("NFKD", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text)).encode(
        "ascii", "ignore"
    )
    name = re.sub(r"[^a-z0-9]+", "_", fold(plain.decode())).strip("_")
    if not name or not name[0].isalpha():
        name = f"field_{name}".rstrip("_")
    name = name[: limits.MAX_FIELD_NAME_LENGTH - 6]
    if name in RESERVED:
        name = f"{name}_field"
    number = 2
    unique = name
    while unique in taken:
        unique, number = f"{name}_{number}", number + 1
    return unique


def _called(column: Profile) -> str:
    """Return a column's name without the parts of a nested one that say nothing, as in brand.name and colour.value."""
    parts = column.name.split(".")
    while len(parts) > 1 and column_key(parts[-1]) in _headings()["nothing"]:
        parts.pop()
    return ".".join(parts)


def _key_among(keys: Container[str], column: Profile) -> str | None:
    """Return the key by which a column is known, its own or that of what it is called; None where it is not."""
    return next((key for key in (column.key, column_key(_called(column))) if key in keys), None)


def _label(name: str) -> str:
    """Return what a column is called in a sentence: of a nested one the last part, and without its unit."""
    printable = "".join(character if character.isprintable() else " " for character in name)
    words = re.split(r"[_\s]+", printable.rpartition(".")[2].strip("_ ") or printable)
    if len(words) > 1 and column_key(words[-1]) in _headings()["unit"]:
        words.pop()
    return " ".join(words).strip()[: limits.MAX_LABEL_LENGTH] or "field"


@cache
def _known_fields() -> Mapping[str, Field]:
    """Return the fields of the schemas that ship, by the keys of their columns."""
    schemas = [shipped_schema(), *(feed.schema for feed in known_feeds().values())]
    known: dict[str, Field] = {}
    for schema in schemas:
        for each in schema:
            for key in keys_of_field(each):
                known.setdefault(key, each)
    return known


@cache
def _role_names() -> Mapping[Role, list[str]]:
    """Return the keys of the columns that have a role in one of the schemas that ship, and what else shops call them."""
    names: dict[Role, list[str]] = {role: [] for role in Role}
    for key, each in _known_fields().items():
        if each.role is not None:
            names[each.role].append(key)
    for role in Role:
        names[role] = list(dict.fromkeys((*names[role], *_headings()[role.value])))
    return names


@cache
def _headings() -> Mapping[str, tuple[str, ...]]:
    """Return the keys of the columns by what headings.toml says that they are."""
    text = (resources.files("catalogue.proposal") / "headings.toml").read_text(encoding="utf-8")
    return {meant: tuple(map(column_key, names)) for meant, names in tomllib.loads(text).items()}
