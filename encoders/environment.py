"""What a figure was measured on."""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

import torch

from vitrine.process.machine import cpu_model


def describe_environment() -> dict[str, str | int]:
    """Return processor, cores, GPU, versions and commit."""
    return {
        "commit": _commit(),
        "processor": cpu_model(),
        "cores": os.cpu_count() or 1,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "",
        "python": platform.python_version(),
        "torch": version("torch"),
        "numpy": version("numpy"),
        "pillow": version("pillow"),
    }


def _commit() -> str:
    """Return the last commit of the code that training depends on, marked where it has changes; or nothing."""
    root = Path(__file__).parents[1]
    rooms = ["encoders/*.py", "catalogue", "vitrine"]
    try:
        commit = _git(root, "log", "-1", "--format=%h", "--", *rooms)
        return commit + ("-dirty" if _git(root, "status", "--porcelain", "-uno", "--", *rooms) else "")
    except (OSError, subprocess.SubprocessError):
        return ""


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
