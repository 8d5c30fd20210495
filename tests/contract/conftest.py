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
from pathlib import Path
from typing import Any

import pytest

from gateway.adapters.milvus.index import MilvusIndex, open_milvus
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
