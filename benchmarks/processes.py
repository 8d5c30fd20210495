"""CPU time of the service's processes and of this one."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil

GENERATOR = "generator"
BARE_SERVER = "bare server"
"""The process of benchmarks.bare, and the workload that asks it."""

_STATUS_TIMEOUT_S = 30


def service_pids(state: Path) -> dict[str, int]:
    """Return the pid of each process of the stack in that folder, by name; empty where no stack runs there."""
    command = [sys.executable, "-m", "stack", "status", "--state", str(state), "--json"]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=_STATUS_TIMEOUT_S, check=False)
    try:
        services = json.loads(answer.stdout)["services"]
    except (ValueError, KeyError):
        return {}
    return {service["name"]: service["pid"] for service in services if service["pid"]}


def cpu_seconds(pids: dict[str, int]) -> dict[str, float]:
    """Return the user and system seconds that each process and its descendants have used, and this process."""
    used = {name: _tree_seconds(pid) for name, pid in pids.items()}
    own = os.times()
    return used | {GENERATOR: own.user + own.system}


def up_seconds(pids: dict[str, int]) -> dict[str, int]:
    """Return for how long each process has run: what serves for hours may cost more than what has just started."""
    now = time.time()
    return {name: round(now - psutil.Process(pid).create_time()) for name, pid in pids.items()}


def _tree_seconds(pid: int) -> float:
    try:
        process = psutil.Process(pid)
        tree = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0.0
    return sum(_seconds(member) for member in tree)


def _seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system + times.children_user + times.children_system)
