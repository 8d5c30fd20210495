"""Products by a schema: their limits, their messages, their words; and when keywords are equal."""

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitrine.domain import limits
from vitrine.domain.errors import InvalidValue
from vitrine.domain.lexical import MAX_TOKENS, matched_share, product_tokens, query_tokens
from vitrine.domain.messages import product_message, read_product
from vitrine.domain.product import Product, check_product, encoded_text
from vitrine.domain.schema_files import format_schema, parse_schema, shipped_schema
from vitrine.domain.values import distinct, fold, shown, to_boolean
from vitrine.v1 import query_pb2

SHOP = parse_schema(
    """
    name = "shop"
    currency = "EUR"
    [fields.sku]
    kind = "keyword"
    role = "id"
    [fields.name]
    kind = "text"
    role = "title"
    [fields.about]
    kind = "text"
    role = "description"
    encoded = true
    [fields.kind]
    kind = "keyword"
    role = "category"
    encoded = true
    [fields.maker]
    kind = "keyword"
    role = "brand"
    [fields.tags]
    kind = "keywords"
    [fields.weight]
    kind = "number"
    [fields.fresh]
    kind = "boolean"
    [fields.cost]
    kind = "money"
    role = "price"
    """
)
FULL = Product(
    id="a-1",
    values={
        "name": "Green Tea",
        "about": "Leaves from a hill.",
        "kind": "Drinks > Tea",
        "maker": "Hill & Sons",
        "tags": ("Vegan", "Fairtrade"),
        "weight": -2.5,
        "fresh": False,
        "cost": 0.0,
    },
    attributes={"origin": "hill 7"},
    image_uris=("a.jpg", "b.jpg"),
)


def test_a_full_product_passes_and_survives_the_wire() -> None:
    """Every kind of value is read as it was written, and false and 0 are values."""
    check_product(FULL, SHOP)
    assert read_product(product_message(FULL, SHOP), SHOP) == FULL


def test_old_clients_read_and_write_the_fields_that_they_know() -> None:
    """Title, category, brand and price are repeated by their roles; written, they are the schema's fields."""
    message = product_message(FULL, SHOP)
    assert (message.title, message.category, message.brand) == ("Green Tea", "Drinks > Tea", "Hill & Sons")
    assert message.HasField("price")
    assert message.price == 0.0
    assert message.image_uri == "a.jpg"
    old = query_pb2.Product(id="b", title="Black Tea", category="tea", price=3.5, image_uri="c.jpg")
    assert read_product(old, SHOP) == Product(
        id="b", values={"name": "Black Tea", "kind": "tea", "cost": 3.5}, image_uris=("c.jpg",)
    )
    assert not product_message(Product(id="c"), SHOP).HasField("price")


def test_an_old_field_without_a_place_in_the_schema_becomes_an_attribute() -> None:
    """A colour is not lost in a shop without colours, and is one of several where colours are lists."""
    red = query_pb2.Product(id="a", colour="red")
    assert read_product(red, SHOP) == Product(id="a", attributes={"colour": "red"})
    assert read_product(red, shipped_schema()).values == {"colour": "red"}
    lists = parse_schema(format_schema(SHOP) + '[fields.colour]\nkind = "keywords"')
    assert read_product(red, lists).values == {"colour": ("red",)}
    assert product_message(Product(id="a", values={"colour": ("red", "blue")}), lists).colour == "red, blue"


def test_fields_count_where_both_are_given() -> None:
    """What `fields` says goes before the field of an old client."""
    message = query_pb2.Product(id="a", title="old", fields={"name": query_pb2.FieldValue(text="new")})
    assert read_product(message, SHOP).values == {"name": "new"}


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"id": ""}, "id: must not be empty"),
        ({"id": "x" * 129}, "id: at most 128 characters, got 129"),
        ({"id": "a\nb"}, "id: must not hold control characters"),
        ({"size": "M"}, "size: is no field of the schema 'shop'; these are: name, about, kind"),
        ({"sku": "M"}, "sku: is no field of the schema"),
        ({"name": "  "}, "name: must not be empty"),
        ({"name": "x" * 1_001}, "name: at most 1,000 characters, got 1,001"),
        ({"name": 3.0}, "name: must be a text, got 3.0"),
        ({"about": "é" * 16_385}, "about: at most 32,768 bytes, got 32,770"),
        ({"kind": ""}, "kind: must not be empty"),
        ({"kind": "x" * 513}, "kind: at most 512 characters, got 513"),
        ({"kind": ("a",)}, "kind: must be a text"),
        ({"tags": ()}, "tags: must be 1 to 64 keywords, got 0"),
        ({"tags": ("x",) * 65}, "tags: must be 1 to 64 keywords, got 65"),
        ({"tags": ("ok", "")}, "tags: must not be empty"),
        ({"tags": "vegan"}, "tags: must be a list of texts"),
        ({"weight": math.inf}, "weight: must be a finite number, got inf"),
        ({"weight": "3"}, "weight: must be a number, got '3'"),
        ({"weight": True}, "weight: must be a number, got True"),
        ({"cost": -0.01}, "cost: must be a finite number >= 0, got -0.01"),
        ({"cost": math.nan}, "cost: must be a finite number, got nan"),
        ({"fresh": 1.0}, "fresh: must be true or false"),
        ({"name": "a\0b"}, "name: must not hold a NUL character"),
        ({"attributes": {"a": "b"} | {str(i): "x" for i in range(64)}}, "attributes: at most 64, got 65"),
        ({"attributes": {"": "x"}}, "attributes: a name has 1 to 128 characters"),
        ({"attributes": {"a": "x" * 60_000}}, "attributes: at most 60,000 bytes as JSON"),
        ({"image_uris": ("x",) * 9}, "image_uris: at most 8, got 9"),
        ({"image_uris": ("x" * 2_049,)}, "image_uri: at most 2,048 characters"),
    ],
)
def test_a_product_over_a_limit_is_refused_by_name(change: dict[str, Any], refusal: str) -> None:
    """The refusal names the field and the limit."""
    parts = {name: change.pop(name) for name in ("id", "attributes", "image_uris") if name in change}
    product = replace(FULL, values={**FULL.values, **change}, **parts)
    with pytest.raises(InvalidValue) as refused:
        check_product(product, SHOP)
    assert refusal in str(refused.value)


