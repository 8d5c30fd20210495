"""Streams, deletions and rebuilds side by side, and the way back, through a gateway on loopback."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import grpc
import pytest
from grpc import aio

from gateway.testing import FakeIndex, ServedGateway, product, send_products, serving
from vitrine.domain.schema_files import shipped_schema
from vitrine.v1 import catalogue_pb2, catalogue_pb2_grpc, query_pb2

Request = catalogue_pb2.UpsertProductsRequest
Response = catalogue_pb2.UpsertProductsResponse
REBUILD = Request(options=catalogue_pb2.UpsertOptions(rebuild=True, source="test"))
CONFIRMED = Request(options=catalogue_pb2.UpsertOptions(rebuild=True, source="test", confirm_shrink=True))


def upsert(product_id: str, image: bytes, price: float = 10.0) -> Request:
    """Return the message of a good product."""
    message = query_pb2.Product(id=product_id, title=f"title of {product_id}", price=price)
    return Request(product=catalogue_pb2.ProductInput(product=message, image=image))


class Open:
    """A stream that stays open until it is ended."""

    def __init__(self, gateway: ServedGateway, *requests: Request) -> None:
        stub = catalogue_pb2_grpc.CatalogueServiceStub(gateway.channel)
        self._queue: asyncio.Queue[Request | None] = asyncio.Queue()
        for request in requests:
            self._queue.put_nowait(request)
        self._answers = aiter(stub.UpsertProducts(self._requests(), timeout=60))

    async def _requests(self) -> AsyncIterator[Request]:
        while (request := await self._queue.get()) is not None:
            yield request

    async def send(self, request: Request, *, done: int) -> None:
        """Send a product and wait until so many of this stream are acknowledged."""
        self._queue.put_nowait(request)
        while (answer := await anext(self._answers)).written + answer.unchanged < done:
            pass

    async def end(self) -> Response:
        """End the stream; give its last answer."""
        self._queue.put_nowait(None)
        return [response async for response in self._answers][-1]


def holding(*ids: str) -> FakeIndex:
    """Return an index of products of those ids."""
    return FakeIndex.holding([product(each, f"title of {each}") for each in ids])


def held(index: FakeIndex) -> dict[str, float]:
    """Return the prices of the products in use, by id."""
    assert index.in_use is not None
    return {
        each: float(str(stored.product.values.get("price", 0.0)))
        for each, stored in index.in_use.products.items()
    }


async def _delete(gateway: ServedGateway, product_id: str) -> int:
    stub = catalogue_pb2_grpc.CatalogueServiceStub(gateway.channel)
    request = catalogue_pb2.DeleteProductsRequest(product_ids=[product_id])
    return int((await stub.DeleteProducts(request, timeout=60)).deleted)


async def test_what_is_written_and_deleted_during_a_rebuild_is_in_the_new_index(jpeg: bytes) -> None:
    """New products, new prices and deletions win over the rebuild's own copy, whichever of them came first."""
    index = holding("p1", "p2", "p3")
    async with serving(index=index) as gateway:
        rebuild = Open(gateway, REBUILD)
        await rebuild.send(upsert("p1", jpeg), done=1)
        await rebuild.send(upsert("p3", jpeg), done=2)
        await send_products(
            gateway, [upsert("new", jpeg, 1.0), upsert("p1", jpeg, 2.0), upsert("p2", jpeg, 3.0)]
        )
        assert await _delete(gateway, "p3") == 1
        assert await _delete(gateway, "p4") == 0
        # The rebuild's copies of what was changed meanwhile come later than the changes.
        await rebuild.send(upsert("p2", jpeg), done=3)
        await rebuild.send(upsert("p4", jpeg), done=4)
        await rebuild.send(upsert("p5", jpeg), done=5)
        last = await rebuild.end()
    assert held(index) == {"p1": 2.0, "p2": 3.0, "p5": 10.0, "new": 1.0}
    assert (last.replaced.index, last.replaced.products, last.replaced.products_now) == ("fake-0", 3, 4)


