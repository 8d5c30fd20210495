"""What simulated shoppers are offered: the drawn catalogue, or a shop's own, and what they type who have a product in mind."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from catalogue.assortment import sample_assortment
from catalogue.grammar import SLOTS, Spec, brand_and_price, caption, partial_caption
from catalogue.readers.opening import open_catalogue
from catalogue.readers.rows import CatalogueError, RowError
from gateway.model import StoredProduct
from gateway.testing import embed_picture, embed_words, product
from vitrine.domain.product import Product, encoded_text
from vitrine.domain.schema import Role, Schema
from vitrine.domain.schema_files import shipped_schema

_WORDS = 3
"""Of a title, that are typed."""
_LEAST_PRODUCTS = 50

Typed = Callable[[np.random.Generator], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Goods:
    """Products of a schema, as the test kit's index holds them."""

    schema: Schema
    products: tuple[StoredProduct, ...]
    typed: tuple[Typed, ...]
    """By product: what draws the words of who looks for it."""

    def values(self, role: Role) -> dict[str, object]:
        """Return by product's id what it has in the field of a role; None where it has nothing."""
        owner = self.schema.role(role)
        name = owner.name if owner is not None else ""
        return {each.id: each.product.values.get(name) for each in self.products}


def drawn_goods(count: int, seed: int) -> Goods:
    """Return the first products of the drawn catalogue, looked for by two of their words and the category."""
    items = sample_assortment(count, seed).items[:count]
    products, typed = [], []
    for item in items:
        brand, price = brand_and_price(item.spec, item.seed)
        products.append(
            product(item.id, caption(item.spec), category=item.spec.category, brand=brand, price=price)
        )
        typed.append(_said_of(item.spec))
    return Goods(schema=shipped_schema(), products=tuple(products), typed=tuple(typed))


def goods_of(path: Path, count: int) -> Goods:
    """Return the first products of a catalogue that have words, looked for by three of them in their order.

    Raises:
        CatalogueError: it cannot be read, or has too few such products.
    """
    catalogue = open_catalogue(path)
    schema = catalogue.schema
    rows = (row.product for row in catalogue.rows if not isinstance(row, RowError))
    worded = ((row, encoded_text(row, schema).split()) for row in rows)
    chosen = list(islice(((row, words) for row, words in worded if len(words) > _WORDS), count))
    if len(chosen) < _LEAST_PRODUCTS:
        raise CatalogueError(
            f"{path}: {len(chosen)} products with words; the simulator needs {_LEAST_PRODUCTS}"
        )
    return Goods(
        schema=schema,
        products=tuple(_embedded(row, " ".join(words)) for row, words in chosen),
        typed=tuple(_some_of(words) for _, words in chosen),
    )


def _said_of(spec: Spec) -> Typed:
    slots = sorted(slot for slot in SLOTS[spec.category] if slot != "accent")
    return lambda rng: partial_caption(spec, set(rng.choice(slots, size=2, replace=False).tolist()))


def _some_of(words: list[str]) -> Typed:
    return lambda rng: " ".join(
        words[place] for place in sorted(rng.choice(len(words), size=_WORDS, replace=False))
    )


def _embedded(row: Product, words: str) -> StoredProduct:
    return StoredProduct(
        product=row,
        image_embeddings=embed_picture(row.id.encode())[None, :],
        text_embedding=embed_words(words),
    )
