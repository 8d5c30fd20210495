"""What every index promises of search, reads and writes: held against the fake, Milvus Lite and the real server alike.

The server's cases need `python tests/contract/milvus_server.py`, which runs them where the server can be run.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

from gateway.errors import DeadlineExceeded, FailedPrecondition, IndexSwapped
from gateway.model import Embedding, Hit, Pool, StoredDigests, StoredProduct, Weights
from gateway.testing import FakeIndex, stored
from vitrine.domain.filters import Equals
from vitrine.domain.lexical import product_tokens
from vitrine.domain.schema_files import shipped_schema
from vitrine.domain.values import fold
from vitrine.tensors import EMBEDDING_DIM

pytestmark = pytest.mark.asyncio(loop_scope="module")

TIMEOUT_S = 60.0
EVEN = Weights(text=0.5, image=0.5)
SPECIAL = (
    "plain", 'quo"te', "apos'trophe", "back\\slash", "trail\\", '\\"', "new\nline", "tab\tx", "\x01\x1f\x7f", "é",
    "日本", "\U0001f600", "%", "100%22", "%like%_", "%/1", "a and b or not (c)", "{x}", "--", "/*", "\\u0041", "~0/~1",
    '" or price > 0 or brand == "', "' or '1'='1", " lead", "trail ", "[1, 2]", "NULL", "true", "Upper", "ß",
)  # fmt: skip
PRICES = (0.0, 0.1, 0.30000000000000004, 1.0, 10.0, 99.99, 1e15, 1e-5, 1e300, 5e-324)
PAGE_ROWS = 1_000

Index = Any
"""VectorIndex and IndexAdministrator in one."""


def _units(rng: np.random.Generator, rows: int) -> Embedding:
    vectors = rng.standard_normal((rows, EMBEDDING_DIM)).astype(np.float32)
    units: Embedding = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return units


def _product(i: int, image: Embedding, text: Embedding) -> StoredProduct:
    special = SPECIAL[i % len(SPECIAL)]
    product = stored(
        f"p{i:04d}-{special}",
        title=f"title {SPECIAL[-i % len(SPECIAL)]}",
        category=special if i % 5 else None,
        brand=f"Brand {i % 7}" if i % 2 else f"BRAND {i % 7}",
        pattern="striped" if i % 4 == 0 else None,
        price=PRICES[i % len(PRICES)] if i % 3 else None,
        image_uris=[f"pictures/{i}.jpg"],
        attributes={special: SPECIAL[-i % len(SPECIAL)]},
        image_embeddings=image[None],
        text_embedding=text,
    )
    return replace(product, digest=f"{i:064d}")


def _products(count: int) -> list[StoredProduct]:
    """Return products whose fields hold every special value."""
    rng = np.random.default_rng(0)
    vectors = zip(_units(rng, count), _units(rng, count), strict=True)
    return [_product(i, image, text) for i, (image, text) in enumerate(vectors)]


PRODUCTS = _products(PAGE_ROWS + 100)
BY_ID = {product.id: product for product in PRODUCTS}
QUERY, OTHER_QUERY = _units(np.random.default_rng(1), 2)


@pytest_asyncio.fixture(loop_scope="module")
async def index(open_index: Callable[[], Any]) -> AsyncIterator[Index]:
    """An empty index of the test's own."""
    async with open_index() as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def filled(open_index: Callable[[], Any]) -> AsyncIterator[Index]:
    """An index of PRODUCTS, to be read only."""
    async with AsyncExitStack() as stack:
        opened = await stack.enter_async_context(open_index())
        writer = await opened.current("m1")
        for start in range(0, len(PRODUCTS), 100):
            await writer.upsert(PRODUCTS[start : start + 100])
        assert await writer.seal() == len(PRODUCTS)
        yield opened


async def _pool(index: Index, embedding: Embedding = QUERY, **changes: Any) -> Pool:
    asked = {"weights": EVEN, "filters": None, "limit": 10, "timeout_s": TIMEOUT_S, **changes}
    pool: Pool = await index.search(embedding, **asked)
    return pool


