"""Orders by a field, counts of facets, and conditions on values that are missing or spelt otherwise."""

import grpc
import pytest
from grpc import aio

from gateway.testing import FakeIndex, ServedGateway, product, refused_field, serving, stored
from vitrine.v1 import query_pb2, search_pb2, search_pb2_grpc

PRODUCTS = (
    product("a", "red dress", price=30.0),
    product("b", "red dress long", price=10.0, brand="Umbra"),
    product("c", "blue shirt", price=20.0, colour="blue"),
    product("d", "red dress short", price=None),
    product("e", "red skirt", price=10.0, category="skirt"),
)
PRICE_UP = query_pb2.Sort(field="price")
PRICE_DOWN = query_pb2.Sort(field="price", descending=True)


async def search(
    gateway: ServedGateway, text: str = "red dress", **request: object
) -> search_pb2.SearchResponse:
    stub = search_pb2_grpc.SearchServiceStub(gateway.channel)
    return await stub.Search(search_pb2.SearchRequest(text=text, **request), timeout=30)  # type: ignore[arg-type] # the tests name the fields


async def refusal(gateway: ServedGateway, **request: object) -> tuple[grpc.StatusCode, str, str]:
    with pytest.raises(aio.AioRpcError) as caught:
        await search(gateway, **request)
    return caught.value.code(), refused_field(caught.value), str(caught.value.details())


def ids(answer: search_pb2.SearchResponse) -> list[str]:
    return [hit.product_id for hit in answer.hits]


def equals(field: str, value: str) -> query_pb2.Filter:
    return query_pb2.Filter(equals=query_pb2.Equals(field=field, value=query_pb2.FieldValue(text=value)))


def at_most(price: float) -> query_pb2.Filter:
    return query_pb2.Filter(range=query_pb2.Range(field="price", maximum=price))


@pytest.mark.parametrize(
    ("sort", "prices"), [(PRICE_UP, [10, 10, 20, 30, None]), (PRICE_DOWN, [30, 20, 10, 10, None])]
)
async def test_hits_come_in_the_order_of_a_field_those_without_a_value_last(
    sort: query_pb2.Sort, prices: list[float | None]
) -> None:
    """Both ways; the answer says what it is sorted by."""
    async with serving(products=PRODUCTS) as gateway:
        answer = await search(gateway, sort=sort)
    found = [hit.product.price if hit.product.HasField("price") else None for hit in answer.hits]
    assert (found, answer.searched.sort) == (prices, sort)


async def test_the_cheapest_is_the_cheapest_of_all_that_satisfy_the_conditions() -> None:
    """It is not the cheapest of the nearest ones."""
    near = [product(f"n{i:02}", "red dress", price=80.0 + i) for i in range(30)]
    far = product("far", "evening gown", price=38.95)
    async with serving(products=[*near, far]) as gateway:
        answer = await search(gateway, sort=PRICE_UP, filter=equals("colour", "red"), limit=1)
    assert ([hit.product.price for hit in answer.hits], answer.degraded) == ([38.95], [])


async def test_a_pool_that_was_cut_is_told() -> None:
    """Where more products satisfy the conditions than were put into order, the answer says so."""
    index = FakeIndex.holding(PRODUCTS)
    index.max_pool = 3
    async with serving(index=index) as gateway:
        assert list((await search(gateway, sort=PRICE_UP)).degraded) == ["pool"]
        assert list((await search(gateway)).degraded) == []
        assert list((await search(gateway, sort=PRICE_UP, filter=equals("colour", "red"))).degraded) == []


@pytest.mark.parametrize("field", ["size", "title", "colour", ""])
async def test_what_cannot_be_sorted_by_is_refused_by_name(field: str) -> None:
    """An unknown field, a text and a keyword that the schema does not sort by; the refusal names those that can."""
    async with serving(products=PRODUCTS) as gateway:
        code, named, message = await refusal(gateway, sort=query_pb2.Sort(field=field))
    assert (code, named) == (grpc.StatusCode.INVALID_ARGUMENT, "sort.field")
    assert message == f"sort.field: {field!r} cannot be sorted by; these can: price"


