"""Products side by side, and what the index knows of a question's words."""

from dataclasses import replace

import pytest

from gateway.conversation.catalogue_qa import MAX_FACTS, Fact, facts_about
from gateway.conversation.comparison import MAX_FIELDS, MAX_PRODUCTS, ComparedField, compare
from gateway.model import Equals, FieldSummary, Filter
from gateway.testing import product

FIELDS = (
    FieldSummary(name="category", values=("dress", "shoes")),
    FieldSummary(name="colour", values=("red", "navy")),
    FieldSummary(name="pattern", values=("polka-dot", "plain")),
    FieldSummary(name="price", minimum=9.0, maximum=120.0),
)


def test_fields_are_set_side_by_side() -> None:
    """A row a field with a value a product; what is equal is marked, what nobody has is left out."""
    first = replace(product("p1", "a", brand="", price=12.5), attributes={"length": "midi"})
    second = replace(product("p2", "b", brand="", price=9, colour="blue"), attributes={"fit": "slim"})
    comparison = compare([first, second])
    assert comparison is not None
    assert [each.id for each in comparison.products] == ["p1", "p2"]
    assert comparison.fields == (
        ComparedField(field="category", values=("dress", "dress")),
        ComparedField(field="colour", values=("red", "blue")),
        ComparedField(field="pattern", values=("plain", "plain")),
        ComparedField(field="price", values=("12.50", "9.00")),
        ComparedField(field="length", values=("midi", "")),
        ComparedField(field="fit", values=("", "slim")),
    )
    assert [row.equal for row in comparison.fields] == [True, False, True, False, False, False]


def test_a_table_has_bounds() -> None:
    """A few products and rows fit; of no product there is no table."""
    attributes = {str(number): "x" for number in range(100)}
    comparison = compare([replace(product(str(number), "a"), attributes=attributes) for number in range(20)])
    assert comparison is not None
    assert (len(comparison.products), len(comparison.fields)) == (MAX_PRODUCTS, MAX_FIELDS)
    assert compare([]) is None


async def count(condition: Filter) -> int:
    """Count by the length of the value."""
    assert isinstance(condition, Equals)
    return len(str(condition.value))


@pytest.mark.parametrize(
    ("words", "facts"),
    [
        ("do you have navy ones?", [Fact(field="colour", value="navy", products=4)]),
        ("POLKA DOT or plain?", [
            Fact(field="pattern", value="polka-dot", products=9), Fact(field="pattern", value="plain", products=5),
        ]),
        ("how many dresses are there", [Fact(field="category", value="dress", products=5)]),
        ("which colors are there?", [Fact(field="colour", values=("red", "navy"))]),
        ("how expensive are they", [Fact(field="price", lowest=9.0, highest=120.0)]),
        ("what is a midi?", []),
        ("am I bored of it?", []),
    ],
)  # fmt: skip
async def test_facts_are_the_indexs_own(words: str, facts: list[Fact]) -> None:
    """Values that a question names are counted, fields are listed, and nothing else is said."""
    assert list(await facts_about(words, FIELDS, count)) == facts


async def test_facts_have_a_bound() -> None:
    """A question that names everything is answered with a few facts."""
    words = "dress shoes red navy polka-dot plain colours patterns prices"
    assert len(await facts_about(words, FIELDS, count)) == MAX_FACTS
