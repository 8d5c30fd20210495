"""Typed conditions: made from a reading, and carried from one turn to the next."""

from collections.abc import Collection, Iterable, Iterator, Sequence

from rewriter.nlu.bounds import Interval
from rewriter.nlu.joining import Joining
from rewriter.nlu.lexicon import Lexicon
from rewriter.nlu.lifted import Lifted
from rewriter.nlu.reading import Reading
from rewriter.nlu.tagging import Tag
from rewriter.nlu.vocabulary import Role
from vitrine.domain.errors import InvalidValue
from vitrine.domain.filters import (
    AllOf,
    AnyOf,
    Equals,
    Filter,
    Not,
    OneOf,
    Range,
    check_limits,
    fitted,
    names,
)
from vitrine.domain.limits import MAX_FILTER_VALUES
from vitrine.domain.messages import filter_message, read_filter
from vitrine.domain.schema import KEYWORD_KINDS
from vitrine.domain.schema import Role as FieldRole
from vitrine.domain.values import fold
from vitrine.v1 import query_pb2

_MAX_CONDITIONS = 16
"""Conditions that a conversation may pile up; the oldest give way."""

_ALTERNATIVES = frozenset({"or", "nor"})
_MAX_VALUES = 32
"""Values that one condition of a turn names."""


def conditions_of(reading: Reading, price: Interval | None = None, *, category: str = "") -> list[Filter]:
    """Return the conditions that the turn itself sets; a category is added where the turn names none."""
    lexicon = reading.lexicon
    wanted = _values_by_field(reading.wanted)
    owner = lexicon.name_of(FieldRole.CATEGORY)
    if owner and (reading.category or category):
        wanted.setdefault(owner, [reading.category or category])
    conditions = [
        each
        for field, values in wanted.items()
        for each in (
            [Equals(field, value) for value in values]
            if _are_all_meant(field, reading)
            else [one_of(field, values)]
        )
    ]
    excluded = _values_by_field(reading.unwanted)
    conditions += [Not(one_of(field, values)) for field, values in excluded.items()]
    conditions += reading.taken.conditions
    if price is not None and (priced := lexicon.name_of(FieldRole.PRICE)):
        conditions.append(price.on(priced))
    return conditions


def _are_all_meant(field: str, reading: Reading) -> bool:
    """Return whether a product is to have each of the values: "vegan and gluten-free", not "oak or walnut"."""
    if not reading.lexicon.is_multiple(field):
        return False
    places = [place for place, tag in enumerate(reading.tags) if tag.slot == field and tag in reading.wanted]
    between = reading.tags[places[0] : places[-1]] if places else ()
    return not any(tag.role is Role.JOIN and tag.surface in _ALTERNATIVES for tag in between)


def one_of(field: str, values: Sequence[str]) -> Filter:
    """Return the condition that the field holds one of the values."""
    return Equals(field, values[0]) if len(values) == 1 else OneOf(field, tuple(values))


def merge(earlier: Iterable[Filter], new: Sequence[Filter]) -> list[Filter]:
    """Carry conditions on: a new one replaces those on its field, an exclusion joins them.

    Beyond the limits of a filter the oldest conditions give way.
    """
    settled = {field for condition in new if not isinstance(condition, Not) for field in names(condition)}
    excluded = {pair for condition in new if isinstance(condition, Not) for pair in _pairs_of(condition)}
    kept = [
        condition
        for condition in earlier
        if not names(condition) <= settled and not (_pairs_of(condition) and _pairs_of(condition) <= excluded)
    ]
    merged = [*kept, *new][-_MAX_CONDITIONS:]
    while sum(_size(condition) for condition in merged) > MAX_FILTER_VALUES:
        del merged[0]
    return merged


def beside(earlier: Iterable[Filter], new: Sequence[Filter], reading: Reading) -> list[Filter]:
    """Return a turn's conditions with the keywords before that its words set them beside: "or oak", "and vegan too"."""
    if reading.joining is Joining.NONE:
        return [*new]
    category = reading.lexicon.name_of(FieldRole.CATEGORY)
    found: list[Filter] = []
    for condition in new:
        name = condition.field if isinstance(condition, Equals | OneOf) else ""
        standing = [each for each in earlier if isinstance(each, Equals | OneOf) and each.field == name]
        held = list(dict.fromkeys(value for each in (*standing, condition) for _, value in _leaves_of(each)))
        is_kind = name == category and reading.joining is not Joining.EITHER
        says_all = len(held) == len({*_leaves_of(condition)})
        if not standing or is_kind or says_all:
            found.append(condition)
        elif reading.lexicon.is_multiple(name) and reading.joining is not Joining.EITHER:
            found += [*standing, condition]
        else:
            found.append(condition if reading.joining is Joining.MORE else one_of(name, held[:_MAX_VALUES]))
    return list(dict.fromkeys(found))


