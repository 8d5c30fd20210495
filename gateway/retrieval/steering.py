"""The signals `intent` and `unlike`: why a shopper asks, and what they disliked, order the best products.

`intent` is from 0 to 1, by why the shopper asks; a part that is not known leaves its share to the others:

    buy      available (whether it can be had), price (how near it is to what they liked before), popular
    compare  spread: how far it is from those before it, picked greedily (maximal marginal relevance; Carbonell and
             Goldstein, 1998), so that what is shown differs
    consult  words (how near the product's words are to the query's), popular

`unlike` is 1 less the similarity with what the shopper disliked most: products that the conversation spoke ill of, and
the mean of those that a known shopper hid. No signal lowers a score, so that those after the best keep their places.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from gateway.model import Embedding, Hit, Intent, StoredProduct
from gateway.retrieval.signals import with_signals
from gateway.retrieval.taste import Taste, price_fit, similarity
from vitrine.domain.schema import Kind, Role, Schema

INTENT, UNLIKE = "intent", "unlike"
"""The signals' names; `unlike` is in `degraded` where what was disliked could not be looked up."""

MAX_DISLIKED = 8
"""Products that a conversation spoke ill of, the latest ones."""

PRODUCT, HIDDEN = "product", "hidden"
"""What `unlike` is for: a product of the conversation, or what the shopper hid."""
AVAILABLE, PRICE, POPULAR, WORDS, SPREAD = "available", "price", "popular", "words", "spread"


class Popularity(Protocol):
    """Knows how popular products are, without waiting for anybody."""

    def popularity(self) -> Mapping[str, float]:
        """Return by product a number from 0 to 1; empty where nothing is known."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Steering:
    """What steers a search."""

    intent: Intent = Intent.OTHER
    disliked: tuple[StoredProduct, ...] = ()
    """Products that the conversation spoke ill of, with their vectors."""
    popularity: Mapping[str, float]


def unlike(hits: Sequence[Hit], steering: Steering, taste: Taste | None) -> list[tuple[float, str] | None]:
    """Return the signal of each product and what it is for; None where nothing is disliked that it can be compared with."""
    found: list[dict[str, float]] = [{} for _ in hits]
    if steering.disliked:
        nearest = similarities([hit.product for hit in hits], steering.disliked).max(axis=1)
        for parts, value in zip(found, nearest.tolist(), strict=True):
            parts[PRODUCT] = value
    if taste is not None and (taste.hidden_image is not None or taste.hidden_text is not None):
        for hit, parts in zip(hits, found, strict=True):
            like_hidden = similarity(hit.product, taste.hidden_image, taste.hidden_text)
            if like_hidden is not None:
                parts[HIDDEN] = like_hidden
    return [_least(parts) for parts in found]


def says_something(
    intent: Intent, popularity: Mapping[str, float], taste: Taste | None, schema: Schema
) -> bool:
    """Whether anything is known by which the intent could order products: of who wants to buy that may be nothing."""
    if intent is not Intent.BUY:
        return intent is not Intent.OTHER
    owner = schema.role(Role.AVAILABILITY)
    is_told = owner is not None and owner.kind is Kind.BOOLEAN
    return is_told or bool(popularity) or (taste is not None and taste.price is not None)


def fitness(hit: Hit, steering: Steering, taste: Taste | None, schema: Schema) -> tuple[float, str] | None:
    """Return how well a product fits the intent to buy or to be advised, and what says most; None where nothing is known."""
    parts: dict[str, float] = {}
    values = hit.product.product.values
    if steering.intent is Intent.BUY:
        owner = schema.role(Role.AVAILABILITY)
        available = values.get(owner.name) if owner is not None else None
        if isinstance(available, bool):
            parts[AVAILABLE] = float(available)
        fit = price_fit(hit.product, taste, schema) if taste is not None else None
        if fit is not None:
            parts[PRICE] = fit
    elif hit.product.text_embedding is not None and hit.product.text_embedding.any():
        parts[WORDS] = min(1.0, max(0.0, hit.text_score))
    if steering.popularity:
        parts[POPULAR] = steering.popularity.get(hit.product.id, 0.0)
    if not parts:
        return None
    value = sum(parts.values()) / len(parts)
    return value, max(parts, key=lambda name: (parts[name], name)) if value > 0 else ""


def spread(hits: Sequence[Hit], share: float) -> list[Hit]:
    """Return the hits with the signal `intent`, in the order in which they are picked.

    Each is the best by score and by how far it is from the nearest one before it. What is left can only come nearer to what
    was picked, so that the scores fall.
    """
    products = [hit.product for hit in hits]
    alike = similarities(products, products).tolist()
    nearest = [0.0] * len(hits)
    left = list(range(len(hits)))
    picked: list[Hit] = []
    while left:
        best = min(
            left,
            key=lambda i: (-round(hits[i].score + share * (1 - nearest[i]), 9), hits[i].product.id),
        )
        left.remove(best)
        picked.append(_signalled(hits[best], INTENT, (1 - nearest[best], SPREAD), share))
        for i in left:
            nearest[i] = max(nearest[i], alike[i][best])
    return picked


def steered(
    hits: Sequence[Hit], steering: Steering, taste: Taste | None, schema: Schema, shares: Mapping[str, float]
) -> list[Hit]:
    """Return the hits with the signals that apply; the caller puts them into order."""
    found = list(hits)
    if shares[UNLIKE] > 0:
        away = unlike(found, steering, taste)
        found = [_signalled(hit, UNLIKE, each, shares[UNLIKE]) for hit, each in zip(found, away, strict=True)]
    match steering.intent:
        case Intent.BUY | Intent.CONSULT:
            told = (fitness(hit, steering, taste, schema) for hit in found)
            found = [
                _signalled(hit, INTENT, each, shares[INTENT]) for hit, each in zip(found, told, strict=True)
            ]
        case Intent.COMPARE:
            found = spread(found, shares[INTENT])
    return found


def _signalled(hit: Hit, name: str, told: tuple[float, str] | None, share: float) -> Hit:
    if told is None:
        return hit
    value, reason = told
    reasons = {**hit.reasons, name: reason} if reason else hit.reasons
    return replace(with_signals(hit, {name: value}, {name: share}), reasons=reasons)


def similarities(left: Sequence[StoredProduct], right: Sequence[StoredProduct]) -> Embedding:
    """Return the mean cosines of the halves that both have, (n, m), from 0 to 1; 0 where they have none in common."""
    total = np.zeros((len(left), len(right)), np.float32)
    both = np.zeros_like(total)
    for half in (_first_image, _words):
        rows, columns = [half(each) for each in left], [half(each) for each in right]
        known = next((each for each in (*rows, *columns) if each is not None), None)
        if known is not None:
            nothing = np.zeros_like(known)
            total += _stacked(rows, nothing) @ _stacked(columns, nothing).T
            both += np.outer([each is not None for each in rows], [each is not None for each in columns])
    mean: Embedding = np.clip(total / np.maximum(both, 1), 0, 1)
    return mean


def _stacked(vectors: Sequence[Embedding | None], nothing: Embedding) -> Embedding:
    return np.stack([nothing if each is None else each for each in vectors])


def _least(parts: Mapping[str, float]) -> tuple[float, str] | None:
    if not parts:
        return None
    worst = max(parts, key=lambda name: (parts[name], name))
    return 1.0 - min(1.0, parts[worst]), worst


def _first_image(product: StoredProduct) -> Embedding | None:
    images = product.image_embeddings
    return images[0] if images is not None and len(images) else None


def _words(product: StoredProduct) -> Embedding | None:
    words = product.text_embedding
    return words if words is not None and words.any() else None
