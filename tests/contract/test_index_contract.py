"""What every index promises, held against the fake, Milvus Lite and the real server alike.

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
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.adapters.milvus.index import open_milvus
from gateway.adapters.milvus.scan import PAGE_ROWS
from gateway.errors import DeadlineExceeded, FailedPrecondition
from gateway.model import (
    AllOf,
    AnyOf,
    Embedding,
    Equals,
    Filter,
    Hit,
    IndexVersion,
    Not,
    OneOf,
    Range,
    StoredProduct,
    Weights,
)
from gateway.testing import FakeIndex, matches
from vitrine.tensors import EMBEDDING_DIM

pytestmark = pytest.mark.asyncio(loop_scope="module")

TIMEOUT_S = 20.0
EVEN = Weights(text=0.5, image=0.5)
SPECIAL = (
    "plain", "", 'quo"te', "apos'trophe", "back\\slash", "trail\\", '\\"', "new\nline", "\r", "tab\tx", "\x01\x1f\x7f",
    "é", "e\u0301", "日本", "\U0001f600", "\u2028", "%", "100%22", "%like%_", "a and b or not (c)", "{x}", "--", "/*",
    '" or price > 0 or brand == "', "' or '1'='1", "\\u0041", "\\n", " lead", "trail ", "[1, 2]", "NULL", "true",
)  # fmt: skip
PRICES = (0.0, 0.1, 0.30000000000000004, 1.0, 10.0, 99.99, 1e15, 1e-5, 1e300, 5e-324)

Index = Any
"""VectorIndex and IndexAdministrator in one."""


def _units(rng: np.random.Generator, rows: int) -> Embedding:
    vectors = rng.standard_normal((rows, EMBEDDING_DIM)).astype(np.float32)
    units: Embedding = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return units


def _products(count: int, *, seed: int = 0, tag: str = "p") -> list[StoredProduct]:
    """Give products whose fields hold every special value."""
    rng = np.random.default_rng(seed)
    images, texts = _units(rng, count), _units(rng, count)
    return [
        StoredProduct(
            id=f"{tag}{i:04d}-{SPECIAL[i % len(SPECIAL)]}",
            title=f"title {SPECIAL[-i % len(SPECIAL)]}",
            category=SPECIAL[i % len(SPECIAL)],
            colour=SPECIAL[i // 3 % len(SPECIAL)],
            pattern="striped" if i % 4 == 0 else "",
            brand=f"brand {i % 7}",
            price=PRICES[i % len(PRICES)],
            image_uri=f"pictures/{i}.jpg",
            attributes={SPECIAL[i % len(SPECIAL)] or "empty": SPECIAL[-i % len(SPECIAL)]},
            digest=f"{i:064d}",
            image_embedding=images[i],
            text_embedding=texts[i],
        )
        for i in range(count)
    ]


PRODUCTS = _products(PAGE_ROWS + 100)
SAMPLE = PRODUCTS[: 4 * len(SPECIAL)]
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


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sampled(open_index: Callable[[], Any]) -> AsyncIterator[Index]:
    """An index of SAMPLE, to be read only."""
    async with AsyncExitStack() as stack:
        opened = await stack.enter_async_context(open_index())
        writer = await opened.current("m1")
        await writer.upsert(SAMPLE)
        assert await writer.seal() == len(SAMPLE)
        yield opened


async def _search(index: Index, **changes: Any) -> list[Hit]:
    asked = {"weights": EVEN, "filters": None, "limit": 10, "timeout_s": TIMEOUT_S, **changes}
    hits: list[Hit] = await index.search(asked.pop("embedding", QUERY), **asked)
    return hits


async def _ids(index: Index, filters: Filter | None) -> list[str]:
    return sorted(hit.product.id for hit in await _search(index, filters=filters, limit=len(PRODUCTS)))


def _exact(image: Embedding, text: Embedding, weights: Weights) -> list[tuple[float, str]]:
    """Rank all products in double precision."""
    scored = [
        (
            weights.text * float(np.dot(product.text_embedding.astype(float), text))
            + weights.image * float(np.dot(product.image_embedding.astype(float), image)),
            product.id,
        )
        for product in PRODUCTS
        if product.image_embedding is not None and product.text_embedding is not None
    ]
    return sorted(scored, reverse=True)


@pytest.mark.parametrize("weights", [EVEN, Weights(text=1.0, image=0.0), Weights(text=0.0, image=3.0)])
@pytest.mark.parametrize("text", [None, OTHER_QUERY])
async def test_search_is_the_exact_weighted_sum(
    filled: Index, weights: Weights, text: Embedding | None
) -> None:
    """The hits are those of r = text * S_text + image * S_image over every product, each with its two parts."""
    hits = await _search(filled, weights=weights, text_embedding=text, limit=20)
    expected = _exact(QUERY, QUERY if text is None else text, weights)[:20]
    assert [hit.product.id for hit in hits] == [product_id for _, product_id in expected]
    assert [hit.score for hit in hits] == pytest.approx([score for score, _ in expected], abs=1e-6)
    for hit in hits:
        assert hit.score == pytest.approx(weights.text * hit.text_score + weights.image * hit.image_score)
        assert hit.image_score == pytest.approx(
            float(BY_ID[hit.product.id].image_embedding @ QUERY), abs=1e-6
        )


async def test_hits_carry_the_whole_product(filled: Index) -> None:
    """Every field of a hit, attributes and both embeddings included, is what was written."""
    for hit in await _search(filled, limit=100):
        _assert_same(hit.product, BY_ID[hit.product.id])


async def test_get_gives_what_was_written_in_the_order_asked(filled: Index) -> None:
    """Products come back unharmed whatever their ids and fields hold; unknown ones are left out."""
    wanted = [PRODUCTS[i].id for i in range(2 * len(SPECIAL), 0, -1)]
    found = await filled.get([wanted[0], "unknown", *wanted[1:]], timeout_s=TIMEOUT_S)
    assert [product.id for product in found] == wanted
    for product in found:
        _assert_same(product, BY_ID[product.id])
    assert await filled.get([], timeout_s=TIMEOUT_S) == []


def _assert_same(left: StoredProduct, right: StoredProduct) -> None:
    assert replace(left, image_embedding=None, text_embedding=None) == replace(
        right, image_embedding=None, text_embedding=None
    )
    np.testing.assert_array_equal(left.image_embedding, right.image_embedding)
    np.testing.assert_array_equal(left.text_embedding, right.text_embedding)


_texts = st.tuples(
    st.sampled_from(["category", "colour", "pattern", "brand"]),
    st.sampled_from([*SPECIAL, "striped", "brand 3"]) | st.text(max_size=64),
)
_prices = st.sampled_from(PRICES) | st.floats(allow_nan=False, allow_infinity=False)
_conditions = st.one_of(
    _texts.map(lambda pair: Equals(*pair)),
    st.builds(Equals, st.just("price"), _prices),
    st.builds(
        OneOf,
        st.sampled_from(["category", "colour"]),
        st.lists(st.sampled_from(SPECIAL) | st.text(max_size=64), min_size=1, max_size=12).map(tuple),
    ),
    st.builds(OneOf, st.just("price"), st.lists(_prices, min_size=1, max_size=12).map(tuple)),
    st.builds(
        Range,
        field=st.just("price"),
        minimum=_prices,
        maximum=st.none() | _prices,
        exclusive_minimum=st.booleans(),
        exclusive_maximum=st.booleans(),
    ),
)
_filters = st.recursive(
    _conditions,
    lambda inner: st.one_of(
        st.builds(AllOf, st.lists(inner, min_size=1, max_size=4).map(tuple)),
        st.builds(AnyOf, st.lists(inner, min_size=1, max_size=4).map(tuple)),
        st.builds(Not, inner),
    ),
    max_leaves=12,
)


@given(node=_filters)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
async def test_a_filter_lets_the_very_products_through_that_fulfil_it(sampled: Index, node: Filter) -> None:
    """Any tree of conditions over any values selects the same products as the same tree evaluated in Python."""
    assert await _ids(sampled, node) == sorted(product.id for product in SAMPLE if matches(node, product))


@pytest.mark.parametrize("value", SPECIAL)
async def test_special_characters_match_literally(sampled: Index, value: str) -> None:
    """Quotes, operators, escapes and line breaks in a value are just that value."""
    expected = sorted(product.id for product in SAMPLE if product.category == value)
    assert expected
    assert await _ids(sampled, Equals("category", value)) == expected
    assert await sampled.count(Equals("category", value), timeout_s=TIMEOUT_S) == len(expected)
    assert await _ids(sampled, OneOf("category", (value,))) == expected
    assert len(await _ids(sampled, Not(Equals("category", value)))) == len(SAMPLE) - len(expected)


async def test_the_largest_filters_are_answered(sampled: Index) -> None:
    """256 conditions side by side, 256 values in one, and eight levels are within every engine's limits."""
    wide = AnyOf(tuple(Equals("price", float(i)) for i in range(256)))
    listed = OneOf("price", tuple(float(i) for i in range(256)))
    expected = sorted(product.id for product in SAMPLE if product.price in {0.0, 1.0, 10.0})
    assert await _ids(sampled, wide) == await _ids(sampled, listed) == expected
    deep: Filter = Equals("brand", "brand 0")
    for _ in range(7):
        deep = AllOf((deep, *(Range(field="price", minimum=0.0) for _ in range(30))))
    assert await _ids(sampled, deep) == sorted(p.id for p in SAMPLE if p.brand == "brand 0")


