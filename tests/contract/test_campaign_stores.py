"""What every store of campaigns promises: no two of them spend a budget twice."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from gateway.adapters.redis_campaigns import RedisCampaigns, open_redis_campaigns
from gateway.adapters.sqlite_campaigns import SqliteCampaigns, UnreadableCampaigns, open_sqlite_campaigns
from gateway.campaigns import Campaign, LeaseRequest, Pacing
from gateway.errors import Aborted, CampaignStoreError, FailedPrecondition, InvalidQuery
from gateway.events import DAY_MS
from gateway.metrics import Metrics
from gateway.model import Intent
from gateway.server import open_campaigns
from gateway.settings import Settings
from gateway.sponsoring.store import CampaignStore
from gateway.sponsoring.wallet import Wallet, lease_size
from vitrine.domain import limits
from vitrine.domain.filters import AllOf, Equals, Range
from vitrine.process.settings import InvalidSettings

WAIT_S = 30.0
NOW_MS = 1_800_000_000_000


def campaign(name: str = "c", **changes: Any) -> Campaign:
    """Return a campaign of 100 impressions that runs."""
    usual = Campaign(
        id=name, key=f"{name}-key", advertiser="Ada", products=("p1",), bid_micros=10, budget_micros=1_000,
        currency="EUR", pacing=Pacing.ASAP, starts_ms=0, ends_ms=NOW_MS * 2,
    )  # fmt: skip
    return replace(usual, **changes)


def request(holder: str, **changes: Any) -> LeaseRequest:
    """Return what a holder asks that has spent nothing yet and wants 100."""
    usual = LeaseRequest(
        key="c-key", holder=holder, spent_micros=0, impressions=0, wanted_micros=100, least_micros=10,
        ceiling_micros=1_000, now_ms=NOW_MS, lapses_ms=NOW_MS + 1_000,
    )  # fmt: skip
    return replace(usual, **changes)


async def _remove(client: "Redis") -> None:
    async for key in client.scan_iter("*vitrine:campaigns:*"):
        await client.delete(key)


@asynccontextmanager
async def opened(place: str) -> AsyncIterator[CampaignStore]:
    """Open the store at a path or a URL."""
    if place.startswith("/"):
        async with open_sqlite_campaigns(Path(place)) as file:
            yield file
        return
    async with open_redis_campaigns(place, timeout_s=WAIT_S) as shared:
        yield shared


@pytest.fixture(params=["sqlite", "redis"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """Where an empty store of each kind is."""
    if request.param == "sqlite":
        yield str(tmp_path / "campaigns.db")
        return
    url: str = request.getfixturevalue("redis_process").url
    async with Redis.from_url(url) as client:
        await _remove(client)
        yield url
        await _remove(client)


@pytest.fixture
async def store(place: str) -> AsyncIterator[CampaignStore]:
    """An empty store of each kind."""
    async with opened(place) as kept:
        yield kept


async def lease(store: CampaignStore, *requests: LeaseRequest) -> list[int]:
    """Lease."""
    return await store.lease(requests, timeout_s=WAIT_S)


async def test_a_campaign_is_kept_whole_and_changed_by_revision(store: CampaignStore) -> None:
    """What comes back is what went in; who changes a state that is not the latest is told so, and changes nothing."""
    conditions = AllOf((Equals("brand", "Ada"), Range(field="price", maximum=40.0)))
    whole = campaign(
        products=(), filters=conditions, intents=frozenset({Intent.BUY, Intent.COMPARE}), locales=("de", "en-GB"),
        pacing=Pacing.EVEN, daily_cap=3, paused=True,
    )  # fmt: skip
    kept = await store.put(whole, timeout_s=WAIT_S)
    assert kept == replace(whole, revision=1)
    before = await store.version(timeout_s=WAIT_S)
    dearer = await store.put(replace(kept, bid_micros=20), timeout_s=WAIT_S)
    assert await store.version(timeout_s=WAIT_S) > before
    assert await store.campaigns(timeout_s=WAIT_S) == [dearer] == [replace(kept, bid_micros=20, revision=2)]
    with pytest.raises(Aborted, match=r"campaign.revision"):
        await store.put(replace(kept, bid_micros=30), timeout_s=WAIT_S)
    with pytest.raises(InvalidQuery, match=r"campaign.id"):
        await store.put(campaign(key="another"), timeout_s=WAIT_S)
    await store.delete("c", timeout_s=WAIT_S)
    with pytest.raises(Aborted, match=r"campaign.revision"):
        await store.put(dearer, timeout_s=WAIT_S)
    assert await store.campaigns(timeout_s=WAIT_S) == []


async def test_there_is_a_bound_on_campaigns(store: CampaignStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """One more than are kept is refused, by name and number; they come back in the order of their ids."""
    names = [f"c{number:03}" for number in range(20)]
    monkeypatch.setattr(limits, "MAX_CAMPAIGNS", len(names))
    await asyncio.gather(*(store.put(campaign(name), timeout_s=WAIT_S) for name in reversed(names)))
    with pytest.raises(FailedPrecondition, match="campaigns: at most 500"):
        await store.put(campaign("one more"), timeout_s=WAIT_S)
    assert [each.id for each in await store.campaigns(timeout_s=WAIT_S)] == names


async def test_a_lease_is_out_of_reach_of_the_others(store: CampaignStore) -> None:
    """Holders get what is free below budget and ceiling, or nothing of use; what is told twice counts once."""
    await store.put(campaign(budget_micros=250), timeout_s=WAIT_S)
    assert await lease(store, request("a"), request("a")) == [100, 100]
    assert await lease(store, request("b", ceiling_micros=155)) == [55]
    spent = request("a", spent_micros=90, impressions=9)
    assert await lease(store, spent, spent) == [190, 190]
    assert await lease(store, request("c", wanted_micros=100)) == [0]  # 5 are left, and 10 would be of use
    books = await store.books("c-key", now_ms=NOW_MS, timeout_s=WAIT_S)
    assert (books.spent_micros, books.impressions, books.leased_micros) == (90, 9, 155)
    assert (books.lost_micros, books.days) == (0, {NOW_MS // DAY_MS: (90, 9)})


async def test_what_is_given_back_is_free_and_what_is_lost_is_not(store: CampaignStore) -> None:
    """A holder that ends gives back; of one that is not heard of any more nobody spends, and if it comes back it may."""
    await store.put(campaign(budget_micros=200), timeout_s=WAIT_S)
    assert await lease(store, request("a"), request("b")) == [100, 100]
    assert await lease(store, request("c")) == [0]
    assert await lease(store, request("a", spent_micros=30, impressions=3, wanted_micros=0)) == [30]
    assert await lease(store, request("c")) == [70]
    books = await store.books("c-key", now_ms=NOW_MS + 2_000, timeout_s=WAIT_S)
    assert (books.spent_micros, books.leased_micros, books.lost_micros) == (30, 170, 170)
    late = request("b", spent_micros=100, impressions=10, now_ms=NOW_MS + DAY_MS, lapses_ms=NOW_MS * 2)
    assert await lease(store, late) == [100]
    books = await store.books("c-key", now_ms=NOW_MS + 2_000, timeout_s=WAIT_S)
    assert (books.spent_micros, books.impressions, books.lost_micros) == (130, 13, 70)
    assert sorted(books.days.values()) == [(30, 3), (100, 10)]


async def test_a_smaller_budget_leases_no_more_and_a_deleted_campaign_nothing(store: CampaignStore) -> None:
    """What is held already may be spent; books of an id that is used again are others."""
    kept = await store.put(campaign(), timeout_s=WAIT_S)
    assert await lease(store, request("a")) == [100]
    await store.put(replace(kept, budget_micros=50), timeout_s=WAIT_S)
    assert await lease(store, request("a", spent_micros=40, impressions=4), request("b")) == [100, 0]
    await store.delete("c", timeout_s=WAIT_S)
    assert await lease(store, request("a", spent_micros=60, impressions=6)) == [60]
    await store.put(campaign(key="new-key"), timeout_s=WAIT_S)
    books = await store.books("new-key", now_ms=NOW_MS, timeout_s=WAIT_S)
    assert (books.spent_micros, books.impressions) == (0, 0)


async def test_great_budgets_are_exact(store: CampaignStore) -> None:
    """No digit is lost where the amounts are the greatest that are taken."""
    most = limits.MAX_BUDGET_MICROS
    await store.put(campaign(budget_micros=most, bid_micros=limits.MAX_BID_MICROS), timeout_s=WAIT_S)
    wants = request("a", wanted_micros=most - 1, least_micros=1, ceiling_micros=most)
    assert await lease(store, wants) == [most - 1]
    assert await lease(store, replace(wants, spent_micros=most - 2, impressions=1)) == [most]
    books = await store.books("c-key", now_ms=NOW_MS, timeout_s=WAIT_S)
    assert (books.spent_micros, books.leased_micros) == (most - 2, 2)


async def spend_all(wallet: Wallet, kept: Campaign, price: int) -> int:
    """Show as often as the budget pays for; return how often."""
    shown = 0
    while True:
        await wallet.fill([kept], timeout_s=WAIT_S)
        if not wallet.charge(kept, price):
            return shown
        shown += 1
        await asyncio.sleep(0)


async def test_two_gateways_spend_a_budget_to_its_end_and_no_further(place: str) -> None:
    """At once, each on a connection of its own, at prices that no lease divides by: what is left is less than a bid each."""
    async with opened(place) as first, opened(place) as second:
        kept = await first.put(campaign(budget_micros=9_995), timeout_s=WAIT_S)
        wallets = [Wallet(each, Metrics(), clock=lambda: NOW_MS / 1e3) for each in (first, second)]
        for wallet in wallets:  # each has a lease, however long the other would keep the file to itself
            await wallet.fill([kept], timeout_s=WAIT_S)
        shown = await asyncio.gather(*(spend_all(wallet, kept, 7) for wallet in wallets))
        for wallet in wallets:
            await wallet.close({kept.key: kept}, timeout_s=WAIT_S)
        books = await first.books(kept.key, now_ms=NOW_MS, timeout_s=WAIT_S)
    assert (books.spent_micros, books.impressions) == (7 * sum(shown), sum(shown))
    assert 9_995 - 2 * kept.bid_micros < books.spent_micros <= 9_995
    assert (books.leased_micros, min(shown) > 0) == (0, True)


_SPENDER = """
import asyncio, sys
from pathlib import Path
from gateway.adapters.redis_campaigns import open_redis_campaigns
from gateway.adapters.sqlite_campaigns import open_sqlite_campaigns
from gateway.metrics import Metrics
from gateway.sponsoring.wallet import Wallet

