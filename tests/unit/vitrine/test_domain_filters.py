"""Conditions: their limits, what a schema makes of them, what they mean, and their messages."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitrine.domain import limits
from vitrine.domain.errors import InvalidValue
from vitrine.domain.filters import (
    AllOf,
    AnyOf,
    Equals,
    Filter,
    Not,
    OneOf,
    Range,
    both,
    check_limits,
    exclusion,
    fitted,
    hard_and_soft,
    matches,
    only,
    without,
)
from vitrine.domain.messages import filter_message, read_filter
from vitrine.domain.product import Product
from vitrine.domain.schema import Schema
from vitrine.domain.schema_files import parse_schema
from vitrine.v1 import query_pb2

RED = Equals("colour", "red")
UNDER_50 = Range(field="price", maximum=50.0, exclusive_maximum=True)
SCHEMA = parse_schema(
    """
    name = "test"
    [fields.id]
    kind = "keyword"
    role = "id"
    [fields.title]
    kind = "text"
    role = "title"
    [fields.category]
    kind = "keyword"
    role = "category"
    [fields.colour]
    kind = "keyword"
    [fields.size]
    kind = "keyword"
    [fields.tags]
    kind = "keywords"
    [fields.rating]
    kind = "number"
    [fields.organic]
    kind = "boolean"
    [fields.price]
    kind = "money"
    role = "price"
    [fields.internal]
    kind = "keyword"
    filter = false
    """
)


def nested(levels: int) -> Filter:
    node: Filter = RED
    for _ in range(levels - 1):
        node = Not(node)
    return node


def checked(node: Filter, schema: Schema = SCHEMA) -> Filter:
    """Do what the door does with a caller's filter."""
    read = read_filter(filter_message(node))
    check_limits(read)
    return fitted(read, schema)


@pytest.mark.parametrize(
    "node",
    [
        RED,
        Equals("price", 12.5),
        Equals("organic", value=True),
        OneOf("colour", ("acme", 'quo"te', "back\\slash", "new\nline", "or price > 0")),
        OneOf("price", tuple(float(price) for price in range(limits.MAX_FILTER_VALUES))),
        OneOf("colour", ("r" * limits.MAX_KEYWORD_LENGTH,) * limits.MAX_FILTER_VALUES),
        Range(field="price", minimum=-1.0),
        Range(field="rating", minimum=10.0, maximum=10.0),
        Range(field="price", minimum=0.0, maximum=1.0, exclusive_minimum=True, exclusive_maximum=True),
        AnyOf((RED, AllOf((RED, Not(RED))))),
        nested(limits.MAX_FILTER_LEVELS),
    ],
)
def test_a_filter_within_the_limits_passes_and_survives_the_wire(node: Filter) -> None:
    """Every kind of condition is read as it was written, up to the limits and with special characters."""
    assert checked(node) == node


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (Equals("size", 42.0), Equals("size", "42")),
        (Equals("size", 42.5), Equals("size", "42.5")),
        (OneOf("tags", (1.0, "a")), OneOf("tags", ("1", "a"))),
        (Equals("organic", "true"), Equals("organic", value=True)),
        (Equals("organic", "No"), Equals("organic", value=False)),
        (Equals("organic", 1.0), Equals("organic", value=True)),
    ],
)
def test_a_value_takes_the_kind_of_its_field(written: Filter, meant: Filter) -> None:
    """A number asks for a keyword that is written so, and the usual words for true and false are booleans."""
    assert checked(written) == meant


