"""The signal `personal`: how much a product is like what a shopper has liked, from 0 to 1.

    similar   cosine of the product's vector with the mean of the liked ones, halves apart as in the index
    FIELD     how much of what they liked has the product's value of a field: brand, category and other facets
    price     how near it is to the prices of what they liked, on a logarithmic scale

What is not known of the shopper or of the product has no part in it. A product that they hid has 0.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from gateway.model import Embedding, StoredProduct
from gateway.retrieval.query import Query, Versions
from vitrine.domain.schema import Field, Kind, Role, Schema
from vitrine.domain.values import Value, fold

PERSONAL = "personal"
"""The signal's name, and in `degraded` that it is missing for a shopper who agreed to it."""

CANDIDATES = 30
"""Products, the best ones without it, that the signal ranks; those after them keep their order, so that pages fit together."""

SIMILAR, PRICE = "similar", "price"
SHARES: Mapping[str, float] = {SIMILAR: 0.5, "fields": 0.3, PRICE: 0.2}
"""What each part counts for; parts that are not known leave theirs to the others."""

LEAST_SPREAD = 0.25
"""Of the logarithms of prices: who has bought one thing for 40 may well pay 50."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taste:
    """What is known of a shopper, in the vectors of one index."""

    image: Embedding | None = None
    """L2-normalised mean of the image halves of what they liked, (d,); None where nothing liked has one."""
    text: Embedding | None = None
    fields: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """By field and folded value: the share of what they liked that has it."""
    price: tuple[float, float] | None = None
    """Mean and spread of the logarithms of prices."""
    hidden: frozenset[str] = frozenset()
    """Ids of products that they do not want to see."""
    liked: frozenset[str] = frozenset()
    """Ids of the products that it is made of."""
    hidden_image: Embedding | None = None
    """L2-normalised mean of the image halves of what they hid last, (d,); None where nothing of it has one."""
    hidden_text: Embedding | None = None


class Tastes(Protocol):
    """Knows shoppers by what they did."""

    def asks(self, query: Query) -> bool:
        """Whether the query's shopper agreed to be known, and this gateway could know them."""
        ...

    async def of(self, user_id: str, versions: Versions, *, timeout_s: float) -> Taste | None:
        """Return what is known of a shopper; None for nothing.

        Raises:
            DeadlineExceeded: it is not known in time; it goes on being learnt beside.
            DependencyError: the store of events or the index did not answer.
        """
        ...


@dataclass(frozen=True, slots=True)
class Liked:
    """A product and how much a shopper liked it, more than 0."""

    product: StoredProduct
    weight: float


def learn_taste(
    liked: Sequence[Liked],
    hidden: frozenset[str],
    schema: Schema,
    *,
    seen_hidden: Sequence[StoredProduct] = (),
) -> Taste:
    """Return the taste of whoever liked and hid these products; `seen_hidden` are those of the hidden that were looked up."""
    image, text = _mean_halves(liked)
    hidden_image, hidden_text = _mean_halves([Liked(each, 1.0) for each in seen_hidden])
    return Taste(
        image=image,
        text=text,
        hidden_image=hidden_image,
        hidden_text=hidden_text,
        fields={
            owner.name: shares
            for owner in schema.stored
            if _is_taste(owner) and (shares := _value_shares(liked, owner.name))
        },
        price=_prices(liked, schema),
        hidden=hidden,
        liked=frozenset(each.product.id for each in liked),
    )


