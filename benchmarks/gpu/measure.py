"""Measures families of graphs on one device, and holds them against what the device can do at most."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.gpu.device import Provider, memory_mib
from benchmarks.gpu.errors import GpuBenchError
from benchmarks.gpu.peaks import Peaks
from benchmarks.gpu.timing import Setting, nodes_by_provider, open_session, time_batch
from benchmarks.gpu.work import Feeds, Work, count_work

FEEDS_FILE = "feeds.npz"
"""Inputs by `encoder.input`, beside the folders of the precisions (`python -m export benchmark-graphs`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is measured, and for how long."""

    providers: tuple[Provider, ...]
    batches: tuple[int, ...]
    seconds: float
    """Of a repeat of one batch, with the data on the device, and as long again with copies."""
    repeats: int
    threads: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """A graph with inputs for it."""

    family: str
    encoder: str
    precision: str
    path: Path
    feeds: Feeds


def find_graphs(folder: Path) -> list[Graph]:
    """Return the graphs of every family in a folder.

    Raises:
        GpuBenchError: there is none, or a graph has no inputs.
    """
    found = [graph for feeds in sorted(folder.glob(f"*/{FEEDS_FILE}")) for graph in _of_family(feeds.parent)]
    if not found:
        raise GpuBenchError(
            f"{folder}: no graphs; `python -m export benchmark-graphs --out {folder}` writes them"
        )
    return found


def measure_graphs(
    graphs: Sequence[Graph], plan: Plan, peaks: Peaks, *, cache: Path, say: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Measure every graph on every provider; give the rows of the result file.

    Args:
        graphs: what runs.
        plan: how.
        peaks: of the device.
        cache: a folder for what TensorRT builds.
        say: is told each row.

    Raises:
        GpuBenchError: a graph does not run on the device.
    """
    rows = []
    for graph in graphs:
        work = count_work(graph.path, graph.feeds, plan.batches)
        for provider in plan.providers:
            setting = Setting(provider=provider, precision=graph.precision, threads=plan.threads, cache=cache)
            row = _measured(graph, setting, plan, peaks, work)
            rows.append(row)
            say(_line(row))
    return rows


def bound_of(work: Work, precision: str, peaks: Peaks, *, tensor_cores: bool) -> dict[str, Any] | None:
    """Return the least seconds that the work can take, and what bounds it; None where a peak is not known."""
    flops, moved = peaks.flops(precision, tensor_cores=tensor_cores), peaks.bytes_s()
    if flops is None or moved is None:
        return None
    computing, moving = work.flops / flops, work.bytes / moved
    return {"seconds": max(computing, moving), "by": "compute" if computing >= moving else "memory"}


def _of_family(folder: Path) -> Iterator[Graph]:
    with np.load(folder / FEEDS_FILE) as feeds:
        inputs = {name: feeds[name] for name in feeds.files}
    for path in sorted(folder.glob("*/*.onnx")):
        own = {
            name.partition(".")[2]: rows for name, rows in inputs.items() if name.startswith(f"{path.stem}.")
        }
        if not own:
            raise GpuBenchError(f"{folder / FEEDS_FILE}: holds no inputs of {path.stem}")
        yield Graph(family=folder.name, encoder=path.stem, precision=path.parent.name, path=path, feeds=own)


def _measured(
    graph: Graph, setting: Setting, plan: Plan, peaks: Peaks, work: dict[int, Work]
) -> dict[str, Any]:
    before = memory_mib(setting.provider)
    nodes = nodes_by_provider(graph.path, setting, _batch(graph.feeds, 1))
    session = open_session(graph.path, setting)
    batches = []
    for batch in plan.batches:
        timed = time_batch(
            session, _batch(graph.feeds, batch), setting, seconds=plan.seconds, repeats=plan.repeats
        )
        bound = bound_of(work[batch], graph.precision, peaks, tensor_cores=setting.provider != "cpu")
        batches.append(
            {
                "batch": batch,
                "flops": work[batch].flops,
                "bytes": work[batch].bytes,
                "roofline": bound and _roofline(bound, batch, timed),
                **timed,
            }
        )
    return {
        "family": graph.family,
        "encoder": graph.encoder,
        "precision": graph.precision,
        "provider": setting.provider,
        "graph_bytes": graph.path.stat().st_size,
        "nodes": nodes,
        "memory_mib": memory_mib(setting.provider) - before,
        "batches": batches,
    }


def _roofline(bound: dict[str, Any], batch: int, timed: dict[str, Any]) -> dict[str, Any]:
    """Return the rows a second that the bound allows, and the share of them that the device gave without copies."""
    allowed = batch / bound["seconds"]
    shares = [rows / allowed for rows in timed["device"]["rows_per_s"]]
    return {
        "rows_per_s": float(f"{allowed:.5g}"),
        "by": bound["by"],
        "share": [float(f"{each:.4g}") for each in shares],
    }


def _batch(feeds: Feeds, rows: int) -> Feeds:
    """Return so many rows, those of the feeds again and again."""
    return {
        name: np.ascontiguousarray(np.resize(each, (rows, *each.shape[1:]))) for name, each in feeds.items()
    }


def _line(row: dict[str, Any]) -> str:
    rates = ", ".join(
        f"{batch['batch']}: {batch['device']['rows_per_s'][0]:.0f}/s" for batch in row["batches"]
    )
    return f"{row['family']} {row['encoder']} {row['precision']} on {row['provider']}: {rates}"
