"""Searches whose words the rewriter reads."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gateway.errors import EncoderError
from gateway.model import Embedded, EncoderInputs
from gateway.settings import Settings
from gateway.testing import PATIENT, FakeEncoder, FakeIndex, FakeRewriter, ServedGateway, product, serving
from vitrine.v1 import query_pb2, rewrite_pb2, search_pb2, search_pb2_grpc

PRODUCTS = (
    product("p1", "red dress", price=30.0),
    product("p2", "red dress long", price=10.0, colour="red"),
    product("p3", "blue shirt", price=20.0, colour="blue"),
)
QUIET = replace(PATIENT, lexical_share=0.0, probe_interval_ms=10**7)
"""No calls but those that the searches make for the vectors."""


async def search(gateway: ServedGateway, text: str, **request: Any) -> search_pb2.SearchResponse:
    stub = search_pb2_grpc.SearchServiceStub(gateway.channel)
    message = search_pb2.SearchRequest(text=text, rewrite=search_pb2.REWRITE_MODE_AUTO, **request)
    return await stub.Search(message, timeout=30)


def ids(answer: search_pb2.SearchResponse) -> list[str]:
    return [hit.product_id for hit in answer.hits]


def answering(**fields: object) -> FakeRewriter:
    rewrite = rewrite_pb2.Rewrite(**{"route": query_pb2.ROUTE_TEXT, "source": "fake", **fields})  # type: ignore[arg-type] # the cases name the fields
    return FakeRewriter(lambda _: rewrite)


def equals(field: str, value: str) -> query_pb2.Filter:
    return query_pb2.Filter(equals=query_pb2.Equals(field=field, value=query_pb2.FieldValue(text=value)))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0.001)


async def test_a_rewrite_that_changes_the_words_is_searched() -> None:
    """The rewriter's words and order replace the caller's, and the answer names the engine."""
    rewriter = answering(query="blue shirt", sort=query_pb2.Sort(field="price"))
    async with serving(products=PRODUCTS, rewriter=rewriter, settings=QUIET) as gateway:
        answer = await search(gateway, "something blue")
    assert (answer.searched.text, answer.searched.source) == ("blue shirt", "fake")
    assert answer.searched.sort == query_pb2.Sort(field="price")
    assert [hit.product.price for hit in answer.hits] == [10.0, 20.0, 30.0]
    assert answer.degraded == []
    facets = {facet.field: list(facet.values) for facet in rewriter.requests[0].facets}
    assert facets["colour"] == ["red", "blue"]
    assert rewriter.requests[0].schema.name == "fashion"


async def test_a_rewrite_that_changes_nothing_costs_no_second_search() -> None:
    """The raw search, already under way, is the answer."""
    index = FakeIndex.holding(PRODUCTS)
    async with serving(index=index, rewriter=answering(query="red dress"), settings=QUIET) as gateway:
        await search(gateway, "blue shirt")  # after it, the probe is done
        before = index.search_calls
        answer = await search(gateway, "red dress")
    assert (index.search_calls - before, answer.searched.source, answer.degraded) == (1, "caller", [])


async def test_what_was_read_before_is_searched_at_once() -> None:
    """The rewriter is asked once for equal words, and the answer is as before."""
    rewriter, index = replace(answering(query="blue shirt"), version="1"), FakeIndex.holding(PRODUCTS)
    async with serving(index=index, rewriter=rewriter, settings=QUIET) as gateway:
        first = await search(gateway, "something blue")
        asked, before = len(rewriter.requests), index.search_calls
        second = await search(gateway, "something blue", limit=2)
        third = await search(gateway, "something blue", filter=equals("colour", "red"))
        again = await search(gateway, "something blue")
    assert (len(rewriter.requests), index.search_calls - before) == (asked, 2)  # the last answer was kept
    assert (again.hits, again.searched) == (first.hits, first.searched)
    assert (ids(third), third.searched.text) == (["p2", "p1"], "blue shirt")
    assert (ids(second), second.searched.source) == (ids(first)[:2], "fake")
    assert "rewrite" in second.timings.stages_ms


async def test_the_callers_filter_holds_beside_the_rewriters() -> None:
    """A rewrite can narrow what the caller asked for, never widen it; a facet that nothing has gives way, and is told."""
    rewriter = answering(query="dress", filter=equals("colour", "blue"))
    async with serving(products=PRODUCTS, rewriter=rewriter) as gateway:
        answer = await search(gateway, "blue dress", filter=equals("colour", "red"))
    assert sorted(ids(answer)) == ["p1", "p2"]
    assert (answer.degraded, answer.searched.filter) == (["soft_filters"], equals("colour", "red"))


async def test_facets_are_counted_under_what_was_read() -> None:
    """They are those of the search as it was searched, until a reading that nothing satisfies has given way."""
    red, blue = equals("colour", "red"), equals("colour", "blue")
    async with serving(products=PRODUCTS, rewriter=answering(query="dress", filter=red)) as gateway:
        (facet,) = (await search(gateway, "red dress", facets=["colour"])).facets
    assert [(each.value, each.products) for each in facet.values] == [("red", 2)]
    async with serving(products=PRODUCTS, rewriter=answering(query="dress", filter=blue)) as gateway:
        answer = await search(gateway, "dress", facets=["colour"], filter=equals("colour", "red"))
    assert answer.degraded == ["soft_filters"]
    assert [(each.value, each.products) for each in answer.facets[0].values] == [("red", 2)]


async def test_a_price_that_was_read_always_holds() -> None:
    """Facets give way where nothing has them; a price does not."""
    under_five = query_pb2.Filter(range=query_pb2.Range(field="price", maximum=5))
    read = query_pb2.Filter(
        all_of=query_pb2.FilterList(filters=[equals("colour", "blue"), under_five]),
    )
    async with serving(products=PRODUCTS, rewriter=answering(query="dress", filter=read)) as gateway:
        assert ids(await search(gateway, "blue dress under 5")) == []


async def test_many_conditions_that_were_read_stay_one_conjunction() -> None:
    """However many they are, the answer that tells them can be parsed."""
    ranges = [query_pb2.Filter(range=query_pb2.Range(field="price", maximum=1_000 + i)) for i in range(100)]
    read = query_pb2.Filter(all_of=query_pb2.FilterList(filters=ranges))
    async with serving(products=PRODUCTS, rewriter=answering(query="dress", filter=read)) as gateway:
        answer = await search(gateway, "a dress")
    assert len(answer.searched.filter.all_of.filters) == 100


async def test_the_callers_order_goes_before_the_rewriters() -> None:
    """What a caller sorts by, no reading of the words replaces."""
    rewriter = answering(query="dress", sort=query_pb2.Sort(field="price"))
    async with serving(products=PRODUCTS, rewriter=rewriter) as gateway:
        answer = await search(gateway, "cheap dress", sort=query_pb2.Sort(field="price", descending=True))
    assert [hit.product.price for hit in answer.hits] == [30.0, 20.0, 10.0]


async def test_a_slow_rewriter_finds_the_raw_query_searched_already() -> None:
    """The raw words are searched beside the rewriter, and its answer still counts."""
    rewriter, index = answering(query="blue shirt"), FakeIndex.holding(PRODUCTS)
    encoder = FakeEncoder()
    asked = asyncio.Event()

    class Slow(FakeRewriter):
        async def rewrite(
            self, request: rewrite_pb2.RewriteRequest, *, timeout_s: float
        ) -> rewrite_pb2.RewriteResponse:
            await asked.wait()
            return await super().rewrite(request, timeout_s=timeout_s)

    slow = Slow(rewriter.answer)
    async with serving(index=index, encoder=encoder, rewriter=slow, settings=QUIET) as gateway:
        answer = asyncio.create_task(search(gateway, "something blue"))
        await until(lambda: ["something blue"] in [call.texts for call in encoder.embed_calls])
        asked.set()
        assert (await answer).searched.text == "blue shirt"
    assert encoder.embed_calls[-1].texts == ["blue shirt"]


@pytest.mark.parametrize(
    ("rewriter", "reason"),
    [
        (FakeRewriter(lambda _: rewrite_pb2.Rewrite(), delay_s=60), "late"),
        (FakeRewriter(lambda _: rewrite_pb2.Rewrite(), fails=True), "unavailable"),
        (
            FakeRewriter(lambda _: rewrite_pb2.Rewrite(route=query_pb2.ROUTE_TEXT, query="x" * 3_000)),
            "invalid",
        ),
        (FakeRewriter(lambda _: rewrite_pb2.Rewrite()), "invalid"),
    ],
    ids=["late", "unavailable", "too long", "without a route"],
)
async def test_a_broken_rewriter_degrades_but_answers(rewriter: FakeRewriter, reason: str) -> None:
    """Late, failing or wrong: the caller's own words are answered and the result says so."""
    settings = Settings(rewrite_budget_ms=20 if reason == "late" else 30_000)
    async with serving(products=PRODUCTS, rewriter=rewriter, settings=settings) as gateway:
        answer = await search(gateway, "red dress")
        counted = gateway.metrics.registry.get_sample_value(
            "vitrine_gateway_degraded_total", {"part": "rewrite", "reason": reason}
        )
    assert answer.degraded == ["rewrite"]
    assert ids(answer)[0] == "p1"
    assert answer.searched.source == "caller"
    assert counted == 1


