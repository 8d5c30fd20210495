"""Answers as tables for people; for programs they are the JSON of their messages."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, JustifyMethod, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from vitrine.domain.messages import read_value
from vitrine.domain.values import shown
from vitrine.filter_text import format_filter
from vitrine.terminal import printable
from vitrine.v1.query_pb2 import Product, Route, Sort, Weights
from vitrine.v1.rewrite_pb2 import Rewrite
from vitrine.v1.search_pb2 import (
    ComparedField,
    Comparison,
    FacetCounts,
    Fact,
    Hit,
    SearchedQuery,
    SearchResponse,
)

_FACET_VALUES_SHOWN = 12

_WORDS = frozenset({"product", "title", "from the picture"})
"""Columns of hits that may be folded."""
_LEAST_WORDS = 12
"""Columns of the terminal that each of them needs at least to stand beside the figures."""
_GAP = 2
_INDENT = 6

DEGRADED: Mapping[str, str] = {
    "rewrite": "the rewriter was late or broken: your words were searched as they are",
    "soft_filters": "no product has all that your words ask for: these come closest",
    "exclusions": "every product has something that you found fault with: these come closest",
    "history": "similar turns of long ago were not looked up in time",
    "session": "the memory of conversations does not answer: this turn will not be remembered",
    "words": "the encoder does not read the end of a text as long as yours",
    "pool": "more products satisfy the conditions than could be put in order",
    "lexical": "exact matches of your words were not looked up",
    "category": "what the pictures of the index tell is not learnt yet: your picture's kind of thing was not kept to",
    "details": "so many products are too large for one answer: the last ones have their ids alone",
    "speech": "what you said is not in it: it was not understood, or nobody could hear it now",
    "personal": "what you did before was not known in time: this is everybody's order",
    "sponsored": "places that somebody would have paid for were not known in time",
    "unlike": "what the conversation spoke ill of was not looked up in time, and has no part in this order",
}
"""What each entry of SearchResponse.degraded means to a person."""


def cell(text: str) -> Text:
    """Return a table's cell that shows a text as it is, without markup or control characters."""
    return Text(printable(text))


def as_json(message: Message) -> dict[str, Any]:
    """Return the message in protobuf's JSON mapping, under the names of the .proto file, defaults included."""
    return MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)


def print_json(value: object) -> None:
    """Write one JSON document to standard output."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def route_name(route: Route.ValueType) -> str:
    """Return "text" for ROUTE_TEXT, and its number for a route of a newer service."""
    return Route.Name(route).removeprefix("ROUTE_").lower() if route in Route.values() else str(route)


def number(value: float) -> str:
    """Return a number as people read it: 1,299.5, and 42 for 42.0."""
    return f"{value:,}".removesuffix(".0")


def title_of(product: Product, product_id: str = "") -> str:
    """Return the product's title, or its caption or its id where it has none."""
    return product.title or product.caption or product.id or product_id


def print_answer(out: Console, answer: SearchResponse) -> None:
    """Show how the query was read, its hits and facets, and where the time went."""
    if answer.heard.text:
        out.print(Text(printable(f'heard: "{answer.heard.text}"'), style="dim"))
    out.print(Text(describe_query(answer.searched), style="bold"))
    if answer.hits:
        out.print(hits_table(answer.hits))
    else:
        out.print("nothing found: ask with fewer filters")
    for facet in answer.facets:
        out.print()
        out.print(facet_table(facet))
    stages = ", ".join(f"{name} {ms:.1f}" for name, ms in sorted(answer.timings.stages_ms.items()))
    timing = f"{len(answer.hits)} hits in {answer.timings.total_ms:.1f} ms" + (
        f" ({stages})" if stages else ""
    )
    out.print(Text(printable(timing), style="dim"))
    for line in describe_degraded(answer):
        out.print(Text(line, style="yellow"))
    if answer.next_page_token:
        # Not wrapped: the token is to be copied.
        out.print(Text(printable(f"next page: --page {answer.next_page_token}"), style="dim"), soft_wrap=True)


