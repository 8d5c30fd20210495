"""The schema of a catalogue: its fields as data.

A schema is a TOML file; a shop writes its own or has `vitrine schema PATH` propose one. What is said of fields
anywhere derives from it: the columns of the index, filters, sorts, facets, the words that the rewriter knows,
comparisons, the page.

    name = "books"
    currency = "EUR"

    [fields.isbn]
    kind = "keyword"
    role = "id"
    columns = ["isbn", "isbn13"]

    [fields.title]
    kind = "text"
    role = "title"

    [fields.author]
    kind = "keyword"
    labels = { en = "author", es = "autor" }
    questions = { en = ["author", "writer", "written by"] }
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

from vitrine.domain import limits
from vitrine.domain.errors import InvalidValue

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_CURRENCY = re.compile(r"[A-Z]{3}")
_LANGUAGE = re.compile(r"[a-z]{2,3}")

RESERVED = frozenset(
    {"and", "or", "not", "in", "like", "true", "false", "exists", "score", "attributes", "fields"}
)
"""Words of the filter syntax and of Product that no field may be called."""


class Kind(StrEnum):
    """What values a field holds."""

    KEYWORD = "keyword"
    """One of the catalogue's own words: a colour, a brand. Compared whole, in any case and Unicode form."""
    KEYWORDS = "keywords"
    """Several of them: materials, tags. A condition holds where one of them fulfils it."""
    TEXT = "text"
    """Words to read and to search by; no condition may name it."""
    NUMBER = "number"
    BOOLEAN = "boolean"
    MONEY = "money"
    """An amount in the schema's currency."""


class Role(StrEnum):
    """What a field means to Vitrine, whatever the shop calls it; each role is one field's at most."""

    ID = "id"
    TITLE = "title"
    DESCRIPTION = "description"
    CATEGORY = "category"
    BRAND = "brand"
    PRICE = "price"
    IMAGE = "image"
    URL = "url"
    AVAILABILITY = "availability"
    GROUP = "group"
    """What variants of one product have in common, such as a number."""


KINDS_OF_ROLES: Mapping[Role, frozenset[Kind]] = {
    Role.ID: frozenset({Kind.KEYWORD}),
    Role.TITLE: frozenset({Kind.TEXT}),
    Role.DESCRIPTION: frozenset({Kind.TEXT}),
    Role.CATEGORY: frozenset({Kind.KEYWORD}),
    Role.BRAND: frozenset({Kind.KEYWORD}),
    Role.PRICE: frozenset({Kind.MONEY}),
    Role.IMAGE: frozenset({Kind.TEXT}),
    Role.URL: frozenset({Kind.TEXT}),
    Role.AVAILABILITY: frozenset({Kind.BOOLEAN, Kind.KEYWORD}),
    Role.GROUP: frozenset({Kind.KEYWORD}),
}

KEYWORD_KINDS = frozenset({Kind.KEYWORD, Kind.KEYWORDS})
NUMBER_KINDS = frozenset({Kind.NUMBER, Kind.MONEY})

_KINDS_OF_FLAGS: Mapping[str, frozenset[Kind]] = {
    "filter": KEYWORD_KINDS | NUMBER_KINDS | {Kind.BOOLEAN},
    "facet": KEYWORD_KINDS | NUMBER_KINDS | {Kind.BOOLEAN},
    "sort": NUMBER_KINDS | {Kind.KEYWORD},
    "lexical": KEYWORD_KINDS | {Kind.TEXT},
    "encoded": KEYWORD_KINDS | {Kind.TEXT},
}
"""The kinds for which each flag makes sense."""

_STORED_APART = frozenset({Role.ID, Role.IMAGE})
"""Roles whose values are no values of the product: its key and its pictures."""

_UNFILTERED_ROLES = frozenset({Role.ID, Role.IMAGE, Role.URL, Role.TITLE, Role.DESCRIPTION})


