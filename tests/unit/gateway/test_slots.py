"""What the limiter admits: encoding and look-ups, never the wait for the rewriter or for another turn."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import grpc
import pytest
from grpc import aio

from gateway.errors import DeadlineExceeded
from gateway.metrics import Metrics
from gateway.model import Embedded, EncoderInputs
from gateway.settings import Settings
from gateway.testing import (
    PATIENT,
    FakeEncoder,
    FakeRewriter,
    ServedGateway,
    product,
    serving,
    until,
)
from vitrine.v1 import query_pb2, rewrite_pb2, search_pb2, search_pb2_grpc

PRODUCTS = (product("p1", "red dress"), product("p2", "blue shirt", colour="blue"))


def reading(delay_s: float = 0.0) -> FakeRewriter:
    """A rewriter that reads every turn as other words."""
    return FakeRewriter(
        lambda turn: rewrite_pb2.Rewrite(route=query_pb2.ROUTE_TEXT, query=f"{turn.text} dress"),
        delay_s=delay_s,
    )


class GatedRewriter(FakeRewriter):
    """A rewriter that answers once it is told to."""

    def __init__(self) -> None:
        super().__init__(reading().answer)
        self.open = asyncio.Event()

    async def rewrite(
        self, request: rewrite_pb2.RewriteRequest, *, timeout_s: float
    ) -> rewrite_pb2.RewriteResponse:
        """Wait for the word, then answer."""
        self.requests.append(request)
        try:
            async with asyncio.timeout(timeout_s):
                await self.open.wait()
        except TimeoutError:
            raise DeadlineExceeded("nobody opened") from None
        return rewrite_pb2.RewriteResponse(rewrite=self.answer(request))


class GatedEncoder(FakeEncoder):
    """An encoder that answers once it is told to, but for the probe and for "unrelated"."""

    def __init__(self) -> None:
        super().__init__()
        self.open = asyncio.Event()

    async def embed(self, inputs: EncoderInputs, *, timeout_s: float) -> Embedded:
        """Wait for the word, then answer."""
        if inputs.texts not in (["ready"], ["unrelated"]):
            async with asyncio.timeout(timeout_s):
                await self.open.wait()
        return await super().embed(inputs, timeout_s=timeout_s)


def slots(metrics: Metrics, state: str) -> float:
    return metrics.registry.get_sample_value(f"vitrine_gateway_searches_{state}", {"lane": "words"}) or 0.0


def shed(metrics: Metrics) -> float:
    return sum(
        sample.value
        for metric in metrics.registry.collect()
        for sample in metric.samples
        if sample.name == "vitrine_gateway_shed_total"
    )


async def search(gateway: ServedGateway, text: str, **request: object) -> search_pb2.SearchResponse:
    stub = search_pb2_grpc.SearchServiceStub(gateway.channel)
    return await stub.Search(search_pb2.SearchRequest(text=text, **request), timeout=30)  # type: ignore[arg-type] # the tests name the fields


async def converse(
    gateway: ServedGateway, text: str, session_id: str = ""
) -> list[search_pb2.ConverseResponse]:
    stub = search_pb2_grpc.SearchServiceStub(gateway.channel)
    request = search_pb2.ConverseRequest(text=text, session_id=session_id)
    return [event async for event in stub.Converse(request, timeout=30)]


async def test_twelve_shoppers_with_a_slow_rewriter_are_all_answered() -> None:
    """A rewriter of 600 ms is in nobody's way: with the default settings no turn is refused."""
    async with serving(products=PRODUCTS, rewriter=reading(0.6), settings=Settings()) as gateway:
        turns = await asyncio.gather(*(converse(gateway, f"red {number}") for number in range(12)))
        assert shed(gateway.metrics) == 0
    assert all(event.result.hits for turn in turns for event in turn if event.HasField("result"))
    assert [turn[-1].WhichOneof("event") for turn in turns] == ["reply"] * 12


@pytest.mark.parametrize("limit", [1, 4])
async def test_the_turns_of_one_session_hold_one_slot(limit: int) -> None:
    """Three turns wait for the first one of their session without a slot, so that others are answered meanwhile."""
    settings = replace(
        PATIENT,
        initial_concurrency=limit,
        max_concurrency=limit,
        max_queue=8,
        max_queue_wait_ms=30_000,
    )
    rewriter = GatedRewriter()
    async with serving(products=PRODUCTS, rewriter=rewriter, settings=settings) as gateway:
        rewriter.open.set()
        session_id = (await converse(gateway, "hello"))[0].session_id
        rewriter.open.clear()
        turns = [asyncio.create_task(converse(gateway, f"turn {i}", session_id)) for i in range(4)]
        await until(lambda: len(rewriter.requests) == 2)
        off = search_pb2.REWRITE_MODE_OFF
        assert (await search(gateway, "unrelated", rewrite=off)).hits
        await until(lambda: slots(gateway.metrics, "running") == 0)
        assert len(rewriter.requests) == 2, "the other turns wait for the first one"
        rewriter.open.set()
        answers = await asyncio.gather(*turns)
        assert shed(gateway.metrics) == 0
    assert all(answer[-1].WhichOneof("event") == "reply" for answer in answers)


