"""What the load is made of: products to write and queries to ask, each with its vectors, read before any fault."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np

from benchmarks.workloads import Material as Words
from benchmarks.workloads import text_requests
from catalogue.readers.opening import open_catalogue
from gateway.adapters.triton import open_triton
from gateway.model import EncoderInputs
from tests.chaos.oracle import ExactIndex, Held, Vector, Vectors
from vitrine.client import VitrineClient
from vitrine.domain.filters import Filter
from vitrine.domain.messages import product_message, read_filter, read_product
from vitrine.domain.product import Product
from vitrine.domain.schema_files import shipped_schema
from vitrine.filter_text import parse_filter
from vitrine.v1 import catalogue_pb2, search_pb2

EMBED_S = 30.0
_READS = 8
BATCH = 16
LIMIT = 10

FILTERS = (
    "",
    "",
    "",
    "category=dress",
    "price<60",
    "not colour=black",
    "price 20..90 and not category=shoes",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """A product but for its id, with what the encoders make of it."""

    product: Product
    picture: bytes
    vectors: Vectors


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A search, and the vector that its words or picture have."""

    request: search_pb2.SearchRequest
    vector: Vector
    filters: Filter | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """Everything that is written and asked."""

    contents: Sequence[Content]
    questions: Sequence[Question]
    rewritten: Sequence[search_pb2.SearchRequest]
    """Searches whose words the rewriter reads."""


async def prepare(
    address: str, triton: str, catalogue: Path, *, products: int, texts: int, seed: int
) -> tuple[Material, ExactIndex]:
    """Fill the index, and return what the load is made of and the exact index of what was written."""
    index = ExactIndex()
    async with VitrineClient(address, timeout_s=EMBED_S) as client:
        contents = await _write(client, catalogue, products, index)
    questions = await _questions(triton, catalogue, texts, Random(seed))
    plain = Random(seed + 1)
    rewritten = [
        search_pb2.SearchRequest(
            text=request.text, limit=LIMIT, rewrite=search_pb2.REWRITE_MODE_AUTO, locale="en"
        )
        for request, _ in zip(text_requests(Words([], []), plain), range(texts), strict=False)
    ]
    return Material(contents=contents, questions=questions, rewritten=rewritten), index


async def _write(client: VitrineClient, catalogue: Path, products: int, index: ExactIndex) -> list[Content]:
    """Write the first products of a catalogue; return them with their vectors, and note them in the exact index."""
    schema = shipped_schema()
    sent: list[tuple[Product, bytes]] = []
    for row in open_catalogue(catalogue).rows:
        if len(sent) == products:
            break
        assert not hasattr(row, "reason"), row
        picture = row.pictures[0].path.read_bytes() if row.pictures else b""  # type: ignore[union-attr]
        sent.append((row.product, picture))  # type: ignore[union-attr]

    async def inputs() -> AsyncIterator[catalogue_pb2.ProductInput]:
        for product, picture in sent:
            yield catalogue_pb2.ProductInput(product=product_message(product, schema), image=picture)

    async for _ in client.upsert(inputs(), rebuild=True):
        pass
    reads = asyncio.Semaphore(_READS)

    async def read(product_id: str) -> catalogue_pb2.GetProductResponse:
        async with reads:
            return await client.get_product(product_id)

    answers = await asyncio.gather(*(read(product.id) for product, _ in sent))
    contents = []
    for (product, picture), answer in zip(sent, answers, strict=True):
        images = np.frombuffer(answer.image_embedding, "<f4")
        text = np.frombuffer(answer.text_embedding, "<f4")
        vectors = Vectors(images=images.reshape(-1, len(text)), text=text)
        stored = read_product(answer.product, schema)
        contents.append(Content(product=stored, picture=picture, vectors=vectors))
        index.held[product.id] = Held(product=stored, vectors=vectors, sent=0.0, acknowledged=0.0)
    return contents


async def _questions(triton: str, catalogue: Path, texts: int, rng: Random) -> list[Question]:
    """Return searches by words and by pictures."""
    requests = []
    words = text_requests(Words([], []), rng)
    pictures = [path.read_bytes() for path in sorted((catalogue / "queries").glob("*.jpg"))[:BATCH]]
    for number in range(texts):
        filters = FILTERS[number % len(FILTERS)]
        request = search_pb2.SearchRequest(limit=LIMIT, rewrite=search_pb2.REWRITE_MODE_OFF)
        request.weights.text, request.weights.image = 0.5, 0.5
        if filters:
            request.filter.CopyFrom(parse_filter(filters))
        if number % 4 == 3 and pictures:
            request.image = pictures[number // 4 % len(pictures)]
        else:
            request.text = next(words).text
        requests.append(request)
    vectors: list[Vector] = []
    async with open_triton(triton) as encoder:
        for request in requests:
            inputs = (
                EncoderInputs(images=[request.image])
                if request.image
                else EncoderInputs(texts=[request.text])
            )
            vectors.append((await encoder.embed(inputs, timeout_s=EMBED_S)).rows[0])
    return [
        Question(
            request=request,
            vector=vector,
            filters=read_filter(request.filter) if request.HasField("filter") else None,
        )
        for request, vector in zip(requests, vectors, strict=True)
    ]
