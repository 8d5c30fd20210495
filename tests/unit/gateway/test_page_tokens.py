"""Page tokens as hostile input: every one that is not of this search is refused, and none does harm."""

import base64
import zlib
from collections.abc import Callable

import grpc
import pytest
from grpc import aio
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import Aborted, InvalidQuery
from gateway.model import Sort, Weights
from gateway.retrieval.pages import page_of, page_token
from gateway.retrieval.query import Query, Versions
from gateway.testing import MANIFEST, FakeIndex, ServedGateway, product, refused_field, serving
from vitrine.domain import limits
from vitrine.domain.filters import AllOf, Equals, Filter, Not, Range
from vitrine.domain.messages import filter_message
from vitrine.domain.schema_files import shipped_schema
from vitrine.v1 import query_pb2, search_pb2, search_pb2_grpc

PRODUCTS = tuple(product(f"p{i}", f"red dress {i}") for i in range(6))
VERSIONS = Versions(model="m", index="i-1", schema=shipped_schema())
REQUEST = Query(text="cheap red ones", typed="cheap red ones", filters=Equals("brand", "acme"), rewrite=True)
SEARCHED = Query(
    text="dress",
    typed="cheap red ones",
    filters=AllOf((Equals("brand", "acme"), Range(field="price", maximum=50.0))),
    soft_filters=Equals("colour", "red"),
    excluded=(Equals("pattern", "striped"),),
    sort=Sort(field="price", descending=True),
    source="fake",
)


def token(request: Query = REQUEST, searched: Query = SEARCHED, *, offset: int = 10) -> str:
    return page_token(request, searched, VERSIONS, offset=offset)


def asked_with(page: str, request: Query = REQUEST) -> Query:
    return Query(
        text=request.text,
        typed=request.typed,
        filters=request.filters,
        rewrite=request.rewrite,
        page_token=page,
        limit=3,
        facets=("colour",),
    )


def forged(change: Callable[[search_pb2.PageToken], object], page: str = "") -> str:
    """Return a token with something changed; its checksum holds, for it is no secret."""
    packed = base64.urlsafe_b64decode(page or token())
    message = search_pb2.PageToken.FromString(zlib.decompress(packed))
    change(message)
    return base64.urlsafe_b64encode(zlib.compress(message.SerializeToString())).decode()


def refused(page: str, request: Query = REQUEST) -> str:
    with pytest.raises(InvalidQuery) as caught:
        page_of(asked_with(page, request), VERSIONS)
    assert caught.value.field == "page_token"
    return caught.value.reason


def test_a_token_brings_back_what_was_searched() -> None:
    """Words, conditions, exclusions, order and source are those of the first page; page size and facets the request's."""
    query = page_of(asked_with(token()), VERSIONS)
    assert (query.text, query.typed, query.source) == ("dress", "cheap red ones", "fake")
    assert query.filters == SEARCHED.filters
    assert (query.soft_filters, query.excluded) == (SEARCHED.soft_filters, SEARCHED.excluded)
    assert (query.sort, query.offset, query.rewrite) == (SEARCHED.sort, 10, False)
    assert (query.limit, query.facets) == (3, ("colour",))


def test_a_token_does_not_hold_the_callers_filter() -> None:
    """The request brings it again; the token has the rest alone."""
    message = search_pb2.PageToken.FromString(zlib.decompress(base64.urlsafe_b64decode(token())))
    assert message.filter == filter_message(Range(field="price", maximum=50.0))


def test_a_reading_beyond_all_measure_has_no_further_page() -> None:
    """A token that would be too large is not given out."""
    huge = tuple(Equals("colour", f"{'x' * 500}{i}") for i in range(20))
    assert token(searched=Query(text="dress", filters=AllOf(huge))) == ""


@pytest.mark.parametrize(
    "other",
    [
        Query(text="other words", typed="other words", filters=REQUEST.filters, rewrite=True),
        Query(text=REQUEST.text, typed=REQUEST.typed, rewrite=True),
        Query(text=REQUEST.text, typed=REQUEST.typed, filters=Equals("brand", "umbra"), rewrite=True),
        Query(text=REQUEST.text, typed=REQUEST.typed, filters=REQUEST.filters),
    ],
    ids=["words", "no filter", "another filter", "no rewriting"],
)
def test_a_token_of_another_query_is_refused(other: Query) -> None:
    """The refusal says what to do."""
    assert "is of another query; repeat every other field" in refused(token(), other)


@pytest.mark.parametrize(
    "other",
    [
        {"image": b"a picture"},
        {"product_id": "p1"},
        {"sort": Sort(field="price")},
        {"weights": Weights(text=1.0, image=0.0)},
    ],
    ids=["picture", "product", "order", "weights"],
)
def test_everything_that_decides_the_hits_is_part_of_the_query(other: dict[str, object]) -> None:
    """A picture, a product, an order and weights make another query."""
    query = Query(
        text=REQUEST.text,
        typed=REQUEST.typed,
        filters=REQUEST.filters,
        rewrite=True,
        page_token=token(),
        **other,
    )  # type: ignore[arg-type] # the cases name the fields
    with pytest.raises(InvalidQuery, match="of another query"):
        page_of(query, VERSIONS)


def test_a_token_of_a_replaced_index_names_both() -> None:
    """The caller is told to begin again, and why."""
    later = Versions(model="m", index="i-2", schema=shipped_schema())
    with pytest.raises(
        Aborted, match="page_token: index i-1 was replaced by i-2; search again from the first page"
    ):
        page_of(asked_with(token()), later)


