"""Conditions on a product's fields: one tree, its algebra, its limits, and what it means.

What a missing value means: it satisfies no condition on a number, nor the opposite of one. A keyword's or boolean's
exclusion ("not red") holds for a product that has no such value, since nothing of it is known to be red. Keywords are
compared in any case and Unicode form (`vitrine.domain.values.fold`).

`Says` is the service's own: no caller can write it, and no message holds it.
"""

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import assert_never

from vitrine.domain import limits
from vitrine.domain.errors import InvalidValue
from vitrine.domain.lexical import form_tokens, says
from vitrine.domain.product import Product
from vitrine.domain.schema import KEYWORD_KINDS, NUMBER_KINDS, Field, Kind, Schema
from vitrine.domain.values import Value, fold, number_text, to_boolean

_QUOTED = 64
"""Characters of a caller's own text that a refusal may quote."""

Scalar = str | float | bool


@dataclass(frozen=True, slots=True)
class Equals:
    """The field holds the value."""

    field: str
    value: Scalar


@dataclass(frozen=True, slots=True)
class OneOf:
    """The field holds one of the values."""

    field: str
    values: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """The number lies in the interval; None leaves a side open."""

    field: str
    minimum: float | None = None
    maximum: float | None = None
    exclusive_minimum: bool = False
    exclusive_maximum: bool = False

    def holds(self, number: float) -> bool:
        """Whether the number lies in the interval."""
        low, high = self.minimum, self.maximum
        above = low is None or number > low or (number == low and not self.exclusive_minimum)
        return above and (high is None or number < high or (number == high and not self.exclusive_maximum))


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every part holds."""

    parts: "tuple[Filter, ...]"


@dataclass(frozen=True, slots=True)
class AnyOf:
    """One part holds at least."""

    parts: "tuple[Filter, ...]"


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold."""

    part: "Filter"


@dataclass(frozen=True, slots=True)
class Says:
    """The words of the product say one of the forms, and do not deny it (`vitrine.domain.lexical.says`)."""

    forms: tuple[str, ...]
    """The shopper's own word first."""
    fields: tuple[str, ...]
    """Those that the schema searches by their words."""


Filter = Equals | OneOf | Range | AllOf | AnyOf | Not | Says


def both(left: Filter | None, right: Filter | None) -> Filter | None:
    """Join two conditions that must both hold; None holds always. A conjunction of conjunctions is a single one."""
    if left is None or right is None:
        return left or right
    parts = tuple(dict.fromkeys((*conjuncts(left), *conjuncts(right))))
    return parts[0] if len(parts) == 1 else AllOf(parts)


def conjuncts(filters: Filter | None) -> Iterator[Filter]:
    """Yield the conditions that must all hold."""
    match filters:
        case None:
            return
        case AllOf(parts):
            for part in parts:
                yield from conjuncts(part)
        case _:
            yield filters


def without(filters: Filter | None, parts: Collection[Filter]) -> Filter | None:
    """Take conditions out of a conjunction."""
    left: Filter | None = None
    for part in conjuncts(filters):
        if part not in parts:
            left = both(left, part)
    return left


def only(filters: Filter | None, fields: Collection[str]) -> Filter | None:
    """Return the conditions of a conjunction that name those fields alone."""
    kept: Filter | None = None
    for part in conjuncts(filters):
        if names(part) <= set(fields):
            kept = both(kept, part)
    return kept


def names(filters: Filter) -> set[str]:
    """Return the fields that a condition names."""
    match filters:
        case AllOf(parts) | AnyOf(parts):
            return {name for part in parts for name in names(part)}
        case Not(part):
            return names(part)
        case Says():
            return set()
        case _:
            return {filters.field}


def hard_and_soft(filters: Filter | None, schema: Schema) -> tuple[Filter | None, Filter | None]:
    """Part a condition that was read from words: numbers always hold, keywords give way where nothing has them.

    The words that a keyword was read from rank by themselves; a number stands in no picture and no title.
    """
    keywords = {each.name for each in schema if each.kind in KEYWORD_KINDS}
    hard: Filter | None = None
    soft: Filter | None = None
    for part in conjuncts(filters):
        if names(part) <= keywords:
            soft = both(soft, part)
        else:
            hard = both(hard, part)
    return hard, soft


