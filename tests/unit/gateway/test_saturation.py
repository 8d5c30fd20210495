"""A process without time: what waits in gRPC's core is seen, and searches are refused at the door until the row is short."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import grpc
import pytest
from google.rpc import error_details_pb2  # type: ignore[import-untyped]
from grpc import aio
from grpc_status import rpc_status

from gateway.edge.saturation import Saturation, open_calls, open_servers
from gateway.testing import product, serving, until
from vitrine.v1 import search_pb2, search_pb2_grpc

PRODUCTS = (product("p1", "red dress"),)
LATE_S, AT_ONCE_S = 0.5, 0.0


def learnt(saturation: Saturation, wait_s: float, *, looks: int = 10) -> int:
    for _ in range(looks):
        saturation.learn(wait_s)
    return saturation.limit


@contextmanager
def inside(saturation: Saturation, searches: int, share: str = "crowd") -> Iterator[None]:
    with ExitStack() as held:
        for _ in range(searches):
            held.enter_context(saturation.entered(share))
        yield


def test_a_standing_wait_bounds_what_is_inside() -> None:
    """The bound starts from what is inside and falls while calls wait; it grows again when they do not."""
    saturation = Saturation(maximum=512)
    with inside(saturation, 20):
        assert learnt(saturation, LATE_S) == 18
        assert saturation.is_full_for("crowd")
        assert learnt(saturation, LATE_S, looks=40) == 8
        assert learnt(saturation, AT_ONCE_S, looks=30) == 38
        assert not saturation.is_full_for("crowd")


def test_a_burst_that_is_taken_in_is_no_sign() -> None:
    """Nine looks at a long row move nothing; ten do."""
    saturation = Saturation(maximum=512)
    for wait_s in (*(LATE_S,) * 9, AT_ONCE_S) * 5:
        saturation.learn(wait_s)
    assert saturation.limit == 512


def test_few_clients_are_refused_nothing_however_slow_the_machine() -> None:
    """Sixteen callers with a call each are no crowd, inside or outside; a row beyond that waits by its length and pace."""
    saturation = Saturation(maximum=512)
    with inside(saturation, 6):
        assert saturation.wait_s(10, pace_s=0.05) == 0.0
        assert saturation.wait_s(20, pace_s=0.05) == pytest.approx(1.0)
    assert saturation.wait_s(300, pace_s=0.001) == pytest.approx(0.3)


def test_a_crowd_keeps_no_other_caller_out() -> None:
    """Who has nothing inside comes in beyond the limit, by half of it at most."""
    saturation = Saturation(maximum=4)
    with inside(saturation, 4):
        assert saturation.is_full_for("crowd")
        assert not saturation.is_full_for("other")
        with inside(saturation, 1, "other"):
            assert saturation.is_full_for("other")
            assert not saturation.is_full_for("third")
            with inside(saturation, 1, "third"):
                assert saturation.is_full_for("fourth")
    assert not saturation.is_full_for("crowd")


async def test_the_core_says_how_many_calls_wait_in_it() -> None:
    """While the loop stands still, calls of another thread are counted, though none of our code has seen them."""
    before = open_servers()
    async with serving(products=PRODUCTS) as gateway:
        own = open_servers() - before
        channel = grpc.insecure_channel(gateway.address)
        try:
            stub = search_pb2_grpc.SearchServiceStub(channel)
            grpc.channel_ready_future(channel)  # connects without the loop, which stands still below
            sent = [
                stub.Search.future(search_pb2.SearchRequest(text=f"dress {i}"), timeout=60) for i in range(9)
            ]
            until_s = time.monotonic() + 60
            while open_calls(own) < 9 and time.monotonic() < until_s:
                time.sleep(0.01)  # noqa: ASYNC251 - the loop that has no time
            assert open_calls(own) == 9
            await until(lambda: all(call.done() for call in sent))
            assert not [call.code() for call in sent if call.code() is not grpc.StatusCode.OK]
            await until(lambda: open_calls(own) == 0)
        finally:
            channel.close()


async def test_a_full_house_says_when_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """The refusal has the time, the request's id, and costs no line in the log; health and others are answered."""
    async with serving(products=PRODUCTS) as gateway:
        saturation = gateway.edge.crowding.searches
        saturation.limit = 0
        stub = search_pb2_grpc.SearchServiceStub(gateway.channel)
        with monkeypatch.context() as still:
            still.setattr(saturation, "learn", lambda _: None)  # it may look before the call has come
            with pytest.raises(aio.AioRpcError) as refused:
                await stub.Search(
                    search_pb2.SearchRequest(text="dress"), timeout=60, metadata=(("x-request-id", "mine"),)
                )
        error = refused.value
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert dict(error.trailing_metadata())["x-request-id"] == "mine"
        status = rpc_status.from_call(error)
        retry = error_details_pb2.RetryInfo()
        assert [detail for detail in status.details if detail.Unpack(retry)]
        assert retry.retry_delay.ToTimedelta().total_seconds() == 0.5
        count = gateway.metrics.registry.get_sample_value(
            "vitrine_gateway_shed_total", {"lane": "door", "reason": "saturated"}
        )
        assert count == 1
        # The limit grows by itself while nobody waits.
        codes = Counter[str]()
        async with asyncio.timeout(60):
            while not codes["OK"]:
                try:
                    await stub.Search(search_pb2.SearchRequest(text="dress"), timeout=60)
                    codes["OK"] += 1
                except aio.AioRpcError:
                    await asyncio.sleep(0.05)
