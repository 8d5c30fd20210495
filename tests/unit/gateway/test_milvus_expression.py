"""Filters as Milvus expressions."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.adapters.milvus.expression import (
    conjunction,
    decode_text,
    encode_text,
    filter_expression,
    keyword_key,
    literal,
    number_missing,
    number_present,
    words_expression,
)
from gateway.adapters.milvus.layout import Layout
from gateway.model import IndexVersion
from vitrine.domain.filters import AllOf, AnyOf, Equals, Filter, Not, OneOf, Range
from vitrine.domain.schema import Field, Kind, Role, Schema

_FIELDS = (
    Field(name="id", kind=Kind.KEYWORD, role=Role.ID),
    Field(name="title", kind=Kind.TEXT, role=Role.TITLE),
    Field(name="colour", kind=Kind.KEYWORD, filter=True),
    Field(name="tags", kind=Kind.KEYWORDS, filter=True),
    Field(name="price", kind=Kind.MONEY, filter=True),
    Field(name="sale", kind=Kind.BOOLEAN, filter=True),
)
_ADDED = (
    Field(name="size", kind=Kind.KEYWORD, filter=True),
    Field(name="labels", kind=Kind.KEYWORDS, filter=True),
    Field(name="weight", kind=Kind.NUMBER, filter=True),
    Field(name="used", kind=Kind.BOOLEAN, filter=True),
)
SCHEMA = Schema(name="shop", fields=_FIELDS)
LAYOUT = Layout(
    version=IndexVersion(
        collection="c", manifest="m", embedding_dim=8, schema=replace(SCHEMA, fields=_FIELDS + _ADDED)
    ),
    source="",
    created_with=SCHEMA,
)
HAS_PRICE = "f_price > -1.7976931348623157e+308"
HAS_WEIGHT = 'extra["weight%"] == 1'


@pytest.mark.parametrize(
    ("node", "expression"),
    [
        (Equals("colour", "Red"), 'f_colour == "red"'),
        (Equals("price", 3), "f_price == 3.0"),
        (Equals("sale", value=True), 'f_sale == "true"'),
        (Equals("tags", "Vegan"), 'lists["tags"]["vegan"] == 1'),
        (Equals("size", "M"), 'extra["size"] == "m"'),
        (Equals("used", value=False), 'extra["used"] == "false"'),
        (OneOf("colour", ("a", "B", "b")), 'f_colour in ["a", "b"]'),
        (OneOf("weight", (1.0, 2.5)), 'extra["weight"] in [1.0, 2.5]'),
        (OneOf("labels", ("a", "b")), '(lists["labels"]["a"] == 1) or (lists["labels"]["b"] == 1)'),
        (Range(field="price", maximum=2.0), f"(f_price <= 2.0) and ({HAS_PRICE})"),
        (
            Range(field="weight", minimum=1.0, maximum=2.0, exclusive_minimum=True, exclusive_maximum=True),
            f'({HAS_WEIGHT}) and ((extra["weight"] > 1.0) and (extra["weight"] < 2.0))',
        ),
        (AnyOf((Equals("colour", "red"), Equals("price", 1.0))), '(f_colour == "red") or (f_price == 1.0)'),
        (Not(Equals("colour", "red")), 'f_colour != "red"'),
        (Not(Equals("sale", value=True)), 'f_sale != "true"'),
        (Not(OneOf("tags", ("a", "b"))), '(lists["tags"]["a"] != 1) and (lists["tags"]["b"] != 1)'),
        (Not(OneOf("price", (1.0, 2.5))), f"(f_price not in [1.0, 2.5]) and ({HAS_PRICE})"),
        (Not(Equals("weight", 1.0)), f'(extra["weight"] != 1.0) and ({HAS_WEIGHT})'),
        (
            Not(Range(field="price", minimum=1.0, exclusive_minimum=True)),
            f"(f_price <= 1.0) and ({HAS_PRICE})",
        ),
        (
            Not(AllOf((Equals("colour", "red"), Not(Equals("size", "m"))))),
            '(f_colour != "red") or (extra["size"] == "m")',
        ),
        (
            Not(AnyOf((Equals("colour", "red"), Equals("size", "m")))),
            '(f_colour != "red") and (extra["size"] != "m")',
        ),
    ],
)
def test_every_condition_has_its_expression_and_its_opposite(node: Filter, expression: str) -> None:
    """Negation reaches the conditions themselves: Milvus Lite has no other; a number must be there to be compared."""
    assert filter_expression(node, LAYOUT) == expression


@pytest.mark.parametrize("field", ["colour", "tags", "size", "labels"])
def test_an_empty_keyword_is_nobodys(field: str) -> None:
    """A missing keyword is stored as an empty one, and no condition finds it."""
    assert filter_expression(Equals(field, " "), LAYOUT) == "part < 0"
    assert filter_expression(Not(OneOf(field, ("", " "))), LAYOUT) == "part >= 0"


def test_what_lacks_a_number_has_its_expression() -> None:
    """A number's column holds the lowest double where it is missing; one that was added later has a mark beside it."""
    price, weight = LAYOUT.field("price"), LAYOUT.field("weight")
    assert number_present(price, LAYOUT) == HAS_PRICE
    assert number_missing(price, LAYOUT) == "f_price == -1.7976931348623157e+308"
    assert number_present(weight, LAYOUT) == HAS_WEIGHT
    assert number_missing(weight, LAYOUT) == 'extra["weight%"] != 1'


