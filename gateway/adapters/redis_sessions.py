"""Sessions in Redis, so that any gateway answers any turn.

Of one session, all keys in one hash slot; <v> is the version of this layout:

    vitrine:session:<v>:{<id>}            hash    "user", "caller"; the sizes of its pictures, by id
    vitrine:session:<v>:{<id>}:turns      list    turns, oldest first
    vitrine:session:<v>:{<id>}:<picture>  string  a picture
    vitrine:session:<v>:{<id>}:lock       string  the token of the gateway that answers a turn of it

All but the lock live as long as a session may be unused; the lock as long as its turn may take. What one caller holds,
<c> being a digest of its name:

    vitrine:sessions:<v>:{<c>}:used       zset    its sessions, by when they were used
    vitrine:sessions:<v>:{<c>}:sizes      hash    their bytes
    vitrine:sessions:<v>:{<c>}:bytes      string  of all of them together
"""

import asyncio
import hashlib
import logging
import math
import random
import secrets
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar, Unpack, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError, WatchError

from gateway.adapters.redis_connection import RedisAccess, open_redis
from gateway.conversation.sessions import (
    RETRY_S,
    Forgotten,
    LoggedTurn,
    Owner,
    Session,
    TurnQueues,
    WordsVector,
    check_owner,
    grow,
    new_session_id,
)
from gateway.errors import NotFound, Overloaded, SessionStoreError
from gateway.logs import log_event
from gateway.metrics import Metrics
from gateway.model import Deadline
from vitrine.process.tracing import span
from vitrine.v1 import rewrite_pb2

LAYOUT = 2
"""A gateway reads sessions of its own layout alone."""

_TIMEOUT_S = 1.0
"""Of one step; the caller's deadline may leave less."""

_SHARE = 0.5
"""Of a turn's time that taking its session may last."""

_LEASE_MARGIN_S = 1.0
"""A lock outlives its turn's deadline by this much, and no more where its gateway was killed."""

_SCANNED = 500
"""Keys that are looked at together."""
_SHORTEST_POLL_S, _LONGEST_POLL_S = 0.01, 0.1
_USER, _CALLER = "user", "caller"

_RELEASE = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0"

_TAKE_SHARE = """
local function leave(id)
  redis.call('decrby', KEYS[3], redis.call('hget', KEYS[2], id) or 0)
  redis.call('hdel', KEYS[2], id)
  redis.call('zrem', KEYS[1], id)
end
local time = redis.call('time')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ttl = tonumber(ARGV[5])
leave(ARGV[1])
redis.call('zadd', KEYS[1], now, ARGV[1])
redis.call('hset', KEYS[2], ARGV[1], ARGV[2])
local bytes = redis.call('incrby', KEYS[3], ARGV[2])
for _, id in ipairs(redis.call('zrangebyscore', KEYS[1], '-inf', now - 2 * ttl, 'limit', 0, 100)) do leave(id) end
local evicted = {}
while tonumber(redis.call('get', KEYS[3])) > tonumber(ARGV[3]) or redis.call('zcard', KEYS[1]) > tonumber(ARGV[4]) do
  local oldest = redis.call('zrange', KEYS[1], 0, 0)[1]
  if oldest == ARGV[1] then break end
  leave(oldest)
  evicted[#evicted + 1] = oldest
end
for _, key in ipairs(KEYS) do redis.call('pexpire', key, 3 * ttl) end
return evicted
"""
"""Notes the size of a session among those of its caller; returns the ones that make room for it, the oldest first."""

T = TypeVar("T")

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionBounds:
    """How much a session may hold, and the sessions of one caller together."""

    session_bytes: int
    caller_bytes: int
    caller_sessions: int


@asynccontextmanager
async def open_redis_sessions(
    url: str,
    *,
    ttl_s: float,
    bounds: SessionBounds,
    timeout_s: float = _TIMEOUT_S,
    **access: Unpack[RedisAccess],
) -> AsyncIterator["RedisSessions"]:
    """Open the sessions of a Redis at redis://, rediss:// or unix://; one that is not there yet may come.

    `access`: as `open_redis` has it.
    """
    async with open_redis(url, timeout_s=timeout_s, **access) as client:
        sessions = RedisSessions(client, ttl_s=ttl_s, bounds=bounds, timeout_s=timeout_s)
        try:
            yield sessions
        finally:
            await sessions.close()


