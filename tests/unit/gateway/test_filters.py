"""Filters at the door."""

import math

import pytest

from gateway.errors import InvalidQuery
from gateway.filters import MAX_LEVELS, MAX_VALUES, check_filter, to_model, to_proto
from gateway.model import AllOf, AnyOf, Equals, Filter, Not, OneOf, Range
from vitrine.v1 import query_pb2

RED = Equals("colour", "red")


def nested(levels: int) -> Filter:
    node: Filter = RED
    for _ in range(levels - 1):
        node = Not(node)
    return node


@pytest.mark.parametrize(
    "node",
    [
        RED,
        Equals("price", 12.5),
        Equals("colour", ""),
        OneOf("brand", ("acme", 'quo"te', "back\\slash", "new\nline", "or price > 0")),
        OneOf("price", tuple(float(price) for price in range(MAX_VALUES))),
        Range(field="price", minimum=-1.0),
        Range(field="price", minimum=10.0, maximum=10.0),
        Range(field="price", minimum=0.0, maximum=1.0, exclusive_minimum=True, exclusive_maximum=True),
        AnyOf((RED, AllOf((RED, Not(RED))))),
        nested(MAX_LEVELS),
    ],
)
def test_a_filter_within_the_limits_passes_and_survives_the_wire(node: Filter) -> None:
    """Every kind of condition is read as it was written, up to the limits and with special characters."""
    assert to_model(to_proto(node)) == node


@pytest.mark.parametrize(
    ("node", "field", "reason"),
    [
        (Equals("size", "xl"), "filter.equals.field", "'size' is no filter field"),
        (Equals("title", "x"), "filter.equals.field", "these are: category, colour, pattern, brand, price"),
        (Equals("price", "12"), "filter.equals.value", "must be a number"),
        (Equals("colour", 3.0), "filter.equals.value", "must be a text"),
        (Equals("price", math.nan), "filter.equals.value", "must be a finite number, got nan"),
        (Equals("colour", "r" * 65), "filter.equals.value", "at most 64 characters, got 65"),
        (OneOf("colour", ()), "filter.one_of.values", "must not be empty"),
        (OneOf("colour", ("red", 3.0)), "filter.one_of.values[1]", "must be a text"),
        (OneOf("price", (1.0, math.inf)), "filter.one_of.values[1]", "must be a finite number, got inf"),
        (OneOf("colour", ("red",) * 257), "filter.one_of.values", "at most 256 values, got 257"),
        (Range(field="brand", minimum=1.0), "filter.range.field", "brand is a text: use one_of"),
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
        (nested(MAX_LEVELS + 1), "filter" + ".negation" * MAX_LEVELS, "at most 8 levels"),
        (AnyOf((RED,) * 257), "filter", "at most 256 values, got 257"),
        (AnyOf((OneOf("colour", ("red",) * 200),) * 2), "filter", "at most 256 values, got 400"),
    ],
)
def test_a_filter_over_a_limit_is_refused_by_name(node: Filter, field: str, reason: str) -> None:
    """The refusal names the condition by its path and says the limit."""
    for check in (check_filter, lambda tree: to_model(to_proto(tree))):
        with pytest.raises(InvalidQuery) as caught:
            check(node)
        assert caught.value.field == field
        assert reason in caught.value.reason


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (query_pb2.Filter(), "filter"),
        (query_pb2.Filter(negation=query_pb2.Filter()), "filter.negation"),
        (query_pb2.Filter(equals=query_pb2.Equals(field="colour")), "filter.equals.value"),
        (
            query_pb2.Filter(one_of=query_pb2.OneOf(field="colour", values=[query_pb2.FieldValue()])),
            "filter.one_of.values[0]",
        ),
        (
            query_pb2.Filter(all_of=query_pb2.FilterList(filters=[query_pb2.Filter()])),
            "filter.all_of.filters[0]",
        ),
    ],
)
def test_an_empty_node_is_refused(message: query_pb2.Filter, field: str) -> None:
    """A condition or value that is not set is refused with its path."""
    with pytest.raises(InvalidQuery) as caught:
        to_model(message)
    assert caught.value.field == field


def test_a_filter_of_ten_thousand_terms_is_refused_before_it_is_walked() -> None:
    """Size alone refuses what no allowed filter could need."""
    terms = [to_proto(RED)] * 10_000
    with pytest.raises(InvalidQuery, match="at most 256 values") as caught:
        to_model(query_pb2.Filter(any_of=query_pb2.FilterList(filters=terms)))
    assert caught.value.field == "filter"


def test_the_largest_allowed_filter_passes_the_limit_of_bytes() -> None:
    """MAX_VALUES values of the greatest length, four bytes a character, in conditions of their own, are let through."""
    node = AnyOf(tuple(Equals("category", "\U0001f600" * 64) for _ in range(MAX_VALUES)))
    assert to_model(to_proto(node)) == node
