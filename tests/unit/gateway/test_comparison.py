"""Products side by side, and what the index knows of a question's words."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.conversation.catalogue_qa import Fact, _named_values, facts_about
from gateway.conversation.comparison import ComparedField, compare
from gateway.model import FieldSummary, StoredProduct
from vitrine.domain.filters import Equals, Filter
from vitrine.domain.limits import MAX_COMPARED_FIELDS, MAX_COMPARED_PRODUCTS, MAX_FACTS
from vitrine.domain.product import Product
from vitrine.domain.schema_files import parse_schema, shipped_schema
from vitrine.domain.values import Value, fold

FIELDS = (
    FieldSummary(name="category", values=("dress", "shoes")),
    FieldSummary(name="colour", values=("red", "navy")),
    FieldSummary(name="pattern", values=("polka-dot", "plain")),
    FieldSummary(name="price", minimum=9.0, maximum=120.0),
)


def stored(product_id: str, *, attributes: dict[str, str] | None = None, **values: Value) -> StoredProduct:
    return StoredProduct(
        product=Product(id=product_id, values={"title": "a dress", **values}, attributes=attributes or {})
    )


def test_fields_are_set_side_by_side() -> None:
    """A row a field with a value a product; what is equal is marked, what nobody has is left out."""
    first = stored("p1", category="dress", colour="red", price=12.5, attributes={"length": "midi"})
    second = stored("p2", category="DRESS", colour="blue", attributes={"fit": "slim"})
    comparison = compare([first, second], shipped_schema(), language="es")
    assert comparison is not None
    assert [each.id for each in comparison.products] == ["p1", "p2"]
    assert comparison.fields == (
        ComparedField(field="category", label="categoría", values=("dress", "DRESS")),
        ComparedField(field="colour", label="color", values=("red", "blue")),
        ComparedField(field="price", label="precio", values=("12.50", "")),
        ComparedField(field="length", label="length", values=("midi", "")),
        ComparedField(field="fit", label="fit", values=("", "slim")),
    )
    assert [row.equal for row in comparison.fields] == [True, False, False, False, False]


def test_a_table_has_bounds() -> None:
    """A few products and rows fit; of no product there is no table."""
    attributes = {str(number): "x" for number in range(64)}
    comparison = compare([stored(str(i), attributes=attributes) for i in range(20)], shipped_schema())
    assert comparison is not None
    assert (len(comparison.products), len(comparison.fields)) == (MAX_COMPARED_PRODUCTS, MAX_COMPARED_FIELDS)
    assert compare([], shipped_schema()) is None


def test_every_kind_of_field_is_compared() -> None:
    """Lists, booleans and numbers are shown as people read them; titles and descriptions are no rows."""
    schema = parse_schema(
        """
        name = "grocery"
        [fields.id]
        kind = "keyword"
        role = "id"
        [fields.title]
        kind = "text"
        role = "title"
        [fields.about]
        kind = "text"
        role = "description"
        [fields.tags]
        kind = "keywords"
        [fields.organic]
        kind = "boolean"
        labels = { en = "organic" }
        [fields.weight]
        kind = "number"
        """
    )
    tea = stored("t", about="a tea", tags=("vegan", "hot"), organic=False, weight=250.0)
    comparison = compare([tea], schema)
    assert comparison is not None
    assert [(row.field, row.values) for row in comparison.fields] == [
        ("tags", ("vegan, hot",)), ("organic", ("no",)), ("weight", ("250",)),
    ]  # fmt: skip


async def count(condition: Filter) -> int:
    """Count by the length of the value."""
    assert isinstance(condition, Equals)
    return len(str(condition.value))


@pytest.mark.parametrize(
    ("words", "facts"),
    [
        ("do you have navy ones?", [Fact(field="colour", label="colour", value="navy", products=4)]),
        ("POLKA DOT or plain?", [
            Fact(field="pattern", label="pattern", value="polka-dot", products=9), Fact(field="pattern", label="pattern", value="plain", products=5),
        ]),
        ("how many dresses are there", [Fact(field="category", label="category", value="dress", products=5)]),
        ("which colors are there?", [Fact(field="colour", label="colour", values=("red", "navy"))]),
        ("how expensive are they", [Fact(field="price", label="price", lowest=9.0, highest=120.0)]),
        ("what is a midi?", []),
        ("am I bored of it?", []),
    ],
)  # fmt: skip
async def test_facts_are_the_indexs_own(words: str, facts: list[Fact]) -> None:
    """Values that a question names are counted, fields are listed, and nothing else is said."""
    assert list(await facts_about(words, shipped_schema(), FIELDS, count)) == facts


async def test_facts_have_a_bound() -> None:
    """A question that names everything is answered with a few facts."""
    words = "dress shoes red navy polka-dot plain colours patterns prices"
    assert len(await facts_about(words, shipped_schema(), FIELDS, count)) == MAX_FACTS


@given(
    st.text("ab-s e_é1", max_size=14),
    st.lists(st.text("ab- és", min_size=1, max_size=4), max_size=6, unique=True),
)
def test_names_are_found_as_a_pattern_would(words: str, values: list[str]) -> None:
    """A value is named by whole words, in the plural too, with a hyphen or a space: as this pattern says."""

    def named(value: str) -> bool:
        spelling = re.escape(fold(value)).replace(r"\-", "[- ]").replace(r"\ ", "[- ]")
        return re.search(rf"(?<!\w){spelling}(e?s)?(?!\w)", fold(words)) is not None

    field = FieldSummary(name="colour", values=tuple(values))
    found = [value for _, value in _named_values(fold(words), shipped_schema(), [field])]
    assert found == [value for value in values if fold(value) and named(value)]