@pytest.mark.parametrize(
    ("node", "field", "reason"),
    [
        (Equals("weight", "xl"), "filter.equals.field", "'weight' is no filter field"),
        (
            Equals("title", "x"),
            "filter.equals.field",
            "these are: category, colour, size, tags, rating, organic, price",
        ),
        (Equals("internal", "x"), "filter.equals.field", "is no filter field"),
        (Equals("price", "12"), "filter.equals.value", "must be a number"),
        (Equals("price", value=True), "filter.equals.value", "must be a number"),
        (Equals("colour", value=True), "filter.equals.value", "must be a text"),
        (Equals("colour", " "), "filter.equals.value", "must not be empty"),
        (Equals("organic", "perhaps"), "filter.equals.value", "must be true or false"),
        (Equals("price", math.nan), "filter.equals.value", "must be a finite number, got nan"),
        (Equals("colour", "r" * 513), "filter.equals.value", "at most 512 characters, got 513"),
        (OneOf("colour", ()), "filter.one_of.values", "must not be empty"),
        (OneOf("price", (1.0, math.inf)), "filter.one_of.values[1]", "must be a finite number, got inf"),
        (OneOf("colour", ("red",) * 257), "filter.one_of.values", "at most 256 values, got 257"),
        (Range(field="colour", minimum=1.0), "filter.range.field", "colour is of kind keyword: use one_of"),
        (Range(field="organic", minimum=1.0), "filter.range.field", "organic is of kind boolean"),
        (Range(field="price"), "filter.range", "must have a minimum or a maximum"),
        (
            Range(field="price", minimum=2.0, maximum=1.0),
            "filter.range.minimum",
            "below the maximum 1, got 2",
        ),
        (Range(field="price", maximum=math.nan), "filter.range.maximum", "must be a finite number"),
        (
            Range(field="price", minimum=1.0, maximum=1.0, exclusive_maximum=True),
            "filter.range.minimum",
            "must lie below",
        ),
        (AllOf(()), "filter.all_of.filters", "must not be empty"),
        (
            AnyOf((RED, Not(AnyOf(())))),
            "filter.any_of.filters[1].negation.any_of.filters",
            "must not be empty",
        ),
        (
            nested(limits.MAX_FILTER_LEVELS + 1),
            "filter" + ".negation" * limits.MAX_FILTER_LEVELS,
            "at most 8 levels",
        ),
        (AnyOf((RED,) * 257), "filter", "at most 256 values, got 257"),
        (AnyOf((OneOf("colour", ("red",) * 200),) * 2), "filter", "at most 256 values, got 400"),
    ],
)
def test_a_filter_over_a_limit_is_refused_by_name(node: Filter, field: str, reason: str) -> None:
    """The refusal names the condition by its path and says the limit."""
    with pytest.raises(InvalidValue) as refused:
        checked(node)
    assert refused.value.field == field
    assert reason in refused.value.reason


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (query_pb2.Filter(), "filter"),
        (query_pb2.Filter(negation=query_pb2.Filter()), "filter.negation"),
        (query_pb2.Filter(equals=query_pb2.Equals(field="colour")), "filter.equals.value"),
        (
            query_pb2.Filter(
                equals=query_pb2.Equals(
                    field="tags", value=query_pb2.FieldValue(texts=query_pb2.TextList(values=["a"]))
                )
            ),
            "filter.equals.value",
        ),
    ],
)
def test_an_empty_message_is_no_condition(message: query_pb2.Filter, field: str) -> None:
    """A node without content, and a value without one or with several, are refused by their paths."""
    with pytest.raises(InvalidValue) as refused:
        read_filter(message)
    assert refused.value.field == field


def test_a_filter_that_is_too_long_is_not_walked() -> None:
    """Bytes are bounded before anything is read."""
    message = query_pb2.Filter(equals=query_pb2.Equals(field="x" * limits.MAX_FILTER_BYTES))
    with pytest.raises(InvalidValue, match="at most 256 values and 600,000 bytes"):
        read_filter(message)


DRESS = Product(
    id="a",
    values={
        "colour": "Red",
        "size": "M",
        "tags": ("Vegan", "Summer"),
        "rating": 4.5,
        "organic": True,
        "price": 40.0,
    },
)
BARE = Product(id="b")


