"""The gateway as a process: how it starts, says what it lacks, drains and ends."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from gateway.adapters.memory_sessions import memory_sessions
from gateway.adapters.milvus.index import open_milvus
from gateway.adapters.triton import open_triton
from gateway.assembly.serving import Dependencies, serving_gateway
from gateway.errors import FailedPrecondition
from gateway.settings import Settings
from gateway.testing import FakeEncoder, FakeRewriter
from tests.ports import free_port
from vitrine.v1 import rewrite_pb2, search_pb2, search_pb2_grpc

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 120.0
NOBODY = "127.0.0.1:1"


@asynccontextmanager
async def gateway_process(**settings: str) -> AsyncIterator[Process]:
    """Run `python -m gateway` with these settings; it is killed if it still runs afterwards."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", cwd=ROOT, env=env | settings, stdout=PIPE, stderr=PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def address_settings(stack: Any, port: int) -> dict[str, str]:
    return {
        "GATEWAY_LISTEN": f"127.0.0.1:{port}",
        "GATEWAY_METRICS_LISTEN": "",
        "GATEWAY_TRITON": stack.triton,
        "GATEWAY_MILVUS": stack.milvus,
        "GATEWAY_DRAIN_S": "1",
        "GATEWAY_GRACE_S": "5",
    }


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[aio.Channel]:
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_reconnect_backoff_ms", 200)]
    async with aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        yield channel


async def status(channel: aio.Channel, service: str = "") -> int:
    health: Any = health_pb2_grpc.HealthStub(channel)
    request = health_pb2.HealthCheckRequest(service=service)
    answer = await health.Check(request, timeout=TIMEOUT_S, wait_for_ready=True)
    return int(answer.status)


async def until_status(channel: aio.Channel, wanted: int, service: str = "") -> None:
    async with asyncio.timeout(TIMEOUT_S):
        while await status(channel, service) != wanted:  # noqa: ASYNC110 - it happens in another process
            await asyncio.sleep(0.05)


async def search(channel: aio.Channel, text: str = "red dress") -> search_pb2.SearchResponse:
    stub = search_pb2_grpc.SearchServiceStub(channel)
    return await stub.Search(search_pb2.SearchRequest(text=text, limit=3), timeout=TIMEOUT_S)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"GATEWAY_REWRITE_BUGET_MS": "80"}, "gateway: unknown settings: GATEWAY_REWRITE_BUGET_MS"),
        ({"GATEWAY_MAX_QUEUE": "lots"}, "gateway: GATEWAY_MAX_QUEUE must be int, got 'lots'"),
    ],
)
async def test_a_wrong_setting_ends_the_start_in_one_line(setting: dict[str, str], message: str) -> None:
    """A typo is told and nothing is served."""
    async with gateway_process(**setting) as process:
        _, errors = await asyncio.wait_for(process.communicate(), TIMEOUT_S)
    assert process.returncode == 1
    assert errors.decode().strip() == message


async def test_without_its_engines_it_starts_and_says_so() -> None:
    """Neither Triton nor Milvus is there: NOT_SERVING, and a search names the one that it misses first."""
    port = free_port()
    env = {
        "GATEWAY_LISTEN": f"127.0.0.1:{port}",
        "GATEWAY_METRICS_LISTEN": "",
        "GATEWAY_TRITON": NOBODY,
        "GATEWAY_MILVUS": f"http://{NOBODY}",
        "GATEWAY_DRAIN_S": "0",
    }
    async with gateway_process(**env) as process, connected(port) as channel:
        assert await status(channel) == health_pb2.HealthCheckResponse.NOT_SERVING
        with pytest.raises(aio.AioRpcError) as refused:
            await search(channel)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        rich = rpc_status.from_call(refused.value)
        assert rich is not None
        info = error_details_pb2.ErrorInfo()
        assert rich.details[0].Unpack(info)
        assert info.metadata["dependency"] == "index"
        process.terminate()
        assert await asyncio.wait_for(process.wait(), TIMEOUT_S) == 0


async def test_it_drains_before_it_ends(stack: Any) -> None:
    """After SIGTERM health says NOT_SERVING while calls are still answered; then it exits with 0."""
    port = free_port()
    async with gateway_process(**address_settings(stack, port)) as process, connected(port) as channel:
        await until_status(channel, health_pb2.HealthCheckResponse.SERVING)
        assert len((await search(channel)).hits) == 3
        process.send_signal(signal.SIGTERM)
        await until_status(channel, health_pb2.HealthCheckResponse.NOT_SERVING)
        assert len((await search(channel, "blue shirt")).hits) == 3
        assert await asyncio.wait_for(process.wait(), TIMEOUT_S) == 0


