"""What holds for every call: statuses and their details, ids, deadlines, measurements, the log line."""

import asyncio
import json
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status

from gateway.errors import EncoderError, SearchError
from gateway.logs import call_fields, encode
from gateway.model import Embedded, EncoderInputs
from gateway.settings import Settings
from gateway.testing import FakeEncoder, FakeIndex, FakeRewriter, ServedGateway, product, serving
from vitrine.process.logs import JsonFormatter
from vitrine.v1 import catalogue_pb2, catalogue_pb2_grpc, query_pb2, rewrite_pb2, search_pb2, search_pb2_grpc

PRODUCTS = (product("p1", "red dress"),)


async def search(
    gateway: ServedGateway, text: str = "red dress", **call: object
) -> search_pb2.SearchResponse:
    stub = search_pb2_grpc.SearchServiceStub(gateway.channel)
    options = {"timeout": 60.0, **call}
    return await stub.Search(search_pb2.SearchRequest(text=text), **options)  # type: ignore[arg-type] # gRPC's own


async def refusal(gateway: ServedGateway, text: str = "red dress", **call: object) -> aio.AioRpcError:
    with pytest.raises(aio.AioRpcError) as refused:
        await search(gateway, text, **call)
    return refused.value


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - what is awaited happens on the other side of a socket
            await asyncio.sleep(0.005)


def details_of(error: aio.AioRpcError) -> dict[str, Message]:
    status = rpc_status.from_call(error)
    assert status is not None
    details: dict[str, Message] = {}
    for packed in status.details:
        kind = getattr(error_details_pb2, packed.TypeName().rpartition(".")[2])()
        assert packed.Unpack(kind)
        details[packed.TypeName()] = kind
    return details


async def test_a_refusal_carries_field_and_limit_for_programs() -> None:
    """BadRequest, ErrorInfo and RequestInfo come with the status."""
    async with serving(products=PRODUCTS) as gateway:
        error = await refusal(gateway, "x" * 2_001, metadata=(("x-request-id", "abc-1"),))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert error.details() == "text: at most 2,000 characters, got 2,001"
    details = details_of(error)
    assert details["google.rpc.BadRequest"] == error_details_pb2.BadRequest(
        field_violations=[{"field": "text", "description": "at most 2,000 characters, got 2,001"}]
    )
    assert details["google.rpc.ErrorInfo"] == error_details_pb2.ErrorInfo(
        reason="INVALID_ARGUMENT", domain="vitrine", metadata={"field": "text"}
    )
    assert details["google.rpc.RequestInfo"] == error_details_pb2.RequestInfo(request_id="abc-1")
    assert dict(error.trailing_metadata())["x-request-id"] == "abc-1"


async def test_request_ids_are_taken_over_or_made() -> None:
    """A caller's id is used where it is one; anything else gets a new one."""
    async with serving(products=PRODUCTS) as gateway:
        assert (await search(gateway, metadata=(("x-request-id", "abc-1"),))).request_id == "abc-1"
        made = (await search(gateway, metadata=(("x-request-id", "a b;" * 100),))).request_id
    assert len(made) == 32
    assert made.isalnum()


async def test_a_dependency_is_named_and_its_message_is_not() -> None:
    """UNAVAILABLE says which dependency failed."""
    encoder = FakeEncoder()
    async with serving(products=PRODUCTS, encoder=encoder) as gateway:
        await search(gateway)
        encoder.error = EncoderError()
        error = await refusal(gateway, "something new")
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert error.details() == "encoder is unavailable"
    assert details_of(error)["google.rpc.ErrorInfo"] == error_details_pb2.ErrorInfo(
        reason="UNAVAILABLE", domain="vitrine", metadata={"dependency": "encoder"}
    )


