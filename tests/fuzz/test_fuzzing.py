"""Every target takes four thousand cases, guided by coverage, without a fault; a million of each are in docs/reliability.md."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fuzz.__main__ import Tally, fuzz_at_once
from tests.fuzz.targets import PLANTED, TARGETS

CASES = 4_000
"""By one seed, so that much the same is tried each time: it holds what was mended. `make fuzz` looks for what is new."""
CASES_UNTIL_PLANTED = 10_000

pytestmark = pytest.mark.timeout(900)  # the first one waits for all targets


@pytest.fixture(scope="session")
def fuzzed(once: Callable[[str, Callable[[Path], None]], Path]) -> Path:
    """A folder with what each target has gone through: all are fuzzed once, since to instrument the code takes longest."""

    def fuzz(folder: Path) -> None:
        fuzz_at_once(dict.fromkeys(TARGETS, CASES) | {PLANTED: CASES_UNTIL_PLANTED}, 1, folder)

    return once("fuzzed", fuzz)


def tally_of(fuzzed: Path, target: str) -> Tally:
    return Tally(**json.loads((fuzzed / target / "tally.json").read_text()))


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_no_case_is_anything_but_answered_or_refused(target: str, fuzzed: Path) -> None:
    """Whatever the bytes are, only refusals of the domain's own kind come out, and memory does not grow."""
    tally = tally_of(fuzzed, target)
    assert tally.faults == []
    assert tally.cases == CASES
    assert tally.corpus > 0


def test_a_fault_is_found_and_told(fuzzed: Path) -> None:
    """A target that breaks its promise for a few inputs is caught, with its trace and the input's file."""
    (fault,) = tally_of(fuzzed, PLANTED).faults
    assert "AssertionError: planted" in fault
    assert list((fuzzed / PLANTED).glob("crash-*"))