async def _search(index: Index, embedding: Embedding = QUERY, **changes: Any) -> tuple[Hit, ...]:
    return (await _pool(index, embedding, **changes)).hits


async def _ids(index: Index, embedding: Embedding = QUERY, **changes: Any) -> list[str]:
    return [hit.product.id for hit in await _search(index, embedding, **changes)]


def _exact(image: Embedding, text: Embedding, weights: Weights) -> list[tuple[float, str]]:
    """Rank all products in double precision."""
    scored = [
        (
            weights.text * float(np.dot(product.text_embedding.astype(float), text))
            + weights.image * float(np.dot(product.image_embeddings[0].astype(float), image)),
            product.id,
        )
        for product in PRODUCTS
        if product.image_embeddings is not None and product.text_embedding is not None
    ]
    return sorted(scored, reverse=True)


def _assert_same(left: StoredProduct, right: StoredProduct) -> None:
    bare = {"image_embeddings": None, "text_embedding": None}
    assert replace(left, **bare) == replace(right, **bare)
    np.testing.assert_array_equal(left.image_embeddings, right.image_embeddings)
    np.testing.assert_array_equal(left.text_embedding, right.text_embedding)


@pytest.mark.parametrize("weights", [EVEN, Weights(text=1.0, image=0.0), Weights(text=0.0, image=3.0)])
@pytest.mark.parametrize("text", [None, OTHER_QUERY])
async def test_search_is_the_exact_weighted_sum(
    filled: Index, weights: Weights, text: Embedding | None
) -> None:
    """The hits are those of r = text * S_text + image * S_image over every product, each with its two parts."""
    hits = await _search(filled, weights=weights, text_embedding=text, limit=20)
    expected = _exact(QUERY, QUERY if text is None else text, weights)[:20]
    assert [hit.product.id for hit in hits] == [product_id for _, product_id in expected]
    assert [hit.score for hit in hits] == pytest.approx([score for score, _ in expected], abs=1e-8)
    for hit in hits:
        assert hit.score == pytest.approx(weights.text * hit.text_score + weights.image * hit.image_score)
        (image,) = BY_ID[hit.product.id].image_embeddings
        assert hit.image_score == pytest.approx(float(image @ QUERY), abs=1e-6)


async def test_searches_at_the_same_time_find_what_each_finds_alone(filled: Index) -> None:
    """They may share a call: each gets its own answer, also where nothing satisfies its condition."""
    vectors = _units(np.random.default_rng(2), 24)
    conditions = (None, Equals("brand", "brand 3"), Equals("brand", "nobody"))
    asked = [(vector, filters, limit) for vector in vectors for filters in conditions for limit in (1, 10)]

    async def ids(vector: Embedding, filters: Equals | None, limit: int) -> list[str]:
        return await _ids(filled, vector, filters=filters, limit=limit)

    together = await asyncio.gather(*(ids(*each) for each in asked))
    assert together == [await ids(*each) for each in asked]
    assert {len(each) for each in together} == {0, 1, 10}


async def test_hits_carry_the_whole_product(filled: Index) -> None:
    """Every field of a hit, attributes and both halves of its vector included, is what was written."""
    pool = await _pool(filled, limit=100)
    assert not pool.complete
    for hit in pool.hits:
        _assert_same(hit.product, BY_ID[hit.product.id])


async def test_get_returns_what_was_written_in_the_order_asked(filled: Index) -> None:
    """Products come back unharmed whatever their ids and fields hold; unknown ones are left out."""
    wanted = [PRODUCTS[i].id for i in range(2 * len(SPECIAL), 0, -1)]
    found = await filled.get([wanted[0], "unknown", *wanted[1:]], timeout_s=TIMEOUT_S)
    assert [product.id for product in found] == wanted
    for product in found:
        _assert_same(product, BY_ID[product.id])
    assert await filled.get([], timeout_s=TIMEOUT_S) == []


