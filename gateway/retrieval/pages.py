"""Page tokens: where a page begins, of which query, in which index.

A token is opaque to callers: base64url of zlib of a serialised message. It holds the digest of the request, so that
none serves another query; the collection, so that a page of an index that was swapped says so; and what the query was
read as, so that every page is one of the same search, however the rewriter reads the words the next time. What is read
from a token is held against every limit that a request's own fields are, for callers can make tokens up.
"""

import base64
import binascii
import hashlib
import zlib
from collections.abc import Iterable
from dataclasses import replace

from google.protobuf.message import DecodeError

from gateway.errors import Aborted, InvalidQuery
from gateway.model import Intent, Sort
from gateway.retrieval.query import Bucket, Query, Versions
from gateway.texts import check_text
from vitrine.domain import limits
from vitrine.domain.errors import InvalidValue
from vitrine.domain.filters import (
    Equals,
    Filter,
    Says,
    both,
    check_limits,
    conjuncts,
    fitted,
    without,
    words_excluded,
)
from vitrine.domain.messages import filter_message, read_filter
from vitrine.domain.product import check_id
from vitrine.domain.schema import Schema
from vitrine.v1 import query_pb2, search_pb2

FIELD = "page_token"

_INTENTS = {
    Intent.OTHER: query_pb2.INTENT_UNSPECIFIED,
    Intent.BUY: query_pb2.INTENT_BUY,
    Intent.COMPARE: query_pb2.INTENT_COMPARE,
    Intent.CONSULT: query_pb2.INTENT_CONSULT,
}

_WINDOW_BITS, _MEMORY_LEVEL = 13, 5
_MAX_BYTES = 1 << _WINDOW_BITS
"""Of a token's message; one that is larger, for hundreds of values that the rewriter read, is not given out."""


def page_token(
    request: Query, searched: Query, versions: Versions, *, offset: int, sponsored: Iterable[str] = ()
) -> str:
    """Return the token of the page that begins at `offset`; empty where it would be too large.

    `sponsored`: the products in the first page's sponsored places.
    """
    message = search_pb2.PageToken(
        request=_digest(request),
        index=versions.index,
        offset=offset,
        text=searched.text,
        filter=_message(_read_in_words(request, searched, versions.schema)),
        soft_filter=_message(searched.soft_filters),
        excluded=map(exclusion_message, searched.excluded),
        sort=None if searched.sort is None else sort_message(searched.sort),
        source=searched.source,
        bucket=searched.bucket.value,
        sponsored=sponsored,
        intent=_INTENTS[searched.intent],
    )
    token = base64.urlsafe_b64encode(_compressed(message.SerializeToString())).decode()
    small = message.ByteSize() <= _MAX_BYTES and len(token) <= limits.MAX_PAGE_TOKEN_LENGTH
    return token if small else ""


def page_of(request: Query, versions: Versions) -> Query:
    """Return the query whose page the request's token names.

    Raises:
        InvalidQuery: it is no token, of another query, or was tampered with.
        Aborted: the index was replaced since.
    """
    token = _read(request.page_token)
    if token.request != _digest(request):
        raise InvalidQuery(FIELD, "is of another query; repeat every other field of the request")
    if token.index != versions.index:
        raise Aborted(
            FIELD,
            f"index {token.index[:64]} was replaced by {versions.index}; search again from the first page",
        )
    try:
        return _continued(request, token, versions.schema)
    except InvalidValue:
        raise InvalidQuery(FIELD, "is damaged") from None


def words_in(token: str) -> str:
    """Return the words that a page token brings, which callers can make up; raises InvalidQuery where it is none."""
    return _read(token).text


def exclusion_message(excluded: Equals | Says) -> search_pb2.Exclusion:
    """Return the message of a value or a word that is excluded."""
    if isinstance(excluded, Equals):
        return search_pb2.Exclusion(field=excluded.field, value=str(excluded.value))
    said, *forms = excluded.forms
    return search_pb2.Exclusion(value=said, forms=forms)


def sort_message(sort: Sort) -> query_pb2.Sort:
    """Return the message of an order."""
    return query_pb2.Sort(field=sort.field, descending=sort.descending)


def read_sort(message: query_pb2.Sort) -> Sort:
    """Read an order; whether the field can be sorted by is the schema's to say."""
    return Sort(field=message.field, descending=message.descending)


def _read(token: str) -> search_pb2.PageToken:
    unpacked = zlib.decompressobj()
    try:
        packed = base64.b64decode(token.encode(), altchars=b"-_", validate=True)
        message = search_pb2.PageToken.FromString(unpacked.decompress(packed, _MAX_BYTES))
    except (binascii.Error, ValueError, zlib.error, DecodeError):
        raise InvalidQuery(FIELD, "is no page token of this service") from None
    # Cut short, larger than any of ours, or with something behind it.
    if not unpacked.eof or unpacked.unused_data:
        raise InvalidQuery(FIELD, "is no page token of this service")
    return message