def test_the_lowest_number_is_not_taken_for_a_missing_one() -> None:
    """A condition on the lowest double asks for the next one, as which it is stored."""
    lowest = -1.7976931348623157e308
    assert filter_expression(Equals("price", lowest), LAYOUT) == "f_price == -1.7976931348623155e+308"


def test_words_and_joined_expressions() -> None:
    """Tokens are asked as one list; empty expressions hold always."""
    assert words_expression(["a", 'b"c']) == 'array_contains_any(tokens, ["a", "b%22c"])'
    assert conjunction("", "a == 1", "") == "a == 1"
    assert conjunction("a == 1", "b == 1") == "(a == 1) and (b == 1)"
    assert conjunction("", "") == ""


@given(st.text())
def test_encoded_text_holds_nothing_special_and_is_read_back(text: str) -> None:
    """Whatever the text, its encoding holds no quote, backslash or control character, and decodes to the text."""
    encoded = encode_text(text)
    assert not set(encoded) & {'"', "'", "\\", "\n", "\r", "\0", "\x7f"}
    assert decode_text(encoded) == text


def test_the_encoding_keeps_what_already_looks_encoded() -> None:
    """A text that looks like an encoding is none: two texts never share one."""
    assert encode_text("100%22") == "100%2522"
    assert decode_text("100%2522") == "100%22"
    assert encode_text('"') == "%22"


@given(st.text(max_size=512))
def test_keywords_are_compared_by_a_bounded_key(text: str) -> None:
    """However long its folded and encoded form, a keyword's key fits its column, and both spellings have one key."""
    assert len(encode_text(keyword_key(text)).encode()) <= 256
    assert keyword_key(text) == keyword_key(f" {text}\n")


def test_long_keywords_differ_by_their_ends() -> None:
    """The key of a long keyword is its hash, which is nobody's folded form."""
    assert keyword_key("x" * 511 + "A") == keyword_key("X" * 511 + "a") != keyword_key("x" * 511 + "b")
    assert keyword_key("x" * 512).startswith(" ")
    assert literal(keyword_key("x" * 256)) == f'"{"x" * 256}"'


def test_an_attack_in_a_value_stays_a_value() -> None:
    """Quotes and operators in a value end up inside its literal."""
    attack = '" or price > 0 or brand == "'
    assert (
        filter_expression(Equals("colour", attack), LAYOUT)
        == 'f_colour == "%22 or price > 0 or brand == %22"'
    )
    assert (
        filter_expression(Equals("tags", attack), LAYOUT)
        == 'lists["tags"]["%22 or price > 0 or brand == %22"] == 1'
    )


def test_long_conjunctions_stay_flat() -> None:
    """256 conditions nest eight deep, where a chain would nest 255 deep and Milvus Lite gives up at about 100."""
    wide = AnyOf(tuple(Equals("price", float(price)) for price in range(256)))
    listed = OneOf("tags", tuple(str(i) for i in range(256)))
    for node, first in ((wide, "f_price"), (listed, "lists")):
        expression = filter_expression(node, LAYOUT)
        assert expression.startswith("(" * 8 + first)
        assert not expression.startswith("(" * 9)


def test_conjunctions_within_conjunctions_stay_flat() -> None:
    """Seven levels of 32 parts each do not add their heights up."""
    node: Filter = Equals("price", 0.0)
    for _ in range(7):
        node = AllOf((node, *(AnyOf((Equals("price", 1.0), Equals("price", 2.0))) for _ in range(18))))
    depth = deepest = 0
    for character in filter_expression(node, LAYOUT):
        depth += (character == "(") - (character == ")")
        deepest = max(deepest, depth)
    assert deepest <= 16
