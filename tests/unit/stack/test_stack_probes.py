from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from pymilvus.grpc_gen import common_pb2, milvus_pb2, milvus_pb2_grpc
from tritonclient.utils import InferenceServerException

from stack import probes
from stack.probes import Broken, Busy, NotReady, ProbeError, Slow, within
from vitrine.v1 import rewrite_pb2, rewrite_pb2_grpc

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@asynccontextmanager
async def server(status: int, *, rewriter: Any = None, milvus: Any = None) -> AsyncIterator[str]:
    """Serve health with a status, and other services, on a port of its own."""
    running = grpc.aio.server()
    servicer = health.aio.HealthServicer()
    await servicer.set("", status)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, running)
    if rewriter:
        rewrite_pb2_grpc.add_RewriteServiceServicer_to_server(rewriter, running)
    if milvus:
        milvus_pb2_grpc.add_MilvusServiceServicer_to_server(milvus, running)
    port = running.add_insecure_port("127.0.0.1:0")
    await running.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await running.stop(None)


class Rewriter(rewrite_pb2_grpc.RewriteServiceServicer):
    """Rewrites everything into the same."""

    def __init__(self, query: str) -> None:
        self._query = query

    async def Rewrite(self, request: Any, context: Any) -> rewrite_pb2.RewriteResponse:  # noqa: ARG002, D102, N802
        return rewrite_pb2.RewriteResponse(rewrite=rewrite_pb2.Rewrite(query=self._query))


class Milvus(milvus_pb2_grpc.MilvusServiceServicer):
    """Lists one collection, whose count ends with a code."""

    def __init__(self, code: int) -> None:
        self._status = common_pb2.Status(code=code, reason="because")

    async def ShowCollections(self, request: Any, context: Any) -> milvus_pb2.ShowCollectionsResponse:  # noqa: ARG002, D102, N802
        return milvus_pb2.ShowCollectionsResponse(collection_names=["products"])

    async def Query(self, request: Any, context: Any) -> milvus_pb2.QueryResults:  # noqa: ARG002, D102, N802
        return milvus_pb2.QueryResults(status=self._status)


async def test_serving_is_well_and_not_serving_waits() -> None:
    """Health SERVING passes; anything else is a service that waits for another."""
    async with server(SERVING) as address:
        await within(probes.serving(address)(0))
    async with server(NOT_SERVING) as address:
        with pytest.raises(NotReady, match="NOT_SERVING"):
            await within(probes.serving(address)(0))


async def test_absent_server_is_an_error() -> None:
    """Nobody at the address is an error with the status that gRPC gives."""
    async with server(SERVING) as address:
        pass
    with pytest.raises(ProbeError, match="UNAVAILABLE") as caught:
        await within(probes.serving(address)(0))
    assert type(caught.value) is ProbeError


async def test_rewriter_must_rewrite() -> None:
    """A rewriter that is healthy and rewrites into nothing is not ready."""
    async with server(SERVING, rewriter=Rewriter("dress")) as address:
        await within(probes.rewriter(address)(0))
    async with server(SERVING, rewriter=Rewriter("")) as address:
        with pytest.raises(ProbeError, match="into nothing"):
            await within(probes.rewriter(address)(0))


async def test_milvus_must_count() -> None:
    """A collection that cannot be counted is an error; one that was dropped meanwhile is none."""
    for code in (0, 100):
        async with server(SERVING, milvus=Milvus(code)) as address:
            await within(probes.milvus(address)(0))
    async with server(SERVING, milvus=Milvus(1)) as address:
        with pytest.raises(ProbeError, match="cannot count the rows of products: because"):
            await within(probes.milvus(address)(0))


@pytest.mark.parametrize(
    ("page", "health", "kind"),
    [(200, 503, NotReady), (200, 429, NotReady), (200, 500, ProbeError), (404, 200, ProbeError)],
)
async def test_storefront_must_give_the_page_and_a_gateway(
    page: int, health: int, kind: type[ProbeError]
) -> None:
    """The page and its gateway are asked for; without the gateway the storefront waits, anything else is an error."""
    statuses = {"/": 200, "/healthz": 200}

    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=statuses[request.path])

    application = web.Application()
    application.add_routes([web.get(path, answer) for path in statuses])
    async with TestServer(application) as storefront:
        probe = probes.page(f"127.0.0.1:{storefront.port}")
        await within(probe(0))
        statuses.update({"/": page, "/healthz": health})
        with pytest.raises(ProbeError) as caught:
            await within(probe(0))
        assert type(caught.value) is kind
    with pytest.raises(ProbeError):
        await within(probe(0))


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        ("StatusCode.UNAVAILABLE", "[request id: 1] Exceeds maximum queue size", Busy),
        ("StatusCode.UNAVAILABLE", "Request timeout expired", Busy),
        ("StatusCode.UNAVAILABLE", "failed to connect to all addresses", ProbeError),
        ("StatusCode.INTERNAL", "Stub process 'text_encoder_0' is not healthy.", Broken),
        ("StatusCode.DEADLINE_EXCEEDED", "Deadline Exceeded", Slow),
        ("StatusCode.NOT_FOUND", "unknown model", ProbeError),
    ],
)
def test_what_triton_says_is_weighed(status: str, message: str, kind: type[ProbeError]) -> None:
    """Overload, lateness and a dead backend are told apart by what Triton says."""
    error = InferenceServerException(message, status)
    assert type(probes._translated_triton(error)) is kind
