"""What a result was measured on; without it a figure means nothing."""

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from vitrine.v1.catalogue_pb2 import DescribeResponse

_PACKAGES = (
    "grpcio", "protobuf", "uvloop", "numpy", "onnxruntime", "nvidia-pytriton", "tritonclient", "pymilvus",
    "milvus-lite", "pillow", "av", "ctranslate2", "faster-whisper",
)  # fmt: skip
_GIT_TIMEOUT_S = 10


def describe_environment(service: DescribeResponse) -> dict[str, Any]:
    """Return the machine, its load just now, the versions of everything that took part, and what the index holds."""
    return describe_machine() | {
        "service": {
            "model": service.versions.model,
            "index": service.versions.index,
            "products": service.products,
            "embedding_dim": service.embedding_dim,
        }
    }


def describe_machine() -> dict[str, Any]:
    """Return the machine, its load just now, and the versions of everything that took part."""
    return {
        "commit": _git("rev-parse", "--short=12", "HEAD"),
        "uncommitted_changes": bool(_git("status", "--porcelain", "--untracked-files=no")),
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "load_average_1_min": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": _package_versions(),
    }


def _package_versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _cpu_model() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if sys.platform == "linux" else []
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")),
        platform.machine(),
    )


def _git(*arguments: str) -> str:
    """Return git's answer; empty where this is no checkout."""
    try:
        answer = subprocess.run(
            ["git", *arguments], capture_output=True, text=True, timeout=_GIT_TIMEOUT_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return answer.stdout.strip()
