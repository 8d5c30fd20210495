"""One search: rewrite beside the raw query, embedding, look-up, order.

    Query --+-- rewriter, within its budget --> Query' --> embed (cache, else Triton) --> Milvus --+
            |                                                                                      +--> one of them
            +-- after a head start, or when nothing changed: embed --> Milvus ---------------------+

Every hop takes what is left of the deadline less a margin. A caller that hangs up cancels all of it.
"""

import asyncio
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, replace

import numpy as np

from gateway.background import running
from gateway.caches import LruCache, SingleFlight
from gateway.context import time_for_hop
from gateway.conversation.exclusions import exclusion
from gateway.errors import DependencyError, NotFound, SearchError
from gateway.metrics import Metrics
from gateway.model import Deadline, Embedding, EncoderInputs, Filter, Hit, Route, Sort, StoredProduct, Weights
from gateway.ports import Encoder, VectorIndex
from gateway.readiness import Agreement
from gateway.retrieval.clock import StageClock
from gateway.retrieval.query import Query, SearchResult, Versions
from gateway.understanding.rewriting import PART as REWRITE
from gateway.understanding.rewriting import Rewriting
from gateway.understanding.validation import Understanding, both, must_and_wish, only
from vitrine.tensors import MAX_BATCH_SIZE
from vitrine.v1 import rewrite_pb2

WISHES = "wishes"
"""In `degraded`: no product satisfies what the rewriter read of facets, so the hits are the nearest without it."""