async def test_an_open_breaker_spares_the_rewriter() -> None:
    """After failures in a row the rewriter is left alone, and the searches are degraded without the wait."""
    rewriter = FakeRewriter(lambda _: rewrite_pb2.Rewrite(), fails=True)
    settings = replace(PATIENT, breaker_failures=2, breaker_cooldown_ms=10**7)
    async with serving(products=PRODUCTS, rewriter=rewriter, settings=settings) as gateway:
        for _ in range(4):
            assert (await search(gateway, "red dress")).degraded == ["rewrite"]
    assert len(rewriter.requests) == 2


async def test_a_rewritten_search_that_fails_leaves_the_raw_answer() -> None:
    """When the rewritten words cannot be embedded, the caller's own still are answered."""

    class FailsOnRewrites(FakeEncoder):
        async def embed(self, inputs: EncoderInputs, *, timeout_s: float) -> Embedded:
            if inputs.texts == ["boom"]:
                raise EncoderError
            return await super().embed(inputs, timeout_s=timeout_s)

    encoder, rewriter = FailsOnRewrites(), answering(query="boom")
    async with serving(products=PRODUCTS, encoder=encoder, rewriter=rewriter) as gateway:
        answer = await search(gateway, "red dress")
    assert (ids(answer)[0], answer.degraded) == ("p1", ["rewrite"])


