"""What tests of several kinds share: a rule for skips, checkpoints of every family, published once a session; a Redis."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

DOES_NOT_APPLY = "does not apply: "
"""Begins the reason of a skip that no program on the machine would change."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test that is skipped where CI is set: whatever the tests need is installed there (make setup-test)."""
    report = yield
    if os.environ.get("CI") and report.skipped and isinstance(report.longrepr, tuple):
        reason = str(report.longrepr[2]).removeprefix("Skipped: ")
        if not reason.startswith(DOES_NOT_APPLY):
            report.outcome = "failed"
            report.longrepr = f"this was skipped, and CI skips nothing for want of a program: {reason}"
    return report


@pytest.fixture(scope="session")
def published_family(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Any], Path]:
    """Gives, by the name of a family, a folder with a tiny checkpoint and the repository that the command makes of it."""
    # Imported here because torch and transformers take seconds that most tests can do without.
    from click.testing import CliRunner  # noqa: PLC0415

    from encoders.testing import write_checkpoint  # noqa: PLC0415
    from export.cli import main  # noqa: PLC0415

    made: dict[str, Path] = {}

    def publish(name: Any) -> Path:
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            write_checkpoint(folder / "checkpoint", name)
            options = ["--checkpoint", str(folder / "checkpoint"), "--out", str(folder / "repository")]
            result = CliRunner().invoke(main, ["publish", *options])
            assert result.output.splitlines()[-1] == f"published local to {folder / 'repository'}"
            made[name] = folder
        return made[name]

    return publish


@pytest.fixture(scope="session")
def redis_process() -> Iterator["RedisProcess"]:
    """Run a Redis on a socket in a folder of its own."""
    server = shutil.which("redis-server")
    if server is None:
        pytest.skip("no redis-server on this machine: make setup-test")
    folder = Path(tempfile.mkdtemp(prefix="vitrine-"))
    options = ("--port", "0", "--unixsocket", str(folder / "s"), "--save", "", "--dir", str(folder))
    process = subprocess.Popen([server, *options], stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while not (folder / "s").exists():
            assert process.poll() is None and time.monotonic() < deadline, "Redis did not start"  # noqa: PT018 - one wait
            time.sleep(0.02)
        yield RedisProcess(url=f"unix://{folder / 's'}", process=process)
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder)


@dataclass(frozen=True, slots=True)
class RedisProcess:
    """A Redis that runs."""

    url: str
    process: "subprocess.Popen[bytes]"

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Let it accept and answer nothing."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)
