"""What every store of sessions promises: this process's memory and a real Redis."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest

from gateway.adapters.memory_sessions import MemorySessions
from gateway.adapters.redis_sessions import open_redis_sessions
from gateway.conversation.sessions import (
    MAX_PICTURES,
    MAX_TURNS,
    Owner,
    SessionStore,
    image_id,
)
from gateway.errors import DeadlineExceeded, NotFound, Overloaded, PermissionDenied
from gateway.model import Deadline
from gateway.testing.sessions import TTL_S, begun, logged, session_bounds, sized, soon

OpenStore = Callable[..., AbstractAsyncContextManager[SessionStore]]


@pytest.fixture(params=["memory", "redis"])
def open_store(request: pytest.FixtureRequest) -> OpenStore:
    """Open a store of the kind."""
    if request.param == "memory":
        return _open_memory
    url = request.getfixturevalue("redis_process").url

    def _open_redis(ttl_s: float = TTL_S, **bounds: int) -> Any:
        return open_redis_sessions(url, ttl_s=ttl_s, bounds=session_bounds(**bounds), timeout_s=30)

    return _open_redis


@asynccontextmanager
async def _open_memory(
    ttl_s: float = TTL_S, max_bytes_each: int = 1_000_000, max_bytes_caller: int = 10**8
) -> AsyncIterator[MemorySessions]:
    yield MemorySessions(
        ttl_s=ttl_s,
        max_sessions=100,
        max_bytes=10**8,
        max_bytes_caller=max_bytes_caller,
        max_bytes_each=max_bytes_each,
    )


async def test_a_session_remembers_its_turns_and_pictures(open_store: OpenStore) -> None:
    """What was recorded is there for the next turn: words, products, vector and picture."""
    async with open_store() as store:
        session_id = await begun(store, "first")
        async with store.hold(session_id, Owner("ann"), soon()) as session:
            await store.record(session, logged("second", b"picture"), b"picture")
        async with store.hold(session_id, Owner("ann"), soon()) as session:
            assert list(session.turns) == [logged("first"), logged("second", b"picture")]
            assert dict(session.pictures) == {image_id(b"picture"): 7}
            assert await store.picture(session, image_id(b"picture")) == b"picture"
            assert await store.picture(session, image_id(b"never sent")) == b""


async def test_a_session_answers_its_owner_alone(open_store: OpenStore) -> None:
    """Another user is refused, an id that nobody was given is not found; both errors name the field."""
    async with open_store() as store:
        session_id = await begun(store)
        with pytest.raises(PermissionDenied, match="session_id"):
            await store.hold(session_id, Owner("bob"), soon()).__aenter__()
        with pytest.raises(NotFound, match="session_id"):
            await store.hold("guess", Owner("ann"), soon()).__aenter__()
        async with store.hold(session_id, Owner("ann"), soon()) as session:
            assert session.owner == Owner("ann")


async def test_a_session_answers_its_caller_alone(open_store: OpenStore) -> None:
    """A user of the same id that another caller speaks for is somebody else."""
    async with open_store() as store:
        async with store.hold("", Owner("ann", "shop"), soon()) as session:
            await store.record(session, logged("first"), b"")
        with pytest.raises(PermissionDenied, match=r"session_id.*caller"):
            await store.hold(session.id, Owner("ann", "other shop"), soon()).__aenter__()
        async with store.hold(session.id, Owner("ann", "shop"), soon()) as again:
            assert len(again.turns) == 1


async def test_a_session_is_kept_from_its_first_turn_on(open_store: OpenStore) -> None:
    """Of a turn that is refused or hung up on nothing is left, and its id is no session's."""
    async with open_store() as store:
        with pytest.raises(DeadlineExceeded):
            async with store.hold("", Owner("ann"), soon()) as session:
                raise DeadlineExceeded("late")
        with pytest.raises(NotFound):
            await store.hold(session.id, Owner("ann"), soon()).__aenter__()


async def test_the_second_turn_waits_for_the_first(open_store: OpenStore) -> None:
    """The id is told before the first turn ends: who uses it at once waits, and finds what was recorded, or nothing."""
    async with open_store() as store:
        for texts in (["first"], []):
            async with store.hold("", Owner("ann"), soon()) as session:
                second = asyncio.create_task(_turns(store, session.id))
                await asyncio.sleep(0.05)  # no sooner than this; later changes nothing
                assert not second.done()
                for text in texts:
                    await store.record(session, logged(text), b"")
            if texts:
                assert await second == texts
            else:
                with pytest.raises(NotFound):
                    await second


async def _turns(store: SessionStore, session_id: str) -> list[str]:
    async with store.hold(session_id, Owner("ann"), soon()) as session:
        return [turn.turn.text for turn in session.turns]


