"""What runs everything skips nothing in silence, and ends with what ran."""

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests import everything, processes
from tests.contract.commands import ROOT, run

SKIPPING = """
import pytest

@pytest.mark.skipif(True, reason="no browser is installed")
def test_by_mark(): ...

def test_by_call():
    pytest.skip("no server")

def test_of_another_engine():
    pytest.skip("does not apply: it has no server")

@pytest.mark.xfail
def test_that_is_known_to_fail():
    assert False
"""


@pytest.mark.parametrize(
    ("environment", "outcome"),
    [({}, "3 skipped, 1 xfailed"), ({"CI": "true"}, "1 failed, 1 skipped, 1 xfailed, 1 error")],
)
def test_nothing_is_skipped_in_ci(tmp_path: Path, environment: Mapping[str, str], outcome: str) -> None:
    """Where CI is set, a skip is a failure with its reason, unless the test does not apply; elsewhere it is a skip."""
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path)
    (tmp_path / "test_skipping.py").write_text(SKIPPING)
    pytest_here = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-c", ROOT / "pyproject.toml")
    result = run(*pytest_here, f"--rootdir={tmp_path}", tmp_path, **environment)
    assert outcome in result.stdout.splitlines()[-1]
    for reason in ("no browser is installed", "no server", "does not apply: it has no server"):
        assert reason in result.stdout


def test_without_nvidias_parser_its_tests_say_why(tmp_path: Path) -> None:
    """In CI, too, they are skipped where it could not be installed, by the installer's words; elsewhere is no excuse."""
    tests = tmp_path / "tests"
    tests.mkdir()
    shutil.copy(ROOT / "tests" / "conftest.py", tests)
    (tests / "test_parser.py").write_text("def test_that_parses(tensorrt_rtx): ...\n")
    pytest_here = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-c", ROOT / "pyproject.toml")
    command = (*pytest_here, f"--rootdir={tmp_path}", tests)
    result = run(*command, CI="true")
    assert "no TensorRT-RTX: make setup-test" in result.stdout
    assert "1 error" in result.stdout.splitlines()[-1]
    (tmp_path / "build").mkdir()
    said = "retry: attempt 3 of 4 failed\nERROR: No matching distribution\nretry: failed 4 times\n"
    (tmp_path / "build" / "tensorrt.log").write_text(said)
    result = run(*command, CI="true")
    assert "1 skipped" in result.stdout.splitlines()[-1]
    assert "TensorRT-RTX could not be installed: ERROR: No matching distribution" in result.stdout


def test_a_run_ends_with_what_ran_was_skipped_and_was_slow() -> None:
    """The summary fits 80 columns and has a line a part, a line a reason, and the ten slowest tests."""
    tests = [
        everything.Test(
            name=f"t{i}", seconds=i / 10, skipped="" if i % 4 else "no GPU", failure="boom" if i == 1 else ""
        )
        for i in range(12)
    ]
    lucky = [everything.Test(name="t2", seconds=1, failure="AssertionError: late")]
    ran = [
        everything.Ran(name="lint", status=2, seconds=61.4, cpu_s=90),
        everything.Ran(name="unit", status=0, seconds=9, cpu_s=12, tests=tests, lucky=lucky),
    ]
    said = list(everything.summary(ran, setup_s="150"))
    lines = [line.split() for line in said]
    assert lines[1:4] == [
        ["setup", "ok", "2", "min", "30", "s"],
        ["lint", "exit", "2", "1", "min", "01", "s", "1", "min", "30", "s"],
        ["unit", "ok", "8", "1", "3", "9", "s", "12", "s"],
    ]
    assert ["3", "x", "no", "GPU"] in lines
    assert lines[-10:] == [[f"{i / 10}", "s", f"t{i}"] for i in range(11, 1, -1)]
    assert said[said.index("  t2") + 1] == "      AssertionError: late"
    assert max(map(len, said)) <= 80


UNLUCKY = """
from pathlib import Path

import pytest

MARK = Path(__file__).with_name("been here")

@pytest.fixture(scope="session")
def fresh():
    return not MARK.exists()

def test_that_passes(): ...

def test_of_bad_luck(fresh):
    MARK.touch()
    assert not fresh, "the first time"
"""
BROKEN = """
def test_that_always_fails():
    assert False, "as ever"
"""


def _part(folder: Path, monkeypatch: pytest.MonkeyPatch, **files: str) -> Any:
    monkeypatch.setattr(everything, "REPORTS", folder)
    for name, text in files.items():
        (folder / f"test_{name}.py").write_text(text)
    options = ("-c", os.devnull, "--rootdir", str(folder), "-n", "0")
    return everything._tests("part", "-m", "pytest", str(folder), *options)


