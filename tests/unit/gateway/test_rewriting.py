"""Asking the rewriter: one call for equal turns, memory for those that come again, and the time that it gets."""

import asyncio
from collections.abc import Callable

import pytest

from gateway.metrics import Metrics
from gateway.model import Deadline, FieldSummary
from gateway.ports import Rewriter
from gateway.testing import FakeRewriter
from gateway.understanding.breaker import BreakerState, CircuitBreaker
from gateway.understanding.budget import AdaptiveBudget
from gateway.understanding.rewriting import RewriteUse, Rewriting
from gateway.understanding.validation import Understanding
from vitrine.domain.schema import Schema
from vitrine.domain.schema_files import shipped_schema
from vitrine.v1 import query_pb2, rewrite_pb2

SOUND = rewrite_pb2.Rewrite(route=query_pb2.ROUTE_TEXT, query="red dress", source="fake")
FIELDS = (FieldSummary(name="colour", values=("red", "blue")), FieldSummary(name="price", minimum=1.0))


async def describe(_: Deadline) -> tuple[Schema, tuple[FieldSummary, ...]]:
    """Return what the index holds."""
    return shipped_schema(), FIELDS


class Gate:
    """A rewriter that answers when the gate is opened."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.calls = 0
        self.cancelled = 0

    async def rewrite(
        self, _request: rewrite_pb2.RewriteRequest, *, timeout_s: float
    ) -> rewrite_pb2.RewriteResponse:
        """Answer once the gate is open."""
        self.calls += 1
        try:
            async with asyncio.timeout(timeout_s):
                await self.open.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return rewrite_pb2.RewriteResponse(rewrite=SOUND, model_version="1")


class Setup:
    """Rewriting, and what it is made of."""

    def __init__(
        self, rewriter: Rewriter, *, ceiling_s: float = 30.0, entries: int = 100, failures: int = 1_000
    ) -> None:
        self.metrics = Metrics()
        self.budget = AdaptiveBudget(ceiling_s=ceiling_s)
        self.breaker = CircuitBreaker(failures=failures, cooldown_s=0)
        self.rewriting = Rewriting(
            rewriter,
            describe,
            use=RewriteUse(name="test", budget=self.budget, margin_s=0.0, cache_entries=entries),
            breaker=self.breaker,
            metrics=self.metrics,
        )

    async def read(self, text: str = "a red dress", **request: object) -> Understanding | None:
        """Read a turn with all the time that it takes."""
        message = rewrite_pb2.RewriteRequest(text=text, **request)  # type: ignore[arg-type] # the tests name the fields
        return await self.rewriting.read(message, deadline=Deadline.after(60))

    def lookups(self, outcome: str) -> float:
        """Count the look-ups with that outcome."""
        labels = {"cache": "rewrite", "outcome": outcome}
        return self.metrics.registry.get_sample_value("vitrine_gateway_cache_lookups_total", labels) or 0.0


def answering(version: str = "1", **fields: object) -> FakeRewriter:
    rewrite = rewrite_pb2.Rewrite()
    rewrite.CopyFrom(SOUND)
    rewrite.MergeFrom(rewrite_pb2.Rewrite(**fields))  # type: ignore[arg-type] # the tests name the fields
    return FakeRewriter(lambda _: rewrite, version=version)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for the condition."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0)


async def test_an_equal_turn_is_read_once() -> None:
    """What comes again, in whatever case, is answered from memory; the look-ups are counted."""
    rewriter = answering()
    setup = Setup(rewriter)
    first, second = await setup.read("a red dress"), await setup.read("A Red DRESS")
    assert first == second is not None
    assert len(rewriter.requests) == 1
    assert (setup.lookups("hit"), setup.lookups("miss")) == (1, 1)


@pytest.mark.parametrize(
    "other",
    [
        {"text": "a blue dress"},
        {"locale": "de"},
        {"has_image": True},
        {"product_id": "p1"},
        {"history": [rewrite_pb2.Turn(text="hello")]},
    ],
)
async def test_another_turn_is_read_anew(other: dict[str, object]) -> None:
    """Words, locale, picture, product and history are all part of the key."""
    rewriter = answering()
    setup = Setup(rewriter)
    await setup.read()
    await setup.read(**other)  # type: ignore[arg-type] # the cases name the fields
    assert len(rewriter.requests) == 2
    assert setup.lookups("hit") == 0


async def test_another_model_is_asked_anew() -> None:
    """Readings of the model before are not given, once the new one has answered."""
    rewriter = answering("1")
    setup = Setup(rewriter)
    await setup.read()
    await setup.read()
    rewriter.version = "2"
    await setup.read("something new")
    await setup.read()
    assert len(rewriter.requests) == 3
    await setup.read()
    assert len(rewriter.requests) == 3


@pytest.mark.parametrize(
    "rewriter",
    [answering(failure="timeout"), answering(version=""), answering(route=99), answering(references=["p9"])],
    ids=["a fallback's", "of an unknown model", "of no route", "of what was not shown"],
)
async def test_what_may_be_wrong_is_not_kept(rewriter: FakeRewriter) -> None:
    """A fallback's answer and an invalid one are asked for again."""
    setup = Setup(rewriter)
    for _ in range(3):
        await setup.read()
    assert len(rewriter.requests) == 3


