"""Pages: each product once, in one order, of one reading of the words."""

from collections.abc import AsyncIterator, Iterable
from dataclasses import replace

import pytest

from gateway.testing import PATIENT, FakeRewriter, ServedGateway, product, serving, stored
from vitrine.v1 import query_pb2, rewrite_pb2, search_pb2, search_pb2_grpc

COLOURS = ("red", "blue", "green")
PRODUCTS = tuple(
    product(f"p{i:02}", f"dress of kind{i % 8}", colour=COLOURS[i % 3], price=float(i * 7 % 11) or None)
    for i in range(40)
)


async def search(gateway: ServedGateway, **request: object) -> search_pb2.SearchResponse:
    stub = search_pb2_grpc.SearchServiceStub(gateway.channel)
    return await stub.Search(search_pb2.SearchRequest(**request), timeout=30)  # type: ignore[arg-type] # the tests name the fields


async def pages(gateway: ServedGateway, **request: object) -> AsyncIterator[search_pb2.SearchResponse]:
    token = ""
    while True:
        answer = await search(gateway, page_token=token, **request)
        yield answer
        token = answer.next_page_token
        if not token:
            return


def ids(answers: Iterable[search_pb2.SearchResponse]) -> list[str]:
    return [hit.product_id for answer in answers for hit in answer.hits]


def equals(field: str, value: str) -> query_pb2.Filter:
    return query_pb2.Filter(equals=query_pb2.Equals(field=field, value=query_pb2.FieldValue(text=value)))


def at_most(price: float) -> query_pb2.Filter:
    return query_pb2.Filter(range=query_pb2.Range(field="price", maximum=price))


@pytest.mark.parametrize(
    "request_",
    [
        {"text": "red dress"},
        {"text": "dress of kind3"},
        {"text": "p17"},
        {"product_id": "p05"},
        {"product_id": "p05", "text": "in red"},
        {"text": "dress", "sort": query_pb2.Sort(field="price")},
        {"text": "dress", "sort": query_pb2.Sort(field="price", descending=True)},
        {"text": "dress", "filter": equals("colour", "red")},
        {"text": "dress", "weights": query_pb2.Weights(text=1.0)},
    ],
    ids=[
        "words",
        "rare word",
        "id",
        "look-alikes",
        "change",
        "cheapest",
        "dearest",
        "filter",
        "equal scores",
    ],
)
async def test_pages_show_each_product_once_in_the_order_of_one_large_page(
    request_: dict[str, object],
) -> None:
    """Every kind of search; the last page has no token."""
    async with serving(products=PRODUCTS) as gateway:
        whole = await search(gateway, limit=200, **request_)
        paged = [answer async for answer in pages(gateway, limit=7, **request_)]
    assert ids(paged) == ids([whole])
    assert len(set(ids(paged))) == len(ids(paged)) > 7
    assert whole.next_page_token == paged[-1].next_page_token == ""
    assert all(len(answer.hits) == 7 for answer in paged[:-1])


async def test_a_page_that_is_just_filled_is_the_last_one() -> None:
    """There is no empty page behind it."""
    async with serving(products=PRODUCTS) as gateway:
        paged = [answer async for answer in pages(gateway, text="dress", limit=20)]
    assert [len(answer.hits) for answer in paged] == [20, 20]


async def test_products_of_equal_score_come_by_their_ids() -> None:
    """The order is total, however they came into the index."""
    twins = [stored(each, title="red dress", images=[b"one picture"]) for each in "cadb"]
    async with serving(products=twins) as gateway:
        assert ids([await search(gateway, text="red dress")]) == ["a", "b", "c", "d"]


