"""The gateway over real Triton, Milvus and rewriter: every route, conversations, measurements."""

import asyncio
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from vitrine.v1 import catalogue_pb2, catalogue_pb2_grpc, query_pb2, search_pb2, search_pb2_grpc

TIMEOUT_S = 60.0
READERS = ("model-", "router")
"""What reads turns: the embedded model, or the rules that stand in for it."""


@pytest.fixture
async def channel(stack: Any) -> AsyncIterator[aio.Channel]:
    """Connect to the running gateway."""
    async with aio.insecure_channel(
        stack.gateway, options=[("grpc.use_local_subchannel_pool", 1)]
    ) as channel:
        yield channel


@pytest.fixture
def picture(stack: Any) -> bytes:
    """Give a picture that is not in the index."""
    folder = Path(stack.catalogue) / "queries"
    return min(folder.glob("*.jpg")).read_bytes()


async def search(channel: aio.Channel, **request: object) -> search_pb2.SearchResponse:
    stub = search_pb2_grpc.SearchServiceStub(channel)
    return await stub.Search(search_pb2.SearchRequest(**request), timeout=TIMEOUT_S)  # type: ignore[arg-type] # the tests name the fields


async def take_turn(channel: aio.Channel, **request: object) -> list[search_pb2.ConverseResponse]:
    stub = search_pb2_grpc.SearchServiceStub(channel)
    turn = search_pb2.ConverseRequest(**request)  # type: ignore[arg-type] # the tests name the fields
    return [event async for event in stub.Converse(turn, timeout=TIMEOUT_S)]


async def until_read(channel: aio.Channel, text: str) -> search_pb2.SearchResponse:
    """Search until the rewriter was in time: on a busy machine it may miss its budget, and rest for a while."""
    async with asyncio.timeout(TIMEOUT_S):
        while True:
            answer = await search(channel, text=text, rewrite=search_pb2.REWRITE_MODE_AUTO, limit=20)
            if not answer.degraded:
                return answer
            await asyncio.sleep(0.2)


async def some_product(channel: aio.Channel) -> str:
    return (await search(channel, text="red dress", limit=1)).hits[0].product_id


async def test_every_route_is_answered_in_order_with_both_parts(channel: aio.Channel, picture: bytes) -> None:
    """Words, picture, both, product, product and words: sorted scores, each the weighted sum of its parts."""
    product_id = await some_product(channel)
    for request, route in (
        ({"text": "a warm red jumper"}, query_pb2.ROUTE_TEXT),
        ({"image": picture}, query_pb2.ROUTE_IMAGE),
        ({"image": picture, "text": "in blue"}, query_pb2.ROUTE_COMPOSED),
        ({"product_id": product_id, "text": "in blue"}, query_pb2.ROUTE_REFINE),
        ({"product_id": product_id}, query_pb2.ROUTE_SIMILAR),
    ):
        answer = await search(channel, limit=7, rewrite=search_pb2.REWRITE_MODE_OFF, **request)
        assert answer.searched.route == route
        scores = [hit.score for hit in answer.hits]
        assert len(scores) == 7
        assert scores == sorted(scores, reverse=True)
        weights = answer.searched.weights
        for hit in answer.hits:
            weighted = weights.text * hit.parts.text + weights.image * hit.parts.image
            assert hit.score == pytest.approx(weighted, abs=1e-5)
            assert hit.product_id == hit.product.id != product_id or "product_id" not in request
        assert answer.degraded == []
        assert answer.versions.model
        assert answer.versions.index


async def test_a_products_own_picture_finds_the_product(channel: aio.Channel, stack: Any) -> None:
    """The picture of an indexed product, sent as bytes, has that product at the top of the image half."""
    product_id = await some_product(channel)
    stub = catalogue_pb2_grpc.CatalogueServiceStub(channel)
    product = await stub.GetProduct(catalogue_pb2.GetProductRequest(product_id=product_id), timeout=TIMEOUT_S)
    answer = await search(
        channel,
        image=await asyncio.to_thread((stack.catalogue / product.product.image_uri).read_bytes),
        weights=query_pb2.Weights(image=1),
        limit=3,
    )
    assert answer.hits[0].product_id == product_id
    assert answer.hits[0].parts.image == pytest.approx(1.0, abs=1e-3)


async def test_the_same_query_gives_the_same_answer(channel: aio.Channel) -> None:
    """Alone, repeated from the cache and among others in a batch, a query has the same hits and scores."""

    async def found(text: str) -> search_pb2.SearchResponse:
        return await search(channel, text=text, limit=5, rewrite=search_pb2.REWRITE_MODE_OFF)

    alone = await found("green checked shirt")
    again = await found("green checked shirt")
    together = await asyncio.gather(
        *(found(f"green checked shirt {number}") for number in range(16)), found("green  checked shirt")
    )
    for answer in (again, together[-1]):
        assert [hit.product_id for hit in answer.hits] == [hit.product_id for hit in alone.hits]
        assert [hit.score for hit in answer.hits] == pytest.approx(
            [hit.score for hit in alone.hits], abs=1e-5
        )


