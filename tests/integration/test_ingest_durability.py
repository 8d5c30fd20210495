"""Acknowledged products survive: Milvus Lite is killed while a gateway writes to it, and everything is begun again.

The encoder is a fake, so that these tests are about writing alone.
"""

import asyncio
import io
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import grpc
import pytest
from grpc import aio
from PIL import Image

from gateway.adapters.memory_sessions import memory_sessions
from gateway.adapters.milvus.index import MilvusIndex, open_milvus
from gateway.adapters.milvus.rows import with_keys
from gateway.assembly.serving import Dependencies, serving_gateway
from gateway.errors import FailedPrecondition, VectorIndexError
from gateway.model import Hit, Weights
from gateway.settings import Settings
from gateway.testing import FakeEncoder, embed_words, product
from vitrine.tensors import MAX_BATCH_SIZE
from vitrine.v1 import catalogue_pb2, catalogue_pb2_grpc, query_pb2

TIMEOUT_S = 60.0
PRODUCTS = 640
Request = catalogue_pb2.UpsertProductsRequest
Response = catalogue_pb2.UpsertProductsResponse


class MilvusLite:
    """A Milvus Lite that can be killed and started again on its file."""

    def __init__(self, folder: Path) -> None:
        self._socket = folder / "s"
        self._database = folder / "x.db"
        self.uri = f"unix:{self._socket}"
        self.start()

    def start(self) -> None:
        """Start it and wait until it listens."""
        self._socket.unlink(missing_ok=True)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "stack.milvus_process", str(self._database), self.uri]
        )
        deadline = time.monotonic() + 120
        while not self._listens():
            assert self._process.poll() is None and time.monotonic() < deadline, "Milvus Lite did not start"  # noqa: PT018 - one wait
            time.sleep(0.01)

    def _listens(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self._socket)) == 0

    def kill(self) -> None:
        """End it with SIGKILL."""
        self._process.kill()
        self._process.wait()


@pytest.fixture(scope="module")
def jpeg() -> bytes:
    """A small red picture."""
    buffer = io.BytesIO()
    Image.new("RGB", (32, 32), "red").save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.fixture
def milvus() -> Iterator[MilvusLite]:
    """Milvus Lite with a file of its own; the folder's name is short, since a socket's must be."""
    with tempfile.TemporaryDirectory(prefix="vitrine-") as folder:
        lite = MilvusLite(Path(folder))
        yield lite
        lite.kill()


@asynccontextmanager
async def _gateway(milvus: MilvusLite, encoder: FakeEncoder | None = None) -> AsyncIterator[aio.Channel]:
    """Serve a gateway on that Milvus; give a channel to it."""
    encoder = encoder or FakeEncoder()
    async with open_milvus(milvus.uri) as index:
        settings = Settings(listen="127.0.0.1:0")
        dependencies = Dependencies(
            encoder=encoder,
            index=index,
            administrator=index,
            documents=index.documents,
            rewriter=None,
            sessions=memory_sessions(settings),
        )
        async with (
            serving_gateway(settings, dependencies) as gateway,
            aio.insecure_channel(
                f"127.0.0.1:{gateway.port}", options=[("grpc.use_local_subchannel_pool", 1)]
            ) as channel,
        ):
            yield channel


@dataclass
class Ingest:
    """A stream of products that begins when it was accepted, and is never far ahead of its acknowledgements.

    A client that is sending when the server ends the call gets its transport's error instead of the status; pacing
    makes that rare.
    """

    count: int
    jpeg: bytes
    rebuild: bool = False
    last: Response = field(default_factory=Response)
    _answered: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, channel: aio.Channel) -> AsyncGenerator[Response, None]:
        """Send the stream; give every answer."""
        stub = catalogue_pb2_grpc.CatalogueServiceStub(channel)
        call = stub.UpsertProducts(self._paced(), timeout=120)
        try:
            await call.initial_metadata()
            self._answered.set()
            async for response in call:
                self.last = response
                self._answered.set()
                yield response
        finally:
            call.cancel()

    async def _paced(self) -> AsyncIterator[Request]:
        options = catalogue_pb2.UpsertOptions(rebuild=self.rebuild, source="test")
        yield Request(options=options)
        await self._answered.wait()
        for i in range(self.count):
            while i - self.last.written - self.last.unchanged >= 2 * MAX_BATCH_SIZE:
                self._answered.clear()
                await self._answered.wait()
            message = query_pb2.Product(id=f"p{i}", title=f"product {i}", category="dress", price=float(i))
            yield Request(product=catalogue_pb2.ProductInput(product=message, image=self.jpeg))


