"""Sessions and their bounds."""

import pytest

from gateway.errors import NotFound, PermissionDenied
from gateway.sessions import MAX_PICTURES, MAX_TURNS, SessionStore, image_id
from vitrine.v1 import rewrite_pb2


class Clock:
    """Time as the test sets it."""

    now = 0.0

    def __call__(self) -> float:
        """Give the time."""
        return self.now


def store(*, max_sessions: int = 10, max_bytes: int = 10_000, clock: Clock | None = None) -> SessionStore:
    return SessionStore(ttl_s=60, max_sessions=max_sessions, max_bytes=max_bytes, clock=clock or Clock())


def test_a_session_answers_its_owner_alone() -> None:
    """Another user is refused, an unknown id is not found."""
    sessions = store()
    session = sessions.begin("ann")
    assert sessions.find(session.id, "ann") is session
    with pytest.raises(PermissionDenied):
        sessions.find(session.id, "bob")
    with pytest.raises(NotFound):
        sessions.find("guess", "ann")


def test_ids_are_long_and_differ() -> None:
    """An id carries 192 random bits."""
    sessions = store()
    ids = {sessions.begin("").id for _ in range(10)}
    assert len(ids) == 10
    assert all(len(session_id) == 32 for session_id in ids)


def test_sessions_end_when_unused() -> None:
    """A session lives as long as it is used within its time to live."""
    clock = Clock()
    sessions = store(clock=clock)
    session = sessions.begin("")
    clock.now = 50
    sessions.find(session.id, "")
    clock.now = 100
    sessions.find(session.id, "")
    clock.now = 161
    with pytest.raises(NotFound):
        sessions.find(session.id, "")
    assert len(sessions) == 0


def test_the_least_recently_used_session_makes_room() -> None:
    """The number of sessions has a bound."""
    sessions = store(max_sessions=2)
    first, second = sessions.begin(""), sessions.begin("")
    sessions.find(first.id, "")
    sessions.begin("")
    assert len(sessions) == 2
    with pytest.raises(NotFound):
        sessions.find(second.id, "")


def test_bytes_have_a_bound() -> None:
    """Pictures count; the session that was used longest ago makes room for them."""
    sessions = store(max_bytes=5_000)
    first, second = sessions.begin(""), sessions.begin("")
    sessions.record(first, rewrite_pb2.Turn(text="a", image_id="image:1"), b"x" * 3_000)
    assert 3_000 < sessions.size < 3_100
    sessions.record(second, rewrite_pb2.Turn(text="b", image_id="image:2"), b"y" * 3_000)
    with pytest.raises(NotFound):
        sessions.find(first.id, "")
    assert 3_000 < sessions.size < 3_100
    # A turn of a session that had to go in the meantime changes nothing.
    sessions.record(first, rewrite_pb2.Turn(text="c"), b"")
    assert sessions.size < 3_100


def test_a_session_forgets_its_oldest_turns_and_pictures() -> None:
    """Turns and pictures of one session have bounds of their own."""
    sessions = store(max_bytes=1_000_000)
    session = sessions.begin("")
    for number in range(MAX_TURNS + 5):
        image = str(number).encode()
        sessions.record(session, rewrite_pb2.Turn(text=str(number), image_id=image_id(image)), image)
    assert [turn.text for turn in session.turns] == [str(number) for number in range(5, MAX_TURNS + 5)]
    assert list(session.pictures.values()) == [b"21", b"22", b"23", b"24"][-MAX_PICTURES:]
    assert sessions.size == session.size
