"""The rewriter's adapter against a server on loopback."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from grpc import aio

from gateway.adapters.rewriter import GrpcRewriter, open_rewriter
from gateway.context import Call, enter_call
from gateway.errors import DeadlineExceeded
from gateway.model import Deadline
from gateway.ports import RewriterUnavailable
from gateway.testing import product, serving
from vitrine.v1 import query_pb2, rewrite_pb2, rewrite_pb2_grpc, search_pb2, search_pb2_grpc


class Rewrites(rewrite_pb2_grpc.RewriteServiceServicer):
    """Says the text back; "slow", "broken" and "endless" do as they say."""

    def __init__(self) -> None:
        self.metadata: list[dict[str, str]] = []

    async def Rewrite(  # noqa: N802 - gRPC's name
        self, request: rewrite_pb2.RewriteRequest, context: Any
    ) -> rewrite_pb2.RewriteResponse:
        """Answer one turn."""
        self.metadata.append(dict(context.invocation_metadata()))
        if request.text == "slow":
            await asyncio.sleep(60)
        if request.text == "broken":
            await context.abort(grpc.StatusCode.INTERNAL, "broken")
        reply = "x" * 100_000 if request.text == "endless" else ""
        rewrite = rewrite_pb2.Rewrite(route=query_pb2.ROUTE_TEXT, query=request.text, reply=reply)
        return rewrite_pb2.RewriteResponse(rewrite=rewrite)


@asynccontextmanager
async def rewriter(servicer: Rewrites | None = None) -> AsyncIterator[GrpcRewriter]:
    server = aio.server()
    rewrite_pb2_grpc.add_RewriteServiceServicer_to_server(servicer or Rewrites(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with open_rewriter(f"127.0.0.1:{port}") as adapter:
            yield adapter
    finally:
        await server.stop(None)


async def test_an_answer_is_given_as_it_is() -> None:
    """The adapter judges nothing; that is done behind it."""
    async with rewriter() as adapter:
        rewrite = await adapter.rewrite(rewrite_pb2.RewriteRequest(text="red"), timeout_s=60)
    assert rewrite.rewrite == rewrite_pb2.Rewrite(route=query_pb2.ROUTE_TEXT, query="red")


@pytest.mark.parametrize(
    ("text", "error"),
    [("slow", DeadlineExceeded), ("broken", RewriterUnavailable), ("endless", RewriterUnavailable)],
)
async def test_failures_are_late_or_unavailable(text: str, error: type[Exception]) -> None:
    """Lateness is told apart from every other failure, an answer beyond all measure among them."""
    async with rewriter() as adapter:
        with pytest.raises(error):
            await adapter.rewrite(
                rewrite_pb2.RewriteRequest(text=text), timeout_s=0.2 if text == "slow" else 60
            )


async def test_a_rewriter_that_is_not_there_is_unavailable() -> None:
    """Nobody listening is told at once, within the time."""
    async with open_rewriter("127.0.0.1:1") as adapter:
        with pytest.raises(RewriterUnavailable):
            await adapter.rewrite(rewrite_pb2.RewriteRequest(text="x"), timeout_s=60)


async def test_the_requests_id_goes_along() -> None:
    """The rewriter's side and its log know which call it reads for; outside of a call there is no id."""
    servicer = Rewrites()
    async with rewriter(servicer) as adapter:
        await adapter.rewrite(rewrite_pb2.RewriteRequest(text="red"), timeout_s=60)
        enter_call(Call(method="Search", request_id="abc-1", deadline=Deadline.after(60)))
        await adapter.rewrite(rewrite_pb2.RewriteRequest(text="red"), timeout_s=60)
    assert [each.get("x-request-id") for each in servicer.metadata] == [None, "abc-1"]


async def test_a_callers_id_reaches_the_rewriter_through_search_and_converse() -> None:
    """The id that the caller sends is the one that the rewriter gets."""
    servicer = Rewrites()
    async with (
        rewriter(servicer) as adapter,
        serving(products=[product("p1", "red dress")], rewriter=adapter) as gateway,
    ):
        stub = search_pb2_grpc.SearchServiceStub(gateway.channel)
        search = search_pb2.SearchRequest(text="red", rewrite=search_pb2.REWRITE_MODE_AUTO)
        await stub.Search(search, timeout=30, metadata=(("x-request-id", "search-1"),))
        turn = stub.Converse(
            search_pb2.ConverseRequest(text="red"), timeout=30, metadata=(("x-request-id", "turn-1"),)
        )
        assert [event async for event in turn]
    assert [each["x-request-id"] for each in servicer.metadata] == ["search-1", "turn-1"]
