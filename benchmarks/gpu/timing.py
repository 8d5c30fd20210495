"""Runs one graph on a device, and how long its executions take."""

import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnxruntime
from onnxruntime.capi.onnxruntime_pybind11_state import (
    EPFail,
    Fail,
    InvalidArgument,
    InvalidGraph,
    InvalidProtobuf,
    NoSuchFile,
    NotImplemented,  # noqa: A004 - so the library calls it
    RuntimeException,
)

from benchmarks.gpu.device import PROVIDERS, Provider
from benchmarks.gpu.errors import GpuBenchError
from benchmarks.gpu.work import Feeds

_WARM_UP = 5
_LEAST_RUNS = 10
"""Of a repeat, however slow."""

_REFUSALS = (
    EPFail,
    Fail,
    InvalidArgument,
    InvalidGraph,
    InvalidProtobuf,
    NoSuchFile,
    NotImplemented,
    RuntimeException,
)
"""What ONNX Runtime raises where it does not run a graph; these errors share no base."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """How graphs are run."""

    provider: Provider
    precision: str
    threads: int = 0
    """Of the CPU provider; 0 leaves the choice to ONNX Runtime."""
    cache: Path | None = None
    """Keeps what TensorRT builds, which takes minutes a graph."""

    def providers(self) -> list[Any]:
        """Return the providers, the wanted one first; a CUDA provider takes what TensorRT leaves."""
        cuda = (PROVIDERS["cuda"], {"use_tf32": "1"})
        if self.provider == "cpu":
            return [PROVIDERS["cpu"]]
        if self.provider == "cuda":
            return [cuda, PROVIDERS["cpu"]]
        options = {"trt_fp16_enable": str(self.precision == "fp16")}
        if self.cache is not None:
            options |= {"trt_engine_cache_enable": "True", "trt_engine_cache_path": str(self.cache)}
        return [(PROVIDERS["tensorrt"], options), cuda, PROVIDERS["cpu"]]


def open_session(graph: Path, setting: Setting, *, profile: Path | None = None) -> Any:
    """Open a graph on its device.

    Raises:
        GpuBenchError: ONNX Runtime refuses it, or fell back to another provider.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = setting.threads
    options.log_severity_level = 3  # errors
    if profile is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile)
    try:
        session = onnxruntime.InferenceSession(graph, options, providers=setting.providers())
    except _REFUSALS as error:
        raise GpuBenchError(f"{graph}: {error}") from error
    got = session.get_providers()
    if PROVIDERS[setting.provider] not in got:
        raise GpuBenchError(
            f"{graph}: ONNX Runtime fell back to {', '.join(got)}: the libraries of {PROVIDERS[setting.provider]} did not load"
        )
    return session


def nodes_by_provider(graph: Path, setting: Setting, feeds: Feeds) -> dict[str, int]:
    """Return how many nodes of the optimised graph each provider ran: what falls back to the CPU costs copies."""
    with tempfile.TemporaryDirectory() as scratch:
        session = open_session(graph, setting, profile=Path(scratch) / "profile")
        session.run(None, dict(feeds))
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    ran = {
        event["name"]: event["args"]["provider"]
        for event in events
        if event.get("cat") == "Node" and event.get("args", {}).get("provider")
    }
    return dict(sorted(Counter(ran.values()).items()))


def time_batch(
    session: Any, feeds: Feeds, setting: Setting, *, seconds: float, repeats: int
) -> dict[str, Any]:
    """Time executions of a batch: with inputs and outputs on the device, and with copies from and to this process.

    Returns:
        for `device` and `host` the rows a second and the p50 and p99 in ms, each as median, least and most of the repeats.
    """
    rows = len(next(iter(feeds.values())))
    runs: dict[str, Callable[[], Any]] = {
        "device": _on_device(session, feeds, setting),
        "host": lambda: session.run(None, dict(feeds)),
    }
    for run in runs.values():
        for _ in range(_WARM_UP):
            run()
    taken: dict[str, list[list[float]]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            taken[name].append(_times(run, seconds))
    return {name: _figures(times, rows) for name, times in taken.items()}


def _on_device(session: Any, feeds: Feeds, setting: Setting) -> Callable[[], None]:
    device = "cpu" if setting.provider == "cpu" else "cuda"
    binding = session.io_binding()
    values = {name: onnxruntime.OrtValue.ortvalue_from_numpy(each, device, 0) for name, each in feeds.items()}
    for name, value in values.items():
        binding.bind_ortvalue_input(name, value)
    for output in session.get_outputs():
        binding.bind_output(output.name, device)

    def run() -> None:
        session.run_with_iobinding(binding)
        binding.synchronize_outputs()

    return run


def _times(run: Callable[[], Any], seconds: float) -> list[float]:
    times: list[float] = []
    begun = time.perf_counter()
    while len(times) < _LEAST_RUNS or time.perf_counter() - begun < seconds:
        before = time.perf_counter()
        run()
        times.append(time.perf_counter() - before)
    return times


def _figures(repeats: list[list[float]], rows: int) -> dict[str, Any]:
    return {
        "rows_per_s": _spread([rows * len(times) / sum(times) for times in repeats]),
        "p50_ms": _spread([1000 * float(np.percentile(times, 50)) for times in repeats]),
        "p99_ms": _spread([1000 * float(np.percentile(times, 99)) for times in repeats]),
        "runs": sum(map(len, repeats)),
    }


def _spread(values: list[float]) -> list[float]:
    return [float(f"{each:.5g}") for each in (median(values), min(values), max(values))]
