"""Sessions as tests of their stores begin them."""

from gateway.adapters.redis_sessions import SessionBounds
from gateway.conversation.sessions import (
    LoggedTurn,
    Owner,
    SessionStore,
    WordsVector,
    image_id,
)
from gateway.model import Deadline
from vitrine.v1 import rewrite_pb2

TTL_S = 600.0
VECTOR = WordsVector(model="m", data=b"\x00\x3c" * 4)


def soon() -> Deadline:
    """Give a deadline that a loaded machine keeps."""
    return Deadline.after(30)


def logged(text: str, image: bytes = b"") -> LoggedTurn:
    """Give an answered turn of these words."""
    turn = rewrite_pb2.Turn(text=text, image_id=image_id(image) if image else "")
    turn.shown.add(id="p1", title="red dress", price=10.0)
    return LoggedTurn(turn=turn, vector=VECTOR)


def session_bounds(max_bytes_each: int = 1_000_000, max_bytes_caller: int = 10**8) -> SessionBounds:
    """Give bounds that are in no test's way but where it says so."""
    return SessionBounds(session_bytes=max_bytes_each, caller_bytes=max_bytes_caller, caller_sessions=100)


async def begun(store: SessionStore, *turns: str, user_id: str = "ann") -> str:
    """Begin a session of these turns, one at least; give its id."""
    async with store.hold("", Owner(user_id), soon()) as session:
        for text in turns or ("hello",):
            await store.record(session, logged(text), b"")
        return session.id


async def sized(store: SessionStore, owner: Owner, size: int, number: int) -> str:
    """Begin a session with a picture of that size; give its id."""
    picture = f"{number}".encode().ljust(size)
    async with store.hold("", owner, soon()) as session:
        await store.record(session, logged("a", picture), picture)
        return session.id
