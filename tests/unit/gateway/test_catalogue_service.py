"""Streams of products, rebuilds and deletions, through a gateway on loopback."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import numpy as np
import pytest
from grpc import aio

from gateway.api.catalogue_servicer import MAX_STREAMS
from gateway.model import Embedded, EncoderInputs
from gateway.settings import Settings
from gateway.testing import (
    MANIFEST,
    FakeEncoder,
    FakeIndex,
    ServedGateway,
    product,
    refused_field,
    send_products,
    serving,
)
from vitrine.domain.limits import MAX_DELETED
from vitrine.v1 import (
    catalogue_pb2,
    catalogue_pb2_grpc,
    query_pb2,
    search_pb2,
    search_pb2_grpc,
)

Request = catalogue_pb2.UpsertProductsRequest
Response = catalogue_pb2.UpsertProductsResponse
REBUILD = Request(options=catalogue_pb2.UpsertOptions(rebuild=True, source="test"))


def upsert(product_id: str, image: bytes) -> Request:
    """Return the message of a good product."""
    message = query_pb2.Product(
        id=product_id, title=f"title of {product_id}", category="dress", colour="red", price=10.0
    )
    return Request(product=catalogue_pb2.ProductInput(product=message, image=image))


async def test_upserted_products_are_acknowledged_and_found(jpeg: bytes) -> None:
    """Every batch is acknowledged with running totals, the last answer names the index, and the products are there."""
    index = FakeIndex()
    async with serving(index=index) as gateway:
        responses = await send_products(gateway, [upsert(f"p{i}", jpeg) for i in range(70)])
        assert [response.written for response in responses] == [32, 64, 70, 70]
        assert [response.index for response in responses] == ["", "", "", "fake-1"]
        (again,) = {response.unchanged for response in (await send_products(gateway, [upsert("p7", jpeg)]))}
        assert again == 1
        stub = catalogue_pb2_grpc.CatalogueServiceStub(gateway.channel)
        found = await stub.GetProduct(catalogue_pb2.GetProductRequest(product_id="p7"), timeout=60)
    assert found.product.title == "title of p7"
    stored = index.in_use.products["p7"] if index.in_use else None
    assert stored is not None
    assert stored.image_embeddings is not None
    np.testing.assert_array_equal(np.frombuffer(found.image_embedding, "<f4"), stored.image_embeddings[0])
    np.testing.assert_array_equal(np.frombuffer(found.text_embedding, "<f4"), stored.text_embedding)


async def test_a_rebuild_holds_this_stream_alone(jpeg: bytes) -> None:
    """Until the stream ends readers use the old index; then the new one, without what its source no longer has."""
    index = FakeIndex.holding([product("old", "an old product")])
    left_over = await index.build(MANIFEST, "test")
    await left_over.upsert([product("lost", "of a rebuild that was cut off")])
    await left_over.close()
    async with serving(index=index) as gateway:
        began = asyncio.Event()
        go_on = asyncio.Event()

        async def requests() -> AsyncIterator[Request]:
            yield REBUILD
            yield upsert("new", jpeg)
            began.set()
            await go_on.wait()

        stub = catalogue_pb2_grpc.CatalogueServiceStub(gateway.channel)
        responses = aiter(stub.UpsertProducts(requests(), timeout=60))
        await began.wait()
        assert (await anext(responses)).written == 1
        before = await stub.Describe(catalogue_pb2.DescribeRequest(), timeout=60)
        assert (before.products, before.versions.index) == (1, "fake-0")
        go_on.set()
        last = [response async for response in responses][-1]
        after = await stub.Describe(catalogue_pb2.DescribeRequest(), timeout=60)
    assert after.versions.index == last.index == "fake-1"
    assert index.in_use is not None
    assert set(index.in_use.products) == {"new"}


async def test_a_rebuild_of_nothing_keeps_the_index(jpeg: bytes) -> None:
    """An empty source, or one of refused products only, does not replace what readers use."""
    index = FakeIndex.holding([product("old", "an old product")])
    async with serving(index=index) as gateway:
        for requests in ([REBUILD], [REBUILD, upsert("", jpeg)]):
            with pytest.raises(grpc.RpcError) as caught:
                await send_products(gateway, requests)
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert "one product at least" in str(caught.value.details())
    assert index.in_use is not None
    assert set(index.in_use.products) == {"old"}


async def test_one_rebuild_runs_at_a_time_and_few_streams(jpeg: bytes) -> None:
    """A second rebuild is told to wait, a stream too many is shed, and those that run end well."""
    async with serving(index=FakeIndex.holding([product("r", "a product")])) as gateway:
        stub = catalogue_pb2_grpc.CatalogueServiceStub(gateway.channel)
        ends = [asyncio.Event() for _ in range(MAX_STREAMS)]

        async def held(end: asyncio.Event, *requests: Request) -> AsyncIterator[Request]:
            for request in requests:
                yield request
            await end.wait()

        calls = [aiter(stub.UpsertProducts(held(ends[0], REBUILD, upsert("r", jpeg)), timeout=60))]
        assert (await anext(calls[0])).written == 1
        with pytest.raises(grpc.RpcError) as refused:
            await send_products(gateway, [REBUILD, upsert("x", jpeg)])
        assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert "another rebuild" in str(refused.value.details())

        for i in range(1, MAX_STREAMS):
            calls.append(aiter(stub.UpsertProducts(held(ends[i], upsert(f"p{i}", jpeg)), timeout=60)))
            assert (await anext(calls[-1])).written == 1
        with pytest.raises(grpc.RpcError) as shed:
            await send_products(gateway, [upsert("x", jpeg)])
        assert shed.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        for end, call in reversed(list(zip(ends, calls, strict=True))):
            end.set()
            assert [response async for response in call][-1].index


@pytest.mark.parametrize(
    ("requests", "field"),
    [
        ([Request()], "part"),
        ([REBUILD, REBUILD], "options"),
        (
            [Request(options=catalogue_pb2.UpsertOptions(rebuild=True, source="x" * 257))],
            "options.source",
        ),
    ],
)
async def test_a_stream_that_breaks_the_protocol_ends(requests: list[Request], field: str) -> None:
    """What is no product is no row to be skipped: the call fails and names the part."""
    async with serving(index=FakeIndex()) as gateway:
        with pytest.raises(grpc.RpcError) as caught:
            await send_products(gateway, requests)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert refused_field(caught.value) == field


async def test_other_encoders_are_refused_until_a_rebuild(jpeg: bytes) -> None:
    """An index takes vectors of its own encoders only; a rebuild replaces it."""
    index = FakeIndex.holding([product("old", "an old product")])
    async with serving(index=index, encoder=FakeEncoder(digest="m2")) as gateway:
        with pytest.raises(grpc.RpcError) as caught:
            await send_products(gateway, [upsert("a", jpeg)])
        assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        *_, last = await send_products(gateway, [REBUILD, upsert("a", jpeg)])
    assert last.written == 1
    assert index.in_use is not None
    assert index.in_use.version.manifest == "m2"


async def test_a_stale_index_is_rebuilt_where_that_is_asked_for(jpeg: bytes) -> None:
    """Where other encoders made the index the stream replaces it; where the same did, it adds to it."""
    if_stale = Request(options=catalogue_pb2.UpsertOptions(rebuild_if_stale=True, source="test"))
    index = FakeIndex.holding([product("old", "an old product")])
    async with serving(index=index, encoder=FakeEncoder(digest="m2")) as gateway:
        await send_products(gateway, [if_stale, upsert("a", jpeg)])
        assert index.in_use is not None
        assert (index.in_use.version.manifest, set(index.in_use.products)) == ("m2", {"a"})
        await send_products(gateway, [if_stale, upsert("b", jpeg)])
        assert set(index.in_use.products) == {"a", "b"}


async def test_encoders_exchanged_during_a_rebuild_stop_it(jpeg: bytes) -> None:
    """Vectors of two encoders never become one index."""
    encoder = FakeEncoder()
    index = FakeIndex()
    async with serving(index=index, encoder=encoder) as gateway:

        async def requests() -> AsyncIterator[Request]:
            yield REBUILD
            yield upsert("a", jpeg)
            await acknowledged.wait()
            encoder.digest = "m2"

        acknowledged = asyncio.Event()
        call = catalogue_pb2_grpc.CatalogueServiceStub(gateway.channel).UpsertProducts(requests(), timeout=60)
        assert (await call.read()).written == 1  # type: ignore[attr-defined]
        acknowledged.set()
        with pytest.raises(aio.AioRpcError, match="exchanged during the rebuild") as caught:
            await call.read()
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert index.in_use is None


async def test_products_are_deleted_without_the_encoder() -> None:
    """Deleting counts what was there, and needs nothing to be embedded."""
    index = FakeIndex.holding([product("a", "one"), product("b", "two")])
    async with serving(index=index, encoder=FakeEncoder(digest="m2")) as gateway:
        stub = catalogue_pb2_grpc.CatalogueServiceStub(gateway.channel)
        answer = await stub.DeleteProducts(
            catalogue_pb2.DeleteProductsRequest(product_ids=["a", "a", "unknown"]), timeout=5
        )
        assert answer.deleted == 1
        with pytest.raises(aio.AioRpcError) as caught:
            await stub.GetProduct(catalogue_pb2.GetProductRequest(product_id="a"), timeout=60)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize(
    ("ids", "field"),
    [
        ([], "product_ids"),
        (["x"] * (MAX_DELETED + 1), "product_ids"),
        (["a", ""], "product_ids[1]"),
        (["a" * 129], "product_ids[0]"),
    ],
)
async def test_a_deletion_over_a_limit_is_refused(ids: list[str], field: str) -> None:
    """Nothing is deleted, and the field is named."""
    index = FakeIndex.holding([product("a", "one")])
    async with serving(index=index) as gateway:
        stub = catalogue_pb2_grpc.CatalogueServiceStub(gateway.channel)
        with pytest.raises(aio.AioRpcError) as caught:
            await stub.DeleteProducts(catalogue_pb2.DeleteProductsRequest(product_ids=ids), timeout=60)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert refused_field(caught.value) == field
    assert index.in_use is not None
    assert len(index.in_use.products) == 1


async def _similar(gateway: ServedGateway, product_id: str) -> grpc.StatusCode:
    stub = search_pb2_grpc.SearchServiceStub(gateway.channel)
    try:
        await stub.Search(search_pb2.SearchRequest(product_id=product_id), timeout=30)
    except aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


async def test_a_deleted_product_is_gone_everywhere_within_a_second() -> None:
    """It can be searched by no more: at once where it was deleted, and after a second in other gateways."""
    index = FakeIndex.holding([product("a", "one"), product("b", "two")])
    ends_after = Settings().product_cache_ttl_s
    assert ends_after <= 1
    async with serving(index=index) as gateway, serving(index=index) as other:
        assert {await _similar(each, "a") for each in (gateway, other)} == {grpc.StatusCode.OK}
        stub = catalogue_pb2_grpc.CatalogueServiceStub(gateway.channel)
        await stub.DeleteProducts(catalogue_pb2.DeleteProductsRequest(product_ids=["a"]), timeout=30)
        assert await _similar(gateway, "a") is grpc.StatusCode.NOT_FOUND
        await asyncio.sleep(ends_after + 0.05)
        assert await _similar(other, "a") is grpc.StatusCode.NOT_FOUND


class HeldEncoder(FakeEncoder):
    """Embeds pictures once it may."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.may = asyncio.Event(), asyncio.Event()

    async def embed(self, inputs: EncoderInputs, *, timeout_s: float) -> Embedded:
        """As the fake, but later."""
        if inputs.images:
            self.asked.set()
            await self.may.wait()
        return await super().embed(inputs, timeout_s=timeout_s)


async def test_the_lag_is_of_what_was_not_acknowledged(jpeg: bytes) -> None:
    """It grows while a product waits for the encoders, and is nothing once it was written."""
    encoder = HeldEncoder()
    async with serving(index=FakeIndex(), encoder=encoder) as gateway:

        def lag() -> float:
            return gateway.metrics.registry.get_sample_value("vitrine_gateway_ingest_lag_seconds") or 0

        assert lag() == 0
        waiting = asyncio.create_task(send_products(gateway, [upsert("p1", jpeg)]))
        await asyncio.wait_for(encoder.asked.wait(), 60)
        before = lag()
        assert lag() > before > 0
        encoder.may.set()
        await waiting
        assert lag() == 0
