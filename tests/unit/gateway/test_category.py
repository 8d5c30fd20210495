"""A change to a reference keeps the reference's kind of thing, softly, where that is known surely."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from gateway.encoders import Encoders
from gateway.errors import EncoderError
from gateway.indexing import encoding
from gateway.indexing.readers import CategoryReaders
from gateway.model import Embedding, StoredProduct
from gateway.retrieval.category import with_category
from gateway.retrieval.query import Query, Versions
from gateway.testing import (
    PATIENT,
    FakeEncoder,
    FakeIndex,
    embed_picture,
    embed_words,
    product,
    serving,
    stored,
)
from vitrine.domain.filters import Equals
from vitrine.domain.schema_files import shipped_schema
from vitrine.filter_text import format_filter
from vitrine.v1 import query_pb2, search_pb2, search_pb2_grpc
from vitrine.v1.search_pb2 import SearchRequest

SCHEMA = shipped_schema()
QUIET = replace(PATIENT, lexical_share=0.0, probe_interval_ms=10**7)
KINDS = ("dress", "skirt")


def shown(kind: str, number: int) -> Embedding:
    """Return the embedding of a picture of that kind of thing."""
    row = embed_words(kind) + 0.2 * embed_words(f"noise {number}")
    made: Embedding = (row / np.linalg.norm(row)).astype(np.float32)
    return made


def wardrobe(count: int = 80) -> list[StoredProduct]:
    return [
        stored(
            f"{kind}{number}",
            title=f"{kind} {number}",
            category=kind,
            image_embeddings=shown(kind, number)[np.newaxis],
        )
        for number in range(count // 2)
        for kind in KINDS
    ]


@pytest.fixture
def picture(jpeg: bytes, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """Return a picture that the fake encoder takes for one of a dress."""
    monkeypatch.setattr("gateway.testing.encoder.embed_picture", lambda _: shown("dress", 1_000))
    return jpeg


async def search(
    request: SearchRequest, products: Sequence[StoredProduct], *, precision: float = 0.9
) -> search_pb2.SearchResponse:
    settings = replace(QUIET, picture_category_precision=precision)
    async with serving(products=products, settings=settings) as gateway:
        stub = search_pb2_grpc.SearchServiceStub(gateway.channel)
        answer = await stub.Search(request, timeout=30)
        while "category" in answer.degraded:  # it is learnt beside the first searches
            answer = await stub.Search(request, timeout=30)
        return answer


async def test_a_pictures_category_is_kept_and_said(picture: bytes) -> None:
    """Words that change a picture of a dress find dresses alone, and the answer says by which condition."""
    answer = await search(SearchRequest(image=picture, text="with another hem, 7", limit=40), wardrobe())
    assert format_filter(answer.searched.filter) == "category=dress"
    assert {hit.product.category for hit in answer.hits} == {"dress"}
    assert (len(answer.hits), list(answer.degraded)) == (40, [])


async def test_the_embedding_is_the_same_with_and_without_the_wish(picture: bytes) -> None:
    """The picture is encoded by itself and then changed: the scores are those of both at once."""
    request = SearchRequest(image=picture, text="number 7", limit=10)
    kept = await search(request, wardrobe())
    free = await search(request, wardrobe(), precision=0.0)
    scores = {hit.product_id: hit.score for hit in free.hits}
    both = [hit for hit in kept.hits if hit.product_id in scores]
    assert both
    assert all(hit.score == pytest.approx(scores[hit.product_id], abs=1e-5) for hit in both)
    assert not free.searched.HasField("filter")


async def test_a_product_keeps_its_own_category() -> None:
    """A refinement needs no picture to be read: the index knows what the product is."""
    products = [
        product("a", "red dress"),
        product("b", "red skirt", category="skirt"),
        product("c", "blue dress"),
    ]
    answer = await search(SearchRequest(product_id="a", text="red and long"), products)
    assert [hit.product_id for hit in answer.hits] == ["c"]
    assert format_filter(answer.searched.filter) == "category=dress"
    answer = await search(SearchRequest(product_id="a", text="red and long"), products, precision=0.0)
    assert {hit.product_id for hit in answer.hits} == {"b", "c"}


async def test_a_wish_that_nothing_satisfies_is_given_up() -> None:
    """It is soft: the only dress is the reference itself, so the nearest other things are shown, and it is said."""
    products = [product("a", "red dress"), product("b", "red skirt", category="skirt")]
    answer = await search(SearchRequest(product_id="a", text="longer"), products)
    assert ([hit.product_id for hit in answer.hits], list(answer.degraded)) == (["b"], ["soft_filters"])
    assert not answer.searched.HasField("filter")


async def test_a_later_page_is_of_the_same_search(picture: bytes) -> None:
    """The wish goes along in the token."""
    request = SearchRequest(image=picture, text="number 7", limit=15)
    async with serving(products=wardrobe(), settings=QUIET) as gateway:
        stub = search_pb2_grpc.SearchServiceStub(gateway.channel)
        first = await stub.Search(request, timeout=30)
        while "category" in first.degraded:
            first = await stub.Search(request, timeout=30)
        request.page_token = first.next_page_token
        second = await stub.Search(request, timeout=30)
    assert format_filter(second.searched.filter) == "category=dress"
    ids = [hit.product_id for hit in (*first.hits, *second.hits)]
    assert len(set(ids)) == 30
    assert all(each.startswith("dress") for each in ids)


async def test_a_condition_on_the_category_decides(picture: bytes) -> None:
    """Whoever asks for skirts gets skirts, whatever the picture shows."""
    condition = query_pb2.Filter(
        equals=query_pb2.Equals(field="category", value=query_pb2.FieldValue(text="skirt"))
    )
    answer = await search(SearchRequest(image=picture, text="like this", filter=condition), wardrobe())
    assert format_filter(answer.searched.filter) == "category=skirt"


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        ("in green", True),
        ("the same dress in green", True),
        ("but as a skirt", False),
        ("like this, skirts please", False),
        ("in the style of a SKIRT", False),
        ("with a skirting board", True),
    ],
)
def test_words_that_name_another_category_decide(words: str, kept: bool) -> None:  # noqa: FBT001 - a case
    """In any form of the word, and in any case; the category's own name is none against it."""
    query = with_category(Query(text=words, product_id="a"), "dress", KINDS, SCHEMA)
    assert query.soft_filters == (Equals("category", "dress") if kept else None)