def personal(product: StoredProduct, taste: Taste, schema: Schema) -> tuple[float, str]:
    """Return the signal of a product, and the name of the part that says most for it; empty where none does."""
    if product.id in taste.hidden:
        return 0.0, ""
    parts: dict[str, tuple[float, float]] = {}
    if (similar := similarity(product, taste.image, taste.text)) is not None:
        parts[SIMILAR] = similar, SHARES[SIMILAR]
    for name, shares in taste.fields.items():
        of_values = [shares.get(fold(word), 0.0) for word in _words(product, name)]
        parts[name] = max(of_values, default=0.0), SHARES["fields"] / len(taste.fields)
    if (fit := price_fit(product, taste, schema)) is not None:
        parts[PRICE] = fit, SHARES[PRICE]
    whole = sum(share for _, share in parts.values())
    if not whole:
        return 0.0, ""
    value = sum(value * share for value, share in parts.values()) / whole
    reason = max(parts, key=lambda name: (parts[name][0] * parts[name][1], name))
    return min(1.0, value), reason if value > 0 else ""


def price_fit(product: StoredProduct, taste: Taste, schema: Schema) -> float | None:
    """Return how near a product's price is to what a shopper liked, from 0 to 1; None where either is not known."""
    owner = schema.role(Role.PRICE)
    price = product.product.values.get(owner.name) if owner is not None else None
    if taste.price is None or not isinstance(price, float) or price <= 0:
        return None
    mean, spread = taste.price
    return math.exp(-(((math.log(price) - mean) / spread) ** 2) / 2)


def _mean_halves(liked: Sequence[Liked]) -> tuple[Embedding | None, Embedding | None]:
    images = [
        (each.product.image_embeddings[0], each.weight)
        for each in liked
        if each.product.image_embeddings is not None and len(each.product.image_embeddings)
    ]
    texts = [
        (each.product.text_embedding, each.weight)
        for each in liked
        if each.product.text_embedding is not None and each.product.text_embedding.any()
    ]
    return _mean(images), _mean(texts)


def _mean(vectors: Sequence[tuple[Embedding, float]]) -> Embedding | None:
    if not vectors:
        return None
    weights = np.array([weight for _, weight in vectors], dtype=np.float32)
    mean: Embedding = weights @ np.stack([vector for vector, _ in vectors])
    length = float(np.linalg.norm(mean))
    return mean / length if length > 0 else None


def similarity(product: StoredProduct, image: Embedding | None, text: Embedding | None) -> float | None:
    """Return the mean cosine of the halves, (d,), that both have, at least 0; None where both have none."""
    cosines = []
    images, words = product.image_embeddings, product.text_embedding
    if image is not None and images is not None and len(images):
        cosines.append(float(images[0] @ image))
    if text is not None and words is not None and words.any():
        cosines.append(float(words @ text))
    return max(0.0, sum(cosines) / len(cosines)) if cosines else None


def _is_taste(owner: Field) -> bool:
    """Whether a field's values may be to somebody's taste."""
    return owner.kind in {Kind.KEYWORD, Kind.KEYWORDS} and (owner.facet or owner.role is Role.BRAND)


def _value_shares(liked: Sequence[Liked], name: str) -> dict[str, float]:
    shares: dict[str, float] = {}
    whole = 0.0
    for each in liked:
        words = _words(each.product, name)
        whole += each.weight if words else 0.0
        for word in {fold(word) for word in words}:
            shares[word] = shares.get(word, 0.0) + each.weight
    return {word: share / whole for word, share in shares.items()}


def _words(product: StoredProduct, name: str) -> tuple[str, ...]:
    value: Value | None = product.product.values.get(name)
    return (value,) if isinstance(value, str) else value if isinstance(value, tuple) else ()


def _prices(liked: Sequence[Liked], schema: Schema) -> tuple[float, float] | None:
    owner = schema.role(Role.PRICE)
    known = [
        (math.log(price), each.weight)
        for each in liked
        if owner is not None
        and isinstance(price := each.product.product.values.get(owner.name), float)
        and price > 0
    ]
    if not known:
        return None
    whole = sum(weight for _, weight in known)
    mean = sum(price * weight for price, weight in known) / whole
    variance = sum((price - mean) ** 2 * weight for price, weight in known) / whole
    return mean, max(LEAST_SPREAD, math.sqrt(variance))
