"""What every store of events promises."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from gateway.adapters.redis_events import RedisEvents, open_redis_events
from gateway.adapters.sqlite_events import SqliteEvents, UnreadableEvents, open_sqlite_events
from gateway.errors import EventStoreError
from gateway.events import DAILY_ALL, DAILY_SAME, DAY_MS, EventKind, Outcome
from gateway.ports import EventStore
from gateway.server import open_events
from gateway.settings import Settings
from gateway.testing.events import NOW_MS, RETENTION_DAYS, WAIT_S, event, remove_events
from vitrine.process.settings import InvalidSettings


async def test_an_event_is_recorded_once(event_store: EventStore) -> None:
    """What comes again, beside others or much later, is a duplicate, and the latest events come first."""
    first, second = event("a", position=3, request_id="r", session="s"), event("b", at_ms=NOW_MS + 1)
    outcomes = await event_store.append([first, second, first], timeout_s=WAIT_S)
    assert outcomes == [Outcome.RECORDED, Outcome.RECORDED, Outcome.DUPLICATE]
    assert await event_store.append([first], timeout_s=WAIT_S) == [Outcome.DUPLICATE]
    assert await event_store.of_shoppers(["ann", "bob"], limit=10, timeout_s=WAIT_S) == [second, first]
    assert await event_store.of_shoppers(["ann"], limit=1, timeout_s=WAIT_S) == [second]


async def test_events_out_of_order_come_back_in_order(event_store: EventStore) -> None:
    """The order of their times counts, not that in which they came."""
    events = [event(f"e{at}", at_ms=NOW_MS + at, product_id=f"p{at}") for at in (5, 1, 9, 3)]
    await event_store.append(events, timeout_s=WAIT_S)
    kept = await event_store.of_shoppers(["ann"], limit=10, timeout_s=WAIT_S)
    assert [each.at_ms - NOW_MS for each in kept] == [9, 5, 3, 1]


async def test_acts_are_what_everybody_did_beside_seeing(event_store: EventStore) -> None:
    """The latest come first, impressions and what is older are not among them, and nothing of who was erased."""
    done = [
        event(
            f"e{number:02}",
            at_ms=NOW_MS + number,
            product_id=f"p{number}",
            shopper=("ann", "bob", "")[number % 3],
        )
        for number in range(12)
    ]
    seen = [event("seen", kind=EventKind.IMPRESSION, at_ms=NOW_MS + 50)]
    await event_store.append([*done[6:], *seen, *done[:6]], timeout_s=WAIT_S)
    since = NOW_MS + 2
    assert await event_store.acts(since_ms=since, limit=100, timeout_s=WAIT_S) == done[:1:-1]
    assert len(await event_store.acts(since_ms=since, limit=4, timeout_s=WAIT_S)) == 4
    await event_store.erase(["ann"], before_ms=NOW_MS + DAY_MS, timeout_s=WAIT_S)
    kept = [each for each in done[:1:-1] if each.shopper != "ann"]
    assert await event_store.acts(since_ms=since, limit=100, timeout_s=WAIT_S) == kept


async def test_acts_are_read_in_batches(event_store: EventStore) -> None:
    """Of more events than one batch each comes once."""
    done = [event(f"e{number:04}", at_ms=NOW_MS + number, product_id=f"p{number}") for number in range(1_203)]
    await event_store.append(done, timeout_s=WAIT_S)
    assert await event_store.acts(since_ms=NOW_MS, limit=5_000, timeout_s=WAIT_S) == done[::-1]


async def test_a_click_farm_counts_no_more_than_a_keen_shopper(event_store: EventStore) -> None:
    """Of one shopper, product, kind and day so many are kept; others and the next day are not touched."""
    clicks = [event(f"e{number}") for number in range(DAILY_SAME + 5)]
    outcomes = await event_store.append(clicks, timeout_s=WAIT_S)
    assert outcomes == [Outcome.RECORDED] * DAILY_SAME + [Outcome.CAPPED] * 5
    more = [
        event("other product", product_id="p2"),
        event("other shopper", shopper="bob"),
        event("other kind", kind=EventKind.CART),
        event("next day", at_ms=NOW_MS + DAY_MS),
    ]
    assert await event_store.append(more, timeout_s=WAIT_S) == [Outcome.RECORDED] * 4


async def test_of_who_clicks_everything_a_days_share_is_kept(event_store: EventStore) -> None:
    """Beyond the bound of all events of a shopper and day nothing is kept."""
    clicks = [event(f"e{number}", product_id=f"p{number}") for number in range(DAILY_ALL + 3)]
    outcomes = await event_store.append(clicks, timeout_s=WAIT_S)
    assert outcomes == [Outcome.RECORDED] * DAILY_ALL + [Outcome.CAPPED] * 3


async def test_the_unknown_are_counted_by_the_answer_that_they_saw(event_store: EventStore) -> None:
    """Events of nobody in particular are kept, capped by answer, and belong to no shopper."""
    clicks = [event(f"e{number}", shopper="", request_id="r1") for number in range(DAILY_SAME + 1)]
    outcomes = await event_store.append(clicks, timeout_s=WAIT_S)
    assert outcomes.count(Outcome.CAPPED) == 1
    assert await event_store.append([event("x", shopper="", request_id="r2")], timeout_s=WAIT_S) == [
        Outcome.RECORDED
    ]
    assert await event_store.of_shoppers([""], limit=10, timeout_s=WAIT_S) == []


async def test_who_is_erased_stays_erased(event_store: EventStore) -> None:
    """What happened before is gone and is not taken any more, also while others write; what happens later is."""
    before = [event(f"e{number}", product_id=f"p{number}") for number in range(50)]
    others = [event(f"b{number}", product_id=f"p{number}", shopper="bob") for number in range(50)]
    await event_store.append(before[:25], timeout_s=WAIT_S)
    outcomes, erased, _ = await asyncio.gather(
        event_store.append(before[25:], timeout_s=WAIT_S),
        event_store.erase(["ann", "ann of old"], before_ms=NOW_MS, timeout_s=WAIT_S),
        event_store.append(others, timeout_s=WAIT_S),
    )
    assert 25 + outcomes.count(Outcome.RECORDED) == erased
    assert await event_store.append([event("late")], timeout_s=WAIT_S) == [Outcome.ERASED]
    assert await event_store.of_shoppers(["ann", "ann of old"], limit=100, timeout_s=WAIT_S) == []
    assert len(await event_store.of_shoppers(["bob"], limit=100, timeout_s=WAIT_S)) == 50
    back = event("back", at_ms=NOW_MS + 1)
    assert await event_store.append([back], timeout_s=WAIT_S) == [Outcome.RECORDED]
    assert await event_store.of_shoppers(["ann"], limit=100, timeout_s=WAIT_S) == [back]


async def test_old_events_are_deleted(tmp_path: Path) -> None:
    """What happened before the moment is gone, and nothing else."""
    async with open_sqlite_events(tmp_path / "events.db") as store:
        await store.append([event("old"), event("new", at_ms=NOW_MS + DAY_MS)], timeout_s=WAIT_S)
        assert await store.expire(before_ms=NOW_MS + 1, timeout_s=WAIT_S) == 1
        kept = await store.of_shoppers(["ann"], limit=10, timeout_s=WAIT_S)
        assert [each.id for each in kept] == ["new"]


async def test_redis_keeps_no_key_for_ever(redis_process: Any) -> None:
    """Every key but the streams of all and the keys lapses; the streams are trimmed so that nothing outlives its age."""
    url = redis_process.url
    async with (
        open_redis_events(url, retention_days=RETENTION_DAYS, timeout_s=WAIT_S) as store,
        Redis.from_url(url) as client,
    ):
        await remove_events(client)
        await store.append([event("a"), event("b", shopper="", request_id="r")], timeout_s=WAIT_S)
        await store.erase(["bob"], before_ms=NOW_MS, timeout_s=WAIT_S)
        ends = {key.decode(): await client.pttl(key) async for key in client.scan_iter("*vitrine:events:*")}
        lasting = {name.rpartition(":")[2] for name, end in ends.items() if end < 0}
        assert (lasting, len(ends)) == ({"all", "acts"}, 7)
        assert max(ends.values()) <= RETENTION_DAYS * DAY_MS
        now_ms = int(time.time() * 1e3)
        assert await store.expire(before_ms=now_ms - 8 * DAY_MS, timeout_s=WAIT_S) == 0
        assert await store.expire(before_ms=now_ms - 7 * DAY_MS + 60_000, timeout_s=WAIT_S) == 2
        await remove_events(client)


async def test_no_key_of_redis_holds_an_erased_shopper(redis_process: Any) -> None:
    """Neither a name of a key nor anything in one has the pseudonym any more."""
    url = redis_process.url
    async with (
        open_redis_events(url, retention_days=RETENTION_DAYS, timeout_s=WAIT_S) as store,
        Redis.from_url(url) as client,
    ):
        await store.append(
            [event(f"e{day}", at_ms=NOW_MS - day * DAY_MS) for day in range(7)], timeout_s=WAIT_S
        )
        assert await store.erase(["ann"], before_ms=NOW_MS, timeout_s=WAIT_S) == 7
        assert await client.xlen("{vitrine:events:1}:all") == 0
        assert await client.xlen("{vitrine:events:1}:acts") == 0
        names = [key async for key in client.scan_iter("*vitrine:events:*")]
        assert not [name for name in names if b"ann" in name]
        await remove_events(client)


async def test_a_redis_that_hangs_acknowledges_nothing(redis_process: Any) -> None:
    """The call ends within its time; what it held may be sent again."""
    kept = partial(open_redis_events, redis_process.url, retention_days=RETENTION_DAYS)
    async with kept(timeout_s=0.5) as impatient, kept(timeout_s=WAIT_S) as store:
        with redis_process.hanging(), pytest.raises(EventStoreError):
            await impatient.append([event("hangs")], timeout_s=WAIT_S)
        (again,) = await store.append([event("hangs")], timeout_s=WAIT_S)
        assert again in {Outcome.RECORDED, Outcome.DUPLICATE}


async def test_a_period_has_one_key_until_it_is_destroyed(event_store: EventStore) -> None:
    """Everybody gets the same key; older ones than are asked for are gone for good."""
    first = await event_store.keys(7, oldest=5, timeout_s=WAIT_S)
    assert (set(first), len(first[7])) == ({7}, 32)
    second = await event_store.keys(8, oldest=5, timeout_s=WAIT_S)
    assert (set(second), second[7]) == ({7, 8}, first[7])
    assert set(await event_store.keys(8, oldest=8, timeout_s=WAIT_S)) == {8}
    third = await event_store.keys(8, oldest=5, timeout_s=WAIT_S)
    assert third == {8: second[8]}


_WRITER = """
import asyncio, sys
from pathlib import Path
from redis.asyncio import Redis

