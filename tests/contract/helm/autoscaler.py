"""Kubernetes's horizontal autoscaler and a service under it, step by step: a day of load against the rules of the chart.

The autoscaler is that of Kubernetes for a measure by its value (`ceil(ready pods * measured / wanted)`, a tolerance of a tenth,
stabilisation windows, policies); its behavior and what is wanted are read from what the chart renders. The service is a queue: the share of it
that is taken is load over what the ready pods can do, averaged and late as Prometheus tells it.
"""

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

STEP_S = 15
"""Between two looks of the autoscaler, and two samples."""
TOLERANCE = 0.1
DAY = 24 * 3600 // STEP_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a ScaledObject says: one measure, and how fast pods come and go."""

    wanted: float
    fewest: int
    most: int
    up: Mapping[str, Any]
    down: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What is scaled."""

    pod_rate: float
    """Load that takes all of a pod."""
    starts_s: float
    """From a pod's making until it serves."""
    idle: float = 0.0
    """What is measured without any load."""
    averaged_s: int = 120

    def measured(self, load: float, ready: int) -> float:
        """Return the share that is taken: never more than what there is, however much is asked for."""
        taken = min(1.0, load / (self.pod_rate * ready))
        return self.idle + (1 - self.idle) * taken


@dataclass(slots=True)
class Day:
    """What became of it, a value a step."""

    load: Sequence[float]
    pods: list[int] = field(default_factory=list)
    ready: list[int] = field(default_factory=list)

    def overloaded(self, service: Service) -> float:
        """Return the share of the time in which more was asked for than the ready pods can do."""
        over = [load > service.pod_rate * ready for load, ready in zip(self.load, self.ready, strict=True)]
        return sum(over) / len(over)

    def changes(self) -> list[tuple[int, int]]:
        """Return each change: the step, and how many pods came (or, below 0, went)."""
        return [
            (at, now - before) for at, (before, now) in enumerate(pairwise(self.pods), 1) if now != before
        ]

    def flaps(self, *, within_s: float) -> list[int]:
        """Return the steps at which a pod came back for no more load than there had been shortly before another went.

        A pod that comes since the load has grown is none.
        """
        changes, found = self.changes(), []
        for (down, less), (up, more) in pairwise(changes):
            soon = (up - down) * STEP_S <= within_s
            before = max(self.load[max(0, down - int(within_s) // STEP_S) : down])
            if less < 0 < more and soon and max(self.load[down : up + 1]) <= before * (1 + TOLERANCE):
                found.append(up)
        return found


def replay(load: Sequence[float], rules: Rules, service: Service) -> Day:
    """Run the autoscaler over a day's load, a value a step."""
    day, scaler = Day(load=load), _Scaler(rules)
    starting: deque[int] = deque()
    ready = pods = rules.fewest
    window = deque[float](maxlen=service.averaged_s // STEP_S)
    for at, asked in enumerate(load):
        while starting and starting[0] <= at:
            starting.popleft()
            ready += 1
        window.append(service.measured(asked, ready))
        new = scaler.next(pods, ready, measured=sum(window) / len(window), at=at)
        for _ in range(max(0, new - pods)):
            starting.append(at + math.ceil(service.starts_s / STEP_S))
        for _ in range(max(0, pods - new)):
            # Kubernetes ends pods that are not ready first.
            ready -= 0 if starting else 1
            if starting:
                starting.pop()
        pods = new
        day.pods.append(pods)
        day.ready.append(ready)
    return day


class _Scaler:
    """The autoscaler's memory: what it wished, and what it did."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._wishes: list[int] = []
        self._pods: list[int] = []

    def next(self, pods: int, ready: int, *, measured: float, at: int) -> int:
        """Return how many pods there shall be."""
        ratio = measured / self._rules.wanted
        wish = pods if abs(ratio - 1) <= TOLERANCE else math.ceil(ready * ratio)
        self._wishes.append(min(self._rules.most, max(self._rules.fewest, wish)))
        self._pods.append(pods)
        lower = self._recent(self._rules.up, min)
        upper = self._recent(self._rules.down, max)
        if lower > pods:
            return min(lower, self._bound(self._rules.up, at, sign=1))
        if upper < pods:
            return max(upper, self._bound(self._rules.down, at, sign=-1))
        return pods

    def _recent(self, behavior: Mapping[str, Any], choose: Callable[[Sequence[int]], int]) -> int:
        steps = 1 + behavior["stabilizationWindowSeconds"] // STEP_S
        return choose(self._wishes[-steps:])

    def _bound(self, behavior: Mapping[str, Any], at: int, *, sign: int) -> int:
        """Return how far one policy goes from where the pods were a period ago."""
        (policy,) = behavior["policies"]
        before = self._pods[max(0, at - policy["periodSeconds"] // STEP_S)]
        change = policy["value"] if policy["type"] == "Pods" else math.ceil(before * policy["value"] / 100)
        return before + sign * change