DISLIKES = "dislikes"
"""In `degraded`: every product has something that the shopper found fault with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineSettings:
    """What an operator chooses."""

    weights: Mapping[Route, Weights]
    """Of queries that set none."""
    rewrite_head_start_s: float
    margin_s: float
    embedding_cache_entries: int
    product_cache_entries: int
    product_cache_ttl_s: float


@dataclass(frozen=True, slots=True)
class _Target:
    """What the index is asked: one embedding for both halves, or one for each."""

    embedding: Embedding
    text_embedding: Embedding | None = None


_EmbeddingKey = tuple[str, str, str]
"""Manifest, digest or id of the picture or product, words."""


class SearchPipeline:
    """Answers queries; holds the caches."""

    def __init__(
        self,
        *,
        encoder: Encoder,
        index: VectorIndex,
        agreement: Agreement,
        rewriting: Rewriting,
        metrics: Metrics,
        settings: PipelineSettings,
    ) -> None:
        self._encoder = encoder
        self._index = index
        self._agreement = agreement
        self._rewriting = rewriting
        self._metrics = metrics
        self._settings = settings
        self._embeddings = LruCache[_EmbeddingKey, Embedding](settings.embedding_cache_entries)
        self._embedding_flights = SingleFlight[_EmbeddingKey, Embedding]()
        # A product may be written anew while it is kept here: its age is bounded, and so is the error.
        self._products = LruCache[tuple[str, str], StoredProduct](
            settings.product_cache_entries, ttl_s=settings.product_cache_ttl_s
        )

    async def search(self, query: Query, deadline: Deadline) -> SearchResult:
        """Answer the query; reads its words with the rewriter where it asks for that.

        Raises:
            NotFound: the reference product is not in the index.
            FailedPrecondition: there is no index, or encoders and index do not belong together.
        """
        if query.rewrite and query.text and self._rewriting.offered:
            result = await self._search_rewritten(query, deadline)
        else:
            result = await self._search_as_given(query, deadline)
        for stage, seconds in result.timings.stages_s.items():
            self._metrics.stage_seconds.labels(result.searched.route.value, stage).observe(seconds)
        return result

    async def embed_texts(self, texts: Sequence[str], deadline: Deadline) -> tuple[str, list[Embedding]]:
        """Give the digest of the encoders' manifest and an embedding, (d,), for each text.

        A text that a search embeds at the same time, or did of late, costs no call; several others cost one a batch.
        """
        versions = await self._agreement.versions(timeout_s=self._hop(deadline))
        queries = [Query(text=text) for text in texts]
        if len(texts) > 1:
            await self._embed_batches(
                {_key(query, versions.model): query.text for query in queries}, deadline
            )
        return versions.model, [await self._embed(query, versions.model, deadline) for query in queries]

    async def _embed_batches(self, texts: Mapping[_EmbeddingKey, str], deadline: Deadline) -> None:
        """Embed the texts that the cache lacks, a batch a call."""
        missing = [key for key in texts if self._embeddings.get(key) is None]
        for start in range(0, len(missing), MAX_BATCH_SIZE):
            keys = missing[start : start + MAX_BATCH_SIZE]
            inputs = EncoderInputs(texts=[texts[key] for key in keys])
            with self._asking("encoder"):
                rows = await self._encoder.embed(inputs, timeout_s=self._hop(deadline))
            for key, row in zip(keys, rows, strict=True):
                self._embeddings.put(key, row)

    async def products(self, ids: Sequence[str], deadline: Deadline) -> list[StoredProduct]:
        """Give the products that exist, in the order of the ids."""
        with self._asking("index"):
            return await self._index.get(ids, timeout_s=self._hop(deadline))

    async def count(self, filters: Filter, deadline: Deadline) -> int:
        """Count the products that fulfil a condition."""
        with self._asking("index"):
            return await self._index.count(filters, timeout_s=self._hop(deadline))

    async def _search_rewritten(self, query: Query, deadline: Deadline) -> SearchResult:
        """Search what the rewriter makes of the query; the raw query where it is late, wrong or of the same mind.

        Past its head start the raw query is searched beside it, so that a late rewriter costs little.
        """
        clock = StageClock()
        async with AsyncExitStack() as beside:
            with clock.stage("rewrite"):
                reading = await beside.enter_async_context(running(self._read(query, deadline)))
                await asyncio.wait([reading], timeout=self._settings.rewrite_head_start_s)
                raw = None
                if not reading.done():
                    raw = await beside.enter_async_context(running(self._search_as_given(query, deadline)))
                rewritten = await reading
            result = None
            degraded: tuple[str, ...] = (REWRITE,) if rewritten is None else ()
            if rewritten is not None and rewritten != query:
                try:
                    result = await self._search_as_given(rewritten, deadline)
                except SearchError:
                    # The caller's own words may still be answerable, and must not suffer.
                    degraded = (REWRITE,)
            if result is None:
                result = await (raw or self._search_as_given(query, deadline))
        clock.add(result.timings)
        return replace(result, degraded=result.degraded + degraded, timings=clock.timings())

    async def _read(self, query: Query, deadline: Deadline) -> Query | None:
        """Give the query as the rewriter understands it, or None without an answer to use."""
        understanding = await self._rewriting.read(
            rewrite_pb2.RewriteRequest(
                text=query.text,
                has_image=bool(query.image),
                product_id=query.product_id,
                locale=query.locale,
            ),
            deadline=deadline,
        )
        return None if understanding is None else _rewritten(query, understanding)

    async def _search_as_given(self, query: Query, deadline: Deadline) -> SearchResult:
        clock = StageClock()
        versions = await self._agreement.versions(timeout_s=self._hop(deadline))
        target = await self._target(query, versions, deadline=deadline, clock=clock)
        weights = query.weights or self._settings.weights[query.route]
        with clock.stage("search"):
            hits, searched, degraded = await self._nearest(query, target, weights, deadline)
        for hit in hits:
            if hit.product.image_embedding is not None and hit.product.text_embedding is not None:
                self._products.put((versions.index, hit.product.id), hit.product)
        return SearchResult(
            hits=tuple(_in_order(hits, query.sort)),
            searched=searched,
            weights=weights,
            degraded=degraded,
            timings=clock.timings(),
            versions=versions,
        )

    async def _nearest(
        self, query: Query, target: _Target, weights: Weights, deadline: Deadline
    ) -> tuple[list[Hit], Query, tuple[str, ...]]:
        """Give the hits, the query that they are of, and what had to be left out of it to have any."""
        for searched, left_out in _giving_way(query):
            if hits := await self._hits(searched, target, weights, deadline):
                return hits, searched, left_out
        return [], searched, left_out

    async def _hits(self, query: Query, target: _Target, weights: Weights, deadline: Deadline) -> list[Hit]:
        with self._asking("index"):
            hits = await self._index.search(
                target.embedding,
                text_embedding=target.text_embedding,
                weights=weights,
                filters=both(both(query.filters, query.wishes), exclusion(query.disliked)),
                # One more, since the reference itself is no answer.
                limit=query.limit + bool(query.product_id),
                timeout_s=self._hop(deadline),
            )
        return [hit for hit in hits if hit.product.id != query.product_id][: query.limit]

    async def _target(
        self, query: Query, versions: Versions, *, deadline: Deadline, clock: StageClock
    ) -> _Target:
        if not query.product_id:
            with clock.stage("encode"):
                return _Target(await self._embed(query, versions.model, deadline))
        with clock.stage("lookup"):
            reference = await self._product(query.product_id, versions.index, deadline)
        assert reference.image_embedding is not None, "products come with their embeddings"
        if query.route is Route.SIMILAR:
            return _Target(reference.image_embedding, reference.text_embedding)
        with clock.stage("encode"):
            return _Target(await self._embed(query, versions.model, deadline, reference.image_embedding))

    async def _embed(
        self, query: Query, manifest: str, deadline: Deadline, reference: Embedding | None = None
    ) -> Embedding:
        """Give the query's embedding, (d,), from memory or by one Triton call shared by all who ask."""
        key = _key(query, manifest, reference)
        cached = self._embeddings.get(key)
        self._metrics.cache("embedding", hit=cached is not None)
        if cached is not None:
            return cached
        inputs = EncoderInputs(
            texts=[query.text] if query.text else None,
            images=[query.image] if query.image else None,
            references=None if reference is None else reference[np.newaxis],
        )
        return await self._embedding_flights.run(key, lambda: self._compute(key, inputs, deadline))

    async def _compute(self, key: _EmbeddingKey, inputs: EncoderInputs, deadline: Deadline) -> Embedding:
        with self._asking("encoder"):
            embedding: Embedding = (await self._encoder.embed(inputs, timeout_s=self._hop(deadline)))[0]
        self._embeddings.put(key, embedding)
        return embedding

    async def _product(self, product_id: str, collection: str, deadline: Deadline) -> StoredProduct:
        """Give the product with its embeddings; one that was shown of late costs no call."""
        cached = self._products.get((collection, product_id))
        self._metrics.cache("product", hit=cached is not None)
        if cached is not None:
            return cached
        with self._asking("index"):
            found = await self._index.get([product_id], timeout_s=self._hop(deadline))
        if not found:
            raise NotFound("product_id", f"product {product_id!r}")
        self._products.put((collection, product_id), found[0])
        return found[0]

    @contextmanager
    def _asking(self, dependency: str) -> Iterator[None]:
        """Time a call; after a failure, the dependency may come back as another version."""
        with self._metrics.dependency(dependency):
            try:
                yield
            except DependencyError:
                self._agreement.doubt()
                raise

    def _hop(self, deadline: Deadline) -> float:
        return time_for_hop(deadline, margin_s=self._settings.margin_s)


