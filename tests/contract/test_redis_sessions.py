"""What a Redis promises besides, as a store of sessions."""

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import aio
from redis.asyncio import Redis

from gateway.adapters.memory_sessions import MemorySessions
from gateway.adapters.redis_sessions import RedisSessions, open_redis_sessions
from gateway.conversation.sessions import (
    Owner,
)
from gateway.errors import DeadlineExceeded, Overloaded, SessionStoreError
from gateway.server import open_sessions
from gateway.settings import Settings
from gateway.testing import FakeRewriter, ServedGateway, product, serving
from gateway.testing.sessions import TTL_S, begun, logged, session_bounds, sized, soon
from vitrine.v1 import query_pb2, rewrite_pb2, search_pb2, search_pb2_grpc


@pytest.fixture
def redis_url(redis_process: Any) -> str:
    """Give the address of the Redis."""
    return str(redis_process.url)


async def test_the_setting_chooses_the_store(redis_url: str) -> None:
    """GATEWAY_SESSIONS is memory, or the address of a Redis."""
    async with open_sessions(Settings()) as memory, open_sessions(Settings(sessions=redis_url)) as shared:
        assert isinstance(memory, MemorySessions)
        assert isinstance(shared, RedisSessions)


async def test_two_gateways_take_turns(redis_url: str) -> None:
    """Two gateways that answer one session at once see each other's turns, whole and in one order."""
    rewriter = FakeRewriter(
        lambda _: rewrite_pb2.Rewrite(route=query_pb2.ROUTE_CHAT, reply="Yes."), delay_s=0.01
    )
    options: dict[str, Any] = {"ttl_s": TTL_S, "bounds": session_bounds(), "timeout_s": 30.0}
    async with (
        open_redis_sessions(redis_url, **options) as ours,
        open_redis_sessions(redis_url, **options) as theirs,
        serving(products=[product("p1", "red dress")], rewriter=rewriter, sessions=ours) as first,
        serving(products=[product("p1", "red dress")], rewriter=rewriter, sessions=theirs) as second,
    ):
        session_id = await _turn(first, "hello")
        turns = [_turn(gateway, str(i), session_id) for i in range(4) for gateway in (first, second)]
        await asyncio.gather(*turns)
        await _turn(second, "last", session_id)
    assert [len(request.history) for request in rewriter.requests] == list(range(10))
    assert sorted(turn.text for turn in rewriter.requests[-1].history) == sorted(["hello", *"00112233"])


async def _turn(gateway: ServedGateway, text: str, session_id: str = "") -> str:
    stub = search_pb2_grpc.SearchServiceStub(gateway.channel)
    request = search_pb2.ConverseRequest(text=text, session_id=session_id)
    events = [event async for event in stub.Converse(request, timeout=30)]
    return str(events[0].session_id)


async def test_a_hold_that_lapsed_writes_nothing(redis_url: str) -> None:
    """A turn whose lock is another's by now must not write over what that one wrote."""
    async with (
        open_redis_sessions(redis_url, ttl_s=TTL_S, bounds=session_bounds(), timeout_s=30) as store,
        Redis.from_url(redis_url) as client,
    ):
        session_id = await begun(store, "first")
        lock = f"vitrine:session:2:{{{session_id}}}:lock"
        async with store.hold(session_id, Owner("ann"), soon()) as session:
            assert 30_000 < await client.pttl(lock) <= 31_000
            await client.set(lock, "another's", px=60_000)
            with pytest.raises(Overloaded):
                await store.record(session, logged("late"), b"")
        assert await client.get(lock) == b"another's"
        assert await client.llen(f"vitrine:session:2:{{{session_id}}}:turns") == 1


async def test_a_connection_that_redis_closed_is_made_anew(redis_url: str) -> None:
    """A Redis that was restarted, or that closed what was idle, costs no turn."""
    async with (
        open_redis_sessions(redis_url, ttl_s=TTL_S, bounds=session_bounds(), timeout_s=30) as store,
        Redis.from_url(redis_url) as client,
    ):
        session_id = await begun(store, "first")
        await client.client_kill_filter(_type="normal", skipme=True)
        async with store.hold(session_id, Owner("ann"), soon()) as session:
            assert len(session.turns) == 1


