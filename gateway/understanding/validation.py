"""A rewriter's answer as hostile input: it is checked against the conversation before any of it is used.

A language model wrote it, and a shopper wrote what the model read. So: a known route that has what it needs, words
within the limits of a caller's own, references to nothing but what the shopper was shown, filters of known fields
and known values. A violation discards the whole answer; only unknown facet values are dropped one by one, because
"crimson" for a catalogue that says "red" should cost the colour and not the understanding.
"""

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from catalogue.product import TEXT_FIELDS
from gateway.errors import InvalidQuery
from gateway.filters import check_filter, to_model
from gateway.model import (
    AllOf,
    AnyOf,
    Equals,
    FieldSummary,
    Filter,
    Intent,
    Not,
    OneOf,
    Range,
    Remark,
    Route,
    Sentiment,
    Sort,
)
from gateway.retrieval.query import MAX_TEXT_LENGTH
from gateway.texts import check_text
from vitrine.v1 import query_pb2, rewrite_pb2

T = TypeVar("T")

MAX_REPLY_LENGTH = 1_000
MAX_REFERENCES = 20
MAX_SOURCE_LENGTH = 64
MAX_REMARKS = 8
MAX_REMARK_LENGTH = 128
FACET_VALUES = 256
"""Values of one facet; a field that lists as many may hold others."""

ROUTES: Mapping[int, Route] = {
    query_pb2.ROUTE_TEXT: Route.TEXT,
    query_pb2.ROUTE_IMAGE: Route.IMAGE,
    query_pb2.ROUTE_COMPOSED: Route.COMPOSED,
    query_pb2.ROUTE_REFINE: Route.REFINE,
    query_pb2.ROUTE_SIMILAR: Route.SIMILAR,
    query_pb2.ROUTE_COMPARE: Route.COMPARE,
    query_pb2.ROUTE_CHAT: Route.CHAT,
}
SORTS: Mapping[int, Sort] = {
    query_pb2.SORT_ORDER_UNSPECIFIED: Sort.SCORE,
    query_pb2.SORT_ORDER_PRICE_ASCENDING: Sort.PRICE_ASCENDING,
    query_pb2.SORT_ORDER_PRICE_DESCENDING: Sort.PRICE_DESCENDING,
}
INTENTS: Mapping[int, Intent] = {
    query_pb2.INTENT_UNSPECIFIED: Intent.OTHER,
    query_pb2.INTENT_BUY: Intent.BUY,
    query_pb2.INTENT_COMPARE: Intent.COMPARE,
    query_pb2.INTENT_CONSULT: Intent.CONSULT,
}
SENTIMENTS: Mapping[int, Sentiment] = {
    query_pb2.SENTIMENT_UNSPECIFIED: Sentiment.NEUTRAL,
    query_pb2.SENTIMENT_POSITIVE: Sentiment.POSITIVE,
    query_pb2.SENTIMENT_NEGATIVE: Sentiment.NEGATIVE,
}


