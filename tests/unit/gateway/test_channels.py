"""The options of every channel to a dependency, against several servers on loopback behind one name."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import grpc
import pytest
from grpc import aio

from gateway.adapters.channels import CHANNEL_OPTIONS
from vitrine.v1 import query_pb2, rewrite_pb2, rewrite_pb2_grpc

CALLS = 60
HANG_S = 60.0


class Backend(rewrite_pb2_grpc.RewriteServiceServicer):
    """Says its own name back, after what it is told to wait, or refuses as a pod does that ends."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.refuses = False
        self.hangs = False
        self.asked = 0
        self.server = aio.server()
        rewrite_pb2_grpc.add_RewriteServiceServicer_to_server(self, self.server)
        self.port = self.server.add_insecure_port("127.0.0.1:0")

    async def Rewrite(  # noqa: N802 - gRPC's name
        self, _: rewrite_pb2.RewriteRequest, context: Any
    ) -> rewrite_pb2.RewriteResponse:
        """Answer one turn."""
        self.asked += 1
        if self.refuses:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "shutting down")
        if self.hangs:
            await asyncio.sleep(HANG_S)
        return rewrite_pb2.RewriteResponse(
            rewrite=rewrite_pb2.Rewrite(route=query_pb2.ROUTE_TEXT, query=self.name)
        )


@asynccontextmanager
async def serving(count: int) -> AsyncIterator[tuple[list[Backend], rewrite_pb2_grpc.RewriteServiceStub]]:
    """Servers behind one name, as a headless Service has them, and a stub of all of them once each is connected."""
    backends = [Backend(str(number)) for number in range(count)]
    async with AsyncExitStack() as stack:
        for backend in backends:
            await backend.server.start()
            stack.push_async_callback(backend.server.stop, None)
        target = "ipv4:" + ",".join(f"127.0.0.1:{backend.port}" for backend in backends)
        channel = await stack.enter_async_context(aio.insecure_channel(target, options=CHANNEL_OPTIONS))
        stub = rewrite_pb2_grpc.RewriteServiceStub(channel)
        async with asyncio.timeout(60):
            while not all(backend.asked for backend in backends):
                await ask(stub)
        yield backends, stub


async def ask(stub: rewrite_pb2_grpc.RewriteServiceStub, *, timeout_s: float = 60) -> str:
    """Return the name of the server that answered."""
    return str((await stub.Rewrite(rewrite_pb2.RewriteRequest(text="red"), timeout=timeout_s)).rewrite.query)


async def answered(stub: rewrite_pb2_grpc.RewriteServiceStub) -> Counter[str]:
    """Ask many times, one after the other; return who answered how often."""
    return Counter([await ask(stub) for _ in range(CALLS)])


def names(backends: Sequence[Backend]) -> set[str]:
    """Return the names of servers."""
    return {backend.name for backend in backends}


async def test_every_pod_behind_a_name_gets_its_share() -> None:
    """Calls go round: with one connection for all, N gateways would use N pods at most, however many there are."""
    async with serving(3) as (backends, stub):
        shares = await answered(stub)
        assert shares.keys() == names(backends)
        assert max(shares.values()) - min(shares.values()) <= 1


async def test_a_pod_that_is_gone_is_left_out() -> None:
    """No call fails when one of them ends, and the others have its share."""
    async with serving(3) as (backends, stub):
        await backends[0].server.stop(None)
        shares = await answered(stub)
        assert shares.keys() == names(backends[1:])


async def test_a_pod_that_ends_refuses_and_another_answers() -> None:
    """A call that was refused is repeated once, elsewhere, and its caller does not notice."""
    async with serving(2) as (backends, stub):
        for backend in backends:
            backend.asked = 0
        backends[0].refuses = True
        assert [await ask(stub) for _ in range(6)] == [backends[1].name] * 6
        assert backends[0].asked > 0


async def test_a_repeated_call_keeps_the_deadline_of_the_first() -> None:
    """What the first try took is gone: the second one does not begin anew."""
    async with serving(2) as (backends, stub):
        backends[0].refuses = True
        backends[1].hangs = True
        start = time.monotonic()
        with pytest.raises(aio.AioRpcError) as error:
            await ask(stub, timeout_s=0.3)
        assert error.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert time.monotonic() - start < HANG_S / 2


async def test_an_outage_is_not_fed() -> None:
    """While every pod refuses, repeats stop after a few: an outage gets little more calls than there are."""
    async with serving(2) as (backends, stub):
        for backend in backends:
            backend.refuses = True
            backend.asked = 0
        for _ in range(CALLS):
            with pytest.raises(aio.AioRpcError, match="shutting down"):
                await ask(stub)
        repeats = sum(backend.asked for backend in backends) - CALLS
        assert 0 < repeats <= 10
