"""What runs everything skips nothing in silence, and ends with what ran."""

import importlib.util
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import pytest

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


@pytest.fixture(scope="module")
def everything() -> ModuleType:
    """The program that runs everything, loaded by its path."""
    spec = importlib.util.spec_from_file_location("everything", ROOT / "tests" / "everything.py")
    assert spec and spec.loader  # noqa: PT018 - for the types
    module = importlib.util.module_from_spec(spec)
    sys.modules["everything"] = module
    spec.loader.exec_module(module)
    return module


def test_a_run_ends_with_what_ran_was_skipped_and_was_slow(everything: ModuleType) -> None:
    """The summary fits 80 columns and has a line a part, a line a reason, and the ten slowest tests."""
    ran = [
        everything.Ran(name="lint", status=2, seconds=61.4, cpu_s=90),
        everything.Ran(name="unit", status=0, seconds=9, cpu_s=12),
    ]
    tests = [
        (
            "unit",
            everything.Test(name=f"t{i}", seconds=i / 10, skipped="" if i % 4 else "no GPU", failed=i == 1),
        )
        for i in range(12)
    ]
    lines = [line.split() for line in everything.summary(ran, tests, setup_s="150")]
    assert lines[1:4] == [
        ["setup", "ok", "2", "min", "30", "s"],
        ["lint", "exit", "2", "1", "min", "01", "s", "1", "min", "30", "s"],
        ["unit", "ok", "8", "1", "3", "9", "s", "12", "s"],
    ]
    assert ["3", "x", "no", "GPU"] in lines
    assert lines[-10:] == [[f"{i / 10}", "s", f"t{i}"] for i in range(11, 1, -1)]
    assert max(map(len, everything.summary(ran, tests, setup_s="150"))) <= 80
