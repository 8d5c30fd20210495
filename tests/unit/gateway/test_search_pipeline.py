"""One search through the pipeline, over fakes."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace

import pytest

from gateway.errors import DeadlineExceeded, EncoderError, FailedPrecondition, NotFound, VectorIndexError
from gateway.metrics import Metrics
from gateway.model import AllOf, Deadline, Embedding, EncoderInputs, Equals, Route, Sort, Weights
from gateway.ports import Rewriter
from gateway.readiness import Agreement
from gateway.retrieval.pipeline import PipelineSettings, SearchPipeline
from gateway.retrieval.query import Query
from gateway.testing import FakeEncoder, FakeIndex, FakeRewriter, product
from gateway.understanding.breaker import CircuitBreaker
from gateway.understanding.budget import AdaptiveBudget
from gateway.understanding.facets import FacetCache
from gateway.understanding.rewriting import RewriteUse, Rewriting
from vitrine.v1 import query_pb2, rewrite_pb2

PRODUCTS = (
    product("p1", "red dress", price=30.0),
    product("p2", "red dress long", price=10.0, colour="red"),
    product("p3", "blue shirt", price=20.0, colour="blue"),
)
WEIGHTS: Mapping[Route, Weights] = {
    route: Weights(text=1.0, image=1.0) for route in (Route.TEXT, Route.IMAGE, Route.COMPOSED, Route.REFINE)
} | {Route.SIMILAR: Weights(text=0.25, image=0.75)}


class Setup:
    """A pipeline and the fakes behind it."""

    def __init__(
        self, *, rewriter: Rewriter | None = None, encoder: FakeEncoder | None = None, budget_s: float = 0.2
    ) -> None:
        self.encoder = encoder or FakeEncoder()
        self.index = FakeIndex.holding(PRODUCTS)
        self.metrics = Metrics()
        self.breaker = CircuitBreaker(failures=2, cooldown_s=60)
        rewriting = Rewriting(
            rewriter,
            FacetCache(self.index),
            use=RewriteUse(name="search", budget=AdaptiveBudget(ceiling_s=budget_s), margin_s=0.001),
            breaker=self.breaker,
            metrics=self.metrics,
        )
        self.pipeline = SearchPipeline(
            encoder=self.encoder,
            index=self.index,
            agreement=Agreement(self.encoder, self.index),
            rewriting=rewriting,
            metrics=self.metrics,
            settings=PipelineSettings(
                weights=WEIGHTS,
                rewrite_head_start_s=budget_s / 4,
                margin_s=0.001,
                embedding_cache_entries=100,
                product_cache_entries=100,
                product_cache_ttl_s=60,
            ),
        )

    async def ids(self, query: Query) -> list[str]:
        """Search; give the ids of the hits in order."""
        result = await self.pipeline.search(query, Deadline.after(5))
        return [hit.product.id for hit in result.hits]


def answering(**fields: object) -> FakeRewriter:
    rewrite = rewrite_pb2.Rewrite(**{"route": query_pb2.ROUTE_TEXT, "source": "fake", **fields})  # type: ignore[arg-type] # the cases name the fields
    return FakeRewriter(lambda _: rewrite)


async def test_words_find_their_product_by_one_call_each() -> None:
    """A text search costs one Triton call and one Milvus call, and says what answered."""
    setup = Setup()
    result = await setup.pipeline.search(Query(text="blue shirt"), Deadline.after(5))
    assert result.hits[0].product.id == "p3"
    assert result.hits[0].text_score == pytest.approx(1.0, abs=1e-6)
    assert result.hits[0].score == pytest.approx(result.hits[0].text_score + result.hits[0].image_score)
    assert (len(setup.encoder.embed_calls), setup.index.search_calls, setup.index.get_calls) == (1, 1, 0)
    assert (result.versions.model, result.versions.index) == ("manifest-of-the-fakes", "fake-0")
    assert set(result.timings.stages_s) == {"encode", "search"}
    assert result.degraded == ()


async def test_repeated_words_cost_no_second_embedding() -> None:
    """The embedding cache answers equal words; callers at the same time share one call."""
    setup = Setup(encoder=FakeEncoder(delay_s=0.01))
    await asyncio.gather(*(setup.ids(Query(text="red dress")) for _ in range(5)))
    await setup.ids(Query(text="red dress"))
    assert len(setup.encoder.embed_calls) == 1
    await setup.ids(Query(text="red shoes"))
    assert len(setup.encoder.embed_calls) == 2


async def test_another_manifest_makes_the_cache_forget() -> None:
    """Embeddings of other encoders are never reused."""
    setup = Setup()
    await setup.ids(Query(text="red dress"))
    setup.encoder.digest = "other"
    setup.index = FakeIndex.holding(PRODUCTS, manifest="other")
    setup.pipeline._index = setup.index
    setup.pipeline._agreement = Agreement(setup.encoder, setup.index)
    await setup.ids(Query(text="red dress"))
    assert len(setup.encoder.embed_calls) == 2


async def test_a_refinement_of_a_shown_product_needs_no_lookup(jpeg: bytes) -> None:
    """Products that were just shown keep their vectors; the reference itself is not among the hits."""
    setup = Setup()
    await setup.ids(Query(text="red dress"))
    ids = await setup.ids(Query(text="long", product_id="p1"))
    assert setup.index.get_calls == 0
    assert sorted(ids) == ["p2", "p3"]
    assert setup.encoder.embed_calls[-1].references is not None
    composed = await setup.pipeline.search(Query(text="long", image=jpeg), Deadline.after(5))
    assert composed.searched.route is Route.COMPOSED
    assert setup.encoder.embed_calls[-1].images == [jpeg]


async def test_similar_products_need_no_encoder() -> None:
    """A product alone asks with its own two vectors, weighted for that route."""
    setup = Setup()
    result = await setup.pipeline.search(Query(product_id="p1", limit=1), Deadline.after(5))
    assert [hit.product.id for hit in result.hits] == ["p2"]
    assert result.weights == Weights(text=0.25, image=0.75)
    assert (len(setup.encoder.embed_calls), setup.index.get_calls) == (0, 1)
    assert set(result.timings.stages_s) == {"lookup", "search"}


async def test_an_unknown_product_is_not_found() -> None:
    """A reference that the index does not hold is named."""
    with pytest.raises(NotFound, match="product_id: product 'p9' not found"):
        await Setup().ids(Query(product_id="p9"))


async def test_filters_weights_and_limit_reach_the_index() -> None:
    """What the caller sets is what is searched."""
    setup = Setup()
    query = Query(
        text="red dress", filters=Equals("colour", "red"), weights=Weights(text=2, image=0), limit=1
    )
    result = await setup.pipeline.search(query, Deadline.after(5))
    assert [hit.product.id for hit in result.hits] == ["p1"]
    assert result.hits[0].score == pytest.approx(2.0, abs=1e-6)


@pytest.mark.parametrize(
    ("sort", "ids"),
    [(Sort.PRICE_ASCENDING, ["p2", "p3", "p1"]), (Sort.PRICE_DESCENDING, ["p1", "p3", "p2"])],
)
async def test_hits_are_sorted_by_price_when_asked(sort: Sort, ids: list[str]) -> None:
    """The best hits come in the order of their prices."""
    assert await Setup().ids(Query(text="red dress", sort=sort)) == ids


async def test_a_rewrite_that_changes_the_words_is_searched() -> None:
    """The rewriter's words, filter and order replace the caller's, and the answer names the engine."""
    rewriter = answering(query="blue shirt", sort=query_pb2.SORT_ORDER_PRICE_ASCENDING)
    setup = Setup(rewriter=rewriter)
    result = await setup.pipeline.search(Query(text="something blue", rewrite=True), Deadline.after(5))
    assert (result.searched.text, result.searched.source) == ("blue shirt", "fake")
    assert (len(setup.encoder.embed_calls), setup.index.search_calls) == (1, 1), "the rewriter was quick"
    assert [hit.product.price for hit in result.hits] == [10.0, 20.0, 30.0]
    assert result.degraded == ()
    assert "rewrite" in result.timings.stages_s
    facets = {facet.field: list(facet.values) for facet in rewriter.requests[0].facets}
    assert facets["colour"] == ["red", "blue"]


async def test_a_rewrite_that_changes_nothing_costs_no_second_search() -> None:
    """The raw search, already under way, is the answer."""
    setup = Setup(rewriter=answering(query="red dress"))
    result = await setup.pipeline.search(Query(text="red dress", rewrite=True), Deadline.after(5))
    assert (setup.index.search_calls, result.searched.source, result.degraded) == (1, "caller", ())


async def test_the_callers_filter_holds_beside_the_rewriters() -> None:
    """A rewrite can narrow what the caller asked for, never widen it; a facet that nothing has gives way, and is told."""
    setup = Setup(rewriter=answering(query="dress", filter=_equals("colour", "blue")))
    query = Query(text="blue dress", filters=Equals("colour", "red"), rewrite=True)
    result = await setup.pipeline.search(query, Deadline.after(5))
    assert [hit.product.id for hit in result.hits] == ["p1", "p2"]
    assert (result.degraded, result.searched.filters) == (("wishes",), Equals("colour", "red"))
    assert result.searched.wishes is None


async def test_the_kind_of_thing_is_the_last_wish_to_give_way() -> None:
    """Where nothing has all that was wished for, the hits are of the category at least."""
    setup = Setup()
    setup.index.in_use.products["s1"] = product("s1", "red skirt", category="skirt")  # type: ignore[union-attr] # it holds products
    blue_skirt = AllOf((Equals("category", "skirt"), Equals("colour", "blue")))
    result = await setup.pipeline.search(Query(text="red dress", wishes=blue_skirt), Deadline.after(5))
    assert [hit.product.id for hit in result.hits] == ["s1"]
    assert (result.degraded, result.searched.wishes) == (("wishes",), Equals("category", "skirt"))
    hat = AllOf((Equals("category", "hat"), Equals("colour", "red")))
    result = await setup.pipeline.search(Query(text="red dress", wishes=hat), Deadline.after(5))
    assert len(result.hits) == 4
    assert (result.degraded, result.searched.wishes) == (("wishes",), None)


async def test_a_price_that_was_read_always_holds() -> None:
    """Facets give way where nothing has them; a price does not."""
    under_five = query_pb2.Filter(range=query_pb2.Range(field="price", maximum=5))
    wish = query_pb2.Filter(all_of=query_pb2.FilterList(filters=[_equals("colour", "blue"), under_five]))
    setup = Setup(rewriter=answering(query="dress", filter=wish))
    assert await setup.ids(Query(text="blue dress under 5", rewrite=True)) == []


def _equals(field: str, value: str) -> query_pb2.Filter:
    return query_pb2.Filter(equals=query_pb2.Equals(field=field, value=query_pb2.FieldValue(text=value)))


async def test_a_slow_rewriter_finds_the_raw_query_searched_already() -> None:
    """After the head start the raw words are searched beside the rewriter, and its answer still counts."""
    rewriter = answering(query="blue shirt")
    rewriter.delay_s = 0.1
    setup = Setup(rewriter=rewriter)
    result = await setup.pipeline.search(Query(text="something blue", rewrite=True), Deadline.after(5))
    assert result.searched.text == "blue shirt"
    assert setup.index.search_calls == 2
    assert [inputs.texts for inputs in setup.encoder.embed_calls] == [["something blue"], ["blue shirt"]]


@pytest.mark.parametrize(
    ("rewriter", "reason"),
    [
        (FakeRewriter(lambda _: rewrite_pb2.Rewrite(), delay_s=5), "late"),
        (FakeRewriter(lambda _: rewrite_pb2.Rewrite(), fails=True), "unavailable"),
        (
            FakeRewriter(lambda _: rewrite_pb2.Rewrite(route=query_pb2.ROUTE_TEXT, query="x" * 3_000)),
            "invalid",
        ),
        (FakeRewriter(lambda _: rewrite_pb2.Rewrite()), "invalid"),
    ],
)
async def test_a_broken_rewriter_degrades_but_answers(rewriter: FakeRewriter, reason: str) -> None:
    """Late, failing or wrong: the caller's own words are answered and the result says so."""
    setup = Setup(rewriter=replace(rewriter, requests=[]), budget_s=0.02)
    result = await setup.pipeline.search(Query(text="red dress", rewrite=True), Deadline.after(5))
    assert result.degraded == ("rewrite",)
    assert result.hits[0].product.id == "p1"
    assert result.searched.source == "caller"
    counted = setup.metrics.registry.get_sample_value(
        "vitrine_gateway_degraded_total", {"part": "rewrite", "reason": reason}
    )
    assert counted == 1