async def test_a_session_under_way_leaves_the_other_slots_to_others() -> None:
    """While one turn of four encodes, one slot of four is taken."""
    settings = replace(PATIENT, initial_concurrency=4, max_concurrency=4)
    encoder = GatedEncoder()
    async with serving(products=PRODUCTS, encoder=encoder, settings=settings) as gateway:
        encoder.open.set()
        session_id = (await converse(gateway, "hello"))[0].session_id
        encoder.open.clear()
        turns = [asyncio.create_task(converse(gateway, f"turn {i}", session_id)) for i in range(4)]
        await until(lambda: slots(gateway.metrics, "running") == 1)
        assert (await search(gateway, "unrelated")).hits
        assert (slots(gateway.metrics, "running"), slots(gateway.metrics, "queued")) == (1, 0)
        encoder.open.set()
        await asyncio.gather(*turns)


async def test_a_search_that_waits_for_the_rewriter_holds_no_slot() -> None:
    """With one slot, its raw words are searched and a second search is answered, while the rewriter still reads."""
    settings = replace(PATIENT, initial_concurrency=1, max_concurrency=1, max_queue=0)
    rewriter = GatedRewriter()
    async with serving(products=PRODUCTS, rewriter=rewriter, settings=settings) as gateway:
        auto, off = search_pb2.REWRITE_MODE_AUTO, search_pb2.REWRITE_MODE_OFF
        waiting = asyncio.create_task(search(gateway, "red", rewrite=auto))
        await until(lambda: len(rewriter.requests) == 1)
        await until(lambda: slots(gateway.metrics, "running") == 0)
        assert (await search(gateway, "unrelated", rewrite=off)).hits
        assert not waiting.done()
        rewriter.open.set()
        assert (await waiting).searched.text == "red dress"


async def test_a_turn_that_is_read_at_last_never_holds_two_slots() -> None:
    """With one slot and no queue, the search of the raw words ends before that of the reading begins."""
    settings = replace(PATIENT, initial_concurrency=1, max_concurrency=1, max_queue=0)
    encoder, rewriter = FakeEncoder(), GatedRewriter()

    class SlowOnRawWords(FakeEncoder):
        async def embed(self, inputs: EncoderInputs, *, timeout_s: float) -> Embedded:
            if inputs.texts == ["red"]:
                encoder.embed_calls.append(inputs)
                await asyncio.sleep(timeout_s)
            return await super().embed(inputs, timeout_s=timeout_s)

    async with serving(
        products=PRODUCTS, encoder=SlowOnRawWords(), rewriter=rewriter, settings=settings
    ) as gateway:
        auto = search_pb2.REWRITE_MODE_AUTO
        answer = asyncio.create_task(search(gateway, "red", rewrite=auto))
        await until(lambda: len(encoder.embed_calls) == 1)
        rewriter.open.set()
        result = await answer
    assert (result.searched.text, result.degraded) == ("red dress", [])


async def test_a_turn_tells_the_time_of_its_rewrite() -> None:
    """Converse tells the rewriter's time beside the others, and no stage took longer than the whole."""
    async with serving(products=PRODUCTS, rewriter=reading()) as gateway:
        (_, answer, _) = await converse(gateway, "red")
    timings = answer.result.timings
    assert {"rewrite", "encode", "search"} <= timings.stages_ms.keys()
    assert max(timings.stages_ms.values()) <= timings.total_ms


async def test_a_turn_that_nobody_reads_tells_no_rewrite() -> None:
    """Where there is no rewriter, no time is told for it."""
    async with serving(products=PRODUCTS) as gateway:
        (_, answer, _) = await converse(gateway, "red")
    assert "rewrite" not in answer.result.timings.stages_ms


@pytest.mark.slow
async def test_a_crowd_of_one_client_costs_another_no_search() -> None:
    """While one client keeps 150 searches under way, none of another's is refused; both have the same name, nobody asks."""
    settings = replace(
        PATIENT, initial_concurrency=4, max_concurrency=4, max_queue=16, max_queue_wait_ms=30_000
    )
    async with (
        # Slow enough that the crowd fills the queue on any machine.
        serving(products=PRODUCTS, encoder=FakeEncoder(delay_s=0.05), settings=settings) as gateway,
        another_channel(gateway) as crowded,
    ):
        refused = 0

        async def crowd(number: int) -> None:
            nonlocal refused
            for turn in itertools.count():
                try:
                    await _search(crowded, f"dress {number} {turn}")
                except aio.AioRpcError as error:
                    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED  # noqa: PT017 - each of very many
                    refused += 1
                    await asyncio.sleep(0.02)

        tasks = [asyncio.create_task(crowd(number)) for number in range(150)]
        await until(lambda: refused > 0)
        answers = [await search(gateway, f"red {number}") for number in range(10)]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    assert all(answer.hits for answer in answers)


async def test_slow_pictures_take_no_place_from_words(jpeg: bytes) -> None:
    """Pictures that take longer than their target shrink their own limit; that of words stays as it is."""
    settings = replace(PATIENT, picture_latency_target_ms=0)
    async with serving(products=PRODUCTS, settings=settings) as gateway:
        for _ in range(3):
            await search(gateway, "", image=jpeg)
            await search(gateway, "red")
        limit = gateway.metrics.registry.get_sample_value
        assert limit("vitrine_gateway_concurrency_limit", {"lane": "pictures"}) == 10
        assert limit("vitrine_gateway_concurrency_limit", {"lane": "words"}) == 16


@asynccontextmanager
async def another_channel(gateway: ServedGateway) -> AsyncIterator[aio.Channel]:
    """Connect as another client does."""
    async with aio.insecure_channel(
        gateway.address, options=[("grpc.use_local_subchannel_pool", 1)]
    ) as channel:
        yield channel


async def _search(channel: aio.Channel, text: str) -> search_pb2.SearchResponse:
    stub = search_pb2_grpc.SearchServiceStub(channel)
    return await stub.Search(search_pb2.SearchRequest(text=text), timeout=30)
