"""The rewriter's answers as hostile input."""

import math

import pytest

from gateway.filters import to_proto
from gateway.model import (
    AllOf,
    AnyOf,
    Equals,
    FieldSummary,
    Filter,
    Intent,
    Not,
    OneOf,
    Range,
    Route,
    Sentiment,
    Sort,
)
from gateway.understanding.validation import InvalidRewrite, Understanding, both, must_and_wish, understand
from vitrine.v1 import query_pb2, rewrite_pb2

FACETS = (
    FieldSummary(name="colour", values=("red", "navy Blue")),
    FieldSummary(name="brand", values=tuple(f"brand {number}" for number in range(256))),
    FieldSummary(name="price", minimum=1, maximum=90),
)


def read(**fields: object) -> Understanding:
    values = {"route": query_pb2.ROUTE_TEXT, "query": "dress", **fields}
    rewrite = rewrite_pb2.Rewrite(**values)  # type: ignore[arg-type] # the cases name the fields
    return understand(rewrite, shown={"p1", "image:1"}, facets=FACETS)


def test_a_sound_answer_is_taken_over() -> None:
    """Every part arrives as a value."""
    assert read(
        route=query_pb2.ROUTE_REFINE,
        query="",
        modification="in red",
        filter=to_proto(Range(field="price", maximum=50.0)),
        sort=query_pb2.SORT_ORDER_PRICE_ASCENDING,
        references=["p1"],
        reply="Cheaper ones.",
        confidence=0.5,
        source="router",
    ) == Understanding(
        route=Route.REFINE,
        modification="in red",
        filters=Range(field="price", maximum=50.0),
        sort=Sort.PRICE_ASCENDING,
        references=("p1",),
        reply="Cheaper ones.",
        confidence=0.5,
        source="router",
    )


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"route": query_pb2.ROUTE_UNSPECIFIED}, "route"),
        ({"route": 99}, "route"),
        ({"sort": 99}, "sort"),
        ({"references": ["p2"]}, "references"),
        ({"references": ["p1"] * 21}, "references"),
        ({"query": "x" * 2_001}, "query"),
        ({"query": "a\x00"}, "query"),
        ({"modification": "x" * 2_001}, "modification"),
        ({"reply": "x" * 1_001}, "reply"),
        ({"source": "x" * 65}, "source"),
        ({"confidence": math.nan}, "confidence"),
        ({"confidence": 1.5}, "confidence"),
        ({"intent": 99}, "intent"),
        ({"sentiment": 99}, "sentiment"),
        ({"remarks": [rewrite_pb2.Remark()] * 9}, "remarks"),
        ({"remarks": [rewrite_pb2.Remark(field="fit", value="x" * 129)]}, "remarks"),
        ({"remarks": [rewrite_pb2.Remark(polarity=99)]}, "remarks"),  # type: ignore[arg-type] # a newer rewriter's
        ({"filter": to_proto(Equals("secret", "x"))}, "filter.equals.field"),
        ({"filter": to_proto(Range(field="price", minimum=2.0, maximum=1.0))}, "filter.range.minimum"),
        ({"filter": query_pb2.Filter()}, "filter"),
    ],
)
def test_a_violation_discards_the_answer(fields: dict[str, object], rule: str) -> None:
    """Unknown routes, foreign references, excess and ill-formed filters are refused by name."""
    with pytest.raises(InvalidRewrite) as refused:
        read(**fields)
    assert str(refused.value) == rule


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (Equals("colour", "RED"), Equals("colour", "red")),
        (Equals("colour", "crimson"), None),
        (OneOf("colour", ("crimson", "Navy blue")), OneOf("colour", ("navy Blue",))),
        (Not(Equals("colour", "crimson")), None),
        (AllOf((Equals("colour", "crimson"), Equals("price", 5.0))), Equals("price", 5.0)),
        (AnyOf((Equals("colour", "crimson"), Equals("colour", "crimson2"))), None),
        (
            AllOf((Equals("colour", "red"), Range(field="price", maximum=9.0))),
            AllOf((Equals("colour", "red"), Range(field="price", maximum=9.0))),
        ),
        (Equals("brand", "rare brand"), Equals("brand", "rare brand")),
        (Equals("category", "dress"), None),
    ],
)
def test_values_are_clamped_to_the_catalogue(given: Filter, kept: Filter | None) -> None:
    """Known values take the catalogue's spelling, unknown ones are dropped unless the list of them was cut off."""
    assert read(filter=to_proto(given)).filters == kept


def test_conditions_are_joined() -> None:
    """Two conditions must both hold; one alone stays itself."""
    red, cheap = Equals("colour", "red"), Range(field="price", maximum=9.0)
    assert both(red, cheap) == AllOf((red, cheap))
    assert both(red, None) == both(None, red) == both(red, red) == red
    assert both(None, None) is None


def test_prices_hold_and_facets_are_wishes() -> None:
    """A condition is parted at its conjunctions; what names a price anywhere holds as a whole."""
    red, cheap = Equals("colour", "red"), Range(field="price", maximum=9.0)
    either = AnyOf((red, cheap))
    assert must_and_wish(None) == (None, None)
    assert must_and_wish(Not(red)) == (None, Not(red))
    assert must_and_wish(AllOf((red, AllOf((cheap, either))))) == (AllOf((cheap, either)), red)


def hates(field: str, value: str) -> rewrite_pb2.Remark:
    return rewrite_pb2.Remark(field=field, value=value, polarity=query_pb2.SENTIMENT_NEGATIVE)


def test_remarks_are_taken_over_in_the_catalogues_spelling() -> None:
    """A value of a filter field that the index does not hold is dropped, other words stay as they were said."""
    read_ = read(
        intent=query_pb2.INTENT_BUY,
        sentiment=query_pb2.SENTIMENT_NEGATIVE,
        remarks=[hates("colour", "NAVY blue"), hates("colour", "mauve"), hates("fit", "tight")],
    )
    assert (read_.intent, read_.sentiment) == (Intent.BUY, Sentiment.NEGATIVE)
    assert [(each.field, each.value) for each in read_.remarks] == [
        ("colour", "navy Blue"), ("colour", ""), ("fit", "tight"),
    ]  # fmt: skip
    assert {each.polarity for each in read_.remarks} == {Sentiment.NEGATIVE}


@pytest.mark.parametrize(
    ("wanted", "left"),
    [
        (Equals("colour", "red"), None),
        (Not(Equals("colour", "red")), Not(Equals("colour", "red"))),
        (OneOf("colour", ("red", "navy Blue")), OneOf("colour", ("navy Blue",))),
        (
            AllOf((Equals("colour", "red"), Equals("brand", "brand 1"), Range(field="price", maximum=9.0))),
            AllOf((Equals("brand", "brand 1"), Range(field="price", maximum=9.0))),
        ),
    ],
)
def test_what_a_turn_finds_fault_with_it_does_not_wish_for(wanted: Filter, left: Filter | None) -> None:
    """Too red, said of red dresses: the red that was kept from before is no wish any more."""
    assert read(filter=to_proto(wanted), remarks=[hates("colour", "red")]).filters == left