def describe_query(searched: SearchedQuery) -> str:
    """Put the query as it was searched into a line."""
    parts = [route_name(searched.route)]
    if searched.product_id:
        parts.append(f"like {searched.product_id}")
    if searched.text:
        parts.append(f'"{searched.text}"')
    if condition := format_filter(searched.filter):
        parts.append(condition)
    if searched.HasField("sort"):
        parts.append(describe_sort(searched.sort))
    if searched.excluded:
        parts.append(f"left out: {', '.join(each.value for each in searched.excluded)}")
    if searched.HasField("weights"):
        parts.append(_describe_weights(searched.weights))
    if searched.source not in {"", "caller"}:
        parts.append(f"read by {searched.source}")
    return printable(" | ".join(parts))


def describe_sort(sort: Sort) -> str:
    """Put an order into words."""
    return f"sorted by {sort.field}{', descending' if sort.descending else ''}"


def describe_degraded(answer: SearchResponse) -> list[str]:
    """Return a sentence for each thing that is missing from the answer."""
    return [printable(DEGRADED.get(part, f"left out: {part}")) for part in answer.degraded]


def describe_rewrite(rewrite: Rewrite) -> str:
    """Put how a turn was read into a line."""
    parts = [route_name(rewrite.route)]
    if rewrite.more:
        parts.append("the next page")
    parts += [f'"{words}"' for words in (rewrite.query, rewrite.modification) if words]
    if rewrite.references:
        parts.append(f"of {rewrite.references[0]}")
    if condition := format_filter(rewrite.filter):
        parts.append(condition)
    if rewrite.HasField("sort"):
        parts.append(describe_sort(rewrite.sort))
    return printable(" | ".join(parts))


def comparison_table(comparison: Comparison) -> Table:
    """Return a column a product and a row a field; a row that tells no product from another is dim."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("", style="dim")
    for product in comparison.products:
        heading = f"{product.id}\n{product.title}" if product.title else product.id
        table.add_column(cell(heading), overflow="fold")
    for row in comparison.fields:
        same = row.equal and len(comparison.products) > 1
        cells = (cell(value or "-") for value in row.values)
        table.add_row(cell(_label(row)), *cells, style="dim" if same else "")
    return table


def describe_fact(fact: Fact) -> str:
    """Put what the index knows into a line."""
    field = fact.label or fact.field.replace("_", " ")
    if fact.value:
        return printable(f"{field} {fact.value}: {fact.products:,} products")
    if fact.HasField("highest"):
        return printable(f"{field}: from {number(fact.lowest)} to {number(fact.highest)}")
    if fact.values:
        return printable(f"{field}: {', '.join(fact.values)}")
    return printable(f"{field}: {fact.products:,} products")


def facet_table(facet: FacetCounts) -> Table:
    """Return the values of a field with how many products have each, or the range of a number."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column(cell(facet.field), overflow="fold")
    table.add_column("products", justify="right", no_wrap=True)
    if facet.HasField("minimum"):
        table.add_row(f"{number(facet.minimum)} to {number(facet.maximum)}", f"{facet.products:,}")
    for value in facet.values[:_FACET_VALUES_SHOWN]:
        table.add_row(cell(value.value), f"{value.products:,}")
    if rest := and_more(len(facet.values) - _FACET_VALUES_SHOWN, unlisted=facet.more_values):
        table.add_row(rest, "")
    if not facet.products:
        table.add_row("(no product has one)", "0")
    return table


def and_more(left: int, *, unlisted: bool) -> str:
    """Return what to put after a list of which so many are left out, and others were not listed at all."""
    if unlisted:
        return "and more"
    return f"and {left:,} more" if left > 0 else ""


