"""What a shopper found fault with, kept for the rest of the conversation.

"Hate stripes" and "too bright" are remarks of their turn's reading. Each value of a filter field that they blame is
excluded from that search and those after it, until the shopper praises the value, asks for it, or turns to another
category. Nothing but the log of readings is needed, so a caller that keeps the history itself is served alike.
"""

from collections.abc import Iterator, Sequence

from catalogue.product import MAX_VALUE_LENGTH, TEXT_FIELDS
from gateway.model import AllOf, Equals, Filter, Not
from vitrine.v1 import query_pb2, rewrite_pb2

MAX_DISLIKES = 8
"""Values that are excluded at once; the latest ones count."""

MAX_READINGS = 50
"""Readings that are looked back at; what was blamed before them is forgiven."""

Value = tuple[str, str]
"""A field and one of its values."""


def dislikes(readings: Sequence[rewrite_pb2.Rewrite]) -> tuple[Equals, ...]:
    """Give what is excluded after turns that were read so, oldest first."""
    blamed: dict[Value, None] = {}
    topic: frozenset[Value] = frozenset()
    for reading in readings[-MAX_READINGS:]:
        wanted = frozenset(_wanted(reading.filter))
        categories = frozenset(value for value in wanted if value[0] == "category")
        if topic and categories and topic.isdisjoint(categories):
            blamed.clear()
        topic = categories or topic
        for value in (*wanted, *_said(reading, query_pb2.SENTIMENT_POSITIVE)):
            blamed.pop(value, None)
        for value in _said(reading, query_pb2.SENTIMENT_NEGATIVE):
            if value not in wanted:
                blamed.pop(value, None)
                blamed[value] = None
    return tuple(Equals(field, value) for field, value in [*blamed][-MAX_DISLIKES:])


def exclusion(disliked: tuple[Equals, ...]) -> Filter | None:
    """Give the condition that none of them holds; None for none."""
    parts = tuple(Not(each) for each in disliked)
    return AllOf(parts) if len(parts) > 1 else parts[0] if parts else None


def _said(reading: rewrite_pb2.Rewrite, polarity: query_pb2.Sentiment.ValueType) -> Iterator[Value]:
    for remark in reading.remarks:
        known = remark.field in TEXT_FIELDS and 0 < len(remark.value) <= MAX_VALUE_LENGTH
        if remark.polarity == polarity and known:
            yield remark.field, remark.value


def _wanted(node: query_pb2.Filter) -> Iterator[Value]:
    """Give the values that a condition asks for; what it excludes and what it says of prices is not wanted."""
    match node.WhichOneof("node"):
        case "equals":
            yield node.equals.field, node.equals.value.text
        case "one_of":
            yield from ((node.one_of.field, value.text) for value in node.one_of.values)
        case "all_of":
            for part in node.all_of.filters:
                yield from _wanted(part)
