"""Every target takes four thousand cases, guided by coverage, without a fault; a million of each are in docs/reliability.md."""

from pathlib import Path

import pytest

from tests.fuzz.__main__ import fuzz
from tests.fuzz.targets import PLANTED, TARGETS

CASES = 4_000
"""By one seed, so that much the same is tried each time: it holds what was mended. `make fuzz` looks for what is new."""


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_no_case_is_anything_but_answered_or_refused(target: str, tmp_path: Path) -> None:
    """Whatever the bytes are, only refusals of the domain's own kind come out, and memory does not grow."""
    tally = fuzz(target, CASES, 1, tmp_path)
    assert tally.faults == []
    assert tally.cases == CASES
    assert tally.corpus > 0


def test_a_fault_is_found_and_told(tmp_path: Path) -> None:
    """A target that breaks its promise for a few inputs is caught, with its trace and the input's file."""
    tally = fuzz(PLANTED, 10_000, 1, tmp_path)
    (fault,) = tally.faults
    assert "AssertionError: planted" in fault
    assert list((tmp_path / PLANTED).glob("crash-*"))