async def test_an_exchanged_password_is_taken_over(redis_url: str, tmp_path: Path) -> None:
    """New connections take user and password from the file as it is then: no restart, and no turn is lost."""
    async with Redis.from_url(redis_url) as client:
        await client.execute_command("ACL", "SETUSER", "shop", "on", ">first", "~*", "&*", "+@all")
        file = tmp_path / "url"
        file.write_text(redis_url.replace("://", "://shop:first@"))
        async with open_sessions(Settings(sessions_file=str(file))) as store:
            session_id = await begun(store, "first")
            await client.execute_command("ACL", "SETUSER", "shop", "resetpass", ">a second/one")
            await client.client_kill_filter(user="shop", skipme=True)
            with pytest.raises(SessionStoreError):
                async with store.hold(session_id, Owner("ann"), soon()):
                    pass
            (tmp_path / "fresh").write_text(redis_url.replace("://", "://shop:a%20second%2Fone@"))
            (tmp_path / "fresh").replace(file)
            async with store.hold(session_id, Owner("ann"), soon()) as session:
                assert len(session.turns) == 1
        await client.execute_command("ACL", "DELUSER", "shop")


async def test_a_session_that_ends_leaves_no_key(redis_url: str) -> None:
    """What made room is gone whole, and so is all of a turn that was refused."""
    bounds = session_bounds(max_bytes_caller=5_000)
    async with (
        open_redis_sessions(redis_url, ttl_s=TTL_S, bounds=bounds, timeout_s=30) as store,
        Redis.from_url(redis_url) as client,
    ):
        owner = Owner("", "crowd of its own")
        ids = [await sized(store, owner, 3_000, number) for number in range(3)]
        with pytest.raises(DeadlineExceeded):
            async with store.hold("", owner, soon()) as refused:
                raise DeadlineExceeded("late")
        keys = [len([key async for key in client.scan_iter(f"*{{{each}}}*")]) for each in (*ids, refused.id)]
    assert keys == [0, 0, 3, 0]


async def test_every_key_has_an_end(redis_url: str) -> None:
    """Whatever of a session is in Redis lapses by itself."""
    async with (
        open_redis_sessions(redis_url, ttl_s=TTL_S, bounds=session_bounds(), timeout_s=30) as store,
        Redis.from_url(redis_url) as client,
        store.hold("", Owner("ann"), soon()) as session,
    ):
        await store.record(session, logged("a", b"picture"), b"picture")
        keys = [key async for key in client.scan_iter(f"*{{{session.id}}}*")]
        ends = [await client.pttl(key) for key in keys]
        counted = [await client.pttl(key) async for key in client.scan_iter("vitrine:sessions:*")]
    assert len(keys) == 4
    assert all(0 < end <= TTL_S * 1e3 for end in ends)
    assert len(counted) >= 3
    assert all(0 < end <= 3 * TTL_S * 1e3 for end in counted)


@pytest.fixture
async def session_id(redis_url: str) -> str:
    """Begin a session, with all the time that it takes."""
    async with open_redis_sessions(redis_url, ttl_s=TTL_S, bounds=session_bounds(), timeout_s=30) as store:
        return await begun(store, user_id="")


async def test_a_redis_that_hangs_is_unavailable(redis_process: Any, session_id: str) -> None:
    """A Redis that accepts and answers nothing costs a turn its bound, and no more; later all is well again."""
    impatient = open_redis_sessions(redis_process.url, ttl_s=TTL_S, bounds=session_bounds(), timeout_s=0.1)
    with redis_process.hanging():
        async with impatient as store:
            with pytest.raises(SessionStoreError):
                await asyncio.wait_for(store.hold(session_id, Owner(""), soon()).__aenter__(), 30)
    async with open_redis_sessions(
        redis_process.url, ttl_s=TTL_S, bounds=session_bounds(), timeout_s=30
    ) as store:
        await store.hold(session_id, Owner(""), soon()).__aenter__()


async def test_without_redis_a_turn_says_what_is_lost(redis_process: Any, session_id: str) -> None:
    """A turn that begins a session is answered without one; a turn that names one is UNAVAILABLE."""
    impatient = open_redis_sessions(redis_process.url, ttl_s=TTL_S, bounds=session_bounds(), timeout_s=0.1)
    with redis_process.hanging():
        async with impatient as store, serving(products=[product("p1", "dress")], sessions=store) as gateway:
            stub = search_pb2_grpc.SearchServiceStub(gateway.channel)
            new = search_pb2.ConverseRequest(text="dress")
            events = [event async for event in stub.Converse(new, timeout=30)]
            named = search_pb2.ConverseRequest(text="dress", session_id=session_id)
            with pytest.raises(aio.AioRpcError, match="session store is unavailable") as failed:
                await anext(aiter(stub.Converse(named, timeout=30)))
    assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
    assert {event.session_id for event in events} == {""}
    assert [hit.product_id for event in events for hit in event.result.hits] == ["p1"]
    assert [part for event in events for part in event.result.degraded] == ["session"]
