"""Spans of a gateway as a collector gets them, and what happens to them where there is none."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import pytest
from grpc import aio

from gateway.context import hop_metadata
from gateway.errors import EncoderError
from gateway.model import Embedded, EncoderInputs
from gateway.settings import Settings
from gateway.testing import FakeEncoder, FakeRewriter, ServedGateway, product, serving
from vitrine.process.settings import InvalidSettings
from vitrine.process.tracing import UNTRACED, Tracer, hop_context, open_tracer, read_traceparent, span
from vitrine.v1 import query_pb2, rewrite_pb2, search_pb2, search_pb2_grpc

PRODUCTS = (product("p1", "red dress"),)
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = "00f067aa0ba902b7"
SAMPLED, UNSAMPLED = f"00-{TRACE}-{CALLER}-01", f"00-{TRACE}-{CALLER}-00"
SERVER, INTERNAL = 2, 1
FAILED = 2


async def search(gateway: ServedGateway, text: str = "red dress", traceparent: str = "") -> Any:
    stub = search_pb2_grpc.SearchServiceStub(gateway.channel)
    metadata = (("traceparent", traceparent),) if traceparent else ()
    return await stub.Search(search_pb2.SearchRequest(text=text), timeout=60, metadata=metadata)


@contextmanager
def traced(endpoint: str, *, share: float = 1.0) -> Iterator[Tracer]:
    with open_tracer(endpoint, service="vitrine-gateway", share=share) as tracer:
        yield tracer


def named(collector: Any, name: str) -> list[Any]:
    return [span for span in collector.spans() if span.name == name]


async def test_a_search_is_a_trace_with_its_stages_below_it(collector: Any) -> None:
    """The server's span has the method, the code and the request's id; each stage is a child in the same trace."""
    with traced(collector.endpoint) as tracer:
        async with serving(products=PRODUCTS, tracer=tracer) as gateway:
            answer = await search(gateway)
    (served,) = named(collector, "vitrine.v1.SearchService/Search")
    assert (served.service, served.kind, served.parent_span_id) == ("vitrine-gateway", SERVER, b"")
    assert served.attributes == {
        "rpc.system": "grpc",
        "rpc.grpc.status_code": 0,
        "vitrine.request_id": answer.request_id,
    }
    stages = {span.name: span for span in collector.spans() if span.name.startswith("stage ")}
    assert {"stage encode", "stage search"} <= stages.keys()
    for stage in stages.values():
        assert (stage.trace_id, stage.kind) == (served.trace_id, INTERNAL)
        assert served.start_time_unix_nano <= stage.start_time_unix_nano <= stage.end_time_unix_nano
    assert stages["stage encode"].parent_span_id == served.span_id


async def test_the_callers_trace_goes_on(collector: Any) -> None:
    """The span is below the caller's, and what the gateway asks of others carries the trace on, under the span."""
    carried: list[tuple[tuple[str, str], ...]] = []

    def note(request: rewrite_pb2.RewriteRequest) -> rewrite_pb2.Rewrite:
        carried.append(hop_metadata())
        return rewrite_pb2.Rewrite(route=query_pb2.ROUTE_TEXT, query=request.text)

    with traced(collector.endpoint) as tracer:
        async with serving(products=PRODUCTS, rewriter=FakeRewriter(note), tracer=tracer) as gateway:
            await search(gateway, traceparent=SAMPLED)
    (served,) = named(collector, "vitrine.v1.SearchService/Search")
    assert (served.trace_id.hex(), served.parent_span_id.hex()) == (TRACE, CALLER)
    (metadata,) = carried
    _, trace_id, span_id, flags = dict(metadata)["traceparent"].split("-")
    assert (trace_id, flags) == (TRACE, "01")
    assert bytes.fromhex(span_id) in {each.span_id for each in collector.spans()}
    assert dict(metadata)["x-request-id"] == served.attributes["vitrine.request_id"]


async def test_without_an_endpoint_the_callers_context_is_passed_on_as_it_is() -> None:
    """A gateway that records nothing breaks no trace of its caller's."""
    carried: list[tuple[tuple[str, str], ...]] = []

    def note(request: rewrite_pb2.RewriteRequest) -> rewrite_pb2.Rewrite:
        carried.append(hop_context())
        return rewrite_pb2.Rewrite(route=query_pb2.ROUTE_TEXT, query=request.text)

    with traced("") as tracer:
        assert tracer is UNTRACED
        async with serving(products=PRODUCTS, rewriter=FakeRewriter(note), tracer=tracer) as gateway:
            await search(gateway, "red dress", SAMPLED)
            await search(gateway, "a red dress")
            await search(gateway, "the red dress", "not a context; DROP TABLE")
    assert carried == [(("traceparent", SAMPLED),), (), ()]


