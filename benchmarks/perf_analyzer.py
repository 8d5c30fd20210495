"""NVIDIA's perf_analyzer, as a second opinion on our own generator.

The last wheel that holds the program is tritonclient 2.51.0's; two of the libraries that it asks for are those of nvidia-pytriton.
"""

import csv
import importlib.util
import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

FOLDER = Path("build/perf-analyzer")
"""Where `make bench-stages` installs it."""

_LIBRARIES = ("libb64.so.0d", "libcudart.so.12")
_INTERVAL_MS = 2_000
_TIMEOUT_S = 120


class PerfAnalyzerError(Exception):
    """It is not there or failed; holds its last lines."""


def installed() -> bool:
    """Return whether it is there."""
    return _program().exists()


def run_perf_analyzer(address: str, model: str, texts: Sequence[str], clients: int) -> dict[str, float]:
    """Return answers a second, p50, p95 and p99 in ms of a closed loop on a model that takes a text.

    It reads the server's statistics, which must be open.

    Raises:
        PerfAnalyzerError: it failed.
    """
    libraries = _libraries()
    with TemporaryDirectory() as folder:
        data, out = Path(folder, "data.json"), Path(folder, "out.csv")
        data.write_text(json.dumps({"data": [{"text": [text]} for text in texts]}))
        for name in _LIBRARIES:
            (found,) = libraries.glob(f"{name.partition('.')[0]}-*")
            Path(folder, name).symlink_to(found)
        command = [
            *(str(_program().absolute()), "-m", model, "-i", "grpc", "-u", address),
            *("--concurrency-range", str(clients), "--input-data", str(data), "-f", str(out)),
            *(
                "--measurement-interval",
                str(_INTERVAL_MS),
                "--stability-percentage",
                "50",
                "--percentile",
                "99",
            ),
        ]
        environment = os.environ | {"LD_LIBRARY_PATH": f"{folder}{os.pathsep}{libraries}"}
        ran = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
        if not out.exists():
            raise PerfAnalyzerError((ran.stderr or ran.stdout)[-500:])
        (row,) = csv.DictReader(out.read_text().splitlines())
    percentiles = {f"p{q}_ms": round(float(row[f"p{q} latency"]) / 1000, 2) for q in (50, 95, 99)}
    return {"answers_per_s": float(row["Inferences/Second"])} | percentiles


def _program() -> Path:
    return FOLDER / "perf" / "bin" / "perf_analyzer"


def _libraries() -> Path:
    spec = importlib.util.find_spec("pytriton")
    if spec is None or not spec.submodule_search_locations:
        raise PerfAnalyzerError("nvidia-pytriton is not installed")
    return Path(spec.submodule_search_locations[0]).parent / "nvidia_pytriton.libs"