async def test_a_product_deleted_and_written_again_during_a_rebuild_is_there(jpeg: bytes) -> None:
    """The last of several changes to one product counts, and unchanged ones are kept too."""
    index = holding("p1", "p2")
    async with serving(index=index) as gateway:
        await send_products(gateway, [upsert("kept", jpeg, 5.0)])
        rebuild = Open(gateway, REBUILD)
        await rebuild.send(upsert("p1", jpeg), done=1)
        assert await _delete(gateway, "p1") == 1
        await send_products(gateway, [upsert("p1", jpeg, 4.0)])
        await send_products(gateway, [upsert("gone", jpeg)])
        assert await _delete(gateway, "gone") == 1
        *_, answer = await send_products(gateway, [upsert("kept", jpeg, 5.0)])
        assert (answer.written, answer.unchanged) == (0, 1)
        await rebuild.end()
    assert held(index) == {"p1": 4.0, "kept": 5.0}


async def test_a_stream_that_a_swap_overtakes_is_told_so(jpeg: bytes) -> None:
    """The product after the swap is not acknowledged: the stream ends as ABORTED and names both indexes."""
    index = holding("p1")
    async with serving(index=index) as gateway:
        live = Open(gateway)
        await live.send(upsert("before", jpeg), done=1)
        await send_products(gateway, [REBUILD, upsert("p1", jpeg)])
        with pytest.raises(aio.AioRpcError) as caught:
            await live.send(upsert("after", jpeg), done=2)
        assert caught.value.code() is grpc.StatusCode.ABORTED
        assert "fake-0 was replaced by fake-1" in str(caught.value.details())
        idle = Open(gateway)
        await idle.send(upsert("again", jpeg), done=1)
        await send_products(gateway, [REBUILD, upsert("p1", jpeg)])
        with pytest.raises(aio.AioRpcError) as caught:
            await idle.end()
        assert caught.value.code() is grpc.StatusCode.ABORTED
    assert set(held(index)) == {"p1"}


async def test_a_rebuild_that_would_lose_most_products_is_confirmed_first(jpeg: bytes) -> None:
    """Less than half is refused with both numbers, and costs no embedding the second time; half is taken."""
    index = holding(*(f"p{i}" for i in range(5)))
    products = [upsert(f"p{i}", jpeg) for i in range(2)]
    async with serving(index=index) as gateway:
        with pytest.raises(grpc.RpcError) as caught:
            await send_products(gateway, [REBUILD, *products])
        assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert "2 of 5 products" in str(caught.value.details())
        assert "--yes" in str(caught.value.details())
        assert len(held(index)) == 5
        *_, last = await send_products(gateway, [CONFIRMED, *products])
        assert (last.written, last.unchanged, last.replaced.products) == (0, 2, 5)
        *_, last = await send_products(gateway, [REBUILD, products[0]])
        assert (last.replaced.products, last.replaced.products_now) == (2, 1)
    assert set(held(index)) == {"p0"}


async def test_the_index_before_is_listed_and_put_back(jpeg: bytes) -> None:
    """RestoreIndex answers what it replaced; an index of other encoders, of none, or of another name is refused."""
    index = holding("old")
    async with serving(index=index) as gateway:
        stub = catalogue_pb2_grpc.CatalogueServiceStub(gateway.channel)

        async def refused(name: str = "") -> str:
            with pytest.raises(grpc.RpcError) as caught:
                await stub.RestoreIndex(catalogue_pb2.RestoreIndexRequest(index=name), timeout=60)
            return f"{caught.value.code().name}: {caught.value.details()}"

        assert "FAILED_PRECONDITION: there is no index before" in await refused()
        await send_products(gateway, [REBUILD, upsert("new", jpeg)])
        listed = (await stub.ListIndexes(catalogue_pb2.ListIndexesRequest(), timeout=60)).indexes
        kept = catalogue_pb2.KeptIndex
        assert [(each.index, each.state, each.products) for each in listed] == [
            ("fake-1", kept.STATE_IN_USE, 1),
            ("fake-0", kept.STATE_BEFORE, 1),
        ]
        assert "is fake-0, not fake-7" in await refused("fake-7")
        assert "INVALID_ARGUMENT" in await refused("x" * 256)
        answer = await stub.RestoreIndex(catalogue_pb2.RestoreIndexRequest(index="fake-0"), timeout=60)
        assert (answer.index, answer.replaced.index, answer.replaced.products) == ("fake-0", "fake-1", 1)
        assert set(held(index)) == {"old"}
        assert gateway.metrics.registry.get_sample_value(
            "vitrine_gateway_index_swaps_total", {"kind": "restore"}
        )
        assert index.before is not None
        index.before.version = replace(index.before.version, manifest="of others")
        assert "FAILED_PRECONDITION" in await refused()
    assert set(held(index)) == {"old"}


