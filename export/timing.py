"""How fast an encoder runs: latency, and throughput of one thread."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import numpy as np
import torch
from torch import nn

from export.parity import Feeds, Run, torch_run

BATCHES = (1, 8, 32)
_WARM_UP = 3
_RUNS = 40
_BUDGET_S = 3.0
"""Of one case; at least `_WARM_UP` runs are timed, however slow."""


def time_run(run: Run, feeds: Feeds) -> list[dict[str, float]]:
    """Time a run at BATCHES rows: median and best wall-clock latency, and rows a second of the calling thread's CPU.

    CPU time is what a machine that does other things cannot blur; it is the whole cost where one thread computes.
    """
    return [_time(run, {name: feed[:rows] for name, feed in feeds.items()}, rows) for rows in BATCHES]


def compiled_run(network: nn.Module) -> Run:
    """Run a network as torch.compile makes it, for any batch."""
    return torch_run(cast(nn.Module, torch.compile(network, dynamic=True)))


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute with one thread inside the block."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _time(run: Run, feeds: Feeds, rows: int) -> dict[str, float]:
    for _ in range(_WARM_UP):
        run(feeds)
    walls: list[float] = []
    cpus: list[float] = []
    begun = time.monotonic()
    while len(walls) < _WARM_UP or (len(walls) < _RUNS and time.monotonic() - begun < _BUDGET_S):
        wall, cpu = time.perf_counter(), time.thread_time()
        run(feeds)
        walls.append(time.perf_counter() - wall)
        cpus.append(time.thread_time() - cpu)
    return {
        "batch": rows,
        "runs": len(walls),
        "median_ms": _milliseconds(float(np.median(walls))),
        "best_ms": _milliseconds(min(walls)),
        "rows_per_cpu_s": round(rows / float(np.median(cpus)), 1),
    }


def _milliseconds(seconds: float) -> float:
    return round(1000 * seconds, 3)
