"""What the gateway asks the rewriter by itself, so that no search waits for it."""

import asyncio
from dataclasses import replace

import pytest

from gateway.metrics import Metrics
from gateway.model import Deadline, FieldSummary
from gateway.testing import PATIENT, FakeIndex, FakeRewriter, product, serving
from gateway.understanding import rewriting as rewriting_module
from gateway.understanding.breaker import CircuitBreaker
from gateway.understanding.budget import AdaptiveBudget
from gateway.understanding.rewriting import RewriteUse, Rewriting
from vitrine.domain.schema import Schema
from vitrine.domain.schema_files import shipped_schema
from vitrine.v1 import rewrite_pb2

RED = (FieldSummary(name="colour", values=("red",), counts=(1,)),)
BLUE = (FieldSummary(name="colour", values=("blue",), counts=(1,)),)


class Setup:
    """One use of a rewriter, before a catalogue that may change."""

    def __init__(self, *, fails: bool = False) -> None:
        self.fields = RED
        self.rewriter = FakeRewriter(lambda _: rewrite_pb2.Rewrite(), fails=fails)
        schema = shipped_schema()

        async def describe(_: Deadline) -> tuple[Schema, tuple[FieldSummary, ...]]:
            return schema, self.fields

        self.rewriting = Rewriting(
            self.rewriter,
            describe,
            use=RewriteUse(
                name="search", budget=AdaptiveBudget(ceiling_s=0.15, floor_s=0.05), margin_s=0.001
            ),
            breaker=CircuitBreaker(failures=1, cooldown_s=60),
            metrics=Metrics(),
        )


async def test_a_rewriter_prepares_for_each_catalogue_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told the catalogue, and again when that has changed, but not before a while has passed."""
    setup = Setup()
    for _ in range(2):
        await setup.rewriting.warm()
    assert [list(facet.values) for request in setup.rewriter.requests for facet in request.facets] == [
        ["red"]
    ]
    setup.fields = BLUE
    await setup.rewriting.warm()
    assert len(setup.rewriter.requests) == 1
    monkeypatch.setattr(rewriting_module, "WARM_EVERY_S", 0.0)
    for _ in range(2):
        await setup.rewriting.warm()
    assert len(setup.rewriter.requests) == 2
    assert list(setup.rewriter.requests[-1].facets[0].values) == ["blue"]


async def test_a_rewriter_that_is_away_is_asked_again_and_counts_for_nothing() -> None:
    """Failing to prepare is no failure of a search: the breaker stays closed."""
    setup = Setup(fails=True)
    for _ in range(2):
        await setup.rewriting.warm()
    setup.rewriter.fails = False
    request = rewrite_pb2.RewriteRequest(text="red")
    await setup.rewriting.read(request, deadline=Deadline.after(60))
    assert "red" in [each.text for each in setup.rewriter.requests]


async def test_a_gateway_warms_its_rewriter_where_the_settings_say_so() -> None:
    """Nobody has to search first."""
    rewriter = FakeRewriter(lambda _: rewrite_pb2.Rewrite())
    index = FakeIndex.holding([product("p1", "red dress", colour="red")])
    settings = replace(PATIENT, probe_interval_ms=10)
    async with (
        serving(index=index, rewriter=rewriter, settings=settings, warm_up=True),
        asyncio.timeout(30),
    ):
        while not rewriter.requests:  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0.01)
    assert rewriter.requests[0].schema.name == "fashion"
