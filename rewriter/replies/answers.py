"""Rewrites put together from their parts, each signed by the router."""

from collections.abc import Sequence

from rewriter.nlu.conditions import joined
from vitrine.domain.filters import Filter
from vitrine.v1 import query_pb2, rewrite_pb2

SOURCE = "router"


def answer(
    route: query_pb2.Route.ValueType,
    *,
    query: str = "",
    modification: str = "",
    conditions: Sequence[Filter] = (),
    sort: query_pb2.Sort | None = None,
    references: Sequence[str] = (),
    reply: str = "",
    confidence: float,
) -> rewrite_pb2.Rewrite:
    """Return a rewrite for the route; the conditions hold together."""
    return rewrite_pb2.Rewrite(
        route=route,
        query=query,
        modification=modification,
        filter=joined(conditions),
        sort=sort,
        references=references,
        reply=reply,
        confidence=confidence,
        source=SOURCE,
    )


def chat(reply: str = "", *, references: Sequence[str] = (), confidence: float) -> rewrite_pb2.Rewrite:
    """Return a rewrite that searches nothing; without a reply it is for the gateway to answer from the index."""
    return answer(query_pb2.ROUTE_CHAT, reply=reply, references=references, confidence=confidence)
