"""The bridge's spans and ids, and what its client passes on."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from gateway.testing import product, serving
from storefront.server import application
from storefront.settings import Settings
from vitrine.client import VitrineClient, trace_metadata
from vitrine.process.tracing import open_tracer
from vitrine.v1 import catalogue_pb2, search_pb2

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
MARK = "SECRETWORD"


async def test_a_request_is_one_trace_from_the_browser_to_the_gateway(collector: Any, form: Any) -> None:
    """The page's span is below the browser's, the gateway's below the page's; the id goes along, and words do not."""
    with (
        open_tracer(collector.endpoint, service="vitrine-storefront", share=1.0) as page,
        open_tracer(collector.endpoint, service="vitrine-gateway", share=1.0) as tracer,
    ):
        async with serving(products=(product("p1", "red dress"),), tracer=tracer) as gateway:
            app = await application(Settings(gateway=gateway.address), tracer=page)
            async with TestClient(TestServer(app)) as client:
                headers = {"traceparent": PARENT, "x-request-id": "browser-1"}
                answer = await client.post("/search", data=form(f'{{"text": "{MARK}"}}'), headers=headers)
                assert answer.status == 200
                for method, path in (
                    ("GET", f"/products/{MARK}/picture"),
                    (MARK, "/search"),
                    ("GET", f"/{MARK}"),
                ):
                    await client.request(method, path, headers={"traceparent": PARENT})
    spans = {(span.service, span.name): span for span in collector.spans()}
    served = spans["vitrine-storefront", "POST /search"]
    below = spans["vitrine-gateway", "vitrine.v1.SearchService/Search"]
    assert (served.trace_id.hex(), served.parent_span_id.hex()) == (TRACE, "00f067aa0ba902b7")
    assert (below.trace_id, below.parent_span_id) == (served.trace_id, served.span_id)
    assert below.attributes["vitrine.request_id"] == "browser-1"
    assert served.attributes == {"http.response.status_code": 200}
    names = {name for service, name in spans if service == "vitrine-storefront"}
    assert names == {"POST /search", "GET /products/{product_id}/picture", "no route"}
    assert not any(MARK.encode() in payload for payload in collector.payloads)


async def test_a_client_carries_the_context_that_it_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    """The current span goes first, then the environment's TRACEPARENT, as OpenTelemetry's tools set it; or neither."""
    monkeypatch.delenv("TRACEPARENT", raising=False)
    assert trace_metadata() == ()
    monkeypatch.setenv("TRACEPARENT", PARENT)
    assert trace_metadata() == (("traceparent", PARENT),)
    monkeypatch.setenv("TRACEPARENT", "anything")
    assert trace_metadata() == ()


async def test_what_the_clients_maker_adds_goes_along_with_every_call(collector: Any) -> None:
    """`metadata` is asked before each call, the stream of products included."""
    with open_tracer(collector.endpoint, service="vitrine-gateway", share=1.0) as tracer:
        async with serving(products=(product("p1", "red dress"),), tracer=tracer) as gateway:
            metadata = (("x-request-id", "mine"), ("traceparent", PARENT))
            async with VitrineClient(gateway.address, metadata=lambda: metadata) as client:
                await client.search(search_pb2.SearchRequest(text="red"))
                await client.get_product("p1")
                await client.describe()
                await client.delete(catalogue_pb2.DeleteProductsRequest(product_ids=["p2"]))
                assert [event async for event in client.converse(search_pb2.ConverseRequest(text="red"))]
                assert [answer async for answer in client.upsert(no_products())]
    served = [span for span in collector.spans() if "vitrine.request_id" in span.attributes]
    assert {span.attributes["vitrine.request_id"] for span in served} == {"mine"}
    assert {span.trace_id.hex() for span in served} == {TRACE}
    assert {span.name.rpartition("/")[2] for span in served} == {
        "Search",
        "GetProduct",
        "Describe",
        "DeleteProducts",
        "Converse",
        "UpsertProducts",
    }


async def no_products() -> AsyncIterator[catalogue_pb2.ProductInput]:
    """Yield nothing."""
    nothing: tuple[catalogue_pb2.ProductInput, ...] = ()
    for each in nothing:
        yield each
