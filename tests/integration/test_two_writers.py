"""Two gateways on one Milvus Lite: whatever is acknowledged is there, whichever of them rebuilds, swaps or is killed.

The encoder is a fake, so that these tests are about writing alone. Each gateway has its own connection and knows of the
other by the index alone, as two processes do.
"""

import asyncio
import io
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import grpc
import pytest
import pytest_asyncio
from grpc import aio
from PIL import Image

from gateway.adapters.memory_sessions import memory_sessions
from gateway.adapters.milvus.index import open_milvus
from gateway.assembly.serving import Dependencies, serving_gateway
from gateway.errors import Aborted
from gateway.settings import Settings
from gateway.testing import FakeEncoder
from vitrine.v1 import catalogue_pb2, catalogue_pb2_grpc, query_pb2

Request = catalogue_pb2.UpsertProductsRequest
Response = catalogue_pb2.UpsertProductsResponse
Stub = catalogue_pb2_grpc.CatalogueServiceStub
TIMEOUT_S = 60.0
LEASE_S = 20.0
SHORT_LEASE_S = 10.0
"""Where its end is waited for; a busy machine must still keep it alive."""
_REBUILDER = """
import asyncio, sys
from gateway.adapters.milvus.index import open_milvus
from gateway.testing import product

async def main():
    async with open_milvus(sys.argv[1], lease_s=float(sys.argv[2])) as index:
        build = await index.build("manifest-of-the-fakes", "killed")
        await build.upsert([product("half", "of a rebuild that was killed")])
        if sys.argv[3] == "hold":
            await build.hold()
        print("written", flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def jpeg() -> bytes:
    """A small red picture."""
    buffer = io.BytesIO()
    Image.new("RGB", (32, 32), "red").save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.fixture
def milvus() -> Iterator[str]:
    """The URI of a Milvus Lite with a file of its own; the folder's name is short, since a socket's must be."""
    with tempfile.TemporaryDirectory(prefix="vitrine-") as folder:
        path = Path(folder) / "s"
        process = subprocess.Popen(
            [sys.executable, "-m", "stack.milvus_process", f"{folder}/x.db", f"unix:{path}"]
        )
        deadline = time.monotonic() + 120
        with socket.socket(socket.AF_UNIX) as probe:
            while probe.connect_ex(str(path)):
                assert process.poll() is None and time.monotonic() < deadline, "Milvus Lite did not start"  # noqa: PT018 - one wait
                time.sleep(0.02)
        yield f"unix:{path}"
        process.kill()
        process.wait()


@asynccontextmanager
async def _gateway(uri: str, lease_s: float) -> AsyncIterator[Stub]:
    async with open_milvus(uri, lease_s=lease_s) as index:
        settings = Settings(listen="127.0.0.1:0")
        dependencies = Dependencies(
            encoder=FakeEncoder(),
            index=index,
            administrator=index,
            documents=index.documents,
            rewriter=None,
            sessions=memory_sessions(settings),
        )
        async with serving_gateway(settings, dependencies) as gateway:
            options = [("grpc.use_local_subchannel_pool", 1)]
            async with aio.insecure_channel(f"127.0.0.1:{gateway.port}", options=options) as channel:
                yield Stub(channel)


@pytest_asyncio.fixture
async def gateways(milvus: str) -> AsyncIterator[tuple[Stub, Stub]]:
    """Two gateways on the same Milvus."""
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(_gateway(milvus, LEASE_S))
        yield first, await stack.enter_async_context(_gateway(milvus, LEASE_S))


@pytest_asyncio.fixture
async def impatient(milvus: str) -> AsyncIterator[tuple[Stub, Stub]]:
    """Two gateways that wait less long for one that is gone."""
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(_gateway(milvus, SHORT_LEASE_S))
        yield first, await stack.enter_async_context(_gateway(milvus, SHORT_LEASE_S))


class Stream:
    """A stream of products that is fed by hand, and counts what is acknowledged."""

    def __init__(self, stub: Stub, jpeg: bytes, *, source: str = "", confirm: bool = False) -> None:
        self._queue: asyncio.Queue[Request | None] = asyncio.Queue()
        self._jpeg = jpeg
        options = catalogue_pb2.UpsertOptions(rebuild=bool(source), source=source, confirm_shrink=confirm)
        self._queue.put_nowait(Request(options=options))
        self._answers = aiter(stub.UpsertProducts(self._requests(), timeout=TIMEOUT_S))
        self.acknowledged: list[str] = []
        self._sent: list[str] = []

    async def _requests(self) -> AsyncIterator[Request]:
        while (request := await self._queue.get()) is not None:
            yield request

    async def send(self, *ids: str, price: float = 10.0) -> None:
        """Send products and wait until they are acknowledged."""
        for each in ids:
            message = query_pb2.Product(id=each, title=f"title of {each}", price=price)
            self._queue.put_nowait(
                Request(product=catalogue_pb2.ProductInput(product=message, image=self._jpeg))
            )
        self._sent += ids
        while len(self.acknowledged) < len(self._sent):
            answer = await anext(self._answers)
            self.acknowledged = self._sent[: answer.written + answer.unchanged]

    async def end(self) -> Response:
        """End the stream; give its last answer."""
        self._queue.put_nowait(None)
        return [answer async for answer in self._answers][-1]


async def _written(stub: Stub, jpeg: bytes, *ids: str, price: float = 10.0) -> Response:
    stream = Stream(stub, jpeg)
    await stream.send(*ids, price=price)
    return await stream.end()


async def _prices(stub: Stub, *ids: str) -> dict[str, float]:
    """Return the prices of those products that are there."""
    found = {}
    for each in ids:
        try:
            answer = await stub.GetProduct(
                catalogue_pb2.GetProductRequest(product_id=each), timeout=TIMEOUT_S
            )
        except aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.NOT_FOUND:
                raise
            continue
        found[each] = answer.product.price
    return found


async def _described(stub: Stub) -> tuple[int, str]:
    answer = await stub.Describe(catalogue_pb2.DescribeRequest(), timeout=TIMEOUT_S)
    return answer.products, answer.versions.index


def _ids(count: int, name: str = "p") -> list[str]:
    return [f"{name}{i}" for i in range(count)]


async def test_the_second_of_two_rebuilds_is_refused_and_the_first_ends_well(
    gateways: tuple[Stub, Stub], jpeg: bytes
) -> None:
    """Every product that either acknowledged is where its last answer says."""
    first, second = gateways
    await _written(first, jpeg, *_ids(100))
    a = Stream(first, jpeg, source="A")
    await a.send(*_ids(64))
    b = Stream(second, jpeg, source="B")
    with pytest.raises(aio.AioRpcError) as refused:
        await b.send(*_ids(40, "b"))
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert "another rebuild is under way" in str(refused.value.details())
    assert b.acknowledged == []
    await a.send(*_ids(64, "a"))
    last = await a.end()
    await asyncio.sleep(1.1)  # the age at which the other gateway reads the pointer anew
    for stub in gateways:
        assert await _described(stub) == (128, last.index)
    assert len(await _prices(second, *_ids(64), *_ids(64, "a"))) == 128
    b = Stream(second, jpeg, source="B", confirm=True)
    await b.send(*_ids(40, "b"))
    assert (await b.end()).replaced.index == last.index
    assert len(await _prices(second, *_ids(40, "b"))) == 40


async def test_first_use_by_three_at_once_loses_nothing(gateways: tuple[Stub, Stub], jpeg: bytes) -> None:
    """Streams that meet an empty index, through both gateways, write to one collection."""
    first, second = gateways
    answers = await asyncio.gather(
        *(_written(stub, jpeg, f"x{i}", f"y{i}") for i, stub in enumerate((first, second, first)))
    )
    assert [answer.written for answer in answers] == [2, 2, 2]
    assert len({answer.index for answer in answers}) == 1
    ids = [f"{name}{i}" for name in "xy" for i in range(3)]
    assert set(await _prices(first, *ids)) == set(ids)


async def test_writes_and_deletions_of_the_other_gateway_during_a_rebuild_are_kept(
    gateways: tuple[Stub, Stub], jpeg: bytes
) -> None:
    """New product, new price, deletion: all of them are in the new index; an open stream is told of the swap."""
    first, second = gateways
    await _written(first, jpeg, *_ids(10))
    live = Stream(second, jpeg)
    await live.send("p0")
    rebuild = Stream(first, jpeg, source="t1")
    await rebuild.send(*_ids(5))
    await _written(second, jpeg, "acked-new", "p1", price=1.25)
    deleted = await second.DeleteProducts(
        catalogue_pb2.DeleteProductsRequest(product_ids=["p2", "p7"]), timeout=TIMEOUT_S
    )
    assert deleted.deleted == 2
    await live.send("acked-live")
    await rebuild.send(*_ids(10)[5:], "own")
    last = await rebuild.end()
    assert last.replaced.products_now == 11
    with pytest.raises(aio.AioRpcError) as aborted:
        await live.send("after-swap")
    assert aborted.value.code() is grpc.StatusCode.ABORTED
    assert "was replaced by" in str(aborted.value.details())
    expected = {each: 10.0 for each in [*_ids(10), "own", "acked-live"] if each not in {"p2", "p7"}}
    expected |= {"acked-new": 1.25, "p1": 1.25}
    for stub in gateways:
        assert await _prices(stub, *_ids(10), "own", "acked-new", "acked-live", "after-swap") == expected


@pytest.mark.parametrize("step", ["write", "hold"])
async def test_a_rebuild_that_is_killed_holds_nobody_up_for_long(
    impatient: tuple[Stub, Stub], milvus: str, jpeg: bytes, step: str
) -> None:
    """After SIGKILL, also between holding others up and the swap, writes go on and another rebuild takes over."""
    first, second = impatient
    await _written(first, jpeg, *_ids(3))
    rebuilder = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _REBUILDER, milvus, str(SHORT_LEASE_S), step, stdout=subprocess.PIPE
    )
    assert rebuilder.stdout is not None
    assert await rebuilder.stdout.readline() == b"written\n"
    writing = asyncio.create_task(_written(second, jpeg, "beside"))
    if step == "write":
        assert (await writing).written == 1
    rebuilder.kill()
    await rebuilder.wait()
    assert (await writing).written == 1
    rebuild = Stream(first, jpeg, source="after")
    await rebuild.send(*_ids(3))
    last = await rebuild.end()
    assert await _described(first) == (3, last.index)
    await _written(second, jpeg, "later")
    assert set(await _prices(second, *_ids(3), "half", "later")) == {*_ids(3), "later"}


async def test_a_rebuild_that_was_stopped_and_wakes_late_changes_nothing(milvus: str, jpeg: bytes) -> None:
    """A process that slept through its lease is refused when it goes on to swap, and what took over stays."""
    async with open_milvus(milvus, lease_s=SHORT_LEASE_S) as asleep, _gateway(milvus, SHORT_LEASE_S) as stub:
        await _written(stub, jpeg, *_ids(2))
        build = await asleep.build("manifest-of-the-fakes", "asleep")
        time.sleep(SHORT_LEASE_S * 1.5)  # noqa: ASYNC251 - the whole process sleeps
        rebuild = Stream(stub, jpeg, source="awake")
        await rebuild.send(*_ids(2), "new")
        last = await rebuild.end()
        with pytest.raises(Aborted, match="lost its lease"):
            await asleep.promote(build.version)
        assert await _described(stub) == (3, last.index)