async def test_describe_summarises_every_product(filled: Index) -> None:
    """Counts, values by frequency without the empty one, and the range of prices cover more than one page of rows."""
    summary = await filled.describe(timeout_s=TIMEOUT_S)
    fields = {field.name: field for field in summary.fields}
    assert summary.products == len(PRODUCTS)
    assert summary.version == await filled.version(timeout_s=TIMEOUT_S)
    assert (summary.version.manifest, summary.version.embedding_dim) == ("m1", EMBEDDING_DIM)
    assert fields["pattern"].values == ("striped",)
    assert fields["brand"].values == tuple(f"brand {i}" for i in range(7))
    assert set(fields["category"].values) == set(SPECIAL) - {""}
    assert (fields["price"].minimum, fields["price"].maximum) == (min(PRICES), max(PRICES))


async def test_without_an_index_readers_are_told_what_helps(index: Index) -> None:
    """Before the first product there is nothing to read, and the error says so."""
    for call in (
        lambda: _search(index),
        lambda: index.get(["p"], timeout_s=TIMEOUT_S),
        lambda: index.describe(timeout_s=TIMEOUT_S),
        lambda: index.version(timeout_s=TIMEOUT_S),
    ):
        with pytest.raises(FailedPrecondition, match="vitrine index"):
            await call()


