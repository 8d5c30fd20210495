"""Answers are bounded in bytes, and say what has no room in them."""

from dataclasses import replace

from google.protobuf.field_mask_pb2 import FieldMask

from gateway.api.responses import DETAILS, PRODUCT_FIELDS, listed, product_message, search_message
from gateway.model import FieldSummary, Hit, Weights
from gateway.retrieval.query import Query, SearchResult, Timings, Versions
from gateway.testing import serving, stored
from vitrine.domain import limits, messages
from vitrine.domain.product import Product
from vitrine.domain.schema import Role
from vitrine.domain.schema_files import shipped_schema
from vitrine.v1 import query_pb2, search_pb2, search_pb2_grpc

GRPC_CLIENTS = 4 * 1_024 * 1_024
"""Bytes of an answer that a client of gRPC takes unless it is told otherwise."""

LARGE = [
    stored(f"p{i:03}", title="red dress", attributes={"text": "x" * 32_000, "more": "y" * 20_000})
    for i in range(150)
]


async def test_an_answer_with_large_products_is_whole_in_hits_and_says_what_is_missing() -> None:
    """Every hit is there; the last ones have their products' ids alone, and `degraded` says so."""
    request = search_pb2.SearchRequest(text="red dress", limit=150)
    async with serving(products=LARGE) as gateway:
        stub = search_pb2_grpc.SearchServiceStub(gateway.channel)
        answer = await stub.Search(request, timeout=30)
        request.fields.CopyFrom(FieldMask(paths=["title"]))
        small = await stub.Search(request, timeout=30)
    assert len(answer.hits) == 150
    assert answer.ByteSize() <= limits.MAX_ANSWER_BYTES < GRPC_CLIENTS
    assert answer.hits[0].product.attributes
    assert not answer.hits[-1].product.attributes
    assert all(hit.product.id == hit.product_id for hit in answer.hits)
    assert DETAILS in answer.degraded
    assert DETAILS not in small.degraded


def test_a_message_from_memory_is_the_message() -> None:
    """A product that was shown before, under another schema, another of its id, and a part of its fields: each as if new."""
    fashion = shipped_schema()
    other = replace(fashion, fields=tuple(each for each in fashion.fields if each.role is not Role.PRICE))
    red, blue = (
        Product(id="p1", values={"title": f"{colour} dress", "price": 3.5}) for colour in ("red", "blue")
    )
    for product, schema in ((red, fashion), (red, other), (blue, fashion), (red, fashion), (red, fashion)):
        expected = messages.product_message(product, schema)
        assert product_message(product, schema) == expected
        only = product_message(product, schema, frozenset({"title"}))
        assert only == query_pb2.Product(title=expected.title)


def test_an_answer_that_is_given_again_says_the_same() -> None:
    """The hits are those of the first time, whatever else is told beside them; other fields and other hits are told anew."""
    versions = Versions(model="m", index="i", schema=shipped_schema())
    hits = tuple(
        Hit(
            product=stored(f"p{i}", title="red dress"),
            score=1.0 - i,
            text_score=0.5,
            image_score=0.25,
            image_index=i,
        )
        for i in range(3)
    )
    result = SearchResult(
        hits=hits,
        searched=Query(text="red dress"),
        weights=Weights(text=0.5, image=0.5),
        degraded=(),
        timings=Timings(total_s=0.5, stages_s={}),
        versions=versions,
    )

    def told(given: SearchResult, fields: frozenset[str] = PRODUCT_FIELDS) -> search_pb2.SearchResponse:
        return search_message(given, request=given.searched, fields=fields, request_id="r", shares={})

    first = told(result)
    assert [hit.image_index for hit in first.hits] == [0, 1, 2]
    assert first.hits[1].product.title == "red dress"
    late = replace(result, degraded=("rewrite",))
    for _ in range(3):
        assert told(result) == first
        assert list(told(late).degraded) == ["rewrite"]
        assert told(late).hits == first.hits
    only = told(result, frozenset({"id"}))
    assert [hit.product for hit in only.hits] == [query_pb2.Product(id=f"p{i}") for i in range(3)]
    assert told(replace(result, hits=hits[1:])).hits == first.hits[1:]


def test_lists_of_values_end_where_an_answer_is_full() -> None:
    """Each list keeps its most frequent values, as many as its share of the answer holds, and says that there are more."""
    value = "v" * limits.MAX_KEYWORD_LENGTH
    long = FieldSummary(
        name="brand",
        values=tuple(f"{value}{i}" for i in range(limits.MAX_FACET_VALUES)),
        counts=tuple(range(limits.MAX_FACET_VALUES, 0, -1)),
    )
    short = FieldSummary(name="colour", values=("red", "blue"), counts=(2, 1))
    cut = listed([long] * 63 + [short])
    assert cut[-1] == short
    assert cut[0].more_values
    assert cut[0].values == long.values[: len(cut[0].values)]
    assert len(cut[0].counts) == len(cut[0].values) > 0
    assert sum(len(each.encode()) for summary in cut for each in summary.values) <= limits.MAX_LISTED_BYTES
