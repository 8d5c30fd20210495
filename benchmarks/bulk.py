"""Bulk indexing measured while it is killed: a worker in the middle, then the whole run, which is run again to its end.

Afterwards the index must hold each drawn product once and nothing else. CPU is counted by process over both runs, of the
processes in this network namespace: beside a server of its own, nothing else is in it.
"""

import random
import re
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from pymilvus import MilvusClient

from benchmarks.environment import describe_machine
from catalogue.grammar import caption, sample_spec

BAD_SHARE = 0.005
"""Of the rows: without an id, or without words."""
_KINDS = ("dress", "top", "jacket", "skirt", "bag", "shoes")
_PAGE = 1_000
_POLL_S = 0.5
_TIMEOUT_S = 3_600.0
_ORPHANS_S = 10.0
_RESULT = re.compile(r"index (\S+): ([\d,]+) products of ([\d,]+) rows")
_ROLES = {
    "ray::MapWorker": "workers",
    "ray::": "reader and other Ray tasks",
    "-m bulk": "driver",
    "raylet": "Ray itself",
    "gcs_server": "Ray itself",
    "ray": "Ray itself",
    "milvus": "Milvus",
}


class BulkBenchError(Exception):
    """The run did not do what it must; the message says what."""


def measure_bulk(
    folder: Path, *, rows: int, repository: Path, milvus: str, by_files: bool, say: Callable[[str], None]
) -> dict[str, Any]:
    """Draw the rows, index them under two kills, and return what it took and what was found.

    `by_files` has Milvus take files in, from a folder of this one.
    """
    catalogue = folder / "products.parquet"
    expected = draw(catalogue, rows)
    command = [
        sys.executable, "-m", "bulk", "index", str(catalogue), "--repository", str(repository),
        "--milvus", milvus, "--work", str(folder / "work"), "--yes",
        *(("--insert-from", str(folder.resolve() / "files")) if by_files else ()),
    ]  # fmt: skip
    cpu, idle_mb = _Cpu(), _milvus_mb()
    say(f"{len(expected):,} good rows of {rows:,}; the first run, a worker killed at a quarter")
    with _running(command, folder / "first.log") as first:
        began = time.monotonic()
        _until(folder, rows // 4, first, cpu)
        worker = _kill_worker(first)
        _until(folder, rows // 2, first, cpu)
        first_s = time.monotonic() - began
        kept, orphans = _parts(folder), _workers(first)
        first.send_signal(signal.SIGKILL)
    _, alive = psutil.wait_procs(orphans, timeout=_ORPHANS_S)
    say(
        f"killed after {first_s:.0f} s with {kept} parts; {len(alive)} workers outlived it by {_ORPHANS_S:g} s; again"
    )
    began = time.monotonic()
    with _running(command, folder / "second.log") as second:
        while second.poll() is None and time.monotonic() - began < _TIMEOUT_S:
            cpu.sample()
            time.sleep(_POLL_S)
    second_s = time.monotonic() - began
    told = (folder / "second.log").read_text(encoding="utf-8")
    if (match := _RESULT.search(told)) is None:
        raise BulkBenchError(f"the second run failed: {told[-2_000:]}")
    found = _ids(milvus, match[1])
    return {
        "environment": describe_machine(),
        "params": {
            "benchmark": "bulk", "rows": rows, "workers": 2, "bad_share": BAD_SHARE, "milvus": milvus.partition(":")[0],
            "by": "files" if by_files else "upserts",
        },
        "results": {
            "good_rows": len(expected),
            "products": len(found),
            "missing": len(expected - set(found)),
            "foreign": len(set(found) - expected),
            "twice": len(found) - len(set(found)),
            "worker_killed": worker,
            "first_run_s": round(first_s, 1),
            "parts_kept": kept,
            "orphans": len(alive),
            "second_run_s": round(second_s, 1),
            "milvus_idle_mb": idle_mb,
            "milvus_mb": _milvus_mb(),
            "cpu_s": {role: round(seconds, 1) for role, seconds in sorted(cpu.by_role().items())},
        },
    }  # fmt: skip


def draw(path: Path, rows: int) -> set[str]:
    """Write that many rows as Parquet, some of them bad; return the ids of the others."""
    rng = random.Random(rows)  # noqa: S311 - drawn rows
    drawn, good = [], set()
    for number in range(rows):
        spec = sample_spec(rng, rng.choice(_KINDS))
        title, product_id = caption(spec), f"{spec.category}-{number:07}"
        if rng.random() < BAD_SHARE:
            title, product_id = rng.choice([("", product_id), (title, "")])
        else:
            good.add(product_id)
        drawn.append(
            {"id": product_id, "title": title, "category": spec.category, "colour": spec.attributes["colour"],
             "price": round(rng.uniform(5, 400), 2)}
        )  # fmt: skip
    pq.write_table(pa.Table.from_pylist(drawn), path, row_group_size=20_000)
    return good


class _Cpu:
    """Seconds of CPU by what a process is, as of the last sample of each."""

    def __init__(self) -> None:
        self._seconds: dict[tuple[int, float], tuple[str, float]] = {}
        self._namespace = _namespace("self")

    def sample(self) -> None:
        for process in psutil.process_iter(["pid", "create_time", "cmdline", "cpu_times"]):
            told = process.info
            command = " ".join(told["cmdline"] or ())
            role = next((role for mark, role in _ROLES.items() if mark in command), "")
            if role and told["cpu_times"] is not None and _namespace(told["pid"]) == self._namespace:
                spent = told["cpu_times"].user + told["cpu_times"].system
                self._seconds[told["pid"], told["create_time"]] = role, spent

    def by_role(self) -> dict[str, float]:
        sums: dict[str, float] = defaultdict(float)
        for role, spent in self._seconds.values():
            sums[role] += spent
        return sums


@contextmanager
def _running(command: list[str], log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def _namespace(pid: int | str) -> str:
    """Return the network namespace of a process; empty where it has ended."""
    try:
        return str(Path(f"/proc/{pid}/ns/net").readlink())
    except OSError:
        return ""


def _milvus_mb() -> float:
    """Return the memory of the Milvus in this network namespace."""
    own = _namespace("self")
    found: list[int] = [
        process.info["memory_info"].rss
        for process in psutil.process_iter(["pid", "exe", "memory_info"])
        if Path(process.info["exe"] or "").name == "milvus" and _namespace(process.info["pid"]) == own
    ]
    return round(sum(found) / 1e6, 1)


def _until(folder: Path, rows: int, process: "subprocess.Popen[bytes]", cpu: _Cpu) -> None:
    deadline = time.monotonic() + _TIMEOUT_S
    while _parts(folder) * 256 < rows:
        if process.poll() is not None or time.monotonic() > deadline:
            raise BulkBenchError(f"the run ended before {rows:,} rows: see {folder}")
        cpu.sample()
        time.sleep(_POLL_S)


def _parts(folder: Path) -> int:
    return sum(1 for _ in (folder / "work").glob("*/part-*.parquet"))


def _workers(process: "subprocess.Popen[bytes]") -> list[psutil.Process]:
    """Return the workers of a run that embed."""
    below = psutil.Process(process.pid).children(recursive=True)
    return [each for each in below if "ray::MapWorker" in " ".join(each.cmdline())]


def _kill_worker(process: "subprocess.Popen[bytes]") -> int:
    """Kill one of the workers; return its process id."""
    workers = _workers(process)
    if not workers:
        raise BulkBenchError("no worker to be killed")
    workers[0].kill()
    return int(workers[0].pid)


def _ids(uri: str, collection: str) -> list[str]:
    """Return the id of every product's main row."""
    client = MilvusClient(uri=uri)
    ids: list[str] = []
    last = ""
    while True:
        page = client.query(
            collection, filter=f'part == 0 and id > "{last}"', output_fields=["id"], limit=_PAGE,
            iterator="True", consistency_level="Strong",
        )  # fmt: skip
        if not page:
            client.close()
            return ids
        ids += [unquote(row["id"]) for row in page]
        last = page[-1]["id"]