@pytest.mark.parametrize(
    ("share", "traceparent", "expected"),
    [(1.0, "", 1), (0.0, "", 0), (0.0, SAMPLED, 0), (1.0, UNSAMPLED, 0), (1.0, SAMPLED, 1)],
    ids=["all", "none", "none, whatever the caller asks", "the caller asks for none", "the caller asks"],
)
async def test_the_share_and_the_caller_decide_what_is_recorded(
    collector: Any, share: float, traceparent: str, expected: int
) -> None:
    """A caller may take its call out of the share, and put none into it."""
    with traced(collector.endpoint, share=share) as tracer:
        async with serving(products=PRODUCTS, tracer=tracer) as gateway:
            await search(gateway, traceparent=traceparent)
    assert len(named(collector, "vitrine.v1.SearchService/Search")) == expected
    assert expected or collector.spans() == []


async def test_a_failed_dependency_fails_its_span_and_tells_no_message(collector: Any) -> None:
    """The span has the status and the kind of the error; its words stay out."""

    class Broken(FakeEncoder):
        async def embed(self, inputs: EncoderInputs, *, timeout_s: float) -> Embedded:  # noqa: ARG002 - the port's
            raise EncoderError from ValueError("the shopper said SECRETWORD")

    with traced(collector.endpoint) as tracer:
        async with serving(products=PRODUCTS, encoder=Broken(), tracer=tracer) as gateway:
            with pytest.raises(aio.AioRpcError) as refused:
                await search(gateway)
            assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
            with pytest.raises(aio.AioRpcError):
                await search(gateway, "SECRETWORD " * 500)
    failed, invalid = sorted(
        named(collector, "vitrine.v1.SearchService/Search"),
        key=lambda each: each.attributes["rpc.grpc.status_code"],
        reverse=True,
    )
    assert (failed.status.code, failed.status.message) == (FAILED, "UNAVAILABLE")
    assert failed.attributes["rpc.grpc.status_code"] == grpc.StatusCode.UNAVAILABLE.value[0]
    assert (invalid.status.code, invalid.attributes["rpc.grpc.status_code"]) == (
        0,
        grpc.StatusCode.INVALID_ARGUMENT.value[0],
    )
    (encode,) = named(collector, "stage encode")
    assert (encode.status.code, encode.status.message) == (FAILED, "EncoderError")
    assert not any(b"SECRETWORD" in payload for payload in collector.payloads)


@pytest.mark.slow
async def test_a_collector_that_hangs_or_is_away_delays_no_call_and_no_exit() -> None:
    """Calls are answered and the tracer closes within seconds, whatever the collector does; its queue has a bound."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for endpoint in (f"http://127.0.0.1:{silent.getsockname()[1]}/", "http://127.0.0.1:1/"):
            started = time.monotonic()
            with traced(endpoint) as tracer:
                async with serving(products=PRODUCTS, tracer=tracer) as gateway:
                    for _ in range(20):
                        assert (await search(gateway)).hits
                with tracer.served("flood", ""):
                    for _ in range(20_000):
                        with span("part"):
                            pass
            assert time.monotonic() - started < 60


def test_a_call_has_so_many_spans_and_no_more(collector: Any) -> None:
    """An ingest of a day does not grow a trace without end."""
    with traced(collector.endpoint) as tracer, tracer.served("ingest", ""):
        for _ in range(2_000):
            with span("batch"):
                pass
    assert len(named(collector, "batch")) == 512


@pytest.mark.slow
def test_a_process_that_does_not_trace_loads_nothing_that_would() -> None:
    """Without an endpoint no exporter is imported; what redis imports of OpenTelemetry is its own affair."""
    code = (
        "import sys, gateway.server, rewriter.server, storefront.server, vitrine.client\n"
        "from vitrine.process.tracing import open_tracer\n"
        "with open_tracer('', service='s', share=1.0) as tracer, tracer.served('call', ''): pass\n"
        "sys.exit(any(name.startswith(('opentelemetry.exporter', 'vitrine.process.otlp')) for name in sys.modules))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "00",
        f"00-{'0' * 32}-{CALLER}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{CALLER}-01",
        SAMPLED * 2,
    ],
)
def test_what_is_no_trace_context_is_passed_over(value: str) -> None:
    """A header that is none begins a new trace, and is repeated to nobody."""
    assert read_traceparent([("traceparent", value), ("x", SAMPLED), ("traceparent", b"\xff")]) == ""
    assert read_traceparent([("traceparent", SAMPLED)]) == SAMPLED


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("GATEWAY_TRACES", "collector:4317", "must be an http(s) URL"),
        ("GATEWAY_TRACES", "http://", "must be an http(s) URL"),
        ("GATEWAY_TRACE_SHARE", "1.5", "must be from 0 to 1"),
    ],
)
def test_a_wrong_setting_is_refused(name: str, value: str, complaint: str) -> None:
    """What is no endpoint, or no share, ends the start."""
    with pytest.raises(InvalidSettings, match=f"{name} ") as refused:
        Settings.from_env({name: value})
    assert complaint in str(refused.value)
