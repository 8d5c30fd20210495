"""`python -m bulk` on a local Ray, a real Milvus Lite and real encoders, under kills."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gateway.adapters.milvus.index import open_milvus
from vitrine.client import DEFAULT_TIMEOUT_S

pytest.importorskip("ray", reason="no Ray: make setup-bulk")

ROWS = 3_000
WAIT_S = 240.0


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose path is short enough for sockets."""
    made = Path(tempfile.mkdtemp(prefix="vitrine-"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def milvus(folder: Path) -> Iterator[str]:
    socket = folder / "s"
    process = subprocess.Popen(
        [sys.executable, "-m", "stack.milvus_process", str(folder / "x.db"), f"unix:{socket}"]
    )
    deadline = time.monotonic() + WAIT_S
    while not socket.exists():
        assert process.poll() is None and time.monotonic() < deadline, "Milvus Lite did not start"  # noqa: PT018 - one wait
        time.sleep(0.05)
    yield f"unix:{socket}"
    process.kill()
    process.wait()


def start(folder: Path, milvus: str, repository: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "bulk", "index", str(folder / "shop.parquet")]
    options = ["--repository", str(repository), "--milvus", milvus, "--work", str(folder / "work")]
    # The second run waits for the end of what the killed one held.
    options += ["--lease", "30"]
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            [*command, *options],
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "RAY_TMPDIR": str(folder / "r")},
        )


def wait_for_parts(folder: Path, count: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + WAIT_S
    while len(list(folder.glob("work/*/part-*.parquet"))) < count:
        assert process.poll() is None, (folder / "log").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.02)


async def check_index(milvus: str) -> None:
    """Hold what readers find against the rows."""
    async with open_milvus(milvus) as index:
        described = await index.describe(timeout_s=DEFAULT_TIMEOUT_S)
        assert described.products == ROWS - 2
        (found,) = await index.get([f"p{ROWS - 2}"], timeout_s=DEFAULT_TIMEOUT_S)
        assert found.product.values["price"] == float(ROWS - 1)


@pytest.mark.timeout(900)
def test_a_killed_worker_and_a_killed_run_lose_and_repeat_nothing(
    folder: Path, milvus: str, model_repository: Path
) -> None:
    """The run goes on after a worker's death; run again after its own, it ends with every product once."""
    rows = [{"id": f"p{i}", "title": f"a red dress number {i}", "price": 1.0 + i} for i in range(ROWS)]
    rows[7]["id"] = ""
    rows[ROWS - 1]["id"] = "p8"
    pq.write_table(pa.Table.from_pylist(rows), folder / "shop.parquet")

    first = start(folder, milvus, model_repository)
    wait_for_parts(folder, 2, first)
    workers = [
        each for each in psutil.Process(first.pid).children(recursive=True) if "MapWorker" in each.name()
    ]
    workers[0].kill()
    wait_for_parts(folder, 5, first)
    first.send_signal(signal.SIGKILL)
    first.wait()

    second = start(folder, milvus, model_repository)
    assert second.wait(timeout=WAIT_S) == 0, (folder / "log").read_text()
    assert f"{ROWS - 2:,} products of {ROWS:,} rows" in (folder / "log").read_text()
    (listed,) = folder.glob("work/*/bad-rows.jsonl")
    assert [json.loads(line)["reason"] for line in listed.read_text().splitlines()] == [
        "must not be empty",
        "'p8' was there before",
    ]
    assert not list(folder.glob("work/*/part-*"))
    asyncio.run(check_index(milvus))