async def test_writes_replace_and_delete_by_id(index: Index) -> None:
    """An upsert replaces the product of its id, a deletion takes exactly the ids it names, attacks included."""
    writer = await index.current("m1")
    first, second, third = _products(3)
    hostile = replace(third, id="x') OR ('1'='1")
    await writer.upsert([first, second, hostile])
    await writer.upsert([replace(first, title="newer", digest="d2")])
    assert await writer.seal() == 3
    assert await writer.digests([first.id, "unknown", hostile.id]) == {
        first.id: "d2",
        hostile.id: hostile.digest,
    }
    (read,) = await index.get([first.id], timeout_s=TIMEOUT_S)
    assert read.title == "newer"
    assert (await index.describe(timeout_s=TIMEOUT_S)).products == 3

    assert await writer.delete([hostile.id, "unknown", "' or '1'='1"]) == 1
    assert [p.id for p in await index.get([first.id, second.id, hostile.id], timeout_s=TIMEOUT_S)] == [
        first.id,
        second.id,
    ]
    assert await writer.delete([hostile.id]) == 0
    assert await writer.retain([second.id, "unknown"]) == 1
    assert [hit.product.id for hit in await _search(index)] == [second.id]


async def test_describe_follows_a_write(index: Index) -> None:
    """A product that changes no count changes the summary all the same."""
    writer = await index.current("m1")
    (product,) = _products(1)
    for brand in ("before", "after"):
        await writer.upsert([replace(product, brand=brand)])
        await writer.seal()
        fields = (await index.describe(timeout_s=TIMEOUT_S)).fields
        assert [field.values for field in fields if field.name == "brand"] == [(brand,)]