async def test_an_index_of_other_encoders_answers_nobody_who_names_his(filled: Index) -> None:
    """What was embedded by other encoders than made the index in use is refused, and so is a vector for them."""
    made_by = (await filled.version(timeout_s=TIMEOUT_S)).manifest
    assert await _ids(filled, manifest=made_by) == await _ids(filled)
    assert await filled.get([PRODUCTS[0].id], manifest=made_by, timeout_s=TIMEOUT_S)
    with pytest.raises(IndexSwapped):
        await _ids(filled, manifest="other")
    with pytest.raises(IndexSwapped):
        await filled.get([PRODUCTS[0].id], manifest="other", timeout_s=TIMEOUT_S)


async def test_equal_scores_are_ordered_by_id_whatever_the_limit(index: Index) -> None:
    """Of 60 products with one picture and one title, and a few others, a smaller limit is the beginning of a larger."""
    equal = [stored(f"{i * 37 % 60:02d}", title="red dress", images=[b"one"]) for i in range(60)]
    better = [stored(f"z{i}", title="red dress", images=[f"{i}".encode()]) for i in range(3)]
    writer = await index.current("m1")
    await writer.upsert([*equal, *better])
    await writer.seal()
    query = better[0].image_embeddings[0]
    everything = await _pool(index, query, limit=63)
    assert everything.complete
    in_order = sorted(everything.hits, key=lambda hit: (-round(hit.score, 9), hit.product.id))
    assert list(everything.hits) == in_order
    assert [h.product.id for h in in_order if not h.product.id.startswith("z")] == [
        f"{i:02d}" for i in range(60)
    ]
    for limit in range(1, 63):
        pool = await _pool(index, query, limit=limit)
        assert [hit.product.id for hit in pool.hits] == [hit.product.id for hit in in_order[:limit]]
        assert [hit.score for hit in pool.hits] == [hit.score for hit in in_order[:limit]]
        assert not pool.complete


async def test_a_product_is_found_by_each_of_its_pictures(index: Index) -> None:
    """The picture that matches best counts, is named, and is the one in the hit; the product is there once."""
    many = stored("many", title="dress", images=[b"front", b"back", b"side"], image_uris=["f", "b", "s"])
    others = [stored(f"p{i}", title="dress", images=[f"{i}".encode(), b"box"]) for i in range(20)]
    writer = await index.current("m1")
    await writer.upsert([*others, many])
    assert await writer.seal() == 21
    for i, embedding in enumerate(many.image_embeddings):
        first, *rest = await _search(index, embedding, weights=Weights(text=0.0, image=1.0), limit=21)
        assert (first.product.id, first.image_index) == ("many", i)
        np.testing.assert_array_equal(first.product.image_embeddings, embedding[None])
        assert first.product.product.image_uris == ("f", "b", "s")
        assert len({hit.product.id for hit in rest}) == 20
    (whole,) = await index.get(["many"], timeout_s=TIMEOUT_S)
    _assert_same(whole, many)
    boxes = await _search(index, others[0].image_embeddings[1], limit=3, text_embedding=QUERY)
    assert [(hit.product.id, hit.image_index) for hit in boxes] == [("p0", 1), ("p1", 1), ("p10", 1)]
    assert (await index.describe(timeout_s=TIMEOUT_S)).products == 21


async def test_a_new_version_leaves_none_of_the_old_pictures(index: Index) -> None:
    """A product written again with fewer pictures, or none, is found by those that it has now alone."""
    writer = await index.current("m1")
    before = stored("p", title="dress", images=[b"front", b"back", b"side"])
    image_only = Weights(text=0.0, image=1.0)
    for images in ([b"back"], [], [b"new", b"front"]):
        await writer.upsert([before])
        after = stored("p", title="dress", images=images)
        await writer.upsert([stored("p", title="lost"), after])
        assert await writer.seal() == 1
        (whole,) = await index.get(["p"], timeout_s=TIMEOUT_S)
        _assert_same(whole, after)
        for embedding in before.image_embeddings:
            (hit,) = await _search(index, embedding, weights=image_only)
            best = max((float(each @ embedding) for each in after.image_embeddings), default=0.0)
            assert hit.score == pytest.approx(best, abs=1e-6)
    assert await writer.delete(["p"]) == 1
    assert await _search(index) == ()