@pytest.mark.parametrize(
    "page",
    ["x", "AAAA", "not base64!", token()[:-8], token()[: len(token()) // 2], token() + "AAAA", token()[4:], "ü" * 20],
    ids=["short", "no zlib", "no base64", "its end cut", "cut in half", "too long", "its beginning cut", "not ASCII"],
)  # fmt: skip
def test_what_is_no_token_is_refused(page: str) -> None:
    """Damaged, truncated and random ones alike."""
    assert refused(page) in ("is no page token of this service", "is damaged")


def test_a_token_that_unpacks_to_very_much_is_refused() -> None:
    """It is not unpacked any further than a token may be."""
    assert refused(base64.urlsafe_b64encode(zlib.compress(b"\0" * 10_000_000)).decode()) == (
        "is no page token of this service"
    )


def with_filter(node: Filter) -> Callable[[search_pb2.PageToken], None]:
    return lambda message: message.filter.CopyFrom(filter_message(node))


def nested(levels: int) -> Filter:
    node: Filter = Equals("colour", "red")
    for _ in range(levels):
        node = Not(node)
    return node


@pytest.mark.parametrize(
    "change",
    [
        lambda message: setattr(message, "offset", 0),
        lambda message: setattr(message, "offset", -5),
        lambda message: setattr(message, "offset", limits.MAX_POSITION),
        lambda message: setattr(message, "offset", 2**31 - 1),
        lambda message: setattr(message, "text", ""),
        lambda message: setattr(message, "text", "x" * 2_001),
        lambda message: setattr(message, "text", "a\x00b"),
        lambda message: setattr(message, "source", "x" * 65),
        lambda message: setattr(message.sort, "field", "title"),
        lambda message: setattr(message.sort, "field", "no such field"),
        with_filter(nested(9)),
        with_filter(nested(40)),
        with_filter(AllOf(())),
        with_filter(AllOf(tuple(Equals("colour", str(i)) for i in range(257)))),
        with_filter(Equals("secret", "x")),
        with_filter(Equals("colour", "x" * 513)),
        with_filter(Range(field="price", minimum=2.0, maximum=1.0)),
        with_filter(Range(field="price", minimum=float("nan"))),
        with_filter(Range(field="colour", minimum=1.0)),
        lambda message: message.filter.CopyFrom(query_pb2.Filter()),
        lambda message: message.soft_filter.CopyFrom(filter_message(Equals("secret", "x"))),
        lambda message: message.excluded.add(field="secret", value="x"),
        lambda message: message.excluded.add(field="colour", value=""),
        lambda message: message.excluded.extend(
            [search_pb2.Exclusion(field="colour", value=str(i)) for i in range(9)]
        ),
    ],
)
def test_what_no_token_of_ours_says_is_refused(change: Callable[[search_pb2.PageToken], object]) -> None:
    """A made-up token is held against every limit that a request is."""
    assert refused(forged(change)) == "is damaged"


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
@settings(max_examples=200)
def test_no_random_token_is_answered(data: bytes) -> None:
    """Random bytes, packed as a token is or not, are refused and never fail otherwise."""
    refused(base64.urlsafe_b64encode(zlib.compress(data)).decode())
    refused(base64.urlsafe_b64encode(data).decode() or "x")


@given(st.data())
@settings(max_examples=300)
def test_no_mutated_token_fails(data: st.DataObject) -> None:
    """A token with bytes changed, put in or taken out is refused, aborted, or read within every limit."""
    packed = bytearray(zlib.decompress(base64.urlsafe_b64decode(token())))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(packed) - 1))
        length = data.draw(st.integers(0, 3))
        packed[place : place + length] = data.draw(st.binary(max_size=3))
        if not packed:
            return
    page = base64.urlsafe_b64encode(zlib.compress(bytes(packed))).decode()
    try:
        query = page_of(asked_with(page), VERSIONS)
    except (InvalidQuery, Aborted):
        return
    assert 0 < query.offset < limits.MAX_POSITION
    assert 0 < len(query.text) <= limits.MAX_QUERY_LENGTH


async def search(
    gateway: ServedGateway, text: str = "red dress", page: str = ""
) -> search_pb2.SearchResponse:
    stub = search_pb2_grpc.SearchServiceStub(gateway.channel)
    return await stub.Search(search_pb2.SearchRequest(text=text, limit=2, page_token=page), timeout=30)


async def test_a_swapped_index_aborts_its_pages() -> None:
    """Through the service: ABORTED, with both indexes by name."""
    index = FakeIndex.holding(PRODUCTS)
    async with serving(index=index) as gateway:
        first = await search(gateway)
        built = await index.build(MANIFEST, "test")
        await built.upsert(PRODUCTS)
        await index.promote(built.version)
        with pytest.raises(aio.AioRpcError, match="index fake-0 was replaced by fake-1") as caught:
            await search(gateway, page=first.next_page_token)
    assert caught.value.code() is grpc.StatusCode.ABORTED


@pytest.mark.parametrize(
    ("text", "change"),
    [
        ("red dress", lambda page: page[:-6]),
        ("another dress", lambda page: page),
        ("red dress", lambda page: forged(lambda message: setattr(message, "text", ""), page)),
        ("red dress", lambda page: forged(with_filter(Equals("secret", "x")), page)),
    ],
    ids=["cut", "of another query", "without words", "with an unknown field"],
)
async def test_a_bad_token_is_the_callers_mistake(text: str, change: Callable[[str], str]) -> None:
    """Through the service: INVALID_ARGUMENT with the field's name, never INTERNAL."""
    async with serving(products=PRODUCTS) as gateway:
        first = await search(gateway)
        with pytest.raises(aio.AioRpcError) as caught:
            await search(gateway, text, change(first.next_page_token))
    assert (caught.value.code(), refused_field(caught.value)) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "page_token",
    )
