"""Events in Redis streams, which all gateways share.

All keys are in one hash slot; <v> is the version of this layout:

    {vitrine:events:<v>}:all               stream  every event, in the order in which they came
    {vitrine:events:<v>}:acts              stream  those that are no impressions, under the same ids
    {vitrine:events:<v>}:of:<shopper>      stream  those of one shopper, each with its id in the stream of all as "place"
    {vitrine:events:<v>}:ids:<day>         set     the ids of the events that happened on a day
    {vitrine:events:<v>}:counts:<day>:<who> hash   how many of a kind with a product, and of all, are kept of that day
    {vitrine:events:<v>}:erased:<digest>   string  when a shopper was erased
    {vitrine:events:<v>}:keys              hash    the keys of the pseudonyms, by period
    {vitrine:events:<v>}:answers           hash    what answers showed, by request
    {vitrine:events:<v>}:answered          zset    the requests of those answers, by when they were answered
    {vitrine:events:<v>}:spent             hash    what reports spent of the privacy budget, by day

One script writes an event with all that belongs to it. What an acknowledgement is worth is what Redis makes of it: with
`appendonly yes` and `appendfsync always` it is on the disk.
"""

import asyncio
import hashlib
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar, Unpack, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from gateway.adapters.redis_connection import RedisAccess, open_redis
from gateway.errors import DeadlineExceeded, EventStoreError
from gateway.events import DAILY_ALL, DAILY_SAME, DAY_MS, Answer, Event, EventKind, Outcome, PackedAnswer
from gateway.logs import log_event
from vitrine.domain.limits import MAX_EVENT_AGE_DAYS, MAX_EVENT_AHEAD_S

LAYOUT = 1
_PREFIX = f"{{vitrine:events:{LAYOUT}}}"
_ALL = f"{_PREFIX}:all"
_ACTS = f"{_PREFIX}:acts"
_KEYS = f"{_PREFIX}:keys"
_ANSWERS = f"{_PREFIX}:answers"
_ANSWERED = f"{_PREFIX}:answered"
_SPENT = f"{_PREFIX}:spent"
_BATCH = 500
"""Events that are read at once: between two batches other calls are served."""
_TIMEOUT_S = 1.0
_KEY_BYTES = 32
_LATE_S = (MAX_EVENT_AGE_DAYS + 1) * 86_400
"""For so long an event of a day may still come, and its ids and counts are kept."""

_APPEND = """
local erased = redis.call('get', KEYS[4])
if erased and tonumber(erased) >= tonumber(ARGV[1]) then return 'erased' end
if redis.call('sismember', KEYS[2], ARGV[2]) == 1 then return 'duplicate' end
local same = tonumber(redis.call('hget', KEYS[3], ARGV[3]) or 0)
local every = tonumber(redis.call('hget', KEYS[3], 'all') or 0)
if same >= tonumber(ARGV[4]) or every >= tonumber(ARGV[5]) then return 'capped' end
redis.call('hincrby', KEYS[3], ARGV[3], 1)
redis.call('hincrby', KEYS[3], 'all', 1)
redis.call('sadd', KEYS[2], ARGV[2])
redis.call('expire', KEYS[2], ARGV[6])
redis.call('expire', KEYS[3], ARGV[6])
local event = {}
for i = 9, #ARGV do event[#event + 1] = ARGV[i] end
local place = redis.call('xadd', KEYS[1], '*', unpack(event))
if ARGV[8] == '1' then redis.call('xadd', KEYS[5], place, unpack(event)) end
if KEYS[6] then
  redis.call('xadd', KEYS[6], '*', 'place', place, unpack(event))
  redis.call('xtrim', KEYS[6], 'minid', place:match('^%d+') - tonumber(ARGV[7]) * 1000)
  redis.call('expire', KEYS[6], ARGV[7])
end
return 'recorded'
"""
"""KEYS: all, ids, counts, erased, acts, and where there is a shopper the stream of theirs."""

