"""The rewriter's spans: below the gateway's, and passed on to the model's server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from grpc import aio

from rewriter.engines.chat.completions import open_chat_completions
from rewriter.engines.fallback import Fallback
from rewriter.engines.rules.engine import Router
from rewriter.metrics import Metrics
from rewriter.server import serving
from rewriter.settings import Settings
from vitrine.process.tracing import Tracer, open_tracer
from vitrine.v1 import rewrite_pb2, rewrite_pb2_grpc

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


@asynccontextmanager
async def asked(engine: Any, tracer: Tracer) -> AsyncIterator[Any]:
    """Serve the engine and yield the stub's method."""
    async with serving(Settings(listen="127.0.0.1:0", grace_s=0), engine, Metrics(), tracer=tracer) as server:
        options = [("grpc.use_local_subchannel_pool", 1)]
        async with aio.insecure_channel(f"127.0.0.1:{server.port}", options=options) as channel:
            yield rewrite_pb2_grpc.RewriteServiceStub(channel).Rewrite


async def test_a_rewrite_is_a_span_below_the_gateways(collector: Any) -> None:
    """Its span has the status, whatever the status is, and the caller's span as its parent."""
    with open_tracer(collector.endpoint, service="vitrine-rewriter", share=1.0) as tracer:
        async with asked(Router(), tracer) as rewrite:
            metadata = (("traceparent", PARENT),)
            await rewrite(rewrite_pb2.RewriteRequest(text="a red dress"), timeout=60, metadata=metadata)
            with pytest.raises(aio.AioRpcError):
                await rewrite(rewrite_pb2.RewriteRequest(text="x" * 9_000), timeout=60, metadata=metadata)
    spans = collector.spans()
    assert {span.name for span in spans} == {"vitrine.v1.RewriteService/Rewrite"}
    assert {span.trace_id.hex() for span in spans} == {TRACE}
    assert {span.parent_span_id.hex() for span in spans} == {"00f067aa0ba902b7"}
    invalid = grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert sorted(span.attributes["rpc.grpc.status_code"] for span in spans) == [0, invalid]


async def test_a_models_server_gets_the_trace_and_its_call_is_a_span(collector: Any) -> None:
    """The request to the server carries the context of its own span; a failed call fails the span, without a word."""
    heard: list[str] = []

    async def refuse(request: web.Request) -> web.Response:
        heard.append(request.headers.get("traceparent", ""))
        return web.Response(status=500, text="a red dress")

    application = web.Application()
    application.router.add_post("/v1/chat/completions", refuse)
    with open_tracer(collector.endpoint, service="vitrine-rewriter", share=1.0) as tracer:
        async with (
            TestServer(application) as server,
            open_chat_completions(
                url=str(server.make_url("/v1")), api_key=lambda: "", model="m", max_tokens=10, connections=1
            ) as model,
        ):
            engine = Fallback(model, Router(), name="m", reserve_s=0.01, on_failure=lambda _: None)
            async with asked(engine, tracer) as rewrite:
                await rewrite(
                    rewrite_pb2.RewriteRequest(text="a red dress"),
                    timeout=60,
                    metadata=(("traceparent", PARENT),),
                )
    (call,) = [span for span in collector.spans() if span.name == "model chat/completions"]
    assert heard == [f"00-{TRACE}-{call.span_id.hex()}-01"]
    assert (call.status.code, call.status.message) == (2, "EngineError")
    assert not any(b"red dress" in payload for payload in collector.payloads)
