"""Values that a shopper rejected."""

import pytest

from gateway.conversation.exclusions import exclusions
from vitrine.domain.filters import Equals, Says
from vitrine.domain.limits import MAX_EXCLUSIONS
from vitrine.domain.schema_files import shipped_schema
from vitrine.v1 import query_pb2, rewrite_pb2

LIKES = query_pb2.SENTIMENT_POSITIVE
HATES = query_pb2.SENTIMENT_NEGATIVE


def wants(**values: str) -> query_pb2.Filter:
    """Give the filter that asks for these values."""
    filters = [
        query_pb2.Filter(equals=query_pb2.Equals(field=field, value=query_pb2.FieldValue(text=value)))
        for field, value in values.items()
    ]
    return query_pb2.Filter(all_of=query_pb2.FilterList(filters=filters))


def said(
    field: str, value: str, polarity: query_pb2.Sentiment.ValueType, **wanted: str
) -> rewrite_pb2.Rewrite:
    remark = rewrite_pb2.Remark(field=field, value=value, polarity=polarity)
    return rewrite_pb2.Rewrite(remarks=[remark], filter=wants(**wanted))


def excluded(readings: list[rewrite_pb2.Rewrite]) -> tuple[Equals | Says, ...]:
    return exclusions(readings, shipped_schema())


HATES_STRIPES = said("pattern", "striped", HATES)
STRIPES = Equals("pattern", "striped")


def test_a_fault_is_remembered() -> None:
    """Turns that say nothing of it change nothing."""
    assert excluded([HATES_STRIPES]) == (STRIPES,)
    assert excluded([HATES_STRIPES, rewrite_pb2.Rewrite(filter=wants(colour="red"))]) == (STRIPES,)


@pytest.mark.parametrize(
    "later",
    [
        said("pattern", "striped", LIKES),
        rewrite_pb2.Rewrite(filter=wants(pattern="striped")),
        rewrite_pb2.Rewrite(
            filter=query_pb2.Filter(
                one_of=query_pb2.OneOf(field="pattern", values=[query_pb2.FieldValue(text="striped")])
            )
        ),
    ],
    ids=["praised", "asked for", "asked for among others"],
)
def test_it_is_forgiven(later: rewrite_pb2.Rewrite) -> None:
    """Praise of the value, or a wish for it, lifts it; and only that one."""
    red = said("colour", "red", HATES)
    assert excluded([HATES_STRIPES, red, later]) == (Equals("colour", "red"),)


def test_another_category_is_another_topic() -> None:
    """Faults of the dresses are not the shoes'; the same category again changes nothing."""
    dress = said("pattern", "striped", HATES, category="dress")
    assert excluded([dress, rewrite_pb2.Rewrite(filter=wants(category="dress", colour="red"))]) == (STRIPES,)
    assert excluded([dress, rewrite_pb2.Rewrite(filter=wants(category="shoes"))]) == ()


def test_what_is_excluded_is_not_wanted() -> None:
    """A condition that says "not striped" is no wish for stripes."""
    negation = query_pb2.Filter(negation=wants(pattern="striped"))
    assert excluded([HATES_STRIPES, rewrite_pb2.Rewrite(filter=negation)]) == (STRIPES,)


@pytest.mark.parametrize(
    ("field", "value"), [("length", "long"), ("colour", ""), ("colour", "x" * 10_000), ("price", "12")]
)
def test_what_no_filter_knows_excludes_nothing(field: str, value: str) -> None:
    """Other attributes, and words that no value can be, are for the log alone."""
    assert excluded([said(field, value, HATES)]) == ()


def test_there_is_a_bound() -> None:
    """The latest count."""
    remarks = [said("colour", str(number), HATES) for number in range(MAX_EXCLUSIONS + 3)]
    assert excluded(remarks) == tuple(
        Equals("colour", str(number)) for number in range(3, MAX_EXCLUSIONS + 3)
    )


def without(said: str, **wanted: str) -> rewrite_pb2.Rewrite:
    words = rewrite_pb2.ExcludedWords(said=said, forms=[said.removesuffix("s")])
    return rewrite_pb2.Rewrite(query="dress", excluded_words=[words], filter=wants(**wanted))


def test_words_that_no_field_has_are_remembered_until_they_are_wanted() -> None:
    """As values are; a search that says them, or another category, forgets them."""
    pockets = without("pockets", category="dress")
    (held,) = excluded([pockets, rewrite_pb2.Rewrite(query="red dress", filter=wants(colour="red"))])
    assert isinstance(held, Says)
    assert held.forms == ("pockets", "pocket")
    assert not excluded([pockets, rewrite_pb2.Rewrite(query="dress with pockets")])
    assert not excluded([pockets, rewrite_pb2.Rewrite(query="bag", filter=wants(category="bag"))])
    assert len(excluded([without(f"thing{i}") for i in range(20)])) == MAX_EXCLUSIONS
