"""A second core: the whole service on one core with one gateway, and on two cores with two gateways, in turn.

Everything that serves and the generator are held on the cores of the case, so that the second case has twice of all that
the first one has. The rate says how well a second core is used where nothing else runs; CPU a search says on any machine
whether it makes a search dearer. The generator's CPU is told apart: what it takes, a service with callers elsewhere has.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from benchmarks.environment import describe_environment
from benchmarks.gateways import busiest_share, open_sender
from benchmarks.generator import Trace, closed_loop
from benchmarks.processes import GENERATOR, cpu_seconds
from benchmarks.serving import Served
from benchmarks.summary import summarise_repeats, summarise_run
from benchmarks.workloads import WORKLOADS, Material, read_pictures
from catalogue.randomness import generator
from vitrine.client import VitrineClient

KINDS = ("text, repeated", "text", "image")
CLIENTS_A_CORE = 8
CONNECTIONS = 4
_WARM_UP_S = 0.5


@dataclass(slots=True)
class _Case:
    cores: tuple[int, ...]
    address: str
    traces: list[Trace] = field(default_factory=list)
    runs: list[dict[str, Any]] = field(default_factory=list)


async def measure_cores(
    served: Served, *, seconds: float, repeats: int, salt: str, say: Callable[[str], None]
) -> dict[str, Any]:
    """Return the document of the result file: a case for each kind of query and number of cores, and their ratios.

    Raises:
        ValueError: there are fewer than two cores, or not two gateways.
    """
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2 or len(served.gateways) < 2:  # noqa: PLR2004 - a second one
        raise ValueError(f"needs two cores and two gateways, got {len(cores)} and {len(served.gateways)}")
    both = f"ipv4:{','.join(served.gateways[:2])}"
    material = Material(read_pictures(served.queries), ())
    results = []
    for kind in KINDS:
        requests = WORKLOADS[kind](material, generator("cores", salt + kind))
        cases = [_Case((cores[0],), served.gateways[0]), _Case(tuple(cores), both)]
        for repeat in range(repeats):
            for case in cases if repeat % 2 == 0 else reversed(cases):
                with held(case.cores, served.pids.values()):
                    await _run(case, requests, served.pids, seconds)
        results.append(_result(kind, cases))
        say(f"{kind}: {results[-1]['second_core']}")
    async with VitrineClient(served.address) as client:
        environment = describe_environment(await client.describe())
    params = {"benchmark": "cores", "seconds": seconds, "repeats": repeats, "clients_a_core": CLIENTS_A_CORE}
    return {"environment": environment, "params": params, "results": results}


async def _run(case: _Case, requests: Iterator[Any], pids: Mapping[str, int], seconds: float) -> None:
    clients = CLIENTS_A_CORE * len(case.cores)
    async with AsyncExitStack() as stack:
        send = await open_sender(stack, case.address, CONNECTIONS)
        await closed_loop(send, requests, clients=clients, seconds=_WARM_UP_S)
        before = cpu_seconds(dict(pids))
        trace = await closed_loop(send, requests, clients=clients, seconds=seconds)
        used = {name: value - before[name] for name, value in cpu_seconds(dict(pids)).items()}
    case.traces.append(trace)
    case.runs.append(
        summarise_run(trace, used)
        | {"busiest_share": busiest_share(used), "cores_used": round(sum(used.values()) / trace.seconds, 3)}
    )


def _result(kind: str, cases: Sequence[_Case]) -> dict[str, Any]:
    one, two = ([_served_ms(run) for run in case.runs] for case in cases)
    rates = [[run["answered_per_s"] for run in case.runs] for case in cases]
    dearer = [after / before for before, after in zip(one, two, strict=True)]
    return {
        "workload": kind,
        "cases": [
            {
                "cores": len(case.cores),
                "pooled": summarise_repeats(case.traces, case.runs),
                "repeats": case.runs,
            }
            for case in cases
        ],
        "second_core": {
            # Of a pair of neighbouring runs: 1 where two cores answer twice as many.
            "rate": spread([after / before / 2 for before, after in zip(*rates, strict=True)]),
            # 1 where a search costs as much CPU beside a second gateway.
            "cpu": spread([1 / ratio for ratio in dearer]),
        },
    }


def spread(values: Sequence[float]) -> list[float]:
    """Return the median, the lowest and the highest, to three digits."""
    return [round(value, 3) for value in (median(values), min(values), max(values))]


def _served_ms(run: Mapping[str, Any]) -> float:
    """Return the CPU of all that serves, a search."""
    return sum(ms or 0.0 for name, ms in run["cpu_ms_per_answer"].items() if name != GENERATOR)


@contextmanager
def held(cores: Sequence[int], pids: Any) -> Iterator[None]:
    """Keep the processes, their descendants and this one on those cores, and let them go afterwards."""
    before = os.sched_getaffinity(0)
    _place(cores, pids)
    try:
        yield
    finally:
        _place(sorted(before), pids)


def _place(cores: Sequence[int], pids: Any) -> None:
    processes = [psutil.Process(pid) for pid in pids]
    below = [child for process in processes for child in process.children(recursive=True)]
    for process in [*processes, *below, psutil.Process()]:
        # Affinity is a thread's own: new threads have that of the one that starts them.
        for thread in _threads(process.pid):
            try:
                os.sched_setaffinity(thread, cores)
            except ProcessLookupError:
                continue


def _threads(pid: int) -> list[int]:
    try:
        return [int(each.name) for each in Path(f"/proc/{pid}/task").iterdir()]
    except FileNotFoundError:
        return []
