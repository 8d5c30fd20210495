"""More than one core, hours and many rows, as tables."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.processes import GENERATOR
from benchmarks.tables import Document, origin, table


def cores_section(documents: Mapping[str, Document]) -> list[str]:
    """Return rates and CPU on one core and on two, and what the second brought."""
    lines: list[str] = []
    for name, document in documents.items():
        rows = []
        for result in document["results"]:
            one, two = (case["pooled"] for case in result["cases"])
            share = max(run["busiest_share"] for run in result["cases"][1]["repeats"])
            rows.append(
                [
                    result["workload"],
                    *(f"{case['answered_per_s']:,.0f}" for case in (one, two)),
                    _with_range(result["second_core"]["rate"]),
                    *(f"{_service_ms(case):.2f}" for case in (one, two)),
                    _with_range(result["second_core"]["cpu"]),
                    *(f"{case['cpu_ms_per_answer']['generator']:.2f}" for case in (one, two)),
                    f"{share:.2f}",
                ]
            )
        header = [
            "query", "answers/s, 1 core", "2 cores", "rate over twice", "CPU ms a search, 1 core", "2 cores", "CPU of one over two",
            "generator, 1 core", "2 cores", "busier gateway's share, at most",
        ]  # fmt: skip
        lines += [*origin(name, document), "", *table(header, rows), ""]
    return lines[:-1]


def uptime_section(documents: Mapping[str, Document]) -> list[str]:
    """Return what a search costs, old over young, and the memory of both ages."""
    lines: list[str] = []
    for name, document in documents.items():
        params, results = document["params"], document["results"]
        parts = list(dict.fromkeys(part for ratios in results["ratios"].values() for part in ratios))
        minutes = (results["old"]["up_s"]["gateway"] - results["young"]["up_s"]["gateway"]) / 60
        lines += [
            *origin(name, document),
            f"{minutes:,.0f} minutes, {params['rebuilds']} rebuilds and {params['searches']:,} searches lie between the two.",
            "",
            *table(
                ["CPU a search, old over young", *parts],
                [
                    [kind, *(f"{ratios[part]:.2f}" if part in ratios else "-" for part in parts)]
                    for kind, ratios in results["ratios"].items()
                ],
            ),
            "",
            *table(
                ["memory, MB", "young", "old"],
                [
                    [part, f"{held:,.0f}", f"{results['old']['memory_mb'][part]:,.0f}"]
                    for part, held in results["young"]["memory_mb"].items()
                ],
            ),
            "",
        ]
    return lines[:-1]


def _with_range(figure: Sequence[float]) -> str:
    middle, low, high = figure
    return f"{middle:.2f} ({low:.2f}-{high:.2f})"


def _service_ms(pooled: Mapping[str, Any]) -> float:
    return sum(ms or 0.0 for name, ms in pooled["cpu_ms_per_answer"].items() if name != GENERATOR)


def bulk_section(documents: Mapping[str, Document]) -> list[str]:
    """Return what was found after the kills, how long it took, and the CPU by process."""
    lines: list[str] = []
    for name, document in documents.items():
        params, results = document["params"], document["results"]
        rows = params["rows"]
        how = (
            f"By {params.get('by', 'upserts')}{' on a real server' if params['milvus'] == 'http' else ''}: {rows:,} drawn rows, {results['good_rows']:,} of them good, on {params['workers']} workers of a local Ray. One worker was"
            f" killed at a quarter of them, the whole run at half with {results['parts_kept']} parts of 256 rows kept; it was run again"
            f" to its end: {results['first_run_s']:,.0f} and {results['second_run_s']:,.0f} s."
        )
        found = (
            f"{results['good_rows'] / results['second_run_s']:,.0f} rows a second in the second run, the wait for the dead run's lease in it."
            f" In the index afterwards: {results['products']:,} products, {results['missing']} missing, {results['twice']} twice,"
            f" {results['foreign']} that should not be there."
        )
        lines += [
            *origin(name, document),
            "",
            how,
            "",
            found,
            "",
            *table(
                ["process", "CPU s", "ms a row"],
                [
                    [role, f"{seconds:,.0f}", f"{1_000 * seconds / rows:.2f}"]
                    for role, seconds in results["cpu_s"].items()
                ],
            ),
            "",
        ]
    return lines[:-1]


def index_section(documents: Mapping[str, Document]) -> list[str]:
    """Return recall and cost of every kind of index, without a filter and with filters, at each size."""
    lines: list[str] = []
    for name, document in sorted(documents.items(), key=lambda item: item[1]["params"]["rows"]):
        params, environment = document["params"], document["environment"]
        shares = list(dict.fromkeys(case["filter"] for case in document["results"]))
        lines += [
            f"### {params['rows']:,} rows, Milvus {environment['milvus']}",
            "",
            *origin(name, document),
            "",
            *table(
                [
                    "index",
                    "search",
                    *(f"recall {_named(share)}" for share in shares),
                    *(f"CPU ms {_named(share)}" for share in shares),
                    "build CPU s",
                    "memory MB",
                    "segments",
                ],
                list(_index_rows(document["results"], shares)),
            ),
            "",
        ]
    return lines[:-1]


def _index_rows(cases: list[Mapping[str, Any]], shares: list[str]) -> Iterator[list[str]]:
    by_search: dict[tuple[str, str], dict[str, Mapping[str, Any]]] = {}
    for case in cases:
        search = ", ".join(f"{name} {value}" for name, value in case["search"].items()) or "all rows"
        by_search.setdefault((case["index"], search), {})[case["filter"]] = case
    for (index, search), by_share in by_search.items():
        first = by_share[shares[0]]
        yield [
            index,
            search,
            *(_recall(by_share[share]) for share in shares),
            *(f"{by_share[share]['cpu_ms']:.1f}" for share in shares),
            f"{first['build_cpu_s']:.0f}",
            f"{first['memory_mb']:,}",
            str(first.get("segments", "-")),
        ]


def _recall(case: Mapping[str, Any]) -> str:
    """Return the recall, and how many searches found fewer rows than there are."""
    short = f" ({case['short']} short)" if case["short"] else ""
    return f"{case['recall']:.3f}{short}"


def _named(share: str) -> str:
    return "without" if share == "none" else f"at {share}"
