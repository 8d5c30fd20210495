"""`python -m benchmarks load`: how fast the running service answers, and how it holds up under more.

First a closed loop: so many clients, each with one request under way; the rate at the most clients is taken for the
ceiling. Then an open loop at given rates, by default fractions of that ceiling. Repeats go round all the cases, so
that a slow minute of the machine does not fall on one of them.
"""

import gc
import os
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks.environment import describe_environment
from benchmarks.generator import (
    DEADLINE_S,
    Trace,
    closed_loop,
    constant_arrivals,
    open_loop,
    poisson_arrivals,
    sender,
)
from benchmarks.processes import cpu_seconds
from benchmarks.summary import summarise_repeats, summarise_run
from benchmarks.workloads import LIMIT, WORKLOADS, Material, read_pictures
from catalogue.randomness import generator
from vitrine.channels import options_from
from vitrine.client import VitrineClient
from vitrine.v1.search_pb2 import SearchRequest

WARM_UP_CLIENTS = 4
_SEARCHES_FOR_IDS = 20
_MAX_LIMIT = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is measured."""

    workloads: tuple[str, ...] = tuple(WORKLOADS)
    clients: tuple[int, ...] = (1, 4, 16)
    rates: tuple[float, ...] = ()
    """Requests a second of the open loop; empty to take fractions of the ceiling."""
    fractions: tuple[float, ...] = (0.3, 0.6, 0.9, 1.2)
    arrivals: str = "poisson"
    closed_seconds: float = 3.0
    open_seconds: float = 4.0
    warm_up_seconds: float = 2.0
    repeats: int = 3
    deadline_s: float = DEADLINE_S
    limit: int = LIMIT
    seed: int = 0


QUICK = Plan(clients=(1, 16), fractions=(0.5, 0.9), closed_seconds=1.0, open_seconds=1.5, warm_up_seconds=1.0)


@dataclass(slots=True)
class _Case:
    """One line of the results: its runs, and what they were."""

    labels: dict[str, Any]
    run: Callable[[], Awaitable[Trace]]
    traces: list[Trace] = field(default_factory=list)
    runs: list[dict[str, Any]] = field(default_factory=list)

    def result(self) -> dict[str, Any]:
        return self.labels | {"pooled": summarise_repeats(self.traces, self.runs), "repeats": self.runs}


async def measure(
    address: str, plan: Plan, *, queries: Path, pids: dict[str, int], say: Callable[[str], None]
) -> dict[str, Any]:
    """Carry the plan out against the service and give the document of its result file.

    The environment says who calls, as for the command line.

    Raises:
        VitrineError: the service does not answer before the measurement begins.
        FileNotFoundError: there are no query pictures.
    """
    access = options_from(os.environ)
    async with VitrineClient(address, timeout_s=plan.deadline_s, retry=False, **access) as client:
        environment = describe_environment(await client.describe())
        rng = generator("load", plan.seed)
        material = Material(read_pictures(queries), await _product_ids(client, rng))
        # One stream a workload for the whole measurement: a query never comes back, in no repeat.
        streams = {name: WORKLOADS[name](material, generator(name, plan.seed)) for name in plan.workloads}
        bench = _Bench(client, plan, streams, pids, say)
        results = await bench.closed()
        results += await bench.open(_rates(plan, results), rng)
    return {"environment": environment, "params": {"benchmark": "load"} | asdict(plan), "results": results}


class _Bench:
    """Runs the cases of a plan."""

    def __init__(
        self,
        client: VitrineClient,
        plan: Plan,
        streams: dict[str, Iterator[SearchRequest]],
        pids: dict[str, int],
        say: Callable[[str], None],
    ) -> None:
        self._send = sender(client)
        self._plan = plan
        self._streams = streams
        self._pids = pids
        self._say = say

    async def closed(self) -> list[dict[str, Any]]:
        """Measure each workload at each number of clients, after a warm-up that is thrown away."""
        plan = self._plan
        for stream in self._streams.values():
            await closed_loop(self._send, stream, clients=WARM_UP_CLIENTS, seconds=plan.warm_up_seconds)
        return await self._measure(
            [
                _Case(
                    {"workload": name, "loop": "closed", "clients": clients},
                    partial(closed_loop, self._send, stream, clients=clients, seconds=plan.closed_seconds),
                )
                for name, stream in self._streams.items()
                for clients in plan.clients
            ]
        )

    async def open(self, rates: dict[str, Sequence[float]], rng: random.Random) -> list[dict[str, Any]]:
        """Measure each workload at its rates."""
        return await self._measure(
            [
                _Case(
                    {"workload": name, "loop": "open", "rate": rate},
                    partial(self._open_run, stream, rate, rng),
                )
                for name, stream in self._streams.items()
                for rate in rates[name]
            ]
        )

    async def _open_run(self, stream: Iterator[SearchRequest], rate: float, rng: random.Random) -> Trace:
        seconds = self._plan.open_seconds
        poisson = self._plan.arrivals == "poisson"
        arrivals = poisson_arrivals(rate, seconds, rng) if poisson else constant_arrivals(rate, seconds)
        return await open_loop(self._send, stream, arrivals, deadline_s=self._plan.deadline_s)

    async def _measure(self, cases: list[_Case]) -> list[dict[str, Any]]:
        for repeat in range(1, self._plan.repeats + 1):
            for case in cases:
                gc.collect()
                before = cpu_seconds(self._pids)
                trace = await case.run()
                used = {name: seconds - before[name] for name, seconds in cpu_seconds(self._pids).items()}
                case.traces.append(trace)
                case.runs.append(summarise_run(trace, used))
                self._say(f"repeat {repeat}: {_describe(case)}")
        return [case.result() for case in cases]


async def _product_ids(client: VitrineClient, rng: random.Random) -> list[str]:
    """Collect ids of the index by searching for all sorts of things."""
    ids: set[str] = set()
    for request in islice(WORKLOADS["text"](Material((), ()), rng), _SEARCHES_FOR_IDS):
        request.limit = _MAX_LIMIT
        ids.update(hit.product_id for hit in (await client.search(request)).hits)
    return sorted(ids)


def _rates(plan: Plan, closed: list[dict[str, Any]]) -> dict[str, Sequence[float]]:
    """Return each workload's rates: the plan's, or fractions of what it reached with the most clients."""
    if plan.rates:
        return dict.fromkeys(plan.workloads, plan.rates)
    ceilings = {
        case["workload"]: case["pooled"]["answered_per_s"]
        for case in closed
        if case["clients"] == max(plan.clients)
    }
    return {
        name: [max(1.0, float(f"{ceiling * fraction:.2g}")) for fraction in plan.fractions]
        for name, ceiling in ceilings.items()
    }


def _describe(case: _Case) -> str:
    run = case.runs[-1]
    offered = (
        f"{case.labels['clients']} clients"
        if "clients" in case.labels
        else f"{case.labels['rate']:g}/s offered"
    )
    latencies = " ".join(f"{name} {value:g}" for name, value in run["latency_ms"].items())
    lost = f", shed {run['shed']}, errors {run['errors']}" if run["shed"] or run["errors"] else ""
    return f"{case.labels['workload']}, {offered}: {run['answered_per_s']:g}/s, ms {latencies}{lost}"