_ERASE = """
local entries = redis.call('xrange', KEYS[2], '-', '+')
for _, entry in ipairs(entries) do
  redis.call('xdel', KEYS[1], entry[2][2])
  redis.call('xdel', KEYS[6], entry[2][2])
  for i = 3, #entry[2], 2 do
    if entry[2][i] == 'request' then
      redis.call('hdel', KEYS[4], entry[2][i + 1])
      redis.call('zrem', KEYS[5], entry[2][i + 1])
    end
  end
end
redis.call('del', KEYS[2])
redis.call('set', KEYS[3], ARGV[1], 'ex', ARGV[2])
for i = 7, #KEYS do redis.call('del', KEYS[i]) end
return #entries
"""
"""KEYS: all, the shopper's stream, the mark, answers, answered, acts, then the shopper's counts of the days of which events
may still come."""

_LOG = """
for i = 2, #ARGV, 3 do
  if redis.call('hsetnx', KEYS[1], ARGV[i], ARGV[i + 2]) == 1 then redis.call('zadd', KEYS[2], ARGV[i + 1], ARGV[i]) end
end
local over = redis.call('zcard', KEYS[2]) - tonumber(ARGV[1])
if over > 0 then
  for _, request in ipairs(redis.call('zrange', KEYS[2], 0, over - 1)) do redis.call('hdel', KEYS[1], request) end
  redis.call('zremrangebyrank', KEYS[2], 0, over - 1)
end
"""
"""KEYS: answers, answered. ARGV: how many at most, then request, time and body of each."""

_FORGET = """
local old = redis.call('zrangebyscore', KEYS[2], '-inf', '(' .. ARGV[1])
for _, request in ipairs(old) do redis.call('hdel', KEYS[1], request) end
redis.call('zremrangebyscore', KEYS[2], '-inf', '(' .. ARGV[1])
for _, day in ipairs(redis.call('hkeys', KEYS[3])) do
  if tonumber(day) < tonumber(ARGV[2]) then redis.call('hdel', KEYS[3], day) end
end
"""
"""KEYS: answers, answered, spent."""

_SPEND = """
for i = 3, #ARGV do
  if tonumber(redis.call('hget', KEYS[1], ARGV[i]) or 0) + tonumber(ARGV[1]) > tonumber(ARGV[2]) then return tonumber(ARGV[i]) end
end
for i = 3, #ARGV do redis.call('hincrby', KEYS[1], ARGV[i], ARGV[1]) end
return -1
"""
"""KEYS: spent. ARGV: the amount, how much at most, then the days."""

_logger = logging.getLogger(__name__)

T = TypeVar("T")


@asynccontextmanager
async def open_redis_events(
    url: str,
    *,
    retention_days: int,
    timeout_s: float = _TIMEOUT_S,
    **access: Unpack[RedisAccess],
) -> AsyncIterator["RedisEvents"]:
    """Open the events of a Redis at redis://, rediss:// or unix://; one that is not there yet may come.

    `access`: as `open_redis` has it.
    """
    async with open_redis(url, timeout_s=timeout_s, **access) as client:
        yield RedisEvents(client, retention_days=retention_days)