from gateway.adapters.redis_events import RedisEvents, open_redis_events
from gateway.adapters.sqlite_events import open_sqlite_events
from gateway.events import DAY_MS, Event, EventKind

async def write(store, lane):
    for number in range(10**9):
        name = f"{lane}-{number}"
        click = Event(id=name, kind=EventKind.CLICK, product_id=name, at_ms=number * DAY_MS, shopper=lane)
        await store.append([click], timeout_s=30)
        print(name, flush=True)

async def main():
    async with open_sqlite_events(Path(sys.argv[1])) as store:
        await asyncio.gather(*(write(store, f"lane{lane}") for lane in range(8)))

asyncio.run(main())
"""


def _killed_while_it_writes(path: Path) -> list[str]:
    """Run the writer, kill it after 200 acknowledgements, and return all that it gave."""
    writer = subprocess.Popen([sys.executable, "-c", _WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    try:
        acknowledged = [writer.stdout.readline().strip() for _ in range(200)]
    finally:
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
    with writer.stdout:
        return acknowledged + [line.strip() for line in writer.stdout if line.endswith("\n")]


async def test_nothing_acknowledged_is_lost_by_kill_9(tmp_path: Path) -> None:
    """A process is killed while eight writers write: each event that one of them was told of is there."""
    path = tmp_path / "events.db"
    acknowledged = await asyncio.to_thread(_killed_while_it_writes, path)
    lanes = [f"lane{lane}" for lane in range(8)]
    async with open_sqlite_events(path) as store:
        kept = {each.id for each in await store.of_shoppers(lanes, limit=10**6, timeout_s=WAIT_S)}
    assert len(acknowledged) >= 200
    assert set(acknowledged) <= kept


async def test_the_file_is_its_owners_and_every_commit_waits_for_the_disk(tmp_path: Path) -> None:
    """Nobody else may read it; what was erased is overwritten."""
    path = tmp_path / "events.db"
    async with open_sqlite_events(path) as store:
        assert path.stat().st_mode & 0o777 == 0o600
        await store.append([event("a", shopper="a-pseudonym-to-look-for")], timeout_s=WAIT_S)
        for name, value in (("synchronous", 2), ("secure_delete", 1)):
            told = await store._writer.do(
                lambda database, name=name: database.execute(f"PRAGMA {name}").fetchone()[0], timeout_s=WAIT_S
            )
            assert told == value
        await store.erase(["a-pseudonym-to-look-for"], before_ms=NOW_MS, timeout_s=WAIT_S)
    assert b"a-pseudonym-to-look-for" not in path.read_bytes()


async def test_a_file_that_is_none_of_ours_is_refused(tmp_path: Path) -> None:
    """What is no database, of another layout or no place to write says so when it is opened."""
    (tmp_path / "text").write_text("no database, and longer than the header that one has: " * 20)
    with sqlite3.connect(tmp_path / "other") as other:
        other.execute("PRAGMA user_version = 99")
    other.close()
    for name, complaint in (
        ("text", "not a database"),
        ("other", "layout 99"),
        ("no/folder", "No such file"),
    ):
        with pytest.raises(UnreadableEvents, match=complaint):
            await open_sqlite_events(tmp_path / name).__aenter__()


async def test_a_disk_that_fails_is_unavailable_and_nothing_is_acknowledged(tmp_path: Path) -> None:
    """A write that SQLite cannot do fails whole, and the store goes on once it can again."""
    path = tmp_path / "events.db"
    async with open_sqlite_events(path) as store:
        await store.append([event("a")], timeout_s=WAIT_S)
        await _limit_pages(store, 1)
        many = [event(f"b{number}", product_id="p" * 100 + str(number)) for number in range(500)]
        with pytest.raises(EventStoreError, match="event store is unavailable"):
            await store.append(many, timeout_s=WAIT_S)
        await _limit_pages(store, 10**6)
        assert await store.append(many[:1], timeout_s=WAIT_S) == [Outcome.RECORDED]
        kept = await store.of_shoppers(["ann"], limit=1_000, timeout_s=WAIT_S)
        assert {each.id for each in kept} == {"a", "b0"}


async def _limit_pages(store: Any, pages: int) -> None:
    """Let the file have no more pages than these, or than it has: the disk is full."""
    await store._writer.do(
        lambda database: database.execute(f"PRAGMA max_page_count = {pages}").fetchone(), timeout_s=WAIT_S
    )


async def test_the_setting_chooses_the_store(tmp_path: Path, redis_process: Any) -> None:
    """GATEWAY_EVENTS is nothing, a file, or the address of a Redis; a file that cannot be used stops the start."""
    async with (
        open_events(Settings()) as none,
        open_events(Settings(events=str(tmp_path / "events.db"))) as file,
        open_events(Settings(events=redis_process.url)) as shared,
    ):
        assert none is None
        assert isinstance(file, SqliteEvents)
        assert isinstance(shared, RedisEvents)
    with pytest.raises(InvalidSettings, match="GATEWAY_EVENTS"):
        await open_events(Settings(events=str(tmp_path / "no" / "folder"))).__aenter__()
    for wrong in ({"event_retention_days": 7}, {"event_key_days": 0}, {"personal_share": 1.5}):
        with pytest.raises(InvalidSettings, match=next(iter(wrong)).upper()):
            Settings(**wrong)