def words_excluded(forms: Collection[str], schema: Schema) -> Says:
    """Return the condition that a product says one of the forms, in the fields that the schema searches by their words.

    A form without a letter or a digit is no word.
    """
    said = tuple(form for form in forms if form_tokens(form))
    return Says(said, tuple(owner.name for owner in schema.lexical))


def exclusion(excluded: tuple[Equals | Says, ...]) -> Filter | None:
    """Return the condition that none of them holds; None for none."""
    parts = tuple(Not(each) for each in excluded)
    return AllOf(parts) if len(parts) > 1 else parts[0] if parts else None


def matches(node: Filter, product: Product) -> bool:
    """Whether the product fulfils the condition; see the top for what a missing value means."""
    return _holds(node, product, negated=False)


def check_limits(node: Filter) -> None:
    """Hold a tree against every rule that needs no schema.

    Raises:
        InvalidValue: it is too high or has too many values, an empty list, a range upside down or without a bound,
            a number that is not finite, or a text that is too long.
    """
    if (values := _check(node, "filter", level=1)) > limits.MAX_FILTER_VALUES:
        raise InvalidValue("filter", f"at most {limits.MAX_FILTER_VALUES} values, got {values:,}")


def fitted(node: Filter, schema: Schema) -> Filter:
    """Return the tree with each value of its field's kind: size = 42 is a text where sizes are keywords.

    Raises:
        InvalidValue: it names a field that is unknown or not filtered, or has a value of another kind.
    """
    return _fit(node, schema, "filter")


def _holds(node: Filter, product: Product, *, negated: bool) -> bool:
    match node:
        case AllOf(parts) | AnyOf(parts):
            holds = (_holds(part, product, negated=negated) for part in parts)
            return any(holds) if isinstance(node, AllOf) is negated else all(holds)
        case Not(part):
            return _holds(part, product, negated=not negated)
        case Equals(field, value):
            return _leaf_holds(product.values.get(field), (value,), negated=negated)
        case OneOf(field, values):
            return _leaf_holds(product.values.get(field), values, negated=negated)
        case Range():
            number = product.values.get(node.field)
            return isinstance(number, float) and node.holds(number) is not negated
        case Says(forms, fields):
            return says(forms, product, fields) is not negated
        case _:
            assert_never(node)


def _leaf_holds(held: Value | None, values: tuple[Scalar, ...], *, negated: bool) -> bool:
    if held is None and any(isinstance(value, float) and not isinstance(value, bool) for value in values):
        return False  # no number is compared, and none is known to differ
    wanted = {_comparable(value) for value in values}
    has = (
        {_comparable(each) for each in held}
        if isinstance(held, tuple)
        else {held if held is None else _comparable(held)}
    )
    return wanted.isdisjoint(has) is negated


def _comparable(value: Scalar) -> object:
    return fold(value) if isinstance(value, str) else (type(value) is bool, value)


def _check(node: Filter, path: str, *, level: int) -> int:  # noqa: C901, PLR0911 - a case for each kind of node
    """Check the tree below; return how many values it holds."""
    if level > limits.MAX_FILTER_LEVELS:
        raise InvalidValue(path, f"at most {limits.MAX_FILTER_LEVELS} levels")
    match node:
        case Equals(_, value):
            _check_scalar(value, f"{path}.equals.value")
            return 1
        case OneOf():
            return _check_one_of(node, f"{path}.one_of")
        case Range():
            return _check_range(node, f"{path}.range")
        case AllOf(parts):
            return _check_list(parts, f"{path}.all_of.filters", level)
        case AnyOf(parts):
            return _check_list(parts, f"{path}.any_of.filters", level)
        case Not(part):
            return _check(part, f"{path}.negation", level=level + 1)
        case Says(forms):
            return len(forms)
        case _:
            assert_never(node)


def _check_list(parts: tuple[Filter, ...], path: str, level: int) -> int:
    if not parts:
        raise InvalidValue(path, "must not be empty")
    return sum(_check(part, f"{path}[{i}]", level=level + 1) for i, part in enumerate(parts))


