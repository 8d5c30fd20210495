import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from benchmarks.bare import bare_server
from benchmarks.cli import main
from benchmarks.compare import OVER_BARE, change, compare, regressions
from benchmarks.generator import closed_loop, sender
from benchmarks.processes import BARE_SERVER, cpu_seconds
from benchmarks.summary import summarise_run
from benchmarks.workloads import Material, text_requests
from catalogue.randomness import generator
from vitrine.client import VitrineClient


def result(*cpu_ms: float, bare_ms: float = 0.25, rate: float = 100.0) -> dict[str, Any]:
    """A result of one kind of query, a repeat for each CPU figure."""

    def case(name: str, process: str, used: tuple[float, ...]) -> dict[str, Any]:
        repeats = [
            {
                "answered_per_s": rate,
                "latency_ms": {"p50": 9.0, "p99": 20.0},
                "cpu_ms_per_answer": {process: ms, "generator": 7.0},
            }
            for ms in used
        ]
        return {"workload": name, "loop": "closed", "clients": 8, "repeats": repeats}

    cases = [case(BARE_SERVER, BARE_SERVER, tuple(bare_ms for _ in cpu_ms)), case("text", "gateway", cpu_ms)]
    return {"environment": {}, "params": {}, "results": cases}


TEXT = ("text", "8 clients")


def test_a_change_beyond_the_noise_is_seen() -> None:
    """Half more CPU, of repeats that lie within a few percent, is told with its bounds."""
    changes = compare(result(2.0, 2.04, 1.98), result(3.0, 3.06, 2.97))
    seen = changes[TEXT]["CPU ms"]
    assert seen.seen
    assert seen.ratio == pytest.approx(1.5)
    assert 1.35 < seen.low < 1.5 < seen.high < 1.65
    assert str(seen).startswith("+50 % (+")


def test_noise_is_not_told_as_a_change() -> None:
    """A tenth more, of repeats that lie a half apart, is no difference that was seen."""
    noisy = compare(result(2.0, 3.0, 2.5), result(2.2, 3.3, 2.75))[TEXT]["CPU ms"]
    assert not noisy.seen
    assert str(noisy).startswith("no difference seen (")


def test_one_repeat_shows_nothing() -> None:
    """Without a spread nothing can be said, however far the figures lie apart."""
    assert not change([1.0], [9.0]).seen


def test_a_slower_machine_is_no_regression() -> None:
    """Twice the CPU for everything leaves the service where it was over the bare server; twice for the service alone does not."""
    before = result(2.0, 2.1, 2.0)
    assert regressions(before, result(4.0, 4.2, 4.0, bare_ms=0.5), 1.5) == []
    (risen,) = regressions(before, result(4.0, 4.2, 4.0), 1.5)
    assert risen.startswith(f"text, 8 clients: {OVER_BARE} is 2.00 times")


def test_one_good_repeat_is_enough() -> None:
    """Other programs add to the CPU of a request: a regression is what every repeat shows."""
    before = result(2.0, 2.1, 2.0)
    assert regressions(before, result(9.0, 2.1, 9.0), 1.5) == []


def test_the_command_shows_the_changes_and_fails_on_a_gross_one(tmp_path: Path) -> None:
    """The table is printed in any case; the exit status says whether a limit was passed."""
    before, after = tmp_path / "a.json", tmp_path / "b.json"
    before.write_text(json.dumps(result(2.0, 2.04, 1.98)))
    after.write_text(json.dumps(result(6.0, 6.1, 6.0)))
    told = CliRunner().invoke(main, ["compare", str(before), str(after)])
    assert told.exit_code == 0
    assert "| text | 8 clients | no difference seen" in told.output
    assert "+200 %" in told.output
    failed = CliRunner().invoke(main, ["compare", str(before), str(after), "--fail-above", "1.5"])
    assert failed.exit_code == 1
    assert "times what it was; at most 1.5" in failed.stderr


def test_results_without_a_common_case_are_refused(tmp_path: Path) -> None:
    """Nothing to compare is an error, not an empty table."""
    path, other = tmp_path / "a.json", tmp_path / "b.json"
    path.write_text(json.dumps(result(2.0)))
    other.write_text(json.dumps({**result(2.0), "results": []}))
    refused = CliRunner().invoke(main, ["compare", str(path), str(other)])
    assert refused.exit_code == 1
    assert "no case in common" in refused.stderr


@pytest.mark.slow
async def test_a_seeded_slowdown_is_found() -> None:
    """A server that computes half a millisecond more per request than the bare one is found by its CPU; the bare one is not."""
    cases: dict[float, list[dict[str, Any]]] = {}
    with ExitStack() as running:
        servers = {burn_ms: running.enter_context(bare_server(burn_ms)) for burn_ms in (0.0, 0.5)}
        for burn_ms, (address, pid) in [*servers.items()] * 3:
            async with VitrineClient(address, retry=False) as client:
                before = cpu_seconds({"server": pid})
                requests = text_requests(Material((), ()), generator("slow"))
                trace = await closed_loop(sender(client), requests, clients=4, seconds=0.3)
                used = cpu_seconds({"server": pid})["server"] - before["server"]
            cases.setdefault(burn_ms, []).append(summarise_run(trace, {"server": used}))

    def document(burn_ms: float) -> dict[str, Any]:
        labels = {"loop": "closed", "clients": 4}
        results = [
            {"workload": "text", "repeats": cases[burn_ms]},
            {"workload": BARE_SERVER, "repeats": cases[0.0]},
        ]
        return {"results": [labels | each for each in results]}

    assert regressions(document(0.0), document(0.0), 1.5) == []
    (found,) = regressions(document(0.0), document(0.5), 1.5)
    assert found.startswith("text, 4 clients: ")
