"""From a query to its hits: the list of stages, under the limiter.

The limiter holds what costs, the encoding and the look-ups, and nothing that waits for anybody else: not for the
rewriter, nor for another turn of the same session. Every hop takes what is left of the deadline less a margin.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from gateway.context import current_share, time_for_hop
from gateway.encoders import Encoders
from gateway.errors import IndexSwapped, SearchError
from gateway.metrics import Metrics
from gateway.model import Deadline, Embedding, FieldSummary, StoredProduct, Weights
from gateway.ports import VectorIndex
from gateway.retrieval import learnt, stages, steering_stages
from gateway.retrieval.admission import Lanes
from gateway.retrieval.category import Readers
from gateway.retrieval.clock import StageClock
from gateway.retrieval.compatibility import Compatibility
from gateway.retrieval.embeddings import QueryEmbeddings
from gateway.retrieval.products import ProductLookup
from gateway.retrieval.query import Query, SearchResult, Versions
from gateway.retrieval.ranker import Learning
from gateway.retrieval.results import Key, Results, result_key
from gateway.retrieval.sponsored import Sponsors
from gateway.retrieval.stages import Search, Tools
from gateway.retrieval.steering import Popularity
from gateway.retrieval.summary import CatalogueSummary
from gateway.retrieval.taste import Tastes
from vitrine.domain.filters import Filter
from vitrine.domain.routes import Route
from vitrine.domain.schema import Schema
from vitrine.domain.schema_files import shipped_schema

Stage = Callable[[Search, Tools], Awaitable[Search]]

STAGES: tuple[Stage, ...] = (
    stages.compatible,
    stages.encode,
    stages.know_shopper,
    steering_stages.know,
    stages.look_up,
    stages.relax,
    stages.add_exact_matches,
    stages.find_offers,
    stages.rank_by_taste,
    learnt.rank_learnt,
    steering_stages.steer,
    stages.page,
    learnt.explore,
    stages.count_facets,
)
"""Exact matches come after relaxing: they satisfy what always holds, and are no reason to keep what nothing satisfies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrievalSettings:
    """What an operator chooses."""

    weights: Mapping[Route, Weights]
    """Of queries that set none."""
    shares: Mapping[str, float]
    """Shares of the ranking signals by name."""
    margin_s: float
    embedding_cache_entries: int
    product_cache_entries: int
    product_cache_ttl_s: float
    result_cache_entries: int = 0
    """0: no answer is given twice."""
    personal_budget_s: float = 0.0
    learning: Learning | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """What the index holds."""

    schema: Schema
    fields: tuple[FieldSummary, ...] = ()