def hits_table(hits: Sequence[Hit]) -> "HitsTable":
    """Return rank, product, score, its parts and title; price, picture and what was read in it where there is some."""
    return HitsTable(
        columns=_columns(hits), rows=[_cells(rank, hit) for rank, hit in enumerate(hits, start=1)]
    )


@dataclass(frozen=True, slots=True)
class HitsTable:
    """Hits in columns; where words would have too few of them, in lines of their own below the figures."""

    columns: Sequence[str]
    rows: Sequence[Mapping[str, str]]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        words = [name for name in self.columns if name in _WORDS]
        figures = [name for name in self.columns if name not in _WORDS]
        left = options.max_width - sum(self._width(name) + _GAP for name in figures)
        if left >= min(sum(self._width(name) + _GAP for name in words), _LEAST_WORDS * len(words)):
            yield self._table()
        else:
            yield from self._lines(figures)

    def _width(self, name: str) -> int:
        return max(map(cell_len, (name, *(printable(row.get(name, "")) for row in self.rows))))

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False, header_style="dim")
        for name in self.columns:
            justify: JustifyMethod = "left" if name in _WORDS else "right"
            table.add_column(cell(name), justify=justify, no_wrap=name not in _WORDS, overflow="fold")
        for row in self.rows:
            table.add_row(*(cell(row.get(name, "")) for name in self.columns))
        return table

    def _lines(self, figures: Sequence[str]) -> Iterator[RenderableType]:
        yield Text("  ".join(name.rjust(self._width(name)) for name in figures), style="dim")
        for row in self.rows:
            yield Text("  ".join(row.get(name, "").rjust(self._width(name)) for name in figures))
            for words in dict.fromkeys(row.get(name, "") for name in self.columns if name in _WORDS):
                if words:
                    yield Padding(cell(words), (0, 0, 0, _INDENT))


def _columns(hits: Sequence[Hit]) -> list[str]:
    signals = dict.fromkeys(name for hit in hits for name in sorted(hit.parts.signals))
    wanted = {
        "picture": any(hit.image_index for hit in hits),
        "price": any(hit.product.HasField("price") for hit in hits),
    }
    parts = ["rank", "product", "score", "text", "image", *signals]
    read = ["from the picture"] if any(map(_from_picture, (hit.product for hit in hits))) else []
    return [*parts, *(name for name, some in wanted.items() if some), "title", *read]


def _cells(rank: int, hit: Hit) -> dict[str, str]:
    return {name: f"{share:.3f}" for name, share in hit.parts.signals.items()} | {
        "rank": str(rank),
        "product": hit.product_id,
        "score": f"{hit.score:.3f}",
        "text": f"{hit.parts.text:.3f}",
        "image": f"{hit.parts.image:.3f}",
        # Counted from 1, as people count; the first one needs no mention.
        "picture": str(hit.image_index + 1) if hit.image_index else "",
        "price": f"{hit.product.price:,.2f}" if hit.product.HasField("price") else "",
        "title": _marked(hit, title_of(hit.product, hit.product_id)),
        "from the picture": _from_picture(hit.product),
    }


def _marked(hit: Hit, title: str) -> str:
    """Return the title, and before it that its place is paid for, and by whom."""
    return f"[sponsored by {hit.sponsored.advertiser}] {title}" if hit.HasField("sponsored") else title


def _from_picture(product: Product) -> str:
    """Return what was read in the product's pictures: values of fields, and a caption."""
    read = [
        f"{name} {shown(read_value(product.fields[name], name))}"
        for name in product.inferred
        if name in product.fields
    ]
    return ", ".join([*read, *([f'"{product.caption}"'] if product.caption else [])])


def _label(row: ComparedField) -> str:
    return row.label or row.field.replace("_", " ")


def _describe_weights(weights: Weights) -> str:
    shares = {"text": weights.text, "image": weights.image, **dict(sorted(weights.signals.items()))}
    return ", ".join(f"{name} {share:g}" for name, share in shares.items())
