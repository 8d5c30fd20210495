"""What things cost beside each other, as Markdown: stages, levers, and settings of the batcher."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from benchmarks.tables import Document, origin, table


def stages_section(documents: Mapping[str, Document]) -> list[str]:
    """Return for each family what raw stages, ensembles and searches cost, and how often the one goes into the other."""
    lines: list[str] = []
    for name, document in documents.items():
        lines += [f"### {name.removeprefix('stages-').removesuffix('.json').capitalize()}", ""]
        lines += [*origin(name, document), f"{document['params']['repeats']} repeats.", ""]
        lines += _stages_table(document)
        if second := document["params"].get("perf_analyzer"):
            lines += ["", *_second_opinion(second)]
        lines.append("")
    return lines[:-1]


def _stages_table(document: Document) -> list[str]:
    columns = [
        (f"{name}, {clients}", f"{name}_ms", clients)
        for name in ("ensemble", "search")
        for clients in document["results"][0][f"{name}_ms"]
    ]
    header = ["query", "raw, batch 1", "raw, cheapest batch", *(name for name, _, _ in columns)]
    header += [f"{name} over raw" for name, _, _ in columns]
    rows = []
    for row in document["results"]:
        cheapest = [min(each) for each in zip(*row["raw_ms"].values(), strict=True)]
        cost = [row["raw_ms"]["1"], cheapest, *(row[key][clients] for _, key, clients in columns)]
        ratios = row["ratios"].values()
        rows.append([row["kind"], *(f"{median(each):.3g}" for each in cost), *map(_spread, ratios)])
    return table(header, rows)


def levers_section(documents: Mapping[str, Document]) -> list[str]:
    """Return what each commit changed in the gateway's CPU per search, and in that of all that serves."""
    lines: list[str] = []
    for name, document in documents.items():
        params = document["params"]
        header = ["from", "to", "query", "gateway, ms", "of before", "all that serves, ms", "of before"]
        rows = [
            [f"{case['before']['name']}", _to(case), case["workload"]]
            + [cell for figure in ("gateway", "whole") for cell in _lever(case[figure])]
            for case in document["results"]
        ]
        lines += [
            *origin(name, document),
            f"{params['pairs']} pairs of {params['seconds']:g} s at {params['clients']} clients.",
            "",
        ]
        lines += [*table(header, rows), ""]
    return lines[:-1]


def _to(case: Mapping[str, Any]) -> str:
    """Return the revision, and what it says of itself where it alone lies between the two."""
    commits = case["commits"]
    return f"{case['after']['name']}, {f'{commits} commits' if commits > 1 else case['after']['subject']}"


def _lever(figure: Mapping[str, Any]) -> tuple[str, str]:
    return f"{figure['before_ms']:.3g} to {figure['after_ms']:.3g}", change_cell(figure)


def sweep_section(documents: Mapping[str, Document]) -> list[str]:
    """Return for each family how the figures of each variant stand to those of what is served."""
    lines: list[str] = []
    for name, document in documents.items():
        loads = list(document["results"][0]["changes"])
        header = [
            "variant",
            *(f"{load}, {figure}" for load in loads for figure in ("answers/s", "p50", "CPU")),
        ]
        rows = [
            [row["variant"], *(change_cell(each) for load in loads for each in row["changes"][load].values())]
            for row in document["results"]
        ]
        lines += [f"### {name.removeprefix('sweep-').removesuffix('.json').capitalize()}, settings", ""]
        lines += [*origin(name, document), f"{document['params']['repeats']} repeats, in turn.", ""]
        lines += [*table(header, rows), ""]
    return lines[:-1]


def change_cell(change: Mapping[str, Any]) -> str:
    """Return a ratio with its bounds, bold where it is more than noise."""
    middle, low, high = change["ratio"]
    text = f"{middle:.2f} ({low:.2f}-{high:.2f})"
    return f"**{text}**" if change["seen"] else text


def _second_opinion(second: Mapping[str, Any]) -> list[str]:
    head = ["generator", "answers/s", "p50 ms", "p95 ms", "p99 ms"]
    rows = [
        [name, *(f"{each[key]:.4g}" for key in ("answers_per_s", "p50_ms", "p95_ms", "p99_ms"))]
        for name in ("ours", "perf_analyzer")
        for each in second[name]
    ]
    return [f"`{second['model']}` at {second['clients']} clients, in turn:", "", *table(head, rows)]


def _spread(ratio: Sequence[float]) -> str:
    middle, low, high = ratio
    return f"{middle:.3g} ({low:.3g}-{high:.3g})"
