import json
from pathlib import Path
from typing import Any

from benchmarks.reliability import NONE_YET, sections


def write(folder: Path, name: str, params: dict[str, Any], results: list[dict[str, Any]]) -> None:
    environment = {
        "cpu": "A processor", "cores": 2, "commit": "c1", "uncommitted_changes": False, "load_average_1_min": 1.5,
    }  # fmt: skip
    (folder / name).write_text(json.dumps({"environment": environment, "params": params, "results": results}))


def test_nothing_is_said_of_what_was_not_measured(tmp_path: Path) -> None:
    """Without a result file a section says so."""
    assert set(map(tuple, sections(tmp_path).values())) == {tuple(NONE_YET)}


def test_every_fault_has_its_row_with_what_it_broke(tmp_path: Path) -> None:
    """A table of faults tells failures by status, what was wrong or lost, and the promises that did not hold."""
    outcome = {
        "target": "triton", "fault": "kill -9", "calls": 1234, "statuses": {"OK": 1200, "UNAVAILABLE": 34}, "wrong": [],
        "lost": ["a"], "latest_ms": -3.2, "recovery_s": 1.25, "breaches": ["1 lost"],
    }  # fmt: skip
    write(tmp_path, "chaos.json", {"rate": 6.0}, [outcome])
    lines = sections(tmp_path)["faults"]
    assert lines[2] == "1 faults under 6 requests a second; 1 broke a promise."
    assert lines[-1] == "| triton | kill -9 | 1,234 | 1,200 | 34 UNAVAILABLE | 0 | 1 | -3 | 1.2 | 1 lost |"


def test_a_rolling_restart_says_how_many_failed(tmp_path: Path) -> None:
    """The one line that counts: failed of how many."""
    seen = {
        "requests": 5000, "failed": 0, "wrong": [], "restarts": {"gateway": 2, "triton": 2}, "p50_ms": 10.0, "p99_ms": 20.0,
        "longest_ms": 30.0,
    }  # fmt: skip
    write(tmp_path, "rolling.json", {"clients": 8}, [seen])
    assert "4 restarts under 8 clients: 0 of 5,000 requests failed" in sections(tmp_path)["rolling"][2]