class SchemaError(InvalidValue):
    """A schema breaks a rule; names the field and the rule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of a catalogue.

    Where a flag is not said, kind and role decide (`default_flags`): keywords and booleans are filtered and counted,
    numbers and money are filtered and sorted by, the words of id, title and brand are matched exactly, and the title
    is encoded.
    """

    name: str
    kind: Kind
    role: Role | None = None
    columns: tuple[str, ...] = ()
    """Names of columns that are read as this field, whatever their case, the first that is there; the name itself
    is always one."""
    filter: bool = False
    """Whether conditions may name it."""
    facet: bool = False
    """Whether its values are counted."""
    sort: bool = False
    """Whether hits may be ordered by it."""
    lexical: bool = False
    """Whether its words are matched exactly, beside the vectors."""
    encoded: bool = False
    """Whether it is a part of the text that is encoded."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """What to call it, by language (ISO 639)."""
    questions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Words by which people ask for it, by language, beside its label."""

    def label(self, language: str = "en") -> str:
        """Return what to call it in a language: English or its name where the language has no label."""
        return self.labels.get(language) or self.labels.get("en") or self.name.replace("_", " ")

    @property
    def asked_by(self) -> tuple[str, ...]:
        """Return every word by which people ask for it, in all languages, its labels first."""
        words = [self.name.replace("_", " "), *self.labels.values()]
        words += (word for listed in self.questions.values() for word in listed)
        return tuple(dict.fromkeys(words))

    @property
    def stored(self) -> bool:
        """Whether the field is a value of the product, and not its key or its pictures."""
        return self.role not in _STORED_APART

    @property
    def column(self) -> bool:
        """Whether the index keeps it in a column of its own, by which it filters, counts or sorts."""
        return self.stored and (self.filter or self.facet or self.sort)


@dataclass(frozen=True, kw_only=True)
class Schema:
    """The fields of a catalogue.

    Raises:
        SchemaError: there is no id, neither a title nor an image, a role twice, or a field that breaks a rule.
    """

    name: str
    fields: tuple[Field, ...]
    currency: str = ""
    """ISO 4217 code of every amount of money; empty where the catalogue names none."""

    def __post_init__(self) -> None:
        _check_schema(self)

    def __iter__(self) -> Iterator[Field]:
        return iter(self.fields)

    @cached_property
    def by_name(self) -> Mapping[str, Field]:
        """Return the fields by their names."""
        return {each.name: each for each in self.fields}

    def role(self, role: Role) -> Field | None:
        """Return the field of that role, or None."""
        return self._by_role.get(role)

    @cached_property
    def filtered(self) -> Mapping[str, Field]:
        """Return the fields that conditions may name."""
        return {each.name: each for each in self.fields if each.filter}

    @cached_property
    def facets(self) -> Mapping[str, Field]:
        """Return the fields whose values are counted."""
        return {each.name: each for each in self.fields if each.facet}

    @cached_property
    def sorted_by(self) -> Mapping[str, Field]:
        """Return the fields by which hits may be ordered."""
        return {each.name: each for each in self.fields if each.sort}

    @cached_property
    def lexical(self) -> tuple[Field, ...]:
        """Return the fields whose words are matched exactly."""
        return tuple(each for each in self.fields if each.lexical)

    @cached_property
    def encoded(self) -> tuple[Field, ...]:
        """Return the fields whose words are encoded, in order: the title first, the description last."""
        return tuple(sorted((each for each in self.fields if each.encoded), key=_encoding_order))

    @cached_property
    def columns(self) -> tuple[Field, ...]:
        """Return the fields that the index keeps in columns of their own."""
        return tuple(each for each in self.fields if each.column)

    @cached_property
    def stored(self) -> tuple[Field, ...]:
        """Return the fields that are values of a product: all but its key and its pictures."""
        return tuple(each for each in self.fields if each.stored)

    @cached_property
    def digest(self) -> str:
        """Return the SHA-256 of what an index is made by: names, kinds, roles and flags, the currency.

        Names of columns, labels and question words are not in it: they may change without touching the index.
        """
        identity = [self.currency, *sorted(_identity(each) for each in self.fields)]
        return hashlib.sha256(json.dumps(identity).encode()).hexdigest()

    @cached_property
    def _by_role(self) -> Mapping[Role, Field]:
        return {each.role: each for each in self.fields if each.role is not None}


