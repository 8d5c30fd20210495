"""Requests at the door: every field is checked once, and what comes out of here is trusted below.

Each refusal names the field and its limit.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from google.protobuf.field_mask_pb2 import FieldMask

from gateway.api.history import check_history
from gateway.api.images import check_image
from gateway.api.responses import PRODUCT_FIELDS
from gateway.copying import changed
from gateway.errors import InvalidQuery, as_invalid_query
from gateway.model import Intent, Sort, Weights
from gateway.retrieval.pages import read_sort
from gateway.retrieval.query import Query
from gateway.texts import check_text
from gateway.understanding.validation import INTENTS
from vitrine.audio_header import AudioRejected, inspect_audio
from vitrine.domain import limits
from vitrine.domain.filters import Filter, check_limits
from vitrine.domain.messages import read_filter
from vitrine.domain.product import check_identifier
from vitrine.v1 import query_pb2, recommend_pb2, rewrite_pb2, search_pb2

# Long enough for every registered BCP 47 tag.
LOCALE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,4}")

_REWRITE_MODES = frozenset(search_pb2.RewriteMode.values())

_SHORT = 64
"""Characters of a caller's own value that a refusal may quote."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchCall:
    """A search that may be answered."""

    query: Query
    fields: frozenset[str]
    """Of a product, to be filled in."""
    audio: bytes = field(default=b"", repr=False)
    """What was said; empty for nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnCall:
    """A turn that may be answered."""

    query: Query
    fields: frozenset[str]
    session_id: str
    history: tuple[rewrite_pb2.Turn, ...]
    audio: bytes = field(default=b"", repr=False)


async def read_search(request: search_pb2.SearchRequest, *, rewrite_by_default: bool) -> SearchCall:
    """Check a search; raises InvalidQuery."""
    query = await _read_query(request, rewrite=_rewrite_mode(request.rewrite, default=rewrite_by_default))
    query = changed(
        query,
        literal=request.rewrite == search_pb2.REWRITE_MODE_OFF,
        sort=_sort(request.sort) if request.HasField("sort") else None,
        page_token=_page_token(request.page_token),
        facets=_facets(request.facets),
    )
    return SearchCall(query=query, fields=read_fields(request.fields), audio=request.audio)


async def read_turn(request: search_pb2.ConverseRequest) -> TurnCall:
    """Check a turn; raises InvalidQuery."""
    if request.session_id and request.history:
        raise InvalidQuery("history", "excludes session_id")
    check_history(request.history)
    return TurnCall(
        query=await _read_query(request, rewrite=True),
        fields=read_fields(request.fields),
        session_id=read_identifier("session_id", request.session_id, limit=limits.MAX_SESSION_ID_LENGTH),
        history=tuple(request.history),
        audio=request.audio,
    )


async def _read_query(
    request: search_pb2.SearchRequest | search_pb2.ConverseRequest, *, rewrite: bool
) -> Query:
    text = check_text("text", request.text, limit=limits.MAX_QUERY_LENGTH)
    product_id = read_identifier("product_id", request.product_id, limit=limits.MAX_ID_LENGTH)
    if request.HasField("image") and product_id:
        raise InvalidQuery("product_id", "excludes image: give one reference")
    if not (text or product_id or request.HasField("image") or request.HasField("audio")):
        raise InvalidQuery("text", "must not be empty where none of image, product_id and audio is given")
    if request.HasField("audio"):
        _check_audio(request.audio)
    query = Query(
        text=text,
        typed=text,
        image=request.image,
        product_id=product_id,
        filters=read_conditions(request),
        weights=_weights(request.weights) if request.HasField("weights") else None,
        limit=read_limit(request.limit) if request.HasField("limit") else limits.DEFAULT_HITS,
        locale=_locale(request.locale),
        user_id=read_identifier("user_id", request.user_id, limit=limits.MAX_USER_ID_LENGTH),
        personalise=request.personalise,
        no_sponsored=request.no_sponsored,
        intent=_intent(request.intent),
        rewrite=rewrite,
    )
    return replace(query, image=await check_image(query.image)) if request.HasField("image") else query


def _check_audio(audio: bytes) -> None:
    """Judge a recording by its header; the speech service decodes it."""
    try:
        inspect_audio(audio)
    except AudioRejected as error:
        raise InvalidQuery("audio", error.reason) from None


def read_conditions(
    request: search_pb2.SearchRequest | search_pb2.ConverseRequest | recommend_pb2.RecommendRequest,
) -> Filter | None:
    """Check a request's filter; raises InvalidQuery."""
    if not request.HasField("filter"):
        return None
    with as_invalid_query():
        node = read_filter(request.filter)
        check_limits(node)
    return node


