"""Campaigns and their books in a SQLite file of this machine: for one gateway, or several on one disk.

Every change is one transaction that has locked the file before it reads, so that processes take turns; it is durable when it
returns. One thread does them in turn: a gateway asks about once a second.
"""

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from gateway.api.campaign_messages import campaign_message, stored_campaign
from gateway.campaigns import Books, Campaign, LeaseRequest
from gateway.errors import (
    CampaignStoreError,
    DeadlineExceeded,
    FailedPrecondition,
    InvalidQuery,
    Overloaded,
)
from gateway.events import DAY_MS
from gateway.sponsoring.store import TAKEN, TOO_MANY, moved
from vitrine.domain import limits

LAYOUT = 1
"""Of the tables; a file of another layout is refused."""
MAX_WAITING = 64
"""Calls that may wait for the file."""

_BUSY_S = 5.0
"""How long another process may write meanwhile."""
_RETRY_S = 0.5

_TABLES = """
CREATE TABLE campaigns (
    id TEXT PRIMARY KEY, key TEXT NOT NULL UNIQUE, revision INTEGER NOT NULL, document BLOB NOT NULL,
    budget INTEGER NOT NULL, spent INTEGER NOT NULL DEFAULT 0, impressions INTEGER NOT NULL DEFAULT 0,
    used INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE leases (
    key TEXT NOT NULL REFERENCES campaigns (key) ON DELETE CASCADE, holder TEXT NOT NULL, granted INTEGER NOT NULL,
    spent INTEGER NOT NULL, impressions INTEGER NOT NULL, lapses INTEGER NOT NULL, PRIMARY KEY (key, holder)
) WITHOUT ROWID;
CREATE TABLE days (
    key TEXT NOT NULL REFERENCES campaigns (key) ON DELETE CASCADE, day INTEGER NOT NULL, spent INTEGER NOT NULL,
    impressions INTEGER NOT NULL, PRIMARY KEY (key, day)
) WITHOUT ROWID;
CREATE TABLE version (number INTEGER NOT NULL);
INSERT INTO version VALUES (0);
"""
"""`used`: what all holders have spent or hold."""

T = TypeVar("T")


class UnreadableCampaigns(Exception):  # noqa: N818 - read by operators as a sentence
    """The file is no store of campaigns that this version reads; the message says why."""


