"""Events in a SQLite file of this machine: for one gateway, or several on one disk.

One thread writes. It commits whatever waits as one transaction, so that one fsync acknowledges the events of many callers;
what was acknowledged outlives a process that is killed and, as far as the disk keeps its word, a power cut. Another
thread reads beside it, from the write-ahead log.
"""

import asyncio
import hashlib
import os
import queue
import secrets
import sqlite3
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from gateway.errors import DeadlineExceeded, EventStoreError, Overloaded
from gateway.events import DAILY_ALL, DAILY_SAME, Answer, Event, EventKind, Outcome, PackedAnswer

LAYOUT = 1
"""Of the tables; a file of another layout is refused."""

MAX_WAITING = 20_000
"""Events that may wait to be written."""
MAX_GROUP = 2_000
"""Pieces of work that one transaction commits."""

_KEY_BYTES = 32
_BUSY_S = 5.0
"""How long another process may write meanwhile."""
_RETRY_S = 0.5
_ANY = ""
"""Instead of a product, in the count of all events of a shopper and a day."""
_ALL_KINDS = 0

_TABLES = """
CREATE TABLE events (
    id TEXT NOT NULL UNIQUE, kind INTEGER NOT NULL, product TEXT NOT NULL, at INTEGER NOT NULL, request TEXT NOT NULL,
    position INTEGER NOT NULL, shopper TEXT NOT NULL, session TEXT NOT NULL
);
CREATE INDEX events_shopper ON events (shopper, at) WHERE shopper != '';
CREATE INDEX events_at ON events (at);
CREATE TABLE counts (
    who TEXT NOT NULL, day INTEGER NOT NULL, product TEXT NOT NULL, kind INTEGER NOT NULL, events INTEGER NOT NULL,
    PRIMARY KEY (who, day, product, kind)
) WITHOUT ROWID;
CREATE TABLE keys (period INTEGER PRIMARY KEY, key BLOB NOT NULL);
CREATE TABLE erased (digest TEXT PRIMARY KEY, before INTEGER NOT NULL) WITHOUT ROWID;
"""
_ACTS = "CREATE INDEX IF NOT EXISTS events_acts ON events (at) WHERE kind != 1"
"""Not of the layout: it is made in files of before, and older versions read on beside it. Kind 1 is an impression."""

_ADDED = (
    "CREATE TABLE IF NOT EXISTS answers (request TEXT NOT NULL UNIQUE, at INTEGER NOT NULL, body TEXT NOT NULL)",
    "CREATE INDEX IF NOT EXISTS answers_at ON answers (at)",
    "CREATE TABLE IF NOT EXISTS spent (day INTEGER PRIMARY KEY, amount INTEGER NOT NULL)",
)
"""Tables that a file of this layout may lack, which was made before they came."""

_COLUMNS = "id, kind, product, at, request, position, shopper, session"

T = TypeVar("T")
_Work = Callable[[sqlite3.Connection], Any]


class UnreadableEvents(Exception):  # noqa: N818 - read by operators as a sentence
    """The file is no store of events that this version reads; the message says why."""


@asynccontextmanager
async def open_sqlite_events(path: Path) -> AsyncIterator["SqliteEvents"]:
    """Open the store in a file, which is made where there is none, for its owner's eyes alone.

    Raises:
        UnreadableEvents: it cannot be opened, or another version made it.
    """
    try:
        store = await asyncio.to_thread(SqliteEvents, path)
    except (sqlite3.Error, OSError) as error:
        raise UnreadableEvents(f"{path}: {error}") from error
    try:
        yield store
    finally:
        await asyncio.to_thread(store.close)


@dataclass(frozen=True, slots=True)
class _Job:
    work: _Work
    events: int = 0
    result: "Future[Any]" = field(default_factory=Future)


