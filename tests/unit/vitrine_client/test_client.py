import socket
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import code_pb2
from google.rpc.error_details_pb2 import BadRequest, RetryInfo

from vitrine.client import FieldViolation, VitrineClient, VitrineError
from vitrine.v1.catalogue_pb2 import DeleteProductsRequest, ProductInput
from vitrine.v1.query_pb2 import Product
from vitrine.v1.search_pb2 import ConverseRequest, SearchRequest


async def products(*ids: str) -> AsyncIterator[ProductInput]:
    for product_id in ids:
        yield ProductInput(product=Product(id=product_id))


async def test_search_gives_the_services_answer(script: Any) -> None:
    """A search passes the request on and gives the message that came back."""
    async with VitrineClient(script.address) as client:
        answer = await client.search(SearchRequest(text="red dress", limit=2))
    assert [hit.product_id for hit in answer.hits] == ["p1", "p2"]
    assert script.requests == [SearchRequest(text="red dress", limit=2)]


async def test_converse_streams_the_turn(script: Any) -> None:
    """A turn arrives as what was understood, the hits and the reply, in that order."""
    async with VitrineClient(script.address) as client:
        events = [event async for event in client.converse(ConverseRequest(text="a red dress"))]
    assert [event.WhichOneof("event") for event in events] == ["understood", "result", "reply"]


async def test_upsert_sends_the_options_first(script: Any) -> None:
    """Products follow one message with the options; every acknowledgement is passed on."""
    async with VitrineClient(script.address) as client:
        answers = [a async for a in client.upsert(products("a", "b"), rebuild=True, source="demo")]
    assert [answer.written for answer in answers] == [1, 2]
    assert script.requests[0].options.rebuild
    assert script.requests[0].options.source == "demo"
    assert [request.product.product.id for request in script.requests[1:]] == ["a", "b"]


async def test_upsert_raises_what_the_source_raises(script: Any) -> None:
    """A source that fails half-way is not taken for its end."""

    async def broken() -> AsyncIterator[ProductInput]:
        yield ProductInput(product=Product(id="a"))
        raise OSError("disk gone")

    async with VitrineClient(script.address) as client:
        with pytest.raises(OSError, match="disk gone"):
            async for _ in client.upsert(broken()):
                pass


async def test_upsert_raises_what_the_service_refuses(script: Any) -> None:
    """A refusal in the middle of the stream ends it with the service's status."""
    script.fail(code_pb2.FAILED_PRECONDITION, "index of another model: rebuild it")
    async with VitrineClient(script.address) as client:
        with pytest.raises(VitrineError, match="rebuild it") as caught:
            async for _ in client.upsert(products("a", "b")):
                pass
    assert caught.value.code is grpc.StatusCode.FAILED_PRECONDITION


async def test_a_refusal_outlives_the_products_on_their_way(script: Any) -> None:
    """The service's status arrives however many products are being written when it ends the stream."""

    async def endless() -> AsyncIterator[ProductInput]:
        while True:
            yield ProductInput(product=Product(id="a", title="t" * 2000))

    async def refused_midway(client: VitrineClient) -> None:
        script.failure = None
        async for answer in client.upsert(endless()):
            if answer.written == 20:
                script.fail(code_pb2.FAILED_PRECONDITION, "index of another model: rebuild it")

    async with VitrineClient(script.address) as client:
        for _ in range(40):
            with pytest.raises(VitrineError, match="rebuild it") as caught:
                await refused_midway(client)
            assert caught.value.code is grpc.StatusCode.FAILED_PRECONDITION


async def test_upsert_says_that_nothing_listens() -> None:
    """A stream to an address where nothing listens is unreachable, as every other call is."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        async with VitrineClient(f"127.0.0.1:{held.getsockname()[1]}") as client:
            with pytest.raises(VitrineError) as caught:
                await anext(client.upsert(products("a")))
    assert caught.value.unreachable


async def test_upsert_can_be_left_early(script: Any) -> None:
    """Leaving the loop closes the stream; the client serves the next call."""

    async def endless() -> AsyncIterator[ProductInput]:
        while True:
            yield ProductInput(product=Product(id="a"))

    async with VitrineClient(script.address) as client:
        answers = client.upsert(endless())
        assert (await anext(answers)).written == 1
        await answers.aclose()  # type: ignore[attr-defined]
        assert (await client.describe()).products == 3000


async def test_reads_the_catalogue(script: Any) -> None:
    """Products are read and deleted by id; health is given by its name."""
    async with VitrineClient(script.address) as client:
        assert (await client.get_product("p7")).product.id == "p7"
        assert (await client.delete(DeleteProductsRequest(product_ids=["a", "b"]))).deleted == 2
        assert await client.health() == "SERVING"


async def test_an_error_names_the_fields(script: Any) -> None:
    """A refused request gives the status, the sentence and each field's violation."""
    violation = BadRequest.FieldViolation(field="limit", description="1 to 200, got 0")
    script.fail(code_pb2.INVALID_ARGUMENT, "limit: 1 to 200", BadRequest(field_violations=[violation]))
    async with VitrineClient(script.address) as client:
        with pytest.raises(VitrineError, match="limit: 1 to 200") as caught:
            await client.search(SearchRequest(text="x"))
    assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.violations == (FieldViolation("limit", "1 to 200, got 0"),)
    assert caught.value.retry_after_s is None
    assert not caught.value.unreachable


async def test_an_error_says_when_to_come_back(script: Any) -> None:
    """A refusal at the door carries the delay and is not repeated by the client."""
    delay = Duration()
    delay.FromTimedelta(timedelta(milliseconds=250))
    script.fail(code_pb2.RESOURCE_EXHAUSTED, "too busy", RetryInfo(retry_delay=delay))
    async with VitrineClient(script.address) as client:
        with pytest.raises(VitrineError) as caught:
            await client.search(SearchRequest(text="x"))
    assert caught.value.retry_after_s == 0.25
    assert len(script.requests) == 1


@pytest.mark.parametrize(("retry", "calls"), [(True, 3), (False, 1)])
async def test_unavailable_reads_are_repeated(script: Any, retry: bool, calls: int) -> None:  # noqa: FBT001
    """A read that met UNAVAILABLE is tried three times, unless the caller wants none of that."""
    script.fail(code_pb2.UNAVAILABLE, "encoder is unavailable")
    async with VitrineClient(script.address, retry=retry) as client:
        with pytest.raises(VitrineError, match="encoder is unavailable") as caught:
            await client.search(SearchRequest(text="x"))
    assert len(script.requests) == calls
    assert not caught.value.unreachable


async def test_nothing_at_the_address_is_said_so() -> None:
    """A closed port gives UNAVAILABLE, marked as unreachable."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    async with VitrineClient(address) as client:
        with pytest.raises(VitrineError) as caught:
            await client.search(SearchRequest(text="x"))
    assert caught.value.code is grpc.StatusCode.UNAVAILABLE
    assert caught.value.unreachable


async def test_every_call_has_a_deadline(script: Any) -> None:
    """A service that dawdles is left after the client's time, or after the call's own."""
    script.goes_on.clear()
    async with VitrineClient(script.address, timeout_s=0.2) as client:
        for own_s in (None, 0.1):
            with pytest.raises(VitrineError) as caught:
                await client.search(SearchRequest(text="x"), timeout_s=own_s)
            assert caught.value.code is grpc.StatusCode.DEADLINE_EXCEEDED
    script.goes_on.set()