async def test_a_gateway_that_ends_refuses_new_calls_and_answers_old_ones() -> None:
    """UNAVAILABLE, which clients repeat elsewhere, meets whoever comes after the drain; who was in is answered."""
    encoder = FakeEncoder(delay_s=0.5)
    async with serving(products=PRODUCTS, encoder=encoder) as gateway:
        accepted = asyncio.create_task(search(gateway))
        await until(lambda: ["red dress"] in [call.texts for call in encoder.embed_calls])
        gateway.edge.close()
        error = await refusal(gateway)
        assert (await accepted).hits
    assert (error.code(), error.details()) == (
        grpc.StatusCode.UNAVAILABLE,
        "the gateway is shutting down",
    )


async def test_what_nobody_foresaw_is_internal_and_tells_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """A bug is logged with its traceback; the caller learns the request's id alone."""

    class Broken(FakeEncoder):
        async def embed(self, inputs: EncoderInputs, *, timeout_s: float) -> Embedded:
            if inputs.texts != ["ready"]:
                raise KeyError("secret detail")
            return await super().embed(inputs, timeout_s=timeout_s)

    async with serving(products=PRODUCTS, encoder=Broken()) as gateway:
        error = await refusal(gateway)
    assert (error.code(), error.details()) == (grpc.StatusCode.INTERNAL, "internal error")
    assert set(details_of(error)) == {"google.rpc.RequestInfo"}
    (record,) = [record for record in caplog.records if record.message == "call_failed"]
    assert "secret detail" in (record.exc_text or logging.Formatter().formatException(record.exc_info))  # type: ignore[arg-type]


async def test_a_deadline_is_set_where_the_caller_sets_none() -> None:
    """A call without a deadline ends after the default, with a status that says why."""
    encoder = FakeEncoder()
    settings = Settings(default_deadline_ms=50)
    async with serving(products=PRODUCTS, encoder=encoder, settings=settings) as gateway:
        await search(gateway)
        encoder.delay_s = 60
        error = await refusal(gateway, "something new", timeout=None)
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert "google.rpc.RequestInfo" in details_of(error)


async def test_a_deadline_has_a_cap() -> None:
    """A caller who would wait for an hour does not hold a slot for it."""
    encoder = FakeEncoder()
    async with serving(
        products=PRODUCTS, encoder=encoder, settings=Settings(max_deadline_ms=1_000)
    ) as gateway:
        await search(gateway)
        encoder.delay_s = 60
        error = await refusal(gateway, "something new", timeout=3_600.0)
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_a_short_deadline_is_answered_within_it_and_harms_nobody() -> None:
    """The caller's own deadline holds; the next caller is answered."""
    encoder = FakeEncoder()
    async with serving(products=PRODUCTS, encoder=encoder) as gateway:
        await search(gateway)
        encoder.delay_s = 60
        error = await refusal(gateway, "something new", timeout=0.1)
        assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        encoder.delay_s = 0
        assert (await search(gateway, "something new")).hits[0].product_id == "p1"


async def test_a_caller_who_hangs_up_frees_the_encoder() -> None:
    """Cancellation reaches the dependency, and is counted as such."""
    encoder = FakeEncoder()
    async with serving(products=PRODUCTS, encoder=encoder) as gateway:
        await search(gateway)
        encoder.delay_s = 60
        stub = search_pb2_grpc.SearchServiceStub(gateway.channel)
        call = stub.Search(search_pb2.SearchRequest(text="something new"), timeout=60)
        await until(lambda: ["something new"] in [each.texts for each in encoder.embed_calls])
        call.cancel()
        await until(lambda: encoder.cancelled == 1)
        value, ended = gateway.metrics.registry.get_sample_value, {"method": "Search", "code": "CANCELLED"}
        await until(lambda: value("vitrine_gateway_requests_total", ended) == 1)