class SqliteEvents:
    """Implements gateway.ports.EventStore."""

    def __init__(self, path: Path) -> None:
        self._writer = _Thread(_connect(path, make=True), "events-writer", group=True)
        self._reader = _Thread(_connect(path, make=False), "events-reader", group=False)
        # Apart, since it reads thousands: a search waits for what its shopper did for milliseconds.
        self._scanner = _Thread(_connect(path, make=False), "events-scanner", group=False)

    def close(self) -> None:
        """End the threads, once they have done what waits."""
        self._scanner.close()
        self._reader.close()
        self._writer.close()

    async def keys(self, period: int, *, oldest: int, timeout_s: float) -> Mapping[int, bytes]:
        """As the port says."""

        def work(database: sqlite3.Connection) -> dict[int, bytes]:
            database.execute("DELETE FROM keys WHERE period < ?", (oldest,))
            database.execute(
                "INSERT OR IGNORE INTO keys VALUES (?, ?)", (period, secrets.token_bytes(_KEY_BYTES))
            )
            return dict(database.execute("SELECT period, key FROM keys"))

        return await self._writer.do(work, timeout_s=timeout_s)

    async def append(self, events: Sequence[Event], *, timeout_s: float) -> list[Outcome]:
        """As the port says."""
        return await self._writer.do(
            lambda database: [_append(database, event) for event in events],
            events=len(events),
            timeout_s=timeout_s,
        )

    async def of_shoppers(self, shoppers: Sequence[str], *, limit: int, timeout_s: float) -> list[Event]:
        """As the port says."""
        query = (
            f"SELECT {_COLUMNS} FROM events WHERE shopper != '' AND shopper IN ({_places(shoppers)})"  # noqa: S608 - names and question marks of our own
            " ORDER BY at DESC, id LIMIT ?"
        )

        def work(database: sqlite3.Connection) -> list[Event]:
            return [_event(row) for row in database.execute(query, (*shoppers, limit))]

        return await self._reader.do(work, timeout_s=timeout_s)

    async def acts(self, *, since_ms: int, limit: int, timeout_s: float) -> list[Event]:
        """As the port says."""
        query = f"SELECT {_COLUMNS} FROM events WHERE kind != 1 AND at >= ? ORDER BY at DESC, id LIMIT ?"  # noqa: S608

        def work(database: sqlite3.Connection) -> list[Event]:
            return [_event(row) for row in database.execute(query, (since_ms, limit))]

        return await self._scanner.do(work, timeout_s=timeout_s)

    async def erase(self, shoppers: Sequence[str], *, before_ms: int, timeout_s: float) -> int:
        """As the port says."""

        def work(database: sqlite3.Connection) -> int:
            places = _places(shoppers)
            marks = [(_digest(shopper), before_ms) for shopper in shoppers]
            database.executemany("INSERT OR REPLACE INTO erased VALUES (?, ?)", marks)
            database.execute(f"DELETE FROM counts WHERE who IN ({places})", shoppers)  # noqa: S608
            theirs = f"SELECT request FROM events WHERE shopper != '' AND shopper IN ({places})"  # noqa: S608
            database.execute(f"DELETE FROM answers WHERE request IN ({theirs})", shoppers)  # noqa: S608
            return database.execute(
                f"DELETE FROM events WHERE shopper != '' AND shopper IN ({places})",  # noqa: S608
                shoppers,
            ).rowcount

        return await self._writer.do(work, timeout_s=timeout_s)

    async def expire(self, *, before_ms: int, timeout_s: float) -> int:
        """As the port says."""

        def work(database: sqlite3.Connection) -> int:
            database.execute("DELETE FROM counts WHERE day < ?", (before_ms // 86_400_000,))
            database.execute("DELETE FROM erased WHERE before < ?", (before_ms,))
            database.execute("DELETE FROM answers WHERE at < ?", (before_ms,))
            database.execute("DELETE FROM spent WHERE day < ?", (before_ms // 86_400_000,))
            return database.execute("DELETE FROM events WHERE at < ?", (before_ms,)).rowcount

        return await self._writer.do(work, timeout_s=timeout_s)

    async def log_answers(
        self, answers: Sequence[Answer | PackedAnswer], *, most: int, timeout_s: float
    ) -> None:
        """As the port says."""
        rows = [(each.request_id, each.at_ms, each.packed()) for each in answers]

        def work(database: sqlite3.Connection) -> None:
            database.executemany("INSERT OR IGNORE INTO answers VALUES (?, ?, ?)", rows)
            # Rows are numbered as they come, so that the newest numbers tell how many are kept at most.
            database.execute(
                "DELETE FROM answers WHERE rowid <= (SELECT max(rowid) FROM answers) - ?", (most,)
            )

        await self._writer.do(work, timeout_s=timeout_s)

    async def read_answers(
        self, after: str, *, since_ms: int = 0, limit: int, timeout_s: float
    ) -> tuple[list[Answer], str]:
        """As the port says."""
        query = (
            "SELECT rowid, request, at, body FROM answers WHERE rowid > ? AND at >= ? ORDER BY rowid LIMIT ?"
        )

        def work(database: sqlite3.Connection) -> tuple[list[Answer], str]:
            rows = database.execute(query, (int(after or 0), since_ms, limit)).fetchall()
            return [Answer.unpacked(*row[1:]) for row in rows], str(rows[-1][0]) if rows else after

        return await self._scanner.do(work, timeout_s=timeout_s)

    async def read_events(
        self, after: str, *, since_ms: int = 0, limit: int, timeout_s: float
    ) -> tuple[list[Event], str]:
        """As the port says."""
        query = f"SELECT rowid, {_COLUMNS} FROM events WHERE rowid > ? AND at >= ? ORDER BY rowid LIMIT ?"  # noqa: S608

        def work(database: sqlite3.Connection) -> tuple[list[Event], str]:
            rows = database.execute(query, (int(after or 0), since_ms, limit)).fetchall()
            return [_event(row[1:]) for row in rows], str(rows[-1][0]) if rows else after

        return await self._scanner.do(work, timeout_s=timeout_s)

    async def spend(self, days: Sequence[int], amount: int, *, most: int, timeout_s: float) -> int | None:
        """As the port says."""

        def work(database: sqlite3.Connection) -> int | None:
            places = _places(days)
            spent = dict(database.execute(f"SELECT day, amount FROM spent WHERE day IN ({places})", [*days]))  # noqa: S608
            for day in days:
                if spent.get(day, 0) + amount > most:
                    return day
            database.executemany(
                "INSERT INTO spent VALUES (?, ?) ON CONFLICT DO UPDATE SET amount = amount + excluded.amount",
                [(day, amount) for day in days],
            )
            return None

        return await self._writer.do(work, timeout_s=timeout_s)


class _Thread:
    """Does work on one connection, in turn; as a group, with one commit for all that waits."""

    def __init__(self, database: sqlite3.Connection, name: str, *, group: bool) -> None:
        self._database = database
        self._group = group
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._waiting: Counter[str] = Counter()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    async def do(self, work: Callable[[sqlite3.Connection], T], *, events: int = 0, timeout_s: float) -> T:
        """Return what the work returns, once it is durable."""
        if self._waiting["events"] + events > MAX_WAITING or self._waiting["jobs"] >= MAX_GROUP:
            raise Overloaded("too many events wait to be written", retry_after_s=_RETRY_S)
        job = _Job(work, events)
        self._waiting.update(events=events, jobs=1)
        self._jobs.put(job)
        done: asyncio.Future[T] = asyncio.wrap_future(job.result)
        loop = asyncio.get_running_loop()
        job.result.add_done_callback(
            lambda _: loop.call_soon_threadsafe(self._left, job) if loop.is_running() else None
        )
        try:
            async with asyncio.timeout(timeout_s):
                return await done
        except TimeoutError:
            raise DeadlineExceeded("the store of events did not answer in time") from None
        except sqlite3.Error:
            raise EventStoreError from None

    def close(self) -> None:
        self._jobs.put(None)
        self._thread.join()
        self._database.close()

    def _left(self, job: _Job) -> None:
        self._waiting.subtract({"events": job.events, "jobs": 1})

    def _run(self) -> None:
        while (first := self._jobs.get()) is not None:
            jobs = [first]
            ends = False
            while self._group and len(jobs) < MAX_GROUP and not self._jobs.empty():
                if (job := self._jobs.get()) is None:
                    ends = True
                    break
                jobs.append(job)
            self._do([job for job in jobs if job.result.set_running_or_notify_cancel()])
            if ends:
                return

    def _do(self, jobs: Sequence[_Job]) -> None:
        try:
            if self._group:
                self._database.execute("BEGIN IMMEDIATE")
            results = [job.work(self._database) for job in jobs]
            if self._group:
                self._database.execute("COMMIT")
        except sqlite3.Error as error:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            for job in jobs:
                job.result.set_exception(error)
            return
        for job, result in zip(jobs, results, strict=True):
            job.result.set_result(result)


def _connect(path: Path, *, make: bool) -> sqlite3.Connection:
    if make:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    database = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
    if not make:
        database.execute("PRAGMA query_only = ON")
        return database
    database.execute("PRAGMA journal_mode = WAL")
    # Every commit waits for the disk: without it a power cut takes the last ones.
    database.execute("PRAGMA synchronous = FULL")
    # What is erased is overwritten, and not only forgotten.
    database.execute("PRAGMA secure_delete = ON")
    database.execute("BEGIN IMMEDIATE")
    (layout,) = database.execute("PRAGMA user_version").fetchone()
    if layout == 0:
        for statement in _TABLES.split(";"):
            database.execute(statement)
        database.execute(f"PRAGMA user_version = {LAYOUT}")
    if layout in {0, LAYOUT}:
        for statement in (*_ADDED, _ACTS):
            database.execute(statement)
    database.execute("COMMIT")
    if layout not in {0, LAYOUT}:
        database.close()
        raise UnreadableEvents(
            f"{path}: another version made it, with layout {layout}; this one has {LAYOUT}"
        )
    return database


def _append(database: sqlite3.Connection, event: Event) -> Outcome:
    if event.shopper:
        query = "SELECT 1 FROM erased WHERE digest = ? AND before >= ?"
        if database.execute(query, (_digest(event.shopper), event.at_ms)).fetchone():
            return Outcome.ERASED
    if database.execute("SELECT 1 FROM events WHERE id = ?", (event.id,)).fetchone():
        return Outcome.DUPLICATE
    same = (event.who, event.day, event.product_id, event.kind.value)
    every = (event.who, event.day, _ANY, _ALL_KINDS)
    if _count(database, same) >= DAILY_SAME or _count(database, every) >= DAILY_ALL:
        return Outcome.CAPPED
    for key in (same, every):
        database.execute(
            "INSERT INTO counts VALUES (?, ?, ?, ?, 1) ON CONFLICT DO UPDATE SET events = events + 1", key
        )
    database.execute(
        f"INSERT INTO events ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - names of our own
        (
            event.id, event.kind.value, event.product_id, event.at_ms, event.request_id,
            event.position, event.shopper, event.session,
        ),
    )  # fmt: skip
    return Outcome.RECORDED


def _count(database: sqlite3.Connection, key: tuple[str, int, str, int]) -> int:
    query = "SELECT events FROM counts WHERE who = ? AND day = ? AND product = ? AND kind = ?"
    row = database.execute(query, key).fetchone()
    return row[0] if row is not None else 0


def _event(row: tuple[Any, ...]) -> Event:
    identity, kind, product, at_ms, request, position, shopper, session = row
    return Event(
        id=identity,
        kind=EventKind(kind),
        product_id=product,
        at_ms=at_ms,
        request_id=request,
        position=position,
        shopper=shopper,
        session=session,
    )


def _places(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))


def _digest(shopper: str) -> str:
    """Return what is kept of an erased shopper: not even the pseudonym."""
    return hashlib.sha256(shopper.encode()).hexdigest()
