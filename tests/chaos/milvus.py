"""The real Milvus 2.3.5 for this suite, in a network namespace of its own: it listens on nine ports of every interface."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from stack.probes import ProbeError, milvus, within
from tests.chaos.service import MILVUS_SERVER
from tests.contract import milvus_server

START_S = 180.0
LIVENESS_S = 90.0
"""What has not answered by then is killed and started again, as a liveness probe has it: after `kill -9` this release now and
then comes up with a collection that it never counts."""
SETTINGS = {**milvus_server.QUICK, "COMMON_SESSION_TTL": "20"}
"""The last in s: its parts, all of one process, wait so long for those of the process that was killed; 60 by default. One
that is stopped for longer than this ends itself, so it is more than the suite stops anything for."""


class MilvusServer:
    """A server that can be killed and started again on its data."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Return the launcher's pid; the server is its child. 0 where it does not run."""
        return self._process.pid if self._process is not None and self._process.poll() is None else 0

    def start(self) -> None:
        """Start it, and wait until it answers.

        Raises:
            TimeoutError: it does not, however often it is started.
        """
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            self._launch()
            alive_until = time.monotonic() + LIVENESS_S
            while time.monotonic() < alive_until:
                if self.answers():
                    return
                time.sleep(0.2)
            print(f"milvus has not answered within {LIVENESS_S:g} s and is started again", file=sys.stderr)
            self.stop()
        raise TimeoutError("Milvus did not start")

    def _launch(self) -> None:
        program = milvus_server.ENVIRONMENT / "bin" / "milvus-server"
        with (self._folder / "milvus-server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(program), "--data", str(self._folder / "milvus-data")],
                stdout=log,
                stderr=log,
                env={**os.environ, **SETTINGS},
                start_new_session=True,
            )

    def stop(self) -> None:
        """Kill the launcher and its server."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def answers(self) -> bool:
        """Whether it lists its collections and counts the rows of the first: it listens long before it has loaded them."""
        try:
            asyncio.run(within(milvus(MILVUS_SERVER)(self.pid)))
        except ProbeError:
            return False
        return True


def in_namespace(arguments: Sequence[str], variable: str) -> int:
    """Run this suite again in a network namespace; return its exit status. The variable tells it that it is inside."""
    milvus_server._install()
    command = 'ip link set lo up && exec "$@"'
    inside = [sys.executable, "-m", "tests.chaos", *arguments]
    done = subprocess.Popen(
        ["unshare", "--net", "sh", "-c", command, "sh", *inside], env={**os.environ, variable: "1"}
    )
    try:
        return done.wait()
    finally:
        # Where this process is told to end, the one inside ends what it has started.
        done.terminate()
        done.wait(START_S)
