"""The history that a caller sends instead of a session: hostile input, held to what a turn of ours keeps to.

The rewriter refuses what breaks its limits, similar turns are embedded by these words, and a filter in them is searched
by again: so every string and number in a turn is looked at here, whatever part of it is read today.
"""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence

from gateway.errors import InvalidQuery, as_invalid_query
from gateway.texts import check_text
from vitrine.domain import limits
from vitrine.domain.errors import InvalidValue
from vitrine.domain.filters import check_limits
from vitrine.domain.messages import read_filter
from vitrine.domain.product import check_identifier
from vitrine.v1 import query_pb2, rewrite_pb2

_WORDS: Mapping[str, int] = {
    "query": limits.MAX_QUERY_LENGTH,
    "modification": limits.MAX_QUERY_LENGTH,
    "reply": limits.MAX_QUERY_LENGTH,
    "source": limits.MAX_SOURCE_LENGTH,
    "failure": limits.MAX_SOURCE_LENGTH,
}
_OF_PRODUCTS: Mapping[str, int] = {
    "title": limits.MAX_TITLE_LENGTH,
    "category": limits.MAX_KEYWORD_LENGTH,
    "colour": limits.MAX_KEYWORD_LENGTH,
    "pattern": limits.MAX_KEYWORD_LENGTH,
    "brand": limits.MAX_KEYWORD_LENGTH,
    "image_uri": limits.MAX_URI_LENGTH,
    "caption": limits.MAX_CAPTION_LENGTH,
    "caption_by": limits.MAX_CAPTION_BY_LENGTH,
}
"""Characters of the strings of a rewrite and of a product, by their fields."""


def check_history(history: Sequence[rewrite_pb2.Turn]) -> None:
    """Hold a history to its limits; raises InvalidQuery, which names the field."""
    if len(history) > limits.MAX_HISTORY_TURNS:
        raise InvalidQuery("history", f"at most {limits.MAX_HISTORY_TURNS} turns, got {len(history):,}")
    if (size := sum(turn.ByteSize() for turn in history)) > limits.MAX_HISTORY_BYTES:
        raise InvalidQuery("history", f"at most {limits.MAX_HISTORY_BYTES:,} bytes, got {size:,}")
    with as_invalid_query():
        for position, turn in enumerate(history):
            _check_turn(turn, f"history[{position}]")


def _check_turn(turn: rewrite_pb2.Turn, name: str) -> None:
    if not 0 <= turn.position <= limits.MAX_POSITION:
        raise InvalidQuery(
            f"{name}.position", f"must be from 0 to {limits.MAX_POSITION:,}, got {turn.position}"
        )
    check_text(f"{name}.text", turn.text, limit=limits.MAX_QUERY_LENGTH)
    for field in ("image_id", "product_id"):
        check_identifier(f"{name}.{field}", getattr(turn, field), limit=limits.MAX_ID_LENGTH)
    _check_rewrite(turn.rewrite, f"{name}.rewrite")
    if len(turn.shown) > limits.MAX_SHOWN:
        raise InvalidQuery(f"{name}.shown", f"at most {limits.MAX_SHOWN} products, got {len(turn.shown)}")
    for position, product in enumerate(turn.shown):
        _check_product(product, f"{name}.shown[{position}]")


def _check_rewrite(rewrite: rewrite_pb2.Rewrite, name: str) -> None:
    for field, limit in _WORDS.items():
        check_text(f"{name}.{field}", getattr(rewrite, field), limit=limit)
    check_identifier(f"{name}.sort.field", rewrite.sort.field, limit=limits.MAX_FIELD_NAME_LENGTH)
    if not math.isfinite(rewrite.confidence) or not 0 <= rewrite.confidence <= 1:
        raise InvalidQuery(f"{name}.confidence", f"must be from 0 to 1, got {rewrite.confidence:g}")
    _check_number(f"{name}.references", len(rewrite.references), limits.MAX_REFERENCES)
    for position, reference in enumerate(rewrite.references):
        check_identifier(f"{name}.references[{position}]", reference, limit=limits.MAX_ID_LENGTH)
    _check_number(f"{name}.remarks", len(rewrite.remarks), limits.MAX_REMARKS)
    for position, remark in enumerate(rewrite.remarks):
        for field in ("field", "value"):
            place = f"{name}.remarks[{position}].{field}"
            check_identifier(place, getattr(remark, field), limit=limits.MAX_REMARK_LENGTH)
    _check_excluded_words(rewrite.excluded_words, f"{name}.excluded_words")
    if rewrite.HasField("filter"):
        try:
            check_limits(read_filter(rewrite.filter))
        except InvalidValue as error:
            raise InvalidQuery(f"{name}.{error.field}", error.reason) from None


def _check_excluded_words(excluded: Collection[rewrite_pb2.ExcludedWords], name: str) -> None:
    _check_number(name, len(excluded), limits.MAX_EXCLUSIONS)
    for position, words in enumerate(excluded):
        place = f"{name}[{position}]"
        check_identifier(f"{place}.said", words.said, limit=limits.MAX_REMARK_LENGTH)
        _check_number(f"{place}.forms", len(words.forms), limits.MAX_EXCLUDED_FORMS - 1)
        for form in words.forms:
            check_identifier(f"{place}.forms", form, limit=limits.MAX_REMARK_LENGTH)


def _check_product(product: query_pb2.Product, name: str) -> None:
    check_identifier(f"{name}.id", product.id, limit=limits.MAX_ID_LENGTH)
    if not math.isfinite(product.price) or product.price < 0:
        raise InvalidQuery(f"{name}.price", f"must be a finite number >= 0, got {product.price:g}")
    for place, text, limit in _texts(product):
        if len(text) > limit:
            raise InvalidQuery(f"{name}.{place}", f"at most {limit:,} characters, got {len(text):,}")
        if "\0" in text:
            raise InvalidQuery(f"{name}.{place}", "must not hold a NUL character")


def _texts(product: query_pb2.Product) -> Iterator[tuple[str, str, int]]:
    """Yield the texts of a product beside its id, each with its place and its limit; a catalogue's may have line feeds."""
    for field, limit in _OF_PRODUCTS.items():
        yield field, getattr(product, field), limit
    for uri in product.image_uris:
        yield "image_uris", uri, limits.MAX_URI_LENGTH
    for field in product.inferred:
        yield "inferred", field, limits.MAX_FIELD_NAME_LENGTH
    for key, text in product.attributes.items():
        yield "attributes", key, limits.MAX_ATTRIBUTE_NAME_LENGTH
        yield "attributes", text, limits.MAX_TEXT_BYTES
    for key, value in product.fields.items():
        yield "fields", key, limits.MAX_FIELD_NAME_LENGTH
        yield "fields", value.text, limits.MAX_TEXT_BYTES
        for word in value.texts.values:
            yield "fields", word, limits.MAX_KEYWORD_LENGTH


def _check_number(name: str, number: int, limit: int) -> None:
    if number > limit:
        raise InvalidQuery(name, f"at most {limit}, got {number:,}")
