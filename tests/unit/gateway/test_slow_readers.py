"""Callers who do not read what they are sent: they hold nothing that others need, and not for long."""

from dataclasses import replace

import pytest

from gateway.api.catalogue_servicer import MAX_STREAMS
from gateway.metrics import Metrics
from gateway.testing import (
    PATIENT,
    FakeRewriter,
    ServedGateway,
    product,
    send_products,
    serving,
    until,
)
from gateway.testing.unread import unread_calls
from vitrine.v1 import catalogue_pb2, query_pb2, rewrite_pb2, search_pb2, search_pb2_grpc

SEARCH = "/vitrine.v1.SearchService/"
PRODUCTS = (product("p1", "red dress"),)
CALLS = [
    (SEARCH + "Search", search_pb2.SearchRequest(text="red").SerializeToString(), "Search"),
    (SEARCH + "Converse", search_pb2.ConverseRequest(text="red").SerializeToString(), "Converse"),
    (
        "/vitrine.v1.CatalogueService/UpsertProducts",
        catalogue_pb2.UpsertProductsRequest(options=catalogue_pb2.UpsertOptions()).SerializeToString(),
        "UpsertProducts",
    ),
]


def cut_off(metrics: Metrics, method: str) -> float:
    labels = {"method": method}
    return metrics.registry.get_sample_value("vitrine_gateway_slow_readers_total", labels) or 0.0


async def search(gateway: ServedGateway) -> search_pb2.SearchResponse:
    stub = search_pb2_grpc.SearchServiceStub(gateway.channel)
    return await stub.Search(search_pb2.SearchRequest(text="red"), timeout=30)


@pytest.mark.parametrize(("path", "request_bytes", "method"), CALLS[:2])
@pytest.mark.parametrize("deadline_ms", [200, 30_000])
async def test_who_reads_nothing_is_cut_off(
    path: str, request_bytes: bytes, method: str, deadline_ms: int
) -> None:
    """Its streams are reset after a while, also past their deadline, and whoever is counted against the limit is not."""
    settings = replace(PATIENT, unread_s=0.5, max_concurrent_calls=8, default_deadline_ms=deadline_ms)
    async with (
        serving(products=PRODUCTS, settings=settings) as gateway,
        unread_calls(gateway.address) as unread,
    ):
        await search(gateway)
        for _ in range(8):
            unread.call(path, request_bytes)
        await until(lambda: unread.seen["reset"] >= 7)
        assert (await search(gateway)).hits
        await until(lambda: unread.seen["reset"] == 8)  # gRPC keeps the latest call until there is another
        assert cut_off(gateway.metrics, method) == 8
        assert unread.seen["data"] == 0


async def test_an_ingest_whose_answers_are_not_read_ends() -> None:
    """Its caller sends no more and takes nothing: it gives its place among the ingests up, though its deadline is a day."""
    async with (
        serving(settings=replace(PATIENT, unread_s=0.5)) as gateway,
        unread_calls(gateway.address) as unread,
    ):
        for _ in range(MAX_STREAMS):
            unread.call(*CALLS[2][:2])
        await until(lambda: cut_off(gateway.metrics, "UpsertProducts") == MAX_STREAMS)
        await until(lambda: unread.seen["reset"] >= MAX_STREAMS - 1)
        options = catalogue_pb2.UpsertOptions()
        answers = await send_products(gateway, [catalogue_pb2.UpsertProductsRequest(options=options)])
    assert answers[-1].index


async def test_a_turn_ends_without_its_reader() -> None:
    """A turn whose answer nobody reads is remembered, and the next turn of its session does not wait for the reader."""
    rewriter = FakeRewriter(lambda _: rewrite_pb2.Rewrite(route=query_pb2.ROUTE_CHAT, reply="Yes."))
    settings = replace(PATIENT, unread_s=300)
    async with (
        serving(products=PRODUCTS, rewriter=rewriter, settings=settings) as gateway,
        unread_calls(gateway.address) as unread,
    ):
        stub = search_pb2_grpc.SearchServiceStub(gateway.channel)
        begun = [turn async for turn in stub.Converse(search_pb2.ConverseRequest(text="hello"), timeout=30)]
        session_id = begun[0].session_id
        unheard = search_pb2.ConverseRequest(text="unheard", session_id=session_id)
        unread.call(SEARCH + "Converse", unheard.SerializeToString())
        await until(lambda: len(rewriter.requests) == 2)
        after = search_pb2.ConverseRequest(text="heard", session_id=session_id)
        heard = [turn async for turn in stub.Converse(after, timeout=60)]
    assert [turn.WhichOneof("event") for turn in heard] == ["understood", "reply"]
    assert [turn.text for turn in rewriter.requests[-1].history] == ["hello", "unheard"]
