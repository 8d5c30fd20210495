"""The tables of docs/catalogue.md: made from the schema's rules, the feeds and the limits, so that none is out of date.

What stands between `<!-- begin: NAME -->` and `<!-- end: NAME -->` is written here; the rest of the page is prose.
"""

import ast
import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from catalogue.feeds.feed import Feed
from catalogue.feeds.loading import PLAIN, known_feeds
from vitrine.domain import limits
from vitrine.domain.schema import KINDS_OF_ROLES, Kind, Role, default_flags

DOCUMENT = Path("docs/catalogue.md")

_FILES: Mapping[str, str] = {
    "delimited": "CSV, TSV",
    "json": "JSON, JSONL",
    "parquet": "Parquet",
    "xml": "XML",
    "coco": "folder, JSON",
}
"""What files of a format are called; every other format is a folder's layout."""

_TOLD_BY: Mapping[str, str] = {
    "fashion200k": "`labels/`",
    "deepfashion": "`Anno/`",
    "coco": "`annotations/`, or what the JSON holds",
    "pictures": "pictures and no table",
}
"""By what the layout of a folder is told."""

_LIMITS = frozenset({"Products", "Schemas", "Facets", "Queries", "Filters"})
"""Groups of limits that concern whoever has a catalogue."""


def filled(text: str) -> str:
    """Return the page with its tables as they are now; ValueError where a marker is missing."""
    tables = {"defaults": _defaults(), "feeds": _feeds(), "limits": list(_limits())}
    for name, lines in tables.items():
        begin, end = f"<!-- begin: {name} -->", f"<!-- end: {name} -->"
        before, found_begin, rest = text.partition(begin)
        _, found_end, after = rest.partition(end)
        if not found_begin or not found_end:
            raise ValueError(f"{begin} and {end} must stand in the page")
        text = "\n".join([before + begin, "", *lines, "", end + after])
    return text


def _defaults() -> list[str]:
    """Return which flags a field has that says none, by kind and by role."""
    owners: list[tuple[str, Kind, Role | None]] = [(kind.value, kind, None) for kind in Kind]
    for role in Role:
        kinds = sorted(KINDS_OF_ROLES[role])
        owners.append((f"role `{role}` ({' or '.join(kinds)})", kinds[0], role))
    flags = tuple(default_flags(Kind.TEXT, None))
    rows = [
        [name, *("yes" if default_flags(kind, role)[flag] else "" for flag in flags)]
        for name, kind, role in owners
    ]
    return _table(["field", *(f"`{flag}`" for flag in flags)], rows)


def _feeds() -> list[str]:
    """Return a row a feed: its file, what it is read from, the columns that tell it, and its fields."""
    feeds = sorted(known_feeds().values(), key=lambda feed: (feed.name == PLAIN, feed.title.casefold()))
    return _table(["feed", "read from", "told by", "fields"], [_feed_row(feed) for feed in feeds])


def _feed_row(feed: Feed) -> list[str]:
    files = ", ".join(dict.fromkeys(_FILES.get(each, "folder") for each in feed.formats))
    told_by = _TOLD_BY.get(feed.formats[0]) or ", ".join(f"`{column}`" for column in feed.columns)
    if feed.name == PLAIN:
        told_by = "no other one"
    fields = (
        ", ".join(each.name for each in feed.schema)
        if feed.schema.name != "fashion"
        else "those of `fashion`"
    )
    return [
        f"[{feed.title}](../catalogue/feeds/{feed.name}.toml)",
        files,
        told_by or "pictures inside the rows",
        fields,
    ]


def _limits() -> Iterator[str]:
    """Yield a table a group of limits that concerns whoever has a catalogue."""
    groups = ((group, rows) for group, rows in limit_groups() if group in _LIMITS)
    for number, (group, rows) in enumerate(groups):
        yield from [""] * bool(number)
        yield from _table([group.lower(), "at most"], [[what, f"{limit:,.0f}"] for what, limit in rows])


def limit_groups() -> Iterator[tuple[str, list[tuple[str, float]]]]:
    """Yield each group of the limits by its comment: the first sentence about each limit, and the limit."""
    source = inspect.getsource(limits)
    lines = source.splitlines()
    headings = [(number, line[2:]) for number, line in enumerate(lines, start=1) if line.startswith("# ")]
    body = ast.parse(source).body
    described = [
        (node.lineno, ast.get_source_segment(source, node.targets[0]) or "", text.value.value)
        for node, text in pairwise(body)
        if isinstance(node, ast.Assign)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    ]
    for (start, heading), end in zip(
        headings, [*(number for number, _ in headings[1:]), len(lines)], strict=True
    ):
        rows = [
            (_sentence(text), float(getattr(limits, name)))
            for number, name, text in described
            if start < number < end
        ]
        yield heading, rows


def _sentence(text: str) -> str:
    return " ".join(text.split()).partition(". ")[0].partition(";")[0].partition(":")[0].rstrip(".")


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]
