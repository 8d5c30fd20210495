"""Answers as tables for people; for programs they are the JSON of their messages."""

import json
import sys
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from rich.console import Console
from rich.table import Table
from rich.text import Text

from vitrine.filter_text import format_filter
from vitrine.v1.query_pb2 import Route, SortOrder, Weights
from vitrine.v1.rewrite_pb2 import Rewrite
from vitrine.v1.search_pb2 import Comparison, Fact, Hit, SearchedQuery, SearchResponse

_WIDTH_OF_A_PIPE = 120


def console() -> Console:
    """Give a console on standard output; a pipe gets lines of a fixed width."""
    return Console(width=None if sys.stdout.isatty() else _WIDTH_OF_A_PIPE, highlight=False)


def printable(text: str) -> str:
    """Replace what could steer a terminal: the words of others reach it."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)


def as_json(message: Message) -> dict[str, Any]:
    """Give the message in protobuf's JSON mapping, under the names of the .proto file, defaults included."""
    return MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)


def print_json(value: object) -> None:
    """Write one JSON document to standard output."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def route_name(route: Route.ValueType) -> str:
    """Give "text" for ROUTE_TEXT; a route of a newer service gives its number."""
    return Route.Name(route).removeprefix("ROUTE_").lower() if route in Route.values() else str(route)


def print_answer(out: Console, answer: SearchResponse) -> None:
    """Show how the query was read, its hits, and where the time went."""
    out.print(Text(describe_query(answer.searched), style="bold"))
    if answer.hits:
        out.print(hits_table(list(answer.hits)))
    else:
        out.print("nothing found: ask with fewer filters")
    stages = ", ".join(f"{name} {ms:.1f}" for name, ms in sorted(answer.timings.stages_ms.items()))
    timing = f"{len(answer.hits)} hits in {answer.timings.total_ms:.1f} ms" + (
        f" ({stages})" if stages else ""
    )
    out.print(Text(printable(timing), style="dim"))
    if answer.degraded:
        out.print(Text(describe_degraded(answer), style="yellow"))


def describe_query(searched: SearchedQuery) -> str:
    """Put the query as it was searched into a line."""
    parts = [route_name(searched.route)]
    if searched.product_id:
        parts.append(f"like {searched.product_id}")
    if searched.text:
        parts.append(f'"{searched.text}"')
    if condition := format_filter(searched.filter):
        parts.append(condition)
    if searched.sort != SortOrder.SORT_ORDER_UNSPECIFIED:
        parts.append(
            "cheapest first" if searched.sort == SortOrder.SORT_ORDER_PRICE_ASCENDING else "dearest first"
        )
    if searched.disliked:
        parts.append(f"found fault with: {', '.join(each.value for each in searched.disliked)}")
    if searched.HasField("weights"):
        parts.append(_describe_weights(searched.weights))
    if searched.source not in {"", "caller"}:
        parts.append(f"read by {searched.source}")
    return printable(" | ".join(parts))


def describe_degraded(answer: SearchResponse) -> str:
    """Say which optional work is missing from the answer."""
    return printable(f"left out, late or broken: {', '.join(answer.degraded)}")


def describe_rewrite(rewrite: Rewrite) -> str:
    """Put how a turn was read into a line."""
    parts = [route_name(rewrite.route)]
    parts += [f'"{words}"' for words in (rewrite.query, rewrite.modification) if words]
    if rewrite.references:
        parts.append(f"of {rewrite.references[0]}")
    if condition := format_filter(rewrite.filter):
        parts.append(condition)
    return printable(" | ".join(parts))


def comparison_table(comparison: Comparison) -> Table:
    """Give a column a product and a row a field; a row that tells no product from another is dim."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("", style="dim")
    for product in comparison.products:
        table.add_column(Text(printable(f"{product.id}\n{product.title}")), overflow="fold")
    for row in comparison.fields:
        same = row.equal and len(comparison.products) > 1
        cells = (Text(printable(value or "-")) for value in row.values)
        table.add_row(Text(printable(row.field)), *cells, style="dim" if same else "")
    return table


def describe_fact(fact: Fact) -> str:
    """Put what the index knows into a line."""
    if fact.value:
        return printable(f"{fact.field} {fact.value}: {fact.products:,} products")
    if fact.HasField("highest"):
        return printable(f"{fact.field}: from {fact.lowest:,.2f} to {fact.highest:,.2f}")
    return printable(f"{fact.field}: {', '.join(fact.values)}")


def hits_table(hits: list[Hit]) -> Table:
    """Give rank, product, score and its parts, price and title."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("rank", "product", "score", "text", "image", "price", "title"):
        right = name not in {"product", "title"}
        table.add_column(name, justify="right" if right else "left", no_wrap=name != "title", overflow="fold")
    for rank, hit in enumerate(hits, start=1):
        cells = (
            str(rank),
            hit.product_id,
            f"{hit.score:.3f}",
            f"{hit.parts.text:.3f}",
            f"{hit.parts.image:.3f}",
            f"{hit.product.price:,.2f}",
            hit.product.title,
        )
        table.add_row(*(Text(printable(cell)) for cell in cells))
    return table


def _describe_weights(weights: Weights) -> str:
    return f"text {weights.text:g}, image {weights.image:g}"
