"""An order of the hits in words: "sorted by rating", "highest rating", "weight, low to high", "newest"."""

import re
from dataclasses import dataclass

from rewriter.languages.files import any_language, any_phrases
from rewriter.nlu.words import fold

_WINDOW = 64
"""Characters before a field's word in which its order is named."""

_BY = any_language("sorting", "by")
_HIGH = any_language("sorting", "highest")
_LOW = any_language("sorting", "lowest")
_BEFORE = re.compile(rf"(?:(?P<by>{_BY})\s*)?(?:(?P<high>{_HIGH})|(?P<low>{_LOW}))?\s*$")
_AFTER = re.compile(
    rf"[\s,:(]*(?:(?P<low>{any_language('sorting', 'ascending')})|(?P<high>{any_language('sorting', 'descending')}))"
)
_FIRST = re.compile(rf"\s*{any_language('sorting', 'first')}")
_DESCENDING = frozenset(map(fold, any_phrases("sorting", "descending_words")))
_ASCENDING = frozenset(map(fold, any_phrases("sorting", "ascending_words")))
_MORE_IS_BETTER = frozenset(map(fold, any_phrases("sorting", "more_is_better")))


@dataclass(frozen=True, slots=True)
class Order:
    """A direction, and the part of the text that says it."""

    start: int
    end: int
    descending: bool


def order_beside(text: str, start: int, end: int, *, superlatives: bool, price: bool) -> Order | None:
    """Return the order that the text names for the field's word from `start` to `end`; None for none.

    Superlatives, as in "highest rating", are an order by a number alone; those of the price are cues of their own
    ("cheapest"), and so only an order that is named as one counts for it.
    """
    window = max(0, start - _WINDOW)
    before, after = _BEFORE.search(text[window:start]), _AFTER.match(text, end)
    named = before is not None and before["by"] is not None
    direction = _direction(before) if before is not None else None
    begin = window + before.start() if before is not None and (named or direction is not None) else start
    if after is not None and (named or superlatives):
        return Order(begin, after.end(), after["high"] is not None)
    word = text[start:end]
    if named:
        return Order(begin, end, word in _MORE_IS_BETTER if direction is None else direction)
    if price or not superlatives:
        return None
    if direction is None:
        alone = word in _DESCENDING or word in _ASCENDING
        return Order(start, _first(text, end), word in _DESCENDING) if alone else None
    return Order(begin, _first(text, end), direction)


def _direction(match: re.Match[str]) -> bool | None:
    """Return whether a superlative asks for the greatest first; None for none."""
    return True if match["high"] is not None else False if match["low"] is not None else None


def _first(text: str, end: int) -> int:
    match = _FIRST.match(text, end)
    return match.end() if match else end
