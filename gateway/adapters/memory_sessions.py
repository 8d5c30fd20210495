"""Sessions in this process's memory: bounded in number, bytes and age; the least recently used one makes room."""

import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from gateway.conversation.sessions import LoggedTurn, Session, TurnQueues, grow, new_session_id
from gateway.errors import NotFound, PermissionDenied
from gateway.metrics import Metrics
from gateway.model import Deadline
from gateway.settings import Settings


def memory_sessions(settings: Settings) -> "MemorySessions":
    """Return an empty store within the bounds of the settings."""
    return MemorySessions(
        ttl_s=settings.session_ttl_s,
        max_sessions=settings.max_sessions,
        max_bytes=settings.max_session_bytes,
        max_bytes_each=settings.session_bytes,
    )


@dataclass(eq=False, slots=True, kw_only=True)
class _Kept:
    session: Session
    used_at: float
    size: int = 0
    pictures: dict[str, bytes] = field(default_factory=dict)


class MemorySessions:
    """Implements gateway.conversation.sessions.SessionStore."""

    def __init__(
        self,
        *,
        ttl_s: float,
        max_sessions: int,
        max_bytes: int,
        max_bytes_each: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ttl_s = ttl_s
        self._max_sessions = max_sessions
        self._max_bytes = max_bytes
        self._max_bytes_each = max_bytes_each
        self._clock = clock
        self._queues = TurnQueues()
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self.size = 0

    def __len__(self) -> int:
        return len(self._kept)

    def observe(self, metrics: Metrics) -> None:
        """As the port says."""
        metrics.sessions.set_function(lambda: len(self))
        metrics.session_bytes.set_function(lambda: self.size)

    @asynccontextmanager
    async def hold(self, session_id: str, user_id: str, deadline: Deadline) -> AsyncIterator[Session]:
        """As the port says."""
        session = self._find(session_id, user_id) if session_id else self._begin(user_id)
        async with self._queues.turn(session.id, deadline):
            yield session

    async def picture(self, session: Session, picture_id: str) -> bytes:
        """As the port says."""
        kept = self._kept.get(session.id)
        return kept.pictures.get(picture_id, b"") if kept is not None else b""

    async def record(self, session: Session, turn: LoggedTurn, image: bytes) -> None:
        """As the port says; of a session that had to make room meanwhile, nothing is kept."""
        forgotten = grow(session, turn, image, max_bytes=self._max_bytes_each)
        kept = self._kept.get(session.id)
        if kept is None:
            return
        if image:
            kept.pictures[turn.turn.image_id] = image
        for picture_id in forgotten.pictures:
            kept.pictures.pop(picture_id, None)
        self.size += session.size - kept.size
        kept.size = session.size
        self._make_room()

    def _begin(self, user_id: str) -> Session:
        session = Session(id=new_session_id(), user_id=user_id)
        self._kept[session.id] = _Kept(session=session, used_at=self._clock())
        self._make_room()
        return session

    def _find(self, session_id: str, user_id: str) -> Session:
        self._expire()
        kept = self._kept.get(session_id)
        if kept is None:
            raise NotFound("session_id", "session")
        if kept.session.user_id != user_id:
            raise PermissionDenied("session_id: the session belongs to another user")
        kept.used_at = self._clock()
        self._kept.move_to_end(session_id)
        return kept.session

    def _expire(self) -> None:
        oldest = self._clock() - self._ttl_s
        while self._kept and next(iter(self._kept.values())).used_at < oldest:
            self._drop_first()

    def _make_room(self) -> None:
        self._expire()
        while len(self._kept) > self._max_sessions or (self.size > self._max_bytes and self._kept):
            self._drop_first()

    def _drop_first(self) -> None:
        _, kept = self._kept.popitem(last=False)
        self.size -= kept.size
