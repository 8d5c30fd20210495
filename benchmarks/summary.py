"""Samples to figures: what a result file holds of a run, and of several runs of the same kind."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.generator import OK, SHED, Trace
from benchmarks.processes import GENERATOR

PERCENTILES = (50, 95, 99)


def summarise_run(trace: Trace, cpu_s: Mapping[str, float]) -> dict[str, Any]:
    """Return counts, rate, latencies in ms of the answered requests, and CPU ms per answered request by process."""
    statuses = Counter(sample.status for sample in trace.samples)
    answered = statuses.pop(OK, 0)
    shed = statuses.pop(SHED, 0)
    latencies = [sample.latency_s for sample in trace.samples if sample.status == OK]
    return {
        "requests": len(trace.samples),
        "answered": answered,
        "shed": shed,
        "errors": dict(sorted(statuses.items())),
        "seconds": round(trace.seconds, 3),
        "answered_per_s": round(answered / trace.seconds, 2),
        "latency_ms": _percentiles_ms(latencies),
        "lag_ms": _percentiles_ms([sample.lag_s for sample in trace.samples]),
        "cpu_ms_per_answer": {
            name: round(1000 * seconds / answered, 3) if answered else None for name, seconds in cpu_s.items()
        },
    }


def summarise_repeats(traces: Sequence[Trace], runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the figures of all repeats together and, as [lowest, highest], how far the repeats lie apart."""
    answered = sum(run["answered"] for run in runs)
    errors = Counter[str]()
    for run in runs:
        errors.update(run["errors"])
    latencies = [sample.latency_s for trace in traces for sample in trace.samples if sample.status == OK]
    spread = {
        f"p{q}_ms": _range([run["latency_ms"][f"p{q}"] for run in runs if run["answered"]])
        for q in PERCENTILES
    }
    return {
        "requests": sum(run["requests"] for run in runs),
        "answered": answered,
        "shed": sum(run["shed"] for run in runs),
        "errors": dict(sorted(errors.items())),
        "answered_per_s": round(answered / sum(run["seconds"] for run in runs), 2),
        "latency_ms": _percentiles_ms(latencies),
        "lag_ms": _percentiles_ms([sample.lag_s for trace in traces for sample in trace.samples]),
        "cpu_ms_per_answer": _mean_cpu(runs),
        "spread": {"answered_per_s": _range([run["answered_per_s"] for run in runs])} | spread,
    }


def serving_cpu_ms(case: Mapping[str, Any]) -> list[float]:
    """Return the CPU per answer of all processes that serve, in ms, by repeat."""
    return [
        sum(used or 0.0 for name, used in run["cpu_ms_per_answer"].items() if name != GENERATOR)
        for run in case["repeats"]
    ]


def _percentiles_ms(seconds: Sequence[float]) -> dict[str, float]:
    if not seconds:
        return {}
    values = np.percentile(np.asarray(seconds) * 1000, PERCENTILES)
    return {f"p{q}": round(float(value), 2) for q, value in zip(PERCENTILES, values, strict=True)}


def _mean_cpu(runs: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """Weigh each run's CPU per answer by its answers."""
    answered = sum(run["answered"] for run in runs)
    names = runs[0]["cpu_ms_per_answer"]
    if not answered:
        return dict.fromkeys(names)
    return {
        name: round(
            sum((run["cpu_ms_per_answer"][name] or 0) * run["answered"] for run in runs) / answered, 3
        )
        for name in names
    }


def _range(values: Sequence[float]) -> list[float]:
    return [min(values), max(values)] if values else []
