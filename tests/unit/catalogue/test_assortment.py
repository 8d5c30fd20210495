"""The products and queries of a procedural catalogue."""

from collections import Counter

import pytest

from catalogue.assortment import COMPOSED_QUERIES, IMAGE_QUERIES, Assortment, sample_assortment
from catalogue.grammar import SLOTS, caption
from catalogue.splits import is_held, make_splits


@pytest.fixture(scope="module")
def assortment() -> Assortment:
    return sample_assortment(800, seed=7)


@pytest.mark.slow
def test_no_caption_is_trainings(assortment: Assortment) -> None:
    """Products are of captions that training never saw, about half of them of combinations it never saw."""
    trained = set(make_splits().train.specs())
    specs = {item.spec for item in assortment.items}
    assert not specs & trained
    assert 0.35 < sum(map(is_held, specs)) / len(specs) < 0.65


def test_products_are_distinct_and_some_share_a_caption(assortment: Assortment) -> None:
    """Ids and pictures are unique; one product in five repeats a caption."""
    items = assortment.items
    assert len(items) == 800
    assert len({item.id for item in items}) == len({item.seed for item in items}) == 800
    assert len({caption(item.spec) for item in items}) == 640
    assert {item.spec.category for item in items} == set(SLOTS)


def test_every_query_has_its_answer_in_the_catalogue(assortment: Assortment) -> None:
    """What a query wants is sold; its own picture is no product's."""
    sold = {item.spec for item in assortment.items}
    assert len(assortment.queries) == COMPOSED_QUERIES + IMAGE_QUERIES
    assert all(query.wanted in sold for query in assortment.queries)
    assert {query.seed for query in assortment.queries}.isdisjoint(item.seed for item in assortment.items)


def test_the_first_query_turns_a_blue_striped_dress_red(assortment: Assortment) -> None:
    """The showcase leads the queries and says its changes canonically."""
    first = assortment.queries[0]
    assert (first.spec.category, first.spec["colour"], first.spec["pattern"]) == ("dress", "blue", "striped")
    assert first.wanted["colour"] == "red"
    assert first.modification == "replace blue with red"


def test_composed_queries_cover_every_category(assortment: Assortment) -> None:
    """The categories take turns among the drawn composed queries."""
    counts = Counter(query.spec.category for query in assortment.queries if query.edit)
    assert set(counts) == set(SLOTS)
    assert sum(counts.values()) == COMPOSED_QUERIES


@pytest.mark.parametrize("products", [1, 3, 25])
def test_small_catalogues_are_possible(products: int) -> None:
    """A handful of products is a catalogue too; its queries still find their answers."""
    assortment = sample_assortment(products, seed=1)
    sold = {item.spec for item in assortment.items}
    assert len(assortment.items) == products
    assert all(query.wanted in sold for query in assortment.queries)
