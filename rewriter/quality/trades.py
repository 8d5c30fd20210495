"""Requests of other trades' shoppers: the catalogues and the states of trades.toml."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from rewriter.languages.files import listed
from vitrine.domain.messages import product_message, schema_message
from vitrine.domain.product import Product
from vitrine.domain.schema import Schema
from vitrine.domain.schema_files import parse_schema
from vitrine.filter_text import parse_filter
from vitrine.v1 import query_pb2, rewrite_pb2

_FILE = Path(__file__).parent / "trades.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """A catalogue of another trade."""

    schema: Schema
    facets: tuple[rewrite_pb2.Facet, ...]
    ranges: Mapping[str, tuple[float, float]]
    """Between which numbers products are drawn, by field; a field without one has 1 to 5."""


@cache
def trades() -> Mapping[str, Trade]:
    """Return the catalogues, by name."""
    known = {}
    for name, table in _tables()["catalogues"].items():
        facets = (
            rewrite_pb2.Facet(field=field, values=listed(values)) for field, values in table["values"].items()
        )
        ranges = {field: (float(low), float(high)) for field, (low, high) in table.get("ranges", {}).items()}
        known[name] = Trade(schema=parse_schema(table["schema"]), facets=tuple(facets), ranges=ranges)
    return MappingProxyType(known)


def trade_states() -> frozenset[str]:
    """Return the names of the states."""
    return frozenset(_tables()["states"])


def trade_of(state: str) -> str:
    """Return the name of the catalogue that a state or itself names; empty for none of this file."""
    if state in trades():
        return state
    return str(_tables()["states"].get(state, {}).get("catalogue", ""))


def trade_request(state: str) -> rewrite_pb2.RewriteRequest:
    """Return a request in one of the states, without words."""
    table = _tables()["states"][state]
    trade = trades()[table["catalogue"]]
    request = rewrite_pb2.RewriteRequest(facets=trade.facets, schema=schema_message(trade.schema))
    if "said" in table:
        rewrite = rewrite_pb2.Rewrite(route=query_pb2.ROUTE_TEXT, query=table["query"])
        rewrite.filter.CopyFrom(parse_filter(table["filter"]))
        shown = [_product(dict(row), trade.schema) for row in table["shown"]]
        request.history.append(rewrite_pb2.Turn(text=table["said"], rewrite=rewrite, shown=shown))
    return request


def _product(row: dict[str, Any], schema: Schema) -> query_pb2.Product:
    id_ = row.pop("id")
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in row.items()}
    return product_message(Product(id=id_, values=values), schema)


@cache
def _tables() -> Mapping[str, Any]:
    return tomllib.loads(_FILE.read_text(encoding="utf-8"))
