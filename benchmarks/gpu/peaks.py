"""What a device can do at most, as it is published (peaks.toml) or told."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.gpu.errors import GpuBenchError

FILE = Path(__file__).with_name("peaks.toml")
_TERA, _GIGA = 1e12, 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Peaks:
    """The most that a device computes and moves."""

    tflops: Mapping[str, float] = field(default_factory=dict)
    """By arithmetic: fp32, tf32, fp16."""
    gb_s: float | None = None
    source: str = ""

    def flops(self, precision: str, *, tensor_cores: bool) -> float | None:
        """Return the floating-point operations a second of graphs in a precision; fp32 on tensor cores is computed in TF32."""
        arithmetic = "tf32" if tensor_cores and precision == "fp32" and "tf32" in self.tflops else precision
        known = self.tflops.get(arithmetic)
        return None if known is None else known * _TERA

    def bytes_s(self) -> float | None:
        """Return the bytes that memory gives a second."""
        return None if self.gb_s is None else self.gb_s * _GIGA


def read_peaks(gpu: str, *, told: Mapping[str, float], bandwidth: float | None) -> Peaks:
    """Return the peaks of a GPU by its name in nvidia-smi; what was told goes before what is published.

    Raises:
        GpuBenchError: the file holds something else.
    """
    published = _published(gpu)
    sources = [published["source"]] if published else []
    if told or bandwidth is not None:
        sources.append("told on the command line")
    return Peaks(
        tflops={**published.get("tflops", {}), **told},
        gb_s=published.get("gb_s") if bandwidth is None else bandwidth,
        source="; ".join(sources),
    )


def _published(gpu: str) -> dict[str, Any]:
    try:
        known = tomllib.loads(FILE.read_text(encoding="utf-8"))["gpu"]
    except (OSError, ValueError, KeyError) as error:
        raise GpuBenchError(f"{FILE}: {error}") from error
    return next((dict(each) for each in known if each["name"] == gpu), {})
