"""A stack of its own for a measurement: other weights than those that are served, and nothing that others index into."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import service_pids

FOLDER = Path("build/bench")
"""Of catalogue, repositories and state."""
PORT_BASE = 7600
PRODUCTS = 500
"""As many as the stack of the integration tests has: what CI compares with was measured on such a one."""

_COMMAND_TIMEOUT_S = 900


class ServingError(Exception):
    """A command that prepares the stack failed; holds its last lines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A stack that runs."""

    address: str
    """Of the gateway; of several, the one that they share."""
    gateways: tuple[str, ...]
    """Of each gateway by itself."""
    catalogue: Path
    triton: str
    repository: Path
    queries: Path
    pids: dict[str, int]


@contextmanager
def serving(weights: Path, *, gateways: int = 1, **settings: str) -> Iterator[Served]:
    """Publish the weights, start a stack on them with those settings of its services, fill its index, and stop it in the end.

    Raises:
        ServingError: one of the commands failed.
    """
    name = weights.name
    catalogue, repository, state = (
        FOLDER / "catalogue",
        FOLDER / f"{name}-repository",
        FOLDER / f"{name}-stack",
    )
    run_module("catalogue", "build", "--products", str(PRODUCTS), "--out", str(catalogue))
    run_module("export", "publish", "--target", "local", "--weights", str(weights), "--out", str(repository))
    shutil.rmtree(state, ignore_errors=True)
    options = ("--port-base", str(PORT_BASE), "--repository", str(repository), "--state", str(state))
    try:
        told = (f"--set={name}={value}" for name, value in settings.items())
        run_module("stack", "up", "--no-page", "--gateways", str(gateways), *options, *told)
        address = f"127.0.0.1:{PORT_BASE}"
        run_module("vitrine", "index", str(catalogue), "--address", address)
        status = json.loads(run_module("stack", "status", "--json", "--state", str(state)))
        addresses = {each["name"]: each["address"] for each in status["services"]}
        yield Served(
            address=address,
            gateways=tuple(at for name, at in addresses.items() if name.startswith("gateway")),
            catalogue=catalogue,
            triton=addresses["triton"],
            repository=repository,
            queries=catalogue / "queries",
            pids=service_pids(state),
        )
    finally:
        run_module("stack", "down", "--state", str(state))


def run_module(module: str, *arguments: str) -> str:
    """Run a room's command line and return what it printed.

    Raises:
        ServingError: it failed.
    """
    command = [sys.executable, "-m", module, *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=_COMMAND_TIMEOUT_S, check=False)
    if ran.returncode:
        raise ServingError(f"{' '.join(command[2:])}: {(ran.stderr or ran.stdout)[-500:]}")
    return ran.stdout