def test_in_ci_bad_luck_is_named_and_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that fails once runs again in a process of its own; what failed first is told, and the part is well."""
    monkeypatch.setenv("CI", "true")
    part = _part(tmp_path, monkeypatch, unlucky=UNLUCKY)
    ran = everything._run(part, processes.Processes())
    assert (ran.status, len(ran.tests), [test.failure for test in ran.tests]) == (0, 2, ["", ""])
    (lucky,) = ran.lucky
    assert lucky.name.endswith("test_of_bad_luck")
    assert lucky.failure == "AssertionError: the first time"


def test_what_fails_twice_fails_the_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where another test had bad luck alone; outside of CI nothing runs twice."""
    monkeypatch.setenv("CI", "true")
    part = _part(tmp_path, monkeypatch, unlucky=UNLUCKY, broken=BROKEN)
    ran = everything._run(part, processes.Processes())
    assert ran.status == 1
    assert [test.failure for test in ran.tests if test.failure] == ["AssertionError: as ever"]
    assert len(ran.lucky) == 1
    monkeypatch.delenv("CI")
    (tmp_path / "been here").unlink()
    ran = everything._run(part, processes.Processes())
    assert (ran.status, sum(bool(test.failure) for test in ran.tests), ran.lucky) == (1, 2, [])


def test_many_different_errors_are_no_bad_luck() -> None:
    """A few failures may be luck, and so may those that a stack which did not start gives every test."""
    same = [everything.Test(name=f"t{i}", seconds=1, failure="Failed: stack up: exit 1") for i in range(80)]
    different = [everything.Test(name=f"t{i}", seconds=1, failure=f"AssertionError: {i}") for i in range(11)]
    assert everything.may_be_luck(same)
    assert everything.may_be_luck(different[:10])
    assert not everything.may_be_luck(different)
    assert not everything.may_be_luck([])


def wait_until(holds: Callable[[], bool]) -> None:
    give_up = time.monotonic() + processes.STOP_S
    while not holds():
        assert time.monotonic() < give_up
        time.sleep(0.02)


def test_what_is_stopped_is_ended_and_nothing_begins_after_it(tmp_path: Path) -> None:
    """An interruption ends the commands that run, and a part that waits for its turn does not begin."""
    running = processes.Processes()
    log = tmp_path / "log"
    endless = (sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)")
    with ThreadPoolExecutor(1) as pool:
        ran = pool.submit(running.run, endless, log, {})
        wait_until(lambda: log.exists() and log.read_text() != "")
        running.stop()
        status, _ = ran.result(processes.STOP_S)
    assert status == -signal.SIGINT
    assert running.run(("true",), log, {}) == (-signal.SIGINT, 0.0)


STUBBORN = """
import subprocess, sys, time
from pathlib import Path

LEAVES = (
    "import subprocess as s, sys; "
    "print(s.Popen(sys.argv[1:], start_new_session=True, stdout=s.DEVNULL, stderr=s.DEVNULL).pid)"
)

def test_that_swallows_interrupts():
    endless = (sys.executable, "-c", "import time; time.sleep(600)")
    child = subprocess.Popen(endless)
    in_a_session = subprocess.Popen(endless, start_new_session=True)
    without_a_mark = subprocess.Popen(endless, start_new_session=True, env={})
    # Its parent ends at once: by its mark alone it can be known whose it is.
    orphan = subprocess.run((sys.executable, "-c", LEAVES, *endless), capture_output=True, check=True, text=True)
    pids = [child.pid, in_a_session.pid, without_a_mark.pid, orphan.stdout.strip()]
    Path(__file__).with_name("started").write_text("\\n".join(map(str, pids)) + "\\n")
    while True:
        try:
            time.sleep(600)
        except KeyboardInterrupt:
            pass
"""
RUN_OF_ONE = """
import sys
from pathlib import Path
from tests import everything, processes

everything.REPORTS = Path(sys.argv[1])
everything.PARTS = (everything._tests("part", "-m", "pytest", sys.argv[2]),)
processes.STOP_S = 1
everything.main()
"""


def test_a_part_that_swallows_interrupts_is_killed_with_all_it_started(tmp_path: Path) -> None:
    """SIGTERM, twice as make and its caller send it, ends the run, a test that goes on, and its children in any session."""
    (tmp_path / "test_stubborn.py").write_text(STUBBORN)
    started = tmp_path / "started"
    command = (sys.executable, "-c", RUN_OF_ONE, str(tmp_path / "reports"), str(tmp_path))
    run_of_one = psutil.Popen(command, cwd=ROOT)
    ours: list[psutil.Process] = []
    try:
        wait_until(lambda: started.exists() and started.read_text().endswith("\n"))
        ours = [*run_of_one.children(), *(psutil.Process(int(pid)) for pid in started.read_text().split())]
        assert len(ours) == 5
        run_of_one.send_signal(signal.SIGTERM)
        time.sleep(0.1)
        run_of_one.send_signal(signal.SIGTERM)
        assert run_of_one.wait(processes.STOP_S) != 0
        wait_until(lambda: not any(map(processes.runs, ours)))
    finally:
        for process in filter(processes.runs, [run_of_one, *ours]):
            process.kill()
