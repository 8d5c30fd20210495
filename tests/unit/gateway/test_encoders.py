"""What computed a vector is held against the index with every inference, and the pair of both changes as one."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import grpc
import numpy as np
import pytest
from grpc import aio

from gateway.encoders import Encoders
from gateway.errors import EncoderError, EncodersExchanged, FailedPrecondition
from gateway.model import Embedded, EncoderInputs, IndexVersion, StoredProduct
from gateway.testing import (
    MANIFEST,
    FakeCollection,
    FakeEncoder,
    FakeIndex,
    ServedGateway,
    product,
    send_products,
    serving,
)
from vitrine.client import VitrineClient
from vitrine.commands.restore import reason_to_stay
from vitrine.tensors import EMBEDDING_DIM
from vitrine.v1 import catalogue_pb2, catalogue_pb2_grpc, search_pb2, search_pb2_grpc

RED = EncoderInputs(texts=["red dress"])
PRODUCTS = [product("red", "red dress"), product("blue", "blue hat"), product("green", "green bag")]
NEW = "new"


@dataclass
class ClaimingEncoder(FakeEncoder):
    """Computes under the digests of `computes`, one a call, whatever it says that it serves; then under its own."""

    computes: list[str] = field(default_factory=list)

    async def embed(self, inputs: EncoderInputs, *, timeout_s: float) -> Embedded:
        """As FakeEncoder."""
        embedded = await super().embed(inputs, timeout_s=timeout_s)
        return replace(embedded, manifest=self.computes.pop(0)) if self.computes else embedded


@dataclass
class SwappingIndex(FakeIndex):
    """Puts another collection in use just before it is asked for a product."""

    swaps_to: FakeCollection | None = None

    async def get(self, ids: Sequence[str], *, manifest: str = "", timeout_s: float) -> list[StoredProduct]:
        """As FakeIndex."""
        if self.swaps_to is not None:
            self.in_use, self.swaps_to = self.swaps_to, None
        return await super().get(ids, manifest=manifest, timeout_s=timeout_s)


def opposite(index: FakeIndex) -> FakeCollection:
    """Make what a rebuild with encoders of the opposite vectors makes of the index."""
    assert index.in_use is not None
    version = IndexVersion(
        collection="opposite", manifest=NEW, embedding_dim=EMBEDDING_DIM, schema=index.in_use.version.schema
    )
    products = {}
    for each in index.in_use.products.values():
        assert each.image_embeddings is not None
        assert each.text_embedding is not None
        products[each.id] = replace(
            each, image_embeddings=-each.image_embeddings, text_embedding=-each.text_embedding
        )
    return FakeCollection(version, products=products)


def both() -> dict[str, Any]:
    """Give two sets of encoders side by side, the new ones with the opposite vectors."""
    return {"encoder": FakeEncoder(), "next_encoder": FakeEncoder(digest=NEW, sign=-1)}


async def found(gateway: ServedGateway, **asked: str) -> search_pb2.SearchResponse:
    """Search without the rewriter."""
    request = search_pb2.SearchRequest(limit=1, rewrite=search_pb2.REWRITE_MODE_OFF, **asked)  # type: ignore[arg-type]
    return await search_pb2_grpc.SearchServiceStub(gateway.channel).Search(request, timeout=60)


async def test_the_encoders_of_a_manifest_are_found_at_either_address() -> None:
    """Each is asked by its manifest; the newest is the last address."""
    encoders = Encoders([FakeEncoder(), FakeEncoder(digest=NEW, sign=-1)])
    assert (await encoders.newest(timeout_s=60)).manifest == NEW
    by_old = (await encoders.embed(RED, manifest=MANIFEST, timeout_s=60)).rows
    by_new = (await (await encoders.of(NEW, timeout_s=60)).encoder.embed(RED, timeout_s=60)).rows
    np.testing.assert_array_equal(by_old, -by_new)
    assert await encoders.answering(timeout_s=60) == (MANIFEST, NEW)
    with pytest.raises(FailedPrecondition, match="serve, but encoders other made the index: run `vitrine"):
        await encoders.embed(RED, manifest="other", timeout_s=60)


async def test_an_address_that_does_not_answer_costs_the_others_nothing() -> None:
    """Encoders that are found are used at once; a rebuild is not made with others than were asked for."""
    hanging = FakeEncoder(digest=NEW, delay_s=60)
    encoders = Encoders([FakeEncoder(), hanging])
    async with asyncio.timeout(30):
        await encoders.embed(RED, manifest=MANIFEST, timeout_s=50)
    hanging.delay_s, hanging.error = 0, EncoderError()
    with pytest.raises(EncoderError):
        await encoders.newest(timeout_s=60)
    assert (await encoders.first(timeout_s=60)).manifest == MANIFEST
    with pytest.raises(EncoderError):
        await encoders.of(NEW, timeout_s=60)
    assert await encoders.answering(timeout_s=60) == (MANIFEST,)


async def test_several_sets_behind_one_address_are_asked_once_more() -> None:
    """One answer of other encoders is thrown away; two end the call, so that nothing of them is used."""
    mixed = ClaimingEncoder(computes=[NEW])
    encoders = Encoders([mixed])
    assert (await encoders.embed(RED, manifest=MANIFEST, timeout_s=60)).manifest == MANIFEST
    for computes in ([NEW, NEW], ["", ""]):
        mixed.computes = computes
        with pytest.raises(EncodersExchanged):
            await encoders.embed(RED, manifest=MANIFEST, timeout_s=60)


async def test_encoders_exchanged_without_warning_answer_nothing_and_are_not_remembered() -> None:
    """The first search after it is refused already; when they are back, the same words are answered rightly."""
    encoder = FakeEncoder()
    async with serving(products=PRODUCTS, encoder=encoder) as gateway:
        assert (await found(gateway, text="blue hat")).hits[0].product_id == "blue"
        encoder.digest, encoder.sign = NEW, -1
        with pytest.raises(aio.AioRpcError, match="vitrine index --rebuild PATH") as caught:
            await found(gateway, text="red dress")
        assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        encoder.digest, encoder.sign = MANIFEST, 1
        assert (await found(gateway, text="red dress")).hits[0].product_id == "red"


async def test_index_and_encoders_are_swapped_as_one_and_put_back_as_one() -> None:
    """The encoders of the index in use answer, also in a search that was under way when it was swapped."""
    index, encoders = FakeIndex.holding(PRODUCTS), both()
    before, after = index.in_use, opposite(index)
    async with serving(index=index, **encoders) as gateway:
        for collection in (before, after, before):
            index.in_use = collection
            answer = await found(gateway, text="red dress")
            assert collection is not None
            assert (answer.hits[0].product_id, answer.versions.model) == ("red", collection.version.manifest)
            assert answer.hits[0].parts.text > 0.9
        old = encoders["encoder"]
        old.delay_s = 0.2
        under_way = asyncio.create_task(found(gateway, text="green bag"))
        while not any(call.texts == ["green bag"] for call in old.embed_calls):  # noqa: ASYNC110 - in the gateway
            await asyncio.sleep(0.005)
        index.in_use = after
        answer = await under_way
        assert (answer.hits[0].product_id, answer.versions.model) == ("green", NEW)
        assert answer.hits[0].parts.text > 0.9


async def test_after_a_roll_back_the_index_before_is_put_back_and_served() -> None:
    """With the older encoders alone searches are refused until `vitrine restore --if-unserved`, which then changes nothing."""
    index = FakeIndex.holding(PRODUCTS)
    index.before, index.in_use = index.in_use, opposite(index)
    async with serving(index=index) as gateway, VitrineClient(gateway.address) as client:
        with pytest.raises(aio.AioRpcError, match="vitrine index --rebuild PATH"):
            await found(gateway, text="red dress")
        assert await reason_to_stay(client) == ""
        await client.restore_index()
        answer = await found(gateway, text="red dress")
        assert (answer.hits[0].product_id, answer.versions.model) == ("red", MANIFEST)
        assert (await reason_to_stay(client)).endswith("is of encoders that serve: it stays")


async def test_a_product_read_across_a_swap_is_not_remembered_for_the_index_before() -> None:
    """Its vector belongs to the index that it was read from: put back, the one before answers with its own."""
    index = SwappingIndex(FakeIndex.holding(PRODUCTS).in_use)
    before, after = index.in_use, opposite(index)
    async with serving(index=index, **both()) as gateway:
        expected = await found(gateway, product_id="red", text="green bag")
    async with serving(index=index, **both()) as gateway:
        index.swaps_to = after
        assert (await found(gateway, product_id="red", text="green bag")).versions.model == NEW
        index.in_use = before
        put_back = await found(gateway, product_id="red", text="green bag")
    assert put_back.versions.model == MANIFEST
    assert list(put_back.hits) == list(expected.hits)


def upsert(product_id: str) -> catalogue_pb2.UpsertProductsRequest:
    """Ask for a product of words alone to be written."""
    request = catalogue_pb2.UpsertProductsRequest()
    request.product.product.id = product_id
    request.product.product.title = "a red dress"
    return request


async def test_an_ingest_never_writes_what_other_encoders_computed() -> None:
    """Exchanged while a stream is open, they end it with a clear status; what was acknowledged before is there."""
    encoder, index = FakeEncoder(), FakeIndex()
    async with serving(index=index, encoder=encoder) as gateway:
        acknowledged = asyncio.Event()

        async def requests() -> AsyncIterator[catalogue_pb2.UpsertProductsRequest]:
            yield upsert("before")
            await acknowledged.wait()
            encoder.digest, encoder.sign = NEW, -1
            yield upsert("after")

        call = catalogue_pb2_grpc.CatalogueServiceStub(gateway.channel).UpsertProducts(requests(), timeout=60)
        assert (await call.read()).written == 1  # type: ignore[attr-defined]
        acknowledged.set()
        with pytest.raises(aio.AioRpcError, match="encoders new serve, but encoders manifest-of") as caught:
            await call.read()
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert index.in_use is not None
    assert set(index.in_use.products) == {"before"}


async def test_products_are_written_by_the_encoders_of_the_index_and_rebuilds_by_the_newest() -> None:
    """With two sets side by side an ingest belongs to the index in use, until a rebuild for the other is swapped in."""
    index = FakeIndex.holding([product("a", "a red dress")])
    rebuild = catalogue_pb2.UpsertProductsRequest(
        options=catalogue_pb2.UpsertOptions(rebuild=True, source="test")
    )
    async with serving(index=index, **both()) as gateway:
        await send_products(gateway, [upsert("b")])
        assert index.in_use is not None
        assert (index.in_use.version.manifest, set(index.in_use.products)) == (MANIFEST, {"a", "b"})
        written = index.in_use.products["b"].text_embedding
        await send_products(gateway, [rebuild, upsert("b")])
        assert (index.in_use.version.manifest, set(index.in_use.products)) == (NEW, {"b"})
        rebuilt = index.in_use.products["b"].text_embedding
    assert written is not None
    assert rebuilt is not None
    np.testing.assert_array_equal(written, -rebuilt)


async def test_describe_tells_which_encoders_serve() -> None:
    """Both while both answer, none while none does; the index is described all the same."""
    encoders = both()
    async with serving(products=PRODUCTS, **encoders) as gateway:
        stub = catalogue_pb2_grpc.CatalogueServiceStub(gateway.channel)
        answer = await stub.Describe(catalogue_pb2.DescribeRequest(), timeout=60)
        assert (list(answer.encoders), answer.versions.model) == ([MANIFEST, NEW], MANIFEST)
        for each in encoders.values():
            each.error = EncoderError()
        answer = await stub.Describe(catalogue_pb2.DescribeRequest(), timeout=60)
        assert (list(answer.encoders), answer.products) == ([], len(PRODUCTS))
