"""What every index promises of conditions and of counts: fields of every kind, in columns and added later."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from itertools import cycle
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.model import FieldSummary, StoredProduct, Weights
from gateway.testing import stored
from vitrine.domain.filters import AllOf, AnyOf, Equals, Filter, Not, OneOf, Range, matches, words_excluded
from vitrine.domain.product import check_product
from vitrine.domain.schema import Schema
from vitrine.domain.values import Value, fold
from vitrine.tensors import EMBEDDING_DIM

pytestmark = pytest.mark.asyncio(loop_scope="module")

TIMEOUT_S = 60.0
KEYWORDS = (
    "Red", "red", "\uff32\uff25\uff24", "dark  red", 'quo"te', "apos'trophe", "back\\slash", "trail\\", '\\"', "new\nline",
    "tab\tx", "\x01\x1f\x7f", "é", "e\u0301", "É", "日本", "\U0001f600", "\u2028x", "%", "100%22", "%like%_", "~0/~1",
    "a and b or not (c)", "{x}", "--", "/*", '" or price > 0 or brand == "', "' or '1'='1", "\\u0041", "\\n", " lead",
    "trail ", "[1, 2]", "NULL", "true", "vegan]", "a.b", "ß", "SS", "İ", "x" * 300, "X" * 300, "ﷺ" * 40, "1.0",
)  # fmt: skip
NUMBERS = (0.0, 0.1, 0.30000000000000004, 1.0, 10.0, 99.99, 1e15, 1e-5, 1e300, 5e-324)
SIGNED = (*NUMBERS, -0.1, -1e300, -1.7e308, 1.7976931348623157e308)
"""The lowest double of all is in conditions alone: to Milvus it is one with the next."""
LOWEST = -1.7976931348623157e308
KEYWORD_FIELDS = ("brand", "tags", "size", "labels")
NUMBER_FIELDS = ("price", "stars", "weight")

Index = Any
"""VectorIndex and IndexAdministrator in one."""


class _Products(list[StoredProduct]):
    """Products that a failure's report does not list."""

    def __repr__(self) -> str:
        return f"{len(self)} products"


def _values(i: int, numbers: Iterator[float], *, later: bool) -> dict[str, Value | None]:
    """Return values of every kind; each is missing in some products."""
    word = KEYWORDS[i % len(KEYWORDS)]
    several = tuple(KEYWORDS[(i + step) % len(KEYWORDS)] for step in range(0, 3 * (i % 4), 3))
    base: dict[str, Value | None] = {
        "brand": word if i % 6 else None,
        "tags": several or None,
        "price": abs(next(numbers)) if i % 4 else None,
        "stars": next(numbers) if i % 3 else None,
        "sale": None if i % 3 == 0 else i % 2 == 0,
        "care": f"wash {word}" if i % 2 else None,
    }
    added: dict[str, Value | None] = {
        "size": KEYWORDS[-i % len(KEYWORDS)] if i % 5 else None,
        "labels": several[:2] or None,
        "weight": next(numbers) if i % 3 != 1 else None,
        "used": None if i % 3 == 1 else i % 4 == 0,
        "remark": "as new",
    }
    return base | added if later else base


def _products(base: Schema, later: Schema) -> list[StoredProduct]:
    """Return products of which the first third knows nothing of the fields that are added later."""
    numbers, count = cycle(SIGNED[::-1]), 3 * len(KEYWORDS)
    direction = np.full(EMBEDDING_DIM, EMBEDDING_DIM**-0.5, np.float32)
    products = []
    for i in range(count):
        schema = base if i < count // 3 else later
        product = stored(
            f"p{i:03d}",
            schema=schema,
            image_embeddings=direction[None] if i % 7 else np.stack([direction, direction]),
            text_embedding=direction,
            title="thing",
            **_values(i, numbers, later=schema is later),  # type: ignore[arg-type]
        )
        check_product(product.product, schema)
        products.append(product)
    return products


