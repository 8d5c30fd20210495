"""The engines that an index runs on."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from gateway.adapters.milvus.index import MilvusIndex, open_milvus
from gateway.adapters.redis_events import open_redis_events
from gateway.adapters.sqlite_events import open_sqlite_events
from gateway.ports import EventStore
from gateway.testing import FakeIndex
from gateway.testing.events import RETENTION_DAYS, WAIT_S, remove_events
from vitrine.domain.schema import Schema
from vitrine.domain.schema_files import parse_schema

_BASE = """
name = "every kind"
currency = "EUR"
[fields.sku]
kind = "keyword"
role = "id"
[fields.title]
kind = "text"
role = "title"
[fields.brand]
kind = "keyword"
role = "brand"
sort = true
[fields.tags]
kind = "keywords"
[fields.price]
kind = "money"
role = "price"
[fields.stars]
kind = "number"
facet = true
[fields.sale]
kind = "boolean"
[fields.care]
kind = "text"
"""

_LATER = """
[fields.size]
kind = "keyword"
sort = true
[fields.labels]
kind = "keywords"
[fields.weight]
kind = "number"
facet = true
[fields.used]
kind = "boolean"
[fields.remark]
kind = "text"
lexical = false
"""


@pytest.fixture(scope="session")
def base_schema() -> Schema:
    """A schema with fields of every kind."""
    return parse_schema(_BASE)


@pytest.fixture(scope="session")
def later_schema() -> Schema:
    """The same with more fields of every kind, which an index can take on as it stands."""
    return parse_schema(_BASE + _LATER)


@pytest.fixture(
    scope="module", params=["fake", "lite", pytest.param("server", marks=pytest.mark.milvus_server)]
)
def open_index(request: pytest.FixtureRequest) -> Iterator[Callable[[], Any]]:
    """Open an empty index of the engine; `max_pool` may be said."""
    if request.param == "fake":
        yield _open_fake
        return
    if request.param == "lite":
        with _milvus_lite() as uri:
            yield partial(_open_milvus, uri)
        return
    uri = os.environ.get("VITRINE_TEST_MILVUS", "skip: runs by `python tests/contract/milvus_server.py`")
    if uri.startswith("skip: "):
        pytest.skip(uri.removeprefix("skip: "))
    yield partial(_open_milvus, uri)


@asynccontextmanager
async def _open_fake(*, lease_s: float = 0.0, **options: int) -> AsyncIterator[FakeIndex]:
    del lease_s  # its writers are dead when a test says so
    yield FakeIndex(**options)


@asynccontextmanager
async def _open_milvus(uri: str, **options: Any) -> AsyncIterator[MilvusIndex]:
    name = f"t{uuid.uuid4().hex[:12]}"
    async with open_milvus(uri, name=name, write_timeout_s=120.0, **options) as index:
        yield index


@contextmanager
def _milvus_lite() -> Iterator[str]:
    """Run Milvus Lite on a socket in a folder of its own; yield its URI."""
    folder = Path(tempfile.mkdtemp(prefix="vitrine-"))
    socket = folder / "s"
    process = subprocess.Popen(
        [sys.executable, "-m", "stack.milvus_process", str(folder / "x.db"), f"unix:{socket}"]
    )
    try:
        deadline = time.monotonic() + 120
        while not socket.exists():
            assert process.poll() is None and time.monotonic() < deadline, "Milvus Lite did not start"  # noqa: PT018 - one wait
            time.sleep(0.02)
        yield f"unix:{socket}"
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder)


@pytest.fixture(params=["sqlite", "redis"])
async def event_store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[EventStore]:
    """An empty store of each kind."""
    if request.param == "sqlite":
        async with open_sqlite_events(tmp_path / "events.db") as opened:
            yield opened
        return
    url = request.getfixturevalue("redis_process").url
    async with Redis.from_url(url) as client:
        await remove_events(client)
        async with open_redis_events(url, retention_days=RETENTION_DAYS, timeout_s=WAIT_S) as shared:
            yield shared
        await remove_events(client)
