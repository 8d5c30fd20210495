"""Products into a collection: batch by batch, each embedded and written unless the collection holds it already.

    submissions -> batches -> digests known? -> pictures, then titles embedded -> written -> outcome

A few batches are under way at once, so that Triton has something to batch; their outcomes come in order, and the
next batch is read only when there is room for it. Whoever is cut off begins again from the start: what was written
is recognised by its digest and costs one look-up a batch.
"""

import asyncio
import hashlib
import json
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

import numpy as np

from gateway.errors import DeadlineExceeded, EncoderError, InvalidQuery, Overloaded
from gateway.model import Embedding, EncoderInputs, StoredProduct
from gateway.ports import CollectionWriter, Encoder
from vitrine.tensors import MAX_BATCH_SIZE

MAX_BATCH_BYTES = 16_000_000
"""Of a batch's pictures; the last one may exceed it."""

MAX_RUNNING = 4
"""Batches under way, so that one is written while others are embedded. Bounds the memory of an ingest, with the two
limits of a batch, at 120 MB of pictures."""

LINGER_S = 0.1
"""A batch that is not full waits this long for its next product."""

EMBED_TIMEOUT_S = 30.0

# Searches go first: an ingest that finds the encoder's queue full, or that waited in it for too long, pauses and
# asks again. A busy machine makes an ingest slower and does not end it.
_RETRY_PAUSES_S = (0.2, 0.8, 3.2, 12.8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A product to be written, its picture and fields checked at the door."""

    product: StoredProduct
    image: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A product that is not written, with the field that breaks a rule."""

    product_id: str
    field: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a batch; what is written or unchanged is durable."""

    written: tuple[str, ...] = ()
    """Ids."""
    unchanged: tuple[str, ...] = ()
    """Ids of products that the collection held already, exactly so."""
    refusals: tuple[Refusal, ...] = ()


@dataclass(slots=True)
class _Batch:
    submissions: dict[str, Submission] = field(default_factory=dict)
    refusals: list[Refusal] = field(default_factory=list)
    image_bytes: int = 0

    def __len__(self) -> int:
        return len(self.submissions) + len(self.refusals)

    @property
    def full(self) -> bool:
        return len(self) >= MAX_BATCH_SIZE or self.image_bytes >= MAX_BATCH_BYTES

    def add(self, item: Submission | Refusal) -> None:
        if isinstance(item, Refusal):
            self.refusals.append(item)
            return
        self.submissions[item.product.id] = item
        self.image_bytes += len(item.image)

    def shares_a_product_with(self, other: "_Batch") -> bool:
        return bool(self.submissions.keys() & other.submissions.keys())


class _Window:
    """The batch that is being collected, and those that are being written, oldest first."""

    def __init__(self, encoder: Encoder, writer: CollectionWriter) -> None:
        self._encoder = encoder
        self._writer = writer
        self._batch = _Batch()
        self._running: deque[tuple[_Batch, asyncio.Task[Outcome]]] = deque()

    @property
    def empty(self) -> bool:
        return not self._batch and not self._running

    @property
    def due(self) -> bool:
        """Whether the oldest batch should be waited for: it has ended, or there is no room for another."""
        return bool(self._running) and (len(self._running) > MAX_RUNNING or self._running[0][1].done())

    def take(self, item: Submission | Refusal | None) -> None:
        """Collect the item; None says that no other comes for now."""
        if isinstance(item, Submission) and item.product.id in self._batch.submissions:
            self.start()
        if item is not None:
            self._batch.add(item)
        if item is None or self._batch.full:
            self.start()

    def start(self) -> None:
        """Begin to write what was collected."""
        batch, self._batch = self._batch, _Batch()
        if batch:
            before = [task for other, task in self._running if other.shares_a_product_with(batch)]
            task = asyncio.create_task(_write(batch, before, self._encoder, self._writer))
            self._running.append((batch, task))

    async def outcomes(self, *, until_empty: bool = False) -> AsyncGenerator[Outcome, None]:
        """Give the outcomes that are due, or all."""
        while self.due or (until_empty and self._running):
            _, oldest = self._running[0]
            outcome = await oldest
            self._running.popleft()
            yield outcome

    async def cancel(self) -> None:
        """End what is being written."""
        tasks = [task for _, task in self._running]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def ingest(
    items: AsyncIterator[Submission | Refusal], *, encoder: Encoder, writer: CollectionWriter
) -> AsyncGenerator[Outcome, None]:
    """Write the submissions and pass the refusals on; every item is in exactly one outcome.

    Products of one id are written in the order in which they came.

    Raises:
        DependencyError: the encoder or the index failed; outcomes given so far stand.
    """
    window = _Window(encoder, writer)
    try:
        async with aclosing(_with_pauses(items, busy=lambda: not window.empty)) as paced:
            async for item in paced:
                window.take(item)
                async for outcome in window.outcomes():
                    yield outcome
        window.start()
        async for outcome in window.outcomes(until_empty=True):
            yield outcome
    finally:
        await window.cancel()


def digest(submission: Submission, manifest: str) -> str:
    """Give the SHA-256 of everything that is indexed: the fields, the picture and the encoders."""
    product = submission.product
    identity = [
        manifest,
        product.id,
        product.title,
        product.category,
        product.colour,
        product.pattern,
        product.brand,
        product.price,
        product.image_uri,
        sorted(product.attributes.items()),
        hashlib.sha256(submission.image).hexdigest(),
    ]
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()


async def _with_pauses(
    items: AsyncIterator[Submission | Refusal], *, busy: Callable[[], bool]
) -> AsyncGenerator[Submission | Refusal | None, None]:
    """Give the items, and None whenever none came for LINGER_S while there is work to be seen to."""
    reading = asyncio.create_task(_next(items))
    try:
        while True:
            done, _ = await asyncio.wait([reading], timeout=LINGER_S if busy() else None)
            if not done:
                yield None
                continue
            item = reading.result()
            if item is None:
                return
            reading = asyncio.create_task(_next(items))
            yield item
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


async def _next(items: AsyncIterator[Submission | Refusal]) -> Submission | Refusal | None:
    return await anext(items, None)


async def _write(
    batch: _Batch, before: Sequence[asyncio.Task[Outcome]], encoder: Encoder, writer: CollectionWriter
) -> Outcome:
    if before:
        await asyncio.wait(before)
    submissions = list(batch.submissions.values())
    if not submissions:
        return Outcome(refusals=tuple(batch.refusals))
    digests = await asyncio.to_thread(_digests, submissions, writer.version.manifest)
    known = await writer.digests(list(digests))
    changed = [item for item in submissions if known.get(item.product.id) != digests[item.product.id]]
    products, refusals = await _embed(changed, encoder)
    if products:
        await writer.upsert([replace(product, digest=digests[product.id]) for product in products])
    return Outcome(
        written=tuple(product.id for product in products),
        unchanged=tuple(product_id for product_id in digests if known.get(product_id) == digests[product_id]),
        refusals=(*batch.refusals, *refusals),
    )


def _digests(submissions: Sequence[Submission], manifest: str) -> dict[str, str]:
    return {item.product.id: digest(item, manifest) for item in submissions}


async def _embed(
    submissions: Sequence[Submission], encoder: Encoder
) -> tuple[list[StoredProduct], list[Refusal]]:
    """Give the products with both embeddings, and a refusal for each whose picture cannot be decoded."""
    pictures = await _embed_pictures(submissions, encoder)
    refusals = [
        Refusal(product_id=item.product.id, field="image", reason=picture.reason)
        for item, picture in zip(submissions, pictures, strict=True)
        if isinstance(picture, InvalidQuery)
    ]
    pairs = [
        (item.product, picture)
        for item, picture in zip(submissions, pictures, strict=True)
        if not isinstance(picture, InvalidQuery)
    ]
    if not pairs:
        return [], refusals
    titles = await _ask(encoder, EncoderInputs(texts=[product.title for product, _ in pairs]))
    products = [
        replace(product, image_embedding=picture, text_embedding=title)
        for (product, picture), title in zip(pairs, titles, strict=True)
    ]
    return products, refusals


async def _embed_pictures(
    submissions: Sequence[Submission], encoder: Encoder
) -> list[Embedding | InvalidQuery]:
    """Give the embedding of each picture, or why it has none; a batch that is refused is halved until that is known."""
    if not submissions:
        return []
    try:
        return list(await _ask(encoder, EncoderInputs(images=[item.image for item in submissions])))
    except InvalidQuery as error:
        if len(submissions) == 1:
            return [error]
    middle = len(submissions) // 2
    return [
        *await _embed_pictures(submissions[:middle], encoder),
        *await _embed_pictures(submissions[middle:], encoder),
    ]


async def _ask(encoder: Encoder, inputs: EncoderInputs) -> Embedding:
    for pause_s in _RETRY_PAUSES_S:
        try:
            return await _ask_once(encoder, inputs)
        except (DeadlineExceeded, Overloaded, EncoderError):
            await asyncio.sleep(pause_s)
    return await _ask_once(encoder, inputs)


async def _ask_once(encoder: Encoder, inputs: EncoderInputs) -> Embedding:
    rows = await encoder.embed(inputs, timeout_s=EMBED_TIMEOUT_S)
    if not np.isfinite(rows).all():
        raise EncoderError
    return rows
