"""The tables of docs/export.md: what NVIDIA's own parser and builder made of every graph."""

import json
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks.tables import Document

DOCUMENT = Path("docs/export.md")
RESULT = "tensorrt-check.json"
NONE_YET = ["No result yet."]

_Row = Mapping[str, Any]


def sections(results: Path) -> dict[str, list[str]]:
    """Return the lines of the section, by its name."""
    path = results / RESULT
    return {"plans": _plans(json.loads(path.read_text())) if path.exists() else NONE_YET}


def _plans(document: Document) -> list[str]:
    environment, rows = document["environment"], document["results"]
    refused = [row for row in rows if row["refused"]]
    faults = sum(not row["excuse"] for row in refused)
    origin = (
        f"[{RESULT}](../benchmarks/results/{RESULT}); TensorRT-RTX {environment['tensorrt_rtx']}; "
        f"{environment['processor']}, {environment['cores']} cores, no GPU; commit {environment['commit']}; "
        f"load average {environment['load_average_1_min']:g} at its end."
    )
    counts = (
        f"{len(rows) - len(refused)} plans for batches of 1 to {document['params']['largest_batch']}, and {len(refused)} refusals, "
        f"of which {faults} {'was' if faults == 1 else 'were'} not expected. Seconds are of CPU, for one plan."
    )
    head = ["family", "weights", "encoder", "precision", "graph MB", "for SM", "plan MB", "seconds"]
    return [origin, "", counts, "", *_table(head, _built(rows)), "", *_refusals(refused), *_warnings(rows)]


def _built(rows: Sequence[_Row]) -> list[list[str]]:
    def graph(row: _Row) -> tuple[str, ...]:
        return row["family"], row["weights"], row["encoder"].replace("_", " "), row["precision"]

    table = []
    for names, group in groupby(rows, key=graph):
        tried = list(group)
        plans = [row for row in tried if not row["refused"]]
        table.append(
            [
                *names,
                f"{tried[0]['graph_bytes'] / 1e6:.2f}",
                " ".join(row["capability"] for row in plans) or "none",
                _range([row["plan_bytes"] / 1e6 for row in plans], digits=2),
                _range([row["seconds"] for row in plans], digits=1),
            ]
        )
    return table


def _refusals(refused: Sequence[_Row]) -> list[str]:
    """Return a row for each kind of refusal, with the words of the first."""
    kinds: dict[tuple[str, str, str], list[_Row]] = {}
    for row in refused:
        on = f"SM{row['capability']}" if row["capability"] else "all"
        kinds.setdefault((row["precision"], on, row["excuse"] or "**not expected**"), []).append(row)
    if not kinds:
        return ["None was refused."]
    table = [[*kind, str(len(rows)), f"`{rows[0]['refused']}`"] for kind, rows in kinds.items()]
    return _table(["refused", "for", "why", "graphs", "TensorRT's words, of the first"], table)


def _warnings(rows: Sequence[_Row]) -> list[str]:
    """Return a row for each warning with the graphs that it is about, after an empty line."""
    graphs: dict[str, list[str]] = {}
    for row in rows:
        for warning in row["warnings"]:
            about = graphs.setdefault(warning, [])
            name = f"{row['family']} {row['encoder'].removesuffix('_encoder')} {row['precision']}"
            if name not in about:
                about.append(name)
    if not graphs:
        return []
    table = [[f"`{warning}`", ", ".join(about)] for warning, about in graphs.items()]
    return ["", *_table(["TensorRT warns", "graphs"], table)]


def _range(values: Sequence[float], *, digits: int) -> str:
    low, high = (f"{value:.{digits}f}" for value in (min(values, default=0), max(values, default=0)))
    if not values:
        return "-"
    return low if low == high else f"{low}-{high}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines]
