"""Products into a collection."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from gateway.errors import DeadlineExceeded, EncoderError, Overloaded, VectorIndexError
from gateway.indexing import encoding
from gateway.indexing import ingest as module
from gateway.indexing.encoding import Refusal, Submission
from gateway.indexing.ingest import Outcome, Target, digest, ingest
from gateway.model import Embedded, EncoderInputs, IndexVersion, StoredProduct
from gateway.testing import FakeCollection, FakeEncoder
from vitrine.domain.product import Product
from vitrine.domain.schema_files import shipped_schema
from vitrine.domain.values import Value
from vitrine.tensors import EMBEDDING_DIM, MAX_BATCH_SIZE

VERSION = IndexVersion(collection="c", manifest="m1", embedding_dim=EMBEDDING_DIM, schema=shipped_schema())


@pytest.fixture
def collection() -> FakeCollection:
    return FakeCollection(VERSION)


@dataclass
class SlowCollection(FakeCollection):
    """Records how many upserts are under way at once, and fails when told to."""

    under_way: int = 0
    most_under_way: int = 0
    sizes: list[int] = field(default_factory=list)
    error: Exception | None = None
    waits: bool = False
    """The first one waits for a second one."""
    second: asyncio.Event = field(default_factory=asyncio.Event)

    async def upsert(self, products: Sequence[StoredProduct], *, replaces: bool = True) -> None:
        """Take a moment, then write or fail."""
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        self.sizes.append(len(products))
        if self.under_way > 1:
            self.second.set()
        if self.waits:
            await asyncio.wait_for(self.second.wait(), 60)
        await asyncio.sleep(0.01)
        self.under_way -= 1
        if self.error is not None:
            raise self.error
        await super().upsert(products, replaces=replaces)


def submission(number: int, *images: bytes, **values: Value) -> Submission:
    held = {"title": f"dress {number}", "category": "dress", "colour": "red", "price": float(number)}
    product = Product(id=f"p{number}", values={**held, **values})
    return Submission(product=product, images=images)


async def stream(
    items: Sequence[Submission | Refusal], *, pause_s: float = 0.0
) -> AsyncIterator[Submission | Refusal]:
    for item in items:
        yield item
        if pause_s:
            await asyncio.sleep(pause_s)


async def collect(
    items: AsyncIterator[Submission | Refusal],
    collection: FakeCollection,
    encoder: FakeEncoder | None = None,
) -> list[Outcome]:
    return [
        outcome
        async for outcome in ingest(items, encoder=encoder or FakeEncoder(), target=Target(writer=collection))
    ]


def ids(outcomes: Sequence[Outcome], kind: str) -> list[str]:
    return [product_id for outcome in outcomes for product_id in getattr(outcome, kind)]


async def test_products_are_embedded_in_full_batches_and_told_in_order(
    collection: FakeCollection, jpeg: bytes
) -> None:
    """Pictures and titles go to the encoder a batch at a time, and the outcomes keep the stream's order."""
    encoder = FakeEncoder()
    count = 2 * MAX_BATCH_SIZE + 5
    outcomes = await collect(stream([submission(i, jpeg) for i in range(count)]), collection, encoder)
    assert ids(outcomes, "written") == [f"p{i}" for i in range(count)]
    assert [len(outcome.written) for outcome in outcomes] == [MAX_BATCH_SIZE, MAX_BATCH_SIZE, 5]
    sizes = sorted(len(call.images or call.texts or ()) for call in encoder.embed_calls)
    assert sizes == [5, 5, *[MAX_BATCH_SIZE] * 4]
    stored = collection.products["p7"]
    expected = await encoder.embed(EncoderInputs(texts=["dress 7"]), timeout_s=60)
    np.testing.assert_array_equal(stored.text_embedding, expected.rows[0])
    assert stored.digest == digest(submission(7, jpeg), "m1")


async def test_a_second_run_embeds_nothing(collection: FakeCollection, jpeg: bytes) -> None:
    """What the collection holds exactly so is told as unchanged and costs no inference."""
    items = [submission(i, jpeg) for i in range(40)]
    await collect(stream(items), collection)
    encoder = FakeEncoder()
    changed = submission(39, jpeg, title="another dress")
    outcomes = await collect(stream([*items[:-1], changed]), collection, encoder)
    assert ids(outcomes, "unchanged") == [f"p{i}" for i in range(39)]
    assert ids(outcomes, "written") == ["p39"]
    assert [len(call.images or call.texts or ()) for call in encoder.embed_calls] == [1, 1]