async def test_without_a_rewriter_nothing_is_degraded() -> None:
    """Where none is configured, none is missed."""
    async with serving(products=PRODUCTS) as gateway:
        assert (await search(gateway, "red dress")).degraded == []


async def test_words_without_a_rewriter_wanted_are_not_read() -> None:
    """A search that switches the rewriter off is answered as it stands."""
    rewriter = answering(query="blue shirt")
    async with serving(products=PRODUCTS, rewriter=rewriter) as gateway:
        stub = search_pb2_grpc.SearchServiceStub(gateway.channel)
        answer = await stub.Search(
            search_pb2.SearchRequest(text="red dress", rewrite=search_pb2.REWRITE_MODE_OFF), timeout=30
        )
    assert (answer.searched.text, rewriter.requests) == ("red dress", [])


async def test_the_wait_for_the_rewriter_is_told_as_a_stage() -> None:
    """Search tells the rewriter's time beside the others, and no stage took longer than the whole."""
    async with serving(products=PRODUCTS, rewriter=answering(query="blue shirt")) as gateway:
        timings = (await search(gateway, "something blue")).timings
    assert {"rewrite", "encode", "search"} <= timings.stages_ms.keys()
    assert sum(timings.stages_ms.values()) <= timings.total_ms


async def test_a_search_that_is_not_read_tells_no_rewrite(jpeg: bytes) -> None:
    """A stage that did not run is absent."""
    async with serving(products=PRODUCTS, rewriter=answering(query="x")) as gateway:
        stub = search_pb2_grpc.SearchServiceStub(gateway.channel)
        answer = await stub.Search(search_pb2.SearchRequest(image=jpeg), timeout=30)
    assert "rewrite" not in answer.timings.stages_ms


async def test_a_rewriter_that_never_answers_leaves_a_hurried_turn_its_time() -> None:
    """A turn whose deadline is shorter than the rewriter's budget is answered in the caller's own words all the same."""
    rewriter = FakeRewriter(lambda _: rewrite_pb2.Rewrite(), delay_s=60.0)
    async with serving(products=PRODUCTS, rewriter=rewriter, settings=QUIET) as gateway:
        stub = search_pb2_grpc.SearchServiceStub(gateway.channel)
        turn = search_pb2.ConverseRequest(text="blue shirt")
        events = [event async for event in stub.Converse(turn, timeout=4)]
    (result,) = [event.result for event in events if event.WhichOneof("event") == "result"]
    assert ids(result)[0] == "p3"
    assert "rewrite" in result.degraded
