"""The gateway put together: what is settled once, from the settings and from what stands behind the ports."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from grpc_health.v1 import health_pb2
from grpc_health.v1.health import aio as health_aio

from gateway.api.catalogue_servicer import CatalogueServicer
from gateway.api.search_servicer import SearchServicer
from gateway.assembly.documents import open_documents, open_library
from gateway.assembly.entrance import open_crowding, open_metrics, open_saturation, server_options
from gateway.assembly.feedback import Feedback, open_feedback
from gateway.assembly.lanes import open_lanes
from gateway.assembly.listeners import Listeners, Servicers, open_access, open_listeners
from gateway.assembly.replies import open_replies
from gateway.assembly.retrieval import retrieval_settings, signal_shares
from gateway.background import repeated, running
from gateway.conversation.conversations import Conversations
from gateway.conversation.hearing import Hearing
from gateway.conversation.history import History, HistoryBounds
from gateway.conversation.sessions import SessionStore
from gateway.conversation.turns import TurnDependencies, Turns
from gateway.documents.library import Library
from gateway.edge.interceptors import DeadlineRules, Edge
from gateway.edge.sending import known_calls
from gateway.encoders import Encoders
from gateway.feedback.recommending import Recommender
from gateway.indexing.readers import CategoryReaders
from gateway.indexing.writing import Writing
from gateway.logs import log_event
from gateway.memory import ByteBudget
from gateway.metrics import Metrics
from gateway.model import Deadline, FieldSummary
from gateway.ports import (
    DocumentStore,
    Encoder,
    EventStore,
    IndexAdministrator,
    Phraser,
    Rewriter,
    Transcriber,
    VectorIndex,
)
from gateway.readiness import (
    CATALOGUE_SERVICE,
    OVERALL,
    SEARCH_SERVICE,
    STARTED,
    ProbeSettings,
    Readiness,
)
from gateway.retrieval.compatibility import Compatibility
from gateway.retrieval.pipeline import Retrieval
from gateway.retrieval.summary import CatalogueSummary
from gateway.settings import Settings
from gateway.understanding.breaker import CircuitBreaker
from gateway.understanding.budget import AdaptiveBudget
from gateway.understanding.rewriting import RewriteUse, Rewriting
from vitrine.domain.schema import Schema
from vitrine.process.probes import health_endpoint
from vitrine.process.tracing import UNTRACED, Tracer

_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING

_REFUSAL_S = 0.25
"""How long new calls are refused before the server stops: gRPC's core breaks off, as CANCELLED, those that it has
received and not yet handed over when it is stopped, and no client repeats that by itself."""

_CALLERS_S = 1.0
"""Between two looks at the file of callers."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependencies:
    """What stands behind the ports."""

    encoder: Encoder
    next_encoder: Encoder | None = None
    """The encoders of the index to come, which serve beside the others while it is built."""
    index: VectorIndex
    administrator: IndexAdministrator
    documents: DocumentStore
    rewriter: Rewriter | None
    phraser: Phraser | None = None
    """What puts replies into words, where the settings want it."""
    transcriber: Transcriber | None = None
    sessions: SessionStore
    events: EventStore | None = None
    """None: what shoppers do is not taken."""

    @property
    def encoders(self) -> tuple[Encoder, ...]:
        """Return all encoders, the newest last."""
        return (self.encoder,) if self.next_encoder is None else (self.encoder, self.next_encoder)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """A gateway that serves."""

    listeners: Listeners
    health: health_aio.HealthServicer
    metrics: Metrics

    @property
    def port(self) -> int:
        """Where searches are answered."""
        return self.listeners.search.port

    @property
    def edge(self) -> Edge:
        """The edge of searches."""
        return self.listeners.search.edge

    async def drain(self, *, wait_s: float, grace_s: float) -> None:
        """Report NOT_SERVING, wait until nobody should send any more, refuse who does, and let the calls in flight end."""
        await self.health.enter_graceful_shutdown()
        log_event(_logger, logging.INFO, "draining", wait_s=wait_s, grace_s=grace_s)
        await asyncio.sleep(wait_s)
        self.listeners.refuse()
        await asyncio.sleep(_REFUSAL_S)
        await self.listeners.stop(grace_s)