def _key(query: Query, manifest: str, reference: Embedding | None = None) -> _EmbeddingKey:
    picture = query.image if reference is None else reference.tobytes()
    return manifest, hashlib.sha256(picture).hexdigest() if picture else "", query.text


def _rewritten(query: Query, understanding: Understanding) -> Query:
    """Give the query as it was understood; the very same where that changes nothing or has no place in one search."""
    if understanding.route is not query.route:
        return query
    words = understanding.query if query.route is Route.TEXT else understanding.modification
    must, wishes = must_and_wish(understanding.filters)
    rewritten = replace(
        query,
        text=words or query.text,
        filters=both(query.filters, must),
        wishes=wishes,
        sort=understanding.sort,
    )
    return query if rewritten == query else replace(rewritten, source=understanding.source)


def _giving_way(query: Query) -> Iterator[tuple[Query, tuple[str, ...]]]:
    """Give the query, then what to search where nothing is found, each with what it leaves out.

    Of the wishes the category goes last, since another kind of thing is the worst answer; then what was disliked.
    """
    left_out: tuple[str, ...] = ()
    yield query, left_out
    if query.wishes is not None:
        left_out = (WISHES,)
        kind = only(query.wishes, {"category"})
        if kind not in (None, query.wishes):
            yield replace(query, wishes=kind), left_out
        yield (query := replace(query, wishes=None)), left_out
    if query.disliked:
        yield replace(query, disliked=()), (*left_out, DISLIKES)


def _in_order(hits: list[Hit], sort: Sort) -> list[Hit]:
    if sort is Sort.SCORE:
        return hits
    return sorted(hits, key=lambda hit: hit.product.price, reverse=sort is Sort.PRICE_DESCENDING)
