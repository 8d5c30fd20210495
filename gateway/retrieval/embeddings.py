"""Embeddings of queries: from memory, or by one call of one ensemble that all who ask at the same time share."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np

from gateway.caches import LruCache, SingleFlight
from gateway.context import time_for_hop
from gateway.encoders import Encoders
from gateway.metrics import Metrics
from gateway.model import Deadline, Embedding, EncoderInputs
from gateway.retrieval.query import Query
from vitrine.tensors import MAX_BATCH_SIZE


@dataclass(frozen=True, slots=True)
class QueryEmbedding:
    """The embedding of a query."""

    vector: Embedding
    """(d,)."""
    cut: bool = False
    """Whether the words were longer than what the encoder reads."""


_Key = tuple[str, str, str]
"""Manifest, digest of the picture or of the product's vector, words."""


class QueryEmbeddings:
    """Embeds queries and remembers their embeddings."""

    def __init__(
        self,
        encoders: Encoders,
        *,
        entries: int,
        margin_s: float,
        metrics: Metrics,
        asking: Callable[[str], AbstractContextManager[None]],
    ) -> None:
        self._encoders = encoders
        self._margin_s = margin_s
        self._metrics = metrics
        self._asking = asking
        self._cache = LruCache[_Key, QueryEmbedding](entries)
        self._flights = SingleFlight[_Key, QueryEmbedding]()

    async def embed(
        self, query: Query, manifest: str, deadline: Deadline, reference: Embedding | None = None
    ) -> QueryEmbedding:
        """Return the query's embedding by the encoders of that manifest, and by no others.

        `reference` is the embedding of a picture, (d,), that its words change: stored, or of the query's own.
        """
        key = _key(query, manifest, reference)
        cached = self._cache.get(key)
        self._metrics.cache("embedding", hit=cached is not None)
        if cached is not None:
            return cached
        inputs = EncoderInputs(
            texts=[query.text] if query.text else None,
            images=[query.image] if query.image and reference is None else None,
            references=None if reference is None else reference[np.newaxis],
        )
        return await self._flights.run(key, lambda: self._compute([key], inputs, deadline))

    async def embed_unkept(self, image: bytes, manifest: str, deadline: Deadline) -> Embedding:
        """Return a picture's embedding, (d,), from memory where it is there already; it is not remembered."""
        cached = self._cache.get(_key(Query(image=image), manifest))
        if cached is not None:
            return cached.vector
        with self._asking("encoder"):
            timeout_s = time_for_hop(deadline, margin_s=self._margin_s)
            inputs = EncoderInputs(images=[image])
            row: Embedding = (
                await self._encoders.embed(inputs, manifest=manifest, timeout_s=timeout_s)
            ).rows[0]
        return row

    def keep(self, image: bytes, manifest: str, embedding: Embedding) -> None:
        """Remember a picture's embedding, (d,)."""
        self._cache.put(_key(Query(image=image), manifest), QueryEmbedding(embedding))

    async def embed_texts(self, texts: Sequence[str], manifest: str, deadline: Deadline) -> list[Embedding]:
        """Return an embedding, (d,), for each text.

        A text that a search embeds at the same time, or did of late, costs no call; several others cost one a batch.
        """
        queries = [Query(text=text) for text in texts]
        if len(texts) > 1:
            await self._embed_batches({_key(query, manifest): query.text for query in queries}, deadline)
        return [(await self.embed(query, manifest, deadline)).vector for query in queries]

    async def _embed_batches(self, texts: Mapping[_Key, str], deadline: Deadline) -> None:
        """Embed the texts that the cache lacks, a batch a call."""
        missing = [key for key in texts if self._cache.get(key) is None]
        for start in range(0, len(missing), MAX_BATCH_SIZE):
            keys = missing[start : start + MAX_BATCH_SIZE]
            await self._compute(keys, EncoderInputs(texts=[texts[key] for key in keys]), deadline)

    async def _compute(
        self, keys: Sequence[_Key], inputs: EncoderInputs, deadline: Deadline
    ) -> QueryEmbedding:
        """Embed one row a key and remember them; return the first."""
        with self._asking("encoder"):
            timeout_s = time_for_hop(deadline, margin_s=self._margin_s)
            # Every key of one call has the manifest of the index: what others computed is neither used nor kept.
            embedded = await self._encoders.embed(inputs, manifest=keys[0][0], timeout_s=timeout_s)
        cut = embedded.cut or (False,) * len(keys)
        rows = [QueryEmbedding(row, said) for row, said in zip(embedded.rows, cut, strict=True)]
        for key, row in zip(keys, rows, strict=True):
            self._cache.put(key, row)
        return rows[0]


def _key(query: Query, manifest: str, reference: Embedding | None = None) -> _Key:
    picture = query.image if reference is None else reference.tobytes()
    return manifest, hashlib.sha256(picture).hexdigest() if picture else "", query.text