async def test_what_is_not_encoded_changes_without_the_encoder(
    collection: FakeCollection, jpeg: bytes
) -> None:
    """A product of which only the price changed keeps its vectors; the new price is written."""
    await collect(stream([submission(1, jpeg)]), collection)
    before, encoder = collection.products["p1"], FakeEncoder()
    outcomes = await collect(stream([submission(1, jpeg, price=99.0)]), collection, encoder)
    after = collection.products["p1"]
    assert (ids(outcomes, "written"), encoder.embed_calls) == (["p1"], [])
    assert after.product.values["price"] == 99.0
    assert (after.digest != before.digest, after.vectors_digest == before.vectors_digest) == (True, True)
    np.testing.assert_array_equal(after.text_embedding, before.text_embedding)
    np.testing.assert_array_equal(after.image_embeddings, before.image_embeddings)


def changed(**changes: object) -> Submission:
    before = submission(1, b"picture", pattern="plain", brand="acme")
    return replace(before, product=replace(before.product, **changes))  # type: ignore[arg-type] # the cases name the fields


@pytest.mark.parametrize("field", ["title", "description", "category", "colour", "pattern", "brand"])
def test_the_digest_depends_on_every_field(field: str) -> None:
    """A change of any field of the schema is a new digest."""
    before = changed()
    after = changed(values={**before.product.values, field: "changed"})
    assert digest(after, "m1") != digest(before, "m1")


def test_the_digest_depends_on_pictures_attributes_price_and_encoders() -> None:
    """As above, for what is no text; the order of the fields is nothing that is indexed."""
    before = changed()
    values = before.product.values
    others = [
        digest(replace(before, images=(b"other",)), "m1"),
        digest(replace(before, images=(b"picture", b"other")), "m1"),
        digest(changed(attributes={"sleeve": "long"}), "m1"),
        digest(changed(values={**values, "price": 2.0}), "m1"),
        digest(changed(values={name: values[name] for name in values if name != "price"}), "m1"),
        digest(changed(image_uris=("a.jpg",)), "m1"),
        digest(before, "m2"),
    ]
    assert len({digest(before, "m1"), *others}) == 8
    assert digest(changed(values=dict(reversed(list(values.items())))), "m1") == digest(before, "m1")


async def test_a_bad_picture_costs_its_own_row_only(collection: FakeCollection, jpeg: bytes) -> None:
    """Pictures that the encoder refuses are told with their reason; the rest of their batch is written."""
    bad = {3, 4, 31}
    items = [submission(i, b"not a picture" if i in bad else jpeg) for i in range(MAX_BATCH_SIZE)]
    (outcome,) = await collect(stream(items), collection)
    assert [refusal.product_id for refusal in outcome.refusals] == ["p3", "p4", "p31"]
    assert {refusal.field for refusal in outcome.refusals} == {"image"}
    assert all(refusal.reason for refusal in outcome.refusals)
    assert len(outcome.written) == len(collection.products) == MAX_BATCH_SIZE - len(bad)


async def test_refusals_of_the_door_pass_through(collection: FakeCollection, jpeg: bytes) -> None:
    """What was refused before it came here is in an outcome too, also where nothing else is."""
    refusal = Refusal(product_id="x", field="title", reason="must not be empty")
    outcomes = await collect(stream([refusal, submission(1, jpeg), refusal]), collection)
    assert [refusal for outcome in outcomes for refusal in outcome.refusals] == [refusal, refusal]
    assert ids(outcomes, "written") == ["p1"]
    assert await collect(stream([refusal]), collection) == [Outcome(refusals=(refusal,))]


async def test_the_last_of_several_products_of_one_id_stays(jpeg: bytes) -> None:
    """Versions of a product are written in their order, within a batch and across batches under way."""
    slow = SlowCollection(VERSION)
    items: list[Submission] = []
    for round_ in range(4):
        items += [submission(i, jpeg, colour=f"{round_}") for i in (1, 2, 1)]
        items += [submission(100 * round_ + i, jpeg, colour=f"{round_}") for i in range(1, 40)]
    items.append(submission(1, jpeg, colour="last"))
    outcomes = await collect(stream(items), slow)
    assert slow.products["p1"].product.values["colour"] == "last"
    assert slow.products["p2"].product.values["colour"] == "3"
    assert len(ids(outcomes, "written")) + len(ids(outcomes, "unchanged")) == len(items)