def counts(facet: search_pb2.FacetCounts) -> dict[str, int]:
    return {each.value: each.products for each in facet.values}


async def test_facets_are_counted_over_all_products() -> None:
    """One for each field that was asked for, in that order; a number has its range."""
    async with serving(products=PRODUCTS) as gateway:
        answer = await search(gateway, limit=1, facets=["colour", "price", "brand"])
    colour, price, brand = answer.facets
    assert (colour.field, counts(colour), colour.products) == ("colour", {"red": 4, "blue": 1}, 5)
    assert (price.minimum, price.maximum, price.products) == (10.0, 30.0, 4)
    assert counts(brand) == {"acme": 4, "Umbra": 1}


async def test_facets_are_counted_under_the_filter() -> None:
    """Products that the condition leaves out count no more; a range of nothing is absent."""
    async with serving(products=PRODUCTS) as gateway:
        answer = await search(gateway, facets=["category", "price"], filter=equals("brand", "umbra"))
        nothing = await search(gateway, facets=["category", "price"], filter=equals("brand", "nobody"))
    assert counts(answer.facets[0]) == {"dress": 1}
    assert not nothing.facets[0].values
    assert not nothing.facets[1].HasField("minimum")


async def test_an_unknown_facet_is_refused_by_name() -> None:
    """The refusal names the place and the facets that there are."""
    async with serving(products=PRODUCTS) as gateway:
        code, named, message = await refusal(gateway, facets=["colour", "title"])
    assert (code, named) == (grpc.StatusCode.INVALID_ARGUMENT, "facets[1]")
    assert "these are: category, colour, pattern, brand, price" in message


async def test_a_search_without_facets_counts_none() -> None:
    """What was not asked for is not there."""
    async with serving(products=PRODUCTS) as gateway:
        answer = await search(gateway)
    assert not answer.facets
    assert "facets" not in answer.timings.stages_ms


async def test_a_missing_price_satisfies_no_condition_on_prices() -> None:
    """It is not 0: neither below a limit nor not below it."""
    above = query_pb2.Filter(negation=at_most(15))
    async with serving(products=PRODUCTS) as gateway:
        assert sorted(ids(await search(gateway, filter=at_most(15)))) == ["b", "e"]
        assert sorted(ids(await search(gateway, filter=above))) == ["a", "c"]


@pytest.mark.parametrize("spelling", ["rosé", "ROSÉ", "rose\N{COMBINING ACUTE ACCENT}", "ＲＯＳÉ", " rosé "])
async def test_keywords_are_equal_across_case_and_unicode_form(spelling: str) -> None:
    """Both spellings find both products, each shown as the catalogue writes it."""
    products = [
        product("u", "one", colour="Rosé"),
        product("l", "two", colour="rose\N{COMBINING ACUTE ACCENT}"),
        product("r", "three"),
    ]
    async with serving(products=products) as gateway:
        answer = await search(gateway, filter=equals("colour", spelling))
    shown = {hit.product_id: hit.product.colour for hit in answer.hits}
    assert shown == {"u": "Rosé", "l": "rose\N{COMBINING ACUTE ACCENT}"}


async def test_an_unknown_filter_field_is_refused_by_name() -> None:
    """The refusal names the path, the field and those that there are."""
    async with serving(products=PRODUCTS) as gateway:
        code, named, message = await refusal(gateway, filter=equals("size", "M"))
    assert (code, named) == (grpc.StatusCode.INVALID_ARGUMENT, "filter.equals.field")
    assert "'size' is no filter field; these are: category, colour, pattern, brand, price" in message


async def test_long_texts_are_found_in_the_answer_whole() -> None:
    """A description of 32 kB comes back as it was written."""
    text = "word " * 6_500
    async with serving(products=[stored("a", title="red dress", description=text)]) as gateway:
        answer = await search(gateway)
    assert answer.hits[0].product.fields["description"].text == text