@dataclass(frozen=True, slots=True)
class Changes:
    """What tells a schema from an earlier one of the same catalogue."""

    added: tuple[str, ...] = ()
    """Names of new fields that an index can take on as it stands: neither encoded nor searched by their words."""
    breaking: tuple[str, ...] = ()
    """What needs a rebuild, each as a sentence's part: "field size is a number now, was a keyword"."""

    def __bool__(self) -> bool:
        return bool(self.added or self.breaking)

    def __str__(self) -> str:
        return "; ".join([*self.breaking, *(f"field {name} is new" for name in self.added)])


def changes(earlier: Schema, later: Schema) -> Changes:
    """Compare two schemas of a catalogue by what an index is made by."""
    breaking = []
    if earlier.currency != later.currency:
        breaking.append(
            f"the currency is {later.currency or 'not said'} now, was {earlier.currency or 'not said'}"
        )
    for name, old in earlier.by_name.items():
        new = later.by_name.get(name)
        if new is None:
            breaking.append(f"field {name} is gone")
        elif _identity(new) != _identity(old):
            breaking.append(f"field {name} {_difference(old, new)}")
    fresh = [each for each in later if each.name not in earlier.by_name]
    grafted = [each for each in fresh if not (each.encoded or each.lexical) and each.stored]
    breaking += (
        f"field {each.name} is new and {_why_rebuild(each)}" for each in fresh if each not in grafted
    )
    return Changes(added=tuple(each.name for each in grafted), breaking=tuple(breaking))


def default_flags(kind: Kind, role: Role | None) -> Mapping[str, bool]:
    """Return the flags of a field that says none."""
    filtered = kind is not Kind.TEXT and role not in _UNFILTERED_ROLES
    return {
        "filter": filtered,
        "facet": filtered
        and role is not Role.GROUP
        and (kind in KEYWORD_KINDS or kind is Kind.BOOLEAN or role is Role.PRICE),
        "sort": filtered and kind in NUMBER_KINDS,
        "lexical": role in {Role.ID, Role.TITLE, Role.BRAND},
        "encoded": role is Role.TITLE,
    }


def _identity(each: Field) -> tuple[str, ...]:
    flags = (name for name in _KINDS_OF_FLAGS if getattr(each, name))
    return (each.name, each.kind.value, each.role.value if each.role else "", *flags)


def _difference(old: Field, new: Field) -> str:
    if old.kind is not new.kind:
        return f"is of kind {new.kind.value} now, was {old.kind.value}"
    if old.role is not new.role:
        return f"has the role {new.role or 'none'} now, had {old.role or 'none'}"
    return ", ".join(
        f"has {name} = {str(getattr(new, name)).lower()} now"
        for name in _KINDS_OF_FLAGS
        if getattr(old, name) != getattr(new, name)
    )


def _why_rebuild(each: Field) -> str:
    if not each.stored:
        return f"has the role {each.role}"
    return "is encoded" if each.encoded else "is searched by its words"


def _encoding_order(each: Field) -> int:
    return {Role.TITLE: 0, Role.DESCRIPTION: 2}.get(each.role, 1) if each.role else 1


