"""What a figure was measured on."""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

import torch


def describe_environment() -> dict[str, str | int]:
    """Give processor, cores, GPU, versions and commit."""
    return {
        "commit": _commit(),
        "processor": _processor(),
        "cores": os.cpu_count() or 1,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "",
        "python": platform.python_version(),
        "torch": version("torch"),
        "numpy": version("numpy"),
        "pillow": version("pillow"),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = (line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


def _commit() -> str:
    """Give the commit of the source tree, with a mark where it has changes; empty outside a repository."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