class RedisSessions:
    """Implements gateway.conversation.sessions.SessionStore."""

    def __init__(
        self, client: "Redis", *, ttl_s: float, bounds: SessionBounds, timeout_s: float = _TIMEOUT_S
    ) -> None:
        self._client = client
        self._ttl_ms = int(ttl_s * 1e3)
        self._bounds = bounds
        self._timeout_s = timeout_s
        self._queues = TurnQueues()
        self._tokens: dict[str, str] = {}
        """Of the sessions held here."""
        self._releases: set[asyncio.Task[None]] = set()
        """Of locks whose turns have ended."""
        self._on_evicted: Callable[[int], None] = lambda _number: None

    async def close(self) -> None:
        """Wait for the locks that are being given back; each wait is bounded."""
        if self._releases:
            await asyncio.wait(self._releases)

    def observe(self, metrics: Metrics) -> None:
        """Shows evictions alone: the sessions are Redis's, and its own exporter counts its keys and bytes."""
        self._on_evicted = metrics.sessions_evicted.labels("caller_bytes").inc

    @asynccontextmanager
    async def hold(self, session_id: str, owner: Owner, deadline: Deadline) -> AsyncIterator[Session]:
        """As the port says; the lock lapses by itself soon after the deadline, and is all that is kept of a new one."""
        new = not session_id
        session_id = session_id or new_session_id()
        if not new:
            await self._check(session_id, owner)
        async with self._queues.turn(session_id, deadline), self._locked(session_id, deadline):
            yield Session(id=session_id, owner=owner) if new else await self._load(session_id, owner)

    async def picture(self, session: Session, picture_id: str) -> bytes:
        """As the port says."""
        picture = await self._answer(self._client.get(_key(session.id, picture_id)))
        return cast("bytes", picture or b"")

    async def record(self, session: Session, turn: LoggedTurn, image: bytes) -> None:
        """As the port says."""
        new = not session.turns
        limit = self._bounds.caller_bytes if session.owner.max_bytes is None else session.owner.max_bytes
        forgotten = grow(session, turn, image, max_bytes=min(limit, self._bounds.session_bytes))
        try:
            written = await self._answer(self._write(session, turn, image, forgotten, new=new))
        except WatchError:
            raise _lapsed() from None
        if written:
            await self._make_room(session, limit)

    async def of_user(self, user_id: str, deadline: Deadline) -> list[Session]:
        """As the port says."""
        found = []
        async for session_id in self._ids_of(user_id, deadline):
            async with self._client.pipeline(transaction=True) as pipe:
                pipe.hgetall(_key(session_id))
                pipe.lrange(_key(session_id, "turns"), 0, -1)
                fields, turns = await self._answer(pipe.execute())
            if fields:
                kept = {name.decode(): value for name, value in fields.items()}
                owner = Owner(kept.pop(_USER).decode(), kept.pop(_CALLER).decode())
                session = Session(id=session_id, owner=owner, turns=deque(map(_unpacked, turns)))
                session.pictures = OrderedDict((name, int(size)) for name, size in kept.items())
                found.append(session)
        return found

    async def erase(self, user_id: str, deadline: Deadline) -> int:
        """As the port says; the first turn of a session, if one is under way, is remembered all the same."""
        ids = [session_id async for session_id in self._ids_of(user_id, deadline)]
        for session_id in ids:
            await self._drop(session_id)
        return len(ids)

    async def _ids_of(self, user_id: str, deadline: Deadline) -> AsyncIterator[str]:
        """Yield the ids of a user's sessions; raises SessionStoreError where looking at all takes too long."""
        prefix, cursor = f"vitrine:session:{LAYOUT}:{{", 0
        while True:
            scanned = self._client.scan(cursor, match=f"{prefix}*}}", count=_SCANNED)
            cursor, found = await self._answer(scanned, within_s=deadline.remaining_s())
            keys = [cast("bytes", key).decode() for key in found]
            async with self._client.pipeline(transaction=False) as pipe:
                for key in keys:
                    pipe.hget(key, _USER)
                users = await self._answer(pipe.execute(), within_s=deadline.remaining_s())
            for key, user in zip(keys, users, strict=True):
                if user is not None and user.decode() == user_id:
                    yield key.removeprefix(prefix).removesuffix("}")
            if not cursor:
                return

    async def _make_room(self, session: Session, limit: int) -> None:
        """Count the session among its caller's, and drop those that it has too many of."""
        keys = _share_keys(session.owner.caller)
        arguments = (session.id, session.size, limit, self._bounds.caller_sessions, self._ttl_ms)
        evicted = await self._answer(
            cast("Awaitable[list[bytes]]", self._client.eval(_TAKE_SHARE, len(keys), *keys, *arguments))
        )
        for session_id in evicted:
            await self._drop(session_id.decode())
        self._on_evicted(len(evicted))

    async def _drop(self, session_id: str) -> None:
        fields = await self._answer(cast("Awaitable[list[bytes]]", self._client.hkeys(_key(session_id))))
        pictures = {name.decode() for name in fields} - {_USER, _CALLER}
        await self._answer(
            self._client.delete(*(_key(session_id, name) for name in ("", "turns", *pictures)))
        )

    async def _check(self, session_id: str, owner: Owner) -> None:
        """Let the owner through; and whoever asks for a session whose first turn is under way, which none owns yet."""
        async with self._client.pipeline(transaction=True) as pipe:
            pipe.hmget(_key(session_id), _USER, _CALLER)
            pipe.exists(_key(session_id, "lock"))
            (user, caller), begun = await self._answer(pipe.execute())
        if user is not None:
            check_owner(Owner(user.decode(), caller.decode()), owner)
        elif not begun:
            raise NotFound("session_id", "session")

    async def _load(self, session_id: str, owner: Owner) -> Session:
        key = _key(session_id)
        async with self._client.pipeline(transaction=True) as pipe:
            pipe.hgetall(key)
            pipe.lrange(_key(session_id, "turns"), 0, -1)
            fields, turns = await self._answer(pipe.execute())
        kept = {name.decode(): value for name, value in fields.items()}
        if _USER not in kept or not turns:
            raise NotFound("session_id", "session")  # it ended while this turn waited, or never began
        check_owner(Owner(kept.pop(_USER).decode(), kept.pop(_CALLER).decode()), owner)
        session = Session(id=session_id, owner=owner, turns=deque(map(_unpacked, turns)))
        sizes = {name: int(size) for name, size in kept.items()}
        session.pictures = _in_order(session.turns, sizes)
        await self._touch(session)
        return session

    async def _touch(self, session: Session) -> None:
        """Let the session live on from now."""
        async with self._client.pipeline(transaction=True) as pipe:
            self._keep(pipe, session)
            await self._answer(pipe.execute())

    def _keep(self, pipe: Any, session: Session) -> None:
        for name in ("", "turns", *session.pictures):
            pipe.pexpire(_key(session.id, name), self._ttl_ms)

    async def _write(
        self, session: Session, turn: LoggedTurn, image: bytes, forgotten: Forgotten, *, new: bool
    ) -> bool:
        """Write in one transaction, if the lock is still held; WatchError if it is not, False where it made room."""
        async with self._client.pipeline(transaction=True) as pipe:
            key, lock = _key(session.id), _key(session.id, "lock")
            await pipe.watch(key, lock)
            if await pipe.get(lock) != self._tokens[session.id].encode():
                raise WatchError
            if not new and not await pipe.hexists(key, _USER):
                return False
            pipe.multi()  # type: ignore[no-untyped-call] # it has no annotations
            if new:
                pipe.hset(key, mapping={_USER: session.owner.user_id, _CALLER: session.owner.caller})
            pipe.rpush(_key(session.id, "turns"), _packed(turn))
            if forgotten.turns:
                pipe.ltrim(_key(session.id, "turns"), forgotten.turns, -1)
            if image:
                pipe.hset(_key(session.id), turn.turn.image_id, str(len(image)))
                pipe.set(_key(session.id, turn.turn.image_id), image)
            for picture_id in forgotten.pictures:
                pipe.hdel(_key(session.id), picture_id)
                pipe.delete(_key(session.id, picture_id))
            self._keep(pipe, session)
            await pipe.execute()
            return True

    @asynccontextmanager
    async def _locked(self, session_id: str, deadline: Deadline) -> AsyncIterator[None]:
        """Keep other gateways' turns of the session out; they ask again and again, until their deadline."""
        token, lock = secrets.token_hex(16), _key(session_id, "lock")
        poll_s = _SHORTEST_POLL_S
        while not await self._take(lock, token, deadline):
            if deadline.remaining_s() <= poll_s:
                raise Overloaded("another turn of this session takes long", retry_after_s=RETRY_S)
            await asyncio.sleep(poll_s * random.uniform(0.5, 1.0))  # noqa: S311 - spreads the askers, hides nothing
            poll_s = min(2 * poll_s, _LONGEST_POLL_S)
        self._tokens[session_id] = token
        try:
            yield
        finally:
            del self._tokens[session_id]
            release = asyncio.create_task(self._release(lock, token))
            self._releases.add(release)
            release.add_done_callback(self._releases.discard)
            # The caller's next turn finds the lock free; a Redis that hangs costs this one no more than its deadline.
            await asyncio.wait({release}, timeout=deadline.remaining_s())

    async def _take(self, lock: str, token: str, deadline: Deadline) -> bool:
        lease_ms = int((deadline.remaining_s() + _LEASE_MARGIN_S) * 1e3)
        taking = self._client.set(lock, token, nx=True, px=lease_ms)
        # A turn that is answered without a session needs time for that.
        return bool(await self._answer(taking, within_s=deadline.remaining_s() * _SHARE))

    async def _release(self, lock: str, token: str) -> None:
        """Let the next turn in; where Redis does not hear of it, the lease lapses by itself."""
        try:
            await self._answer(cast("Awaitable[int]", self._client.eval(_RELEASE, 1, lock, token)))
        except SessionStoreError:
            return

    async def _answer(self, work: Awaitable[T], *, within_s: float = math.inf) -> T:
        with _translated(), span("redis", **{"peer.service": "redis"}):
            async with asyncio.timeout(
                min(within_s, 2 * self._timeout_s)
            ):  # a connection, and an answer on it
                return await work


