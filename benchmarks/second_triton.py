"""A second Triton beside that of a stack: with its statistics open, or on a changed copy of the models."""

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from tritonclient.grpc import InferenceServerClient
from tritonclient.utils import InferenceServerException

from benchmarks.serving import ServingError

_RESTRICTED = "--grpc-restricted-protocol"
_REPOSITORY = "--model-repository"
_START_S = 180.0
_STOP_S = 20.0


@dataclass(frozen=True, slots=True)
class SecondTriton:
    """A server that runs."""

    address: str
    pid: int
    start_s: float
    """From its start until it was ready."""


@contextmanager
def second_triton(pid: int, repository: Path | None = None) -> Iterator[SecondTriton]:
    """Run a server with the command line of the stack's, on ports of its own; by default on the same models.

    Raises:
        ServingError: it did not start.
    """
    stack = psutil.Process(pid)
    changed = {"--grpc-port": str(_free_port()), "--metrics-port": str(_free_port())}
    if repository is not None:
        changed[_REPOSITORY] = str(repository.absolute())
    command = [each for each in stack.cmdline() if each.partition("=")[0] not in {_RESTRICTED, *changed}]
    prefix = "shm-region-prefix-name="
    command = [each.replace(prefix, f"{prefix}{changed['--grpc-port']}-") for each in command]
    command += [f"{name}={value}" for name, value in changed.items()]
    address = f"127.0.0.1:{changed['--grpc-port']}"
    silent = subprocess.DEVNULL
    begun = time.monotonic()
    with subprocess.Popen(command, env=stack.environ(), stdout=silent, stderr=silent) as server:
        try:
            _wait_until_ready(address, server)
            yield SecondTriton(address, server.pid, round(time.monotonic() - begun, 1))
        finally:
            server.terminate()
            try:
                server.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                server.kill()


def _wait_until_ready(address: str, server: "subprocess.Popen[bytes]") -> None:
    client = InferenceServerClient(address)
    give_up = time.monotonic() + _START_S
    while server.poll() is None and time.monotonic() < give_up:
        try:
            if client.is_server_ready(client_timeout=1):
                return
        except InferenceServerException:
            pass
        time.sleep(0.2)
    raise ServingError("the second Triton did not start")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