async def test_a_slow_stream_is_acknowledged_while_it_pauses(
    collection: FakeCollection, jpeg: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch that does not fill is written after a moment, and told before the next product comes."""
    monkeypatch.setattr(module, "LINGER_S", 0.01)
    told: list[str] = []

    async def one_by_one() -> AsyncIterator[Submission | Refusal]:
        for i in range(3):
            yield submission(i, jpeg)
            async with asyncio.timeout(60):
                while f"p{i}" not in told:  # noqa: ASYNC110 - the list is what is tested
                    await asyncio.sleep(0.005)

    async for outcome in ingest(one_by_one(), encoder=FakeEncoder(), target=Target(writer=collection)):
        told.extend(outcome.written)
    assert told == ["p0", "p1", "p2"]


async def test_few_batches_are_under_way_at_once(jpeg: bytes) -> None:
    """The window bounds what is read ahead of the slowest batch."""
    slow = SlowCollection(VERSION, waits=True)
    await collect(stream([submission(i, jpeg) for i in range(20 * MAX_BATCH_SIZE)]), slow)
    assert 1 < slow.most_under_way <= module.MAX_RUNNING + 1
    assert len(slow.products) == 20 * MAX_BATCH_SIZE


async def test_large_pictures_make_small_batches(jpeg: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch ends at its limit of bytes."""
    monkeypatch.setattr(module, "MAX_BATCH_BYTES", 2 * len(jpeg))
    slow = SlowCollection(VERSION)
    await collect(stream([submission(i, jpeg) for i in range(6)]), slow)
    assert slow.sizes == [2, 2, 2]


async def test_a_busy_encoder_is_asked_again(
    collection: FakeCollection, jpeg: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Overload, a queue that took too long and a lost connection are waited out."""
    monkeypatch.setattr(encoding, "_RETRY_PAUSES_S", (0.0, 0.0, 0.0))
    encoder = FakeEncoder()
    failures = [Overloaded("busy", retry_after_s=0.1), DeadlineExceeded("late"), EncoderError()]
    embed = encoder.embed

    async def sometimes(inputs: EncoderInputs, *, timeout_s: float) -> Embedded:
        if failures:
            raise failures.pop()
        return await embed(inputs, timeout_s=timeout_s)

    monkeypatch.setattr(encoder, "embed", sometimes)
    assert ids(await collect(stream([submission(1, jpeg)]), collection, encoder), "written") == ["p1"]


async def test_an_embedding_that_is_not_finite_is_never_written(
    collection: FakeCollection, jpeg: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NaN from the encoder is its failure; the index would take it in silence."""
    monkeypatch.setattr(encoding, "_RETRY_PAUSES_S", ())
    encoder = FakeEncoder()

    async def broken(inputs: EncoderInputs, *, timeout_s: float) -> Embedded:
        del inputs, timeout_s
        return Embedded(rows=np.full((1, EMBEDDING_DIM), np.nan, np.float32))

    monkeypatch.setattr(encoder, "embed", broken)
    with pytest.raises(EncoderError):
        await collect(stream([submission(1, jpeg)]), collection, encoder)
    assert collection.products == {}


async def test_a_failing_index_ends_the_ingest_and_leaves_no_task(jpeg: bytes) -> None:
    """The error reaches the caller, and what was under way is ended."""
    slow = SlowCollection(VERSION, error=VectorIndexError())
    before = asyncio.all_tasks()
    with pytest.raises(VectorIndexError):
        await collect(stream([submission(i, jpeg) for i in range(200)]), slow)
    assert asyncio.all_tasks() == before


async def test_a_caller_that_leaves_ends_the_ingest(jpeg: bytes) -> None:
    """Closing the outcomes stops reading and writing."""
    slow = SlowCollection(VERSION)
    before = asyncio.all_tasks()
    outcomes = ingest(
        stream([submission(i, jpeg) for i in range(1_000)]), encoder=FakeEncoder(), target=Target(writer=slow)
    )
    assert len((await anext(outcomes)).written) == MAX_BATCH_SIZE
    await outcomes.aclose()
    assert asyncio.all_tasks() == before
    assert len(slow.products) < 1_000