@asynccontextmanager
async def serving_gateway(
    settings: Settings, dependencies: Dependencies, *, tracer: Tracer = UNTRACED
) -> AsyncIterator[Gateway]:
    """Serve on `settings.listen` (port 0: any that is free) until the block is left."""
    metrics = open_metrics(settings)
    encoders, summary = Encoders(dependencies.encoders), CatalogueSummary(dependencies.index)
    compatibility = Compatibility(encoders, dependencies.index)
    access = open_access(settings, metrics)
    saturation = open_saturation(settings, metrics)
    crowding = open_crowding(settings, metrics, saturation)
    lanes, paced = open_lanes(settings, metrics)
    readers = _category_readers(settings, dependencies, paced)
    feedback = open_feedback(settings, dependencies.events, dependencies.index, metrics)
    retrieval = Retrieval(
        encoders=encoders, index=dependencies.index, compatibility=compatibility, summary=summary, readers=readers, lanes=lanes,
        tastes=feedback.tastes, popularity=feedback.trends, metrics=metrics, settings=retrieval_settings(settings),
    )  # fmt: skip
    library = open_library(settings, dependencies.documents, retrieval, metrics)
    servicers = Servicers(
        search=_search_servicer(
            settings, dependencies, retrieval=retrieval, library=library, feedback=feedback, metrics=metrics
        ),
        catalogue=_catalogue_servicer(settings, dependencies, paced, retrieval=retrieval, metrics=metrics),
        documents=open_documents(settings, dependencies.documents, _paced(dependencies, paced), library),
        feedback=feedback.servicer,
        data=feedback.data_servicer(dependencies.sessions),
        health=health_aio.HealthServicer(),
    )
    listeners = open_listeners(
        settings,
        servicers,
        access,
        edge=lambda door: Edge(_deadline_rules(settings), metrics, door, crowding(), tracer),
        options=server_options(settings),
    )
    health = servicers.health
    readiness = await _readiness(
        settings, dependencies, encoders, compatibility=compatibility, health=health, metrics=metrics
    )
    await listeners.start()
    try:
        interval_s = settings.probe_interval_ms / 1e3
        learn, warm = _preparations(settings, retrieval, servicers.search)
        with known_calls():
            async with (
                repeated("probe", readiness.probe, interval_s=interval_s),
                repeated("learn", learn, interval_s=interval_s),
                repeated("warm", warm, interval_s=interval_s),
                repeated("documents", library.refresh, interval_s=interval_s),
                feedback.kept_up(interval_s),
                repeated("callers", access.refresh, interval_s=_CALLERS_S),
                running(saturation.watch(listeners.waiting)),
                health_endpoint(settings.health_listen, health),
            ):
                yield Gateway(listeners=listeners, health=health, metrics=metrics)
    finally:
        await listeners.stop(None)
        await summary.close()
        if readers is not None:
            await readers.close()


def _paced(dependencies: Dependencies, paced: Callable[[Encoder], Encoder]) -> Encoders:
    """Return the encoders as ingests have them, behind the searches."""
    return Encoders([paced(encoder) for encoder in dependencies.encoders])


def _preparations(
    settings: Settings, retrieval: Retrieval, search: SearchServicer
) -> tuple[Callable[[], Awaitable[None]], Callable[[], Awaitable[None]]]:
    """Return what has the catalogue known, and the rewriter ready for it, before a search waits for either."""

    async def learn() -> None:
        await retrieval.catalogue(Deadline.after(settings.probe_timeout_ms / 1e3))

    async def warm() -> None:
        if settings.rewrite_warm_up:
            await search.warm()

    return learn, warm


def _category_readers(
    settings: Settings, dependencies: Dependencies, paced: Callable[[Encoder], Encoder]
) -> CategoryReaders | None:
    """Return what reads the category in pictures; None where the settings want none."""
    if not settings.picture_category_precision:
        return None
    return CategoryReaders(
        dependencies.administrator,
        _paced(dependencies, paced),
        precision=settings.picture_category_precision,
    )