async def test_a_smaller_limit_is_the_beginning_of_a_larger_one() -> None:
    """Exact matches included, of which there are more than are looked up beside the vectors."""
    many = [product(f"u{i:03}", f"lamp number{i % 60}", brand="Umbra") for i in range(260)]
    async with serving(products=[*PRODUCTS, *many]) as gateway:
        for text in ("umbra", "red dress", "umbra number7 kind3"):
            whole = ids([await search(gateway, text=text, limit=200)])
            for limit in (1, 10, 60, 150):
                assert ids([await search(gateway, text=text, limit=limit)]) == whole[:limit]


async def test_pages_of_more_exact_matches_than_are_looked_up_lose_none() -> None:
    """A brand of very many products is paged through to the end."""
    many = [product(f"u{i:03}", f"lamp number{i % 60}", brand="Umbra") for i in range(260)]
    async with serving(products=[*PRODUCTS, *many]) as gateway:
        paged = [answer async for answer in pages(gateway, text="umbra", limit=90)]
    assert sorted(ids(paged)) == sorted(each.id for each in (*PRODUCTS, *many))


async def test_pages_end_at_the_last_position() -> None:
    """No token leads beyond the thousandth hit."""
    many = [product(f"m{i:04}", "red dress") for i in range(1_100)]
    settings = replace(PATIENT, lexical_share=0.0)
    async with serving(products=many, settings=settings) as gateway:
        paged = [answer async for answer in pages(gateway, text="red dress", limit=200)]
    assert [len(answer.hits) for answer in paged] == [200] * 5
    assert len(set(ids(paged))) == 1_000


def rewriting(**fields: object) -> FakeRewriter:
    rewrite = rewrite_pb2.Rewrite(route=query_pb2.ROUTE_TEXT, source="fake", **fields)  # type: ignore[arg-type] # the tests name the fields
    return FakeRewriter(lambda _: rewrite)


def all_of(*filters: query_pb2.Filter) -> query_pb2.Filter:
    return query_pb2.Filter(all_of=query_pb2.FilterList(filters=filters))


READ = {
    "query": "dress of kind3",
    "filter": all_of(equals("colour", "red"), at_most(9.0)),
    "sort": query_pb2.Sort(field="price"),
}
AUTO = {"text": "cheap red ones", "rewrite": search_pb2.REWRITE_MODE_AUTO}


@pytest.mark.parametrize("then", ["gone", "other"])
async def test_later_pages_keep_the_reading_of_the_first_one(then: str) -> None:
    """Whether the rewriter is gone or reads otherwise by then: words, conditions and order are those of page one."""
    rewriter = rewriting(**READ)
    async with serving(
        products=PRODUCTS, rewriter=rewriter, settings=replace(PATIENT, rewrite_cache_entries=0)
    ) as gateway:
        whole = await search(gateway, limit=200, **AUTO)
        first = await search(gateway, limit=4, **AUTO)
        rewriter.fails = then == "gone"
        rewriter.answer = rewriting(query="blue shirt").answer
        second = await search(gateway, limit=4, page_token=first.next_page_token, **AUTO)
    assert ids([first, second]) == ids([whole])[:8]
    assert second.searched.source == "fake"
    assert (second.searched.text, second.searched.sort) == ("dress of kind3", query_pb2.Sort(field="price"))
    assert second.degraded == []


async def test_pages_keep_exact_matches_beyond_what_was_read() -> None:
    """A product that the words name and the reading would hide is shown once, on the first page."""
    named = product("WH-1000XM4", "headphones", colour="black")
    rewriter = rewriting(query="dress", filter=equals("colour", "red"))
    request = {"text": "WH-1000XM4", "rewrite": search_pb2.REWRITE_MODE_AUTO}
    async with serving(products=[*PRODUCTS, named], rewriter=rewriter) as gateway:
        whole = await search(gateway, limit=200, **request)
        paged = [answer async for answer in pages(gateway, limit=3, **request)]
    assert ids(paged) == ids([whole])
    assert ids(paged)[0] == "WH-1000XM4"