async def test_a_caller_makes_room_for_itself_alone(open_store: OpenStore) -> None:
    """Beyond its share a caller's oldest sessions end, pictures and all; another's live on, however old."""
    async with open_store(max_bytes_caller=10_000) as store:
        victim = await begun(store, "in red")
        own = [await sized(store, Owner("", "crowd"), 4_000, number) for number in range(5)]
        for gone in own[:3]:
            with pytest.raises(NotFound):
                await store.hold(gone, Owner("", "crowd"), soon()).__aenter__()
        for kept in own[3:]:
            async with store.hold(kept, Owner("", "crowd"), soon()) as session:
                assert session.size > 4_000
        assert await _turns(store, victim) == ["in red"]


async def test_a_callers_own_quota_is_its_share(open_store: OpenStore) -> None:
    """What the caller's quota says holds for it, also of one session; one that was used of late outlives an older one."""
    owner = Owner("", "small", 5_000)
    async with open_store() as store:
        first, second = [await sized(store, owner, 2_000, number) for number in range(2)]
        async with store.hold(first, owner, soon()) as session:
            await store.record(session, logged("again"), b"")
        await sized(store, owner, 2_000, 2)
        with pytest.raises(NotFound):
            await store.hold(second, owner, soon()).__aenter__()
        async with store.hold(first, owner, soon()) as session:
            assert len(session.turns) == 2
        large = await sized(store, owner, 4_000, 3)
        async with store.hold(large, owner, soon()) as session:
            await store.record(session, logged("more", b"y" * 3_000), b"y" * 3_000)
            assert session.size <= 5_000


async def test_a_session_that_made_room_meanwhile_stays_gone(open_store: OpenStore) -> None:
    """A turn that is answered while its session makes room for others writes nothing of it anew."""
    owner = Owner("", "crowd", 5_000)
    async with open_store() as store:
        session_id = await sized(store, owner, 3_000, 0)
        async with store.hold(session_id, owner, soon()) as session:
            await sized(store, owner, 3_000, 1)
            await store.record(session, logged("late"), b"")
        with pytest.raises(NotFound):
            await store.hold(session_id, owner, soon()).__aenter__()


async def test_pictures_of_one_session_are_not_another_ones(open_store: OpenStore) -> None:
    """A picture's id opens it in the session that it was sent to and in no other."""
    async with open_store() as store:
        async with store.hold("", Owner("ann"), soon()) as session:
            await store.record(session, logged("a", b"mine"), b"mine")
        async with store.hold("", Owner("bob"), soon()) as other:
            assert await store.picture(other, image_id(b"mine")) == b""


async def test_ids_carry_192_random_bits(open_store: OpenStore) -> None:
    """No two are alike."""
    async with open_store() as store:
        ids = {await begun(store) for _ in range(10)}
    assert len(ids) == 10
    assert {len(session_id) for session_id in ids} == {32}


async def test_an_unused_session_ends(open_store: OpenStore) -> None:
    """After its time to live a session is not found."""
    async with open_store(ttl_s=0.05) as store:
        session_id = await begun(store, "first")
        await asyncio.sleep(0.2)  # no sooner than this; later changes nothing
        with pytest.raises(NotFound):
            await store.hold(session_id, Owner("ann"), soon()).__aenter__()


async def test_the_oldest_turns_make_room(open_store: OpenStore) -> None:
    """A session keeps its last MAX_TURNS turns."""
    async with open_store() as store:
        session_id = await begun(store, *map(str, range(MAX_TURNS + 3)))
        async with store.hold(session_id, Owner("ann"), soon()) as session:
            texts = [turn.turn.text for turn in session.turns]
    assert texts == [str(number) for number in range(3, MAX_TURNS + 3)]


async def test_the_oldest_pictures_make_room(open_store: OpenStore) -> None:
    """A session keeps its last MAX_PICTURES pictures; one that is sent again counts as new."""
    pictures = [f"picture {number}".encode() for number in range(MAX_PICTURES)]
    async with open_store() as store:
        async with store.hold("", Owner("ann"), soon()) as session:
            for picture in (*pictures, pictures[0], b"one more"):
                await store.record(session, logged("x", picture), picture)
            session_id = session.id
        async with store.hold(session_id, Owner("ann"), soon()) as session:
            assert list(session.pictures) == [image_id(p) for p in (*pictures[2:], pictures[0], b"one more")]
            assert await store.picture(session, image_id(pictures[1])) == b""
            assert await store.picture(session, image_id(pictures[0])) == pictures[0]


