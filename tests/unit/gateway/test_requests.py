"""Requests at the door: what is refused, and with which words."""

import math

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from gateway.api.requests import read_search, read_turn
from gateway.api.responses import PRODUCT_FIELDS
from gateway.errors import InvalidQuery
from gateway.model import Sort, Weights
from gateway.retrieval.query import Query
from vitrine.domain.filters import Equals
from vitrine.domain.routes import Route
from vitrine.v1 import query_pb2, rewrite_pb2, search_pb2


async def read(request: search_pb2.SearchRequest) -> Query:
    return (await read_search(request, rewrite_by_default=False)).query


async def test_a_full_request_is_read(jpeg: bytes) -> None:
    """Every field arrives, texts in normal form."""
    call = await read_search(
        search_pb2.SearchRequest(
            text="  cafe\u0301\n dress ",
            image=jpeg,
            filter=query_pb2.Filter(
                equals=query_pb2.Equals(field="colour", value=query_pb2.FieldValue(text="red"))
            ),
            weights=query_pb2.Weights(text=0.25, image=0.75),
            limit=200,
            fields=FieldMask(paths=["title", "price"]),
            rewrite=search_pb2.REWRITE_MODE_AUTO,
            locale="en-GB",
            user_id="u-1",
            sort=query_pb2.Sort(field="price", descending=True),
            page_token="abc",
            facets=["colour", "brand", "colour"],
        ),
        rewrite_by_default=False,
    )
    assert call.fields == {"title", "price"}
    assert call.query == Query(
        text="café dress",
        typed="café dress",
        image=jpeg,
        filters=Equals("colour", "red"),
        weights=Weights(text=0.25, image=0.75),
        limit=200,
        locale="en-GB",
        user_id="u-1",
        rewrite=True,
        sort=Sort(field="price", descending=True),
        page_token="abc",
        facets=("colour", "brand"),
    )


async def test_defaults_hold_where_nothing_is_said() -> None:
    """Limit, fields and rewrite mode have defaults; weights are left to the route."""
    call = await read_search(search_pb2.SearchRequest(text="dress"), rewrite_by_default=True)
    assert (call.query.limit, call.query.weights, call.query.rewrite) == (10, None, True)
    assert call.fields == PRODUCT_FIELDS


@pytest.mark.parametrize(
    ("request_", "route"),
    [
        (Query(text="a"), Route.TEXT),
        (Query(image=b"i"), Route.IMAGE),
        (Query(text="a", image=b"i"), Route.COMPOSED),
        (Query(text="a", product_id="p"), Route.REFINE),
        (Query(product_id="p"), Route.SIMILAR),
    ],
)
def test_what_is_given_chooses_the_route(request_: Query, route: Route) -> None:
    """Words, a picture, a product and their combinations each have a route."""
    assert request_.route is route


@pytest.mark.parametrize(
    ("request_", "field", "limit"),
    [
        ({}, "text", "empty"),
        ({"text": " \t "}, "text", "empty"),
        ({"text": "x" * 2_001}, "text", "at most 2,000 characters, got 2,001"),
        ({"text": "a\x00b"}, "text", "control characters"),
        ({"text": "a\x1bb"}, "text", "control characters"),
        ({"text": "a", "limit": 0}, "limit", "from 1 to 200, got 0"),
        ({"text": "a", "limit": -1}, "limit", "from 1 to 200, got -1"),
        ({"text": "a", "limit": 201}, "limit", "from 1 to 200, got 201"),
        ({"text": "a", "weights": query_pb2.Weights(text=math.nan, image=1)}, "weights.text", "0 to 1,000"),
        ({"text": "a", "weights": query_pb2.Weights(text=1, image=math.inf)}, "weights.image", "0 to 1,000"),
        ({"text": "a", "weights": query_pb2.Weights(text=1, image=-0.1)}, "weights.image", "got -0.1"),
        ({"text": "a", "weights": query_pb2.Weights()}, "weights", "more than 0"),
        ({"text": "a", "locale": "not a locale"}, "locale", "BCP 47"),
        ({"text": "a", "locale": "e" * 40}, "locale", "BCP 47"),
        ({"text": "a", "fields": FieldMask(paths=["title", "vector"])}, "fields", "'vector' is no field"),
        ({"text": "a", "user_id": "u" * 129}, "user_id", "at most 128 characters, got 129"),
        ({"text": "a", "user_id": "u\n"}, "user_id", "control characters"),
        ({"text": "a", "product_id": "p" * 129}, "product_id", "at most 128 characters, got 129"),
        ({"product_id": "p", "image": b"x"}, "product_id", "excludes image"),
        ({"text": "a", "image": b""}, "image", "empty"),
        ({"image": b"GIF89a"}, "image", "JPEG, PNG or WebP"),
        ({"text": "a", "rewrite": 9}, "rewrite", "9 is no RewriteMode"),
        ({"text": "a", "filter": query_pb2.Filter()}, "filter", "must hold a condition"),
        (
            {"text": "a", "sort": query_pb2.Sort(field="x" * 65)},
            "sort.field",
            "at most 64 characters, got 65",
        ),
        ({"text": "a", "page_token": "x" * 12_001}, "page_token", "at most 12000 characters, got 12,001"),
        ({"text": "a", "page_token": "x\n"}, "page_token", "control characters"),
        ({"text": "a", "facets": [str(i) for i in range(65)]}, "facets", "at most 64, got 65"),
        ({"text": "a", "facets": ["x" * 65]}, "facets[0]", "at most 64 characters, got 65"),
    ],
)
async def test_a_breach_is_refused_with_field_and_limit(
    request_: dict[str, object], field: str, limit: str
) -> None:
    """Each field that breaks its limit is named together with the limit."""
    with pytest.raises(InvalidQuery) as refused:
        await read(search_pb2.SearchRequest(**request_))  # type: ignore[arg-type] # the cases name the fields
    assert refused.value.field == field
    assert limit in refused.value.reason


