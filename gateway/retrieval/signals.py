"""Ranking signals beside the vectors, each a number from 0 to 1 with a name.

`lexical` says which share of a query's rare words a product has exactly. A word is rare where few products have it. A
query that is a keyword as a whole, such as a brand, counts however many products have it.
"""

import math
from collections.abc import Mapping
from dataclasses import replace

from gateway.model import Hit, IndexSummary
from vitrine.domain.lexical import query_tokens
from vitrine.domain.values import fold

LEXICAL = "lexical"
"""The signal's name, and in `degraded` that exact matches are missing."""

RARE_SHARE = 0.01
"""Share of the products up to which a word counts as rare."""

RARE_PRODUCTS = 5
"""Number of products up to which a word counts as rare in a small catalogue too."""

CANDIDATES = 200
"""Products with a rare word that are ranked beside the nearest ones."""


def rare_words(text: str, summary: IndexSummary) -> tuple[tuple[str, float], ...]:
    """Return the tokens of a text by which products are matched exactly, each with its weight ln(1 + N / n).

    That is the inverse document frequency: N products in all, n of which have the token.
    """
    threshold = max(RARE_PRODUCTS, RARE_SHARE * summary.products)
    whole = fold(text)
    weighted = []
    for token in query_tokens(text):
        holders = summary.words.get(token, 0)
        if holders and (holders <= threshold or (token == whole and _is_keyword(whole, summary))):
            weighted.append((token, math.log(1 + summary.products / holders)))
    return tuple(weighted)


def with_lexical(hit: Hit, matched: float, share: float) -> Hit:
    """Return the hit with the lexical signal in its score."""
    return with_signals(hit, {LEXICAL: matched}, {LEXICAL: share})


def with_signals(hit: Hit, signals: Mapping[str, float], shares: Mapping[str, float]) -> Hit:
    """Return the hit with signals and, by their shares, what they add to its score."""
    assert all(0 <= value <= 1 for value in signals.values()), "signals are bounded"
    added = sum(shares[name] * value for name, value in signals.items())
    return replace(hit, score=hit.score + added, signals={**hit.signals, **signals})


def _is_keyword(folded: str, summary: IndexSummary) -> bool:
    """Whether a field that is searched by its words has the value."""
    lexical = {owner.name for owner in summary.version.schema.lexical}
    listed = (value for field in summary.fields if field.name in lexical for value in field.values)
    return any(fold(value) == folded for value in listed)