def _check_schema(schema: Schema) -> None:
    if not schema.name or len(schema.name) > limits.MAX_LABEL_LENGTH or not schema.name.isprintable():
        raise SchemaError("name", f"must have 1 to {limits.MAX_LABEL_LENGTH} printable characters")
    if schema.currency and not _CURRENCY.fullmatch(schema.currency):
        raise SchemaError("currency", f"must be an ISO 4217 code such as EUR, got {schema.currency[:16]!r}")
    if not 1 <= len(schema.fields) <= limits.MAX_SCHEMA_FIELDS:
        raise SchemaError("fields", f"must be 1 to {limits.MAX_SCHEMA_FIELDS}, got {len(schema.fields)}")
    for each in schema.fields:
        _check_field(each)
    _check_roles(schema.fields)
    _check_unique("fields", (each.name for each in schema.fields))


def _check_roles(fields: Iterable[Field]) -> None:
    owners: dict[Role, str] = {}
    for each in fields:
        if each.role is not None and each.role in owners:
            raise SchemaError(
                f"fields.{each.name}.role",
                f"{each.role} is the role of {owners[each.role]} already; a role is one field's",
            )
        if each.role is not None:
            owners[each.role] = each.name
    if Role.ID not in owners:
        raise SchemaError("fields", 'one must have role = "id"')
    if owners.keys().isdisjoint({Role.TITLE, Role.IMAGE}):
        raise SchemaError("fields", 'one must have role = "title" or role = "image"')


def _check_field(each: Field) -> None:
    path = f"fields.{each.name[: limits.MAX_FIELD_NAME_LENGTH]}"
    if (
        not _NAME.fullmatch(each.name)
        or len(each.name) > limits.MAX_FIELD_NAME_LENGTH
        or each.name in RESERVED
    ):
        raise SchemaError(
            path,
            f"a field's name has lower-case letters, digits and _, begins with a letter, has at most"
            f" {limits.MAX_FIELD_NAME_LENGTH} characters, and is none of {', '.join(sorted(RESERVED))}",
        )
    if each.role is not None and each.kind not in KINDS_OF_ROLES[each.role]:
        kinds = " or ".join(sorted(KINDS_OF_ROLES[each.role]))
        raise SchemaError(f"{path}.kind", f"must be {kinds} for the role {each.role}, got {each.kind}")
    for flag, flagged in _KINDS_OF_FLAGS.items():
        if getattr(each, flag) and each.kind not in flagged:
            raise SchemaError(f"{path}.{flag}", f"makes no sense for the kind {each.kind}")
    if (each.filter or each.facet or each.sort) and not each.stored:
        raise SchemaError(f"{path}.filter", f"makes no sense for the role {each.role}")
    _check_words(each, path)


def _check_words(each: Field, path: str) -> None:
    if len(each.columns) > limits.MAX_COLUMN_NAMES:
        raise SchemaError(f"{path}.columns", f"at most {limits.MAX_COLUMN_NAMES}, got {len(each.columns)}")
    if len(each.labels) > limits.MAX_LANGUAGES or len(each.questions) > limits.MAX_LANGUAGES:
        raise SchemaError(f"{path}.labels", f"at most {limits.MAX_LANGUAGES} languages")
    words: list[tuple[str, tuple[str, ...]]] = [
        (f"labels.{language}", (label,)) for language, label in each.labels.items()
    ]
    words += ((f"questions.{language}", listed) for language, listed in each.questions.items())
    for name, listed in words:
        if not _LANGUAGE.fullmatch(name.partition(".")[2]):
            raise SchemaError(f"{path}.{name}", "must be a language of two or three letters, such as en")
        if len(listed) > limits.MAX_QUESTION_WORDS:
            raise SchemaError(
                f"{path}.{name}", f"at most {limits.MAX_QUESTION_WORDS} words, got {len(listed)}"
            )
        for word in listed:
            if not 1 <= len(word) <= limits.MAX_LABEL_LENGTH or not word.isprintable():
                raise SchemaError(
                    f"{path}.{name}", f"each must have 1 to {limits.MAX_LABEL_LENGTH} printable characters"
                )


def _check_unique(path: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise SchemaError(path, f"{name!r} is there twice")
        seen.add(name)