async def test_an_open_breaker_spares_the_rewriter() -> None:
    """After failures in a row the rewriter is left alone, and the searches are degraded without the wait."""
    rewriter = FakeRewriter(lambda _: rewrite_pb2.Rewrite(), fails=True)
    setup = Setup(rewriter=rewriter)
    for _ in range(4):
        result = await setup.pipeline.search(Query(text="red dress", rewrite=True), Deadline.after(5))
        assert result.degraded == ("rewrite",)
    assert len(rewriter.requests) == 2


async def test_a_rewritten_search_that_fails_leaves_the_raw_answer() -> None:
    """When the rewritten words cannot be embedded, the caller's own still are answered."""

    class FailsOnRewrites(FakeEncoder):
        async def embed(self, inputs: EncoderInputs, *, timeout_s: float) -> Embedding:
            if inputs.texts == ["boom"]:
                raise EncoderError
            return await super().embed(inputs, timeout_s=timeout_s)

    setup = Setup(rewriter=answering(query="boom"), encoder=FailsOnRewrites())
    result = await setup.pipeline.search(Query(text="red dress", rewrite=True), Deadline.after(5))
    assert (result.hits[0].product.id, result.degraded) == ("p1", ("rewrite",))


async def test_without_a_rewriter_nothing_is_degraded() -> None:
    """Where none is configured, none is missed."""
    result = await Setup().pipeline.search(Query(text="red dress", rewrite=True), Deadline.after(5))
    assert result.degraded == ()


