"""Figures on real photographs as Markdown: one table a protocol, a row for each family and way to answer."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.tables import Document, origin, table

_COUNT = "queries"
_ANY = "-"
"""Stands for the family where the figures need none: chance, pixels, the data's own words."""


def photographs_section(documents: Mapping[str, Document]) -> list[str]:
    """Return where the results come from, then what each protocol asks and what every family answers.

    A figure is followed by its standard error, and by the lowest and highest of several trainings. What is equal for all families stands once.
    """
    if not documents:
        return []
    lines: list[str] = []
    for name, document in documents.items():
        params = document["params"]
        counts = ", ".join(f"{data} {count:,}" for data, count in params["photographs"].items())
        lines += [
            *origin(name, document),
            f"Family {params['family']}, run by {params['run_by']}; weights {', '.join(params['weights_digests'])}; photographs: {counts}.",
            "",
        ]
    for (protocol, asked), families in _by_question(documents).items():
        lines += [f"### {protocol[:1].upper()}{protocol[1:]}", "", asked, ""]
        if any(families.values()):
            lines += [*_protocol_table(families), ""]
    return lines[:-1]


def photograph_precisions_section(name: str, document: Document) -> list[str]:
    """Return what the image encoder finds and costs in each precision."""
    params, results = document["params"], document["results"]
    (data,) = params["data"]
    figures = results["precisions"]
    batches = [case["batch"] for case in next(iter(figures.values()))["timing"]]
    rows = [
        [
            precision,
            *(f"{each['recall'][cut]:.1f}" for cut in ("R@1", "R@10")),
            *(f"{each['lost'][cut]:.1f}" for cut in ("R@1", "R@10")),
            "yes" if each["passes"] else "no",
            f"{each['cosine_mean']:.4f}",
            f"{each['megabytes']:.1f}",
            *(f"{1000 * case['batch'] / case['rows_per_cpu_s']:.1f}" for case in each["timing"]),
            f"{each['faster']:.2f}",
        ]
        for precision, each in figures.items()
    ]
    header = ["precision", "R@1", "R@10", "R@1 lost", "R@10 lost", "passes", "cosine to fp32", "MB"]
    header += [*(f"CPU ms, batch {batch}" for batch in batches), "times as fast"]
    return [
        *origin(name, document),
        (
            f"Family {params['family']}, the {params['encoder'].replace('_', ' ')}; {data}: {params['photographs']:,} photographs of the split"
            f" {params['split']}, searched by their titles; calibrated on {params['calibrated_on']} of the training split."
            f" The fastest that passes is {results['served']}."
        ),
        "",
        *table(header, rows),
    ]


def tuning_section(name: str, document: Document) -> list[str]:
    """Return what a training of the pair found by title on the validation split, before and after the tuned blocks."""
    training, found = document["params"]["training"], document["results"]
    steps = {"heads": f"the heads, {training['heads_steps']:,} steps of {training['heads_rows']} pictures"}
    steps["tuned"] = (
        f"and the last blocks, {training['tuning_steps']:,} steps of {training['tuning_rows']} pictures"
    )
    cuts = list(next(iter(found.values())))
    rows = [[said, *(f"{found[stage][cut]:.1f}" for cut in cuts)] for stage, said in steps.items()]
    data = ", ".join(each["name"] for each in document["params"]["data"])
    return [
        *origin(name, document),
        f"Family pair, trained on {training['photographs']:,} photographs ({data}), seed {training['seed']}.",
        "",
        *table(["trained", *cuts], rows),
    ]


def _by_question(documents: Mapping[str, Document]) -> dict[tuple[str, str], dict[str, Mapping[str, Any]]]:
    """Return the ways of each family by protocol and what was asked: other data are another question."""
    found: dict[tuple[str, str], dict[str, Mapping[str, Any]]] = {}
    for document in documents.values():
        for protocol, outcome in document["results"].items():
            families = found.setdefault((protocol, outcome["asked"]), {})
            families[document["params"]["family"]] = outcome["ways"]
    return found


def _protocol_table(families: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[str]:
    names = dict.fromkeys(
        name for ways in families.values() for figures in ways.values() for name in figures if name != _COUNT
    )
    rows: dict[tuple[str, ...], str] = {}
    for family, ways in families.items():
        for way, figures in ways.items():
            row = (way, *(_figure(figures.get(name)) for name in names))
            rows[row] = _ANY if row in rows else family
    order = sorted(rows, key=lambda row: rows[row] != _ANY)
    return table(["family", "by", *names], [[rows[row], *row] for row in order])


def _figure(figure: Sequence[float | None] | None) -> str:
    """Return a percentage with its standard error, where there is one, and with the range of several trainings."""
    if figure is None or figure[0] is None:
        return "-"
    value, error, *spread = figure
    said = f"{value:.1f}" if error is None else f"{value:.1f} ± {error:.1f}"
    return f"{said} ({spread[0]:.1f}-{spread[1]:.1f})" if spread else said
