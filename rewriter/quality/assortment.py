"""Products of the catalogues on which turns are measured, and what a search of them finds.

They are drawn from the catalogues' own values, each with a title that says them, and some with a part that no field has. A
search holds its conditions and ranks by the sentence encoder's similarity of the words to the titles, which stands in for the
encoders of pictures and texts: what is judged is how turns are read, not how pictures are.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from catalogue.grammar import brand_and_price, caption, sample_spec
from rewriter.languages.files import listed
from rewriter.linking.tower import Encoder, Vectors
from rewriter.quality.trades import Trade, trades
from vitrine.domain.filters import Filter, Not, both, hard_and_soft, matches, only, words_excluded
from vitrine.domain.messages import read_filter
from vitrine.domain.product import Product
from vitrine.domain.schema import Kind, Role, Schema
from vitrine.domain.schema_files import shipped_schema
from vitrine.domain.values import Value
from vitrine.v1 import query_pb2, rewrite_pb2

FASHION = "fashion"
_SEED = 11
_DRAWN = 1_200
_OF_A_KIND = 24
"""Products of each category of another trade."""
_HELD = 0.6
"""How often a product has a value of a field that not all have."""
_PARTS: Mapping[str, str] = {
    FASHION: "pockets | a logo | a belt | ruffles",
    "grocery": "palm oil | goat milk | vinegar | caffeine",
    "furniture": "armrests | drawers | a cable | a ladder | wheels",
    "electronics": "a stand | a case | a cable | a lamp",
    "tools": "a case | a lamp | a wooden handle | wheels",
    "books": "pictures | maps | a foreword | large print",
}
"""What no field has, and one title in two says."""


@dataclass(frozen=True, slots=True)
class Assortment:
    """The products of one catalogue."""

    schema: Schema
    products: Sequence[Product]
    vectors: Vectors
    """Of their titles, (n, d)."""

    def search(
        self, rewrite: rewrite_pb2.Rewrite, words: Vectors, excluded: Sequence[Sequence[str]], *, limit: int
    ) -> list[Product]:
        """Return the best products under the rewrite's conditions, without the words that are excluded.

        As in the service, conditions that were read in keywords give way where no product has them, the category last, then
        the exclusions.
        """
        read = read_filter(rewrite.filter) if rewrite.HasField("filter") else None
        hard, soft = hard_and_soft(read, self.schema)
        unsaid: Filter | None = None
        for forms in excluded:
            unsaid = both(unsaid, Not(words_excluded(forms, self.schema)))
        owner = self.schema.role(Role.CATEGORY)
        kind = only(soft, {owner.name}) if owner is not None and soft is not None else None
        tries = (both(both(hard, soft), unsaid), both(both(hard, kind), unsaid), both(hard, unsaid), hard)
        found = next((rows for each in tries if (rows := self._satisfying(each))), [])
        order = rewrite.sort if rewrite.HasField("sort") else None
        similar = self.vectors[found] @ words if found else np.zeros(0)
        ranked = [found[place] for place in np.argsort(-similar, kind="stable")]
        if order is not None:
            ranked.sort(key=lambda row: self._key(row, order))
        return [self.products[row] for row in ranked[:limit]]

    def satisfies(self, condition: Filter | None) -> bool:
        """Return whether any product satisfies a condition."""
        return bool(self._satisfying(condition))

    def _satisfying(self, condition: Filter | None) -> list[int]:
        return [
            row
            for row, product in enumerate(self.products)
            if condition is None or matches(condition, product)
        ]

    def _key(self, row: int, order: query_pb2.Sort) -> tuple[bool, float]:
        value = self.products[row].values.get(order.field)
        number = value if isinstance(value, float) else 0.0
        return not isinstance(value, float), -number if order.descending else number


def assortments(tower: Encoder) -> Mapping[str, Assortment]:
    """Return the products of every catalogue, by its name, with the vectors of their titles."""
    schemas = {FASHION: shipped_schema(), **{name: trade.schema for name, trade in trades().items()}}
    made = {}
    for name, schema in schemas.items():
        products = _products()[name]
        titles = [product.text(schema, Role.TITLE) for product in products]
        made[name] = Assortment(schema, products, np.concatenate([tower.embed([title]) for title in titles]))
    return made


@cache
def _products() -> Mapping[str, Sequence[Product]]:
    rng = random.Random(_SEED)  # noqa: S311 - no secret
    drawn = {FASHION: [_drawn(rng, number) for number in range(_DRAWN)]}
    for name, trade in trades().items():
        kinds = next(facet.values for facet in trade.facets if facet.field == _category(trade))
        drawn[name] = [
            _made(rng, f"{name}-{kind}-{number}", kind, trade, name)
            for kind in kinds
            for number in range(_OF_A_KIND)
        ]
    return drawn


def _drawn(rng: random.Random, number: int) -> Product:
    """Draw a product of fashion."""
    spec = sample_spec(rng)
    brand, price = brand_and_price(spec, number)
    values: dict[str, Value] = {
        "title": f"{caption(spec)}{_part(rng, FASHION)}",
        "category": spec.category,
        "colour": spec["colour"],
        "brand": brand,
        "price": price,
    }
    if pattern := spec.get("pattern"):
        values["pattern"] = pattern
    return Product(id=f"fashion-{number}", values=values, attributes=spec.attributes)


def _made(rng: random.Random, id_: str, kind: str, trade: Trade, name: str) -> Product:
    """Make a product of another trade: a value of each field, for as many fields as it is drawn to have."""
    schema = trade.schema
    category, title = _category(trade), schema.role(Role.TITLE)
    assert title is not None, "the catalogues have titles"
    values: dict[str, Value] = {category: kind}
    said: list[str] = []
    for facet in trade.facets:
        if facet.field == category or rng.random() > _HELD:
            continue
        value = rng.choice(facet.values)
        several = schema.by_name[facet.field].kind is Kind.KEYWORDS
        values[facet.field] = (value,) if several else value
        said.append(value)
    values |= {owner.name: _number(rng, trade, owner.name) for owner in schema if owner.kind is Kind.NUMBER}
    truths = {owner.name: rng.random() > _HELD for owner in schema if owner.kind is Kind.BOOLEAN}
    values |= truths
    said += [name for name, true in truths.items() if true]
    if (price := schema.role(Role.PRICE)) is not None:
        drawn = (
            _number(rng, trade, price.name)
            if price.name in trade.ranges
            else round(rng.lognormvariate(1.6 if name == "grocery" else 5.6, 0.7), 2)
        )
        values[price.name] = float(drawn)
    values[title.name] = f"{' '.join([*said, kind])}{_part(rng, name)}"
    return Product(id=id_, values=values)


def _number(rng: random.Random, trade: Trade, field: str) -> float:
    return round(rng.uniform(*trade.ranges.get(field, (1, 5))), 1)


def _part(rng: random.Random, name: str) -> str:
    return f" with {rng.choice(listed(_PARTS[name]))}" if rng.random() < 0.5 else ""  # noqa: PLR2004 - one in two


def _category(trade: Trade) -> str:
    owner = trade.schema.role(Role.CATEGORY)
    assert owner is not None, "the catalogues have categories"
    return owner.name
