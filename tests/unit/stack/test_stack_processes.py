import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack.processes import (
    Identity,
    describe_exit,
    identify,
    in_session,
    is_alive,
    marked,
    send,
)


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that sleeps, marked with the test's folder."""
    process = subprocess.Popen(
        [sys.executable, "-S", "-c", "import time; time.sleep(60)"],
        env={**os.environ, "TEST_MARK": str(tmp_path)},
        start_new_session=True,
    )
    yield process
    process.kill()
    process.wait()


def test_process_is_itself_until_it_ends(sleeper: subprocess.Popen[bytes]) -> None:
    """An identity is alive while its process runs and dead afterwards, unburied corpses included."""
    identity = identify(sleeper.pid)
    assert identity
    assert is_alive(identity)
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert not is_alive(identity)


def test_recycled_pid_is_never_signalled(sleeper: subprocess.Popen[bytes]) -> None:
    """A process that has the pid, but another start time, is left alone."""
    real = identify(sleeper.pid)
    assert real
    recycled = Identity(real.pid, real.ticks - 1)
    assert not is_alive(recycled)
    assert not send(recycled, signal.SIGKILL)
    assert sleeper.poll() is None


def test_signal_reaches_the_process(sleeper: subprocess.Popen[bytes]) -> None:
    """A signal to a live identity arrives; a second one finds nobody."""
    identity = identify(sleeper.pid)
    assert identity
    assert send(identity, signal.SIGTERM)
    assert sleeper.wait(60) == -signal.SIGTERM
    assert not send(identity, signal.SIGTERM)


def test_processes_are_found_by_marker_and_session(sleeper: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """A marker finds its process and no other, and its session tells it from one of another session."""
    give_up = time.monotonic() + 60
    while not (found := marked("TEST_MARK", str(tmp_path))) and time.monotonic() < give_up:
        time.sleep(0.01)
    assert [each.pid for each in found] == [sleeper.pid]
    assert marked("TEST_MARK", f"{tmp_path}-other") == []
    assert in_session(sleeper.pid, found) == found
    assert in_session(os.getpid(), found) == []


def test_unburied_child_is_seen() -> None:
    """A child that died and was not waited for is named."""
    # Apart, since other tests may have left children of this process.
    code = (
        "import os, subprocess, sys\n"
        "from stack.processes import dead_children\n"
        "process = subprocess.Popen([sys.executable, '-S', '-c', ''])\n"
        "os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)\n"
        "print(len(dead_children(os.getpid())))\n"
        "process.wait()\n"
        "print(len(dead_children(os.getpid())))\n"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True, timeout=60).split() == ["1", "0"]


@pytest.mark.parametrize(
    ("code", "words"), [(0, "exited with 0"), (3, "exited with 3"), (-9, "killed by SIGKILL")]
)
def test_exit_is_described_in_words(code: int, words: str) -> None:
    """An exit code is a number, a signal has its name."""
    assert describe_exit(code) == words
