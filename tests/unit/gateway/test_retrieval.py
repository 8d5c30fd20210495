"""One query through the stages, over fakes."""

import asyncio
from collections.abc import Callable, Mapping

import pytest

from gateway.encoders import Encoders
from gateway.errors import DeadlineExceeded, EncoderError, FailedPrecondition, NotFound, VectorIndexError
from gateway.metrics import Metrics
from gateway.model import Deadline, Sort, Weights
from gateway.retrieval.admission import AimdLimit, Lanes, Limiter, QueueBounds
from gateway.retrieval.compatibility import Compatibility
from gateway.retrieval.pipeline import Retrieval, RetrievalSettings
from gateway.retrieval.query import Query
from gateway.retrieval.signals import LEXICAL
from gateway.retrieval.summary import CatalogueSummary
from gateway.testing import FakeEncoder, FakeIndex, product, stored
from vitrine.domain.filters import AllOf, Equals
from vitrine.domain.routes import Route

PRODUCTS = (
    product("p1", "red dress", price=30.0),
    product("p2", "red dress long", price=10.0, colour="red"),
    product("p3", "blue shirt", price=20.0, colour="blue"),
)
WEIGHTS: Mapping[Route, Weights] = {
    route: Weights(text=1.0, image=1.0) for route in (Route.TEXT, Route.IMAGE, Route.COMPOSED, Route.REFINE)
} | {Route.SIMILAR: Weights(text=0.25, image=0.75)}


def lane() -> Limiter:
    return Limiter(
        AimdLimit(maximum=16), QueueBounds(length=16, wait_s=30.0), initial=16, latency_target_s=30.0
    )


class Setup:
    """The stages and the fakes behind them, without exact matches."""

    def __init__(self, *, encoder: FakeEncoder | None = None, index: FakeIndex | None = None) -> None:
        self.encoder = encoder or FakeEncoder()
        encoders = Encoders([self.encoder])
        self.index = index or FakeIndex.holding(PRODUCTS)
        self.retrieval = Retrieval(
            encoders=encoders,
            index=self.index,
            compatibility=Compatibility(encoders, self.index),
            summary=CatalogueSummary(self.index),
            lanes=Lanes(words=lane(), pictures=lane()),
            metrics=Metrics(),
            settings=RetrievalSettings(
                weights=WEIGHTS,
                shares={LEXICAL: 0.0},
                margin_s=0.001,
                embedding_cache_entries=100,
                product_cache_entries=100,
                product_cache_ttl_s=60,
            ),
        )

    async def ids(self, query: Query) -> list[str]:
        """Search; return the ids of the hits in order."""
        result = await self.retrieval.search(query, Deadline.after(60))
        return [hit.product.id for hit in result.hits]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0)


async def test_words_find_their_product_by_one_call_each() -> None:
    """A text search costs one Triton call and one Milvus call, and says what answered."""
    setup = Setup()
    result = await setup.retrieval.search(Query(text="blue shirt"), Deadline.after(60))
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
    built = await setup.index.build("other", "test")
    await built.upsert(PRODUCTS)
    await setup.index.promote(built.version)
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
    composed = await setup.retrieval.search(Query(text="long", image=jpeg), Deadline.after(60))
    assert composed.searched.route is Route.COMPOSED
    assert setup.encoder.embed_calls[-1].images == [jpeg]


async def test_similar_products_need_no_encoder() -> None:
    """A product alone asks with its own two vectors, weighted for that route."""
    setup = Setup()
    result = await setup.retrieval.search(Query(product_id="p1", limit=1), Deadline.after(60))
    assert [hit.product.id for hit in result.hits] == ["p2"]
    assert result.weights == Weights(text=0.25, image=0.75)
    assert (len(setup.encoder.embed_calls), setup.index.get_calls) == (0, 1)
    assert set(result.timings.stages_s) == {"lookup", "search"}


async def test_a_product_without_a_picture_is_a_reference_by_its_words() -> None:
    """Its look-alikes are those of its title, and a change to it goes from there."""
    words_only = stored("w", title="green hat", images=[])
    setup = Setup(index=FakeIndex.holding([words_only, product("h", "green hat"), *PRODUCTS]))
    assert (await setup.ids(Query(product_id="w")))[0] == "h"
    assert (await setup.ids(Query(product_id="w", text="hat")))[0] == "h"