def _continued(request: Query, token: search_pb2.PageToken, schema: Schema) -> Query:
    """Return the query that a token continues; InvalidValue where it says what no token of ours does."""
    if not 0 < token.offset < limits.MAX_POSITION:
        raise InvalidValue("offset", f"must be from 1 to {limits.MAX_POSITION - 1:,}")
    if bool(token.text) != bool(request.text):
        raise InvalidValue("text", "must be there as in the request")
    if len(token.excluded) > limits.MAX_EXCLUSIONS:
        raise InvalidValue("excluded", f"at most {limits.MAX_EXCLUSIONS}")
    if len(token.sponsored) > min(limits.MAX_SPONSORED_PLACES, token.offset):
        raise InvalidValue("sponsored", f"at most {limits.MAX_SPONSORED_PLACES}")
    if token.HasField("sort") and token.sort.field not in schema.sorted_by:
        raise InvalidValue("sort.field", "cannot be sorted by")
    if token.bucket not in {bucket.value for bucket in Bucket}:
        raise InvalidValue("bucket", "is none of ours")
    excluded = [_excluded(each, schema) for each in token.excluded]
    read = _checked(read_filter(token.filter), schema) if token.HasField("filter") else None
    soft = _checked(read_filter(token.soft_filter), schema) if token.HasField("soft_filter") else None
    return replace(
        request,
        text=check_text(FIELD, token.text, limit=limits.MAX_QUERY_LENGTH),
        filters=both(request.filters, read),
        soft_filters=soft,
        excluded=tuple(each for each in excluded if isinstance(each, (Equals, Says))),
        sort=read_sort(token.sort) if token.HasField("sort") else None,
        source=check_text(FIELD, token.source, limit=limits.MAX_SOURCE_LENGTH),
        intent=_intent(token),
        offset=token.offset,
        bucket=Bucket(token.bucket),
        sponsored=tuple(_product_id(each) for each in token.sponsored),
        rewrite=False,
    )


def _product_id(told: str) -> str:
    check_id("sponsored", told)
    return told


def _excluded(message: search_pb2.Exclusion, schema: Schema) -> Filter:
    if message.field:
        return _checked(Equals(message.field, message.value), schema)
    forms = (message.value, *message.forms)
    if len(forms) > limits.MAX_EXCLUDED_FORMS or max(map(len, forms)) > limits.MAX_REMARK_LENGTH:
        raise InvalidValue("excluded", "has words that are too long")
    read = words_excluded(forms, schema)
    if not read.forms:
        raise InvalidValue("excluded", "has no words")
    return read


def _intent(token: search_pb2.PageToken) -> Intent:
    for intent, number in _INTENTS.items():
        if number == token.intent:
            return intent
    raise InvalidValue("intent", "is none")


def _read_in_words(request: Query, searched: Query, schema: Schema) -> Filter | None:
    """Return what always holds beside the request's own filter, which the request of the next page brings again."""
    if request.filters is None:
        return searched.filters
    return without(searched.filters, tuple(conjuncts(fitted(request.filters, schema))))


def _checked(node: Filter, schema: Schema) -> Filter:
    check_limits(node)
    return fitted(node, schema)


def _message(filters: Filter | None) -> query_pb2.Filter | None:
    return None if filters is None else filter_message(filters)


def _compressed(data: bytes) -> bytes:
    """Return the data as zlib compresses it in 50 KB of memory: its usual 260 KB come fresh from the system each time."""
    compressor = zlib.compressobj(wbits=_WINDOW_BITS, memLevel=_MEMORY_LEVEL)
    return compressor.compress(data) + compressor.flush()


def _digest(request: Query) -> bytes:
    """Return what tells a request from another one: all that decides its hits, but not how many a page has."""
    weights = request.weights
    parts = (
        request.typed or request.text,
        hashlib.sha256(request.image).hexdigest() if request.image else "",
        request.product_id,
        ""
        if request.filters is None
        else filter_message(request.filters).SerializeToString(deterministic=True).hex(),
        repr(request.sort),
        "" if weights is None else f"{weights.text!r} {weights.image!r}",
        repr(request.rewrite),
        *((request.user_id,) if request.personalise else ()),
        *((f"for {request.intent.value}",) if request.intent is not Intent.OTHER else ()),
    )
    state = hashlib.sha256()
    for part in parts:
        state.update(f"{len(part)}:{part}".encode())
    return state.digest()[:16]