async def test_line_breaks_in_pasted_text_are_white_space() -> None:
    """Tabs and line breaks are no attack."""
    assert (await read(search_pb2.SearchRequest(text="a\tb\r\nc"))).text == "a b c"


@pytest.mark.parametrize(
    ("turn", "field", "limit"),
    [
        ({"session_id": "s", "history": [rewrite_pb2.Turn()]}, "history", "excludes session_id"),
        ({"history": [rewrite_pb2.Turn()] * 51}, "history", "at most 50 turns, got 51"),
        ({"history": [rewrite_pb2.Turn(text="x" * 2_001)]}, "history[0].text", "at most 2,000"),
        ({"history": [rewrite_pb2.Turn(shown=[query_pb2.Product()] * 21)]}, "history[0].shown", "at most 20"),
        ({"history": [rewrite_pb2.Turn(product_id="x" * 300_000)]}, "history", "at most 256,000 bytes"),
        ({"history": [rewrite_pb2.Turn(text="a")] * 10_000}, "history", "at most 50 turns, got 10,000"),
        ({"history": [rewrite_pb2.Turn(image_id="x" * 200)]}, "history[0].image_id", "at most 128"),
        (
            {"history": [rewrite_pb2.Turn(rewrite=rewrite_pb2.Rewrite(query="x" * 2_001))]},
            "history[0].rewrite.query",
            "at most 2,000",
        ),
        (
            {"history": [rewrite_pb2.Turn(shown=[query_pb2.Product(price=math.nan)])]},
            "history[0].shown[0].price",
            "finite",
        ),
        ({"history": [rewrite_pb2.Turn(position=-1)]}, "history[0].position", "from 0 to 1,000, got -1"),
        ({"history": [rewrite_pb2.Turn(position=1_001)]}, "history[0].position", "from 0 to 1,000, got 1001"),
        ({"session_id": "s" * 65}, "session_id", "at most 64"),
        ({"limit": 0}, "limit", "from 1 to 200"),
    ],
)
async def test_a_turn_is_checked_likewise(turn: dict[str, object], field: str, limit: str) -> None:
    """History and session have limits of their own; the rest is checked as in a search."""
    with pytest.raises(InvalidQuery) as refused:
        await read_turn(search_pb2.ConverseRequest(text="a", **turn))  # type: ignore[arg-type] # as above
    assert refused.value.field == field
    assert limit in refused.value.reason


@pytest.mark.parametrize("behind", [b"\0" * 200_000, b"an archive"])
async def test_what_lies_behind_a_picture_is_left_out(jpeg: bytes, png: bytes, behind: bytes) -> None:
    """A search and a turn take a picture up to its end: nothing else is encoded, and nothing else can be kept."""
    for picture in (jpeg, png):
        turn = await read_turn(search_pb2.ConverseRequest(image=picture + behind))
        search = await read_search(search_pb2.SearchRequest(image=picture + behind), rewrite_by_default=False)
        assert turn.query.image == search.query.image == picture


@pytest.mark.parametrize("character", ["\u0958", "\ufb2c", "\u0344"])
async def test_the_limit_holds_in_normal_form(character: str) -> None:
    """Characters that have no composed form grow: what is passed on keeps the limit, and the error tells the length."""
    with pytest.raises(InvalidQuery, match="text: at most 2,000 characters in normal form C, got"):
        await read(search_pb2.SearchRequest(text=character * 2_000))
    assert len((await read(search_pb2.SearchRequest(text=character * 500))).text) <= 2_000