async def test_a_second_signal_ends_it_at_once(stack: Any) -> None:
    """Whoever insists does not wait for the drain."""
    port = free_port()
    env = address_settings(stack, port) | {"GATEWAY_DRAIN_S": "60"}
    async with gateway_process(**env) as process, connected(port) as channel:
        await until_status(channel, health_pb2.HealthCheckResponse.SERVING)
        process.send_signal(signal.SIGTERM)
        await until_status(channel, health_pb2.HealthCheckResponse.NOT_SERVING)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), TIMEOUT_S) == 128 + signal.SIGTERM


async def test_two_gateways_do_not_share_a_port(stack: Any) -> None:
    """A port that is taken ends the start with an error, instead of splitting the calls."""
    port = free_port()
    async with gateway_process(**address_settings(stack, port)), connected(port) as channel:
        await until_status(channel, health_pb2.HealthCheckResponse.SERVING)
        async with gateway_process(**address_settings(stack, port)) as second:
            _, errors = await asyncio.wait_for(second.communicate(), TIMEOUT_S)
        assert second.returncode == 1
        assert str(port) in errors.decode()
        assert len((await search(channel)).hits) == 3


async def test_an_index_of_other_encoders_is_refused(stack: Any) -> None:
    """With encoders of another manifest on the real index, a search is told which command mends it."""
    settings = Settings(listen="127.0.0.1:0", probe_interval_ms=100)
    async with (
        open_milvus(stack.milvus) as index,
        serving_gateway(
            settings,
            Dependencies(
                encoder=FakeEncoder(digest="other"),
                index=index,
                administrator=index,
                documents=index.documents,
                rewriter=None,
                sessions=memory_sessions(settings),
            ),
        ) as gateway,
        connected(gateway.port) as channel,
    ):
        await until_status(channel, health_pb2.HealthCheckResponse.SERVING)
        assert await status(channel, "vitrine.v1.SearchService") == health_pb2.HealthCheckResponse.NOT_SERVING
        with pytest.raises(aio.AioRpcError) as refused:
            await search(channel)
        assert refused.value.code() is FailedPrecondition.code
        assert "run `vitrine index --rebuild PATH`" in (refused.value.details() or "")


async def test_a_late_rewriter_costs_its_budget_and_no_more(stack: Any) -> None:
    """On real engines, with a rewriter that hangs: the raw answer, degraded, within budget and search."""
    settings = Settings(listen="127.0.0.1:0", rewrite_budget_ms=100, breaker_failures=1_000)
    hanging = FakeRewriter(lambda _: rewrite_pb2.Rewrite(), delay_s=60)
    async with (
        open_triton(stack.triton) as encoder,
        open_milvus(stack.milvus) as index,
        serving_gateway(
            settings,
            Dependencies(
                encoder=encoder,
                index=index,
                administrator=index,
                documents=index.documents,
                rewriter=hanging,
                sessions=memory_sessions(settings),
            ),
        ) as gateway,
        connected(gateway.port) as channel,
    ):
        answers = [await search(channel, f"dress {number}") for number in range(5)]
    assert all("rewrite" in answer.degraded and len(answer.hits) == 3 for answer in answers)
    fastest = min(answer.timings.total_ms for answer in answers)
    assert 100 <= fastest < 30_000  # and not the minute for which it hangs


async def test_a_conversation_outlives_its_gateway(stack: Any, redis_process: Any) -> None:
    """With its sessions in Redis, a gateway that takes over from one that was killed goes on where that one stopped."""
    port = free_port()
    env = address_settings(stack, port) | {
        "GATEWAY_REWRITER": stack.rewriter,
        "GATEWAY_SESSIONS": redis_process.url,
        "GATEWAY_CONVERSE_BUDGET_MS": "10000",
    }
    session_id, shown = "", []
    for words in ("red dresses", "cheaper than the first one"):
        async with gateway_process(**env) as process, connected(port) as channel:
            await until_status(channel, health_pb2.HealthCheckResponse.SERVING)
            stub = search_pb2_grpc.SearchServiceStub(channel)
            request = search_pb2.ConverseRequest(text=words, session_id=session_id, limit=5)
            events = [event async for event in stub.Converse(request, timeout=TIMEOUT_S)]
            process.kill()
            await process.wait()
        session_id = events[0].session_id
        shown.append([hit.product for event in events for hit in event.result.hits])
    before, after = shown
    assert {product.colour for product in after} == {"red"}
    assert max(product.price for product in after) < before[0].price
