"""Exact matches: ids, model numbers, brands and rare words come first, whatever the encoders think of them."""

from dataclasses import replace

import pytest

from gateway.model import StoredProduct
from gateway.testing import PATIENT, FakeIndex, FakeRewriter, ServedGateway, product, serving
from vitrine.v1 import query_pb2, rewrite_pb2, search_pb2, search_pb2_grpc

QUIET = replace(PATIENT, probe_interval_ms=10**7)
BACKGROUND = tuple(product(f"b{i:02}", f"red dress number{i % 7}") for i in range(30))
"""Their words are common: each is in more than five products, or in none that is asked for."""

HEADPHONES = product("0108775015", "black headphones WH-1000XM4", brand="Sonotone", category="audio")


async def search(gateway: ServedGateway, text: str, **request: object) -> search_pb2.SearchResponse:
    stub = search_pb2_grpc.SearchServiceStub(gateway.channel)
    return await stub.Search(search_pb2.SearchRequest(text=text, **request), timeout=30)  # type: ignore[arg-type] # the tests name the fields


def ids(answer: search_pb2.SearchResponse) -> list[str]:
    return [hit.product_id for hit in answer.hits]


def equals(field: str, value: str) -> query_pb2.Filter:
    return query_pb2.Filter(equals=query_pb2.Equals(field=field, value=query_pb2.FieldValue(text=value)))


def unlike_anything(wanted: StoredProduct) -> StoredProduct:
    """Return a product that the fake encoder thinks is the opposite of every query."""
    assert wanted.text_embedding is not None
    assert wanted.image_embeddings is not None
    return replace(
        wanted, text_embedding=wanted.text_embedding * 0.0, image_embeddings=wanted.image_embeddings * 0.0
    )


@pytest.mark.parametrize(
    "words",
    ["0108775015", "WH-1000XM4", "wh1000xm4", "1000XM4", "red dress WH-1000XM4", "headphones", "SONOTONE", "sonotone"],
)  # fmt: skip
async def test_what_is_typed_exactly_comes_first(words: str) -> None:
    """An id, a model number in any spelling, a rare word of the title, a brand: the product is first, and the hit says why."""
    products = [*BACKGROUND, unlike_anything(HEADPHONES)]
    async with serving(products=products, settings=QUIET) as gateway:
        answer = await search(gateway, words)
    assert ids(answer)[0] == "0108775015"
    assert answer.hits[0].parts.signals["lexical"] == pytest.approx(1.0)
    assert answer.hits[1].parts.signals["lexical"] == 0.0


async def test_the_score_is_the_sum_of_its_parts() -> None:
    """The share of the signal stands beside the weights, so that a caller can add it up."""
    async with serving(products=[*BACKGROUND, HEADPHONES], settings=QUIET) as gateway:
        answer = await search(gateway, "black headphones")
    weights = answer.searched.weights
    assert weights.signals["lexical"] == 1.0
    for hit in answer.hits:
        parts = hit.parts
        total = weights.text * parts.text + weights.image * parts.image
        total += weights.signals["lexical"] * parts.signals["lexical"]
        assert hit.score == pytest.approx(total, abs=1e-6)


async def test_more_of_the_rare_words_count_more() -> None:
    """A product that has two of them comes before one that has a single one."""
    products = [
        *BACKGROUND,
        product("one", "marbled vase"),
        product("two", "marbled vase of jasper"),
    ]
    async with serving(products=products, settings=QUIET) as gateway:
        answer = await search(gateway, "marbled jasper")
    assert ids(answer)[:2] == ["two", "one"]
    assert 0 < answer.hits[1].parts.signals["lexical"] < answer.hits[0].parts.signals["lexical"] == 1.0


async def test_a_brand_of_many_products_is_found_by_its_name() -> None:
    """A query that is a brand as a whole counts, however many products have it."""
    branded = [unlike_anything(product(f"u{i:02}", "lamp", brand="Umbra")) for i in range(12)]
    async with serving(products=[*BACKGROUND, *branded], settings=QUIET) as gateway:
        answer = await search(gateway, "umbra", limit=12)
    assert sorted(ids(answer)) == [each.id for each in branded]