@asynccontextmanager
async def open_sqlite_campaigns(path: Path) -> AsyncIterator["SqliteCampaigns"]:
    """Open the store in a file, which is made where there is none, for its owner's eyes alone.

    Raises:
        UnreadableCampaigns: it cannot be opened, or another version made it.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="campaigns") as thread:
        loop = asyncio.get_running_loop()
        try:
            database = await loop.run_in_executor(thread, _connect, path)
        except (sqlite3.Error, OSError) as error:
            raise UnreadableCampaigns(f"{path}: {error}") from error
        try:
            yield SqliteCampaigns(database, thread)
        finally:
            await loop.run_in_executor(thread, database.close)


class SqliteCampaigns:
    """Implements gateway.sponsoring.store.CampaignStore."""

    def __init__(self, database: sqlite3.Connection, thread: ThreadPoolExecutor) -> None:
        self._database = database
        self._thread = thread
        self._waiting = 0

    async def put(self, campaign: Campaign, *, timeout_s: float) -> Campaign:
        """As the port says."""
        document = campaign_message(campaign).SerializeToString()
        row = (document, campaign.budget_micros, campaign.id)

        def work(database: sqlite3.Connection) -> int:
            if campaign.revision:
                changed = database.execute(
                    "UPDATE campaigns SET document = ?, budget = ?, revision = revision + 1 WHERE id = ? AND key = ?"
                    " AND revision = ?",
                    (*row, campaign.key, campaign.revision),
                ).rowcount
                if not changed:
                    raise moved()
            else:
                _insert(database, row, campaign.key)
            database.execute("UPDATE version SET number = number + 1")
            return campaign.revision + 1

        revision = await self._do(work, timeout_s)
        return stored_campaign(document, key=campaign.key, revision=revision)

    async def delete(self, campaign_id: str, *, timeout_s: float) -> None:
        """As the port says."""

        def work(database: sqlite3.Connection) -> None:
            database.execute("DELETE FROM campaigns WHERE id = ?", (campaign_id,))
            database.execute("UPDATE version SET number = number + 1")

        await self._do(work, timeout_s)

    async def version(self, *, timeout_s: float) -> int:
        """As the port says."""
        return await self._do(lambda database: _number(database, "SELECT number FROM version"), timeout_s)

    async def campaigns(self, *, timeout_s: float) -> list[Campaign]:
        """As the port says."""

        def work(database: sqlite3.Connection) -> list[Campaign]:
            rows = database.execute("SELECT document, key, revision FROM campaigns ORDER BY id")
            return [stored_campaign(document, key=key, revision=revision) for document, key, revision in rows]

        return await self._do(work, timeout_s)

    async def lease(self, requests: Sequence[LeaseRequest], *, timeout_s: float) -> list[int]:
        """As the port says."""
        return await self._do(lambda database: [_lease(database, each) for each in requests], timeout_s)

    async def books(self, key: str, *, now_ms: int, timeout_s: float) -> Books:
        """As the port says."""

        def work(database: sqlite3.Connection) -> Books:
            row = database.execute(
                "SELECT spent, impressions FROM campaigns WHERE key = ?", (key,)
            ).fetchone()
            if row is None:
                return Books()
            held = "SELECT coalesce(sum(granted - spent), 0) FROM leases WHERE key = ?"
            return Books(
                spent_micros=row[0],
                impressions=row[1],
                leased_micros=_number(database, held, key),
                lost_micros=_number(database, f"{held} AND lapses < ?", key, now_ms),
                days={
                    day: (spent, impressions)
                    for day, spent, impressions in database.execute(
                        "SELECT day, spent, impressions FROM days WHERE key = ?", (key,)
                    )
                },
            )

        return await self._do(work, timeout_s)

    async def _do(self, work: Callable[[sqlite3.Connection], T], timeout_s: float) -> T:
        if self._waiting >= MAX_WAITING:
            raise Overloaded("too many calls wait for the store of campaigns", retry_after_s=_RETRY_S)
        self._waiting += 1
        done = asyncio.get_running_loop().run_in_executor(self._thread, self._transact, work)
        done.add_done_callback(self._left)
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncio.shield(done)
        except TimeoutError:
            raise DeadlineExceeded("the store of campaigns did not answer in time") from None
        except sqlite3.Error:
            raise CampaignStoreError from None

    def _left(self, done: "asyncio.Future[T]") -> None:
        self._waiting -= 1
        if not done.cancelled():
            done.exception()  # whoever waited saw it, if anybody still did

    def _transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            result = work(self._database)
            self._database.execute("COMMIT")
        finally:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
        return result


def _connect(path: Path) -> sqlite3.Connection:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    database = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        database.execute(f"PRAGMA {pragma}")
    database.execute("BEGIN IMMEDIATE")
    layout = _number(database, "PRAGMA user_version")
    if layout == 0:
        for statement in _TABLES.split(";"):
            database.execute(statement)
        database.execute(f"PRAGMA user_version = {LAYOUT}")
    database.execute("COMMIT")
    if layout not in {0, LAYOUT}:
        database.close()
        raise UnreadableCampaigns(
            f"{path}: another version made it, with layout {layout}; this one has {LAYOUT}"
        )
    return database


def _insert(database: sqlite3.Connection, row: tuple[bytes, int, str], key: str) -> None:
    if _number(database, "SELECT count(*) FROM campaigns WHERE id = ?", row[2]):
        raise InvalidQuery("campaign.id", TAKEN)
    if _number(database, "SELECT count(*) FROM campaigns") >= limits.MAX_CAMPAIGNS:
        raise FailedPrecondition(TOO_MANY)
    database.execute(
        "INSERT INTO campaigns (document, budget, id, key, revision) VALUES (?, ?, ?, ?, 1)", (*row, key)
    )


def _lease(database: sqlite3.Connection, request: LeaseRequest) -> int:
    """Enter what was spent and lease anew; `_LEASE` of redis_campaigns.py is the same."""
    row = database.execute("SELECT budget, used FROM campaigns WHERE key = ?", (request.key,)).fetchone()
    if row is None:
        return request.spent_micros
    budget, used = row
    line = database.execute(
        "SELECT granted, spent, impressions FROM leases WHERE key = ? AND holder = ?",
        (request.key, request.holder),
    ).fetchone()
    granted, spent, impressions = line or (0, 0, 0)
    # An answer may have been lost, and a call may come again: neither counts twice.
    spent_now, impressions_now = max(spent, request.spent_micros), max(impressions, request.impressions)
    held = max(0, granted - spent_now)
    free = min(budget, request.ceiling_micros) - used
    wanted = min(request.wanted_micros, held + max(0, free))
    holds = wanted if wanted >= request.least_micros or wanted <= held else held
    granted_now = spent_now + holds
    database.execute(
        "INSERT OR REPLACE INTO leases VALUES (?, ?, ?, ?, ?, ?)",
        (request.key, request.holder, granted_now, spent_now, impressions_now, request.lapses_ms),
    )
    costs, shown = spent_now - spent, impressions_now - impressions
    database.execute(
        "UPDATE campaigns SET used = used + ?, spent = spent + ?, impressions = impressions + ? WHERE key = ?",
        (granted_now - granted, costs, shown, request.key),
    )
    if shown:
        database.execute(
            "INSERT INTO days VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET spent = spent + excluded.spent,"
            " impressions = impressions + excluded.impressions",
            (request.key, request.now_ms // DAY_MS, costs, shown),
        )
    return granted_now


def _number(database: sqlite3.Connection, query: str, *values: str | int) -> int:
    (number,) = database.execute(query, values).fetchone()
    return int(number)