def _key(session_id: str, name: str = "") -> str:
    key = f"vitrine:session:{LAYOUT}:{{{session_id}}}"
    return f"{key}:{name}" if name else key


def _share_keys(caller: str) -> list[str]:
    digest = hashlib.sha256(caller.encode()).hexdigest()[:32]
    return [f"vitrine:sessions:{LAYOUT}:{{{digest}}}:{name}" for name in ("used", "sizes", "bytes")]


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except WatchError:
        raise
    except (RedisError, OSError, TimeoutError) as error:
        log_event(_logger, logging.WARNING, "session_store_failed", error=type(error).__name__)
        raise SessionStoreError from error


def _lapsed() -> Overloaded:
    return Overloaded(
        "this turn took so long that its session was given to the next one", retry_after_s=RETRY_S
    )


def _in_order(turns: deque[LoggedTurn], sizes: dict[str, int]) -> OrderedDict[str, int]:
    """Return the pictures' sizes in the order of the turns that brought them; those of forgotten turns come first."""
    latest = {logged.turn.image_id: place for place, logged in enumerate(turns) if logged.turn.image_id}
    return OrderedDict(sorted(sizes.items(), key=lambda item: latest.get(item[0], -1)))


def _packed(logged: LoggedTurn) -> bytes:
    """Return the model's name, the vector and the turn, the first two behind their lengths in two bytes each."""
    model, data = (logged.vector.model.encode(), logged.vector.data) if logged.vector else (b"", b"")
    parts = (len(model).to_bytes(2, "little"), model, len(data).to_bytes(2, "little"), data)
    return b"".join(parts) + logged.turn.SerializeToString()


def _unpacked(packed: bytes) -> LoggedTurn:
    model, rest = _taken(packed)
    data, rest = _taken(rest)
    vector = WordsVector(model=model.decode(), data=data) if data else None
    return LoggedTurn(turn=rewrite_pb2.Turn.FromString(rest), vector=vector)


def _taken(packed: bytes) -> tuple[bytes, bytes]:
    length = 2 + int.from_bytes(packed[:2], "little")
    return packed[2:length], packed[length:]
