"""`python -m benchmarks load`: how fast the running service answers, and how it holds up under more.

First a closed loop: so many clients, each with one request under way; the rate at the most clients is taken for the
ceiling. Then an open loop at given rates, by default fractions of that ceiling. Repeats go round all the cases, so
that a slow minute of the machine does not fall on one of them. In the same rounds a bare server is asked, which says
what a request costs on this machine at the least.
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

from benchmarks.bare import bare_server
from benchmarks.environment import describe_environment
from benchmarks.generator import (
    DEADLINE_S,
    Send,
    Trace,
    closed_loop,
    constant_arrivals,
    open_loop,
    poisson_arrivals,
    sender,
)
from benchmarks.processes import BARE_SERVER, cpu_seconds, up_seconds
from benchmarks.summary import summarise_repeats, summarise_run
from benchmarks.workloads import LIMIT, WORKLOADS, Material, Request, read_pictures, text_requests
from catalogue.randomness import generator
from vitrine.channels import options_from
from vitrine.client import VitrineClient

WARM_UP_CLIENTS = 4
_SEARCHES_FOR_IDS = 20
_MAX_LIMIT = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is measured."""

    workloads: tuple[str, ...] = tuple(WORKLOADS)
    loops: tuple[str, ...] = ("closed", "open")
    """Without the closed loop, the ceilings are found by one round of it that is not kept."""
    clients: tuple[int, ...] = (1, 4, 16)
    """Of the closed loop, the most last."""
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
    salt: str = ""
    """Seeds all requests: those of another salt are new to the service's caches, and equal salts ask the same again."""


PLANS = {
    "full": Plan(),
    "quick": Plan(
        clients=(1, 16), fractions=(0.5, 0.9), closed_seconds=1.0, open_seconds=1.5, warm_up_seconds=1.0
    ),
    # What CI compares with a committed result: CPU alone, which does not need a quiet machine. Repeated texts do: the slower
    # they come, the fewer of them are answered within the second for which an answer is kept.
    "short": Plan(
        workloads=("text", "image"),
        loops=("closed",),
        clients=(8,),
        closed_seconds=1.2,
        warm_up_seconds=1.0,
    ),
}


@dataclass(slots=True)
class _Case:
    """One line of the results: its runs, and what they were."""

    labels: dict[str, Any]
    pids: dict[str, int]
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
        environment = describe_environment(await client.describe()) | {"up_s": up_seconds(pids)}
        rng = generator("load", plan.salt)
        material = Material(read_pictures(queries), await _product_ids(client, rng))
        # One stream a workload for the whole measurement: a query never comes back, in no repeat.
        streams = {
            name: _Asked(sender(client), WORKLOADS[name](material, generator(name, plan.salt)), pids)
            for name in plan.workloads
        }
        with bare_server() as (bare_address, pid):
            async with VitrineClient(bare_address, timeout_s=plan.deadline_s, retry=False) as bare:
                asked = _Asked(
                    sender(bare),
                    text_requests(material, generator(BARE_SERVER, plan.salt)),
                    {BARE_SERVER: pid},
                )
                results = await _Bench(plan, streams, {BARE_SERVER: asked}, say).measure(rng)
    return {"environment": environment, "params": {"benchmark": "load"} | asdict(plan), "results": results}


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is sent to whom, and the processes that it costs."""

    send: Send[Request]
    stream: Iterator[Request]
    pids: dict[str, int]


class _Bench:
    """Runs the cases of a plan."""

    def __init__(
        self,
        plan: Plan,
        asked: dict[str, _Asked],
        references: dict[str, _Asked],
        say: Callable[[str], None],
    ) -> None:
        self._plan = plan
        self._asked = asked
        self._references = references
        self._say = say

    async def measure(self, rng: random.Random) -> list[dict[str, Any]]:
        """Measure the loops of the plan, after a warm-up that is thrown away."""
        plan = self._plan
        for asked in (self._asked | self._references).values():
            await closed_loop(asked.send, asked.stream, clients=WARM_UP_CLIENTS, seconds=plan.warm_up_seconds)
        results: list[dict[str, Any]] = []
        if "closed" in plan.loops:
            results += await self._measure(self._closed_cases(plan.clients), plan.repeats)
        if "open" in plan.loops:
            ceilings = results
            if not plan.rates and not ceilings:
                ceilings = await self._measure(self._closed_cases(plan.clients[-1:]), 1)
            results += await self._measure(self._open_cases(_rates(plan, ceilings), rng), plan.repeats)
        return results

    def _closed_cases(self, clients: Sequence[int]) -> list[_Case]:
        seconds = self._plan.closed_seconds
        return [
            _Case(
                {"workload": name, "loop": "closed", "clients": number},
                asked.pids,
                partial(closed_loop, asked.send, asked.stream, clients=number, seconds=seconds),
            )
            for name, asked in (self._references | self._asked).items()
            for number in clients
        ]

    def _open_cases(self, rates: dict[str, Sequence[float]], rng: random.Random) -> list[_Case]:
        return [
            _Case(
                {"workload": name, "loop": "open", "rate": rate},
                asked.pids,
                partial(self._open_run, asked, rate, rng),
            )
            for name, asked in self._asked.items()
            for rate in rates[name]
        ]

    async def _open_run(self, asked: _Asked, rate: float, rng: random.Random) -> Trace:
        seconds = self._plan.open_seconds
        poisson = self._plan.arrivals == "poisson"
        arrivals = poisson_arrivals(rate, seconds, rng) if poisson else constant_arrivals(rate, seconds)
        return await open_loop(asked.send, asked.stream, arrivals, deadline_s=self._plan.deadline_s)

    async def _measure(self, cases: list[_Case], repeats: int) -> list[dict[str, Any]]:
        for repeat in range(1, repeats + 1):
            for case in cases:
                gc.collect()
                before = cpu_seconds(case.pids)
                trace = await case.run()
                used = {name: seconds - before[name] for name, seconds in cpu_seconds(case.pids).items()}
                case.traces.append(trace)
                case.runs.append(summarise_run(trace, used))
                self._say(f"repeat {repeat}: {_describe(case)}")
        return [case.result() for case in cases]


async def _product_ids(client: VitrineClient, rng: random.Random) -> list[str]:
    """Collect ids of the index by searching for all sorts of things."""
    ids: set[str] = set()
    for request in islice(text_requests(Material((), ()), rng), _SEARCHES_FOR_IDS):
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
        if case["clients"] == plan.clients[-1]
    }
    return {
        name: [max(1.0, float(f"{ceilings[name] * fraction:.2g}")) for fraction in plan.fractions]
        for name in plan.workloads
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