async def _send(channel: aio.Channel, ingest: Ingest) -> Response:
    """Send the stream to its end; give the last answer."""
    return [response async for response in ingest.run(channel)][-1]


async def _send_when_free(channel: aio.Channel, ingest: Ingest) -> Response:
    """Send the stream as soon as the gateway has learnt that the rebuild before it was cut off."""
    async with asyncio.timeout(120):
        while True:
            try:
                return await _send(channel, ingest)
            except aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.FAILED_PRECONDITION:
                    raise
                await asyncio.sleep(0.05)


async def _wait_for_index(channel: aio.Channel) -> None:
    """Wait until the gateway has found Milvus again, with an index or without."""
    stub = catalogue_pb2_grpc.CatalogueServiceStub(channel)
    async with asyncio.timeout(120):
        while True:
            try:
                await stub.Describe(catalogue_pb2.DescribeRequest(), timeout=TIMEOUT_S)
            except aio.AioRpcError as error:
                if error.code() is grpc.StatusCode.UNAVAILABLE:
                    await asyncio.sleep(0.05)
                    continue
            return


async def _stored(channel: aio.Channel) -> int:
    stub = catalogue_pb2_grpc.CatalogueServiceStub(channel)
    described = await stub.Describe(catalogue_pb2.DescribeRequest(), timeout=TIMEOUT_S)
    products: int = described.products
    return products


async def _search(index: MilvusIndex, limit: int = 10) -> list[Hit]:
    pool = await index.search(
        embed_words("product 1"),
        weights=Weights(text=0.5, image=0.5),
        filters=None,
        limit=limit,
        timeout_s=TIMEOUT_S,
    )
    return list(pool.hits)


@pytest.mark.parametrize("rebuild", [False, True])
async def test_an_ingest_whose_milvus_is_killed_resumes_where_it_was(
    milvus: MilvusLite,
    jpeg: bytes,
    rebuild: bool,  # noqa: FBT001 - a parameter
) -> None:
    """After SIGKILL in the middle, every acknowledged product is there, and the same stream again writes the rest."""
    async with _gateway(milvus) as channel:
        cut = Ingest(PRODUCTS, jpeg, rebuild=rebuild)

        async def ingest_and_kill() -> None:
            async for response in cut.run(channel):
                if response.written >= PRODUCTS // 4:
                    milvus.kill()

        with pytest.raises(aio.AioRpcError):
            await ingest_and_kill()
        assert PRODUCTS // 4 <= cut.last.written < PRODUCTS

    milvus.start()
    encoder = FakeEncoder()
    async with _gateway(milvus, encoder) as channel:
        await _wait_for_index(channel)
        last = await _send(channel, Ingest(PRODUCTS, jpeg, rebuild=rebuild))
        assert last.unchanged >= cut.last.written
        assert last.written == PRODUCTS - last.unchanged
        assert sum(len(call.images or ()) for call in encoder.embed_calls) == last.written
        assert await _stored(channel) == PRODUCTS
        again = await _send(channel, Ingest(PRODUCTS, jpeg))
        assert (again.written, again.unchanged) == (0, PRODUCTS)


async def test_a_rebuild_cut_off_by_its_caller_leaves_readers_alone_and_resumes(
    milvus: MilvusLite, jpeg: bytes
) -> None:
    """A caller that hangs up mid-way changes nothing for readers; the next run takes up what was written."""
    async with _gateway(milvus) as channel:
        first = await _send(channel, Ingest(50, jpeg))
        async with aclosing(Ingest(PRODUCTS, jpeg, rebuild=True).run(channel)) as responses:
            async for response in responses:
                if response.written >= 100:
                    break
        stub = catalogue_pb2_grpc.CatalogueServiceStub(channel)
        described = await stub.Describe(catalogue_pb2.DescribeRequest(), timeout=TIMEOUT_S)
        assert (described.products, described.versions.index) == (50, first.index)
        # Its source has lost products since: the new index does not hold them, though they were written before.
        last = await _send_when_free(channel, Ingest(80, jpeg, rebuild=True))
        assert (last.written, last.unchanged) == (0, 80)
        assert last.index != first.index
        assert await _stored(channel) == 80


