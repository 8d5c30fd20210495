"""Campaigns and their books in Redis, which all gateways share.

All keys are in one hash slot; <v> is the version of this layout:

    {vitrine:campaigns:<v>}:documents    hash    by id: the key of the books, the revision and the campaign's message
    {vitrine:campaigns:<v>}:version      string  grows with each change
    {vitrine:campaigns:<v>}:books:<key>  hash    budget, spent, impressions, used (what all holders have spent or hold);
                                                 line:<holder>: granted, spent, impressions and when it lapses;
                                                 day:<day>: spent and impressions

One script does one change. What it is worth is what Redis makes of it: with `appendonly yes` and `appendfsync always` it is
on the disk when it is acknowledged.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar, Unpack, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from gateway.adapters.redis_connection import RedisAccess, open_redis
from gateway.api.campaign_messages import campaign_message, stored_campaign
from gateway.campaigns import Books, Campaign, LeaseRequest
from gateway.errors import CampaignStoreError, DeadlineExceeded, FailedPrecondition, InvalidQuery
from gateway.events import DAY_MS
from gateway.logs import log_event
from gateway.sponsoring.store import TAKEN, TOO_MANY, moved
from vitrine.domain import limits

LAYOUT = 1
_PREFIX = f"{{vitrine:campaigns:{LAYOUT}}}"
_DOCUMENTS = f"{_PREFIX}:documents"
_VERSION = f"{_PREFIX}:version"
_TIMEOUT_S = 1.0

_PUT = """
local kept = redis.call('hget', KEYS[1], ARGV[1])
if ARGV[3] == '0' then
  if kept then return 'taken' end
  if redis.call('hlen', KEYS[1]) >= tonumber(ARGV[6]) then return 'many' end
