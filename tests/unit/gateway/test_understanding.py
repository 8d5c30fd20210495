"""The rewriter's answers as hostile input."""

import math

import pytest

from gateway.model import FieldSummary, Intent, Sentiment, Sort
from gateway.understanding.validation import InvalidRewrite, Understanding, rewrite_message, understand
from vitrine.domain.filters import AllOf, AnyOf, Equals, Filter, Not, OneOf, Range
from vitrine.domain.messages import filter_message
from vitrine.domain.routes import Route
from vitrine.domain.schema_files import shipped_schema
from vitrine.v1 import query_pb2, rewrite_pb2

FIELDS = (
    FieldSummary(name="colour", values=("red", "navy Blue")),
    FieldSummary(name="brand", values=tuple(f"brand {number}" for number in range(256)), more_values=True),
    FieldSummary(name="price", minimum=1, maximum=90),
)


def read(**fields: object) -> Understanding:
    values = {"route": query_pb2.ROUTE_TEXT, "query": "dress", **fields}
    rewrite = rewrite_pb2.Rewrite(**values)  # type: ignore[arg-type] # the cases name the fields
    return understand(rewrite, shown={"p1", "image:1"}, fields=FIELDS, schema=shipped_schema())


def test_a_sound_answer_is_taken_over() -> None:
    """Every part arrives as a value."""
    assert read(
        route=query_pb2.ROUTE_REFINE,
        query="",
        modification="in red",
        filter=filter_message(Range(field="price", maximum=50.0)),
        sort=query_pb2.Sort(field="price"),
        references=["p1"],
        reply="Cheaper ones.",
        confidence=0.5,
        source="router",
    ) == Understanding(
        route=Route.REFINE,
        modification="in red",
        filters=Range(field="price", maximum=50.0),
        sort=Sort(field="price"),
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
        ({"sort": query_pb2.Sort(field="colour")}, "sort"),
        ({"sort": query_pb2.Sort()}, "sort"),
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
        ({"filter": filter_message(Equals("secret", "x"))}, "filter.equals.field"),
        ({"filter": filter_message(Range(field="price", minimum=2.0, maximum=1.0))}, "filter.range.minimum"),
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
    assert read(filter=filter_message(given)).filters == kept


def test_an_understanding_survives_the_log_of_a_session() -> None:
    """Written as a message and read again, it is the same."""
    understanding = read(
        filter=filter_message(Equals("colour", "red")),
        sort=query_pb2.Sort(field="price", descending=True),
        remarks=[hates("fit", "tight")],
        more=True,
        source="router",
        confidence=1.0,
    )
    assert (
        understand(rewrite_message(understanding), shown=(), fields=FIELDS, schema=shipped_schema())
        == understanding
    )


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
    assert read(filter=filter_message(wanted), remarks=[hates("colour", "red")]).filters == left
