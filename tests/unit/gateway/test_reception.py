"""Messages on their way in, and calls counted apart: who is let in, and who is not kept out by others."""

import asyncio
import gc
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from gateway.edge import standard_calls
from gateway.edge.reception import SHORT, Reception
from gateway.errors import InvalidQuery, Overloaded
from gateway.memory import ByteBudget, StreamedBytes
from gateway.settings import Settings
from gateway.testing import FakeEncoder, ServedGateway, product, serving, until
from vitrine.v1 import search_pb2, search_pb2_grpc

PRODUCTS = (product("p1", "red dress"),)
SEARCH = "/vitrine.v1.SearchService/Search"


def parsed(data: bytes) -> search_pb2.SearchRequest:
    return search_pb2.SearchRequest(text=data.decode())


async def sent(*messages: bytes, then: asyncio.Event | None = None) -> AsyncIterator[bytes]:
    for message in messages:
        yield message
    if then is not None:
        await then.wait()


async def soon(message: bytes) -> AsyncIterator[bytes]:
    await asyncio.sleep(0)
    yield message


async def silent(until_told: asyncio.Event) -> AsyncIterator[bytes]:
    await until_told.wait()
    yield b"late"


async def received(reception: Reception, stream: AsyncIterator[bytes], share: str = "") -> str:
    async with reception.message(stream, parsed, share=share) as request:
        assert isinstance(request, search_pb2.SearchRequest)
        return request.text


async def test_what_trickles_leaves_the_quick_places_to_others() -> None:
    """Callers who send slowly take the slow places, and one of them too many is refused; who sends at once is answered."""
    told = asyncio.Event()
    reception = Reception(places=8, budget=ByteBudget(1_000))
    slow = [asyncio.create_task(received(reception, silent(told), share)) for share in "aabb"]
    await until(lambda: reception.receiving_slowly == 4)
    assert await received(reception, sent(b"quick"), "a") == "quick"
    with pytest.raises(Overloaded):
        await received(reception, silent(told), "c")
    told.set()
    assert await asyncio.gather(*slow) == ["late"] * 4
    assert reception.receiving_slowly == 0


async def test_one_caller_has_half_of_the_slow_places() -> None:
    """However many send slowly for one caller, another one has a place."""
    told = asyncio.Event()
    reception = Reception(places=8, budget=ByteBudget(1_000))
    crowd = [asyncio.create_task(received(reception, silent(told), "a")) for _ in range(6)]
    refused = [task for task in crowd if isinstance(await _failure(task), Overloaded)][:4]
    other = asyncio.create_task(received(reception, silent(told), "b"))
    await until(lambda: reception.receiving_slowly == 3)
    told.set()
    assert await other == "late"
    assert len(refused) == 4


async def test_those_who_wait_for_a_place_come_in_turn() -> None:
    """A crowd of one caller waits in its own row: another's request is received after one of them, not after all."""
    reception = Reception(places=1, budget=ByteBudget(1_000_000))
    order: list[str] = []

    async def take(share: str) -> None:
        await received(reception, soon(share.encode()), share)
        order.append(share)

    async with asyncio.TaskGroup() as group:
        for share in ["crowd"] * 20 + ["other"]:
            group.create_task(take(share))
    assert order.index("other") <= 2


async def _failure(task: "asyncio.Task[str]") -> BaseException | None:
    await asyncio.wait([task], timeout=0.5)
    return task.exception() if task.done() else None


async def test_a_request_is_one_message() -> None:
    """None is missing, two are one too many; and one whose end is not told is answered, as one that is short is at once."""
    reception = Reception(places=4, budget=ByteBudget(1_000))
    long = b"a" * (SHORT + 1)
    with pytest.raises(InvalidQuery, match="is missing"):
        await received(reception, sent())
    with pytest.raises(InvalidQuery, match="must be one message"):
        await received(reception, sent(long, b"b"))
    assert await received(reception, sent(long, then=asyncio.Event())) == long.decode()
    assert await received(reception, sent(b"a", b"b")) == "a"
    assert await received(reception, sent(b"a", then=asyncio.Event())) == "a"