async def test_products_without_a_picture_or_without_words(index: Index) -> None:
    """What is missing scores nothing and comes back as missing; either half alone finds its product."""
    wordless = stored("wordless", images=[b"picture"])
    pictureless = stored("pictureless", title="red dress", images=[])
    writer = await index.current("m1")
    await writer.upsert([wordless, pictureless])
    await writer.seal()
    first, second = await _search(index, pictureless.text_embedding)
    assert (first.product.id, first.image_score, first.image_index) == ("pictureless", 0.0, 0)
    assert first.product.image_embeddings.shape == (0, EMBEDDING_DIM)
    assert (second.product.id, second.text_score) == ("wordless", 0.0)
    for product in await index.get(["wordless", "pictureless"], timeout_s=TIMEOUT_S):
        _assert_same(product, {"wordless": wordless, "pictureless": pictureless}[product.id])


async def test_words_let_only_products_through_that_have_one_of_them(filled: Index) -> None:
    """Tokens of ids, brands and titles restrict the ranking to their products, under filters too."""
    schema = shipped_schema()
    tokens = {product.id: product_tokens(product.product, schema) for product in PRODUCTS}
    for words in (["p0007-\U0001f600"], ["brand 3"], ["日本", 'quo"te'], [fold(PRODUCTS[5].id), "unknown"]):
        expected = sorted(i for i, held in tokens.items() if not set(words).isdisjoint(held))
        pool = await _pool(filled, words=words, limit=1_000)
        assert sorted(hit.product.id for hit in pool.hits) == expected
        assert pool.complete
    striped = [p.id for p in PRODUCTS if "brand 3" in tokens[p.id] and "pattern" in p.product.values]
    assert (
        sorted(await _ids(filled, words=["brand 3"], filters=Equals("pattern", "striped"), limit=1_000))
        == striped
    )
    assert await _ids(filled, words=["unknown"]) == []


async def test_describe_counts_words_by_the_products_that_have_them(filled: Index) -> None:
    """Each token comes with how many products have it."""
    summary = await filled.describe(timeout_s=TIMEOUT_S)
    assert (summary.products, summary.version) == (len(PRODUCTS), await filled.version(timeout_s=TIMEOUT_S))
    expected: dict[str, int] = {}
    for product in PRODUCTS:
        for token in product_tokens(product.product, shipped_schema()):
            expected[token] = expected.get(token, 0) + 1
    assert summary.words == expected


async def test_without_an_index_readers_are_told_what_helps(index: Index) -> None:
    """Before the first product there is nothing to read, and the error says so."""
    for call in (
        lambda: _search(index),
        lambda: index.get(["p"], timeout_s=TIMEOUT_S),
        lambda: index.facets(None, ["colour"], timeout_s=TIMEOUT_S),
        lambda: index.describe(timeout_s=TIMEOUT_S),
        lambda: index.version(timeout_s=TIMEOUT_S),
    ):
        with pytest.raises(FailedPrecondition, match="vitrine index"):
            await call()


