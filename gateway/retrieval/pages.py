"""Page tokens: where a page begins, of which query, in which index.

A token is opaque to callers: base64url of zlib of a serialised message. It holds the digest of the request, so that
none serves another query; the collection, so that a page of an index that was swapped says so; and the query as it was
searched, so that every page is one of the same search, however the rewriter reads the words the next time. What is read
from a token is held against every limit that a request's own fields are.
"""

import base64
import binascii
import hashlib
import zlib
from dataclasses import replace

from google.protobuf.message import DecodeError

from gateway.errors import Aborted, InvalidQuery, as_invalid_query
from gateway.model import Sort
from gateway.retrieval.query import Query, Versions
from gateway.texts import check_text
from vitrine.domain import limits
from vitrine.domain.filters import AllOf, Filter, check_limits, fitted
from vitrine.domain.messages import filter_message, read_filter
from vitrine.v1 import query_pb2, search_pb2

FIELD = "page_token"

_MAX_BYTES = 8_192
"""Of a token's message; one that is larger, for a filter of hundreds of values, is not given out."""


def page_token(request: Query, searched: Query, versions: Versions, *, offset: int) -> str:
    """Return the token of the page that begins at `offset`; empty where it would be too large."""
    message = search_pb2.PageToken(
        request=_digest(request),
        index=versions.index,
        offset=offset,
        text=searched.text,
        product_id=searched.product_id,
        filter=_message(searched.conditions),
        sort=None if searched.sort is None else sort_message(searched.sort),
        source=searched.source,
    )
    data = zlib.compress(message.SerializeToString())
    token = base64.urlsafe_b64encode(data).decode()
    small = message.ByteSize() <= _MAX_BYTES and len(token) <= limits.MAX_PAGE_TOKEN_LENGTH
    return token if small else ""


def page_of(request: Query, versions: Versions) -> Query:
    """Return the query whose page the request's token names.

    Raises:
        InvalidQuery: it is no token, or of another query.
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
    if not 0 < token.offset < limits.MAX_POSITION or bool(token.product_id) != bool(request.product_id):
        raise InvalidQuery(FIELD, "is damaged")
    with as_invalid_query():
        filters = fitted(_checked(token.filter), versions.schema) if token.HasField("filter") else None
    return replace(
        request,
        text=check_text(FIELD, token.text, limit=limits.MAX_QUERY_LENGTH),
        filters=filters,
        soft_filters=None,
        excluded=(),
        sort=read_sort(token.sort) if token.HasField("sort") else None,
        source=token.source[: limits.MAX_SOURCE_LENGTH],
        offset=token.offset,
        rewrite=False,
    )


def sort_message(sort: Sort) -> query_pb2.Sort:
    """Return the message of an order."""
    return query_pb2.Sort(field=sort.field, descending=sort.descending)


def read_sort(message: query_pb2.Sort) -> Sort:
    """Read an order; whether the field can be sorted by is the schema's to say."""
    return Sort(field=message.field, descending=message.descending)


def _read(token: str) -> search_pb2.PageToken:
    try:
        unpacked = zlib.decompressobj()
        data = unpacked.decompress(base64.urlsafe_b64decode(token.encode()), _MAX_BYTES)
        return search_pb2.PageToken.FromString(data)
    except (binascii.Error, ValueError, zlib.error, DecodeError):
        raise InvalidQuery(FIELD, "is no page token of this service") from None


def _checked(message: query_pb2.Filter) -> Filter:
    node = read_filter(message)
    # What was searched joins the caller's filter with the rewriter's: one level more than either.
    for part in node.parts if isinstance(node, AllOf) else (node,):
        check_limits(part)
    return node


def _message(filters: Filter | None) -> query_pb2.Filter | None:
    return None if filters is None else filter_message(filters)


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
    )
    state = hashlib.sha256()
    for part in parts:
        state.update(f"{len(part)}:{part}".encode())
    return state.digest()[:16]
