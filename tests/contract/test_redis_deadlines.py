"""A Redis that stops answering in the middle of a turn costs the turn no more than its deadline."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

from redis.asyncio import Redis

from gateway.adapters.redis_sessions import SessionBounds, open_redis_sessions
from gateway.conversation.sessions import Owner
from gateway.model import Deadline
from gateway.testing import product, serving
from vitrine.v1 import search_pb2, search_pb2_grpc

BOUNDS = SessionBounds(session_bytes=1_000, caller_bytes=10_000, caller_sessions=10)
REDIS_S = 30.0
"""How long the store waits for Redis: far longer than the turn has."""
SOON_S = 20.0


async def test_a_turn_whose_time_is_over_ends_although_its_lock_cannot_be_given_back(
    redis_process: Any,
) -> None:
    """It does not wait for Redis; the lock is given back beside it, and the store waits for that when it closes."""
    async with AsyncExitStack() as opened:
        store = await opened.enter_async_context(
            open_redis_sessions(redis_process.url, ttl_s=60, bounds=BOUNDS, timeout_s=REDIS_S)
        )
        async with AsyncExitStack() as turn:
            session = await turn.enter_async_context(store.hold("", Owner(""), Deadline.after(0.5)))
            with redis_process.hanging():
                await asyncio.wait_for(turn.aclose(), SOON_S)
    async with Redis.from_url(redis_process.url) as client:
        assert await client.keys(f"*{session.id}*lock") == []


async def test_a_redis_that_hangs_leaves_a_hurried_turn_its_time(redis_process: Any) -> None:
    """A turn that would begin a session, and has less time than Redis may take, is answered without one."""
    async with (
        open_redis_sessions(redis_process.url, ttl_s=60, bounds=BOUNDS, timeout_s=REDIS_S) as store,
        serving(products=[product("p1", "dress")], sessions=store) as gateway,
    ):
        stub = search_pb2_grpc.SearchServiceStub(gateway.channel)
        with redis_process.hanging():
            turn = search_pb2.ConverseRequest(text="dress")
            events = [event async for event in stub.Converse(turn, timeout=6)]
    results = [event.result for event in events if event.WhichOneof("event") == "result"]
    assert [hit.product_id for result in results for hit in result.hits] == ["p1"]
    assert [part for result in results for part in result.degraded] == ["session"]
