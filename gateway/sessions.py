"""Conversations in memory: bounded in number, bytes and age; the least recently used one makes room."""

import asyncio
import hashlib
import secrets
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.errors import NotFound, PermissionDenied
from vitrine.v1 import rewrite_pb2

MAX_TURNS = 20
"""Turns that a session remembers."""

MAX_PICTURES = 4
"""Pictures that a session remembers."""

_ID_BYTES = 24
"""192 random bits: nobody guesses a session's id."""


def image_id(image: bytes) -> str:
    """Name a picture by its content; the colon keeps it apart from most catalogues' product ids."""
    return f"image:{hashlib.sha256(image).hexdigest()[:32]}"


@dataclass(eq=False, slots=True, kw_only=True)
class Session:
    """One conversation; its turns are answered one after the other, under its lock."""

    id: str
    user_id: str
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    turns: deque[rewrite_pb2.Turn] = field(default_factory=lambda: deque(maxlen=MAX_TURNS))
    pictures: OrderedDict[str, bytes] = field(default_factory=OrderedDict)
    size: int = 0
    used_at: float = 0.0
    waiting: int = 0
    """Turns that wait for the lock."""


class SessionStore:
    """Begins, finds and grows sessions."""

    def __init__(
        self, *, ttl_s: float, max_sessions: int, max_bytes: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ttl_s = ttl_s
        self._max_sessions = max_sessions
        self._max_bytes = max_bytes
        self._clock = clock
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self.size = 0

    def __len__(self) -> int:
        return len(self._sessions)

    def begin(self, user_id: str) -> Session:
        """Begin a session that answers that user alone."""
        session = Session(id=secrets.token_urlsafe(_ID_BYTES), user_id=user_id, used_at=self._clock())
        self._sessions[session.id] = session
        self._make_room()
        return session

    def find(self, session_id: str, user_id: str) -> Session:
        """Give the session.

        Raises:
            NotFound: there is none, or it was unused for too long.
            PermissionDenied: it is another user's.
        """
        self._expire()
        session = self._sessions.get(session_id)
        if session is None:
            raise NotFound("session_id", "session")
        if session.user_id != user_id:
            raise PermissionDenied("session_id: the session belongs to another user")
        session.used_at = self._clock()
        self._sessions.move_to_end(session_id)
        return session

    def record(self, session: Session, turn: rewrite_pb2.Turn, image: bytes) -> None:
        """Append an answered turn and its picture, if it had one; the oldest of each make room."""
        session.turns.append(turn)
        if image:
            session.pictures[turn.image_id] = image
            session.pictures.move_to_end(turn.image_id)
            while len(session.pictures) > MAX_PICTURES:
                session.pictures.popitem(last=False)
        size = sum(turn.ByteSize() for turn in session.turns) + sum(map(len, session.pictures.values()))
        if session.id in self._sessions:
            self.size += size - session.size
            session.size = size
            self._make_room()

    def _expire(self) -> None:
        oldest = self._clock() - self._ttl_s
        while self._sessions and next(iter(self._sessions.values())).used_at < oldest:
            self._drop_first()

    def _make_room(self) -> None:
        self._expire()
        while len(self._sessions) > self._max_sessions or (self.size > self._max_bytes and self._sessions):
            self._drop_first()

    def _drop_first(self) -> None:
        _, session = self._sessions.popitem(last=False)
        self.size -= session.size