async def main():
    place = sys.argv[1]
    file = place.startswith("/")
    async with (open_sqlite_campaigns(Path(place)) if file else open_redis_campaigns(place, timeout_s=30)) as store:
        (kept,) = await store.campaigns(timeout_s=30)
        wallet = Wallet(store, Metrics())
        while True:
            await wallet.fill([kept], timeout_s=30)
            if not wallet.charge(kept, 10):
                break
            print("shown", flush=True)
        await wallet.close({kept.key: kept}, timeout_s=30)

asyncio.run(main())
"""


def _spender(place: str) -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, "-c", _SPENDER, place], stdout=subprocess.PIPE, text=True)


def _one_is_killed(place: str) -> int:
    """Have two processes spend at once, kill one after 300 impressions, and return how many there were."""
    killed, other = _spender(place), _spender(place)
    assert killed.stdout is not None
    assert other.stdout is not None
    try:
        shown = [killed.stdout.readline() for _ in range(300)]
    finally:
        os.kill(killed.pid, signal.SIGKILL)
        killed.wait()
    with killed.stdout, other.stdout:
        shown += [*killed.stdout, *other.stdout]
    assert other.wait() == 0
    return shown.count("shown\n")


async def test_kill_9_takes_at_most_a_lease_and_spends_nothing_twice(place: str) -> None:
    """Of two processes one is killed: no more was shown than the budget pays for, and less by its lease at most."""
    async with opened(place) as store:
        kept = await store.put(campaign(budget_micros=100_000), timeout_s=WAIT_S)
        shown = await asyncio.to_thread(_one_is_killed, place)
        books = await store.books(kept.key, now_ms=NOW_MS, timeout_s=WAIT_S)
    assert 100_000 - lease_size(kept) - kept.bid_micros <= 10 * shown <= 100_000
    assert books.spent_micros <= 10 * shown
    assert books.spent_micros + books.leased_micros <= 100_000
    assert books.leased_micros <= lease_size(kept)


async def test_a_store_that_hangs_is_unavailable(redis_process: Any) -> None:
    """The call ends within its time; told again, nothing counts twice."""
    async with open_redis_campaigns(redis_process.url, timeout_s=0.5) as store:
        with redis_process.hanging(), pytest.raises(CampaignStoreError, match="campaign store"):
            await lease(store, request("a"))


async def test_the_setting_chooses_the_store(tmp_path: Path, redis_process: Any) -> None:
    """GATEWAY_CAMPAIGNS is nothing, a file for its owner alone, or a Redis; a file that is none of ours stops the start."""
    path = tmp_path / "campaigns.db"
    async with (
        open_campaigns(Settings()) as none,
        open_campaigns(Settings(campaigns=str(path))) as file,
        open_campaigns(Settings(campaigns=redis_process.url)) as shared,
    ):
        assert none is None
        assert isinstance(file, SqliteCampaigns)
        assert isinstance(shared, RedisCampaigns)
        assert path.stat().st_mode & 0o777 == 0o600
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA user_version = 99")
    other.close()
    with pytest.raises(InvalidSettings, match=r"GATEWAY_CAMPAIGNS.*layout 99"):
        await open_campaigns(Settings(campaigns=str(path))).__aenter__()
    with pytest.raises(UnreadableCampaigns, match=r"unable to open|No such file"):
        await open_sqlite_campaigns(tmp_path / "no" / "folder").__aenter__()
    for wrong in (
        {"sponsored_positions": "5,1"},
        {"sponsored_positions": "0"},
        {"sponsored_positions": "1,2,3,4,5"},
        {"sponsored_lookups": 1_001},
        {"sponsored_floor": 0.0},
        {"sponsored_floor": 1.5},
        {"campaign_currency": "euro"},
        {"campaigns": "/a", "campaigns_file": "/b"},
    ):
        with pytest.raises(InvalidSettings, match=next(iter(wrong)).upper()):
            Settings(**wrong)  # type: ignore[arg-type] # each is of its field's type
