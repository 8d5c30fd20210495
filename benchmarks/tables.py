"""Results as Markdown: each function gives the lines of one section."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.processes import GENERATOR

Document = Mapping[str, Any]
"""A result file: environment, params, results."""

_FIGURES = ("answers/s", "p50 ms", "p95 ms", "p99 ms", "answered", "shed", "errors")


Named = tuple[str, Document]
"""A result file's name, and what it holds."""


def load_section(loads: Sequence[Named], throughput_plot: str, latency_plot: str) -> list[str]:
    """Return ceiling, CPU by process and latency under load of the newest results, which come first, and a line for each other."""
    closed = next((named for named in loads if _cases(named[1], "closed")), None)
    opened = next((named for named in loads if _cases(named[1], "open")), None)
    return [
        *(_closed_section(*closed, throughput_plot) if closed else []),
        *(_open_section(*opened, latency_plot) if opened else []),
        *_earlier([named for named in loads if named is not closed and _cases(named[1], "closed")]),
    ]


def _closed_section(name: str, document: Document, plot: str) -> list[str]:
    params, cases = document["params"], _cases(document, "closed")
    return [
        "### Closed loop: the ceiling",
        "",
        *origin(name, document),
        "Each client has one request under way.",
        (
            f"{params['repeats']} repeats of {params['closed_seconds']:g} s a case; "
            f"before them {params['warm_up_seconds']:g} s of warm-up a kind of query, thrown away."
        ),
        "",
        f"![Throughput by clients, and CPU by process]({plot})",
        "",
        *table(["query", "clients", *_FIGURES], [[*_labels(case), *_figures(case)] for case in cases]),
        "",
        "### CPU",
        "",
        "Milliseconds of CPU an answered request, by process with its children, in the closed loop.",
        "",
        *_cpu_table(cases),
        "",
    ]


def _open_section(name: str, document: Document, plot: str) -> list[str]:
    params, cases = document["params"], _cases(document, "open")
    rows = [[*_labels(case), *_figures(case), _number(case["pooled"]["lag_ms"].get("p99"))] for case in cases]
    return [
        "### Open loop: latency at a given rate",
        "",
        *origin(name, document),
        (
            f"{params['arrivals'].capitalize()} arrivals, {params['repeats']} repeats of {params['open_seconds']:g} s "
            f"a rate; each request has {params['deadline_s']:g} s."
        ),
        "Latency counts from the moment at which a request was meant to be sent: one that had to wait has waited.",
        "Lag is how late the generator sent (p99).",
        "",
        f"![Latency by offered rate]({plot})",
        "",
        *table(["query", "offered/s", *_FIGURES, "lag ms"], rows),
    ]


def _cases(document: Document, loop: str) -> list[Mapping[str, Any]]:
    return [case for case in document["results"] if case["loop"] == loop]


def designs_section(name: str, document: Document, plot: str) -> list[str]:
    """Return the recalls of every fusion design with the spread of its runs, then R@1 by kind of question."""
    results, budget = document["results"], document["params"]["budget"]
    designs, confusions, read = results["designs"], results["confusions"], results["read"]
    slots = [slot for slot in read if any(slot in shares for shares in confusions.values())]
    test = document["params"]["sets"]["test"]
    method = (
        f"{sum(test['questions'].values()):,} questions to a gallery of {test['gallery']:,} pictures. "
        f"Every trained design has {budget['steps']} steps of {4 * budget['clusters']} products, "
        f"and {len(document['params']['seeds'])} seeds: in brackets stand the lowest and the highest."
    )
    cuts = list(next(iter(designs.values()))["test"]["mean"])
    kinds = [kind for kind in next(iter(designs.values()))["test"] if kind != "mean"]
    rows = [
        [
            _words(each),
            f"{figures['parameters'] / 1e6:.2f}" if "parameters" in figures else "-",
            str(figures["runs"]),
            *(_spread(figures["test"]["mean"][cut]) for cut in cuts),
            _spread(figures["validation"]["mean"]["R@1"]),
        ]
        for each, figures in designs.items()
    ]
    by_kind = [
        [_words(each), *(_number(figures["test"][kind]["R@1"][0]) for kind in kinds)]
        for each, figures in designs.items()
    ]
    return [
        *origin(name, document),
        "",
        method,
        "",
        f"![Recall of the fusion designs]({plot})",
        "",
        *table(["design", "million parameters", "runs", *cuts, "R@1 in validation"], rows),
        "",
        "### R@1 by kind of question",
        "",
        *table(["design", *map(_words, kinds)], by_kind),
        "",
        "### What wrong answers are wrong in, and what the towers see",
        "",
        "Percent of the wrong first answers that differ from the wanted product in this slot; an answer may in several.",
        f"Below them: how many pictures' values linear classifiers read from the embedding ({_number(read['every slot'])} percent: all values of a picture).",
        "",
        *table(
            ["first answers of", *slots],
            [
                *(
                    [_words(each), *(_number(shares.get(slot, 0.0)) for slot in slots)]
                    for each, shares in confusions.items()
                ),
                ["read from the embedding", *(_number(read[slot]) for slot in slots)],
            ],
        ),
    ]


