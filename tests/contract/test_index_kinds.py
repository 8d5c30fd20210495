"""What every index promises of the kind that its size asks for: the same products are found, under filters too."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

from gateway.adapters.milvus import vector_indexes
from gateway.adapters.milvus.index import MilvusIndex
from gateway.indexing.idset import IdSet
from gateway.indexing.rebuild import finish_rebuild
from gateway.model import StoredProduct, Weights
from gateway.testing.encoder import MANIFEST, embed_words
from gateway.testing.products import product
from vitrine.domain.filters import Equals

pytestmark = pytest.mark.asyncio(loop_scope="module")

TIMEOUT_S = 60.0
PRODUCTS = 1_500
"""More than a server searches without its index."""
WORDS = ("red", "blue", "silk", "wool", "long", "short", "soft", "warm")

Index = Any


@pytest_asyncio.fixture(loop_scope="module")
async def index(open_index: Callable[..., Any]) -> AsyncIterator[Index]:
    """An empty index of the test's own."""
    async with open_index() as opened:
        yield opened


def dresses(count: int) -> list[StoredProduct]:
    rng = np.random.default_rng(3)
    return [
        product(
            f"p{i}",
            f"{' '.join(rng.choice(WORDS, 3))} dress {i}",
            colour="red" if i % 50 == 0 else "blue",
        )
        for i in range(count)
    ]


async def test_a_large_index_finds_what_an_exact_one_finds(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the size of exact searches a graph is built before the swap, where the engine has graphs."""
    monkeypatch.setattr(vector_indexes, "EXACT_ROWS", 1_000)
    products = dresses(PRODUCTS)
    build = await index.build(MANIFEST, "source")
    kept = IdSet()
    for start in range(0, PRODUCTS, 250):
        await build.upsert(products[start : start + 250], replaces=False)
    for each in products:
        kept.add(each.id)
    await finish_rebuild(build, kept, index, confirm_shrink=True)
    if isinstance(index, MilvusIndex):
        layout = await index.opened((await index.version(timeout_s=TIMEOUT_S)).collection)
        assert layout.exact == index._connection._clients.current._config.uri.startswith("unix:")
    query = embed_words("red silk dress")
    for filters, matching in ((None, products), (Equals("colour", "red"), products[::50])):
        pool = await index.search(
            query, weights=Weights(text=1.0, image=0.0), filters=filters, limit=10, timeout_s=TIMEOUT_S
        )
        scores = sorted((float(each.text_embedding @ query) for each in matching), reverse=True)
        np.testing.assert_allclose([hit.score for hit in pool.hits], scores[:10], atol=1e-6)
    everything = await index.search(
        query,
        weights=Weights(text=1.0, image=0.0),
        filters=Equals("colour", "red"),
        limit=100,
        timeout_s=TIMEOUT_S,
    )
    assert len(everything.hits) == len(products[::50])
    assert everything.complete
    assert await index.count(Equals("colour", "red"), timeout_s=TIMEOUT_S) == len(products[::50])


async def test_a_rebuild_that_was_cut_off_before_the_swap_is_gone_on_with(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its graph was built already: products are added to it, and it is not built again."""
    monkeypatch.setattr(vector_indexes, "EXACT_ROWS", 10)
    products = dresses(40)
    build = await index.build(MANIFEST, "cut off")
    await build.upsert(products[:30], replaces=False)
    await build.fit_index()
    await build.close()
    again = await index.build(MANIFEST, "cut off")
    assert again.version.collection == build.version.collection
    await again.upsert(products[30:], replaces=False)
    await again.fit_index()
    assert await again.seal() == 40
    await again.close()