async def test_more_than_it_can_carry_is_refused_with_advice() -> None:
    """With slot and queue taken, RESOURCE_EXHAUSTED says when to come back."""
    encoder = FakeEncoder()
    settings = Settings(initial_concurrency=1, max_concurrency=1, max_queue=0)
    async with serving(products=PRODUCTS, encoder=encoder, settings=settings) as gateway:
        await search(gateway)
        encoder.delay_s = 60.0
        running = asyncio.create_task(search(gateway, "something new"))
        await until(lambda: ["something new"] in [each.texts for each in encoder.embed_calls])
        error = await refusal(gateway, "something else")
        running.cancel()
        shed = gateway.metrics.registry.get_sample_value(
            "vitrine_gateway_shed_total", {"lane": "words", "reason": "queue_full"}
        )
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    delay = details_of(error)["google.rpc.RetryInfo"].retry_delay  # type: ignore[attr-defined] # RetryInfo's
    assert delay.ToTimedelta().total_seconds() >= 0.05
    assert shed == 1


async def test_a_stream_that_trickles_ends_as_one_that_is_silent_does() -> None:
    """A message now and then holds a stream of products for no longer than its patience, to which each message adds a little."""
    async with serving(products=PRODUCTS) as gateway:
        gateway.edge.rules = replace(gateway.edge.rules, idle_s=0.3, earned_s=0.02)
        stream = catalogue_pb2_grpc.CatalogueServiceStub(gateway.channel).UpsertProducts(timeout=60)
        message = catalogue_pb2.UpsertProductsRequest()
        message.product.product.id, message.product.product.title = "p9", "dress"

        with suppress(aio.AioRpcError, asyncio.InvalidStateError):
            while True:
                await stream.write(message)
                await asyncio.sleep(0.05)
        ended = {"method": "UpsertProducts", "code": "DEADLINE_EXCEEDED"}
        value = gateway.metrics.registry.get_sample_value
        await until(lambda: value("vitrine_gateway_requests_total", ended) == 1)


async def test_health_tells_each_service() -> None:
    """Health answers for the whole and for each service, as the probes found them."""
    async with serving(index=FakeIndex()) as gateway:
        health = health_pb2_grpc.HealthStub(gateway.channel)

        async def status(service: str) -> int:
            request = health_pb2.HealthCheckRequest(service=service)
            answer = await health.Check(request, timeout=60)  # type: ignore[attr-defined]
            return int(answer.status)

        await until(
            lambda: (
                gateway.metrics.registry.get_sample_value("vitrine_gateway_serving", {"service": "all"}) == 1
            )
        )
        assert await status("") == health_pb2.HealthCheckResponse.SERVING
        assert await status("vitrine.v1.CatalogueService") == health_pb2.HealthCheckResponse.SERVING
        assert await status("vitrine.v1.SearchService") == health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.mark.parametrize("offered", [True, False])
async def test_reflection_is_a_setting(*, offered: bool) -> None:
    """Reflection lists the services where it is switched on, and is unknown where it is not."""
    async with serving(products=PRODUCTS, settings=Settings(reflection=int(offered))) as gateway:
        stub = reflection_pb2_grpc.ServerReflectionStub(gateway.channel)
        call = stub.ServerReflectionInfo(
            iter([reflection_pb2.ServerReflectionRequest(list_services="")]), timeout=60
        )
        if not offered:
            with pytest.raises(aio.AioRpcError) as unknown:
                await call.read()
            assert unknown.value.code() is grpc.StatusCode.UNIMPLEMENTED
            return
        names = {service.name for service in (await call.read()).list_services_response.service}
        call.cancel()
    assert {"vitrine.v1.SearchService", "vitrine.v1.CatalogueService", "grpc.health.v1.Health"} <= names


async def test_one_search_leaves_one_log_line_without_the_words(caplog: pytest.LogCaptureFixture) -> None:
    """The line has id, status and timings; the shopper's words are nowhere."""
    caplog.set_level(logging.INFO, logger="gateway")
    async with serving(products=PRODUCTS) as gateway:
        answer = await search(gateway, "secret wish")
    (record,) = [record for record in caplog.records if record.message == "call"]
    entry = json.loads(JsonFormatter(call_fields).format(record))
    assert (entry["code"], entry["route"], entry["hits"]) == ("OK", "text", 1)
    assert entry["stages_ms"].keys() == answer.timings.stages_ms.keys() == {"encode", "search"}
    assert not any("secret wish" in JsonFormatter(call_fields).format(record) for record in caplog.records)