async def test_the_share_is_a_setting_and_0_turns_it_off() -> None:
    """Without a share nothing is looked up by words, and no hit tells a signal."""
    index = FakeIndex.holding([*BACKGROUND, unlike_anything(HEADPHONES)])
    async with serving(index=index, settings=replace(QUIET, lexical_share=0.0)) as gateway:
        await search(gateway, "warm")  # after it, the probe is done
        before = index.search_calls
        answer = await search(gateway, "WH-1000XM4")
    assert "0108775015" not in ids(answer)[:1]
    assert index.search_calls - before == 1
    assert not answer.hits[0].parts.signals
    assert answer.searched.weights.signals["lexical"] == 0.0


async def test_common_words_cost_no_second_look_up() -> None:
    """Words that many products have are left to the vectors; so are words that none has."""
    index = FakeIndex.holding([*BACKGROUND, HEADPHONES])
    async with serving(index=index, settings=QUIET) as gateway:
        await search(gateway, "headphones")  # after it, the probe is done
        before = index.search_calls
        answers = [await search(gateway, words) for words in ("red dress", "summer gown")]
        assert index.search_calls - before == 2
        await search(gateway, "the headphones")
        assert index.search_calls - before == 4
    assert all("lexical" not in hit.parts.signals for answer in answers for hit in answer.hits)


async def test_a_callers_filter_holds_for_exact_matches_too() -> None:
    """A product that is typed exactly and does not satisfy the conditions is not found."""
    async with serving(products=[*BACKGROUND, HEADPHONES], settings=QUIET) as gateway:
        answer = await search(gateway, "WH-1000XM4", filter=equals("category", "dress"), limit=200)
    assert "0108775015" not in ids(answer)
    assert len(answer.hits) == len(BACKGROUND)


async def test_what_was_read_in_the_words_does_not_hide_what_they_name() -> None:
    """The rewriter takes a brand's name for a colour: the product that is typed exactly is first all the same."""
    read = rewrite_pb2.Rewrite(route=query_pb2.ROUTE_TEXT, query="dress", filter=equals("colour", "red"))
    black = product("0108775015", "headphones WH-1000XM4", colour="black")
    async with serving(
        products=[*BACKGROUND, black], rewriter=FakeRewriter(lambda _: read), settings=QUIET
    ) as gateway:
        answer = await search(gateway, "WH-1000XM4", rewrite=search_pb2.REWRITE_MODE_AUTO)
    assert ids(answer)[0] == "0108775015"
    assert answer.searched.filter == equals("colour", "red")


async def test_an_amount_that_was_read_names_no_product() -> None:
    """The 120 of a budget is no model number: what has it in its id or title is not looked up beside the conditions."""
    price = query_pb2.Filter(range=query_pb2.Range(field="price", maximum=120))
    both = query_pb2.Filter()
    both.all_of.filters.extend([equals("category", "dress"), price])
    read = rewrite_pb2.Rewrite(route=query_pb2.ROUTE_TEXT, query="dress", filter=both)
    desk = product("desk-120", "desk 120", category="desk")
    async with serving(
        products=[*BACKGROUND, desk], rewriter=FakeRewriter(lambda _: read), settings=QUIET
    ) as gateway:
        answer = await search(gateway, "dress up to 120", rewrite=search_pb2.REWRITE_MODE_AUTO)
        named = await search(gateway, "desk-120 up to 120", rewrite=search_pb2.REWRITE_MODE_AUTO)
    assert "desk-120" not in ids(answer)
    assert len(answer.hits) > 1
    assert ids(named)[0] == "desk-120"


async def test_an_order_by_a_field_goes_before_exact_matches() -> None:
    """Sorted by price, nothing else decides the order."""
    products = [*BACKGROUND, product("0108775015", "headphones WH-1000XM4", price=900.0)]
    async with serving(products=products, settings=QUIET) as gateway:
        answer = await search(gateway, "WH-1000XM4", sort=query_pb2.Sort(field="price"), limit=200)
    assert ids(answer)[-1] == "0108775015"
    assert "lexical" not in answer.hits[-1].parts.signals
