from typing import Any

import pytest

from benchmarks.generator import LATE, OK, SHED, Sample, Trace
from benchmarks.summary import summarise_repeats, summarise_run
from benchmarks.tables import load_section


def trace(*latencies_ms: float, shed: int = 0, late: int = 0, seconds: float = 2.0) -> Trace:
    samples = [Sample(OK, ms / 1000, 0.001) for ms in latencies_ms]
    samples += [Sample(SHED, 0.0005)] * shed + [Sample(LATE, 5.0)] * late
    return Trace(samples, seconds)


def test_a_run_counts_what_was_answered_shed_and_lost() -> None:
    """Percentiles are of the answered requests alone; the others are counted beside them."""
    run = summarise_run(trace(*range(1, 101), shed=3, late=2), {"gateway": 0.5})
    assert (run["requests"], run["answered"], run["shed"], run["errors"]) == (105, 100, 3, {LATE: 2})
    assert run["answered_per_s"] == 50
    assert run["latency_ms"] == {"p50": 50.5, "p95": 95.05, "p99": 99.01}
    assert run["cpu_ms_per_answer"] == {"gateway": 5.0}


def test_a_run_without_an_answer_has_no_latency() -> None:
    """Nothing answered gives no percentiles and no CPU per answer, rather than zeros."""
    run = summarise_run(trace(shed=4), {"gateway": 0.5})
    assert run["latency_ms"] == {}
    assert run["cpu_ms_per_answer"] == {"gateway": None}
    pooled = summarise_repeats([trace(shed=4)], [run])
    assert pooled["latency_ms"] == {}
    assert pooled["spread"]["p50_ms"] == []
    assert pooled["cpu_ms_per_answer"] == {"gateway": None}


def test_repeats_are_pooled_with_their_spread() -> None:
    """Percentiles are of all samples together; the spread is the lowest and highest repeat."""
    traces = [trace(10, 10, 10), trace(20, 20, 20, shed=1), trace(60, 60, 60, seconds=4.0)]
    runs = [
        summarise_run(each, {"gateway": cpu}) for each, cpu in zip(traces, (0.03, 0.06, 0.09), strict=True)
    ]
    pooled = summarise_repeats(traces, runs)
    assert pooled["latency_ms"]["p50"] == 20
    assert pooled["spread"]["p50_ms"] == [10, 60]
    assert pooled["answered_per_s"] == pytest.approx(9 / 8, abs=0.01)
    assert pooled["spread"]["answered_per_s"] == [0.75, 1.5]
    assert pooled["shed"] == 1
    assert pooled["cpu_ms_per_answer"] == {"gateway": 20.0}


def test_ceiling_and_latencies_may_come_from_two_results() -> None:
    """A newer result of the closed loop alone leaves the open loop to the one before."""
    params = {
        "repeats": 1, "closed_seconds": 1.0, "open_seconds": 1.0, "warm_up_seconds": 1.0,
        "arrivals": "poisson", "deadline_s": 5.0,
    }  # fmt: skip

    def document(rate: int, *loops: str) -> dict[str, Any]:
        traces = [trace(*[10.0] * rate, seconds=1.0)]
        runs = [summarise_run(each, {"gateway": 0.5}) for each in traces]
        figures = {"pooled": summarise_repeats(traces, runs), "repeats": runs}
        load = {"closed": {"clients": 1}, "open": {"rate": 7.0}}
        cases = [{"workload": "text", "loop": loop} | load[loop] | figures for loop in loops]
        return {"environment": {"cores": 2}, "params": params, "results": cases}

    loads = [("new.json", document(60, "closed")), ("old.json", document(50, "closed", "open"))]
    text = "\n".join(load_section(loads, "throughput.png", "latency.png"))
    assert "| text | 1 | 60 (60-60) |" in text
    assert "| text | 7 | 50 (50-50) |" in text
    assert "| [old.json](../benchmarks/results/old.json) | - | text 50 |" in text
