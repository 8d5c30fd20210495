"""Attribute values that the shopper rejected; they are excluded from later searches.

"hate stripes" and "too bright" become remarks on values of the catalogue; each value is excluded from that search and
those after it, until the shopper praises the value, asks for it, or turns to another category. So is what no field has,
"without pockets", until the words of a search say it. Nothing but the log of
readings is needed, so a caller that keeps the history itself is served alike.
"""

from collections.abc import Iterator, Sequence

from gateway.conversation.sessions import is_picture
from gateway.retrieval.steering import MAX_DISLIKED
from vitrine.domain import limits
from vitrine.domain.filters import Equals, Says, words_excluded
from vitrine.domain.lexical import form_tokens, query_tokens
from vitrine.domain.schema import KEYWORD_KINDS, Role, Schema
from vitrine.v1 import query_pb2, rewrite_pb2

Value = tuple[str, str]
"""A field and one of its values, or _WORDS and what is said."""

_WORDS = ""
"""In the place of a field."""


def exclusions(readings: Sequence[rewrite_pb2.Rewrite], schema: Schema) -> tuple[Equals | Says, ...]:
    """Return what is excluded after turns that were read so, oldest first.

    Only the last MAX_HISTORY_TURNS readings count; older rejections expire.
    """
    category = schema.role(Role.CATEGORY)
    rejected: dict[Value, tuple[str, ...]] = {}
    topic: frozenset[Value] = frozenset()
    for reading in readings[-limits.MAX_HISTORY_TURNS :]:
        # What a question asks for is not wanted yet.
        wanted = frozenset(_wanted(reading.filter) if reading.route != query_pb2.ROUTE_CHAT else ())
        categories = frozenset(
            value for value in wanted if category is not None and value[0] == category.name
        )
        if topic and categories and topic.isdisjoint(categories):
            rejected.clear()
        topic = categories or topic
        for value in (*wanted, *_said(reading, schema, query_pb2.SENTIMENT_POSITIVE)):
            rejected.pop(value, None)
        for value in _said(reading, schema, query_pb2.SENTIMENT_NEGATIVE):
            if value not in wanted:
                rejected.pop(value, None)
                rejected[value] = ()
        asked = {*query_tokens(f"{reading.query} {reading.modification}")}
        for value in [
            value for value in rejected if not value[0] and asked.issuperset(form_tokens(value[1]))
        ]:
            del rejected[value]
        for words in reading.excluded_words:
            rejected.pop((_WORDS, words.said), None)
            rejected[_WORDS, words.said] = tuple(words.forms)
    latest = [*rejected.items()][-limits.MAX_EXCLUSIONS :]
    return tuple(
        Equals(field, value) if field else words_excluded((value, *forms), schema)
        for (field, value), forms in latest
    )


def disliked(readings: Sequence[rewrite_pb2.Rewrite]) -> tuple[str, ...]:
    """Return the ids of the products that turns spoke ill of, the latest last, of the readings oldest first.

    A turn speaks ill of what it refers to where its sentiment is negative; one that praises it later takes that back.
    """
    found: dict[str, None] = {}
    for reading in readings[-limits.MAX_HISTORY_TURNS :]:
        if reading.sentiment not in {query_pb2.SENTIMENT_NEGATIVE, query_pb2.SENTIMENT_POSITIVE}:
            continue
        for reference in reading.references:
            found.pop(reference, None)
            if reading.sentiment == query_pb2.SENTIMENT_NEGATIVE and not is_picture(reference):
                found[reference] = None
    return tuple([*found][-MAX_DISLIKED:])


def _said(
    reading: rewrite_pb2.Rewrite, schema: Schema, polarity: query_pb2.Sentiment.ValueType
) -> Iterator[Value]:
    for remark in reading.remarks:
        owner = schema.filtered.get(remark.field)
        known = owner is not None and owner.kind in KEYWORD_KINDS
        if remark.polarity == polarity and known and 0 < len(remark.value) <= limits.MAX_KEYWORD_LENGTH:
            yield remark.field, remark.value


def _wanted(node: query_pb2.Filter) -> Iterator[Value]:
    """Yield the values that a condition asks for; what it excludes and what it says of numbers is not wanted."""
    match node.WhichOneof("node"):
        case "equals":
            yield node.equals.field, node.equals.value.text
        case "one_of":
            yield from ((node.one_of.field, value.text) for value in node.one_of.values)
        case "all_of":
            for part in node.all_of.filters:
                yield from _wanted(part)
