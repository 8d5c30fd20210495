"""Answers from the catalogue: its values, how many products have them, the ranges of its numbers.

A language model knows nothing of this catalogue, so none of this comes from one.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from gateway.model import FieldSummary
from vitrine.domain import limits
from vitrine.domain.filters import Equals, Filter, conjuncts, names
from vitrine.domain.messages import filter_message
from vitrine.domain.schema import KEYWORD_KINDS, NUMBER_KINDS, Field, Kind, Schema
from vitrine.domain.values import fold
from vitrine.filter_text import format_filter


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """Something that the index says of a field, or of one of its values."""

    field: str
    label: str
    value: str = ""
    products: int = 0
    """Products that have the value, or the field."""
    values: tuple[str, ...] = ()
    """Of the field, where it is asked for as a whole."""
    lowest: float | None = None
    highest: float | None = None
    """Of a field of numbers."""


async def facts_about(
    words: str,
    schema: Schema,
    fields: Sequence[FieldSummary],
    count: Callable[[Filter], Awaitable[int]],
    *,
    language: str = "en",
) -> tuple[Fact, ...]:
    """Return what the index knows of the fields and values that a question names in the catalogue's own words."""
    folded = fold(words)
    named = [*_named_values(folded, schema, fields)][: limits.MAX_FACTS]
    facts = [
        Fact(
            field=field,
            label=schema.by_name[field].label(language),
            value=value,
            products=await count(Equals(field, value)),
        )
        for field, value in named
    ]
    for field in fields:
        owner = schema.by_name.get(field.name)
        if owner is not None and _is_named(owner, folded):
            facts.append(_about(owner, field, await _holders(owner, count), language))
    return tuple(facts[: limits.MAX_FACTS])


async def facts_under(
    asked: Filter,
    words: str,
    schema: Schema,
    count: Callable[[Filter], Awaitable[int]],
    ends: Callable[[str], Awaitable[tuple[float | None, float | None]]],
    *,
    language: str = "en",
) -> tuple[Fact, ...]:
    """Return how many products satisfy what a question asks for, and where the numbers that it names begin and end there."""
    conditions = [*conjuncts(asked)]
    one = conditions[0] if len(conditions) == 1 else None
    if isinstance(one, Equals) and isinstance(one.value, str):
        about = Fact(field=one.field, label=schema.by_name[one.field].label(language), value=one.value)
    else:
        about = Fact(field="", label="", value=format_filter(filter_message(asked)))
    facts = [replace(about, products=await count(asked))]
    folded = fold(words)
    bounded = names(asked)
    for owner in schema.sorted_by.values():
        named = owner.kind in NUMBER_KINDS and owner.name not in bounded and _is_named(owner, folded)
        if named and facts[0].products and len(facts) < limits.MAX_FACTS:
            lowest, highest = await ends(owner.name)
            facts.append(Fact(field=owner.name, label=owner.label(language), lowest=lowest, highest=highest))
    return tuple(facts)


def names_a_value(words: str, schema: Schema, fields: Sequence[FieldSummary]) -> bool:
    """Return whether the words hold a keyword of the catalogue."""
    return next(_named_values(fold(words), schema, fields), None) is not None


async def _holders(owner: Field, count: Callable[[Filter], Awaitable[int]]) -> int:
    """Count the products for which a boolean is true; of other fields the values tell enough."""
    return await count(Equals(owner.name, value=True)) if owner.kind is Kind.BOOLEAN and owner.filter else 0


def _named_values(words: str, schema: Schema, fields: Sequence[FieldSummary]) -> Iterator[tuple[str, str]]:
    spaced = words.replace("-", " ")
    for field in fields:
        owner = schema.filtered.get(field.name)
        if owner is None or owner.kind not in KEYWORD_KINDS:
            continue
        for value in field.values:
            if _holds(spaced, fold(value).replace("-", " ")):
                yield field.name, value


def _is_named(owner: Field, words: str) -> bool:
    asked_by = (word for word in map(fold, owner.asked_by) if word)
    # Scripts without spaces between words know no word's edge.
    return any(_holds(words, word) if word.isascii() else word in words for word in asked_by)


def _holds(words: str, name: str) -> bool:
    """Whether the words hold a name as a whole, in the singular or with an ending of the plural.

    A catalogue has thousands of names, and a search for a string costs next to nothing where a pattern has to be compiled.
    """
    start = words.find(name) if name else -1
    while start >= 0:
        end = start + len(name)
        if not _in_word(words, start - 1) and any(
            words.startswith(ending, end) and not _in_word(words, end + len(ending))
            for ending in ("", "s", "es")
        ):
            return True
        start = words.find(name, start + 1)
    return False


def _in_word(words: str, place: int) -> bool:
    return 0 <= place < len(words) and (words[place].isalnum() or words[place] == "_")


def _about(owner: Field, field: FieldSummary, products: int, language: str) -> Fact:
    return Fact(
        field=field.name,
        label=owner.label(language),
        products=products,
        values=field.values[: limits.MAX_FACT_VALUES] if owner.kind in KEYWORD_KINDS else (),
        lowest=field.minimum,
        highest=field.maximum,
    )
