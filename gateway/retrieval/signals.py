"""Ranking signals beside the vectors, each a number from 0 to 1 with a name.

`lexical` says which share of a query's rare words a product has exactly. A word is rare where few products have it. Some
words name a product, whatever else was read of the query: a rare one with a digit in it, such as a model number, and a
query that is an id or a keyword as a whole, such as a brand.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from gateway.copying import changed
from gateway.model import Hit, IndexSummary
from gateway.retrieval.query import Query
from vitrine.domain.filters import Range, conjuncts
from vitrine.domain.lexical import query_tokens
from vitrine.domain.values import fold, number_text

LEXICAL = "lexical"
"""The signal's name, and in `degraded` that exact matches are missing."""

RARE_SHARE = 0.01
"""Share of the products up to which a word counts as rare."""

RARE_PRODUCTS = 5
"""Number of products up to which a word counts as rare in a small catalogue too."""

CANDIDATES = 200
"""Products with a rare word that are ranked beside the nearest ones."""


@dataclass(frozen=True, slots=True)
class RareWord:
    """A token by which products are matched exactly."""

    token: str
    weight: float
    """ln(1 + N / n), the inverse document frequency: N products in all, n of which have the token."""
    names: bool
    """Whether it names a product, so that soft filters do not hide what has it."""


def rare_words(query: Query, summary: IndexSummary) -> tuple[RareWord, ...]:
    """Return the rare words of a query as it is searched, and those of the caller's own words that name a product."""
    threshold = max(RARE_PRODUCTS, RARE_SHARE * summary.products)
    typed = query.typed or query.text
    tokens = query_tokens(query.text)
    own = tokens if typed == query.text else query_tokens(typed)
    amounts = _amounts(query)
    named = {token for token in own if token not in amounts and _names(token, typed, summary, threshold)}
    words = []
    for token in dict.fromkeys((*tokens, *sorted(named))):
        holders = summary.words.get(token, 0)
        if holders and (token in named or holders <= threshold):
            words.append(RareWord(token, math.log(1 + summary.products / holders), token in named))
    return tuple(words)


def with_lexical(hit: Hit, matched: float, share: float) -> Hit:
    """Return the hit with the lexical signal in its score."""
    return with_signals(hit, {LEXICAL: matched}, {LEXICAL: share})


def with_signals(hit: Hit, signals: Mapping[str, float], shares: Mapping[str, float]) -> Hit:
    """Return the hit with signals and, by their shares, what they add to its score."""
    assert all(0 <= value <= 1 for value in signals.values()), "signals are bounded"
    added = sum(shares[name] * value for name, value in signals.items())
    return changed(hit, score=hit.score + added, signals={**hit.signals, **signals})


def _names(token: str, typed: str, summary: IndexSummary, threshold: float) -> bool:
    """Whether a token of the caller's words names a product."""
    holders = summary.words.get(token, 0)
    if not holders:
        return False
    if token == fold(typed):
        return holders <= threshold or _is_keyword(token, summary)
    return holders <= threshold and any(map(str.isdigit, token))


def _amounts(query: Query) -> set[str]:
    """Return the numbers that the query's conditions bound: the 120 of "up to 120 euros" is no model number."""
    ranges = (each for each in conjuncts(query.conditions) if isinstance(each, Range))
    bounds = (bound for each in ranges for bound in (each.minimum, each.maximum))
    return {number_text(bound) for bound in bounds if bound is not None}


def _is_keyword(folded: str, summary: IndexSummary) -> bool:
    """Whether a field that is searched by its words has the value."""
    lexical = {owner.name for owner in summary.version.schema.lexical}
    listed = (value for field in summary.fields if field.name in lexical for value in field.values)
    return any(fold(value) == folded for value in listed)