@pytest.mark.parametrize(
    ("node", "dress", "bare"),
    [
        (Equals("colour", "RED"), True, False),
        (Equals("colour", "blue"), False, False),
        (Not(RED), False, True),
        (OneOf("colour", ("blue", "red")), True, False),
        (Not(OneOf("colour", ("blue", "red"))), False, True),
        (Equals("tags", "vegan"), True, False),
        (Not(Equals("tags", "vegan")), False, True),
        (Not(Equals("tags", "winter")), True, True),
        (AllOf((Equals("tags", "vegan"), Equals("tags", "summer"))), True, False),
        (UNDER_50, True, False),
        (Not(UNDER_50), False, False),
        (Range(field="price", minimum=0.0), True, False),
        (Equals("price", 0.0), False, False),
        (Not(Equals("price", 0.0)), True, False),
        (Not(OneOf("price", (0.0, 40.0))), False, False),
        (Equals("organic", value=True), True, False),
        (Equals("organic", value=False), False, False),
        (Not(Equals("organic", value=True)), False, True),
        (Not(AllOf((RED, UNDER_50))), False, True),
        (Not(AnyOf((RED, UNDER_50))), False, False),
        (Not(Not(RED)), True, False),
    ],
)
def test_what_conditions_mean(node: Filter, dress: bool, bare: bool) -> None:  # noqa: FBT001 - expected values
    """Keywords are equal in any case; a missing number satisfies nothing, a missing keyword its exclusion alone."""
    assert (matches(node, DRESS), matches(node, BARE)) == (dress, bare)


def test_a_free_product_is_none_without_a_price() -> None:
    """A price of 0 is a price."""
    free = Product(id="c", values={"price": 0.0})
    assert matches(Equals("price", 0.0), free)
    assert matches(UNDER_50, free)


_LEAVES = st.one_of(
    st.builds(Equals, st.just("colour"), st.sampled_from(["red", "BLUE", "ﬁn", "x"])),
    st.builds(OneOf, st.just("tags"), st.lists(st.sampled_from(["a", "B", "c"]), min_size=1).map(tuple)),
    st.builds(lambda low: Range(field="price", minimum=low), st.floats(0, 10)),
    st.builds(lambda said: Equals("organic", said), st.booleans()),
)
_TREES = st.recursive(
    _LEAVES,
    lambda trees: st.one_of(
        trees.map(Not),
        st.lists(trees, min_size=1, max_size=3).map(tuple).map(AllOf),
        st.lists(trees, min_size=1, max_size=3).map(tuple).map(AnyOf),
    ),
    max_leaves=8,
)


@given(_TREES, _TREES)
def test_the_algebra_keeps_what_conditions_mean(left: Filter, right: Filter) -> None:
    """Joining, parting, hard and soft halves hold for the very products for which the whole holds."""
    for product in (DRESS, BARE):
        together = both(left, right)
        assert together is not None
        assert matches(together, product) == (matches(left, product) and matches(right, product))
        hard, soft = hard_and_soft(together, SCHEMA)
        halves = [half for half in (hard, soft) if half is not None]
        assert all(matches(half, product) for half in halves) == matches(together, product)


@given(_TREES)
def test_every_tree_survives_the_wire(node: Filter) -> None:
    """What is written as a message is read as it was."""
    assert read_filter(filter_message(node)) == node


def test_parts_of_a_conjunction_are_found_and_taken_out() -> None:
    """`only` keeps conditions on some fields, `without` drops some conditions, both through nested conjunctions."""
    tree = AllOf((AllOf((RED, UNDER_50)), Not(Equals("category", "hat"))))
    assert only(tree, {"colour"}) == RED
    assert only(tree, {"rating"}) is None
    assert without(tree, [RED, UNDER_50]) == Not(Equals("category", "hat"))
    assert exclusion((RED, Equals("size", "M"))) == AllOf((Not(RED), Not(Equals("size", "M"))))
    assert exclusion(()) is None
