"""Conversations that the gateway keeps: what a session is, its bounds, and the port of the stores that hold them."""

import asyncio
import hashlib
import secrets
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

from gateway.callers import LOCAL
from gateway.errors import Overloaded, PermissionDenied
from gateway.metrics import Metrics
from gateway.model import Deadline
from vitrine.v1 import rewrite_pb2

MAX_TURNS = 200
"""Turns that a session remembers."""

MAX_PICTURES = 8
"""Pictures that a session remembers."""

MAX_WAITING_TURNS = 4
"""Turns of one session that may wait in one gateway for the one being answered."""

RETRY_S = 0.5

_PICTURE = "image:"
_ID_BYTES = 24
"""192 random bits: nobody guesses a session's id."""


def new_session_id() -> str:
    """Return an id that nobody guesses."""
    return secrets.token_urlsafe(_ID_BYTES)


def image_id(image: bytes) -> str:
    """Name a picture by its content; the colon keeps it apart from most catalogues' product ids."""
    return f"{_PICTURE}{hashlib.sha256(image).hexdigest()[:32]}"


def is_picture(reference: str) -> bool:
    """Whether a reference of a turn is a picture's id, and no product's."""
    return reference.startswith(_PICTURE)


@dataclass(frozen=True, slots=True, kw_only=True)
class WordsVector:
    """The embedding of a turn's words, by which the turn is found again."""

    model: str
    """Digest of the manifest of the encoders that made it: only vectors of one model are compared."""
    data: bytes
    """Little-endian float16, L2-normalised before it was rounded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedTurn:
    """An answered turn as a session remembers it."""

    turn: rewrite_pb2.Turn
    vector: WordsVector | None = None
    """None where the turn had no words, or no encoder answered."""
    size: int = field(init=False, compare=False)
    """Bytes that it takes; counted once, for sessions add them up at every turn."""

    def __post_init__(self) -> None:
        size = self.turn.ByteSize() + (len(self.vector.data) if self.vector else 0)
        object.__setattr__(self, "size", size)


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a session is: a user of a caller. Another caller's user of the same id is somebody else."""

    user_id: str
    caller: str = LOCAL.name
    max_bytes: int | None = field(default=None, compare=False)
    """Of all sessions of the caller together; None: what the store allows everybody."""


@dataclass(eq=False, slots=True, kw_only=True)
class Session:
    """One conversation; whoever holds it answers its turns one after the other."""

    id: str
    owner: Owner
    turns: deque[LoggedTurn] = field(default_factory=deque)
    """Oldest first."""
    pictures: OrderedDict[str, int] = field(default_factory=OrderedDict)
    """Sizes in bytes by id, the one that was sent last at the end."""

    @property
    def size(self) -> int:
        """Bytes of the turns and the pictures."""
        return sum(turn.size for turn in self.turns) + sum(self.pictures.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    """What a session gave up to keep within its bounds."""

    turns: int
    """The oldest ones."""
    pictures: tuple[str, ...]


class SessionStore(Protocol):
    """Begins, finds and grows sessions; another gateway may do so at the same time.

    Each caller has a share of the bytes: beyond it the sessions that it used longest ago make room, and no others.
    """

    def hold(self, session_id: str, owner: Owner, deadline: Deadline) -> AbstractAsyncContextManager[Session]:
        """Hold the session for a turn, a new one where the id is empty; its other turns wait, in every gateway.

        A new one is kept from its first recorded turn on: of a turn that is refused nothing is left.

        Raises:
            NotFound: there is none, or it was unused for too long, or made room.
            PermissionDenied: it is another user's, or another caller's.
            Overloaded: too many turns of it wait already, or the wait was too long.
            SessionStoreError: the store does not answer.
        """
        ...

    async def picture(self, session: Session, picture_id: str) -> bytes:
        """Return a picture of a session that is held; empty where it is remembered no more."""
        ...

    async def record(self, session: Session, turn: LoggedTurn, image: bytes) -> None:
        """Append an answered turn and its picture, if it had one, to a session that is held.

        Of a session that had to make room meanwhile, nothing is kept.

        Raises:
            Overloaded: the hold lapsed, and another turn may have been answered meanwhile; nothing was written.
        """
        ...

    async def of_user(self, user_id: str, deadline: Deadline) -> list[Session]:
        """Return the sessions of a user, whoever called for them; it looks at all there are."""
        ...

    async def erase(self, user_id: str, deadline: Deadline) -> int:
        """Drop the sessions of a user, whoever called for them; return how many. A turn under way is not remembered."""
        ...

    def observe(self, metrics: Metrics) -> None:
        """Show what this process holds."""
        ...


def grow(session: Session, turn: LoggedTurn, image: bytes, *, max_bytes: int) -> Forgotten:
    """Append a turn and its picture; the oldest turns, then the oldest pictures, make room. Say what had to go.

    What came with this turn stays: one picture and one turn are bounded at the door.
    """
    session.turns.append(turn)
    if image:
        session.pictures[turn.turn.image_id] = len(image)
        session.pictures.move_to_end(turn.turn.image_id)
    turns, pictures = 0, []
    size = session.size
    while len(session.turns) > MAX_TURNS or (size > max_bytes and len(session.turns) > 1):
        size -= session.turns.popleft().size
        turns += 1
    while len(session.pictures) > MAX_PICTURES or (size > max_bytes and len(session.pictures) > 1):
        picture_id, length = session.pictures.popitem(last=False)
        size -= length
        pictures.append(picture_id)
    return Forgotten(turns=turns, pictures=tuple(pictures))


def check_owner(kept: Owner, asking: Owner) -> None:
    """Let the owner of a session through; PermissionDenied for anybody else."""
    if kept != asking:
        whose = "user" if kept.caller == asking.caller else "caller"
        raise PermissionDenied(f"session_id: the session belongs to another {whose}")


class TurnQueues:
    """Lets the turns of each session through one after the other, in the order in which they came."""

    def __init__(self) -> None:
        self._locks: dict[str, asyncio.Lock] = {}
        self._users: dict[str, int] = {}

    @asynccontextmanager
    async def turn(self, session_id: str, deadline: Deadline) -> AsyncIterator[None]:
        """Wait for the turns before this one.

        Raises:
            Overloaded: too many wait already, or the wait was too long.
        """
        users = self._users.get(session_id, 0)
        if users > MAX_WAITING_TURNS:
            raise Overloaded("too many turns of this session at once", retry_after_s=RETRY_S)
        lock = self._locks.setdefault(session_id, asyncio.Lock())
        self._users[session_id] = users + 1
        try:
            await _acquire(lock, deadline)
            try:
                yield
            finally:
                lock.release()
        finally:
            self._users[session_id] -= 1
            if not self._users[session_id]:
                del self._users[session_id], self._locks[session_id]


async def _acquire(lock: asyncio.Lock, deadline: Deadline) -> None:
    try:
        async with asyncio.timeout(deadline.remaining_s()):
            await lock.acquire()
    except TimeoutError:
        raise Overloaded("another turn of this session takes long", retry_after_s=RETRY_S) from None
