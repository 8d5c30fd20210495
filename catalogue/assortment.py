"""What a procedural catalogue sells, and the queries that go with it.

Products are one word apart in clusters, so that a composed query has its answer in the catalogue. None of their
captions is in the training set, and about half of them are of combinations that training has never seen.
"""

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from catalogue.grammar import Edit, Spec, caption, edited, make_spec, modification_text, sample_spec
from catalogue.randomness import generator
from catalogue.splits import Cluster, Edge, is_held, make_splits, sample_clusters

IMAGE_QUERIES = 20
COMPOSED_QUERIES = 40

_DISTINCT_SHARE = 0.8
"""Captions for each product: the rest are other products of the same caption."""
_FIRST_PRODUCT_SEED = 1_000
_FIRST_QUERY_SEED = 1_000_000
"""Seeds of pictures; training's are far below."""


@dataclass(frozen=True, slots=True)
class Item:
    """A product to be drawn."""

    id: str
    spec: Spec
    seed: int


@dataclass(frozen=True, slots=True)
class Query:
    """A picture that is no product's, and what it is to find: its own caption, or that of the edited spec."""

    spec: Spec
    seed: int
    edit: Edit | None = None
    modification: str = ""

    @property
    def wanted(self) -> Spec:
        """What the query asks for."""
        return edited(self.spec, self.edit) if self.edit else self.spec


@dataclass(frozen=True, slots=True)
class Assortment:
    """The products and the queries of one catalogue; composed queries come first."""

    items: tuple[Item, ...]
    queries: tuple[Query, ...]


# Pairs that every catalogue has: good examples, whatever the seed.
_SHOWCASE: tuple[tuple[str, dict[str, str], Edit], ...] = (
    ("dress", {"pattern": "striped", "length": "midi"}, Edit("colour", "blue", "red")),
    ("top", {"colour": "white", "pattern": "plain"}, Edit("sleeve", "short-sleeve", "long-sleeve")),
    ("jacket", {"colour": "black", "collar": "lapel"}, Edit("material", "leather", "denim")),
    ("skirt", {"pattern": "floral", "shape": "a-line"}, Edit("length", "mini", "maxi")),
    ("bag", {"colour": "navy", "type": "tote"}, Edit("pattern", "plain", "polka-dot")),
    ("shoes", {"colour": "white", "type": "sneakers"}, Edit("accent", "black", "red")),
    *(5 * (("dress", {"pattern": "floral", "length": "midi"}, Edit("colour", "red", "navy")),)),
)


def sample_assortment(products: int, seed: int) -> Assortment:
    """Draw that many products and the queries; equal arguments give equal assortments."""
    rng = generator("assortment", seed)
    clusters = list(_sample_clusters(rng, round(products * _DISTINCT_SHARE)))
    specs = [spec for cluster in clusters for spec in cluster.specs][
        : max(1, round(products * _DISTINCT_SHARE))
    ]
    again = rng.choices(specs, k=products - len(specs))
    items = [
        Item(f"{spec.category}-{number:05d}", spec, _FIRST_PRODUCT_SEED + number)
        for number, spec in enumerate([*specs, *again], start=1)
    ]
    return Assortment(tuple(items), tuple(_sample_queries(rng, clusters, set(specs))))


def _sample_clusters(rng: random.Random, specs: int) -> Iterator[Cluster]:
    """Draw the showcase, then clusters enough for that many specs, every other one of held combinations."""
    used = set(make_splits().train.specs())
    for category, fixed, edit in _SHOWCASE:
        pair = _sample_pair(rng, category, fixed | {edit.slot: edit.old}, edit, used)
        used.update(pair.specs)
        yield pair
    half = specs // 8 + 1
    fresh = sample_clusters(rng, half, lambda spec: not is_held(spec), used)
    held = sample_clusters(rng, half, is_held, used)
    for pair_of_clusters in zip(fresh, held, strict=True):
        yield from pair_of_clusters


def _sample_pair(
    rng: random.Random, category: str, fixed: dict[str, str], edit: Edit, used: set[Spec]
) -> Cluster:
    """Draw an unused spec with the fixed attributes whose edited form is unused too."""
    while True:
        attributes = sample_spec(rng, category).attributes | fixed
        if attributes["colour"] == attributes["accent"] or edit.new == attributes["accent"]:
            continue
        source = make_spec(category, **attributes)
        target = edited(source, edit)
        if not {source, target} & used:
            return Cluster((source, target), (Edge(0, 1, edit),))


def _sample_queries(rng: random.Random, clusters: list[Cluster], sold: set[Spec]) -> Iterator[Query]:
    """Draw queries whose answer is sold; the showcase's composed ones lead, in canonical words."""
    whole = [cluster for cluster in clusters if sold.issuperset(cluster.specs)]
    shown = len(_SHOWCASE)
    rng_order = rng.sample(whole[shown:], k=max(0, len(whole) - shown))
    numbers = iter(range(_FIRST_QUERY_SEED, _FIRST_QUERY_SEED + COMPOSED_QUERIES + IMAGE_QUERIES))
    for cluster in whole[:shown]:
        edge = cluster.edges[0]
        yield Query(cluster.specs[edge.source], next(numbers), edge.edit, modification_text(edge.edit))
    for cluster in _varied(rng_order)[: COMPOSED_QUERIES - shown]:
        edge = rng.choice(cluster.edges)
        yield Query(cluster.specs[edge.source], next(numbers), edge.edit, modification_text(edge.edit, rng))
    for spec in sorted(rng.sample(sorted(sold, key=caption), k=min(IMAGE_QUERIES, len(sold))), key=caption):
        yield Query(spec, next(numbers))


def _varied(clusters: Iterable[Cluster]) -> list[Cluster]:
    """Put the clusters in such an order that the categories take turns."""
    turns: dict[str, int] = {}
    placed = []
    for cluster in clusters:
        category = cluster.specs[0].category
        turns[category] = turns.get(category, 0) + 1
        placed.append((turns[category], category, cluster))
    return [cluster for _, _, cluster in sorted(placed, key=lambda place: place[:2])]
