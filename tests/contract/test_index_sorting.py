"""What every index promises of an order by a field: missing values, ties, and more products than one look-up holds."""

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

from gateway.model import Pool, Sort, StoredProduct, Weights
from gateway.testing import embed_words, stored
from vitrine.domain.filters import Equals, Filter, Not, Range
from vitrine.domain.schema import Schema
from vitrine.domain.values import Value, fold

pytestmark = pytest.mark.asyncio(loop_scope="module")

TIMEOUT_S = 60.0
MAX_POOL = 40
EVEN = Weights(text=0.5, image=0.5)
QUERY = embed_words("red dress")
STARS = (3.5, -2.0, 0.0, 1e300, -1e300, 4.5, sys.float_info.max, -sys.float_info.max, 1e-320)

Index = Any
"""VectorIndex and IndexAdministrator in one."""


def _product(i: int, schema: Schema) -> StoredProduct:
    """Return one of a few titles and pictures, so that scores tie, with values that tie and are missing too."""
    values: dict[str, Value | None] = {
        "brand": (None, "Zoë", "zoe\u0308", "acme", "ACME", "Bolt")[i % 6],
        "tags": ("few",) if i % 10 == 0 else ("many",),
        "price": float(i * 7919 % 300) if i % 4 else None,
        "stars": STARS[i % len(STARS)] if i % 2 else None,
    }
    if "weight" in schema.by_name:
        values |= {"weight": float(i % 5) if i % 3 else None, "size": f"Size {i % 3}" if i % 2 else None}
    return stored(
        f"p{i * 37 % 300:03d}",
        schema=schema,
        title=f"red {('dress', 'shirt', 'hat')[i % 3]}",
        images=[f"{i % 4}".encode(), b"box"][: 1 + i % 2],
        **values,  # type: ignore[arg-type]
    )


@pytest.fixture(scope="module")
def products(base_schema: Schema, later_schema: Schema) -> list[StoredProduct]:
    """300 products, of which the first 100 know nothing of the fields that are added later."""
    return [_product(i, base_schema if i < 100 else later_schema) for i in range(300)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def index(
    open_index: Callable[..., Any],
    products: list[StoredProduct],
    base_schema: Schema,
    later_schema: Schema,
) -> AsyncIterator[Index]:
    """An index of the products that orders 40 of them at once."""
    async with AsyncExitStack() as stack:
        opened = await stack.enter_async_context(open_index(max_pool=MAX_POOL))
        writer = await opened.current("m1", base_schema)
        await writer.upsert(products[:100])
        writer = await opened.current("m1", later_schema)
        await writer.upsert(products[100:])
        assert await writer.seal() == len(products)
        yield opened


async def _search(index: Index, *, filters: Filter | None = None, limit: int = 10, sort: Sort | None) -> Pool:
    pool: Pool = await index.search(
        QUERY, weights=EVEN, filters=filters, limit=limit, sort=sort, timeout_s=TIMEOUT_S
    )
    return pool


def _score(product: StoredProduct) -> float:
    image = max(float(each.astype(float) @ QUERY.astype(float)) for each in product.image_embeddings)
    return round(0.5 * image + 0.5 * float(product.text_embedding.astype(float) @ QUERY.astype(float)), 9)


def _expected(products: list[StoredProduct], sort: Sort) -> list[str]:
    """Order products by the words of the contract."""

    def key(product: StoredProduct) -> Any:
        value = product.product.values[sort.field]
        return fold(value) if isinstance(value, str) else value

    by_score = sorted(products, key=lambda each: (-_score(each), each.id))
    present = [each for each in by_score if sort.field in each.product.values]
    missing = [each for each in by_score if sort.field not in each.product.values]
    return [each.id for each in [*sorted(present, key=key, reverse=sort.descending), *missing]]


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("field", ["brand", "price", "stars", "size", "weight"])
async def test_products_come_in_the_order_of_a_field(
    index: Index, products: list[StoredProduct], field: str, *, descending: bool
) -> None:
    """Every product is ordered: by the field, whatever its case, then by score, then by id; missing values last."""
    sort = Sort(field=field, descending=descending)
    few = [each for each in products if each.product.values["tags"] == ("few",)]
    expected = _expected(few, sort)
    for limit in (1, 7, 30, 40):
        pool = await _search(index, filters=Equals("tags", "FEW"), limit=limit, sort=sort)
        assert [hit.product.id for hit in pool.hits] == expected[:limit]
        assert pool.complete
    by_id = {each.id: each for each in products}
    for hit in pool.hits:
        assert hit.product.product == by_id[hit.product.id].product
        assert hit.score == pytest.approx(_score(by_id[hit.product.id]))
        np.testing.assert_array_equal(
            hit.product.image_embeddings, by_id[hit.product.id].image_embeddings[hit.image_index][None]
        )


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("field", ["price", "stars", "weight"])
async def test_a_number_orders_every_product_that_satisfies(
    index: Index, products: list[StoredProduct], field: str, *, descending: bool
) -> None:
    """The cheapest are the cheapest of all that satisfy, not of the nearest, also where many share one value."""
    sort = Sort(field=field, descending=descending)
    many = [each for each in products if each.product.values["tags"] == ("many",)]
    expected = _expected(many, sort)
    for limit in (1, 13, 40):
        pool = await _search(index, filters=Not(Equals("tags", "few")), limit=limit, sort=sort)
        assert [hit.product.id for hit in pool.hits] == expected[:limit]
        assert pool.complete


@pytest.mark.parametrize("descending", [False, True])
async def test_products_without_the_number_follow_those_that_have_it(
    index: Index, products: list[StoredProduct], *, descending: bool
) -> None:
    """Where fewer products have the number than are wanted, the others come after them by score."""
    sort = Sort(field="weight", descending=descending)
    node = Range(field="price", maximum=70.0)
    satisfying = [
        each
        for each in products
        if isinstance(price := each.product.values.get("price"), float) and price <= 70.0
    ]
    having = [each for each in satisfying if "weight" in each.product.values]
    assert len(having) < MAX_POOL < len(satisfying)
    pool = await _search(index, filters=node, limit=MAX_POOL, sort=sort)
    assert [hit.product.id for hit in pool.hits] == _expected(satisfying, sort)[:MAX_POOL]
    assert pool.complete


@pytest.mark.parametrize(
    ("filters", "sort"),
    [
        (None, Sort(field="price")),
        (None, Sort(field="brand", descending=True)),
        (Not(Equals("tags", "few")), Sort(field="brand")),
    ],
)
async def test_otherwise_the_nearest_are_ordered_and_the_pool_says_so(
    index: Index, products: list[StoredProduct], filters: Filter | None, sort: Sort
) -> None:
    """Without conditions, or by a keyword, more products than a look-up holds are not all ordered."""
    satisfying = [each for each in products if filters is None or each.product.values["tags"] == ("many",)]
    nearest = sorted(satisfying, key=lambda each: (-_score(each), each.id))[:MAX_POOL]
    pool = await _search(index, filters=filters, limit=15, sort=sort)
    assert [hit.product.id for hit in pool.hits] == _expected(nearest, sort)[:15]
    assert not pool.complete


async def test_nothing_to_order(index: Index) -> None:
    """No product that satisfies is an empty pool that is complete."""
    pool = await _search(index, filters=Equals("brand", "unknown"), sort=Sort(field="price"))
    assert pool == Pool(hits=(), complete=True)