def css_section(name: str, document: Document) -> list[str]:
    """Return the recalls of every design on scenes of shapes, then R@1 by kind of change."""
    results, params = document["results"], document["params"]
    designs, oracle, test = results["designs"], results["oracle_description"], params["sets"]["test"]
    method = (
        f"{test['queries']:,} queries to {test['scenes']:,} scenes; towers of {params['tower_steps']} steps; "
        f"{params['steps']} steps of {params['queries']} queries a design; {_seeds(params['seeds'])}"
    )
    cuts = list(oracle)
    kinds = [kind for kind in next(iter(designs.values()))["test"] if kind != "mean"]
    rows = [
        [
            _words(each),
            str(figures["runs"]),
            *(_spread(figures["test"]["mean"][cut]) for cut in cuts),
            *(_number(figures["test"][kind]["R@1"][0]) for kind in kinds),
        ]
        for each, figures in designs.items()
    ]
    rows.append(["oracle description", "1", *(_number(oracle[cut]) for cut in cuts), *("-" for _ in kinds)])
    header = ["design", "runs", *cuts, *(f"R@1, {kind}" for kind in kinds)]
    return [*origin(name, document), "", method, "", *table(header, rows)]


def _seeds(seeds: Sequence[int]) -> str:
    if len(seeds) == 1:
        return "one seed, so small differences may be luck."
    return f"{len(seeds)} seeds: in brackets stand the lowest and the highest."


def encoders_section(name: str, document: Document) -> list[str]:
    """Return one table for each task of the encoders' evaluation; the figures are percents unless they are counts."""
    lines = origin(name, document)
    for task, sets in document["results"].items():
        columns = list(dict.fromkeys(figure for figures in sets.values() for figure in figures))
        rows = [
            [_words(each), *(_number(figures.get(column)) for column in columns)]
            for each, figures in sets.items()
        ]
        lines += [
            "",
            f"### {_words(task).capitalize()}",
            "",
            *table(["queries", *map(_words, columns)], rows),
        ]
    return lines


def several_pictures_section(name: str, document: Document) -> list[str]:
    """Return the recalls of each way to index a product with several pictures, by kind of product."""
    lines = origin(name, document)
    for kind, ways in document["results"].items():
        recalls = {way: figures for way, figures in ways.items() if way != "products"}
        cuts = list(next(iter(recalls.values())))
        rows = [[_words(way), *(f"{figures[cut]:.1f}" for cut in cuts)] for way, figures in recalls.items()]
        heading = f"### {_words(kind).capitalize()}: {ways['products']['count']:,} products"
        lines += ["", heading, "", *table(["way to index", *cuts], rows)]
    return lines


def precisions_section(name: str, document: Document) -> list[str]:
    """Return what each precision loses and how large it is, then how fast each way to run an encoder is."""
    results, rows = document["results"], document["params"]["parity_rows"]
    lines = [*origin(name, document), "", "### Recall, and the points lost", ""]
    recall = [
        [each, _words(task), *(f"{recalls[cut]:.2f}" for cut in ("R@1", "R@10")), *_lost(figures, task)]
        for each, figures in results["recall"].items()
        for task, recalls in figures["recall"].items()
    ]
    lines += table(["precision", "query", "R@1", "R@10", "R@1 lost", "R@10 lost"], recall)
    parity = [
        [
            _words(encoder),
            each,
            f"{figures['megabytes']:.2f}",
            *(f"{figures[cosine]:.6f}" for cosine in ("minimum_cosine", "mean_cosine", "batch_cosine")),
        ]
        for encoder, precisions in results["encoders"].items()
        for each, figures in precisions.items()
    ]
    header = ["encoder", "precision", "MB", "cosine, least", "cosine, mean", "alone or in a batch"]
    lines += ["", "### Size and parity", "", f"Cosines to torch of {rows} unseen inputs, row by row."]
    lines += ["", *table(header, parity), "", "### Speed of one thread", ""]
    lines += ["Milliseconds are wall-clock: the median run, and the best. Rows a second are of CPU time.", ""]
    cases = results["timing"]
    batches = list(dict.fromkeys(case["batch"] for case in cases))
    runners = dict.fromkeys((case["encoder"], case["runner"]) for case in cases)
    timed = {(case["encoder"], case["runner"], case["batch"]): case for case in cases}
    speed = [
        [_words(encoder), runner, *(_speed(timed[encoder, runner, batch]) for batch in batches)]
        for encoder, runner in runners
    ]
    lines += table(["encoder", "run by", *(f"batch {batch}" for batch in batches)], speed)
    return lines + _served(results["choice"])


