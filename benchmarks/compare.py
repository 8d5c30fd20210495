"""`python -m benchmarks compare A B`: what changed between two load results, and how sure that is.

A result has some repeats of each case. Of their logarithms, a Welch interval of 99 % says how far apart the two results
may lie; where it holds zero, no difference was seen. Two sets of three repeats show large differences alone.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median, variance
from typing import Any

from benchmarks.processes import BARE_SERVER
from benchmarks.summary import serving_cpu_ms
from benchmarks.tables import Document, table

OVER_BARE = "CPU over bare server"
"""The service's CPU per answer over the bare server's, of the same repeat and as many clients."""

_T99 = (63.66, 9.92, 5.84, 4.60, 4.03, 3.71, 3.50, 3.36, 3.25, 3.17)
"""Two-sided 99 % quantiles of Student's t for 1, 2, ... degrees of freedom; for more, the last is a little too large."""

Case = Mapping[str, Any]
Label = tuple[str, str]
"""The kind of query, and the clients or the rate."""


@dataclass(frozen=True, slots=True)
class Change:
    """How often the figure before goes into the figure after, with the bounds of its interval."""

    ratio: float
    low: float
    high: float

    @property
    def seen(self) -> bool:
        """Whether the two results differ by more than their noise."""
        return not self.low <= 1 <= self.high

    def __str__(self) -> str:
        bounds = f"{_percent(self.low)} to {_percent(self.high)}"
        return f"{_percent(self.ratio)} ({bounds})" if self.seen else f"no difference seen ({bounds})"


def compare(before: Document, after: Document) -> dict[Label, dict[str, Change]]:
    """Return the change of each figure of each case that both results have."""
    old, new = _figures(before), _figures(after)
    return {
        label: {name: change(old[label][name], new[label][name]) for name in old[label] if name in new[label]}
        for label in old
        if label in new
    }


def change(before: Sequence[float], after: Sequence[float]) -> Change:
    """Return the ratio of the medians with its 99 % interval; no bounds where a side has but one repeat."""
    ratio = median(after) / median(before)
    if min(len(before), len(after)) < 2:  # noqa: PLR2004 - one value has no spread
        return Change(ratio, 0.0, math.inf)
    logs = [[math.log(value) for value in values] for values in (before, after)]
    shares = [variance(values) / len(values) for values in logs]
    middle = fmean(logs[1]) - fmean(logs[0])
    reach = _quantile(shares, [len(values) for values in logs]) * math.sqrt(sum(shares))
    return Change(ratio, math.exp(middle - reach), math.exp(middle + reach))


def regressions(before: Document, after: Document, above: float) -> list[str]:
    """Return a line for each case whose CPU over the bare server's rose by more than so many times.

    Of each side's repeats the least counts: what else runs on a machine adds to the CPU of a request, and takes nothing away.
    """
    old, new = _floors(before), _floors(after)
    risen = {label: new[label] / old[label] for label in old if label in new}
    return [
        f"{', '.join(label)}: {OVER_BARE} is {ratio:.2f} times what it was; at most {above:g}"
        for label, ratio in risen.items()
        if ratio > above
    ]


def changes_table(changes: Mapping[Label, Mapping[str, Change]]) -> list[str]:
    """Return a row for each case."""
    names = list(dict.fromkeys(name for figures in changes.values() for name in figures))
    rows = [
        [*label, *(str(figures[name]) if name in figures else "-" for name in names)]
        for label, figures in changes.items()
    ]
    seen = sum(each.seen for figures in changes.values() for each in figures.values())
    total = sum(len(figures) for figures in changes.values())
    return [
        *table(["query", "load", *names], rows),
        "",
        f"{seen} of {total} figures differ by more than their noise; of figures that are the same, one in a hundred would.",
    ]


def _quantile(shares: Sequence[float], counts: Sequence[int]) -> float:
    below = sum(share**2 / (count - 1) for share, count in zip(shares, counts, strict=True))
    freedom = sum(shares) ** 2 / below if below else math.inf
    return _T99[min(len(_T99), max(1, int(min(freedom, len(_T99))))) - 1]


def _figures(document: Document) -> dict[Label, dict[str, list[float]]]:
    """Return the values of all repeats by case and figure; a figure that some repeat lacks is left out."""
    bare = {
        _load(case): serving_cpu_ms(case) for case in document["results"] if case["workload"] == BARE_SERVER
    }
    return {
        (case["workload"], _load(case)): {
            name: values
            for name, values in _values(case, bare.get(_load(case), [])).items()
            if values and all(value > 0 for value in values)
        }
        for case in document["results"]
    }


def _floors(document: Document) -> dict[Label, float]:
    """Return the least CPU of each case over the least of the bare server with as many clients."""
    bare = {
        _load(case): min(serving_cpu_ms(case))
        for case in document["results"]
        if case["workload"] == BARE_SERVER
    }
    return {
        (case["workload"], _load(case)): min(serving_cpu_ms(case)) / bare[_load(case)]
        for case in document["results"]
        if bare.get(_load(case)) and case["workload"] != BARE_SERVER
    }


def _values(case: Case, bare: Sequence[float]) -> dict[str, list[float]]:
    runs = case["repeats"]
    used = serving_cpu_ms(case)
    values = {
        "answers/s": [run["answered_per_s"] for run in runs],
        "p50 ms": [run["latency_ms"].get("p50", 0.0) for run in runs],
        "p99 ms": [run["latency_ms"].get("p99", 0.0) for run in runs],
        "CPU ms": used,
    }
    if bare and case["workload"] != BARE_SERVER:
        values[OVER_BARE] = [own / floor if floor else 0.0 for own, floor in zip(used, bare, strict=True)]
    return values


def _load(case: Case) -> str:
    return f"{case['clients']} clients" if "clients" in case else f"{case['rate']:g}/s"


def _percent(ratio: float) -> str:
    return "?" if ratio in {0.0, math.inf} else f"{100 * (ratio - 1):+.0f} %"