async def test_pages_keep_the_callers_filter_beside_what_was_read() -> None:
    """Both hold on every page, and the answer tells them."""
    rewriter = rewriting(query="dress", filter=at_most(9.0))
    request = {**AUTO, "filter": equals("colour", "red")}
    async with serving(products=PRODUCTS, rewriter=rewriter) as gateway:
        whole = await search(gateway, limit=200, **request)
        paged = [answer async for answer in pages(gateway, limit=3, **request)]
    assert ids(paged) == ids([whole])
    assert all(answer.searched.filter == whole.searched.filter for answer in paged)
    assert all(
        hit.product.colour == "red" and hit.product.price <= 9.0 for answer in paged for hit in answer.hits
    )


async def test_pages_of_a_relaxed_search_go_on_relaxed() -> None:
    """What no product satisfied on page one is left out of the later pages too."""
    striped = product("z", "a striped one", pattern="striped", price=100.0)
    rewriter = rewriting(query="dress", filter=equals("pattern", "striped"))
    request = {**AUTO, "filter": at_most(5.0)}
    async with serving(products=[striped, *PRODUCTS], rewriter=rewriter) as gateway:
        whole = await search(gateway, limit=200, **request)
        paged = [answer async for answer in pages(gateway, limit=4, **request)]
    assert list(whole.degraded) == ["soft_filters"]
    assert ids(paged) == ids([whole])
    assert len(paged) > 2


async def test_pages_keep_what_the_words_reject() -> None:
    """What the shopper found fault with stays out of later pages, and every page says so."""
    remark = rewrite_pb2.Remark(field="colour", value="red", polarity=query_pb2.SENTIMENT_NEGATIVE)
    async with serving(products=PRODUCTS, rewriter=rewriting(query="dress", remarks=[remark])) as gateway:
        paged = [answer async for answer in pages(gateway, limit=10, **AUTO)]
    assert len(ids(paged)) == sum(each.product.values["colour"] != "red" for each in PRODUCTS)
    assert all(
        [(each.field, each.value) for each in answer.searched.excluded] == [("colour", "red")]
        for answer in paged
    )


async def test_pages_keep_the_words_that_are_not_wanted() -> None:
    """What products say of themselves decides, on every page and in every count."""
    pocketed = [
        replace(
            each, product=replace(each.product, values={**each.product.values, "title": "dress, pockets"})
        )
        for each in PRODUCTS[::2]
    ]
    rewriter = rewriting(
        query="dress", excluded_words=[rewrite_pb2.ExcludedWords(said="pocket", forms=["pockets"])]
    )
    async with serving(products=[*PRODUCTS, *pocketed], rewriter=rewriter) as gateway:
        paged = [answer async for answer in pages(gateway, limit=5, **AUTO)]
    assert set(ids(paged)) == {each.id for each in PRODUCTS} - {each.id for each in pocketed}
    assert all(
        [(each.field, each.value, [*each.forms]) for each in answer.searched.excluded]
        == [("", "pocket", ["pockets"])]
        for answer in paged
    )
    assert len(paged) > 1


async def test_facets_of_a_later_page_count_all_products() -> None:
    """They are those of the search, not of the page."""
    async with serving(products=PRODUCTS) as gateway:
        paged = [answer async for answer in pages(gateway, text="dress", limit=20, facets=["colour"])]
    assert paged[0].facets == paged[1].facets
    assert sum(each.products for each in paged[0].facets[0].values) == 40


async def test_a_large_filter_is_paged_too() -> None:
    """The request of a page brings its filter again, so that the token need not hold it."""
    values = [query_pb2.FieldValue(text=f"{'x' * 400}{i}") for i in range(254)]
    values.append(query_pb2.FieldValue(text="red"))
    large = query_pb2.Filter(one_of=query_pb2.OneOf(field="colour", values=values))
    async with serving(products=PRODUCTS) as gateway:
        paged = [answer async for answer in pages(gateway, text="dress", limit=6, filter=large)]
    assert len(ids(paged)) == sum(each.product.values["colour"] == "red" for each in PRODUCTS)