def _served(choice: Mapping[str, Any]) -> list[str]:
    rows = [
        [_words(encoder), precision, f"{choice['faster'][encoder]:.2f}"]
        for encoder, precision in choice["precisions"].items()
    ]
    lost = "; ".join(
        f"{_words(task)} {points['R@1']:.2f} and {points['R@10']:.2f}"
        for task, points in choice["lost"].items()
    )
    return [
        *("", "### What the target `local` serves", ""),
        "The fastest that passes: rows a CPU second against ONNX Runtime fp32, the geometric mean over the batches.",
        f"Together these lose against torch, in points of R@1 and R@10: {lost}.",
        "",
        *table(["encoder", "precision", "times as fast as fp32"], rows),
    ]


def _lost(figures: Mapping[str, Any], task: str) -> list[str]:
    lost = figures.get("lost", {}).get(task)
    return [f"{lost[cut]:.2f}" for cut in ("R@1", "R@10")] if lost else ["-", "-"]


def _speed(case: Mapping[str, Any]) -> str:
    return f"{_number(case['median_ms'])} ms (best {_number(case['best_ms'])}), {_number(case['rows_per_cpu_s'])}/s"


def origin(name: str, document: Document) -> list[str]:
    """Return where the figures come from."""
    environment = document["environment"]
    cpu = environment.get("cpu") or environment.get("processor") or "unknown processor"
    parts = [f"[{name}](../benchmarks/results/{name})", f"{cpu}, {environment['cores']} cores"]
    if commit := environment.get("commit"):
        changed = " with uncommitted changes" if environment.get("uncommitted_changes") else ""
        parts.append(f"commit {commit}{changed}")
    if load := environment.get("load_average_1_min"):
        parts.append(f"load average {load:g} when it began")
    if service := environment.get("service"):
        parts.append(f"{service['products']:,} products")
    return ["; ".join(parts) + "."]


def _figures(case: Mapping[str, Any]) -> list[str]:
    pooled = case["pooled"]
    spread = pooled["spread"]
    errors = ", ".join(f"{count} {status}" for status, count in pooled["errors"].items()) or "0"
    return [
        _with_spread(pooled["answered_per_s"], spread["answered_per_s"]),
        *(_with_spread(pooled["latency_ms"].get(q), spread[f"{q}_ms"]) for q in ("p50", "p95", "p99")),
        str(pooled["answered"]),
        str(pooled["shed"]),
        errors,
    ]


def _with_spread(value: float | None, spread: Sequence[float]) -> str:
    if value is None:
        return "-"
    return f"{_number(value)} ({_number(spread[0])}-{_number(spread[1])})" if spread else _number(value)


def _spread(figure: Sequence[float]) -> str:
    """Return the mean, and the range where runs differ."""
    mean, low, high = figure
    return _with_spread(mean, (low, high) if low < high else ())


def _labels(case: Mapping[str, Any]) -> list[str]:
    return [case["workload"], str(case["clients"]) if "clients" in case else f"{case['rate']:g}"]


def _cpu_table(cases: Sequence[Mapping[str, Any]]) -> list[str]:
    processes = list(dict.fromkeys(name for case in cases for name in case["pooled"]["cpu_ms_per_answer"]))
    serving = [name for name in processes if name != GENERATOR]
    rows = []
    for case in cases:
        used = case["pooled"]["cpu_ms_per_answer"]
        total = sum(used.get(name) or 0 for name in serving)
        rows.append([*_labels(case), _number(total), *(_number(used.get(name)) for name in processes)])
    return table(["query", "clients", "service", *processes], rows)


def _earlier(earlier: Sequence[Named]) -> list[str]:
    """Return the ceilings of the results before the newest, so that a loss is seen."""
    if not earlier:
        return []
    rows = [[f"[{name}](../benchmarks/results/{name})", *_ceilings(document)] for name, document in earlier]
    return ["", "### Before", "", *table(["result", "commit", "answers/s at the most clients"], rows)]


def _ceilings(document: Document) -> list[str]:
    closed = _cases(document, "closed")
    most = max(case["clients"] for case in closed)
    reached = [
        f"{case['workload']} {_number(case['pooled']['answered_per_s'])}"
        for case in closed
        if case["clients"] == most
    ]
    return [document["environment"].get("commit") or "-", "; ".join(reached)]


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a table in Markdown."""
    lines = [f"| {' | '.join(header)} |", f"|{'|'.join('---' for _ in header)}|"]
    return lines + [f"| {' | '.join(row)} |" for row in rows]


def _words(name: str) -> str:
    return name.replace("_", " ")


def _number(value: float | None) -> str:
    """Return three significant digits; whole numbers, such as counts, in full."""
    if value is None:
        return "-"
    if isinstance(value, int) or abs(value) >= 100:  # noqa: PLR2004 - three digits stand before the point
        return f"{value:.0f}"
    return f"{value:.3g}"
