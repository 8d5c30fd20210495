"""What the rewriter learns once, since a request cannot list it."""

from collections.abc import Sequence

import pytest

from gateway.metrics import Metrics
from gateway.model import Deadline, FieldSummary
from gateway.ports import RewriterUnavailable
from gateway.testing import FakeRewriter
from gateway.understanding.breaker import CircuitBreaker
from gateway.understanding.budget import AdaptiveBudget
from gateway.understanding.rewriting import RewriteUse, Rewriting
from gateway.understanding.vocabulary import CHANGED_EVERY_S, REFUSED_S, Vocabularies, Vocabulary
from vitrine.domain import limits
from vitrine.domain.schema import Schema
from vitrine.domain.schema_files import parse_schema, shipped_schema
from vitrine.v1 import query_pb2, rewrite_pb2

OTHER = parse_schema(
    'name = "other"\n[fields.sku]\nkind = "keyword"\nrole = "id"\n[fields.name]\nkind = "text"\nrole = "title"\n'
)


def summary(name: str, values: Sequence[str]) -> FieldSummary:
    """Return what the index holds of a field."""
    listed = limits.MAX_FACET_VALUES
    return FieldSummary(name=name, values=tuple(values[:listed]), rest=tuple(values[listed:]))


def brands(count: int, *, first: int = 0) -> tuple[FieldSummary, ...]:
    """Return a catalogue of so many brands, of four colours."""
    names = [f"brand {number}" for number in range(first, first + count)]
    return summary("brand", names), summary("colour", ["red", "blue", "green", "black"])


class Setup:
    """A rewriter, and a catalogue and a clock that may change."""

    def __init__(self, fields: tuple[FieldSummary, ...]) -> None:
        self.fields, self.schema, self.now = fields, shipped_schema(), 1_000.0
        self.rewriter = FakeRewriter(
            lambda _: rewrite_pb2.Rewrite(route=query_pb2.ROUTE_TEXT, query="x"), version="1"
        )
        self.vocabularies = Vocabularies(self.rewriter, self.describe, clock=lambda: self.now)

    async def describe(self, _: Deadline) -> tuple[Schema, tuple[FieldSummary, ...]]:
        """Describe the catalogue."""
        return self.schema, self.fields

    def rewriting(self) -> Rewriting:
        """Open one use of the rewriter."""
        return Rewriting(
            self.rewriter,
            self.describe,
            use=RewriteUse(name="search", budget=AdaptiveBudget(ceiling_s=30), margin_s=0.001),
            breaker=CircuitBreaker(failures=1, cooldown_s=60),
            metrics=Metrics(),
            vocabularies=self.vocabularies,
        )

    def learnt(self) -> list[dict[str, list[str]]]:
        """Return what the rewriter has learnt."""
        read = map(rewrite_pb2.Vocabulary.FromString, self.rewriter.learnt.values())
        return [{facet.field: list(facet.values) for facet in each.facets} for each in read]


async def test_few_values_are_listed_and_not_learnt() -> None:
    """A catalogue of few values costs the rewriter nothing."""
    setup = Setup(brands(limits.MAX_FACET_VALUES))
    await setup.vocabularies.keep()
    assert (setup.rewriter.learnt, setup.vocabularies.named(setup.schema)) == ({}, b"")


async def test_many_values_are_learnt_once_and_named() -> None:
    """Another order of frequency is no other vocabulary; another value is one, though not at once."""
    setup = Setup(brands(300))
    assert setup.vocabularies.named(setup.schema) == b""
    await setup.vocabularies.keep()
    (learnt,) = setup.learnt()
    assert (len(learnt["brand"]), len(learnt["colour"])) == (300, 4)
    first = setup.vocabularies.named(setup.schema)
    assert first in setup.rewriter.learnt
    assert setup.vocabularies.named(OTHER) == b""
    setup.fields = (summary("brand", [*setup.fields[0].rest, *setup.fields[0].values]), setup.fields[1])
    await setup.vocabularies.keep()
    assert len(setup.learnt()) == 1
    setup.fields = brands(301)
    await setup.vocabularies.keep()
    assert setup.vocabularies.named(setup.schema) == first
    setup.now += CHANGED_EVERY_S
    await setup.vocabularies.keep()
    assert setup.vocabularies.named(setup.schema) not in {first, b""}
    setup.fields = brands(1)
    await setup.vocabularies.keep()
    assert setup.vocabularies.named(setup.schema) == b""