async def test_encoders_of_another_manifest_may_not_write(index: Index) -> None:
    """The collection in use takes vectors of its own encoders only."""
    await index.current("m1")
    with pytest.raises(FailedPrecondition, match="vitrine index --rebuild"):
        await index.current("m2")


async def test_an_unfinished_build_is_resumed_by_its_manifest_and_source(index: Index) -> None:
    """The same rebuild finds what it had written; another one begins anew."""
    products = _products(3)
    begun = await index.build("m1", "source")
    await begun.upsert(products)
    await begun.seal()
    resumed = await index.build("m1", "source")
    assert resumed.version == begun.version
    assert set(await resumed.digests([product.id for product in products])) == {p.id for p in products}
    for manifest, source in (("m1", "other"), ("m2", "other")):
        other = await index.build(manifest, source)
        assert await other.digests([product.id for product in products]) == {}


async def test_readers_never_see_a_swap(index: Index) -> None:
    """While indexes are built and swapped, every answer is complete and all of it from one of them."""
    products = 40
    versions: dict[str, IndexVersion] = {}

    async def rebuild(tag: str) -> None:
        writer = await index.build("m1", tag)
        await writer.upsert(_products(products, tag=tag))
        versions[tag] = writer.version
        await index.promote(writer.version)

    answers: list[set[str]] = []
    done = asyncio.Event()

    async def read() -> None:
        while not done.is_set():
            hits = await _search(index, limit=2 * products)
            assert len(hits) == products
            answers.append({hit.product.id[0] for hit in hits})
            await asyncio.sleep(0.001)

    await rebuild("a")
    readers = [asyncio.create_task(read()) for _ in range(4)]

    await asyncio.sleep(0.1)
    for tag in "bc":
        await rebuild(tag)
        assert await index.version(timeout_s=TIMEOUT_S) == versions[tag]
        assert {hit.product.id[0] for hit in await _search(index)} == {tag}
        await asyncio.sleep(0.1)
    done.set()
    await asyncio.gather(*readers)
    assert len(answers) > 8
    assert all(len(tags) == 1 for tags in answers)
    assert set.union(*answers) == set("abc")


async def test_a_reader_of_another_process_follows_the_swap(open_index: Callable[[], Any]) -> None:
    """An index opened elsewhere answers in full from the old collection or the new one, and soon from the new."""
    async with open_index() as index:
        if isinstance(index, FakeIndex):
            pytest.skip("the fake lives in one process")
        collections = index._collections
        writer = await index.build("m1", "a")
        await writer.upsert(_products(5, tag="a"))
        await index.promote(writer.version)
        uri = index._connection._client._config.uri
        async with open_milvus(uri, name=collections._prefix) as reader:
            assert {hit.product.id[0] for hit in await _search(reader)} == {"a"}
            for tag in "bc":
                writer = await index.build("m1", tag)
                await writer.upsert(_products(5, tag=tag))
                await index.promote(writer.version)
                hits = await _search(reader)
                assert len(hits) == 5
                assert len({hit.product.id[0] for hit in hits}) == 1
            await asyncio.sleep(1.1)
            assert {hit.product.id[0] for hit in await _search(reader)} == {"c"}


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
