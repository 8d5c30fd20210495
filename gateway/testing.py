"""Fakes that obey the ports' contracts, and a gateway on loopback: for tests of this service and of its callers.

async with serving(products=[product("p1", "red dress")]) as gateway:
    stub = SearchServiceStub(gateway.channel)
    answer = await stub.Search(SearchRequest(text="red dress"))
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from grpc import aio
from numpy.typing import NDArray

from gateway.adapters.memory_sessions import memory_sessions
from gateway.assembly import Dependencies, serving_gateway
from gateway.conversation.sessions import SessionStore
from gateway.edge.interceptors import Edge
from gateway.errors import DeadlineExceeded, FailedPrecondition, InvalidQuery, SearchError
from gateway.metrics import Metrics
from gateway.model import (
    AllOf,
    AnyOf,
    Embedding,
    EncoderInputs,
    Equals,
    FieldSummary,
    Filter,
    Hit,
    IndexSummary,
    IndexVersion,
    Not,
    OneOf,
    Range,
    StoredProduct,
    Weights,
)
from gateway.ports import Rewriter, RewriterUnavailable
from gateway.settings import Settings
from vitrine.preprocess import ImageRejected, inspect_image
from vitrine.tensors import EMBEDDING_DIM
from vitrine.v1 import rewrite_pb2

MANIFEST = "manifest-of-the-fakes"
PATIENT = Settings(
    rewrite_budget_ms=30_000,
    rewrite_budget_floor_ms=30_000,
    converse_budget_ms=30_000,
    converse_budget_floor_ms=30_000,
    recall_timeout_ms=30_000,
)
"""On a busy machine a fake is late too, and few tests are about that."""

TEXT_FIELDS = ("category", "colour", "pattern", "brand")


def embed_words(text: str) -> Embedding:
    """Give the sum of a fixed direction for each word, L2-normalised: shared words make texts similar."""
    return _normalised(sum((_direction(word.encode()) for word in text.casefold().split()), _direction(b"")))


def embed_picture(image: bytes) -> Embedding:
    """Give a fixed direction for these bytes, L2-normalised."""
    return _direction(image)


def product(product_id: str, title: str, *, image: bytes = b"", **fields: str | float) -> StoredProduct:
    """Give a product with the embeddings that the fake encoder would give its picture and its title."""
    values: dict[str, str | float] = {
        "category": "dress", "colour": "red", "pattern": "plain", "brand": "acme", "price": 10.0, "image_uri": "",
    }  # fmt: skip
    return StoredProduct(
        id=product_id,
        title=title,
        image_embedding=embed_picture(image or product_id.encode()),
        text_embedding=embed_words(title),
        digest=hashlib.sha256(f"{title}{fields}".encode() + image).hexdigest(),
        **{**values, **fields},  # type: ignore[arg-type] # the caller names the fields of StoredProduct
    )


@dataclass
class FakeEncoder:
    """Embeds words and pictures by their hashes; counts its calls."""

    digest: str = MANIFEST
    error: SearchError | None = None
    delay_s: float = 0.0
    embed_calls: list[EncoderInputs] = field(default_factory=list)
    cancelled: int = 0

    async def embed(self, inputs: EncoderInputs, *, timeout_s: float) -> Embedding:
        """Give (n, EMBEDDING_DIM); a composed row is the normalised sum of its parts."""
        self.embed_calls.append(inputs)
        try:
            await _work(self.delay_s, timeout_s, self.error)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        parts: list[Embedding] = []
        if inputs.texts is not None:
            parts.append(np.stack([embed_words(text) for text in inputs.texts]))
        if inputs.images is not None:
            parts.append(np.stack([_decoded(image) for image in inputs.images]))
        if inputs.references is not None:
            parts.append(inputs.references)
        return np.stack([_normalised(row) for row in np.sum(parts, axis=0)])

    async def manifest(self, *, timeout_s: float) -> str:
        """Give `digest`."""
        await _work(self.delay_s, timeout_s, self.error)
        return self.digest

    async def embedding_dim(self, *, timeout_s: float) -> int:
        """Give EMBEDDING_DIM."""
        await _work(self.delay_s, timeout_s, self.error)
        return EMBEDDING_DIM


@dataclass
class FakeRewriter:
    """Answers with what `answer` gives."""

    answer: Callable[[rewrite_pb2.RewriteRequest], rewrite_pb2.Rewrite]
    fails: bool = False
    delay_s: float = 0.0
    version: str = ""
    requests: list[rewrite_pb2.RewriteRequest] = field(default_factory=list)

    async def rewrite(
        self, request: rewrite_pb2.RewriteRequest, *, timeout_s: float
    ) -> rewrite_pb2.RewriteResponse:
        """Give the answer; fails and dawdles as it was told to."""
        self.requests.append(request)
        if self.delay_s > timeout_s:
            await asyncio.sleep(timeout_s)
            raise DeadlineExceeded("the fake did not answer in time")
        await asyncio.sleep(self.delay_s)
        if self.fails:
            raise RewriterUnavailable
        return rewrite_pb2.RewriteResponse(rewrite=self.answer(request), model_version=self.version)


@dataclass
class FakeCollection:
    """A collection in memory; writes are durable at once."""

    version: IndexVersion
    source: str = ""
    products: dict[str, StoredProduct] = field(default_factory=dict)

    async def digests(self, ids: Sequence[str]) -> dict[str, str]:
        """Give the digests of those products that are there."""
        return {i: self.products[i].digest for i in ids if i in self.products}

    async def upsert(self, products: Sequence[StoredProduct]) -> None:
        """Write products."""
        self.products.update({product.id: product for product in products})

    async def delete(self, ids: Sequence[str]) -> int:
        """Delete products; give how many there were."""
        return sum(self.products.pop(i, None) is not None for i in set(ids))

    async def retain(self, ids: Collection[str]) -> int:
        """Delete every product but these; give how many there were."""
        return await self.delete([i for i in self.products if i not in ids])

    async def seal(self) -> int:
        """Give the number of products."""
        return len(self.products)


@dataclass
class FakeIndex:
    """Exact search over collections in memory; implements VectorIndex and IndexAdministrator."""

    in_use: FakeCollection | None = None
    error: SearchError | None = None
    delay_s: float = 0.0
    building: FakeCollection | None = None
    built: int = 0
    search_calls: int = 0
    get_calls: int = 0

    @classmethod
    def holding(cls, products: Iterable[StoredProduct], *, manifest: str = MANIFEST) -> "FakeIndex":
        """Give an index with a collection of these products."""
        version = IndexVersion(collection="fake-0", manifest=manifest, embedding_dim=EMBEDDING_DIM)
        return cls(FakeCollection(version, products={product.id: product for product in products}))

    async def search(
        self,
        embedding: Embedding,
        *,
        text_embedding: Embedding | None = None,
        weights: Weights,
        filters: Filter | None,
        limit: int,
        timeout_s: float,
    ) -> list[Hit]:
        """Rank all products that the filter lets through."""
        self.search_calls += 1
        collection = await self._collection(timeout_s)
        asked_of_text = embedding if text_embedding is None else text_embedding
        hits = [
            _scored(product, embedding, asked_of_text, weights)
            for product in collection.products.values()
            if filters is None or matches(filters, product)
        ]
        return sorted(hits, key=lambda hit: -hit.score)[:limit]

    async def get(self, ids: Sequence[str], *, timeout_s: float) -> list[StoredProduct]:
        """Give the products that exist."""
        self.get_calls += 1
        collection = await self._collection(timeout_s)
        return [collection.products[i] for i in ids if i in collection.products]

    async def count(self, filters: Filter, *, timeout_s: float) -> int:
        """Count the products that fulfil the condition."""
        collection = await self._collection(timeout_s)
        return sum(matches(filters, product) for product in collection.products.values())

    async def version(self, *, timeout_s: float) -> IndexVersion:
        """Name the collection in use."""
        return (await self._collection(timeout_s)).version

    async def describe(self, *, timeout_s: float) -> IndexSummary:
        """Describe the collection in use."""
        collection = await self._collection(timeout_s)
        products = list(collection.products.values())
        fields = [FieldSummary(name=name, values=_by_frequency(products, name)) for name in TEXT_FIELDS]
        prices = [product.price for product in products] or [0.0]
        fields.append(FieldSummary(name="price", minimum=min(prices), maximum=max(prices)))
        return IndexSummary(version=collection.version, products=len(products), fields=tuple(fields))

    async def current(self, manifest: str, *, embedding_dim: int = EMBEDDING_DIM) -> FakeCollection:
        """Open the collection in use, made on first use."""
        if self.in_use is None:
            self.in_use = FakeCollection(self._new_version(manifest, embedding_dim))
        if self.in_use.version.manifest != manifest:
            raise FailedPrecondition("other encoders made the index: vitrine index --rebuild PATH")
        return self.in_use

    async def build(
        self, manifest: str, source: str, *, embedding_dim: int = EMBEDDING_DIM
    ) -> FakeCollection:
        """Open a new collection, or the unfinished one of the same manifest and source."""
        unfinished = self.building
        if unfinished is None or (unfinished.version.manifest, unfinished.source) != (manifest, source):
            self.building = FakeCollection(self._new_version(manifest, embedding_dim), source=source)
        assert self.building is not None
        return self.building

    async def promote(self, version: IndexVersion) -> None:
        """Make the built collection the one in use."""
        assert self.building is not None and self.building.version == version, "build it first"  # noqa: PT018 - no test
        self.in_use, self.building = self.building, None

    def _new_version(self, manifest: str, embedding_dim: int) -> IndexVersion:
        self.built += 1
        return IndexVersion(collection=f"fake-{self.built}", manifest=manifest, embedding_dim=embedding_dim)

    async def _collection(self, timeout_s: float) -> FakeCollection:
        await _work(self.delay_s, timeout_s, self.error)
        if self.in_use is None:
            raise FailedPrecondition("no index yet: vitrine index PATH")
        return self.in_use


def matches(node: Filter, product: StoredProduct) -> bool:
    """Say whether the product fulfils the condition."""
    match node:
        case Equals(name, value):
            return bool(getattr(product, name) == value)
        case OneOf(name, values):
            return getattr(product, name) in values
        case Range():
            return _in_range(node, getattr(product, node.field))
        case AllOf(parts):
            return all(matches(part, product) for part in parts)
        case AnyOf(parts):
            return any(matches(part, product) for part in parts)
        case Not(part):
            return not matches(part, product)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedGateway:
    """A gateway that serves, and a channel to it."""

    address: str
    channel: aio.Channel
    metrics: Metrics
    edge: Edge


@asynccontextmanager
async def serving(
    *,
    products: Iterable[StoredProduct] = (),
    encoder: FakeEncoder | None = None,
    index: FakeIndex | None = None,
    rewriter: Rewriter | None = None,
    sessions: SessionStore | None = None,
    settings: Settings | None = None,
) -> AsyncIterator[ServedGateway]:
    """Serve a gateway over the fakes on a free port of loopback; without settings, one that is patient with the rewriter."""
    index = FakeIndex.holding(products) if index is None else index
    settings = replace(settings or PATIENT, listen="127.0.0.1:0")
    dependencies = Dependencies(
        encoder=FakeEncoder() if encoder is None else encoder,
        index=index,
        administrator=index,
        rewriter=rewriter,
        sessions=sessions or memory_sessions(settings),
    )
    async with serving_gateway(settings, dependencies) as gateway:
        address = f"127.0.0.1:{gateway.port}"
        # A channel of its own: otherwise channels to equal ports of different tests share their connections.
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_send_message_length", -1)]
        async with aio.insecure_channel(address, options=options) as channel:
            yield ServedGateway(address=address, channel=channel, metrics=gateway.metrics, edge=gateway.edge)


async def _work(delay_s: float, timeout_s: float, error: SearchError | None) -> None:
    if delay_s > timeout_s:
        await asyncio.sleep(timeout_s)
        raise DeadlineExceeded("the fake did not answer in time")
    await asyncio.sleep(delay_s)
    if error is not None:
        raise error


def _direction(data: bytes) -> Embedding:
    seed = int.from_bytes(hashlib.sha256(data).digest()[:8], "little")
    return _normalised(np.random.default_rng(seed).standard_normal(EMBEDDING_DIM))


def _normalised(vector: NDArray[Any]) -> Embedding:
    normalised: Embedding = (vector / np.linalg.norm(vector)).astype(np.float32)
    return normalised


def _decoded(image: bytes) -> Embedding:
    try:
        inspect_image(image)
    except ImageRejected as error:
        raise InvalidQuery("image", error.reason) from None
    return embed_picture(image)


def _scored(product: StoredProduct, image: Embedding, text: Embedding, weights: Weights) -> Hit:
    assert product.image_embedding is not None
    assert product.text_embedding is not None
    image_score = float(product.image_embedding @ image)
    text_score = float(product.text_embedding @ text)
    return Hit(
        product=product,
        score=weights.text * text_score + weights.image * image_score,
        text_score=text_score,
        image_score=image_score,
    )


def _by_frequency(products: Sequence[StoredProduct], name: str) -> tuple[str, ...]:
    values = [getattr(product, name) for product in products]
    return tuple(sorted(set(values) - {""}, key=lambda value: (-values.count(value), value))[:256])


def _in_range(node: Range, value: float) -> bool:
    above = (
        node.minimum is None or value > node.minimum or (value == node.minimum and not node.exclusive_minimum)
    )
    below = (
        node.maximum is None or value < node.maximum or (value == node.maximum and not node.exclusive_maximum)
    )
    return above and below