async def test_a_reading_of_no_use_is_forgotten() -> None:
    """What turns out to fit its turn ill is asked for again."""
    rewriter = answering()
    setup = Setup(rewriter)
    await setup.read()
    request = rewrite_pb2.RewriteRequest(text="a red dress")
    await setup.rewriting.read(request, deadline=Deadline.after(60))
    assert len(rewriter.requests) == 1
    setup.rewriting.refuse(request)
    await setup.read()
    assert len(rewriter.requests) == 2


async def test_the_memory_has_a_bound() -> None:
    """The reading that was used longest ago makes room."""
    rewriter = answering()
    setup = Setup(rewriter, entries=2)
    await setup.read("first of all")
    for text in ("a", "b", "c", "b", "c", "a"):
        await setup.read(text)
    assert (setup.lookups("hit"), setup.lookups("miss")) == (2, 5)


async def test_equal_turns_at_once_share_one_call() -> None:
    """The first one asks, the others wait for its answer."""
    gate = Gate()
    setup = Setup(gate)
    turns = [asyncio.create_task(setup.read()) for _ in range(5)]
    await until(lambda: setup.lookups("shared") == 4)
    gate.open.set()
    readings = await asyncio.gather(*turns)
    assert gate.calls == 1
    assert {reading.query for reading in readings if reading} == {"red dress"}
    assert None not in readings


async def test_a_cancelled_leader_does_not_cancel_its_followers() -> None:
    """The call goes on while anybody waits for it, and ends when nobody does."""
    gate = Gate()
    setup = Setup(gate)
    leader = asyncio.create_task(setup.read())
    await until(lambda: gate.calls == 1)
    follower = asyncio.create_task(setup.read())
    await until(lambda: setup.lookups("shared") == 1)
    leader.cancel()
    await asyncio.wait([leader])
    gate.open.set()
    reading = await follower
    assert reading is not None
    assert (reading.query, gate.calls, gate.cancelled) == ("red dress", 1, 0)
    gate.open.clear()
    alone = asyncio.create_task(setup.read("another"))
    await until(lambda: gate.calls == 2)
    alone.cancel()
    await asyncio.wait([alone])
    await until(lambda: gate.cancelled == 1)


async def test_a_rewriter_that_hangs_costs_the_budget() -> None:
    """After its time the turn goes on without it, and the budget knows that it was late."""
    setup = Setup(Gate(), ceiling_s=0.05)
    assert await setup.read() is None
    labels = {"part": "rewrite", "reason": "late"}
    assert setup.metrics.registry.get_sample_value("vitrine_gateway_degraded_total", labels) == 1
    assert [seconds for _, seconds in setup.budget._calls] == [0.05]


async def test_the_budget_is_a_metric() -> None:
    """The gauge shows what the next call may take."""
    setup = Setup(answering(), ceiling_s=7.0)
    name = "vitrine_gateway_rewrite_budget_seconds"
    assert setup.metrics.registry.get_sample_value(name, {"use": "test"}) == 7.0


async def test_the_rewriter_is_told_the_schema_and_its_keywords() -> None:
    """It reads by the catalogue's own fields, and the values that conditions may name."""
    rewriter = answering()
    await Setup(rewriter).read()
    (request,) = rewriter.requests
    assert [field.name for field in request.schema.fields] == [each.name for each in shipped_schema()]
    assert request.facets == [rewrite_pb2.Facet(field="colour", values=["red", "blue"])]


async def test_a_short_deadline_of_a_caller_says_nothing_of_the_rewriter() -> None:
    """Turns with less than half the budget degrade themselves; breaker and budget learn nothing, and the next is read."""
    gate = Gate()
    setup = Setup(gate, failures=1)
    for number in range(6):
        message = rewrite_pb2.RewriteRequest(text=f"turn {number}")
        assert await setup.rewriting.read(message, deadline=Deadline.after(0.01)) is None
    assert setup.breaker.state is BreakerState.CLOSED
    assert not setup.budget._calls
    gate.open.set()
    assert await setup.read() is not None


async def test_a_turn_with_time_joins_no_hurried_turns_failure() -> None:
    """Who waits for the call of an equal turn with a short deadline asks again when that one gives up."""
    gate = Gate()
    setup = Setup(gate)
    message = rewrite_pb2.RewriteRequest(text="a red dress")
    hurried = asyncio.create_task(setup.rewriting.read(message, deadline=Deadline.after(0.5)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    patient = asyncio.create_task(setup.read())
    assert await hurried is None
    gate.open.set()
    assert await patient is not None
    assert setup.lookups("shared") == 1
    assert gate.calls == 2


async def test_the_trial_of_a_breaker_is_for_a_turn_with_time() -> None:
    """A hurried turn does not ask a rewriter that failed: it could not show that it is well again."""
    gate = Gate()
    setup = Setup(gate, ceiling_s=1.0, failures=1)
    assert await setup.read() is None
    assert setup.breaker.state is BreakerState.HALF_OPEN
    message = rewrite_pb2.RewriteRequest(text="hurried")
    assert await setup.rewriting.read(message, deadline=Deadline.after(0.01)) is None
    assert gate.calls == 1
    gate.open.set()
    assert await setup.read("patient") is not None
    assert setup.breaker.state is BreakerState.CLOSED