async def test_filters_and_field_masks_hold(channel: aio.Channel) -> None:
    """Every hit fulfils the filter, and carries the asked fields alone."""
    dresses = query_pb2.Filter(
        equals=query_pb2.Equals(field="category", value=query_pb2.FieldValue(text="dress"))
    )
    cheap = query_pb2.Filter(range=query_pb2.Range(field="price", maximum=60))
    answer = await search(
        channel,
        text="something red",
        filter=query_pb2.Filter(all_of=query_pb2.FilterList(filters=[dresses, cheap])),
        fields=FieldMask(paths=["category", "price"]),
        limit=20,
    )
    assert answer.hits
    assert {hit.product.category for hit in answer.hits} == {"dress"}
    assert max(hit.product.price for hit in answer.hits) <= 60
    assert {hit.product.title for hit in answer.hits} == {""}


async def test_the_rewriter_reads_prices_out_of_the_words(channel: aio.Channel) -> None:
    """With the rewriter on, "under 60" becomes a filter, and the answer says who read it."""
    answer = await until_read(channel, "a red dress under 60")
    assert answer.searched.source.startswith(READERS)
    assert answer.hits
    assert max(hit.product.price for hit in answer.hits) <= 60
    plain = await search(channel, text="a red dress under 60", rewrite=search_pb2.REWRITE_MODE_OFF, limit=20)
    assert plain.searched.source == "caller"


async def test_three_turns_understand_each_other(channel: aio.Channel) -> None:
    """A search, a price and a change of colour: each turn builds on the one before."""
    first = await take_turn(channel, text="a red dress", limit=5)
    session_id = first[0].session_id
    second = await take_turn(channel, session_id=session_id, text="under 100 please", limit=5)
    third = await take_turn(channel, session_id=session_id, text="the second one but in blue", limit=5)
    for turn in (first, second, third):
        assert [event.WhichOneof("event") for event in turn] == ["understood", "result", "reply"]
        assert turn[1].result.degraded == []
        assert turn[0].understood.source.startswith(READERS)
    shown = [hit.product for hit in second[1].result.hits]
    assert {(product.category, product.colour) for product in shown} == {("dress", "red")}
    assert max(product.price for product in shown) <= 100
    assert third[1].result.searched.route == query_pb2.ROUTE_REFINE
    assert third[0].understood.references[0] == shown[1].id
    assert {hit.product.colour for hit in third[1].result.hits} <= {"blue"}


async def test_a_conversation_can_begin_with_a_picture(channel: aio.Channel, picture: bytes) -> None:
    """A picture first, words about it afterwards: the second turn changes the first one's picture or its hits."""
    first = await take_turn(channel, image=picture, limit=5)
    second = await take_turn(channel, session_id=first[0].session_id, text="the same but in black", limit=5)
    assert first[1].result.searched.route == query_pb2.ROUTE_IMAGE
    assert second[1].result.searched.route in {query_pb2.ROUTE_COMPOSED, query_pb2.ROUTE_REFINE}
    assert second[1].result.hits


async def test_health_says_serving_for_every_service(channel: aio.Channel) -> None:
    """A running stack with an index serves everything; a probe that was late on a busy machine is soon repeated."""
    health: Any = health_pb2_grpc.HealthStub(channel)
    for service in ("", "vitrine.v1.SearchService", "vitrine.v1.CatalogueService"):
        request = health_pb2.HealthCheckRequest(service=service)
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                answer = await health.Check(request, timeout=TIMEOUT_S)
                if answer.status == health_pb2.HealthCheckResponse.SERVING:
                    break
                await asyncio.sleep(0.2)


async def test_metrics_are_exposed_on_their_own_port(stack: Any, channel: aio.Channel) -> None:
    """The endpoint tells requests, stages and dependencies after a search."""
    await search(channel, text="red dress")
    text = await asyncio.to_thread(_read, f"http://{stack.metrics}/metrics")
    for name in (
        "requests_total",
        "request_seconds_bucket",
        "stage_seconds_bucket",
        "dependency_seconds_bucket",
    ):
        assert f"vitrine_gateway_{name}" in text
    assert 'vitrine_gateway_serving{service="vitrine.v1.SearchService"} 1.0' in text


def _read(url: str) -> str:
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as response:  # noqa: S310 - http on loopback
        return str(response.read().decode())


async def test_many_callers_at_once_are_answered_or_told_to_wait(channel: aio.Channel) -> None:
    """200 searches at once: each is answered or refused with RESOURCE_EXHAUSTED; none fails otherwise."""

    async def outcome(number: int) -> grpc.StatusCode:
        try:
            await search(channel, text=f"dress number {number}", limit=5)
        except aio.AioRpcError as error:
            return error.code()
        return grpc.StatusCode.OK

    outcomes = await asyncio.gather(*(outcome(number) for number in range(200)))
    assert set(outcomes) <= {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert outcomes.count(grpc.StatusCode.OK) >= 16
    assert len((await search(channel, text="red dress", limit=3)).hits) == 3


async def test_hung_up_searches_leave_nothing_behind(stack: Any, channel: aio.Channel) -> None:
    """After 50 callers hung up, no search is in flight and the next is answered."""
    stub = search_pb2_grpc.SearchServiceStub(channel)
    calls = [
        stub.Search(search_pb2.SearchRequest(text=f"never mind {number}"), timeout=5) for number in range(50)
    ]
    await asyncio.sleep(0.01)
    for call in calls:
        call.cancel()
    await search(channel, text="red dress")
    metrics = f"http://{stack.metrics}/metrics"
    none = 'vitrine_gateway_searches_running{lane="words"} 0.0'
    async with asyncio.timeout(TIMEOUT_S):
        while none not in await asyncio.to_thread(_read, metrics):  # noqa: ASYNC110 - another process counts
            await asyncio.sleep(0.05)
