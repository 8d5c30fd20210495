"""The tables of docs/capacity.md, and the one that `python -m benchmarks capacity` prints."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import yaml

from benchmarks.capacity import (
    EXACT_ROWS,
    LINKS,
    MIX,
    PARTS,
    USUAL,
    Costs,
    Load,
    Plan,
    graph_bytes,
    look_up,
    plan,
    read_costs,
)
from benchmarks.tables import table

DOCUMENT = Path("docs/capacity.md")
CHART = Path("helm/vitrine/values.yaml")

SEARCHES = (1_000, 10_000, 100_000)
PRODUCTS = (10_000_000, 100_000_000, 1_000_000_000)

EXAMPLE = Load(
    searches=350,
    products=2_000_000,
    mix={"text, repeated": 0.3, "text": 0.5, "image": 0.15, "rewritten": 0.05},
    pictures=1.5,
)
"""The load of the worked example, whose command stands in the document."""

_NAMES = {"gateway": "gateway", "triton": "Triton", "rewriter": "rewriter", "milvus": "Milvus"}


def sections(results: Path) -> dict[str, list[str]]:
    """Return the lines of every section, by its name."""
    costs, pods = read_costs(results), chart_pods()
    return {
        "costs": _costs(costs),
        "plan": _grid(costs, pods),
        "first": _first(costs, pods),
        "index": _index(costs),
        "example": plan_lines(EXAMPLE, costs, pods),
    }


def chart_pods() -> dict[str, tuple[int, float]]:
    """Return the replicas and the cores of a pod that the chart has by default."""
    values = yaml.safe_load(CHART.read_text())
    return {
        name: (int(values[name]["replicas"]), _cores(str(values[name]["resources"]["requests"]["cpu"])))
        for name in PARTS
        if name != "milvus"
    }


def plan_lines(load: Load, costs: Costs, pods: Mapping[str, tuple[int, float]]) -> list[str]:
    """Return one plan as a table, and below it what it comes from."""
    planned = plan(load, costs)
    rows = [
        [
            _NAMES[part.name],
            _figure(part.ms),
            _figure(part.cores),
            f"{planned.nodes:,} query nodes of {load.node_cores} cores and {load.node_gib:g} GiB"
            if part.name == "milvus"
            else f"{_pods(part.cores, pods[part.name]):,} pods of {pods[part.name][1]:g} cores",
        ]
        for part in planned.parts
    ]
    return [
        *table(["part", "CPU ms a search", "cores", "which is"], rows),
        "",
        (
            f"{load.searches:,.0f} searches a second over {load.products:,} products ({planned.rows:,} rows) with a core in use to"
            f" {load.use:.0%}. Most cores go to {_NAMES[planned.first]}. Embedded are {planned.texts:,.0f} texts and"
            f" {planned.pictures:,.0f} pictures a second."
        ),
        "",
        (
            f"One copy of the index takes {planned.index_gib:,.1f} GiB in {planned.segments:,} segments; {load.replicas} copies need"
            f" {planned.nodes_for_memory:,} query nodes, and the CPU needs {planned.nodes_for_cpu:,}."
            f"{_beyond(planned.rows, costs)}"
        ),
    ]


def _costs(costs: Costs) -> list[str]:
    sources = ", ".join(
        f"[{name}](../benchmarks/results/{name}) ({busy:.0f})" for name, busy in costs.sources.items()
    )
    kinds = [kind for kind in costs.cpu_ms if kind in MIX] + [
        kind for kind in costs.cpu_ms if kind not in MIX
    ]
    rows = [
        [
            kind,
            f"{MIX.get(kind, 0):.0%}",
            *(_figure(costs.cpu_ms[kind][name]) for name in PARTS if name != "milvus"),
            _figure(costs.look_ups[kind]),
        ]
        for kind in kinds
    ]
    header = ["kind of search", "share", *(f"{_NAMES[name]}, ms" for name in PARTS[:-1]), "look-ups"]
    return [
        f"Computed from, with the load average of the machine when each began: {sources}.",
        "",
        *table(header, rows),
    ]


def _grid(costs: Costs, pods: Mapping[str, tuple[int, float]]) -> list[str]:
    rows = []
    for products in PRODUCTS:
        for searches in SEARCHES:
            load = replace(USUAL, searches=searches, products=products)
            planned = plan(load, costs)
            cores = {part.name: part.cores for part in planned.parts}
            rows.append(
                [
                    f"{products / 1e6:,.0f} M",
                    f"{searches:,}",
                    f"{_pods(cores['gateway'], pods['gateway']):,}",
                    _figure(cores["triton"]),
                    _figure(cores["rewriter"]),
                    _figure(cores["milvus"]),
                    f"{planned.texts:,.0f} + {planned.pictures:,.0f}",
                    f"{planned.index_gib:,.0f}",
                    f"{planned.nodes:,} ({_set_by(planned)})",
                    _first_of(planned),
                ]
            )
    header = [
        "products", "searches/s", "gateway pods", "Triton cores", "rewriter cores", "Milvus cores", "texts + pictures embedded/s",
        "GiB a copy", "query nodes", "most cores in",
    ]  # fmt: skip
    return [
        (
            f"A core in use to {USUAL.use:.0%}, {USUAL.replicas} copies of the index, {USUAL.filtered:.0%} of the look-ups with a"
            f" condition, {USUAL.pictures:g} picture a product, segments of {USUAL.segment_gib:g} GiB, query nodes of {USUAL.node_cores} cores and {USUAL.node_gib:g} GiB,"
            f" of which the index takes {USUAL.node_fill:.0%}."
            f"{_beyond(PRODUCTS[0], costs)}"
        ),
        "",
        *table(header, rows),
    ]


def _first(costs: Costs, pods: Mapping[str, tuple[int, float]]) -> list[str]:
    """Return how many searches a second the chart's default pods carry, and the fewest nodes that hold the index."""
    lines = []
    for products in PRODUCTS:
        load = replace(USUAL, searches=1, products=products)
        planned = plan(load, costs)
        carried = []
        for part in planned.parts:
            if part.name == "milvus":
                nodes, cores = planned.nodes_for_memory, float(load.node_cores)
            else:
                nodes, cores = pods[part.name]
            # A part that no search of the mix needs never saturates.
            most = nodes * cores / part.cores if part.cores else math.inf
            carried.append((most, f"{_NAMES[part.name]} {most:,.0f} ({nodes:,} x {cores:g})"))
        lines.append([f"{products / 1e6:,.0f} M", *(told for _, told in sorted(carried))])
    header = ["products", "saturates first, searches/s", "then", "then", "last"]
    return table(header, lines)


