"""A Triton that a test starts without the stack around it."""

import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from tritonclient.grpc import InferenceServerClient
from tritonclient.utils import InferenceServerException

from stack.processes import unlink_shared_memory

START_S = 240.0
"""It takes ten seconds of CPU, which a busy machine gives it late."""


def start_triton(
    command: Sequence[str], environment: Mapping[str, str], *, address: str, log: Path, prefix: str
) -> "subprocess.Popen[bytes]":
    """Start a Triton in a session of its own and return it once it is ready at the address.

    One that a signal ends meanwhile is started once more, as the stack does it (stack/runner.py): now and then it aborts
    while its Python backend opens shared memory for several models at once.
    """
    for last in (False, True):
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )
        if _is_ready(address, process):
            return process
        ended = process.poll()
        process.kill()
        process.wait()
        unlink_shared_memory(prefix)
        if last or ended is None or ended >= 0:
            break
    how = f"not ready within {START_S} s" if ended is None else f"ended with {ended}"
    pytest.fail(f"{how}: {log.read_text(encoding='utf-8', errors='replace')[-4_000:]}")


def _is_ready(address: str, process: "subprocess.Popen[bytes]") -> bool:
    """Wait until it is ready; False where it ends, or does not become so in time."""
    give_up = time.monotonic() + START_S
    with InferenceServerClient(address) as client:
        while process.poll() is None and time.monotonic() < give_up:
            try:
                if client.is_server_ready(client_timeout=5):
                    return True
            except InferenceServerException:
                pass
            time.sleep(0.1)
    return False
