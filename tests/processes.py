"""Runs commands beside each other that can be ended with all that they have started."""

import os
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[1]
COMMAND_S = 1_800
"""How long a command may take."""
STOP_S = 60
"""How long an interrupted command may take to stop what it has started; then it is killed."""
POLL_S = 0.2
MARK = "VITRINE_TEST_COMMAND"
"""A variable that every process has which a command started, unless it was given an environment of its own."""
_ROUNDS = 10
"""How often a kill looks for what was started while it killed."""


class Processes:
    """Commands that run, each in a session of its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: list[_Command] = []
        self._stopped = False

    def run(self, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> tuple[int, float]:
        """Run a command to its end or its deadline; return the exit status and the seconds of the processors."""
        mark = uuid.uuid4().hex
        with self._lock, log.open("ab") as output:
            if self._stopped:
                return -signal.SIGINT, 0.0
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **environment, MARK: mark},
                start_new_session=True,
            )
            running = _Command(name=log.stem, leader=psutil.Process(process.pid), mark=mark)
            self._running.append(running)
        try:
            return _wait(process, running)
        finally:
            with self._lock:
                self._running.remove(running)

    def names(self) -> list[str]:
        """Return what runs, by the names of the logs."""
        with self._lock:
            return [each.name for each in self._running]

    def stop(self) -> None:
        """End what runs, and what of it runs on STOP_S after an interrupt without mercy; start nothing more."""
        with self._lock:
            self._stopped = True
            running = {each: each.processes() for each in self._running}
        for each in running:
            each.interrupt()
        self._wait_for_none()
        for each, known in running.items():
            each.kill(known)
        self._wait_for_none()

    def _wait_for_none(self) -> None:
        give_up = time.monotonic() + STOP_S
        while self._running and time.monotonic() < give_up:
            time.sleep(POLL_S)


def runs(process: psutil.Process) -> bool:
    """Return whether a process runs; one that has ended and was not waited for does not."""
    with suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Command:
    """A command that runs: the name of its log, its process, which leads a session, and its value of MARK."""

    name: str
    leader: psutil.Process
    mark: str = field(repr=False)

    def interrupt(self) -> None:
        """Send SIGINT to its group."""
        with suppress(ProcessLookupError):
            os.killpg(self.leader.pid, signal.SIGINT)

    def processes(self) -> set[psutil.Process]:
        """Return what runs of it: its group, what has its mark, and what those have started, in any session."""
        found: set[psutil.Process] = set()
        for process in psutil.process_iter():
            with suppress(psutil.Error, ProcessLookupError):
                if process not in found and self._has(process):
                    found |= {process, *process.children(recursive=True)}
        return {process for process in found if runs(process)}

    def kill(self, known: set[psutil.Process]) -> None:
        """Send SIGKILL to all that runs of it, to those processes, and to what they start meanwhile."""
        for _ in range(_ROUNDS):
            found = {process for process in known if runs(process)} | self.processes()
            for process in found:
                with suppress(psutil.Error):
                    process.kill()
            if not found:
                return
            psutil.wait_procs(found, timeout=POLL_S)

    def _has(self, process: psutil.Process) -> bool:
        """Return whether it is of the group, whose number is another's once the leader is gone, or has the mark."""
        of_group = self.leader.is_running() and os.getpgid(process.pid) == self.leader.pid
        return of_group or process.environ().get(MARK) == self.mark


def _wait(process: "subprocess.Popen[bytes]", running: _Command) -> tuple[int, float]:
    """Wait for a process and count what it used, with all that it has waited for itself; end it at its deadline."""
    give_up = time.monotonic() + COMMAND_S
    known: set[psutil.Process] = set()
    while not (ended := os.wait4(process.pid, os.WNOHANG))[0]:
        if time.monotonic() > give_up:
            if known:
                running.kill(known)
            else:
                known = running.processes()
                running.interrupt()
            give_up += STOP_S
        time.sleep(POLL_S)
    _, status, used = ended
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, used.ru_utime + used.ru_stime
