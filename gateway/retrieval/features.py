"""Features by which ranking is learnt, of the best products of a search; the same ones are kept for training.

text, image    cosine similarities of the query with the halves of the product's vector
lexical        how much of the query's rare words the product has exactly, from 0 to 1
personal       how much it is to the shopper's taste, from 0 to 1; absent where nobody is known
price_fit      how near its price is to those of the best products, on a logarithmic scale, from 0 to 1
freshness      halves every month after the product came, from 0 to 1; absent where no field says when it came
popularity     how often it is clicked where it is seen; only the file of a ranker knows it
"""

import math
import statistics
from collections.abc import Mapping, Sequence

from gateway.model import Hit
from gateway.retrieval.signals import LEXICAL
from gateway.retrieval.taste import PERSONAL
from vitrine.domain.schema import Role, Schema

TEXT, IMAGE, PRICE_FIT, FRESHNESS, POPULARITY = "text", "image", "price_fit", "freshness", "popularity"
SCORE = "score"
"""Kept beside the features: the score before what was learnt, by which the default order stands."""
FEATURES = (TEXT, IMAGE, LEXICAL, PERSONAL, PRICE_FIT, FRESHNESS, POPULARITY)

BEST = 10
"""Products whose prices say what a fitting price is: few enough that every answer of the usual length has them."""
PRICE_SPREAD = 0.5
"""Of the logarithms of prices: one that is 1.6 times as high fits .6."""
FRESH_HALF_LIFE_S = 30 * 86_400


def features_of(
    hits: Sequence[Hit], schema: Schema, *, freshness_field: str = "", now_s: float
) -> list[dict[str, float]]:
    """Return the features of hits that stand in the order of their scores; what is not known of one is absent."""
    owner = schema.role(Role.PRICE)
    prices = [_positive(hit, owner.name) if owner is not None else None for hit in hits]
    best = [math.log(price) for price in prices[:BEST] if price is not None]
    fitting = statistics.median(best) if best else None
    told = []
    for hit, price in zip(hits, prices, strict=True):
        features = {SCORE: hit.score, TEXT: hit.text_score, IMAGE: hit.image_score, **_signals(hit)}
        if price is not None and fitting is not None:
            features[PRICE_FIT] = math.exp(-(((math.log(price) - fitting) / PRICE_SPREAD) ** 2) / 2)
        if freshness_field and (came_s := _positive(hit, freshness_field)) is not None:
            features[FRESHNESS] = 0.5 ** (max(0.0, now_s - came_s) / FRESH_HALF_LIFE_S)
        told.append(features)
    return told


def _signals(hit: Hit) -> Mapping[str, float]:
    """Return the signals that are features; a query without rare words has nothing to match."""
    known = {PERSONAL: hit.signals[PERSONAL]} if PERSONAL in hit.signals else {}
    return {LEXICAL: hit.signals.get(LEXICAL, 0.0), **known}


def _positive(hit: Hit, field: str) -> float | None:
    value = hit.product.product.values.get(field)
    return float(value) if isinstance(value, float | int) and value > 0 else None
