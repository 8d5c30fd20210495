"""`python -m benchmarks features`: what features cost the gateway in searches that make no use of them.

A gateway runs without any of them, one with each of them alone, and one with all, before the same Triton, Milvus and
rewriter; a bare server (`benchmarks.bare`) runs beside. All are loaded in turn, in another order each round. CPU time
is counted, and each gateway's is set against that of the one without features, of the same round.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.bare import bare_server
from benchmarks.costs import change_cell
from benchmarks.environment import describe_machine
from benchmarks.generator import closed_loop, sender
from benchmarks.levers import (
    FEATURES,
    GATEWAY,
    LeverPlan,
    Side,
    behind,
    describe,
    paired_figures,
    running_gateway,
    used_by,
)
from benchmarks.processes import BARE_SERVER
from benchmarks.tables import Document, origin, table
from benchmarks.workloads import WORKLOADS, Material, Request, read_pictures
from catalogue.randomness import generator
from vitrine.client import VitrineClient

NONE, ALL = "none", "all"

_WARM_UP_S = 1.0


async def measure_features(
    revision: str,
    plan: LeverPlan,
    *,
    pids: dict[str, int],
    queries: Path,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Compare gateways of a revision by what they have on, on the stack of those processes; return the result's document.

    Raises:
        ServingError: a gateway did not start, or git does not know the revision.
    """
    environment = describe_machine()
    named = describe(revision)
    variants = {NONE: (), **{name: (name,) for name in plan.features}, ALL: plan.features}
    material = Material(read_pictures(queries), ())
    streams = {name: WORKLOADS[name](material, generator(name, plan.salt)) for name in plan.workloads}
    with ExitStack() as stack:
        started = {
            name: stack.enter_context(running_gateway(named.name, pids[GATEWAY], features=features))
            for name, features in variants.items()
        }
        started[BARE_SERVER] = stack.enter_context(bare_server())
        used = await _rounds(started, plan, streams, behind(pids), say)
    results = [workload_figures(workload, costs) for workload, costs in used.items()]
    params = {"benchmark": "features", "revision": asdict(named)} | asdict(plan)
    return {"environment": environment, "params": params, "results": results}


async def _rounds(
    started: Mapping[str, tuple[str, int]],
    plan: LeverPlan,
    streams: Mapping[str, Iterator[Request]],
    others: dict[str, int],
    say: Callable[[str], None],
) -> dict[str, dict[str, list[float]]]:
    """Return the CPU per search of each side, in ms, by workload; a value a round."""
    used: dict[str, dict[str, list[float]]] = {
        workload: {name: [] for name in started} for workload in streams
    }
    async with AsyncExitStack() as stack:
        sides = {
            name: Side(
                await stack.enter_async_context(VitrineClient(address, timeout_s=30, retry=False)), pid
            )
            for name, (address, pid) in started.items()
        }
        for stream in streams.values():
            for side in sides.values():
                await closed_loop(sender(side.client), stream, clients=plan.clients, seconds=_WARM_UP_S)
        names = list(sides)
        for number in range(plan.pairs):
            turned = names[number % len(names) :] + names[: number % len(names)]
            for workload, stream in streams.items():
                for name in turned if number % 2 else reversed(turned):
                    run = await used_by(sides[name], stream, plan, {} if name == BARE_SERVER else others)
                    used[workload][name].append(run.gateway)
            told = {workload: f"{costs[ALL][-1] / costs[NONE][-1]:.3f}" for workload, costs in used.items()}
            say(f"round {number + 1} of {plan.pairs}: all over none {told}")
    return used


def workload_figures(workload: str, costs: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Return the figures of one workload from the CPU of each side by round, in ms a search."""
    return {
        "workload": workload,
        "none_ms": round(median(costs[NONE]), 3),
        "bare_ms": round(median(costs[BARE_SERVER]), 3),
        "over_none": {
            name: paired_figures(costs[NONE], values)
            for name, values in costs.items()
            if name not in (NONE, BARE_SERVER)
        },
        "over_bare": {name: paired_figures(costs[BARE_SERVER], costs[name]) for name in (NONE, ALL)},
    }


def features_section(name: str, document: Document) -> list[str]:
    """Return what each feature adds to searches that make no use of it, and how the gateway stands to a bare server."""
    params = document["params"]
    header = [
        *("query", "bare server, ms", "without features, ms", "of bare", "with all, ms", "of bare"),
        *(f"{each} on, of without" for each in (*FEATURES, ALL)),
    ]
    rows = []
    for row in document["results"]:
        over_none, over_bare = row["over_none"], row["over_bare"]
        rows.append(
            [
                *(row["workload"], f"{row['bare_ms']:.3g}"),
                *(f"{row['none_ms']:.3g}", change_cell(over_bare[NONE])),
                *(f"{over_none[ALL]['after_ms']:.3g}", change_cell(over_bare[ALL])),
                *(change_cell(over_none[each]) for each in (*FEATURES, ALL)),
            ]
        )
    return [
        *origin(name, document),
        f"{params['pairs']} rounds of {params['seconds']:g} s a gateway at {params['clients']} clients.",
        "",
        *table(header, rows),
    ]