async def test_bytes_are_held_until_the_call_ends() -> None:
    """Requests that do not fit beside those that are answered are refused, small ones never; a large one alone is let in."""
    reception = Reception(places=4, budget=ByteBudget(100_000))
    large = b"x" * 80_000
    async with reception.message(sent(large), parsed):
        assert reception.budget.used == 80_000
        with pytest.raises(Overloaded, match="80,000 of at most 100,000 bytes"):
            await received(reception, sent(large))
        assert await received(reception, sent(b"x" * 60_000)) == "x" * 60_000
    assert reception.budget.used == 0
    assert await received(reception, sent(b"x" * 100_001)) == "x" * 100_001


async def test_a_stream_waits_for_room() -> None:
    """The products of all streams share a budget; who finds it used up waits, and gets it in turn."""
    budget = ByteBudget(10)
    first, second = StreamedBytes(budget), StreamedBytes(budget)
    await first.add(6)
    await first.add(4)
    waiting = asyncio.create_task(second.add(5))
    await asyncio.sleep(0)
    assert not waiting.done()
    first.drop(1)
    await waiting
    assert budget.used == 9
    first.close()
    second.close()
    assert budget.used == 0


async def test_a_stream_knows_how_long_its_oldest_product_waits() -> None:
    """The lag is that of what came first and is still there, from its coming on; nothing waits without lag."""
    now = 0.0
    stream = StreamedBytes(ByteBudget(10), clock=lambda: now)
    assert stream.lag_s == 0
    await stream.add(3)
    now = 2.0
    await stream.add(3)
    assert stream.lag_s == 2
    stream.drop(1)
    now = 3.0
    assert stream.lag_s == 1
    stream.close()
    assert stream.lag_s == 0