async def test_a_failing_encoder_or_index_fails_the_search() -> None:
    """Required work is not papered over."""
    setup = Setup()
    setup.encoder.error = EncoderError()
    with pytest.raises(EncoderError):
        await setup.ids(Query(text="a"))
    setup.encoder.error = None
    setup.index.error = VectorIndexError()
    with pytest.raises(VectorIndexError):
        await setup.ids(Query(text="a"))
    setup.index.error = None
    assert len(await setup.ids(Query(text="a"))) == 3


async def test_the_deadline_reaches_every_hop() -> None:
    """A slow encoder is given up when the caller's time is over, not later."""
    setup = Setup(encoder=FakeEncoder())
    await setup.ids(Query(text="warm"))
    setup.encoder.delay_s = 5.0
    started = asyncio.get_running_loop().time()
    with pytest.raises(DeadlineExceeded):
        await setup.pipeline.search(Query(text="red dress"), Deadline.after(0.05))
    assert asyncio.get_running_loop().time() - started < 1.0


async def test_a_caller_who_hangs_up_cancels_the_encoder() -> None:
    """Cancelling the search cancels the inference, with and without a rewriter."""
    for rewriter in (None, answering(query="red dress")):
        setup = Setup(rewriter=rewriter)
        await setup.ids(Query(text="warm"))
        setup.encoder.delay_s = 1.0
        query = Query(text="red dress", rewrite=True)
        search = asyncio.create_task(setup.pipeline.search(query, Deadline.after(5)))
        await asyncio.sleep(0.02)
        search.cancel()
        with pytest.raises(asyncio.CancelledError):
            await search
        await asyncio.sleep(0)
        assert setup.encoder.cancelled == 1


async def test_encoders_of_another_manifest_are_refused_until_the_index_follows() -> None:
    """A mismatch is refused with the command that mends it; once mended, the next search is answered."""
    setup = Setup(encoder=FakeEncoder(digest="new"))
    with pytest.raises(FailedPrecondition, match="vitrine index --rebuild PATH"):
        await setup.ids(Query(text="red dress"))
    built = await setup.index.build("new", "test")
    await built.upsert(PRODUCTS)
    await setup.index.promote(built.version)
    assert (await setup.ids(Query(text="red dress")))[0] == "p1"


async def test_encoders_that_come_back_changed_are_noticed() -> None:
    """After a failure of the encoder its manifest is asked for anew."""
    setup = Setup()
    await setup.ids(Query(text="red dress"))
    setup.encoder.error = EncoderError()
    with pytest.raises(EncoderError):
        await setup.ids(Query(text="a new text"))
    setup.encoder.error, setup.encoder.digest = None, "new"
    with pytest.raises(FailedPrecondition):
        await setup.ids(Query(text="a new text"))