class Retrieval:
    """Answers queries; holds the caches."""

    def __init__(
        self,
        *,
        encoders: Encoders,
        index: VectorIndex,
        compatibility: Compatibility,
        summary: CatalogueSummary,
        readers: Readers | None = None,
        tastes: Tastes | None = None,
        sponsors: Sponsors | None = None,
        popularity: Popularity | None = None,
        lanes: Lanes,
        metrics: Metrics,
        settings: RetrievalSettings,
    ) -> None:
        self._compatibility = compatibility
        self._lanes = lanes
        self._metrics = metrics
        self._settings = settings
        self._catalogue = Catalogue(schema=shipped_schema())
        self.products = ProductLookup(
            index,
            entries=settings.product_cache_entries,
            ttl_s=settings.product_cache_ttl_s,
            margin_s=settings.margin_s,
            metrics=metrics,
            asking=metrics.dependency,
        )
        self._results = Results(
            entries=settings.result_cache_entries, ttl_s=settings.product_cache_ttl_s, metrics=metrics
        )
        self._tools = Tools(
            index=index,
            compatibility=compatibility,
            embeddings=QueryEmbeddings(
                encoders,
                entries=settings.embedding_cache_entries,
                margin_s=settings.margin_s,
                metrics=metrics,
                asking=metrics.dependency,
            ),
            products=self.products,
            summary=summary,
            readers=readers,
            asking=metrics.dependency,
            shares=settings.shares,
            margin_s=settings.margin_s,
            tastes=tastes,
            personal_budget_s=settings.personal_budget_s,
            learning=settings.learning,
            sponsors=sponsors,
            popularity=popularity,
        )

    async def search(self, query: Query, deadline: Deadline) -> SearchResult:
        """Answer a query as it stands.

        Raises:
            InvalidQuery: it names what the schema of the index lacks, or its picture cannot be decoded.
            NotFound: its product is not in the index.
            Overloaded: too many searches run and wait already.
            FailedPrecondition: there is no index, or no encoders that made it serve.
            EncodersExchanged, IndexSwapped: encoders or index were exchanged under the search, twice.
            DeadlineExceeded, DependencyError: the encoder or the index did not answer.
        """
        clock = StageClock()
        weights = query.weights or self._settings.weights[query.route]
        key: Key | None = None
        if self._results.offered and not query.image and not query.personalise:
            key = self._key(query, weights, await self.versions(deadline))
            if (known := self._results.get(key, clock)) is not None:
                self._count_degraded(known.degraded)
                return known
        search = Search(
            query=query,
            deadline=deadline,
            clock=clock,
            weights=weights,
        )
        result = await self._answer(search, STAGES)
        if key is not None and key == self._key(query, weights, result.versions):
            self._results.keep(key, result)
        return result

    async def recommend(self, query: Query, stages: Sequence[Stage], deadline: Deadline) -> SearchResult:
        """Answer a query without words or a picture by stages of its caller's; raises as `search` does, and what they raise."""
        weights = self._settings.weights[Route.SIMILAR]
        search = Search(query=query, deadline=deadline, clock=StageClock(), weights=weights)
        return await self._answer(search, stages)

    async def versions(self, deadline: Deadline) -> Versions:
        """Return which index answers now, by which encoders, and its schema; raises as `search` does."""
        return await self._compatibility.versions(timeout_s=self._hop(deadline))

    async def embed_texts(self, texts: Sequence[str], deadline: Deadline) -> tuple[str, list[Embedding]]:
        """Return the digest of the encoders' manifest and an embedding, (d,), for each text."""
        versions = await self.versions(deadline)
        return versions.model, await self._tools.embeddings.embed_texts(texts, versions.model, deadline)

    async def embed_unkept(self, image: bytes, deadline: Deadline) -> tuple[str, Embedding]:
        """Return the digest of the encoders' manifest and the embedding, (d,), of a picture that is not to be remembered yet.

        Raises:
            Overloaded: too many searches run and wait already.
            SearchError: as `search`.
        """
        versions = await self.versions(deadline)
        async with self._lanes.of(picture=True).slot(deadline, share=current_share()):
            return versions.model, await self._tools.embeddings.embed_unkept(image, versions.model, deadline)

    def keep_embedding(self, image: bytes, manifest: str, embedding: Embedding) -> None:
        """Remember what `embed_unkept` returned, for searches with the picture."""
        self._tools.embeddings.keep(image, manifest, embedding)

    async def stored(self, ids: Sequence[str], deadline: Deadline) -> list[StoredProduct]:
        """Return the products that exist, in the order of the ids."""
        async with self._lanes.words.slot(deadline, share=current_share()):
            return await self.products.products(ids, deadline)

    async def count(self, filters: Filter, deadline: Deadline) -> int:
        """Count the products that fulfil a condition."""
        async with self._lanes.words.slot(deadline, share=current_share()):
            with self._metrics.dependency("index"):
                return await self._tools.index.count(filters, timeout_s=self._hop(deadline))

    async def schema(self, deadline: Deadline) -> Schema:
        """Return the schema of the index.

        Never raises: without the index it is the one that was known last, or the schema that ships.
        """
        try:
            return (await self.versions(deadline)).schema
        except SearchError:
            return self._catalogue.schema

    async def catalogue(self, deadline: Deadline) -> Catalogue:
        """Return the schema of the index and what it holds of its fields.

        Never raises: without the index it is what was known last, or the schema that ships and no fields.
        """
        try:
            versions = await self.versions(deadline)
            summary = await self._tools.summary.of(versions.index, timeout_s=self._hop(deadline))
        except SearchError:
            return self._catalogue
        fields = () if summary is None else summary.fields
        self._catalogue = Catalogue(schema=versions.schema, fields=fields)
        return self._catalogue

    def _key(self, query: Query, weights: Weights, versions: Versions) -> Key:
        sponsors = self._tools.sponsors
        writes = (self.products.writes, sponsors.version if sponsors is not None else 0)
        return result_key(query, weights, versions, writes=writes)

    async def _answer(self, search: Search, stages: Sequence[Stage]) -> SearchResult:
        lane = self._lanes.of(picture=bool(search.query.image))
        async with lane.slot(search.deadline, share=current_share()):
            try:
                found = await self._run(search, stages)
            except IndexSwapped:  # the pair of encoders and index is another now: begin again with that one
                found = await self._run(search, stages)
        return self._result(found)

    async def _run(self, search: Search, stages: Sequence[Stage]) -> Search:
        for stage in stages:
            search = await stage(search, self._tools)
        return search

    def _result(self, search: Search) -> SearchResult:
        assert search.versions is not None, "every stage ran"
        self.products.remember(search.hits, search.versions.index)
        timings = search.clock.timings()
        for stage, seconds in timings.stages_s.items():
            self._metrics.stage(search.query.route.value, stage).observe(seconds)
        self._count_degraded(search.degraded)
        return SearchResult(
            hits=search.hits,
            searched=search.query,
            weights=search.weights,
            degraded=search.degraded,
            timings=timings,
            versions=search.versions,
            facets=search.facets,
            more=search.more,
            swap=search.swap,
            offers=search.offers,
        )

    def _count_degraded(self, parts: Sequence[str]) -> None:
        for part in parts:
            self._metrics.degraded.labels(part, "search").inc()

    def _hop(self, deadline: Deadline) -> float:
        return time_for_hop(deadline, margin_s=self._settings.margin_s)