async def code_of(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(aio.AioRpcError) as refused:
        await call
    return refused.value.code(), refused.value.details() or ""


@pytest.mark.parametrize(
    "path",
    ["/", "//", "///", "/a/b/c", "/vitrine.v1.SearchService", "/vitrine.v1.SearchService/", f"{SEARCH}/x",
     "/vitrine.v1.SearchService/Nope", f"/..//{SEARCH}", f"{SEARCH}?x=1"],
)  # fmt: skip
async def test_a_path_that_is_no_method_is_unimplemented(path: str, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever stands there, the status is the one for it, and nothing fails behind it."""
    async with serving(products=PRODUCTS) as gateway:
        method: Any = gateway.channel.unary_unary(path)
        code, _ = await code_of(method(b"", timeout=60))
    assert code is grpc.StatusCode.UNIMPLEMENTED
    assert not [record for record in caplog.records if record.exc_info]


async def test_compressed_requests_are_refused() -> None:
    """A few bytes would become a whole message inside the gateway."""
    async with serving(products=PRODUCTS) as gateway:
        stub = search_pb2_grpc.SearchServiceStub(gateway.channel)
        request = search_pb2.SearchRequest(text="red dress")
        code, details = await code_of(stub.Search(request, timeout=60, compression=grpc.Compression.Gzip))
    assert code is grpc.StatusCode.UNIMPLEMENTED
    assert "gzip" in details


async def test_more_calls_than_it_answers_are_told_when_to_come_back() -> None:
    """Calls have a number; health is not counted among them."""
    encoder = FakeEncoder()
    settings = Settings(max_concurrent_calls=2)
    async with serving(products=PRODUCTS, encoder=encoder, settings=settings) as gateway:
        await until(lambda: bool(encoder.embed_calls))
        encoder.delay_s = 60.0
        stub = search_pb2_grpc.SearchServiceStub(gateway.channel)
        running = [stub.Search(search_pb2.SearchRequest(text=f"dress {i}"), timeout=60) for i in range(2)]
        await until(lambda: in_flight(gateway) == 2)
        code, details = await code_of(stub.Search(search_pb2.SearchRequest(text="another"), timeout=60))
        assert (code, details) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "at most 2 calls at once")
        assert await checked(gateway)
        for call in running:
            call.cancel()


def in_flight(gateway: ServedGateway) -> float:
    value = gateway.metrics.registry.get_sample_value("vitrine_gateway_in_flight", {"method": "Search"})
    return value or 0


async def checked(gateway: ServedGateway) -> health_pb2.HealthCheckResponse:
    health: Any = health_pb2_grpc.HealthStub(gateway.channel)
    answer: health_pb2.HealthCheckResponse = await health.Check(health_pb2.HealthCheckRequest(), timeout=60)
    return answer


async def test_watchers_of_health_have_a_number_and_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Watchers keep out nobody but further watchers, and none watches for ever."""
    monkeypatch.setattr(standard_calls, "MAX_WATCHES", 3)
    async with serving(products=PRODUCTS) as gateway:
        health: Any = health_pb2_grpc.HealthStub(gateway.channel)
        watching = [health.Watch(health_pb2.HealthCheckRequest()) for _ in range(3)]
        for call in watching:
            await call.read()
        code, _ = await code_of(health.Watch(health_pb2.HealthCheckRequest()).read())
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert await checked(gateway)
        stub = search_pb2_grpc.SearchServiceStub(gateway.channel)
        assert (await stub.Search(search_pb2.SearchRequest(text="red dress"), timeout=60)).hits
        for call in watching:
            call.cancel()
    async with serving(products=PRODUCTS, settings=Settings(max_connection_age_s=1)) as gateway:
        health = health_pb2_grpc.HealthStub(gateway.channel)
        # Behind whatever was told meanwhile: a status comes after the messages that nobody has read.
        code, _ = await code_of(_to_its_end(health.Watch(health_pb2.HealthCheckRequest())))
        assert code is grpc.StatusCode.DEADLINE_EXCEEDED


async def _to_its_end(call: Any) -> None:
    while await call.read() is not aio.EOF:
        pass


@asynccontextmanager
async def reflecting() -> AsyncIterator[Any]:
    """Open a stream of reflection on a gateway of its own."""
    async with serving(products=PRODUCTS) as gateway:
        channel: Any = gateway.channel  # the stubs know channels of threads alone
        stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
        call = stub.ServerReflectionInfo()
        yield call
        call.cancel()


async def test_a_stream_of_reflection_is_answered_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reflection answers each question of a stream, and ends one that is silent for too long."""
    async with reflecting() as call:
        for _ in range(2):
            await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
            assert (await call.read()).list_services_response.service
    monkeypatch.setattr(standard_calls, "REFLECTION_S", 0.5)
    async with reflecting() as call:
        assert await call.code() is grpc.StatusCode.DEADLINE_EXCEEDED


@pytest.mark.slow
async def test_what_one_connection_brings_is_refused_in_words_alone() -> None:
    """A program with hundreds of calls over its one connection is answered, or told when to come back."""
    async with serving(products=PRODUCTS, encoder=FakeEncoder(delay_s=0.02)) as gateway:
        stub = search_pb2_grpc.SearchServiceStub(gateway.channel)
        codes = Counter[grpc.StatusCode]()

        async def ask(worker: int) -> None:
            for turn in range(4):
                request = search_pb2.SearchRequest(text=f"red {worker} {turn}")
                call = stub.Search(request, timeout=60)
                codes[await call.code()] += 1

        await asyncio.gather(*(ask(worker) for worker in range(300)))
    assert set(codes) <= {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert codes[grpc.StatusCode.OK]


def errors_alive() -> list[object]:
    """Return what was raised or made to be raised, and is still held by something."""
    return [each for each in gc.get_objects() if type(each) is InvalidQuery]


async def test_a_refused_call_leaves_nothing_behind() -> None:
    """What a call held is free when it was refused, and waits for no collector of garbage."""
    async with serving(products=PRODUCTS) as gateway:
        stub = search_pb2_grpc.SearchServiceStub(gateway.channel)
        await code_of(stub.Search(search_pb2.SearchRequest(image=b"none"), timeout=60))
        await checked(gateway)
        gc.collect()
        gc.disable()
        try:
            before = errors_alive()
            await code_of(stub.Search(search_pb2.SearchRequest(image=b"no picture"), timeout=60))
            known = {id(each) for each in before}
            # As soon as the call is over on the server's side as well.
            await until(lambda: all(id(each) in known for each in errors_alive()))
        finally:
            gc.enable()
