"""What the catalogue itself knows of the words of a question: values, how many products have them, prices.

A language model knows nothing of this catalogue, so none of this comes from one.
"""

import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass

from gateway.model import Equals, FieldSummary, Filter

MAX_FACTS = 4
MAX_VALUES = 16
"""Values of a field that a fact lists, the most frequent first."""

_NAMES = {
    "category": "categor(y|ies)|kinds?",
    "colour": "colou?rs?",
    "pattern": "patterns?",
    "brand": "brands?",
}
_PRICE = "prices?|costs?|expensive|cheap"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """Something that the index says of a field, or of one of its values."""

    field: str
    value: str = ""
    products: int = 0
    """Products that have the value."""
    values: tuple[str, ...] = ()
    """Of the field, where it is asked for as a whole."""
    lowest: float = 0.0
    highest: float = 0.0
    """Of the field price."""


async def facts_about(
    words: str, fields: Sequence[FieldSummary], count: Callable[[Filter], Awaitable[int]]
) -> tuple[Fact, ...]:
    """Give what the index knows of the fields and values that a question names in the catalogue's own words."""
    facts = [
        Fact(field=field, value=value, products=await count(Equals(field, value)))
        for field, value in [*_named_values(words, fields)][:MAX_FACTS]
    ]
    facts += [_about(field) for field in fields if _is_named(field.name, words)]
    return tuple(facts[:MAX_FACTS])


def _named_values(words: str, fields: Sequence[FieldSummary]) -> Iterator[tuple[str, str]]:
    for field in fields:
        for value in field.values:
            spelling = re.escape(value).replace(r"\-", "[- ]").replace(r"\ ", "[- ]")
            if re.search(rf"\b{spelling}(e?s)?\b", words, re.IGNORECASE):
                yield field.name, value


def _is_named(field: str, words: str) -> bool:
    return bool(re.search(rf"\b({_NAMES.get(field, _PRICE)})\b", words, re.IGNORECASE))


def _about(field: FieldSummary) -> Fact:
    return Fact(
        field=field.name, values=field.values[:MAX_VALUES], lowest=field.minimum, highest=field.maximum
    )
