"""The tables of docs/reliability.md: each function gives the lines of one section, made from one result file."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.tables import Document

DOCUMENT = Path("docs/reliability.md")
NONE_YET = ["No result yet."]


def sections(results: Path) -> dict[str, list[str]]:
    """Return the lines of every section, by its name."""
    makers: dict[str, tuple[str, Callable[[Document], list[str]]]] = {
        "faults": ("chaos.json", _faults),
        "faults-milvus": ("chaos-milvus-server.json", _faults),
        "rolling": ("rolling.json", _rolling),
        "overload": ("overload.json", _overload),
        "soak": ("soak.json", _soak),
        "fuzz": ("fuzz.json", _fuzz),
    }
    return {
        name: _section(results / file, make) if (results / file).exists() else NONE_YET
        for name, (file, make) in makers.items()
    }


def _section(path: Path, make: Callable[[Document], list[str]]) -> list[str]:
    document = json.loads(path.read_text())
    environment = document["environment"]
    origin = (
        f"[{path.name}](../benchmarks/results/{path.name}); {environment['cpu']}, {environment['cores']} cores; "
        f"commit {environment['commit']}{' and changes' if environment['uncommitted_changes'] else ''}; "
        f"load average {environment['load_average_1_min']:g} at its end."
    )
    return [origin, "", *make(document)]


def _faults(document: Document) -> list[str]:
    rows = []
    for each in document["results"]:
        statuses = dict(each["statuses"])
        answered = statuses.pop("OK", 0)
        failed = ", ".join(f"{count} {status}" for status, count in sorted(statuses.items())) or "none"
        rows.append(
            [
                each["target"],
                each["fault"],
                f"{each['calls']:,}",
                f"{answered:,}",
                failed,
                str(len(each["wrong"])),
                str(len(each["lost"])),
                f"{each['latest_ms']:.0f}",
                f"{each['recovery_s']:.1f}",
                "; ".join(each["breaches"]) or "-",
            ]
        )
    head = ["what", "fault", "calls", "OK", "failed", "wrong", "lost", "latest ms", "recovery s", "breaches"]
    breaches = sum(bool(each["breaches"]) for each in document["results"])
    return [
        f"{len(rows)} faults under {document['params']['rate']:g} requests a second; {breaches} broke a promise.",
        "",
        *_table(head, rows),
    ]


def _rolling(document: Document) -> list[str]:
    (seen,) = document["results"]
    restarts = sum(seen["restarts"].values())
    return [
        (
            f"{restarts} restarts under {document['params']['clients']} clients: {seen['failed']} of {seen['requests']:,} "
            f"requests failed, {len(seen['wrong'])} were answered wrongly; p50 {seen['p50_ms']:.0f} ms, p99 "
            f"{seen['p99_ms']:.0f} ms, the longest {seen['longest_ms']:.0f} ms."
        )
    ]


def _overload(document: Document) -> list[str]:
    (seen,) = document["results"]
    rows = [
        ["the peak, answers/s", f"{seen['peak_per_s']:.1f} ({seen['peak_clients']} clients)", ""],
        ["offered, requests/s", f"{seen['offered_per_s']:.1f}", ""],
        [
            "goodput, answers/s",
            f"{seen['goodput_per_s']:.1f}",
            f"{100 * seen['goodput_share']:.0f} % of the peak",
        ],
        ["p99 without load, ms", f"{seen['unloaded_p99_ms']:.1f}", ""],
        ["p99 of what was accepted, ms", f"{seen['accepted_p99_ms']:.1f}", f"{seen['p99_ratio']:g} times"],
    ]
    return _table(["", "seen", ""], rows)


def _soak(document: Document) -> list[str]:
    (seen,) = document["results"]
    rows = [
        [f"{quantile} ms", f"{seen[f'{quantile}_ms']['middle']:.1f}", f"{seen[f'{quantile}_ms']['last']:.1f}"]
        for quantile in ("p50", "p99")
    ]
    for key, name in (("rss_mb", "memory, MB"), ("descriptors", "descriptors"), ("threads", "threads")):
        rows += [
            [f"{process}: {name}", f"{held['middle']:.0f}", f"{held['last']:.0f}"]
            for process, held in seen[key].items()
        ]
    return [
        (
            f"{seen['minutes']:g} minutes at {seen['rate_per_s']:.1f} requests a second: {seen['answered']:,} answered, "
            f"{seen['failed']} failed."
        ),
        "",
        *_table(["median of the windows in", "the second third", "the last third"], rows),
    ]


def _fuzz(document: Document) -> list[str]:
    rows = [
        [
            each["target"],
            f"{each['cases']:,}",
            f"{each['seconds']:,.0f}",
            f"{each['corpus']:,}",
            f"{each['growth_mb']:.1f}",
            str(len(each["faults"])),
        ]
        for each in document["results"]
    ]
    return _table(["target", "cases", "seconds", "kept", "growth MB", "faults"], rows)


def _table(head: Sequence[Any], rows: Sequence[Sequence[Any]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(map(str, line))} |" for line in lines]