def _index(costs: Costs) -> list[str]:
    vector = costs.dim * 4
    rows = []
    for size in (EXACT_ROWS, 200_000, 1_000_000, *PRODUCTS):
        exact = size <= EXACT_ROWS
        formula = vector if exact else vector + graph_bytes(LINKS)
        loads = [replace(USUAL, products=size, filtered=share) for share in (0.0, 1.0)]
        planned = plan(loads[0], costs)
        rows.append(
            [
                f"{size:,}",
                "FLAT" if exact else "HNSW",
                f"{size * formula / 2**30:,.2f}",
                f"{planned.index_gib:,.2f}" if costs.row_bytes else "not measured",
                f"{planned.segments:,}",
                *(f"{look_up(size, load, costs):,.1f}" for load in loads),
                f"{planned.build_hours:,.1f}",
                "measured" if size <= costs.measured_rows else f"x {size / costs.measured_rows:,.0f}",
            ]
        )
    header = [
        "rows", "index", "vectors and links, GiB", "with columns, GiB", "segments", "look-up, CPU ms", "with a condition",
        "core-hours to build", "beyond what was measured",
    ]  # fmt: skip
    return table(header, rows)


def _beyond(rows: int, costs: Costs) -> str:
    """Return a sentence where the index is larger than any that was measured."""
    if rows <= costs.measured_rows:
        return ""
    return f" The largest index that was measured has {costs.measured_rows:,} rows: a larger one is extrapolated by its segments."


def _set_by(planned: Plan) -> str:
    return "memory" if planned.nodes_for_memory >= planned.nodes_for_cpu else "CPU"


def _first_of(planned: Plan) -> str:
    total = sum(part.cores for part in planned.parts)
    most = max(planned.parts, key=lambda part: part.cores)
    return f"{_NAMES[most.name]}, {most.cores / total:.0%}"


def _pods(cores: float, pod: tuple[int, float]) -> int:
    """Return the pods for so many cores: two at least, so that one may go."""
    return max(2, math.ceil(cores / pod[1]))


def _cores(quantity: str) -> float:
    """Return the cores of a Kubernetes quantity."""
    return float(quantity[:-1]) / 1_000 if quantity.endswith("m") else float(quantity)


def _figure(value: float) -> str:
    """Return three significant digits, and whole numbers in full from 100 on."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"  # noqa: PLR2004 - three digits


def read_mix(text: str) -> dict[str, float]:
    """Read "KIND=SHARE, KIND=SHARE"; a kind's own comma is part of its name.

    Raises:
        ValueError: something is no share.
    """
    mix: dict[str, float] = {}
    pending: Sequence[str] = ()
    for piece in text.split(","):
        name, equals, share = piece.partition("=")
        pending = [*pending, name.strip()]
        if equals:
            mix[", ".join(pending)] = float(share)
            pending = ()
    if pending:
        raise ValueError(f"no share: {', '.join(pending)}")
    return mix


def answer(load: Load, results: Path) -> list[str]:
    """Return the plan for a load, as the command prints it."""
    return plan_lines(load, read_costs(results), chart_pods())