class InvalidRewrite(Exception):  # noqa: N818 - a reason to keep the shopper's own words, not a failure
    """The rewriter's answer breaks a rule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Understanding:
    """What a turn was understood to ask for."""

    route: Route
    query: str = ""
    modification: str = ""
    filters: Filter | None = None
    sort: Sort = Sort.SCORE
    references: tuple[str, ...] = ()
    reply: str = ""
    confidence: float = 1.0
    source: str = "caller"
    intent: Intent = Intent.OTHER
    sentiment: Sentiment = Sentiment.NEUTRAL
    remarks: tuple[Remark, ...] = ()


def understand(
    rewrite: rewrite_pb2.Rewrite, *, shown: Collection[str], facets: tuple[FieldSummary, ...]
) -> Understanding:
    """Check a rewrite; `shown` holds the ids of products and pictures that it may refer to.

    Raises:
        InvalidRewrite: it breaks a rule; says which, without quoting it.
    """
    listed = {field.name: field.values for field in facets}
    try:
        filters = to_model(rewrite.filter) if rewrite.HasField("filter") else None
        filters = None if filters is None else _clamp(filters, listed)
        if filters is not None:
            check_filter(filters)
        remarks = _remarks(rewrite.remarks, listed)
        return Understanding(
            route=_one_of(ROUTES, rewrite.route, "route"),
            query=check_text("query", rewrite.query, limit=MAX_TEXT_LENGTH),
            modification=check_text("modification", rewrite.modification, limit=MAX_TEXT_LENGTH),
            filters=_not_blamed(filters, remarks),
            sort=_one_of(SORTS, rewrite.sort, "sort"),
            references=_references(rewrite.references, shown),
            reply=check_text("reply", rewrite.reply, limit=MAX_REPLY_LENGTH),
            confidence=_confidence(rewrite.confidence),
            source=check_text("source", rewrite.source, limit=MAX_SOURCE_LENGTH) or "rewriter",
            intent=_one_of(INTENTS, rewrite.intent, "intent"),
            sentiment=_one_of(SENTIMENTS, rewrite.sentiment, "sentiment"),
            remarks=remarks,
        )
    except InvalidQuery as error:
        raise InvalidRewrite(error.field) from error


def both(left: Filter | None, right: Filter | None) -> Filter | None:
    """Join two conditions that must both hold; None holds always."""
    if left is None or right is None:
        return left or right
    return left if left == right else AllOf((left, right))


def without(filters: Filter | None, parts: Collection[Filter]) -> Filter | None:
    """Take conditions out of a conjunction."""
    left: Filter | None = None
    for part in _conjuncts(filters):
        if part not in parts:
            left = both(left, part)
    return left


def only(filters: Filter | None, fields: Collection[str]) -> Filter | None:
    """Give the conditions of a conjunction that speak of those fields alone."""
    kept: Filter | None = None
    for part in _conjuncts(filters):
        if _names(part) <= set(fields):
            kept = both(kept, part)
    return kept


def must_and_wish(filters: Filter | None) -> tuple[Filter | None, Filter | None]:
    """Part a condition that the rewriter read: a price always holds, a facet gives way where nothing has it.

    The words that a facet was read from rank by themselves; a price stands in no picture and no title.
    """
    must: Filter | None = None
    wish: Filter | None = None
    for part in _conjuncts(filters):
        if _names(part) <= set(TEXT_FIELDS):
            wish = both(wish, part)
        else:
            must = both(must, part)
    return must, wish


def _conjuncts(filters: Filter | None) -> Iterator[Filter]:
    match filters:
        case None:
            return
        case AllOf(parts):
            for part in parts:
                yield from _conjuncts(part)
        case _:
            yield filters


def _names(filters: Filter) -> set[str]:
    match filters:
        case AllOf(parts) | AnyOf(parts):
            return {name for part in parts for name in _names(part)}
        case Not(part):
            return _names(part)
        case _:
            return {filters.field}


def _one_of(known: Mapping[int, T], value: int, field: str) -> T:
    if value not in known:
        raise InvalidRewrite(field)
    return known[value]


def _remarks(
    remarks: Collection[rewrite_pb2.Remark], facets: Mapping[str, tuple[str, ...]]
) -> tuple[Remark, ...]:
    """Check remarks; a value of a filter field that the index does not hold is dropped, as in a filter."""
    if len(remarks) > MAX_REMARKS:
        raise InvalidRewrite("remarks")
    checked = []
    for remark in remarks:
        field = check_text("remarks", remark.field, limit=MAX_REMARK_LENGTH)
        value = check_text("remarks", remark.value, limit=MAX_REMARK_LENGTH)
        if field in TEXT_FIELDS and value:
            value = next((str(known) for known in _known(field, (value,), facets)), "")
        polarity = _one_of(SENTIMENTS, remark.polarity, "remarks")
        checked.append(Remark(field=field, value=value, polarity=polarity))
    return tuple(checked)


def _references(references: Collection[str], shown: Collection[str]) -> tuple[str, ...]:
    if len(references) > MAX_REFERENCES or any(reference not in shown for reference in references):
        raise InvalidRewrite("references")
    return tuple(references)


def _confidence(value: float) -> float:
    if not math.isfinite(value) or not 0 <= value <= 1:
        raise InvalidRewrite("confidence")
    return value


def _not_blamed(filters: Filter | None, remarks: Collection[Remark]) -> Filter | None:
    """Drop the wishes for values that this very turn finds fault with: they were kept from an earlier one."""
    blamed = {(each.field, each.value) for each in remarks if each.polarity is Sentiment.NEGATIVE}
    if not blamed:
        return filters
    kept: Filter | None = None
    for part in _conjuncts(filters):
        match part:
            case Equals(field, value) if (field, value) in blamed:
                continue
            case OneOf(field, values):
                left = tuple(value for value in values if (field, value) not in blamed)
                kept = both(kept, OneOf(field, left)) if left else kept
            case _:
                kept = both(kept, part)
    return kept


def _clamp(node: Filter, facets: Mapping[str, tuple[str, ...]]) -> Filter | None:
    """Drop the values that the index does not hold, and the conditions that hold no value then."""
    match node:
        case Equals(field, value):
            known = _known(field, (value,), facets)
            return Equals(field, known[0]) if known else None
        case OneOf(field, values):
            known = _known(field, values, facets)
            return OneOf(field, known) if known else None
        case Range():
            return node
        case Not(part):
            inner = _clamp(part, facets)
            return None if inner is None else Not(inner)
        case AllOf(parts) | AnyOf(parts):
            kept = tuple(kept for part in parts if (kept := _clamp(part, facets)) is not None)
            if len(kept) < 2:  # noqa: PLR2004 - one condition needs no conjunction
                return kept[0] if kept else None
            return type(node)(kept)


def _known(
    field: str, values: tuple[str | float, ...], facets: Mapping[str, tuple[str, ...]]
) -> tuple[str | float, ...]:
    """Give the values in the catalogue's spelling; numbers and values of unlisted fields are the filter's concern."""
    listed = facets.get(field, ())
    spelling = {value.casefold(): value for value in listed}
    open_ended = len(listed) >= FACET_VALUES
    known = (
        value if isinstance(value, float) else spelling.get(value.casefold(), value if open_ended else None)
        for value in values
    )
    return tuple(value for value in known if value is not None)