def _sort(sort: query_pb2.Sort) -> Sort:
    return read_sort(
        query_pb2.Sort(
            field=read_identifier("sort.field", sort.field, limit=_SHORT), descending=sort.descending
        )
    )


def _page_token(token: str) -> str:
    return read_identifier("page_token", token, limit=limits.MAX_PAGE_TOKEN_LENGTH)


def _facets(names: Sequence[str]) -> tuple[str, ...]:
    if len(names) > limits.MAX_FACETS:
        raise InvalidQuery("facets", f"at most {limits.MAX_FACETS}, got {len(names):,}")
    return tuple(
        dict.fromkeys(read_identifier(f"facets[{i}]", name, limit=_SHORT) for i, name in enumerate(names))
    )


def read_identifier(field: str, value: str, *, limit: int) -> str:
    """Check an id or a name, which may be empty; raises InvalidQuery."""
    with as_invalid_query():
        check_identifier(field, value, limit=limit)
    return value


def _weights(weights: query_pb2.Weights) -> Weights:
    for name, value in (("text", weights.text), ("image", weights.image)):
        if not math.isfinite(value) or not 0 <= value <= limits.MAX_WEIGHT:
            raise InvalidQuery(
                f"weights.{name}", f"must be a number from 0 to {limits.MAX_WEIGHT:,.0f}, got {value:g}"
            )
    if weights.text + weights.image <= 0:
        raise InvalidQuery("weights", "must add up to more than 0")
    return Weights(text=weights.text, image=weights.image)


def read_limit(limit: int) -> int:
    """Check a number of hits; raises InvalidQuery."""
    if not 1 <= limit <= limits.MAX_HITS:
        raise InvalidQuery("limit", f"must be from 1 to {limits.MAX_HITS}, got {limit}")
    return limit


def _locale(locale: str) -> str:
    if locale and not LOCALE.fullmatch(locale):
        raise InvalidQuery("locale", "must be a BCP 47 tag of at most 5 parts, such as en-GB")
    return locale


def read_fields(mask: FieldMask) -> frozenset[str]:
    """Check which fields of a product are wanted, all for none; raises InvalidQuery."""
    if len(mask.paths) > limits.MAX_FIELD_PATHS:
        raise InvalidQuery("fields", f"at most {limits.MAX_FIELD_PATHS}, got {len(mask.paths):,}")
    for path in mask.paths:
        if path not in PRODUCT_FIELDS:
            known = ", ".join(sorted(PRODUCT_FIELDS))
            raise InvalidQuery("fields", f"{path[:_SHORT]!r} is no field of Product; these are: {known}")
    return frozenset(mask.paths) or PRODUCT_FIELDS


def _intent(intent: int) -> Intent:
    if intent not in INTENTS:
        raise InvalidQuery("intent", f"{intent} is no Intent")
    return INTENTS[intent]


def _rewrite_mode(mode: int, *, default: bool) -> bool:
    if mode not in _REWRITE_MODES:
        raise InvalidQuery("rewrite", f"{mode} is no RewriteMode")
    return default if mode == search_pb2.REWRITE_MODE_UNSPECIFIED else mode == search_pb2.REWRITE_MODE_AUTO
