"""A rewriter's answer as hostile input: it is checked against the conversation before any of it is used.

A language model wrote it, and a shopper wrote what the model read. So: a known route that has what it needs, words
within the limits of a caller's own, references to nothing but what the shopper was shown, filters of known fields
and known values. A violation discards the whole answer; only unknown facet values are dropped one by one, because
"crimson" for a catalogue that says "red" should cost the colour and not the understanding.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TypeVar

from gateway.model import FieldSummary, Intent, Remark, Sentiment, Sort
from gateway.texts import check_text
from vitrine.domain import limits
from vitrine.domain.errors import InvalidValue
from vitrine.domain.filters import (
    AllOf,
    AnyOf,
    Equals,
    Filter,
    Not,
    OneOf,
    Range,
    Says,
    Scalar,
    both,
    check_limits,
    conjuncts,
    fitted,
)
from vitrine.domain.lexical import form_tokens
from vitrine.domain.messages import filter_message, read_filter
from vitrine.domain.routes import Route
from vitrine.domain.schema import KEYWORD_KINDS, Schema
from vitrine.domain.values import fold
from vitrine.v1 import query_pb2, rewrite_pb2

T = TypeVar("T")

ROUTES: Mapping[int, Route] = {query_pb2.Route.Value(f"ROUTE_{route.name}"): route for route in Route}
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
ROUTE_NUMBERS = {route: query_pb2.Route.ValueType(number) for number, route in ROUTES.items()}
INTENT_NUMBERS = {intent: query_pb2.Intent.ValueType(number) for number, intent in INTENTS.items()}
SENTIMENT_NUMBERS = {
    sentiment: query_pb2.Sentiment.ValueType(number) for number, sentiment in SENTIMENTS.items()
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
    sort: Sort | None = None
    references: tuple[str, ...] = ()
    reply: str = ""
    confidence: float = 1.0
    source: str = "caller"
    intent: Intent = Intent.OTHER
    sentiment: Sentiment = Sentiment.NEUTRAL
    remarks: tuple[Remark, ...] = ()
    more: bool = False
    """The next page of the search before."""
    excluded_words: tuple[tuple[str, ...], ...] = ()
    """What is not wanted and no field has; each as it was said, then its other forms."""


def understand(
    rewrite: rewrite_pb2.Rewrite, *, shown: Collection[str], fields: tuple[FieldSummary, ...], schema: Schema
) -> Understanding:
    """Check a rewrite; `shown` holds the ids of products and pictures that it may refer to.

    Raises:
        InvalidRewrite: it breaks a rule; says which, without quoting it.
    """
    known = {field.name: field for field in fields}
    try:
        remarks = _remarks(rewrite.remarks, known, schema)
        return Understanding(
            route=_one_of(ROUTES, rewrite.route, "route"),
            query=check_text("query", rewrite.query, limit=limits.MAX_QUERY_LENGTH),
            modification=check_text("modification", rewrite.modification, limit=limits.MAX_QUERY_LENGTH),
            filters=_without_blamed(_filters(rewrite, known, schema), remarks),
            sort=_sort(rewrite, schema),
            references=_references(rewrite.references, shown),
            reply=check_text("reply", rewrite.reply, limit=limits.MAX_REPLY_LENGTH),
            confidence=_confidence(rewrite.confidence),
            source=check_text("source", rewrite.source, limit=limits.MAX_SOURCE_LENGTH) or "rewriter",
            intent=_one_of(INTENTS, rewrite.intent, "intent"),
            sentiment=_one_of(SENTIMENTS, rewrite.sentiment, "sentiment"),
            remarks=remarks,
            more=rewrite.more,
            excluded_words=_excluded_words(rewrite.excluded_words),
        )
    except InvalidValue as error:
        raise InvalidRewrite(error.field) from error


def rewrite_message(understanding: Understanding) -> rewrite_pb2.Rewrite:
    """Return the message of what a turn was understood to ask for."""
    sort = understanding.sort
    return rewrite_pb2.Rewrite(
        route=ROUTE_NUMBERS[understanding.route],
        query=understanding.query,
        modification=understanding.modification,
        filter=None if understanding.filters is None else filter_message(understanding.filters),
        sort=None if sort is None else query_pb2.Sort(field=sort.field, descending=sort.descending),
        references=understanding.references,
        reply=understanding.reply,
        confidence=understanding.confidence,
        source=understanding.source,
        intent=INTENT_NUMBERS[understanding.intent],
        sentiment=SENTIMENT_NUMBERS[understanding.sentiment],
        remarks=[
            rewrite_pb2.Remark(
                field=remark.field, value=remark.value, polarity=SENTIMENT_NUMBERS[remark.polarity]
            )
            for remark in understanding.remarks
        ],
        more=understanding.more,
        excluded_words=[
            rewrite_pb2.ExcludedWords(said=said, forms=forms) for said, *forms in understanding.excluded_words
        ],
    )


def _filters(
    rewrite: rewrite_pb2.Rewrite, known: Mapping[str, FieldSummary], schema: Schema
) -> Filter | None:
    if not rewrite.HasField("filter"):
        return None
    node = read_filter(rewrite.filter)
    check_limits(node)
    return _clamp(fitted(node, schema), known)


def _sort(rewrite: rewrite_pb2.Rewrite, schema: Schema) -> Sort | None:
    if not rewrite.HasField("sort"):
        return None
    if rewrite.sort.field not in schema.sorted_by:
        raise InvalidRewrite("sort")
    return Sort(field=rewrite.sort.field, descending=rewrite.sort.descending)


def _one_of(known: Mapping[int, T], value: int, field: str) -> T:
    if value not in known:
        raise InvalidRewrite(field)
    return known[value]


def _remarks(
    remarks: Collection[rewrite_pb2.Remark], known: Mapping[str, FieldSummary], schema: Schema
) -> tuple[Remark, ...]:
    """Check remarks; a keyword that the index does not hold is dropped, as in a filter."""
    if len(remarks) > limits.MAX_REMARKS:
        raise InvalidRewrite("remarks")
    checked = []
    for remark in remarks:
        field = check_text("remarks", remark.field, limit=limits.MAX_REMARK_LENGTH)
        value = check_text("remarks", remark.value, limit=limits.MAX_REMARK_LENGTH)
        owner = schema.filtered.get(field)
        if owner is not None and owner.kind in KEYWORD_KINDS and value:
            value = next((str(spelt) for spelt in _known(field, (value,), known)), "")
        polarity = _one_of(SENTIMENTS, remark.polarity, "remarks")
        checked.append(Remark(field=field, value=value, polarity=polarity, of_catalogue=owner is not None))
    return tuple(checked)


def _excluded_words(excluded: Collection[rewrite_pb2.ExcludedWords]) -> tuple[tuple[str, ...], ...]:
    """Check words that no hit is to say; what has no letter or digit says nothing and is dropped."""
    if len(excluded) > limits.MAX_EXCLUSIONS:
        raise InvalidRewrite("excluded_words")
    checked = []
    for words in excluded:
        if len(words.forms) >= limits.MAX_EXCLUDED_FORMS:
            raise InvalidRewrite("excluded_words")
        forms = (
            check_text("excluded_words", form, limit=limits.MAX_REMARK_LENGTH)
            for form in (words.said, *words.forms)
        )
        checked.append(tuple(form for form in forms if form_tokens(form)))
    return tuple(filter(None, checked))


def _references(references: Collection[str], shown: Collection[str]) -> tuple[str, ...]:
    if len(references) > limits.MAX_REFERENCES or any(reference not in shown for reference in references):
        raise InvalidRewrite("references")
    return tuple(references)


def _confidence(value: float) -> float:
    if not math.isfinite(value) or not 0 <= value <= 1:
        raise InvalidRewrite("confidence")
    return value


def _without_blamed(filters: Filter | None, remarks: Collection[Remark]) -> Filter | None:
    """Drop carried-over conditions on values that this turn rejects."""
    blamed = {(each.field, each.value) for each in remarks if each.polarity is Sentiment.NEGATIVE}
    if not blamed:
        return filters
    kept: Filter | None = None
    for part in conjuncts(filters):
        match part:
            case Equals(field, value) if (field, value) in blamed:
                continue
            case OneOf(field, values):
                left = tuple(value for value in values if (field, value) not in blamed)
                kept = both(kept, OneOf(field, left)) if left else kept
            case _:
                kept = both(kept, part)
    return kept


def _clamp(node: Filter, known: Mapping[str, FieldSummary]) -> Filter | None:
    """Drop the values that the index does not hold, and the conditions that hold no value then."""
    match node:
        case Equals(field, value):
            spelt = _known(field, (value,), known)
            return Equals(field, spelt[0]) if spelt else None
        case OneOf(field, values):
            spelt = _known(field, values, known)
            return OneOf(field, spelt) if spelt else None
        case Range() | Says():
            return node
        case Not(part):
            inner = _clamp(part, known)
            return None if inner is None else Not(inner)
        case AllOf(parts) | AnyOf(parts):
            kept = tuple(kept for part in parts if (kept := _clamp(part, known)) is not None)
            if len(kept) < 2:  # noqa: PLR2004 - one condition needs no conjunction
                return kept[0] if kept else None
            return type(node)(kept)


def _known(field: str, values: tuple[Scalar, ...], known: Mapping[str, FieldSummary]) -> tuple[Scalar, ...]:
    """Return the values in the catalogue's spelling; numbers, booleans and fields with more values than are listed stay."""
    summary = known.get(field)
    listed = () if summary is None else summary.values
    spelling = {fold(value): value for value in reversed(listed)}
    open_ended = summary is not None and summary.more_values
    spelt = (
        spelling.get(fold(value), value if open_ended else None) if isinstance(value, str) else value
        for value in values
    )
    return tuple(value for value in spelt if value is not None)