async def test_readers_come_back_by_themselves_after_a_kill(milvus: MilvusLite) -> None:
    """While Milvus is away searches fail at once as unavailable, and answer in full as soon as it is back."""
    async with open_milvus(milvus.uri) as index:
        writer = await index.current("m1")
        await writer.upsert([product(f"p{i}", f"product {i}") for i in range(20)])
        expected = [hit.product.id for hit in await _search(index)]
        assert expected[0] == "p1"
        milvus.kill()
        started = time.monotonic()
        with pytest.raises(VectorIndexError):
            await _search(index)
        assert time.monotonic() - started < TIMEOUT_S / 2
        milvus.start()
        assert [hit.product.id for hit in await _search_patiently(index)] == expected


async def _search_patiently(index: MilvusIndex) -> list[Hit]:
    async with asyncio.timeout(120):
        while True:
            try:
                return await _search(index)
            except VectorIndexError:
                await asyncio.sleep(0.05)


async def test_an_index_that_lost_products_is_not_served(milvus: MilvusLite) -> None:
    """A collection with fewer products than it was sealed with is refused with both numbers; deletions are no loss."""
    async with open_milvus(milvus.uri) as index:
        writer = await index.current("m1")
        await writer.upsert([product(f"p{i}", f"product {i}") for i in range(20)])
        assert await writer.seal() == 20
        assert await writer.delete(["p3", "p4"]) == 2
        collection = writer.version.collection
        # Behind the writer's back, as a damaged file would.
        await index._connection.call("delete", collection, filter=with_keys(["p5"]), timeout_s=TIMEOUT_S)
        assert len(await _search(index, limit=20)) == 17

    async with open_milvus(milvus.uri) as index:
        with pytest.raises(FailedPrecondition, match="holds 17 products and was sealed with 18") as caught:
            await _search(index)
        assert "--rebuild" in str(caught.value)
        rebuilt = await index.build("m1", "repair")
        await rebuilt.upsert([product("p1", "product 1")])
        await index.promote(rebuilt.version)
        assert [hit.product.id for hit in await _search(index)] == ["p1"]


async def test_a_collection_that_cannot_be_read_does_not_block_a_rebuild(milvus: MilvusLite) -> None:
    """What carries the index's name and no identity is dropped as the remains of something unfinished, once there are products."""
    async with open_milvus(milvus.uri) as index:
        await index.current("m1")
        remains = "products_00000000_000009"
        await index._connection.call("create_collection", remains, dimension=8, timeout_s=TIMEOUT_S)
        build = await index.build("m1", "source")
        assert remains in await index._connection.call("list_collections", timeout_s=TIMEOUT_S)
        await build.upsert([product("p", "product")])
        assert remains not in await index._connection.call("list_collections", timeout_s=TIMEOUT_S)


async def test_what_milvus_takes_in_silence_is_refused_before(milvus: MilvusLite) -> None:
    """An embedding that is missing, of the wrong length or not finite never reaches a collection."""
    good = product("p", "product")
    assert good.image_embeddings is not None
    bad = (None, good.image_embeddings[:, :100], good.image_embeddings * float("nan"))
    async with open_milvus(milvus.uri) as index:
        writer = await index.current("m1")
        for embeddings in bad:
            with pytest.raises(
                ValueError, match=r"image_embeddings of product 'p' must be .* 256 finite numbers"
            ):
                await writer.upsert([replace(good, image_embeddings=embeddings)])
        assert await writer.seal() == 0


async def test_an_index_that_is_away_is_unavailable_at_once() -> None:
    """Where nothing listens, calls fail with the index's error, not at their deadline."""
    started = time.monotonic()
    async with open_milvus("unix:/nonexistent/vitrine.sock") as index:
        with pytest.raises(VectorIndexError):
            await _search(index)
    assert time.monotonic() - started < TIMEOUT_S / 2
