"""What a turn says beside what it asks for: why the shopper asks, in which mood, and about which attributes."""

from collections.abc import Iterator, Mapping

from rewriter.nlu.lexicon import Lexicon
from rewriter.nlu.reading import Reading
from rewriter.nlu.sentiment_words import asks_advice, mood_of
from rewriter.nlu.tagging import VALUES, Tag, Use
from rewriter.nlu.vocabulary import Role
from vitrine.domain.limits import MAX_REMARKS
from vitrine.v1 import query_pb2, rewrite_pb2

_SENTIMENTS = {
    -1: query_pb2.SENTIMENT_NEGATIVE,
    0: query_pb2.SENTIMENT_UNSPECIFIED,
    1: query_pb2.SENTIMENT_POSITIVE,
}


def add_opinions(
    rewrite: rewrite_pb2.Rewrite,
    reading: Reading,
    reference: Mapping[str, str],
    *,
    intent: query_pb2.Intent.ValueType,
    sentiment: query_pb2.Sentiment.ValueType,
) -> rewrite_pb2.Rewrite:
    """Complete a rewrite by what is not wanted and no field has, and by what the shopper thinks of a reference.

    The reference is given by its values, by slot.
    """
    if rewrite.route != query_pb2.ROUTE_CHAT:
        rewrite.excluded_words.extend(
            rewrite_pb2.ExcludedWords(said=each.said, forms=each.forms) for each in reading.excluded
        )
    rewrite.intent = intent
    rewrite.sentiment = sentiment
    rewrite.remarks.extend([*_remarks(reading, reference, sentiment)][:MAX_REMARKS])
    return rewrite


def intent_of(rewrite: rewrite_pb2.Rewrite, text: str, reading: Reading) -> query_pb2.Intent.ValueType:
    """Decide by rules why the shopper asks."""
    if rewrite.route == query_pb2.ROUTE_COMPARE:
        return query_pb2.INTENT_COMPARE
    if reading.has(Role.DEFINE) or asks_advice(text):
        return query_pb2.INTENT_CONSULT
    if rewrite.route == query_pb2.ROUTE_CHAT:
        return query_pb2.INTENT_CONSULT if rewrite.references else query_pb2.INTENT_UNSPECIFIED
    return query_pb2.INTENT_BUY


def sentiment_of(rewrite: rewrite_pb2.Rewrite, text: str, reading: Reading) -> query_pb2.Sentiment.ValueType:
    """Decide by rules in which mood the shopper speaks; a fault outweighs praise, and thanks for an answer are praise."""
    if reading.has(Role.FAULT):
        return query_pb2.SENTIMENT_NEGATIVE
    thanks = rewrite.route == query_pb2.ROUTE_CHAT and reading.has(Role.THANK)
    return _SENTIMENTS[mood_of(text) or int(thanks)]


def _remarks(
    reading: Reading, reference: Mapping[str, str], sentiment: query_pb2.Sentiment.ValueType
) -> Iterator[rewrite_pb2.Remark]:
    """Yield a remark for each fault that is found, each value that is welcome again, and each that the mood speaks of.

    A fault is one of the reference: "too bright" blames the colour that it has.
    """
    spoken = {
        query_pb2.SENTIMENT_POSITIVE: {Use.WANTED},
        query_pb2.SENTIMENT_NEGATIVE: {Use.UNWANTED, Use.OLD},
    }.get(sentiment, ())
    for tag in reading.tags:
        if tag.role is Role.FAULT:
            yield _fault(tag, reading.lexicon, reference)
        elif tag.role in VALUES and tag.use is Use.ALLOWED:
            welcome = query_pb2.SENTIMENT_POSITIVE
            yield rewrite_pb2.Remark(field=tag.slot, value=tag.meaning.value, polarity=welcome)
        elif tag.role in VALUES and tag.use in spoken:
            yield rewrite_pb2.Remark(field=tag.slot, value=tag.meaning.value, polarity=sentiment)


def _fault(tag: Tag, lexicon: Lexicon, reference: Mapping[str, str]) -> rewrite_pb2.Remark:
    """Return the remark on what is found fault with; of a field of the catalogue it names a value or none."""
    field = lexicon.aliases.get(tag.slot, tag.slot)
    value = reference.get(field, tag.meaning.said)
    if field in lexicon.schema.filtered:
        value = lexicon.spelling(field, value)
    return rewrite_pb2.Remark(field=field, value=value, polarity=query_pb2.SENTIMENT_NEGATIVE)
