"""Sessions in this process's memory: bounded in number, bytes and age, and in bytes of each caller.

Beyond a caller's share its own least recently used session makes room; beyond the bounds of all together, that of the
caller who has most.
"""

import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from gateway.conversation.sessions import (
    LoggedTurn,
    Owner,
    Session,
    TurnQueues,
    check_owner,
    grow,
    new_session_id,
)
from gateway.errors import NotFound
from gateway.metrics import Metrics
from gateway.model import Deadline
from gateway.settings import Settings


def memory_sessions(settings: Settings) -> "MemorySessions":
    """Return an empty store within the bounds of the settings."""
    return MemorySessions(
        ttl_s=settings.session_ttl_s,
        max_sessions=settings.max_sessions,
        max_bytes=settings.max_session_bytes,
        max_bytes_caller=settings.caller_session_bytes,
        max_bytes_each=settings.session_bytes,
    )


@dataclass(eq=False, slots=True, kw_only=True)
class _Kept:
    session: Session
    used_at: float
    size: int = 0
    pictures: dict[str, bytes] = field(default_factory=dict)


@dataclass(eq=False, slots=True)
class _Share:
    """What one caller holds."""

    ids: OrderedDict[str, None] = field(default_factory=OrderedDict)
    """The least recently used first."""
    size: int = 0


class MemorySessions:
    """Implements gateway.conversation.sessions.SessionStore."""

    def __init__(
        self,
        *,
        ttl_s: float,
        max_sessions: int,
        max_bytes: int,
        max_bytes_caller: int,
        max_bytes_each: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ttl_s = ttl_s
        self._max_sessions = max_sessions
        self._max_bytes = max_bytes
        self._max_bytes_caller = max_bytes_caller
        self._max_bytes_each = max_bytes_each
        self._clock = clock
        self._queues = TurnQueues()
        self._begun: dict[str, Session] = {}
        """Those whose first turn is being answered."""
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._shares: dict[str, _Share] = {}
        self._on_evicted: Callable[[str], None] = lambda _reason: None
        self.size = 0

    def __len__(self) -> int:
        return len(self._kept)

    def observe(self, metrics: Metrics) -> None:
        """As the port says."""
        metrics.sessions.set_function(lambda: len(self))
        metrics.session_bytes.set_function(lambda: self.size)
        self._on_evicted = lambda reason: metrics.sessions_evicted.labels(reason).inc()

    @asynccontextmanager
    async def hold(self, session_id: str, owner: Owner, deadline: Deadline) -> AsyncIterator[Session]:
        """As the port says."""
        if not session_id:
            session = Session(id=new_session_id(), owner=owner)
            self._begun[session.id] = session
            try:
                async with self._queues.turn(session.id, deadline):
                    yield session
            finally:
                self._begun.pop(session.id, None)
            return
        session = self._find(session_id, owner)
        async with self._queues.turn(session.id, deadline):
            if session.id not in self._kept:
                raise NotFound("session_id", "session")  # it ended while this turn waited, or never began
            yield session

    async def picture(self, session: Session, picture_id: str) -> bytes:
        """As the port says."""
        kept = self._kept.get(session.id)
        return kept.pictures.get(picture_id, b"") if kept is not None else b""

    async def record(self, session: Session, turn: LoggedTurn, image: bytes) -> None:
        """As the port says."""
        kept = self._kept.get(session.id)
        if kept is None:
            if session.id not in self._begun:
                return
            kept = self._keep(session)
        limit = self._limit(session.owner)
        forgotten = grow(session, turn, image, max_bytes=min(limit, self._max_bytes_each))
        if image:
            kept.pictures[turn.turn.image_id] = image
        for picture_id in forgotten.pictures:
            kept.pictures.pop(picture_id, None)
        grown = session.size - kept.size
        self.size += grown
        self._shares[session.owner.caller].size += grown
        kept.size = session.size
        self._make_room(session.owner.caller, limit)

    async def of_user(self, user_id: str, deadline: Deadline) -> list[Session]:  # noqa: ARG002 - the port's signature
        """As the port says."""
        self._expire()
        return [kept.session for kept in self._kept.values() if kept.session.owner.user_id == user_id]

    async def erase(self, user_id: str, deadline: Deadline) -> int:
        """As the port says."""
        sessions = await self.of_user(user_id, deadline)
        for session in sessions:
            self._drop(session.id)
        for session in [each for each in self._begun.values() if each.owner.user_id == user_id]:
            del self._begun[session.id]  # its first turn finds no place to be remembered
        return len(sessions)

    def _limit(self, owner: Owner) -> int:
        return self._max_bytes_caller if owner.max_bytes is None else owner.max_bytes

    def _keep(self, session: Session) -> _Kept:
        kept = self._kept[session.id] = _Kept(session=session, used_at=self._clock())
        self._shares.setdefault(session.owner.caller, _Share()).ids[session.id] = None
        return kept

    def _find(self, session_id: str, owner: Owner) -> Session:
        self._expire()
        kept = self._kept.get(session_id)
        session = kept.session if kept is not None else self._begun.get(session_id)
        if session is None:
            raise NotFound("session_id", "session")
        check_owner(session.owner, owner)
        if kept is not None:
            kept.used_at = self._clock()
            self._kept.move_to_end(session_id)
            self._shares[owner.caller].ids.move_to_end(session_id)
        return session

    def _expire(self) -> None:
        oldest = self._clock() - self._ttl_s
        while self._kept:
            session_id, kept = next(iter(self._kept.items()))
            if kept.used_at >= oldest:
                return
            self._drop(session_id)

    def _make_room(self, caller: str, limit: int) -> None:
        self._expire()
        while caller in self._shares and self._shares[caller].size > limit:
            self._evict(caller, "caller_bytes")
        while len(self._kept) > self._max_sessions:
            self._evict(max(self._shares, key=lambda each: len(self._shares[each].ids)), "sessions")
        while self.size > self._max_bytes and self._kept:
            self._evict(max(self._shares, key=lambda each: self._shares[each].size), "bytes")

    def _evict(self, caller: str, reason: str) -> None:
        self._drop(next(iter(self._shares[caller].ids)))
        self._on_evicted(reason)

    def _drop(self, session_id: str) -> None:
        kept = self._kept.pop(session_id)
        share = self._shares[kept.session.owner.caller]
        del share.ids[session_id]
        share.size -= kept.size
        self.size -= kept.size
        if not share.ids:
            del self._shares[kept.session.owner.caller]