@pytest.fixture(scope="module")
def products(base_schema: Schema, later_schema: Schema) -> list[StoredProduct]:
    """Products of every kind of value."""
    return _Products(_products(base_schema, later_schema))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sampled(
    open_index: Callable[[], Any],
    products: list[StoredProduct],
    base_schema: Schema,
    later_schema: Schema,
) -> AsyncIterator[Index]:
    """An index of the products, whose schema was given fields after a third of them had been written."""
    async with AsyncExitStack() as stack:
        opened = await stack.enter_async_context(open_index())
        writer = await opened.current("m1", base_schema)
        await writer.upsert(products[: len(products) // 3])
        writer = await opened.current("m1", later_schema)
        await writer.upsert(products[len(products) // 3 :])
        assert await writer.seal() == len(products)
        yield opened


async def _ids(index: Index, filters: Filter) -> list[str]:
    pool = await index.search(
        np.ones(EMBEDDING_DIM, np.float32),
        weights=Weights(text=0.5, image=0.5),
        filters=filters,
        limit=1_000,
        timeout_s=TIMEOUT_S,
    )
    assert pool.complete
    return sorted(hit.product.id for hit in pool.hits)


def _expected(products: list[StoredProduct], node: Filter) -> list[str]:
    return sorted(each.id for each in products if matches(node, each.product))


_words = st.sampled_from(KEYWORDS) | st.text(max_size=64)
_numbers = st.sampled_from([*SIGNED, LOWEST]) | st.floats(allow_nan=False, allow_infinity=False)
_conditions = st.one_of(
    st.builds(Equals, st.sampled_from(KEYWORD_FIELDS), _words),
    st.builds(Equals, st.sampled_from(NUMBER_FIELDS), _numbers),
    st.builds(Equals, st.sampled_from(["sale", "used"]), st.booleans()),
    st.builds(OneOf, st.sampled_from(KEYWORD_FIELDS), st.lists(_words, min_size=1, max_size=12).map(tuple)),
    st.builds(OneOf, st.sampled_from(NUMBER_FIELDS), st.lists(_numbers, min_size=1, max_size=12).map(tuple)),
    st.builds(
        OneOf, st.sampled_from(["sale", "used"]), st.lists(st.booleans(), min_size=1, max_size=2).map(tuple)
    ),
    st.builds(
        Range,
        field=st.sampled_from(NUMBER_FIELDS),
        minimum=_numbers,
        maximum=st.none() | _numbers,
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
@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
async def test_a_filter_lets_the_very_products_through_that_fulfil_it(
    sampled: Index, products: list[StoredProduct], node: Filter
) -> None:
    """Any tree of conditions over any values selects the same products as the same tree evaluated in Python."""
    expected = _expected(products, node)
    assert await _ids(sampled, node) == expected
    assert await sampled.count(node, timeout_s=TIMEOUT_S) == len(expected)


@pytest.mark.parametrize("word", KEYWORDS, ids=[f"keyword{i}" for i in range(len(KEYWORDS))])
async def test_keywords_match_literally_in_any_case_and_unicode_form(
    sampled: Index, products: list[StoredProduct], word: str
) -> None:
    """Quotes, operators, escapes and line breaks in a value are just that value, and both spellings find both."""
    assert any(_expected(products, Equals(name, word)) for name in KEYWORD_FIELDS)
    for name in KEYWORD_FIELDS:
        node = Equals(name, word)
        expected = _expected(products, node)
        assert await _ids(sampled, node) == await _ids(sampled, Equals(name, fold(word))) == expected
        assert await _ids(sampled, OneOf(name, (word, "unknown"))) == expected
        opposite = sorted({each.id for each in products} - set(expected))
        assert await _ids(sampled, Not(node)) == await _ids(sampled, Not(OneOf(name, (word,)))) == opposite


@pytest.mark.parametrize("name", NUMBER_FIELDS)
async def test_a_missing_number_satisfies_no_condition_nor_its_opposite(
    sampled: Index, products: list[StoredProduct], name: str
) -> None:
    """Whatever is asked of a number, it is of the products that have one."""
    having = sorted(each.id for each in products if name in each.product.values)
    assert 0 < len(having) < len(products)
    for node in (
        Equals(name, 1.0),
        OneOf(name, (1.0, LOWEST)),
        Range(field=name, maximum=1.0),
        Equals(name, 7.0),
    ):
        found = await _ids(sampled, node)
        assert found == _expected(products, node)
        assert sorted(found + await _ids(sampled, Not(node))) == having
    assert await _ids(sampled, Range(field=name, minimum=LOWEST)) == having
    assert await _ids(sampled, AnyOf((Equals(name, 1.0), Not(Equals(name, 1.0))))) == having


@pytest.mark.parametrize("name", ["brand", "tags", "size", "labels", "sale", "used"])
async def test_a_missing_keyword_or_boolean_satisfies_exclusions_alone(
    sampled: Index, products: list[StoredProduct], name: str
) -> None:
    """Nothing of it is known to be the value, so that it is excluded by no exclusion and found by no condition."""
    lacking = {each.id for each in products if name not in each.product.values}
    assert lacking
    for value in ("", "red", "unknown") if name not in {"sale", "used"} else (True, False):
        assert lacking.isdisjoint(await _ids(sampled, Equals(name, value)))
        assert lacking <= set(await _ids(sampled, Not(Equals(name, value))))
        assert lacking <= set(await _ids(sampled, Not(OneOf(name, (value, value)))))


async def test_what_products_say_is_found_unless_they_deny_it(
    sampled: Index, products: list[StoredProduct]
) -> None:
    """Every index answers as `matches` does: one word, all words of a phrase, one of several forms, and with other conditions."""
    schema = (await sampled.version(timeout_s=TIMEOUT_S)).schema
    every = {each.id for each in products}
    found = 0
    for forms in (("red",), ("quo te",), ("nothing", "日本"), ('"; or 1 == 1', "tab"), ("x" * 128,)):
        said = words_excluded(forms, schema)
        having = await _ids(sampled, said)
        assert having == _expected(products, said)
        assert set(await _ids(sampled, Not(said))) == every - set(having)
        both_hold = AllOf((Not(said), Not(Equals("brand", "a.b"))))
        assert await _ids(sampled, both_hold) == _expected(products, both_hold)
        found += len(having)
    assert found


async def test_the_largest_filters_are_answered(sampled: Index, products: list[StoredProduct]) -> None:
    """256 conditions side by side, 256 values in one, and eight levels are within every engine's limits."""
    for name in ("price", "weight"):
        numbers = tuple(float(i) for i in range(256))
        wide: Filter = AnyOf(tuple(Equals(name, number) for number in numbers))
        assert (
            await _ids(sampled, wide)
            == await _ids(sampled, OneOf(name, numbers))
            == _expected(products, wide)
        )
        assert await _ids(sampled, Not(wide)) == _expected(products, Not(wide))
    for name in ("tags", "size"):
        listed = OneOf(name, ("red", *(f"{i} {'日' * 500}" for i in range(255))))
        assert await _ids(sampled, listed) == _expected(products, listed)
        assert await _ids(sampled, Not(listed)) == _expected(products, Not(listed))
    deep: Filter = Not(Equals("tags", "red"))
    for _ in range(7):
        deep = AllOf((deep, *(Range(field="weight", minimum=0.0) for _ in range(30))))
    assert await _ids(sampled, deep) == _expected(products, deep)


async def test_describe_summarises_every_field_that_is_filtered_or_counted(
    sampled: Index, products: list[StoredProduct], later_schema: Schema
) -> None:
    """Fields come in the schema's order; products count once, however many pictures they have."""
    summary = await sampled.describe(timeout_s=TIMEOUT_S)
    assert summary.products == len(products)
    names = [each.name for each in later_schema if each.filter or each.facet]
    assert [each.name for each in summary.fields] == names
    assert list(summary.fields) == [_summary(products, name) for name in names]


@pytest.mark.parametrize(
    "node",
    [
        None,
        Not(Equals("brand", "RED")),
        Range(field="weight", minimum=0.0),
        Equals("labels", "red"),
        Equals("size", "?"),
    ],
)
async def test_facets_count_every_product_that_satisfies(
    sampled: Index, products: list[StoredProduct], node: Filter | None
) -> None:
    """Exact counts of keywords, lists, booleans and numbers, in the order asked, before and after a repetition."""
    names = ["used", "weight", "labels", "brand", "size", "tags", "price", "stars", "sale"]
    satisfying = [each for each in products if node is None or matches(node, each.product)]
    for _ in range(2):
        facets = await sampled.facets(node, names, timeout_s=TIMEOUT_S)
        assert list(facets) == [_summary(satisfying, name) for name in names]


def _summary(products: list[StoredProduct], name: str) -> FieldSummary:
    """Count a field by the words of the contract."""
    held = [each.product.values[name] for each in products if name in each.product.values]
    numbers = [value for value in held if isinstance(value, float)]
    counts: dict[str, int] = {}
    spellings: dict[str, dict[str, int]] = {}
    for value in held:
        if isinstance(value, float):
            continue
        texts = (
            [str(value).lower()] if isinstance(value, bool) else [value] if isinstance(value, str) else value
        )
        for folded in {fold(text) for text in texts}:
            counts[folded] = counts.get(folded, 0) + 1
        for text in texts:
            spelt = spellings.setdefault(fold(text), {})
            spelt[text] = spelt.get(text, 0) + 1
    shown = {folded: min(spelt, key=lambda text: (-spelt[text], text)) for folded, spelt in spellings.items()}
    ranked = sorted(
        ((shown[folded], count) for folded, count in counts.items()), key=lambda pair: (-pair[1], pair[0])
    )
    return FieldSummary(
        name=name,
        values=tuple(text for text, _ in ranked),
        counts=tuple(count for _, count in ranked),
        minimum=min(numbers, default=None),
        maximum=max(numbers, default=None),
        products=len(held),
    )


async def test_more_values_than_are_listed_are_told(open_index: Callable[[], Any]) -> None:
    """Of 300 brands in three sizes of equal ones the 256 most frequent are listed, equally frequent ones by text."""
    async with open_index() as index:
        writer = await index.current("m1")
        await writer.upsert(
            [stored(f"p{i}", title="a", brand=f"brand {i % 300:03d}", images=[]) for i in range(700)]
        )
        await writer.seal()
        (brands,) = await index.facets(None, ["brand"], timeout_s=TIMEOUT_S)
        assert brands.values == tuple(f"brand {i:03d}" for i in range(256))
        assert brands.counts == (3,) * 100 + (2,) * 156
        assert (brands.more_values, brands.products) == (True, 700)


async def test_counts_follow_a_write(open_index: Callable[[], Any]) -> None:
    """A product that changes no number of products changes summary and facets all the same."""
    async with open_index() as index:
        writer = await index.current("m1")
        for brand in ("before", "After", "AFTER"):
            product = stored("p", title="a", brand=brand)
            await writer.upsert([product, replace(product, digest="later")])
            await writer.seal()
            (facet,) = await index.facets(Not(Equals("brand", "x")), ["brand"], timeout_s=TIMEOUT_S)
            fields = {each.name: each for each in (await index.describe(timeout_s=TIMEOUT_S)).fields}
            assert facet.values == fields["brand"].values == (brand,)