async def test_a_rewriter_that_does_not_know_what_is_named_learns_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that started since, or another one behind the same address: they are asked in turn until it is found."""
    setup = Setup(brands(300))
    await setup.vocabularies.keep()
    answers, asked = iter([False, False, True, True]), 0

    async def learn(request: rewrite_pb2.LearnRequest, *, timeout_s: float) -> bool:  # noqa: ARG001 - the port's signature
        nonlocal asked
        asked += 1
        return next(answers)

    monkeypatch.setattr(setup.rewriter, "learn", learn)
    await setup.vocabularies.keep()
    assert asked == 0
    setup.vocabularies.missed()
    await setup.vocabularies.keep()
    await setup.vocabularies.keep()
    assert asked == 3


async def test_a_rewriter_that_takes_no_vocabulary_is_left_alone_for_a_while() -> None:
    """Requests list what they can, as before there were vocabularies."""
    setup = Setup(brands(300))
    setup.rewriter.fails = True
    await setup.vocabularies.keep()
    setup.rewriter.fails = False
    await setup.vocabularies.keep()
    assert setup.vocabularies.named(setup.schema) == b""
    setup.now += REFUSED_S
    await setup.vocabularies.keep()
    assert setup.vocabularies.named(setup.schema) != b""


async def test_a_reading_without_the_vocabulary_is_not_kept() -> None:
    """The turn is read anew once the rewriter has learnt, and is remembered then."""
    setup = Setup(brands(300))
    rewriting = setup.rewriting()
    await rewriting.teach()
    kept = dict(setup.rewriter.learnt)
    setup.rewriter.learnt.clear()  # it started anew

    async def read() -> None:
        request = rewrite_pb2.RewriteRequest(text="by brand 299")
        assert await rewriting.read(request, deadline=Deadline.after(60)) is not None

    await read()
    assert not rewriting.remembers(rewrite_pb2.RewriteRequest(text="by brand 299"))
    await rewriting.teach()
    assert setup.rewriter.learnt == kept
    await read()
    await read()
    assert [bool(each.vocabulary) for each in setup.rewriter.requests] == [True, True]
    assert len(setup.rewriter.requests[0].facets[0].values) == limits.MAX_FACET_VALUES


async def test_a_rewriter_that_is_away_is_no_failure() -> None:
    """Learning is optional."""
    setup = Setup(brands(300))
    setup.rewriter.fails = True
    await setup.vocabularies.keep()
    with pytest.raises(RewriterUnavailable):
        await setup.rewriter.learn(rewrite_pb2.LearnRequest(), timeout_s=1)
    await Vocabularies(None, setup.describe).keep()


def test_of_too_many_values_each_field_has_its_most_frequent_ones() -> None:
    """No field crowds out another; what is too long to be said is left out."""
    many = [f"brand {number:06}" for number in range(limits.MAX_COUNTED_VALUES)]
    fields = (
        summary("brand", many),
        summary("colour", ["red", "x" * (limits.MAX_LINKED_LENGTH + 1), "blue"]),
    )
    vocabulary = Vocabulary.of(shipped_schema(), fields)
    assert vocabulary is not None
    facets = rewrite_pb2.Vocabulary.FromString(vocabulary.data).facets
    values = {facet.field: [*facet.values] for facet in facets}
    assert values["colour"] == ["blue", "red"]
    assert values["brand"] == many[: limits.MAX_VOCABULARY_VALUES - 2]
    wide = (summary("brand", [f"{number:06}{'皮' * 40}" for number in range(60_000)]),)
    assert (bounded := Vocabulary.of(shipped_schema(), wide)) is not None
    assert len(bounded.data) <= limits.MAX_VOCABULARY_BYTES
