"""Writing the shop's documents: cut, embedded where they changed, and exchanged as a whole."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

import numpy as np

from gateway.documents.library import Library
from gateway.documents.passages import cut
from gateway.documents.ranking import embedded_text
from gateway.encoders import Encoders, Served
from gateway.errors import InvalidQuery
from gateway.model import Deadline, DocumentSet, EncoderInputs, Passage
from gateway.ports import DocumentStore
from vitrine.domain import limits
from vitrine.tensors import MAX_BATCH_SIZE


@dataclass(frozen=True, slots=True)
class Document:
    """A document as its shop writes it, in Markdown."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Shelved:
    """What became of documents that were written."""

    documents: DocumentSet
    embedded: int
    """Passages that were embedded anew."""


class Shelves:
    """Exchanges the shop's documents; one exchange at a time."""

    def __init__(self, store: DocumentStore, encoders: Encoders, library: Library) -> None:
        self._store = store
        self._encoders = encoders
        self._library = library
        self._turn = asyncio.Lock()

    async def replace(self, documents: Sequence[Document], deadline: Deadline) -> Shelved:
        """Put documents in the place of all that are there.

        Raises:
            InvalidQuery: they make too many passages, or one of them has no text.
            Aborted, FailedPrecondition: another gateway exchanges them.
        """
        passages = tuple(
            passage for each in sorted(documents, key=lambda each: each.name) for passage in _cut(each)
        )
        if len(passages) > limits.MAX_PASSAGES:
            raise InvalidQuery(
                "documents", f"at most {limits.MAX_PASSAGES:,} passages, these make {len(passages):,}"
            )
        async with self._turn:
            before = await self._store.read(timeout_s=deadline.remaining_s())
            served = await self._encoders.first(timeout_s=deadline.remaining_s())
            kept = {
                _key(each): each.embedding for each in before.passages if before.manifest == served.manifest
            }
            missing = [each for each in passages if kept.get(_key(each)) is None]
            made = await _embedded(missing, served, deadline)
            whole = tuple(
                replace(each, embedding=made.get(_key(each), kept.get(_key(each)))) for each in passages
            )
            after = _document_set(whole, served.manifest)
            await self._exchange(before, after, deadline)
            return Shelved(after, len(missing))

    async def remove(self, names: Sequence[str], deadline: Deadline) -> tuple[tuple[str, ...], DocumentSet]:
        """Remove documents by name; return those that were there, and what is left."""
        async with self._turn:
            before = await self._store.read(timeout_s=deadline.remaining_s())
            gone = {each.document for each in before.passages} & set(names)
            left = tuple(each for each in before.passages if each.document not in gone)
            after = _document_set(left, before.manifest)
            await self._exchange(before, after, deadline)
            return tuple(sorted(gone)), after

    async def documents(self, deadline: Deadline) -> DocumentSet:
        """Return the documents in use."""
        return await self._store.read(timeout_s=deadline.remaining_s())

    async def _exchange(self, before: DocumentSet, after: DocumentSet, deadline: Deadline) -> None:
        if after.digest != before.digest:
            await self._store.replace(after, before=before.digest, timeout_s=deadline.remaining_s())
        await self._library.refresh()


def _cut(document: Document) -> tuple[Passage, ...]:
    passages = cut(document.name, document.text)
    if not passages:
        raise InvalidQuery("documents", f"{document.name}: has no text")
    return passages


def _key(passage: Passage) -> tuple[str, int]:
    return passage.document_digest, passage.position


def _document_set(passages: tuple[Passage, ...], manifest: str) -> DocumentSet:
    if not passages:
        return DocumentSet()
    digests = sorted({each.document_digest for each in passages})
    digest = sha256("\0".join([manifest, *digests]).encode()).hexdigest()
    return DocumentSet(digest=digest, manifest=manifest, passages=passages)


async def _embedded(
    passages: Sequence[Passage], served: Served, deadline: Deadline
) -> dict[tuple[str, int], np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    """Return an embedding, (d,), for each passage."""
    rows = {}
    for start in range(0, len(passages), MAX_BATCH_SIZE):
        batch = passages[start : start + MAX_BATCH_SIZE]
        inputs = EncoderInputs(texts=[embedded_text(each) for each in batch])
        embedded = await served.encoder.embed(inputs, timeout_s=deadline.remaining_s())
        rows.update({_key(each): row for each, row in zip(batch, embedded.rows, strict=True)})
    return rows