class RedisEvents:
    """Implements gateway.ports.EventStore."""

    def __init__(self, client: "Redis", *, retention_days: int) -> None:
        self._client = client
        # An event may come late and is dated by when it came: none outlives its age for that.
        self._kept_s = (retention_days - MAX_EVENT_AGE_DAYS) * 86_400
        self._mark_s = retention_days * 86_400

    async def keys(self, period: int, *, oldest: int, timeout_s: float) -> Mapping[int, bytes]:
        """As the port says."""
        made = secrets.token_bytes(_KEY_BYTES)

        async def work() -> dict[int, bytes]:
            async with self._client.pipeline(transaction=True) as pipe:
                pipe.hsetnx(_KEYS, str(period), cast("str", made))
                pipe.hgetall(_KEYS)
                _, kept = await pipe.execute()
            keys = {int(number): key for number, key in kept.items()}
            if old := [number for number in keys if number < oldest]:
                await self._client.hdel(_KEYS, *map(str, old))
            return {number: key for number, key in keys.items() if number >= oldest}

        return await _answer(work(), timeout_s)

    async def append(self, events: Sequence[Event], *, timeout_s: float) -> list[Outcome]:
        """As the port says."""

        async def work() -> list[Outcome]:
            async with self._client.pipeline(transaction=False) as pipe:
                for event in events:
                    keys, arguments = self._call(event)
                    pipe.eval(_APPEND, len(keys), *keys, *arguments)
                return [Outcome(told.decode()) for told in await pipe.execute()]

        return await _answer(work(), timeout_s)

    async def of_shoppers(self, shoppers: Sequence[str], *, limit: int, timeout_s: float) -> list[Event]:
        """As the port says."""

        async def work() -> list[Event]:
            async with self._client.pipeline(transaction=False) as pipe:
                for shopper in shoppers:
                    pipe.xrevrange(_stream(shopper))
                found = await pipe.execute()
            events = [_event(fields) for entries in found for _, fields in entries]
            return sorted(events, key=lambda event: (-event.at_ms, event.id))[:limit]

        return await _answer(work(), timeout_s)

    async def acts(self, *, since_ms: int, limit: int, timeout_s: float) -> list[Event]:
        """As the port says; the stream is in the order in which events came."""

        async def work() -> list[Event]:
            found: list[Event] = []
            before, came_since = "+", max(0, since_ms - MAX_EVENT_AHEAD_S * 1_000)
            while len(found) < limit:
                entries: Any = await self._client.xrevrange(
                    _ACTS, max=before, min=str(came_since), count=_BATCH
                )
                found += (
                    each for each in (_event(fields) for _, fields in entries) if each.at_ms >= since_ms
                )
                if len(entries) < _BATCH:
                    break
                before = f"({entries[-1][0].decode()}"
            return sorted(found, key=lambda event: (-event.at_ms, event.id))[:limit]

        return await _answer(work(), timeout_s)

    async def erase(self, shoppers: Sequence[str], *, before_ms: int, timeout_s: float) -> int:
        """As the port says."""
        today = before_ms // DAY_MS
        days = range(today - MAX_EVENT_AGE_DAYS - 1, today + 2)

        async def work() -> int:
            async with self._client.pipeline(transaction=True) as pipe:
                for shopper in shoppers:
                    counts = [_counts(day, shopper) for day in days]
                    keys = [_ALL, _stream(shopper), _mark(shopper), _ANSWERS, _ANSWERED, _ACTS, *counts]
                    pipe.eval(_ERASE, len(keys), *keys, str(before_ms), str(self._mark_s))
                return sum(await pipe.execute())

        return await _answer(work(), timeout_s)

    async def expire(self, *, before_ms: int, timeout_s: float) -> int:
        """As the port says, of the streams of all: those of shoppers are trimmed when they grow, and lapse by themselves."""
        before = str(before_ms + MAX_EVENT_AGE_DAYS * DAY_MS)
        await _answer(
            cast(
                "Awaitable[object]",
                self._client.eval(
                    _FORGET, 3, _ANSWERS, _ANSWERED, _SPENT, str(before_ms), str(before_ms // DAY_MS)
                ),
            ),
            timeout_s,
        )
        await _answer(self._client.xtrim(_ACTS, minid=before, approximate=False), timeout_s)
        return await _answer(self._client.xtrim(_ALL, minid=before, approximate=False), timeout_s)

    async def log_answers(
        self, answers: Sequence[Answer | PackedAnswer], *, most: int, timeout_s: float
    ) -> None:
        """As the port says."""
        told = [text for each in answers for text in (each.request_id, str(each.at_ms), each.packed())]
        work = self._client.eval(_LOG, 2, _ANSWERS, _ANSWERED, str(most), *told)
        await _answer(cast("Awaitable[object]", work), timeout_s)

    async def read_answers(
        self, after: str, *, since_ms: int = 0, limit: int, timeout_s: float
    ) -> tuple[list[Answer], str]:
        """As the port says; the mark is how many were read, so that answers that made room meanwhile skip others."""

        async def work() -> tuple[list[Answer], str]:
            first = int(after) if after else await self._client.zcount(_ANSWERED, "-inf", f"({since_ms}")
            ranged = self._client.zrange(_ANSWERED, first, first + limit - 1, withscores=True)
            kept = cast("list[tuple[bytes, float]]", await ranged)
            names = [name.decode() for name, _ in kept]
            bodies = await cast("Awaitable[list[Any]]", self._client.hmget(_ANSWERS, names)) if names else []
            answers = [
                Answer.unpacked(name, int(score), body)
                for name, (_, score), body in zip(names, kept, bodies, strict=True)
                if body is not None
            ]
            return answers, str(first + len(kept))

        return await _answer(work(), timeout_s)

    async def read_events(
        self, after: str, *, since_ms: int = 0, limit: int, timeout_s: float
    ) -> tuple[list[Event], str]:
        """As the port says."""
        # Of when it came; it may have happened a little later by its own clock.
        first = str(max(0, since_ms - MAX_EVENT_AHEAD_S * 1_000))

        async def work() -> tuple[list[Event], str]:
            ranged = self._client.xrange(_ALL, min=f"({after}" if after else first, count=limit)
            found = cast("list[tuple[bytes, dict[bytes, bytes]]]", await ranged)
            return [_event(fields) for _, fields in found], found[-1][0].decode() if found else after

        return await _answer(work(), timeout_s)

    async def warn_if_unsafe(self) -> None:
        """Log where this Redis acknowledges what a power cut may take; one that does not tell is believed."""
        try:
            told = await _answer(self._client.info("persistence"), _TIMEOUT_S)
        except (EventStoreError, DeadlineExceeded):
            return
        if not told.get("aof_enabled"):
            log_event(
                _logger, logging.WARNING, "events_may_be_lost", reason="Redis keeps no append-only file"
            )

    async def spend(self, days: Sequence[int], amount: int, *, most: int, timeout_s: float) -> int | None:
        """As the port says."""
        work = self._client.eval(_SPEND, 1, _SPENT, str(amount), str(most), *map(str, days))
        day = int(await _answer(cast("Awaitable[int]", work), timeout_s))
        return day if day >= 0 else None

    def _call(self, event: Event) -> tuple[list[str], list[str]]:
        """Return the keys and the arguments of the script that records an event."""
        ids, mark = f"{_PREFIX}:ids:{event.day}", _mark(event.shopper)
        keys = [_ALL, ids, _counts(event.day, event.who), mark, _ACTS]
        if event.shopper:
            keys.append(_stream(event.shopper))
        fields = {
            "id": event.id,
            "kind": str(event.kind.value),
            "product": event.product_id,
            "at": str(event.at_ms),
            "request": event.request_id,
            "position": str(event.position),
            "shopper": event.shopper,
            "session": event.session,
        }
        same = f"{event.kind.value}:{event.product_id}"
        arguments = [
            str(event.at_ms),
            event.id,
            same,
            str(DAILY_SAME),
            str(DAILY_ALL),
            str(_LATE_S),
            str(self._kept_s),
            str(int(event.kind is not EventKind.IMPRESSION)),
        ]
        return keys, arguments + [text for pair in fields.items() for text in pair]


async def _answer(work: Awaitable[T], timeout_s: float) -> T:
    try:
        async with asyncio.timeout(timeout_s):
            return await work
    except TimeoutError:
        raise DeadlineExceeded("the store of events did not answer in time") from None
    except (RedisError, OSError) as error:
        log_event(_logger, logging.WARNING, "event_store_failed", error=type(error).__name__)
        raise EventStoreError from error


def _stream(shopper: str) -> str:
    return f"{_PREFIX}:of:{shopper}"


def _counts(day: int, who: str) -> str:
    return f"{_PREFIX}:counts:{day}:{who}"


def _mark(shopper: str) -> str:
    return f"{_PREFIX}:erased:{hashlib.sha256(shopper.encode()).hexdigest()}"


def _event(fields: Mapping[bytes, bytes]) -> Event:
    texts: dict[str, Any] = {name.decode(): value.decode() for name, value in fields.items()}
    return Event(
        id=texts["id"],
        kind=EventKind(int(texts["kind"])),
        product_id=texts["product"],
        at_ms=int(texts["at"]),
        request_id=texts["request"],
        position=int(texts["position"]),
        shopper=texts["shopper"],
        session=texts["session"],
    )
