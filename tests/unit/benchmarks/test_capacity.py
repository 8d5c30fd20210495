from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from benchmarks import capacity
from benchmarks.capacity import CapacityError, Costs, Line, Load, plan, read_costs
from benchmarks.capacity_page import read_mix
from benchmarks.cli import main
from gateway.adapters.milvus import vector_indexes

RESULTS = Path(__file__).parents[3] / "benchmarks" / "results"

COSTS = Costs(
    cpu_ms={
        "text": {"gateway": 3.0, "triton": 2.0, "rewriter": 0.0, "milvus": 1.0},
        "image": {"gateway": 4.0, "triton": 12.0, "rewriter": 0.0, "milvus": 1.0},
    },
    look_ups={"text": 2.0, "image": 1.0},
    exact_ms=Line(1.0, 0.0001),
    graph_ms={False: Line(1.0, 0.5), True: Line(2.0, 1.0)},
    build_ms=0.9,
    measured_rows=200_000,
    dim=256,
    row_bytes=2_048.0,
    sources={},
)
LOAD = Load(
    searches=700, products=10 * 2**20, mix={"text": 0.75, "image": 0.25}, filtered=0.5, pictures=2.0,
    node_cores=8, node_gib=16.0, node_fill=0.5,
)  # fmt: skip


def test_a_plan_is_the_arithmetic_of_what_was_measured() -> None:
    """Cores go by the mix and the headroom, Milvus's by the segments too, and nodes by what needs more of them."""
    planned = plan(LOAD, COSTS)
    cores = {part.name: part.cores for part in planned.parts}
    # 20 Mi rows of 2 kB: 40 GiB in as many segments, a walk of 1 + 20 ms, or 2 + 40 with a condition.
    assert (planned.rows, planned.index_gib, planned.segments) == (20 * 2**20, 40.0, 40)
    assert cores["gateway"] == pytest.approx(0.75 * 3 + 0.25 * 4)
    assert cores["triton"] == pytest.approx(0.75 * 2 + 0.25 * 12)
    assert cores["milvus"] == pytest.approx((0.75 * 2 + 0.25) * (21 + 42) / 2)
    assert (planned.texts, planned.pictures) == (525, 175)
    assert (planned.nodes_for_memory, planned.nodes_for_cpu, planned.nodes) == (10, 7, 10)
    assert planned.first == "milvus"


def test_few_rows_are_searched_exactly() -> None:
    """Up to the gateway's bound every row is looked at, and there is no graph to build."""
    planned = plan(replace(LOAD, products=25_000), COSTS)
    assert planned.parts[-1].ms == pytest.approx((0.75 * 2 + 0.25) * (1 + 5))
    assert planned.build_hours == 0
    assert plan(replace(LOAD, products=25_001), COSTS).build_hours > 0


def test_the_gateways_rule_is_the_one_that_is_planned_with() -> None:
    """From which size on a graph is walked, and how widely, is written in the gateway."""
    assert vector_indexes.EXACT_ROWS == capacity.EXACT_ROWS
    assert vector_indexes.graph_params(27, filtered=False)["ef"] == capacity.UNFILTERED_EF
    assert vector_indexes.graph_params(27, filtered=True)["ef"] == capacity.FILTERED_EF
    assert vector_indexes.HNSW.build["M"] == capacity.LINKS


def test_every_kind_of_the_assumed_mix_was_measured() -> None:
    """The committed results have all that the page is made from."""
    costs = read_costs(RESULTS)
    planned = plan(capacity.USUAL, costs)
    assert all(part.cores > 0 for part in planned.parts)
    assert planned.rows > costs.measured_rows


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"use": 0.0}, "use"),
        ({"products": 0}, "products"),
        ({"filtered": 1.5}, "filtered"),
        ({"mix": {"text": 0.5}}, "add up to 1, got 0.5"),
        ({"mix": {"song": 1.0}}, "not measured: song"),
    ],
)
def test_a_load_that_cannot_be_is_refused(wrong: dict[str, Any], named: str) -> None:
    """What is wrong is named."""
    with pytest.raises(CapacityError, match=named):
        plan(replace(LOAD, **wrong), COSTS)


def test_a_mix_names_kinds_that_have_commas() -> None:
    """The text of the option is the names of the tables."""
    assert read_mix("text, repeated=.3, image=0.7") == {"text, repeated": 0.3, "image": 0.7}
    with pytest.raises(ValueError, match="no share: image"):
        read_mix("text=1, image")


def test_the_command_answers_for_an_operators_own_load(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice the searches take twice the cores; a mix that does not add up is an error in one line."""
    monkeypatch.chdir(RESULTS.parents[1])
    gateway = [
        float(line.split("|")[3])
        for searches in ("100", "200")
        for line in CliRunner().invoke(main, ["capacity", "--searches", searches]).output.splitlines()
        if line.startswith("| gateway")
    ]
    assert gateway[1] == pytest.approx(2 * gateway[0], rel=0.01)
    refused = CliRunner().invoke(main, ["capacity", "--mix", "text=.5"])
    assert refused.exit_code == 1
    assert "add up to 1" in refused.output
