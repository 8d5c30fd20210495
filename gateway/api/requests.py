"""Requests at the door: every field is checked once, and what comes out of here is trusted below.

Each refusal names the field and its limit.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from google.protobuf.field_mask_pb2 import FieldMask

from catalogue.product import MAX_ID_LENGTH
from gateway.api.images import check_image
from gateway.api.responses import PRODUCT_FIELDS
from gateway.errors import InvalidQuery
from gateway.filters import to_model
from gateway.model import Filter, Weights
from gateway.retrieval.query import DEFAULT_LIMIT, MAX_LIMIT, MAX_TEXT_LENGTH, Query
from gateway.texts import check_text
from vitrine.v1 import query_pb2, rewrite_pb2, search_pb2

MAX_WEIGHT = 1_000.0
"""Far from where float32 overflows, and nobody means more."""

MAX_USER_ID_LENGTH = 128
MAX_SESSION_ID_LENGTH = 64
MAX_HISTORY_TURNS = 50
MAX_HISTORY_BYTES = 256_000
MAX_SHOWN = 20

# Long enough for every registered BCP 47 tag.
_LOCALE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,4}")

_SHORT = 64
"""Characters of a caller's own value that a refusal may quote."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchCall:
    """A search that may be answered."""

    query: Query
    fields: frozenset[str]
    """Of a product, to be filled in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnCall:
    """A turn that may be answered."""

    query: Query
    fields: frozenset[str]
    session_id: str
    history: tuple[rewrite_pb2.Turn, ...]


async def read_search(request: search_pb2.SearchRequest, *, rewrite_by_default: bool) -> SearchCall:
    """Check a search; raises InvalidQuery."""
    query = await _read_query(request, rewrite=_rewrite_mode(request.rewrite, default=rewrite_by_default))
    return SearchCall(query=query, fields=_fields(request.fields))


async def read_turn(request: search_pb2.ConverseRequest) -> TurnCall:
    """Check a turn; raises InvalidQuery."""
    if request.session_id and request.history:
        raise InvalidQuery("history", "excludes session_id")
    _check_history(request.history)
    return TurnCall(
        query=await _read_query(request, rewrite=True),
        fields=_fields(request.fields),
        session_id=_identifier("session_id", request.session_id, limit=MAX_SESSION_ID_LENGTH),
        history=tuple(request.history),
    )


async def _read_query(
    request: search_pb2.SearchRequest | search_pb2.ConverseRequest, *, rewrite: bool
) -> Query:
    text = check_text("text", request.text, limit=MAX_TEXT_LENGTH)
    product_id = _identifier("product_id", request.product_id, limit=MAX_ID_LENGTH)
    if request.HasField("image") and product_id:
        raise InvalidQuery("product_id", "excludes image: give one reference")
    if not (text or product_id or request.HasField("image")):
        raise InvalidQuery("text", "must not be empty where neither image nor product_id is given")
    query = Query(
        text=text,
        image=request.image,
        product_id=product_id,
        filters=_filters(request),
        weights=_weights(request.weights) if request.HasField("weights") else None,
        limit=_limit(request.limit) if request.HasField("limit") else DEFAULT_LIMIT,
        locale=_locale(request.locale),
        user_id=_identifier("user_id", request.user_id, limit=MAX_USER_ID_LENGTH),
        rewrite=rewrite,
    )
    if request.HasField("image"):
        await check_image(query.image)
    return query


def _filters(request: search_pb2.SearchRequest | search_pb2.ConverseRequest) -> Filter | None:
    return to_model(request.filter) if request.HasField("filter") else None


def _identifier(field: str, value: str, *, limit: int) -> str:
    if len(value) > limit:
        raise InvalidQuery(field, f"at most {limit} characters, got {len(value):,}")
    if not value.isprintable():
        raise InvalidQuery(field, "must not hold control characters")
    return value


def _weights(weights: query_pb2.Weights) -> Weights:
    for name, value in (("text", weights.text), ("image", weights.image)):
        if not math.isfinite(value) or not 0 <= value <= MAX_WEIGHT:
            raise InvalidQuery(
                f"weights.{name}", f"must be a number from 0 to {MAX_WEIGHT:,.0f}, got {value:g}"
            )
    if weights.text + weights.image <= 0:
        raise InvalidQuery("weights", "must add up to more than 0")
    return Weights(text=weights.text, image=weights.image)


def _limit(limit: int) -> int:
    if not 1 <= limit <= MAX_LIMIT:
        raise InvalidQuery("limit", f"must be from 1 to {MAX_LIMIT}, got {limit}")
    return limit


def _locale(locale: str) -> str:
    if locale and not _LOCALE.fullmatch(locale):
        raise InvalidQuery("locale", "must be a BCP 47 tag of at most 5 parts, such as en-GB")
    return locale


def _fields(mask: FieldMask) -> frozenset[str]:
    for path in mask.paths:
        if path not in PRODUCT_FIELDS:
            known = ", ".join(sorted(PRODUCT_FIELDS))
            raise InvalidQuery("fields", f"{path[:_SHORT]!r} is no field of Product; these are: {known}")
    return frozenset(mask.paths) or PRODUCT_FIELDS


def _rewrite_mode(mode: int, *, default: bool) -> bool:
    if mode not in search_pb2.RewriteMode.values():
        raise InvalidQuery("rewrite", f"{mode} is no RewriteMode")
    return default if mode == search_pb2.REWRITE_MODE_UNSPECIFIED else mode == search_pb2.REWRITE_MODE_AUTO


def _check_history(history: Sequence[rewrite_pb2.Turn]) -> None:
    if len(history) > MAX_HISTORY_TURNS:
        raise InvalidQuery("history", f"at most {MAX_HISTORY_TURNS} turns, got {len(history):,}")
    if (size := sum(turn.ByteSize() for turn in history)) > MAX_HISTORY_BYTES:
        raise InvalidQuery("history", f"at most {MAX_HISTORY_BYTES:,} bytes, got {size:,}")
    for position, turn in enumerate(history):
        _check_turn(turn, f"history[{position}]")


def _check_turn(turn: rewrite_pb2.Turn, name: str) -> None:
    """Hold an earlier turn to what a turn of ours keeps to: the rewriter reads it, and refuses what breaks its limits."""
    check_text(f"{name}.text", turn.text, limit=MAX_TEXT_LENGTH)
    for field in ("query", "modification", "reply"):
        check_text(f"{name}.rewrite.{field}", getattr(turn.rewrite, field), limit=MAX_TEXT_LENGTH)
    if len(turn.shown) > MAX_SHOWN:
        raise InvalidQuery(f"{name}.shown", f"at most {MAX_SHOWN} products, got {len(turn.shown)}")
    for field in ("image_id", "product_id"):
        _identifier(f"{name}.{field}", getattr(turn, field), limit=MAX_ID_LENGTH)
    for position, product in enumerate(turn.shown):
        _identifier(f"{name}.shown[{position}].id", product.id, limit=MAX_ID_LENGTH)
        if not math.isfinite(product.price) or product.price < 0:
            raise InvalidQuery(
                f"{name}.shown[{position}].price", f"must be a finite number >= 0, got {product.price:g}"
            )