async def test_writes_replace_and_delete_by_id(index: Index) -> None:
    """An upsert replaces the product of its id, a deletion takes exactly the ids it names, attacks included."""
    writer = await index.current("m1")
    first = stored("first%/1", title="a", images=[b"1", b"2"])
    second, hostile = stored("first", title="b"), stored("x') OR ('1'='1", title="c", images=[b"3", b"4"])
    await writer.upsert([first, second, hostile])
    newer = replace(stored("first%/1", title="newer", images=[b"1"]), digest="d2", vectors_digest="v2")
    await writer.upsert([newer])
    assert await writer.seal() == 3
    assert await writer.digests([newer.id, "unknown", hostile.id]) == {
        newer.id: StoredDigests(digest="d2", vectors_digest="v2"),
        hostile.id: StoredDigests(digest=hostile.digest, vectors_digest=hostile.vectors_digest),
    }
    kept = await writer.vectors([newer.id, "unknown", hostile.id])
    assert set(kept) == {newer.id, hostile.id}
    _assert_same(kept[newer.id], newer)
    _assert_same(kept[hostile.id], hostile)

    assert await writer.delete([hostile.id, "unknown", "' or '1'='1"]) == 1
    assert [p.id for p in await index.get([newer.id, second.id, hostile.id], timeout_s=TIMEOUT_S)] == [
        newer.id,
        second.id,
    ]
    assert await writer.delete([hostile.id]) == 0
    assert await writer.retain([second.id, "unknown"]) == 1
    assert await _ids(index) == [second.id]
    assert await writer.seal() == 1


async def test_long_texts_and_many_values_are_kept_whole(index: Index) -> None:
    """A description of 32 kB, eight pictures and the longest keywords come back as they were written."""
    description = ("Ein schönes 'Kleid' \\ \"rot\" \t" * 2_000).encode()[:32_768].decode(errors="ignore")
    product = stored(
        "x" * 128,
        title="t" * 1_000,
        description=description,
        category='"\U0001f600' * 256,
        colour="\ufdfa" * 512,  # folded, it is 18 times as long
        images=[f"{i}".encode() for i in range(8)],
        image_uris=[f"{i}" * 2_048 for i in range(8)],
        attributes={"long": "é" * 25_000},
    )
    writer = await index.current("m1")
    await writer.upsert([product])
    await writer.seal()
    (read,) = await index.get([product.id], timeout_s=TIMEOUT_S)
    _assert_same(read, product)
    for name in ("category", "colour"):
        (hit,) = await _search(index, filters=Equals(name, product.product.values[name]))
        assert hit.product.product.values["description"] == description


async def test_a_timeout_is_kept(filled: Index) -> None:
    """A call that cannot end in its time raises DeadlineExceeded."""
    if isinstance(filled, FakeIndex):
        filled.delay_s = 0.01
    try:
        with pytest.raises(DeadlineExceeded):
            await _search(filled, timeout_s=1e-5)
    finally:
        if isinstance(filled, FakeIndex):
            filled.delay_s = 0.0
    assert len(await _search(filled)) == 10


async def test_what_was_read_in_pictures_comes_back_and_is_filtered_by(index: Index) -> None:
    """Values that are marked as inferred are values like others; a caption is matched by its words, and gone with them."""
    writer = await index.current("m", shipped_schema())
    said = replace(stored("a", title="cup", category="cup"), digest="d", vectors_digest="v")
    told = replace(
        said,
        digest="d+1",
        product=replace(
            said.product,
            values={**said.product.values, "colour": "teal"},
            inferred=("colour",),
            caption="teal cup on a zinc table",
            caption_by="some-model",
        ),
    )
    await writer.upsert([told])
    await writer.seal()
    teal = Equals("colour", "Teal")
    (found,) = await index.get(["a"], timeout_s=TIMEOUT_S)
    assert found.product == told.product
    assert await index.count(teal, timeout_s=TIMEOUT_S) == 1
    pool = await index.search(QUERY, weights=EVEN, filters=teal, limit=5, words=["zinc"], timeout_s=TIMEOUT_S)
    assert [(hit.product.id, hit.product.product.inferred) for hit in pool.hits] == [("a", ("colour",))]
    await writer.upsert([said])
    await writer.seal()
    (found,) = await index.get(["a"], timeout_s=TIMEOUT_S)
    assert found.product == said.product
    assert await index.count(teal, timeout_s=TIMEOUT_S) == 0