async def test_bytes_of_a_session_have_a_bound(open_store: OpenStore) -> None:
    """Old turns, then old pictures, make room; what came last stays."""
    async with open_store(max_bytes_each=5_000) as store:
        session_id = await begun(store, "a" * 2_000, "b" * 2_000)
        async with store.hold(session_id, Owner("ann"), soon()) as session:
            await store.record(session, logged("c", b"x" * 3_000), b"x" * 3_000)
            await store.record(session, logged("d", b"y" * 4_000), b"y" * 4_000)
        async with store.hold(session_id, Owner("ann"), soon()) as session:
            assert [turn.turn.text for turn in session.turns] == ["d"]
            assert list(session.pictures.values()) == [4_000]
            assert session.size <= 5_000


async def test_turns_of_one_session_do_not_interleave(open_store: OpenStore) -> None:
    """Turns at once are answered one after the other, and none is lost."""
    order: list[str] = []
    async with open_store() as store:
        session_id = await begun(store)

        async def take(text: str) -> None:
            async with store.hold(session_id, Owner("ann"), soon()) as session:
                order.append(f"begin {text}")
                await asyncio.sleep(0.01)
                await store.record(session, logged(text), b"")
                order.append(f"end {text}")

        await asyncio.gather(*map(take, "abcd"))
        async with store.hold(session_id, Owner("ann"), soon()) as session:
            _, *texts = [turn.turn.text for turn in session.turns]
    assert sorted(texts) == [*"abcd"]
    assert order == [f"{moment} {text}" for text in texts for moment in ("begin", "end")]


async def test_a_turn_does_not_wait_without_end(open_store: OpenStore) -> None:
    """A turn that waits past its deadline is told to come back, and so is one too many in the queue."""
    async with open_store() as store:
        session_id = await begun(store)
        async with store.hold(session_id, Owner("ann"), soon()):
            with pytest.raises(Overloaded):
                await store.hold(session_id, Owner("ann"), Deadline.after(0.05)).__aenter__()
            waiting = [asyncio.ensure_future(_pass(store, session_id)) for _ in range(4)]
            async with asyncio.timeout(30):
                while store._queues._users[session_id] < 5:  # type: ignore[attr-defined]  # noqa: ASYNC110 - what is waited for sets no event
                    await asyncio.sleep(0.001)
            with pytest.raises(Overloaded, match="at once"):
                await asyncio.wait_for(_pass(store, session_id), 30)
        await asyncio.gather(*waiting)


async def _pass(store: SessionStore, session_id: str) -> None:
    async with store.hold(session_id, Owner("ann"), soon()):
        pass


async def test_a_cancelled_turn_lets_the_next_one_in(open_store: OpenStore) -> None:
    """A caller that hangs up while it holds a session leaves nothing locked."""
    async with open_store() as store:
        session_id = await begun(store)
        holding = asyncio.Event()

        async def hold() -> None:
            async with store.hold(session_id, Owner("ann"), soon()):
                holding.set()
                await asyncio.sleep(3_600)

        task = asyncio.create_task(hold())
        await holding.wait()
        task.cancel()
        await asyncio.wait([task])
        await asyncio.wait_for(_pass(store, session_id), 30)


async def test_a_users_sessions_are_told_and_erased(open_store: OpenStore) -> None:
    """Whoever called for the user; others stay, and a turn that is under way meanwhile is not remembered."""
    async with open_store() as store:
        mine = [await begun(store, "one", "two", user_id="eve"), await begun(store, user_id="eve")]
        async with store.hold("", Owner("eve", "shop"), soon()) as session:
            await store.record(session, logged("three", b"picture"), b"picture")
            mine.append(session.id)
        others = await begun(store, user_id="eve2")
        kept = {each.id: each for each in await store.of_user("eve", soon())}
        assert set(kept) == set(mine)
        assert [turn.turn.text for turn in kept[mine[0]].turns] == ["one", "two"]
        assert (kept[mine[2]].owner.caller, len(kept[mine[2]].pictures)) == ("shop", 1)
        async with store.hold(mine[0], Owner("eve"), soon()) as session:
            assert await store.erase("eve", soon()) == 3
            await store.record(session, logged("late"), b"")
        assert await store.of_user("eve", soon()) == []
        with pytest.raises(NotFound):
            await store.hold(mine[0], Owner("eve"), soon()).__aenter__()
        async with store.hold(others, Owner("eve2"), soon()):
            pass
        assert await store.erase("eve", soon()) == 0


async def test_a_first_turn_that_outlives_its_erasure_is_not_remembered() -> None:
    """In memory, a session that begins while its user is erased has no place."""
    async with _open_memory() as store:
        async with store.hold("", Owner("eve"), soon()) as session:
            await store.erase("eve", soon())
            await store.record(session, logged("late"), b"")
        assert await store.of_user("eve", soon()) == []
