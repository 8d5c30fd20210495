"""What other servers of the same graphs do beside ours, as Markdown."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from benchmarks.summary import serving_cpu_ms
from benchmarks.tables import Document, origin, table

_OURS = "vitrine"
_MOST_FAILED = 0.01
"""Of the requests: a server that sheds or fails more of them is not within the bound."""

_Row = Mapping[str, Any]


def peers_section(name: str, document: Document) -> list[str]:
    """Return what each server does at an equal p99 and by clients, and how its CPU compares with ours for the same query and clients."""
    rows, params = document["results"], document["params"]
    lines = [*origin(name, document), f"{params['repeats']} repeats, in turn.", ""]
    if bounds := params.get("bounds_ms"):
        lines += [*_equal_p99(rows, bounds, params["clients"]), ""]
    lines += _by_clients(rows)
    if missing := params.get("left out"):
        lines += ["", f"Left out, for it could not be installed or did not start: {', '.join(missing)}."]
    return lines


def best_within(row_by_clients: Sequence[_Row], bound_ms: float, repeat: int) -> tuple[float, int] | None:
    """Return the most answers a second of a repeat whose p99 is within the bound, and the clients that got them; None where none is."""
    found = [
        (float(run["answered_per_s"]), int(row["clients"]))
        for row in row_by_clients
        for run in row["repeats"][repeat : repeat + 1]
        if _within(run, bound_ms)
    ]
    return max(found, default=None)


def _within(run: Mapping[str, Any], bound_ms: float) -> bool:
    requests, answered = int(run["requests"]), int(run["answered"])
    if not answered or requests - answered > _MOST_FAILED * requests:
        return False
    return float(run["latency_ms"]["p99"]) <= bound_ms


def _equal_p99(rows: Sequence[_Row], bounds: Mapping[str, float], clients: Sequence[int]) -> list[str]:
    """Return the table of throughput under one bound of the p99, a row a server and kind of query."""
    header = ["query", "p99 within", "server", "answers/s", "ours over it", "clients"]
    lines = []
    for kind, bound in bounds.items():
        ours = _rates(rows, _OURS, kind, bound)
        for peer in sorted({row["peer"] for row in rows if row["kind"] == kind}):
            rates = _rates(rows, peer, kind, bound)
            lines.append([kind, f"{bound:g} ms", peer, *_cells(rates, ours)])
    ladder = ", ".join(map(str, clients))
    return [
        f"The most answers a second with the p99 within a bound, of {ladder} clients:",
        "",
        *table(header, lines),
    ]


def _rates(rows: Sequence[_Row], peer: str, kind: str, bound: float) -> list[tuple[float, int] | None]:
    own = [row for row in rows if row["peer"] == peer and row["kind"] == kind]
    repeats = max((len(row["repeats"]) for row in own), default=0)
    return [best_within(own, bound, repeat) for repeat in range(repeats)]


def _cells(
    rates: Sequence[tuple[float, int] | None], ours: Sequence[tuple[float, int] | None]
) -> Iterator[str]:
    reached = [each for each in rates if each]
    ratios = [mine[0] / theirs[0] for mine, theirs in zip(ours, rates, strict=False) if mine and theirs]
    if not reached:
        yield from ("none", "-", "-")
        return
    within = f", in {len(reached)} of {len(rates)} repeats" if len(reached) < len(rates) else ""
    yield _spread([rate for rate, _ in reached]) + within
    yield _spread(ratios) if ratios else "-"
    yield " ".join(map(str, sorted({clients for _, clients in reached})))


def _by_clients(rows: Sequence[_Row]) -> list[str]:
    ours = {
        (row["kind"], row["clients"]): median(serving_cpu_ms(row))
        for row in rows
        if row["peer"] == _OURS and row["pooled"]["answered"]
    }
    header = [
        *("query", "clients", "server", "answers/s", "p50 ms", "p99 ms", "CPU ms an answer", "of ours"),
        *("shed or failed", "memory MB", "start s"),
    ]
    cells = [
        _row(row, ours.get((row["kind"], row["clients"])))
        for row in sorted(rows, key=lambda row: (row["kind"], row["clients"], row["peer"]))
        if row["pooled"]["answered"]
    ]
    return table(header, cells)


def _row(row: _Row, ours: float | None) -> list[str]:
    pooled, used = row["pooled"], serving_cpu_ms(row)
    return [
        *(row["kind"], str(row["clients"]), row["peer"]),
        f"{pooled['answered_per_s']:.3g}",
        *(f"{pooled['latency_ms'][q]:.3g}" for q in ("p50", "p99")),
        _spread(used),
        "-" if ours is None else f"{median(used) / ours:.2f}",
        str(sum(pooled["errors"].values()) + pooled["shed"]),
        *(str(row["memory_mb"]), "-" if row["start_s"] is None else f"{row['start_s']:g}"),
    ]


def _spread(values: Sequence[float]) -> str:
    return f"{median(values):.3g} ({min(values):.3g}-{max(values):.3g})"
