"""NVIDIA's own parser and builder take every graph of every family; the log says what was built.

The graphs of families that users bring are those that other tests of the run need too.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from encoders.testing import FAMILIES, FamilyName
from export.choice import uniform
from export.tensorrt_check import COMMITTED, Subject, Tried, try_family, try_graphs
from export.to_onnx import graph_path
from vitrine.tensors import ENCODERS

# It starts nothing, so it may run beside the tests that share a stack.
pytestmark = [pytest.mark.own_stack, pytest.mark.timeout(900)]

CAPABILITIES = ("75", "120")
"""The oldest GPU and nearly the newest; `make tensorrt-check` builds for those between, too."""

OUR_FAMILIES = sorted(card.parent.name for card in COMMITTED.glob("*/card.json"))


def assert_built(tried: Iterable[Tried], capsys: pytest.CaptureFixture[str]) -> None:
    """Assert that there is a plan of each encoder in each precision, or an excuse; say so before everybody's eyes."""
    seen = []
    for each in tried:
        with capsys.disabled():
            print(each.line(), flush=True)
        seen.append(each)
    assert [each.line() for each in seen if each.failed()] == []
    built = {(each.encoder, each.precision) for each in seen if not each.outcome.refused}
    assert built == {(spec.name, precision) for spec in ENCODERS for precision in ("fp32", "fp16")}


@pytest.mark.parametrize("name", OUR_FAMILIES)
def test_plans_of_the_committed_families(
    name: str, tensorrt_rtx: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every encoder in fp32 and fp16; in int8, which is for CPUs, the parser refuses it."""
    subject = Subject(family=name, weights="committed", folder=COMMITTED / name)
    assert_built(try_family(subject, packages=tensorrt_rtx, capabilities=CAPABILITIES), capsys)


@pytest.mark.parametrize("name", FAMILIES)
def test_plans_of_families_that_users_bring(
    name: FamilyName,
    tensorrt_rtx: Path,
    published_family: Callable[[Any], Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The same, of random weights."""
    published = published_family(name)
    for spec in ENCODERS:
        graph = published / "repository" / spec.name / "1" / "model.onnx"
        graph_path(tmp_path, spec.name).write_bytes(graph.read_bytes())
    subject = Subject(family=name, weights="random", folder=published / "checkpoint")
    precisions = uniform("fp32").precisions
    outcomes = try_graphs(
        subject, tmp_path, packages=tensorrt_rtx, capabilities=CAPABILITIES, precisions=precisions, ranges={}
    )
    assert_built(outcomes, capsys)
