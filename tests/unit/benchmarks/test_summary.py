import pytest

from benchmarks.generator import LATE, OK, SHED, Sample, Trace
from benchmarks.summary import summarise_repeats, summarise_run


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