@pytest.mark.parametrize(
    "value", [["red", 1.5, None, {"a": True}], "\ud800", 1 << 70, KeyError("a"), ("é", 2)]
)
def test_a_log_line_says_what_the_standard_librarys_would(value: object) -> None:
    """Whatever is noted, also what the quick encoder refuses."""
    entry = {"event": "noted", "value": value}
    assert json.loads(encode(entry)) == json.loads(json.JSONEncoder(default=str).encode(entry))


async def test_a_turn_is_logged_as_data_without_the_words(caplog: pytest.LogCaptureFixture) -> None:
    """The line tells how the turn was read, and how much it dislikes: no value, for the shopper's words may be one."""
    caplog.set_level(logging.INFO, logger="gateway")
    hates = query_pb2.SENTIMENT_NEGATIVE
    rewrite = rewrite_pb2.Rewrite(
        route=query_pb2.ROUTE_TEXT,
        query="secret query",
        reply="secret reply",
        intent=query_pb2.INTENT_BUY,
        sentiment=hates,
        remarks=[
            rewrite_pb2.Remark(field="colour", value="red", polarity=hates),
            rewrite_pb2.Remark(field="fit", value="secret complaint", polarity=hates),
        ],
    )
    products = [*PRODUCTS, product("p9", "dress", colour="blue")]
    async with serving(products=products, rewriter=FakeRewriter(lambda _: rewrite)) as gateway:
        stub = search_pb2_grpc.SearchServiceStub(gateway.channel)
        [event async for event in stub.Converse(search_pb2.ConverseRequest(text="secret wish"), timeout=60)]
    (record,) = [record for record in caplog.records if record.message == "call"]
    entry = json.loads(JsonFormatter(call_fields).format(record))
    assert (entry["intent"], entry["sentiment"], entry["route"]) == ("buy", "negative", "text")
    assert (entry["remarks"], entry["excluded"]) == (2, 1)
    assert not any("secret" in JsonFormatter(call_fields).format(record) for record in caplog.records)


async def test_one_search_is_measured_once() -> None:
    """Requests, stages, dependencies and caches are counted; nothing stays in flight."""
    settings = Settings(lexical_share=0.0, result_cache_entries=0)
    async with serving(products=PRODUCTS, settings=settings) as gateway:
        await search(gateway)
        await search(gateway)
        value = gateway.metrics.registry.get_sample_value
        prefix = "vitrine_gateway"
        assert value(f"{prefix}_requests_total", {"method": "Search", "code": "OK"}) == 2
        assert value(f"{prefix}_request_seconds_count", {"method": "Search"}) == 2
        assert value(f"{prefix}_stage_seconds_count", {"route": "text", "stage": "search"}) == 2
        assert value(f"{prefix}_dependency_seconds_count", {"dependency": "encoder", "outcome": "ok"}) == 1
        assert value(f"{prefix}_dependency_seconds_count", {"dependency": "index", "outcome": "ok"}) == 2
        assert value(f"{prefix}_cache_lookups_total", {"cache": "embedding", "outcome": "hit"}) == 1
        assert value(f"{prefix}_in_flight", {"method": "Search"}) == 0
        assert value(f"{prefix}_searches_running", {"lane": "words"}) == 0


def test_every_error_of_the_tree_has_a_status() -> None:
    """No error of the tree is left with the base's INTERNAL."""
    pending = [SearchError]
    while pending:
        kind = pending.pop()
        pending.extend(kind.__subclasses__())
        assert kind is SearchError or kind.code is not grpc.StatusCode.INTERNAL
