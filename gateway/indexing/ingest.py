"""Products into a collection: batch by batch, each embedded and written unless the collection holds it already.

    submissions -> batches -> digests known? -> pictures, then words embedded -> written -> outcome

A few batches are under way at once, so that Triton has something to batch; their outcomes come in order, and the
next batch is read only when there is room for it. Whoever is cut off begins again from the start: what was written
is recognised by its digest and costs one look-up a batch. A product of which only fields changed that are not encoded,
such as its price, keeps its vectors.
"""

import asyncio
import hashlib
import json
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

import numpy as np

from gateway.indexing.encoding import Encoded, Refusal, Submission, encode
from gateway.model import IndexVersion, StoredDigests, StoredProduct
from gateway.ports import CollectionWriter, Encoder
from vitrine.domain.product import encoded_text
from vitrine.domain.schema import Schema
from vitrine.tensors import MAX_BATCH_SIZE

MAX_BATCH_BYTES = 16_000_000
"""Of a batch's pictures; the last one may exceed it."""

MAX_RUNNING = 4
"""Batches under way, so that one is written while others are embedded. Bounds the memory of an ingest, with the two
limits of a batch, at 120 MB of pictures."""

TOLD = "+"
"""In a digest: parts what the shop says from what was read in the pictures and written later (inferring.py)."""

LINGER_S = 0.1
"""A batch that is not full waits this long for its next product."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a batch; what is written or unchanged is durable."""

    written: tuple[str, ...] = ()
    """Ids."""
    unchanged: tuple[str, ...] = ()
    """Ids of products that the collection held already, exactly so."""
    refusals: tuple[Refusal, ...] = ()
    without_image: int = 0
    without_words: int = 0
    cut: int = 0
    """Products whose words are longer than what the encoder reads, of those that were encoded."""

    @property
    def items(self) -> int:
        """How many submissions and refusals it is of."""
        return len(self.written) + len(self.unchanged) + len(self.refusals)


@dataclass(frozen=True, slots=True, kw_only=True)
class Put:
    """What was done to bring submissions into a collection."""

    written: tuple[str, ...]
    """Ids."""
    unchanged: tuple[str, ...]
    encoded: Encoded


async def _nothing_more(submissions: Sequence[Submission]) -> None:
    """Do nothing: what is written is settled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where products are written, and what must be done before any of them is acknowledged."""

    writer: CollectionWriter
    settle: Callable[[Sequence[Submission]], Awaitable[None]] = _nothing_more
    keep_told: bool = False
    """Whether a product of which the shop says the same keeps what was read in its pictures."""


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
        self.image_bytes += item.image_bytes

    def shares_a_product_with(self, other: "_Batch") -> bool:
        return bool(self.submissions.keys() & other.submissions.keys())


class _Window:
    """The batch that is being collected, and those that are being written, oldest first."""

    def __init__(self, encoder: Encoder, target: Target) -> None:
        self._encoder = encoder
        self._target = target
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
            task = asyncio.create_task(_write(batch, before, self._encoder, self._target))
            self._running.append((batch, task))

    async def outcomes(self, *, until_empty: bool = False) -> AsyncGenerator[Outcome, None]:
        """Yield the outcomes that are due, or all."""
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
    items: AsyncIterator[Submission | Refusal], *, encoder: Encoder, target: Target
) -> AsyncGenerator[Outcome, None]:
    """Write the submissions and pass the refusals on; every item is in exactly one outcome.

    Products of one id are written in the order in which they came.

    Raises:
        DependencyError: the encoder or the index failed; outcomes given so far stand.
        Aborted: another collection took the place of the target; the same.
    """
    window = _Window(encoder, target)
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
    """Return the SHA-256 of everything that is indexed: the fields, the pictures and the encoders."""
    product = submission.product
    identity = [
        manifest,
        product.id,
        sorted(product.values.items()),
        sorted(product.attributes.items()),
        product.image_uris,
        _image_digests(submission),
    ]
    if product.caption:
        identity += [product.caption, product.caption_by]
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()


def vectors_digest(submission: Submission, manifest: str, schema: Schema) -> str:
    """Return the SHA-256 of everything that is encoded: the words, the pictures and the encoders."""
    identity = [manifest, encoded_text(submission.product, schema), _image_digests(submission)]
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()


def _image_digests(submission: Submission) -> list[str]:
    return [hashlib.sha256(image).hexdigest() for image in submission.images]