async def _readiness(
    settings: Settings,
    dependencies: Dependencies,
    encoders: Encoders,
    *,
    compatibility: Compatibility,
    health: health_aio.HealthServicer,
    metrics: Metrics,
) -> Readiness:
    """Return the probes; until the first one has succeeded, health says NOT_SERVING."""

    async def tell(statuses: Mapping[str, bool]) -> None:
        for service, serves in statuses.items():
            metrics.serving.labels(service or "all").set(serves)
            await health.set(service, _SERVING if serves else _NOT_SERVING)

    await tell(dict.fromkeys((OVERALL, SEARCH_SERVICE, CATALOGUE_SERVICE, STARTED), False))
    readiness = Readiness(
        encoders,
        dependencies.index,
        compatibility,
        settings=ProbeSettings(
            timeout_s=settings.probe_timeout_ms / 1e3, failures=max(1, settings.probe_failures)
        ),
        tell=tell,
        answered=metrics.last_answer,
    )
    metrics.index_outdated.set_function(lambda: readiness.index_outdated)
    return readiness


def _catalogue_servicer(
    settings: Settings,
    dependencies: Dependencies,
    paced: Callable[[Encoder], Encoder],
    *,
    retrieval: Retrieval,
    metrics: Metrics,
) -> CatalogueServicer:
    servicer = CatalogueServicer(
        dependencies.index,
        Writing(
            dependencies.index,
            dependencies.administrator,
            _paced(dependencies, paced),
            metrics,
        ),
        retrieval.products,
        speech=dependencies.transcriber is not None,
        margin_s=settings.deadline_margin_ms / 1e3,
        memory=_ingest_memory(settings, metrics),
    )
    metrics.ingest_lag.set_function(servicer.ingest_lag_s)
    return servicer


def _search_servicer(
    settings: Settings,
    dependencies: Dependencies,
    *,
    retrieval: Retrieval,
    library: Library,
    feedback: Feedback,
    metrics: Metrics,
) -> SearchServicer:
    async def describe(deadline: Deadline) -> tuple[Schema, tuple[FieldSummary, ...]]:
        catalogue = await retrieval.catalogue(deadline)
        return catalogue.schema, catalogue.fields

    def rewriting(name: str, budget_ms: int, floor_ms: int) -> Rewriting:
        return Rewriting(
            dependencies.rewriter,
            describe,
            use=RewriteUse(
                name=name,
                budget=AdaptiveBudget(ceiling_s=budget_ms / 1e3, floor_s=floor_ms / 1e3),
                margin_s=settings.deadline_margin_ms / 1e3,
                cache_entries=settings.rewrite_cache_entries,
            ),
            breaker=CircuitBreaker(
                failures=settings.breaker_failures, cooldown_s=settings.breaker_cooldown_ms / 1e3
            ),
            metrics=metrics,
        )

    dependencies.sessions.observe(metrics)
    history = History(retrieval, _history_bounds(settings))
    turns = Turns(
        TurnDependencies(
            retrieval=retrieval,
            search_rewriting=rewriting(
                "search", settings.rewrite_budget_ms, settings.rewrite_budget_floor_ms
            ),
            turn_rewriting=rewriting(
                "converse", settings.converse_budget_ms, settings.converse_budget_floor_ms
            ),
            history=history,
            library=library,
            replies=open_replies(settings, dependencies.phraser, retrieval, metrics),
            metrics=metrics,
            head_start_s=settings.rewrite_head_start_ms / 1e3,
        )
    )
    return SearchServicer(
        turns,
        Conversations(turns, history, dependencies.sessions, metrics),
        _hearing(settings, dependencies, metrics),
        Recommender(retrieval, feedback.trends),
        rewrite_by_default=bool(settings.rewrite_by_default),
        shares=signal_shares(settings),
        answer_token=feedback.answer_token,
    )


def _hearing(settings: Settings, dependencies: Dependencies, metrics: Metrics) -> Hearing:
    return Hearing(
        dependencies.transcriber,
        budget_s=settings.speech_budget_ms / 1e3,
        margin_s=settings.deadline_margin_ms / 1e3,
        metrics=metrics,
    )


def _history_bounds(settings: Settings) -> HistoryBounds:
    return HistoryBounds(
        last=settings.history_last_turns,
        similar=settings.history_similar_turns,
        tokens=settings.history_tokens,
        timeout_s=settings.history_timeout_ms / 1e3,
    )


def _ingest_memory(settings: Settings, metrics: Metrics) -> ByteBudget:
    budget = ByteBudget(settings.max_ingest_bytes)
    metrics.ingest_bytes.set_function(lambda: budget.used)
    return budget


def _deadline_rules(settings: Settings) -> DeadlineRules:
    return DeadlineRules(
        default_s=settings.default_deadline_ms / 1e3,
        maximum_s=settings.max_deadline_ms / 1e3,
        unread_s=settings.unread_s,
    )
