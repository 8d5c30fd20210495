"""Products become rows of Milvus, one a picture, and the layout of a collection is read from its description."""

import json
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from gateway.adapters.milvus.counting import BoundedCounter, FieldCounter
from gateway.adapters.milvus.layout import (
    Layout,
    NoLayoutError,
    collection_schema,
    column_fields,
    read_description,
    scalar_indexes,
)
from gateway.adapters.milvus.rows import read_key, row_key, to_product, to_rows
from gateway.adapters.milvus.sorting import narrow
from gateway.errors import FailedPrecondition
from gateway.model import StoredProduct
from vitrine.domain.errors import InvalidValue
from vitrine.domain.product import Product
from vitrine.domain.schema import Field, Kind, Schema
from vitrine.domain.schema_files import shipped_schema

DIM = 24
SCHEMA = replace(
    shipped_schema(),
    fields=(
        *shipped_schema().fields,
        Field(name="tags", kind=Kind.KEYWORDS, filter=True),
        Field(name="sale", kind=Kind.BOOLEAN, filter=True),
    ),
)
PRODUCT = StoredProduct(
    product=Product(
        id="p'1",
        values={
            "title": "Red dress",
            "colour": "Dark  RED",
            "tags": ("New", "100%"),
            "price": 10.0,
            "sale": False,
        },
        attributes={"fit": "slim"},
        image_uris=("p1.jpg",),
    ),
    digest="d",
    vectors_digest="v",
    image_embeddings=np.linspace(0, 1, 2 * DIM, dtype=np.float32).reshape(2, DIM),
    text_embedding=np.linspace(1, 0, DIM, dtype=np.float32),
)


def _layout(schema: Schema = SCHEMA) -> Layout:
    return read_description(
        "c", collection_schema(schema, manifest="m1", source="s", embedding_dim=DIM).description
    )


def _values(product: StoredProduct) -> tuple[object, ...]:
    return tuple(getattr(product, each.name) for each in fields(product))


def test_a_product_is_one_row_a_picture_and_comes_back() -> None:
    """The vector is the picture's half and the text's, side by side; each row carries the whole product."""
    rows = to_rows(PRODUCT, _layout())
    assert [(row["id"], row["part"]) for row in rows] == [("p%271", 0), ("p%271%/1", 1)]
    for row, image in zip(rows, PRODUCT.image_embeddings, strict=True):
        np.testing.assert_array_equal(row["embedding"], np.concatenate([image, PRODUCT.text_embedding]))
        back = to_product("p'1", row, images=PRODUCT.image_embeddings, text=PRODUCT.text_embedding)
        # Field by field, as tuples: arrays that are the same object are equal there, on every Python.
        assert _values(back) == _values(PRODUCT)


def test_fields_stand_in_the_columns_of_their_kinds() -> None:
    """Keywords are folded, lists are entries, a missing value has its stand-in, and what was written is kept."""
    row, _ = to_rows(PRODUCT, _layout())
    assert (row["f_colour"], row["f_brand"], row["f_sale"], row["f_price"]) == ("dark red", "", "false", 10.0)
    assert row["lists"] == {"tags": {"new": 1, "100%25": 1}}
    assert row["extra"] == {}
    assert row["values"] == {"colour": "Dark  RED", "tags": ["New", "100%"], "price": 10.0, "sale": False}
    assert row["texts"] == {"title": "Red dress"}
    assert row["tokens"] == ["p%271", "p1", "red", "dress"]
    assert row["words"] == {"tokens": row["tokens"]}


def test_fields_that_were_added_later_stand_in_one_column() -> None:
    """They are asked as entries of `extra`, a number with a mark beside it."""
    added = (
        Field(name="size", kind=Kind.KEYWORD, filter=True),
        Field(name="weight", kind=Kind.NUMBER, filter=True),
        Field(name="used", kind=Kind.BOOLEAN, filter=True),
    )
    layout = _layout().with_schema(replace(SCHEMA, fields=SCHEMA.fields + added))
    values = {"title": "a", "size": "XL", "weight": 1.5, "used": True}
    row, _ = to_rows(replace(PRODUCT, product=Product(id="p", values=values)), layout)
    assert row["extra"] == {"size": "xl", "weight": 1.5, "weight%": 1, "used": "true"}


def test_no_key_of_a_picture_is_a_products() -> None:
    """Whatever its id looks like, the key of a product is its own."""
    for product_id in ("p", "p%/1", "p/1", "p%2F1", "%"):
        for part in (0, 1, 7):
            assert read_key(row_key(product_id, part)) == (product_id, part)
    assert row_key("p%/1") != row_key("p", 1)


@pytest.mark.parametrize(
    "half", [None, np.zeros(256, np.float32), np.full(DIM, np.nan, np.float32)], ids=["none", "256", "nan"]
)
def test_vectors_that_the_encoders_cannot_have_made_are_refused(half: np.ndarray | None) -> None:
    """A half that is missing, of another length or not finite is written nowhere, nor are nine pictures."""
    with pytest.raises(ValueError, match=r"text_embedding of product .* must be 24 finite numbers"):
        to_rows(replace(PRODUCT, text_embedding=half), _layout())
    images = None if half is None else half[None]
    for wrong in (images, np.zeros((9, DIM), np.float32), np.zeros(DIM, np.float32)):
        with pytest.raises(ValueError, match=r"image_embeddings of product .* must be 0 to 8 rows of 24"):
            to_rows(replace(PRODUCT, image_embeddings=wrong), _layout())