async def test_a_rebuild_without_products_leaves_the_way_back(jpeg: bytes) -> None:
    """Neither an empty stream nor one of refused products alone drops the index before."""
    index = holding("old")
    async with serving(index=index) as gateway:
        await send_products(gateway, [REBUILD, upsert("new", jpeg)])
        for requests in ([REBUILD], [REBUILD, upsert("", jpeg)]):
            with pytest.raises(grpc.RpcError):
                await send_products(gateway, requests)
        stub = catalogue_pb2_grpc.CatalogueServiceStub(gateway.channel)
        await stub.RestoreIndex(catalogue_pb2.RestoreIndexRequest(), timeout=60)
    assert set(held(index)) == {"old"}
    assert index.unfinished == []


async def test_a_rebuild_that_lost_its_lease_or_a_product_changes_nothing(jpeg: bytes) -> None:
    """It ends as ABORTED or FAILED_PRECONDITION, and readers keep the index that they have."""
    index = holding("old")
    async with serving(index=index) as gateway:
        rebuild = Open(gateway, REBUILD)
        await rebuild.send(upsert("a", jpeg), done=1)
        index.build_held = None
        with pytest.raises(aio.AioRpcError) as caught:
            await rebuild.send(upsert("b", jpeg), done=2)
        assert caught.value.code() is grpc.StatusCode.ABORTED
        rebuild = Open(gateway, REBUILD)
        await rebuild.send(upsert("a", jpeg), done=1)
        await rebuild.send(upsert("b", jpeg), done=2)
        index.unfinished[0].products.pop("a")
        with pytest.raises(aio.AioRpcError) as caught:
            await rebuild.end()
        assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert "holds 1 products and should hold 2" in str(caught.value.details())
    assert set(held(index)) == {"old"}


async def test_products_wait_for_the_end_of_a_rebuild_with_another_schema(jpeg: bytes) -> None:
    """Nothing is acknowledged that the new index could not hold; deletions go on."""
    index = holding("old", "gone")
    schema = shipped_schema()
    other = replace(schema, currency="XTS")
    async with serving(index=index) as gateway:
        build = await index.build("manifest-of-the-fakes", "source", other)
        with pytest.raises(grpc.RpcError) as caught:
            await send_products(gateway, [upsert("a", jpeg)])
        assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert "a rebuild with another schema" in str(caught.value.details())
        assert await _delete(gateway, "gone") == 1
        await build.close()
        *_, last = await send_products(gateway, [upsert("a", jpeg)])
        assert last.written == 1


async def test_nothing_is_acknowledged_while_a_swap_is_under_way(jpeg: bytes) -> None:
    """A write that meets a swap waits for its end, and is then told which index took over."""
    index = holding("old")
    async with serving(index=index) as gateway:
        live = Open(gateway)
        await live.send(upsert("a", jpeg), done=1)
        build = await index.build("manifest-of-the-fakes", "source")
        await build.upsert([product("new", "title")])
        await build.hold()
        waiting = asyncio.create_task(live.send(upsert("b", jpeg), done=2))
        deleting = asyncio.create_task(_delete(gateway, "new"))
        await asyncio.sleep(0.5)
        assert not waiting.done()
        assert not deleting.done()
        await index.promote(build.version)
        with pytest.raises(aio.AioRpcError) as caught:
            await waiting
        assert caught.value.code() is grpc.StatusCode.ABORTED
        assert await deleting == 1  # in the new index: a deletion is carried over by itself
    assert held(index) == {}
