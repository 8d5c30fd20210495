"""Answers that are given again: to whom, for how long, and which never are."""

from dataclasses import replace
from typing import Any

import pytest

from gateway.encoders import Encoders
from gateway.errors import VectorIndexError
from gateway.metrics import Metrics
from gateway.model import Deadline, Pool, Weights
from gateway.retrieval import pipeline
from gateway.retrieval.admission import AimdLimit, Lanes, Limiter, QueueBounds
from gateway.retrieval.compatibility import Compatibility
from gateway.retrieval.pipeline import Retrieval, RetrievalSettings
from gateway.retrieval.query import Query, SearchResult
from gateway.retrieval.results import MAX_KEPT_HITS
from gateway.retrieval.signals import LEXICAL
from gateway.retrieval.stages import Search, Tools
from gateway.retrieval.summary import CatalogueSummary
from gateway.testing import FakeEncoder, FakeIndex, product
from vitrine.domain.filters import Equals
from vitrine.domain.routes import Route

RED = Query(text="red dress", limit=2)
PRODUCTS = [product(f"p{i}", "red dress", colour="red") for i in range(MAX_KEPT_HITS + 2)]


class Setup:
    """The stages before fakes, with answers kept."""

    def __init__(self, *, entries: int = 8, ttl_s: float = 60.0) -> None:
        self.metrics = Metrics()
        encoders, self.index = Encoders([FakeEncoder()]), FakeIndex.holding(PRODUCTS)
        self.retrieval = Retrieval(
            encoders=encoders,
            index=self.index,
            compatibility=Compatibility(encoders, self.index),
            summary=CatalogueSummary(self.index),
            lanes=Lanes(words=_lane(), pictures=_lane()),
            metrics=self.metrics,
            settings=RetrievalSettings(
                weights=dict.fromkeys(Route, Weights(text=0.5, image=0.5)),
                shares={LEXICAL: 0.0},
                margin_s=0.001,
                embedding_cache_entries=100,
                product_cache_entries=100,
                product_cache_ttl_s=ttl_s,
                result_cache_entries=entries,
            ),
        )

    async def search(self, query: Query = RED) -> SearchResult:
        """Search."""
        return await self.retrieval.search(query, Deadline.after(60))


def _lane() -> Limiter:
    return Limiter(AimdLimit(maximum=4), QueueBounds(length=4, wait_s=5), initial=4, latency_target_s=30.0)


async def test_the_same_question_costs_one_look_up() -> None:
    """The second answer has the same hits, and its own times."""
    setup = Setup()
    first, second = await setup.search(), await setup.search()
    assert setup.index.search_calls == 1
    assert replace(second, timings=first.timings) == first
    assert second.timings.stages_s == {}


@pytest.mark.parametrize(
    "other",
    [
        replace(RED, text="red dresses"),
        replace(RED, limit=3),
        replace(RED, offset=1),
        replace(RED, filters=Equals("colour", "red")),
        replace(RED, weights=Weights(text=1, image=0)),
        replace(RED, user_id="another"),
        replace(RED, source="model"),
    ],
)
async def test_another_question_is_another_answer(other: Query) -> None:
    """Whatever is asked differently is looked up."""
    setup = Setup()
    await setup.search()
    await setup.search(other)
    assert setup.index.search_calls == 2


async def test_a_write_of_this_process_ends_every_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written here is found by the next search, also where the write came while an answer was made."""
    setup = Setup()
    await setup.search()
    setup.retrieval.products.forget(["elsewhere"], "fake-0")
    search = setup.index.search

    async def overtaken(*given: Any, **options: Any) -> Pool:
        pool = await search(*given, **options)
        setup.retrieval.products.forget(["p0"], "fake-0")
        return pool

    monkeypatch.setattr(setup.index, "search", overtaken)
    await setup.search()
    await setup.search()
    assert setup.index.search_calls == 3


async def test_another_index_answers_for_itself() -> None:
    """An index that was swapped in is asked at once."""
    setup = Setup()
    before = await setup.search()
    built = await setup.index.build("manifest-of-the-fakes", "test")
    await built.upsert(PRODUCTS[:1])
    await setup.index.promote(built.version)
    after = await setup.search()
    assert [hit.product.id for hit in after.hits] == ["p0"]
    assert after.versions.index != before.versions.index


@pytest.mark.parametrize(("entries", "ttl_s"), [(0, 60.0), (8, 0.0)])
async def test_none_is_kept_where_none_may_be(entries: int, ttl_s: float) -> None:
    """Either setting at 0 switches it off."""
    setup = Setup(entries=entries, ttl_s=ttl_s)
    await setup.search()
    await setup.search()
    assert setup.index.search_calls == 2


async def test_what_everybody_would_be_told_is_kept_with_the_answer() -> None:
    """A soft filter that nothing satisfies is given up for whoever asks, and counted for each."""
    setup = Setup()
    degraded = replace(RED, soft_filters=Equals("colour", "blue"))
    for _ in range(2):
        assert (await setup.search(degraded)).degraded == ("soft_filters",)
    assert setup.index.search_calls == 2  # with the filter, and without it
    counted = setup.metrics.degraded.labels("soft_filters", "search")
    assert counted._value.get() == 2


async def test_answers_with_a_fault_large_and_failed_ones_are_not_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What a fault of the moment left out may be there the next time; and a failure is never kept."""
    setup = Setup()

    async def faulty(search: Search, _: Tools) -> Search:
        return replace(search, degraded=(LEXICAL,))

    with monkeypatch.context() as patched:
        patched.setattr(pipeline, "STAGES", (*pipeline.STAGES, faulty))
        assert (await setup.search()).degraded == (LEXICAL,)
    assert (await setup.search()).degraded == ()
    large = replace(RED, limit=MAX_KEPT_HITS + 1)
    await setup.search(large)
    calls = setup.index.search_calls
    await setup.search(large)
    assert setup.index.search_calls == calls + 1
    setup.index.error = VectorIndexError()
    with pytest.raises(VectorIndexError):
        await setup.search()
    setup.index.error = None
    assert len((await setup.search()).hits) == 2


async def test_what_is_found_by_a_picture_is_not_kept(jpeg: bytes) -> None:
    """A picture would be kept with its answer."""
    setup = Setup()
    await setup.search(Query(image=jpeg))
    await setup.search(Query(image=jpeg))
    assert setup.index.search_calls == 2


async def test_what_a_shoppers_taste_orders_is_not_kept() -> None:
    """Their next click orders the next answer."""
    setup = Setup()
    for _ in range(2):
        await setup.search(replace(RED, user_id="u", personalise=True))
    assert setup.index.search_calls == 2