def test_a_product_too_large_for_a_column_is_refused() -> None:
    """Eight addresses of the longest kind may be more bytes than Milvus keeps: the message names field and limit."""
    product = replace(PRODUCT.product, image_uris=("\U0001f600" * 2_048,) * 8)
    with pytest.raises(InvalidValue, match="image_uris: at most 65,536 bytes"):
        to_rows(replace(PRODUCT, product=product), _layout())


def test_more_words_than_a_column_keeps_are_matched_and_not_counted() -> None:
    """The longest tokens there can be: those that do not fit are left out of the counts alone."""
    tags = tuple(f"{i}{'日' * 120}" for i in range(64)) + tuple(f"{i}{'本' * 120}" for i in range(64))
    schema = replace(
        SCHEMA, fields=(*SCHEMA.fields[:2], Field(name="tags", kind=Kind.KEYWORDS, lexical=True))
    )
    product = Product(id="p", values={"tags": tags})
    row, _ = to_rows(replace(PRODUCT, product=product), _layout(schema))
    assert len(row["tokens"]) == 129
    assert len(json.dumps(row["words"], ensure_ascii=False).encode()) <= 65_536
    assert row["words"]["tokens"] == row["tokens"][: len(row["words"]["tokens"])]


def test_a_collection_carries_its_identity() -> None:
    """Manifest, source, length and schema are read from its description; the schema may become another."""
    layout = _layout()
    assert (layout.version.manifest, layout.version.embedding_dim, layout.source) == ("m1", DIM, "s")
    assert layout.version.schema == layout.created_with == SCHEMA
    with pytest.raises(FailedPrecondition, match="the index has no field 'size' any more"):
        layout.field("size")


@pytest.mark.parametrize(
    ("identity", "reason"),
    [
        ("", "is none of Vitrine's"),
        ({"manifest": "m"}, "is none of Vitrine's"),
        ({"manifest": "m", "source": "", "embedding_dim": 8}, "was made by another version of Vitrine"),
        (
            {"manifest": "m", "source": "", "embedding_dim": 8, "schema": "name = 1"},
            "was made by another version",
        ),
    ],
)
def test_another_description_is_told(identity: Any, reason: str) -> None:
    """A collection that is not ours, or of an earlier version, is told from one of today."""
    with pytest.raises(NoLayoutError, match=reason):
        read_description("c", json.dumps(identity) if identity else "")


def test_a_large_schema_has_no_more_columns_than_a_server_takes() -> None:
    """64 columns in all; every column of a field is indexed."""
    many = tuple(Field(name=f"f{i}", kind=Kind.NUMBER, filter=True) for i in range(54))
    schema = replace(SCHEMA, fields=SCHEMA.fields[:4] + many)
    made = collection_schema(schema, manifest="m", source="", embedding_dim=DIM)
    assert len(made.fields) <= 64
    assert {f"f_{each.name}" for each in column_fields(schema)} < set(scalar_indexes(schema))


def test_counters_are_bounded() -> None:
    """Once full, a counter counts what it knows already."""
    counter = BoundedCounter(2)
    counter.add(["a", "b", "c", "a"])
    assert counter.counts == {"a": 2, "b": 1}
    field = FieldCounter("colour", capacity=2)
    for value in ("Red", "blue", "green", "RED", "red", None):
        field.add(value)
    summary = field.summary()
    assert (summary.values, summary.counts, summary.products) == (("Red", "blue"), (3, 1), 5)


NUMBERS = tuple(float(i) for i in range(-50, 50) for _ in range(1 + 30 * (i == 7)))


@pytest.mark.parametrize("guesses", [[], [3.0, -60.0], [40.0], [-50.0]])
@pytest.mark.parametrize("limit", [1, 10, 58, 60, 90])
async def test_the_interval_of_the_first_products_is_found_by_counting(
    limit: int, guesses: list[float]
) -> None:
    """It holds at least as many as are wanted and at most as many as can be ordered, but where one value has more."""
    asked = 0

    async def count_up_to(key: float) -> int:
        nonlocal asked
        asked += 1
        return sum(number <= key for number in NUMBERS)

    most = 90 if limit == 90 else limit + 5
    below, tie = await narrow(count_up_to, limit=limit, most=most, guesses=guesses)
    if tie is None:
        assert below is not None
        assert limit <= await count_up_to(below) <= most
    else:
        before = await count_up_to(below) if below is not None else 0
        assert before < limit
        assert before + NUMBERS.count(tie) > most
        assert tie == 7.0
    assert asked <= 70


async def test_one_value_that_all_share_is_found() -> None:
    """Nothing lies below it."""

    async def count_up_to(key: float) -> int:
        return 100 if key >= 0.0 else 0

    below, tie = await narrow(count_up_to, limit=3, most=5, guesses=[])
    assert tie == 0.0
    assert below is not None
    assert below < 0.0