def test_long_descriptions_and_odd_ids_are_kept() -> None:
    """32 kB of text, an id with a no-break space and one with a joiner are within the limits."""
    check_product(replace(FULL, id="AB\u00a012", values={"about": "x" * limits.MAX_TEXT_BYTES}), SHOP)
    check_product(replace(FULL, id="\U0001f469\u200d\U0001f9b0"), SHOP)


def test_the_encoded_text_is_the_title_then_keywords_then_the_description() -> None:
    """The encoder reads the beginning at least, so the title stands there."""
    assert encoded_text(FULL, SHOP) == "Green Tea Drinks > Tea Leaves from a hill."
    assert encoded_text(Product(id="a", values={"weight": 1.0}), SHOP) == ""


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("Red", "RED"),
        ("Straße", "STRASSE"),
        ("é", "e\u0301"),
        ("ﬁne", "fine"),
        (" a  b ", "A\u00a0B"),
        ("\uff38\uff2c", "xl"),
    ],
)
def test_keywords_are_equal_in_any_case_and_unicode_form(left: str, right: str) -> None:
    """Spellings that people read as one word are one value."""
    assert fold(left) == fold(right)


@given(st.text(max_size=30))
def test_folding_twice_changes_nothing(text: str) -> None:
    """A folded text is its own folded form."""
    assert fold(fold(text)) == fold(text)


def test_lists_hold_each_value_once() -> None:
    """Of equal spellings the first stays."""
    assert distinct(["Red", "blue", "RED", " ", "Blue"]) == ("Red", "blue")


def test_values_are_shown_as_people_read_them() -> None:
    """Whole numbers have no point, lists have commas, what is missing is empty."""
    values = (None, True, False, 42.0, 4.5, "x", ("a", "b"))
    assert [shown(value) for value in values] == ["", "yes", "no", "42", "4.5", "x", "a, b"]


def test_booleans_are_read_in_the_usual_words() -> None:
    """Anything else is no boolean."""
    assert [to_boolean(word) for word in ("TRUE", "yes", "1", "No", "0", "maybe", "")] == [
        True, True, True, False, False, None, None,
    ]  # fmt: skip


def test_tokens_are_words_with_and_without_their_signs() -> None:
    """A model number is found as it is written, without its signs, and by its parts; a brand as a whole too."""
    product = Product(
        id="SKU 77/b",
        values={"name": "Sony (WH-1000XM4) Headphones!", "maker": "Juno & Pine", "about": "unheard"},
    )
    tokens = set(product_tokens(product, SHOP))
    assert {
        "wh-1000xm4",
        "wh1000xm4",
        "1000xm4",
        "sony",
        "headphones",
        "juno & pine",
        "sku 77/b",
        "77b",
    } <= tokens
    assert not {"unheard", "wh", "(wh-1000xm4)"} & tokens


def test_tokens_are_bounded() -> None:
    """A title of many words, and words of many letters, make no long lists."""
    product = Product(id="a", values={"name": " ".join(f"w{i}" for i in range(1_000))})
    assert len(product_tokens(product, SHOP)) == MAX_TOKENS
    assert query_tokens("x" * 2_000) == ()


def test_the_share_of_matched_words_is_between_0_and_1() -> None:
    """It is weighted, and 0 where no word has a weight."""
    product = Product(id="a", values={"name": "red dress"})
    assert matched_share([("red", 3.0), ("hat", 1.0)], product, SHOP) == pytest.approx(0.75)
    assert matched_share([("a", 1.0)], product, SHOP) == 1.0
    assert matched_share([], product, SHOP) == 0.0