async def test_pictures_that_do_not_tell_the_category_are_searched_as_before(jpeg: bytes) -> None:
    """Where nothing is read surely, there is no wish, and nothing is degraded by it."""
    products = [
        stored(
            f"p{i}",
            title=f"thing {i}",
            category=KINDS[i % 2],
            image_embeddings=embed_picture(b"%d" % i)[np.newaxis],
        )
        for i in range(80)
    ]
    answer = await search(SearchRequest(image=jpeg, text="in green"), products)
    assert (answer.searched.HasField("filter"), list(answer.degraded)) == (False, [])


async def test_what_cannot_be_learnt_is_tried_again_later_and_not_with_every_search(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Searches go on without the wish; the index is asked once, and again after a while."""
    monkeypatch.setattr(encoding, "_RETRY_PAUSES_S", ())
    index, encoder = FakeIndex.holding(wardrobe()), FakeEncoder()
    readers = CategoryReaders(index, Encoders([encoder]), precision=0.9)
    versions = Versions(model=encoder.digest, index="fake-0", schema=SCHEMA)
    encoder.error = EncoderError()
    assert await readers.of(versions, timeout_s=30) is None
    encoder.error = None
    assert await readers.of(versions, timeout_s=30) is None
    monkeypatch.setattr(readers, "_learn_again_at", 0.0)
    reader = await readers.of(versions, timeout_s=30)
    assert reader is not None
    assert reader.fields["category"].values == KINDS
    assert await readers.of(versions, timeout_s=0) is reader
    await readers.close()


async def test_a_reader_of_an_index_is_not_asked_of_another() -> None:
    """After a swap the new index is learnt from; until then there is no reader."""
    index, encoder = FakeIndex.holding(wardrobe()), FakeEncoder()
    readers = CategoryReaders(index, Encoders([encoder]), precision=0.9)
    of = Versions(model=encoder.digest, index="fake-0", schema=SCHEMA)
    assert await readers.of(of, timeout_s=30) is not None
    assert await readers.of(replace(of, index="another"), timeout_s=0) is None
    await readers.close()