async def _with_pauses(
    items: AsyncIterator[Submission | Refusal], *, busy: Callable[[], bool]
) -> AsyncGenerator[Submission | Refusal | None, None]:
    """Yield the items, and None whenever none came for LINGER_S while there is work to be seen to."""
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
    batch: _Batch, before: Sequence[asyncio.Task[Outcome]], encoder: Encoder, target: Target
) -> Outcome:
    if before:
        await asyncio.wait(before)
    submissions = list(batch.submissions.values())
    if not submissions:
        return Outcome(refusals=tuple(batch.refusals))
    put = await write_products(submissions, encoder=encoder, writer=target.writer, keep_told=target.keep_told)
    indexed = [item for item in submissions if item.product.id not in put.encoded.refused]
    await target.settle(indexed)
    schema = target.writer.version.schema
    return Outcome(
        written=put.written,
        unchanged=put.unchanged,
        refusals=(*batch.refusals, *put.encoded.refusals),
        without_image=sum(not item.images for item in indexed),
        without_words=sum(not encoded_text(item.product, schema) for item in indexed),
        cut=put.encoded.cut,
    )


async def write_products(
    submissions: Sequence[Submission],
    *,
    encoder: Encoder,
    writer: CollectionWriter,
    donor: CollectionWriter | None = None,
    keep_told: bool = False,
) -> Put:
    """Write those submissions that the collection does not hold just so.

    With `keep_told`, what was read in a product's pictures is no difference. A product whose encoded parts the collection knows keeps its vectors; so does one that the donor knows by them.
    """
    digests = await asyncio.to_thread(digests_of, submissions, writer.version)
    known = await writer.digests(list(digests))
    held = {i for i in digests if i in known and _is_held(known[i], digests[i], keep_told=keep_told)}
    changed = [item for item in submissions if item.product.id not in held]
    kept = await _with_kept_vectors(_repriced(changed, known, digests), writer)
    if donor is not None and donor.version.manifest == writer.version.manifest:
        missing = [item for item in changed if item.product.id not in kept]
        given = await donor.digests([item.product.id for item in missing], fresh=True)
        kept |= await _with_kept_vectors(_repriced(missing, given, digests), donor)
    encoded = await encode([item for item in changed if item.product.id not in kept], encoder, writer.version)
    products = [*kept.values(), *encoded.products]
    if products:
        await writer.upsert([signed(product, digests[product.id]) for product in products])
    return Put(
        written=tuple(product.id for product in products),
        unchanged=tuple(i for i in digests if i in held),
        encoded=encoded,
    )


def _repriced(
    submissions: Sequence[Submission],
    known: Mapping[str, StoredDigests],
    digests: Mapping[str, StoredDigests],
) -> list[Submission]:
    """Return those of which the collection knows everything that is encoded."""
    return [
        item
        for item in submissions
        if _vectors(known.get(item.product.id)) == _vectors(digests[item.product.id])
    ]


def digests_of(submissions: Sequence[Submission], version: IndexVersion) -> dict[str, StoredDigests]:
    """Return the digests of the products by id, as the index of that version keeps them."""
    return {
        item.product.id: StoredDigests(
            digest=digest(item, version.manifest),
            vectors_digest=vectors_digest(item, version.manifest, version.schema),
        )
        for item in submissions
    }


def _is_held(known: StoredDigests, wanted: StoredDigests, *, keep_told: bool) -> bool:
    return known == wanted or (keep_told and plain(known.digest) == wanted.digest)


def plain(digest: str) -> str:
    """Return the part of a digest that is of what the shop says."""
    return digest.partition(TOLD)[0]


def _vectors(digests: StoredDigests | None) -> str | None:
    return None if digests is None else plain(digests.vectors_digest)


def signed(product: StoredProduct, digests: StoredDigests) -> StoredProduct:
    """Return the product with its digests, by which whoever sends it again is spared the embedding."""
    return replace(product, digest=digests.digest, vectors_digest=digests.vectors_digest)


async def _with_kept_vectors(
    submissions: Sequence[Submission], writer: CollectionWriter
) -> dict[str, StoredProduct]:
    """Return the products with the vectors that the collection has of them."""
    if not submissions:
        return {}
    stored = await writer.vectors([item.product.id for item in submissions])
    kept = {}
    for item in submissions:
        held = stored.get(item.product.id)
        if held is not None:
            # The words of a product without any may be those of a caption that was made of its pictures.
            words = encoded_text(item.product, writer.version.schema)
            text = held.text_embedding if words else np.zeros_like(held.text_embedding)
            kept[item.product.id] = replace(held, product=item.product, text_embedding=text)
    return kept
