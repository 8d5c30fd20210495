"""The engines that an index runs on."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway.adapters.milvus_index import MilvusIndex, open_milvus
from gateway.testing import FakeIndex


@pytest.fixture(
    scope="module", params=["fake", "lite", pytest.param("server", marks=pytest.mark.milvus_server)]
)
def open_index(request: pytest.FixtureRequest) -> Iterator[Callable[[], Any]]:
    """Open an empty index of the engine."""
    if request.param == "fake":
        yield _open_fake
        return
    if request.param == "lite":
        with _milvus_lite() as uri:
            yield lambda: _open_milvus(uri)
        return
    uri = os.environ.get("VITRINE_TEST_MILVUS", "skip: runs by `python tests/contract/milvus_server.py`")
    if uri.startswith("skip: "):
        pytest.skip(uri.removeprefix("skip: "))
    yield lambda: _open_milvus(uri)


@asynccontextmanager
async def _open_fake() -> AsyncIterator[FakeIndex]:
    yield FakeIndex()


@asynccontextmanager
async def _open_milvus(uri: str) -> AsyncIterator[MilvusIndex]:
    async with open_milvus(uri, name=f"t{uuid.uuid4().hex[:12]}", write_timeout_s=120.0) as index:
        yield index


@contextmanager
def _milvus_lite() -> Iterator[str]:
    """Run Milvus Lite on a socket in a folder of its own; give its URI."""
    folder = Path(tempfile.mkdtemp(prefix="vitrine-"))
    socket = folder / "s"
    process = subprocess.Popen(
        [sys.executable, "-m", "stack.milvus_process", str(folder / "x.db"), f"unix:{socket}"]
    )
    try:
        deadline = time.monotonic() + 20
        while not socket.exists() and time.monotonic() < deadline:
            assert process.poll() is None, "Milvus Lite did not start"
            time.sleep(0.02)
        yield f"unix:{socket}"
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def redis_process() -> Iterator["RedisProcess"]:
    """Run a Redis on a socket in a folder of its own."""
    server = shutil.which("redis-server")
    if server is None:
        assert not os.environ.get("CI"), "CI installs redis-server (requirements/system.sh)"
        pytest.skip("no redis-server on this machine: apt-get install redis-server")
    folder = Path(tempfile.mkdtemp(prefix="vitrine-"))
    options = ("--port", "0", "--unixsocket", str(folder / "s"), "--save", "", "--dir", str(folder))
    process = subprocess.Popen([server, *options], stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while not (folder / "s").exists():
            assert process.poll() is None and time.monotonic() < deadline, "Redis did not start"  # noqa: PT018 - one wait
            time.sleep(0.02)
        yield RedisProcess(url=f"unix://{folder / 's'}", process=process)
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder)


@dataclass(frozen=True, slots=True)
class RedisProcess:
    """A Redis that runs."""

    url: str
    process: "subprocess.Popen[bytes]"

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Let it accept and answer nothing."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)
