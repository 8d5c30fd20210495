"""What pictures tell of a catalogue's fields as Markdown: a table a data set and family, then the category."""

from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.tables import Document, origin, table


def fields_section(documents: Mapping[str, Document]) -> list[str]:
    """Return what each field is read by, what was said of it before and what came true, and what the category is worth."""
    lines: list[str] = []
    for name, document in documents.items():
        params, results = document["params"], document["results"]
        lines += [
            *origin(name, document),
            _of(params, results),
            "",
            *table(
                [
                    "field",
                    "values",
                    "known",
                    "way",
                    "right of all",
                    "said: right, read",
                    "came true: right, read",
                ],
                list(_rows(results["fields"])),
            ),
            "",
            *_category(results["category"]),
        ]
    return lines[:-1]


def _of(params: Mapping[str, Any], results: Mapping[str, Any]) -> str:
    (catalogue,) = params["photographs"]
    products = results["products"]
    return (
        f"Family {params['family']}, weights {', '.join(params['weights_digests'])}; {catalogue}: {products['known']:,} products whose values"
        f" are known, {products['asked']:,} to be read, of which {results['unfamiliar']:.1f} % are taken for pictures unlike the"
        " catalogue's."
    )


def _rows(fields: Mapping[str, Mapping[str, Any]]) -> Iterator[list[str]]:
    for name, figures in fields.items():
        counted = [name, str(figures.get("values", 0)), f"{figures.get('labelled', 0):,}"]
        if "left" in figures:
            yield [*counted, f"left alone: {figures['left']}", "", "", ""]
            continue
        for way, each in figures["ways"].items():
            chosen = f"**{way}**" if way == figures["chosen"] else way
            yield [
                *counted,
                chosen,
                f"{each['all right']:.1f}",
                _pair(each["said precision"], each["said coverage"]),
                _pair(each["precision"], each["coverage"]),
            ]


def _pair(precision: float | None, coverage: float) -> str:
    return f"{precision:.1f}, {coverage:.1f}" if precision is not None and coverage else "none read"


def _category(wishes: Mapping[str, Mapping[str, float]]) -> list[str]:
    if not wishes:
        return []
    names = [name for name in next(iter(wishes.values())) if name != "queries"]
    queries = next(iter(wishes.values()))["queries"]
    rows = [[wish, *(f"{figures[name]:.1f}" for name in names)] for wish, figures in wishes.items()]
    return [
        f"A product in another colour, {queries:,.0f} queries, the first five of all products:",
        "",
        *table(["kept to", *names], rows),
        "",
    ]