else
  local before = ARGV[2] .. ' ' .. ARGV[3] .. ' '
  if not kept or string.sub(kept, 1, #before) ~= before then return 'moved' end
end
redis.call('hset', KEYS[1], ARGV[1], ARGV[2] .. ' ' .. string.format('%.0f', ARGV[3] + 1) .. ' ' .. ARGV[4])
redis.call('hset', KEYS[3], 'budget', ARGV[5])
redis.call('incr', KEYS[2])
return 'kept'
"""
"""KEYS: documents, version, books. ARGV: id, key, revision, document, budget, how many campaigns at most."""

_DELETE = """
local kept = redis.call('hget', KEYS[1], ARGV[1])
if kept and string.sub(kept, 1, #ARGV[2] + 1) == ARGV[2] .. ' ' then
  redis.call('hdel', KEYS[1], ARGV[1])
  redis.call('del', KEYS[3])
  redis.call('incr', KEYS[2])
end
"""
"""KEYS: documents, version, books. ARGV: id, key."""

_LEASE = """
local text = function(number) return string.format('%.0f', number) end
local told_spent, told_impressions = tonumber(ARGV[2]), tonumber(ARGV[3])
local wanted, least, ceiling = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local budget = tonumber(redis.call('hget', KEYS[1], 'budget') or -1)
if budget < 0 then return text(told_spent) end
local used = tonumber(redis.call('hget', KEYS[1], 'used') or 0)
local granted, spent, impressions = 0, 0, 0
local line = redis.call('hget', KEYS[1], 'line:' .. ARGV[1])
if line then
  local parts = {}
  for part in string.gmatch(line, '%d+') do parts[#parts + 1] = tonumber(part) end
  granted, spent, impressions = parts[1], parts[2], parts[3]
end
local spent_now, impressions_now = math.max(spent, told_spent), math.max(impressions, told_impressions)
local held = math.max(0, granted - spent_now)
local free = math.min(budget, ceiling) - used
local fits = math.min(wanted, held + math.max(0, free))
local holds = held
if fits >= least or fits <= held then holds = fits end
local granted_now = spent_now + holds
local kept = {text(granted_now), text(spent_now), text(impressions_now), ARGV[7]}
redis.call('hset', KEYS[1], 'line:' .. ARGV[1], table.concat(kept, ' '))
redis.call('hincrby', KEYS[1], 'used', text(granted_now - granted))
redis.call('hincrby', KEYS[1], 'spent', text(spent_now - spent))
redis.call('hincrby', KEYS[1], 'impressions', text(impressions_now - impressions))
if impressions_now > impressions then
  redis.call('hincrby', KEYS[1], 'day:' .. ARGV[8] .. ':spent', text(spent_now - spent))
  redis.call('hincrby', KEYS[1], 'day:' .. ARGV[8] .. ':impressions', text(impressions_now - impressions))
end
return text(granted_now)
"""
"""KEYS: books. ARGV: holder, spent, impressions, wanted, least, ceiling, when it lapses, day. As `_lease` of
sqlite_campaigns.py. Numbers are doubles in Lua: the limits keep them where those are exact."""

_logger = logging.getLogger(__name__)

T = TypeVar("T")


@asynccontextmanager
async def open_redis_campaigns(
    url: str, *, timeout_s: float = _TIMEOUT_S, **access: Unpack[RedisAccess]
) -> AsyncIterator["RedisCampaigns"]:
    """Open the campaigns of a Redis at redis://, rediss:// or unix://; one that is not there yet may come.

    `access`: as `open_redis` has it.
    """
    async with open_redis(url, timeout_s=timeout_s, **access) as client:
        yield RedisCampaigns(client)


class RedisCampaigns:
    """Implements gateway.sponsoring.store.CampaignStore."""

    def __init__(self, client: "Redis") -> None:
        self._client = client

    async def put(self, campaign: Campaign, *, timeout_s: float) -> Campaign:
        """As the port says."""
        document = campaign_message(campaign).SerializeToString()
        arguments: list[Any] = [
            campaign.id,
            campaign.key,
            str(campaign.revision),
            document,
            str(campaign.budget_micros),
            str(limits.MAX_CAMPAIGNS),
        ]
        told = await self._eval(
            _PUT, [_DOCUMENTS, _VERSION, _books(campaign.key)], arguments, timeout_s=timeout_s
        )
        match told:
            case b"taken":
                raise InvalidQuery("campaign.id", TAKEN)
            case b"many":
                raise FailedPrecondition(TOO_MANY)
            case b"moved":
                raise moved()
        return stored_campaign(document, key=campaign.key, revision=campaign.revision + 1)

    async def delete(self, campaign_id: str, *, timeout_s: float) -> None:
        """As the port says."""
        kept = await _answer(
            cast("Awaitable[bytes | None]", self._client.hget(_DOCUMENTS, campaign_id)), timeout_s
        )
        if kept is not None:
            key = kept.split(b" ", 1)[0].decode()
            keys = [_DOCUMENTS, _VERSION, _books(key)]
            await self._eval(_DELETE, keys, [campaign_id, key], timeout_s=timeout_s)

    async def version(self, *, timeout_s: float) -> int:
        """As the port says."""
        return int(await _answer(self._client.get(_VERSION), timeout_s) or 0)

    async def campaigns(self, *, timeout_s: float) -> list[Campaign]:
        """As the port says."""
        kept = await _answer(
            cast("Awaitable[dict[bytes, bytes]]", self._client.hgetall(_DOCUMENTS)), timeout_s
        )
        campaigns = []
        for entry in kept.values():
            key, revision, document = entry.split(b" ", 2)
            campaigns.append(stored_campaign(document, key=key.decode(), revision=int(revision)))
        return sorted(campaigns, key=lambda each: each.id)

    async def lease(self, requests: Sequence[LeaseRequest], *, timeout_s: float) -> list[int]:
        """As the port says."""

        async def work() -> list[int]:
            async with self._client.pipeline(transaction=False) as pipe:
                for request in requests:
                    pipe.eval(_LEASE, 1, _books(request.key), *_arguments(request))
                return [int(told) for told in await pipe.execute()]

        return await _answer(work(), timeout_s)

    async def books(self, key: str, *, now_ms: int, timeout_s: float) -> Books:
        """As the port says."""
        kept = await _answer(
            cast("Awaitable[dict[bytes, bytes]]", self._client.hgetall(_books(key))), timeout_s
        )
        leased = lost = 0
        days: dict[int, list[int]] = {}
        for name, value in kept.items():
            kind, *rest = name.decode().split(":")
            if kind == "line":
                granted, spent, _, lapses = map(int, value.split())
                leased += granted - spent
                lost += granted - spent if lapses < now_ms else 0
            elif kind == "day":
                days.setdefault(int(rest[0]), [0, 0])[rest[1] == "impressions"] = int(value)
        return Books(
            spent_micros=int(kept.get(b"spent", 0)),
            impressions=int(kept.get(b"impressions", 0)),
            leased_micros=leased,
            lost_micros=lost,
            days={day: (spent, impressions) for day, (spent, impressions) in days.items()},
        )

    async def warn_if_unsafe(self) -> None:
        """Log where a power cut may make this Redis forget what was spent; one that does not tell is believed."""
        try:
            told = await _answer(self._client.info("persistence"), _TIMEOUT_S)
        except (CampaignStoreError, DeadlineExceeded):
            return
        if not told.get("aof_enabled"):
            log_event(_logger, logging.WARNING, "spend_may_be_lost", reason="Redis keeps no append-only file")

    async def _eval(
        self, script: str, keys: Sequence[str], arguments: Sequence[Any], *, timeout_s: float
    ) -> Any:
        work = self._client.eval(script, len(keys), *keys, *arguments)
        return await _answer(work, timeout_s)


def _arguments(request: LeaseRequest) -> list[str]:
    numbers = (
        request.spent_micros,
        request.impressions,
        request.wanted_micros,
        request.least_micros,
        request.ceiling_micros,
        request.lapses_ms,
        request.now_ms // DAY_MS,
    )
    return [request.holder, *map(str, numbers)]


async def _answer(work: Awaitable[T], timeout_s: float) -> T:
    try:
        async with asyncio.timeout(timeout_s):
            return await work
    except TimeoutError:
        raise DeadlineExceeded("the store of campaigns did not answer in time") from None
    except (RedisError, OSError) as error:
        log_event(_logger, logging.WARNING, "campaign_store_failed", error=type(error).__name__)
        raise CampaignStoreError from error


def _books(key: str) -> str:
    return f"{_PREFIX}:books:{key}"