def _check_one_of(node: OneOf, path: str) -> int:
    if not node.values:
        raise InvalidValue(f"{path}.values", "must not be empty")
    if len(node.values) > limits.MAX_FILTER_VALUES:
        raise InvalidValue(
            f"{path}.values", f"at most {limits.MAX_FILTER_VALUES} values, got {len(node.values):,}"
        )
    for i, value in enumerate(node.values):
        _check_scalar(value, f"{path}.values[{i}]")
    return len(node.values)


def _check_scalar(value: Scalar, path: str) -> None:
    if isinstance(value, str):
        if len(value) > limits.MAX_KEYWORD_LENGTH:
            raise InvalidValue(path, f"at most {limits.MAX_KEYWORD_LENGTH} characters, got {len(value):,}")
    elif not math.isfinite(value):
        raise InvalidValue(path, f"must be a finite number, got {value}")


def _check_range(node: Range, path: str) -> int:
    bounds = {name: bound for name in ("minimum", "maximum") if (bound := getattr(node, name)) is not None}
    if not bounds:
        raise InvalidValue(path, "must have a minimum or a maximum")
    for name, bound in bounds.items():
        _check_scalar(bound, f"{path}.{name}")
    if node.minimum is not None and node.maximum is not None:
        open_ended = node.exclusive_minimum or node.exclusive_maximum
        if node.minimum > node.maximum or (open_ended and node.minimum == node.maximum):
            raise InvalidValue(
                f"{path}.minimum", f"must lie below the maximum {node.maximum:g}, got {node.minimum:g}"
            )
    return len(bounds)


def _fit(node: Filter, schema: Schema, path: str) -> Filter:  # noqa: C901, PLR0911 - a case for each kind of node
    match node:
        case Equals(field, value):
            owner = _owner(field, schema, f"{path}.equals")
            return Equals(field, _fit_value(owner, value, f"{path}.equals.value"))
        case OneOf(field, values):
            owner = _owner(field, schema, f"{path}.one_of")
            return OneOf(
                field,
                tuple(
                    _fit_value(owner, value, f"{path}.one_of.values[{i}]") for i, value in enumerate(values)
                ),
            )
        case Range():
            owner = _owner(node.field, schema, f"{path}.range")
            if owner.kind not in NUMBER_KINDS:
                raise InvalidValue(
                    f"{path}.range.field",
                    f"must be a number's field, and {owner.name} is of kind {owner.kind}: use one_of",
                )
            return node
        case AllOf(parts):
            return AllOf(_fit_list(parts, schema, f"{path}.all_of.filters"))
        case AnyOf(parts):
            return AnyOf(_fit_list(parts, schema, f"{path}.any_of.filters"))
        case Not(part):
            return replace(node, part=_fit(part, schema, f"{path}.negation"))
        case Says():
            return node
        case _:
            assert_never(node)


def _fit_list(parts: tuple[Filter, ...], schema: Schema, path: str) -> tuple[Filter, ...]:
    return tuple(_fit(part, schema, f"{path}[{i}]") for i, part in enumerate(parts))


def _owner(field: str, schema: Schema, path: str) -> Field:
    owner = schema.filtered.get(field)
    if owner is None:
        known = ", ".join(schema.filtered) or "none"
        raise InvalidValue(f"{path}.field", f"{field[:_QUOTED]!r} is no filter field; these are: {known}")
    return owner


def _fit_value(owner: Field, value: Scalar, path: str) -> Scalar:
    number = isinstance(value, float) and not isinstance(value, bool)
    if owner.kind in NUMBER_KINDS:
        if not number:
            raise InvalidValue(path, f"must be a number, since {owner.name} is one")
        return value
    if owner.kind is Kind.BOOLEAN:
        said = (
            to_boolean(value if isinstance(value, str) else number_text(value))
            if not isinstance(value, bool)
            else value
        )
        if said is None:
            raise InvalidValue(path, f"must be true or false, since {owner.name} is")
        return said
    if isinstance(value, bool):
        raise InvalidValue(path, f"must be a text, since {owner.name} is one")
    text = number_text(value) if isinstance(value, float) else value
    if not fold(text):
        raise InvalidValue(path, "must not be empty")
    return text
