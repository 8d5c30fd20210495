"""Filters as Milvus expressions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.adapters.milvus.expression import decode_text, encode_text, milvus_expression
from gateway.model import AllOf, AnyOf, Equals, Filter, Not, OneOf, Range


@pytest.mark.parametrize(
    ("node", "expression"),
    [
        (Equals("colour", "red"), 'colour == "red"'),
        (Equals("price", 3), "price == 3.0"),
        (OneOf("brand", ("a", "b")), 'brand in ["a", "b"]'),
        (Range(field="price", minimum=1.0, maximum=2.0), "(price >= 1.0) and (price <= 2.0)"),
        (
            Range(field="price", minimum=1.0, maximum=2.0, exclusive_minimum=True, exclusive_maximum=True),
            "(price > 1.0) and (price < 2.0)",
        ),
        (AnyOf((Equals("colour", "red"), Equals("price", 1.0))), '(colour == "red") or (price == 1.0)'),
        (Not(Equals("colour", "red")), 'colour != "red"'),
        (Not(OneOf("price", (1.0, 2.5))), "price not in [1.0, 2.5]"),
        (Not(Range(field="price", minimum=1.0, maximum=2.0)), "(price < 1.0) or (price > 2.0)"),
        (
            Not(Range(field="price", minimum=1.0, exclusive_minimum=True)),
            "price <= 1.0",
        ),
        (
            Not(AllOf((Equals("colour", "red"), Not(Equals("brand", "acme"))))),
            '(colour != "red") or (brand == "acme")',
        ),
        (
            Not(AnyOf((Equals("colour", "red"), Equals("brand", "acme")))),
            '(colour != "red") and (brand != "acme")',
        ),
    ],
)
def test_every_condition_has_its_expression_and_its_opposite(node: Filter, expression: str) -> None:
    """Negation reaches the conditions themselves: Milvus Lite has no other."""
    assert milvus_expression(node) == expression


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


def test_an_attack_in_a_value_stays_a_value() -> None:
    """Quotes and operators in a value end up inside its literal."""
    node = Equals("brand", '" or price > 0 or brand == "')
    assert milvus_expression(node) == 'brand == "%22 or price > 0 or brand == %22"'


def test_long_conjunctions_stay_flat() -> None:
    """256 conditions nest eight deep, where a chain would nest 255 deep and Milvus Lite gives up at about 100."""
    wide = AnyOf(tuple(Equals("price", float(price)) for price in range(256)))
    assert milvus_expression(wide).startswith("(" * 8 + "price")
    assert not milvus_expression(wide).startswith("(" * 9)


def test_conjunctions_within_conjunctions_stay_flat() -> None:
    """Seven levels of 32 parts each do not add their heights up."""
    node: Filter = Equals("price", 0.0)
    for _ in range(7):
        node = AllOf((node, *(AnyOf((Equals("price", 1.0), Equals("price", 2.0))) for _ in range(18))))
    depth = deepest = 0
    for character in milvus_expression(node):
        depth += (character == "(") - (character == ")")
        deepest = max(deepest, depth)
    assert deepest <= 16
