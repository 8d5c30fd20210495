"""Sessions in memory: the bounds of all of them together."""

import pytest

from gateway.adapters.memory_sessions import MemorySessions
from gateway.conversation.sessions import LoggedTurn, Owner
from gateway.errors import NotFound
from gateway.metrics import Metrics
from gateway.model import Deadline
from vitrine.v1 import rewrite_pb2


class Clock:
    """Time as the test sets it."""

    now = 0.0

    def __call__(self) -> float:
        """Give the time."""
        return self.now


def store(*, max_sessions: int = 10, max_bytes: int = 10_000, clock: Clock | None = None) -> MemorySessions:
    return MemorySessions(
        ttl_s=60,
        max_sessions=max_sessions,
        max_bytes=max_bytes,
        max_bytes_caller=10_000,
        max_bytes_each=10_000,
        clock=clock or Clock(),
    )


async def hold(
    sessions: MemorySessions, session_id: str = "", picture: bytes = b"", caller: str = "local"
) -> str:
    """Hold a session for a turn, with a picture if one is given; give its id."""
    async with sessions.hold(session_id, Owner("", caller), Deadline.after(30)) as session:
        turn = LoggedTurn(turn=rewrite_pb2.Turn(text="a", image_id="image:1" if picture else ""))
        await sessions.record(session, turn, picture)
        return session.id


async def test_a_session_lives_while_it_is_used() -> None:
    """Each turn gives it its time to live anew."""
    clock = Clock()
    sessions = store(clock=clock)
    session_id = await hold(sessions)
    for clock.now in (50, 100):
        await hold(sessions, session_id)
    clock.now = 161
    with pytest.raises(NotFound):
        await hold(sessions, session_id)
    assert len(sessions) == 0


async def test_the_least_recently_used_session_makes_room() -> None:
    """The number of sessions has a bound."""
    sessions = store(max_sessions=2)
    first, second = await hold(sessions), await hold(sessions)
    await hold(sessions, first)
    await hold(sessions)
    assert len(sessions) == 2
    with pytest.raises(NotFound):
        await hold(sessions, second)


async def test_bytes_of_all_sessions_have_a_bound() -> None:
    """Pictures count; the session that was used longest ago makes room for them."""
    sessions = store(max_bytes=5_000)
    first, second = await hold(sessions), await hold(sessions)
    await hold(sessions, first, b"x" * 3_000)
    assert 3_000 < sessions.size < 3_100
    await hold(sessions, second, b"y" * 3_000)
    with pytest.raises(NotFound):
        await hold(sessions, first)
    assert 3_000 < sessions.size < 3_100


async def test_a_session_that_made_room_during_its_turn_leaves_nothing() -> None:
    """What is recorded of a session that is gone takes no bytes."""
    sessions = store(max_sessions=1)
    first = await hold(sessions)
    size = sessions.size
    async with sessions.hold(first, Owner(""), Deadline.after(30)) as session:
        await hold(sessions)
        await sessions.record(session, LoggedTurn(turn=rewrite_pb2.Turn(text="a")), b"x" * 100)
    assert (len(sessions), sessions.size) == (1, size)


async def test_a_crowd_of_sessions_makes_room_for_itself() -> None:
    """Where all together are too many, those of the caller who has most end; the one with a single session keeps it."""
    metrics, sessions = Metrics(), store(max_sessions=5)
    sessions.observe(metrics)
    own = await hold(sessions, caller="shop")
    for _ in range(20):
        await hold(sessions, caller="crowd")
    assert len(sessions) == 5
    await hold(sessions, own, caller="shop")
    labels = {"reason": "sessions"}
    assert metrics.registry.get_sample_value("vitrine_gateway_sessions_evicted_total", labels) == 16


async def test_bytes_of_a_crowd_make_room_for_themselves() -> None:
    """Where all together hold too many bytes, the caller who holds most gives up its oldest."""
    sessions = store(max_bytes=9_000)
    own = await hold(sessions, caller="shop", picture=b"x" * 1_000)
    for _ in range(5):
        await hold(sessions, caller="crowd", picture=b"x" * 3_000)
    assert sessions.size <= 9_000
    await hold(sessions, own, caller="shop")


async def test_the_gauges_show_what_is_held() -> None:
    """The number of sessions and their bytes are metrics."""
    metrics, sessions = Metrics(), store()
    sessions.observe(metrics)
    await hold(sessions, picture=b"x" * 100)
    assert metrics.registry.get_sample_value("vitrine_gateway_sessions") == 1
    assert metrics.registry.get_sample_value("vitrine_gateway_session_bytes") == sessions.size > 100