def lifted(conditions: Iterable[Filter], allowed: Collection[tuple[str, str]]) -> list[Filter]:
    """Take back the exclusions of those values, each a field with a keyword."""
    welcome = {(field, fold(value)) for field, value in allowed}
    return [
        condition
        for condition in conditions
        if not (isinstance(condition, Not) and _pairs_of(condition) and _pairs_of(condition) <= welcome)
    ]


def without_lifted(conditions: Iterable[Filter], given_up: Lifted) -> list[Filter]:
    """Return the conditions but those on fields, or with values, that a turn no longer cares about."""
    return [
        condition
        for condition in conditions
        if not names(condition) <= given_up.fields and given_up.values.isdisjoint(_pairs_of(condition))
    ]


def excluded_by(conditions: Iterable[Filter]) -> set[str]:
    """Return the folded keywords that conditions exclude."""
    return {value for each in conditions if isinstance(each, Not) for _, value in _pairs_of(each)}


def joined(conditions: Sequence[Filter]) -> query_pb2.Filter | None:
    """Return the message of what every condition makes together; None for none."""
    if not conditions:
        return None
    return filter_message(conditions[0] if len(conditions) == 1 else AllOf(tuple(conditions)))


def known_conditions(message: query_pb2.Filter, lexicon: Lexicon) -> list[Filter]:
    """Return the conditions of an earlier turn's filter that the catalogue still knows, within the limits."""
    parts = message.all_of.filters if message.WhichOneof("node") == "all_of" else [message]
    read = (read_known(part, lexicon) for part in parts)
    return [each for each in read if each is not None and _fits_in_a_conjunction(each)]


def read_known(message: query_pb2.Filter, lexicon: Lexicon) -> Filter | None:
    """Read a filter; None where it breaks a limit, does not fit the schema, or names a keyword that the facets lack."""
    try:
        node = fitted(read_filter(message), lexicon.schema)
        check_limits(node)
    except InvalidValue:
        return None
    owners = lexicon.schema.by_name
    keywords = (pair for pair in _leaves_of(node) if owners[pair[0]].kind in KEYWORD_KINDS)
    return node if all(lexicon.spelling(*pair) for pair in keywords) else None


def range_on(conditions: Iterable[Filter], field: str) -> Range | None:
    """Return the field's interval among the conditions; None for none."""
    return next((each for each in conditions if isinstance(each, Range) and each.field == field), None)


def _fits_in_a_conjunction(condition: Filter) -> bool:
    """Return whether a condition leaves room for the level that joins it with others."""
    try:
        check_limits(AllOf((condition,)))
    except InvalidValue:
        return False
    return True


def _values_by_field(tags: Iterable[Tag]) -> dict[str, list[str]]:
    """Group the values of facets by field, each once, as many as a condition takes."""
    grouped: dict[str, list[str]] = {}
    for tag in tags:
        values = grouped.setdefault(tag.slot, []) if tag.role is Role.VALUE else []
        if tag.meaning.value not in values and len(values) < _MAX_VALUES:
            values.append(tag.meaning.value)
    return grouped


def _pairs_of(condition: Filter) -> set[tuple[str, str]]:
    """Return each field with each folded keyword that the condition names for it."""
    return {(field, fold(value)) for field, value in _leaves_of(condition)}


def _leaves_of(node: Filter) -> Iterator[tuple[str, str]]:
    """Yield each field with each text that the condition names for it."""
    match node:
        case AllOf(parts) | AnyOf(parts):
            for part in parts:
                yield from _leaves_of(part)
        case Not(part):
            yield from _leaves_of(part)
        case Equals(field, str() as value):
            yield field, value
        case OneOf(field, values):
            yield from ((field, value) for value in values if isinstance(value, str))
        case _:
            return


def _size(condition: Filter) -> int:
    """Return how many values and bounds a condition holds, at least."""
    return max(1, len(list(_leaves_of(condition)))) + isinstance(condition, Range)