async def test_a_product_without_words_is_a_reference_by_its_picture(jpeg: bytes) -> None:
    """Its look-alikes are those of its picture."""
    picture_only = stored("n", images=[jpeg])
    twin = product("t", "a twin", image=jpeg)
    setup = Setup(index=FakeIndex.holding([picture_only, twin, *PRODUCTS]))
    assert (await setup.ids(Query(product_id="n")))[0] == "t"


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
    result = await setup.retrieval.search(query, Deadline.after(60))
    assert [hit.product.id for hit in result.hits] == ["p1"]
    assert result.hits[0].score == pytest.approx(2.0, abs=1e-6)


@pytest.mark.parametrize(
    ("sort", "ids"),
    [
        (Sort(field="price"), ["p2", "p3", "p1"]),
        (Sort(field="price", descending=True), ["p1", "p3", "p2"]),
    ],
)
async def test_hits_are_sorted_by_price_when_asked(sort: Sort, ids: list[str]) -> None:
    """The hits come in the order of their prices."""
    assert await Setup().ids(Query(text="red dress", sort=sort)) == ids


async def test_the_hit_says_which_picture_matched(jpeg: bytes) -> None:
    """Of several pictures the one that scores highest counts."""
    several = stored("s", title="a lamp", images=[b"front", jpeg])
    setup = Setup(index=FakeIndex.holding([several, *PRODUCTS]))
    result = await setup.retrieval.search(Query(image=jpeg), Deadline.after(60))
    assert (result.hits[0].product.id, result.hits[0].image_index) == ("s", 1)


async def test_the_kind_of_thing_is_the_last_soft_filter_to_give_way() -> None:
    """Where nothing has all that was read in the words, the hits are of the category at least."""
    setup = Setup(index=FakeIndex.holding([*PRODUCTS, product("s1", "red skirt", category="skirt")]))
    blue_skirt = AllOf((Equals("category", "skirt"), Equals("colour", "blue")))
    result = await setup.retrieval.search(
        Query(text="red dress", soft_filters=blue_skirt), Deadline.after(60)
    )
    assert [hit.product.id for hit in result.hits] == ["s1"]
    assert (result.degraded, result.searched.soft_filters) == (("soft_filters",), Equals("category", "skirt"))
    hat = AllOf((Equals("category", "hat"), Equals("colour", "red")))
    result = await setup.retrieval.search(Query(text="red dress", soft_filters=hat), Deadline.after(60))
    assert len(result.hits) == 4
    assert (result.degraded, result.searched.soft_filters) == (("soft_filters",), None)


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
    """A slow encoder is given up when the caller's time is over."""
    setup = Setup()
    await setup.ids(Query(text="warm"))
    setup.encoder.delay_s = 3_600.0
    with pytest.raises(DeadlineExceeded):
        await setup.retrieval.search(Query(text="red dress"), Deadline.after(0.05))


async def test_a_caller_who_hangs_up_cancels_the_encoder() -> None:
    """Cancelling the search cancels the inference."""
    setup = Setup()
    await setup.ids(Query(text="warm"))
    setup.encoder.delay_s = 3_600.0
    search = asyncio.create_task(setup.retrieval.search(Query(text="red dress"), Deadline.after(60)))
    await until(lambda: len(setup.encoder.embed_calls) == 2)
    search.cancel()
    with pytest.raises(asyncio.CancelledError):
        await search
    await until(lambda: setup.encoder.cancelled == 1)


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


async def test_words_beyond_what_the_encoder_reads_are_told() -> None:
    """The answer of a text that was cut says so, also from the cache; one that fits says nothing."""
    setup = Setup(encoder=FakeEncoder(words=3))
    long = Query(text="a red dress for the summer")
    for _ in range(2):
        assert (await setup.retrieval.search(long, Deadline.after(60))).degraded == ("words",)
    assert (await setup.retrieval.search(Query(text="a red dress"), Deadline.after(60))).degraded == ()
