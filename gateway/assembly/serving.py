"""The gateway put together: what is settled once, from the settings and from what stands behind the ports."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from grpc_health.v1.health import aio as health_aio

from gateway.api.catalogue_servicer import CatalogueServicer
from gateway.api.search_servicer import SearchServicer
from gateway.assembly.documents import open_documents, open_library
from gateway.assembly.entrance import (
    deadline_rules,
    ingest_memory,
    open_crowding,
    open_metrics,
    open_saturation,
    server_options,
)
from gateway.assembly.feedback import Feedback, open_feedback
from gateway.assembly.lanes import open_lanes
from gateway.assembly.listeners import Listeners, Servicers, open_access, open_listeners
from gateway.assembly.moderation import (
    PictureDependencies,
    kept_up,
    open_moderation,
    open_pictures,
)
from gateway.assembly.probing import open_readiness
from gateway.assembly.replies import open_replies
from gateway.assembly.retrieving import retrieval_settings, signal_shares
from gateway.assembly.sponsoring import open_sponsoring
from gateway.background import repeated, running
from gateway.conversation.conversations import Conversations
from gateway.conversation.hearing import Hearing
from gateway.conversation.history import History, HistoryBounds
from gateway.conversation.sessions import SessionStore
from gateway.conversation.turns import TurnDependencies, Turns
from gateway.documents.library import Library
from gateway.edge.interceptors import Edge
from gateway.edge.sending import known_calls
from gateway.encoders import Encoders
from gateway.feedback.recommending import Recommender
from gateway.indexing.readers import CategoryReaders
from gateway.indexing.writing import Writing
from gateway.logs import log_event
from gateway.metrics import Metrics
from gateway.model import Deadline, FieldSummary
from gateway.moderation.moderation import Moderation
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
from gateway.retrieval.compatibility import Compatibility
from gateway.retrieval.gathered import GatheredEncoder
from gateway.retrieval.pipeline import Retrieval
from gateway.retrieval.summary import CatalogueSummary
from gateway.settings import Settings
from gateway.sponsoring.sponsors import Sponsoring
from gateway.sponsoring.store import CampaignStore
from gateway.understanding.breaker import CircuitBreaker
from gateway.understanding.budget import AdaptiveBudget
from gateway.understanding.rewriting import RewriteUse, Rewriting
from gateway.understanding.vocabulary import Vocabularies
from vitrine.domain.schema import Schema
from vitrine.process.probes import health_endpoint
from vitrine.process.tracing import UNTRACED, Tracer

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
    pictures: PictureDependencies | None = None
    """What moderation of pictures works with, where the settings want it."""
    campaigns: CampaignStore | None = None
    """None: there are no sponsored places."""

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
    encoders, summary = _gathered(settings, dependencies), CatalogueSummary(dependencies.index)
    compatibility = Compatibility(encoders, dependencies.index)
    access, saturation = open_access(settings, metrics), open_saturation(settings, metrics)
    crowding = open_crowding(settings, metrics, saturation)
    lanes, paced = open_lanes(settings, metrics)
    pictures, paced = open_pictures(settings, dependencies.pictures, metrics, paced)
    readers = _category_readers(settings, dependencies, paced)
    feedback = open_feedback(settings, dependencies.events, dependencies.index, metrics)
    sponsored = open_sponsoring(settings, dependencies.campaigns, dependencies.index, metrics)
    retrieval = Retrieval(
        encoders=encoders, index=dependencies.index, compatibility=compatibility, summary=summary, readers=readers, lanes=lanes,
        tastes=feedback.tastes, popularity=feedback.trends, sponsors=sponsored.sponsoring, metrics=metrics,
        settings=retrieval_settings(settings),
    )  # fmt: skip
    library = open_library(settings, dependencies.documents, retrieval, metrics)
    moderation, keeper = open_moderation(settings, pictures, retrieval, encoders, metrics)
    servicers = Servicers(
        search=_search_servicer(
            settings, dependencies, retrieval=retrieval, library=library, feedback=feedback,
            sponsoring=sponsored.sponsoring, moderation=moderation, metrics=metrics,
        ),
        catalogue=_catalogue_servicer(settings, dependencies, paced, retrieval=retrieval, moderation=moderation, metrics=metrics),
        documents=open_documents(settings, dependencies.documents, _paced(dependencies, paced), library),
        feedback=feedback.servicer,
        data=feedback.data_servicer(dependencies.sessions),
        moderation=keeper,
        reports=feedback.report_servicer(),
        campaigns=sponsored.servicer,
        health=health_aio.HealthServicer(),
    )  # fmt: skip
    listeners = open_listeners(
        settings, servicers, access, options=server_options(settings),
        edge=lambda door: Edge(deadline_rules(settings), metrics, door, crowding(), tracer),
    )  # fmt: skip
    readiness = await open_readiness(
        settings, encoders, dependencies.index, compatibility=compatibility, health=servicers.health, metrics=metrics
    )  # fmt: skip
    await listeners.start()
    interval_s = settings.probe_interval_ms / 1e3
    try:
        with known_calls():
            async with (
                repeated("probe", readiness.probe, interval_s=interval_s),
                _prepared(settings, retrieval, servicers.search, library),
                feedback.kept_up(interval_s), kept_up(pictures, interval_s), sponsored.kept_up(),
                repeated("callers", access.refresh, interval_s=_CALLERS_S),
                running(saturation.watch(listeners.waiting)),
                health_endpoint(settings.health_listen, servicers.health),
            ):  # fmt: skip
                yield Gateway(listeners=listeners, health=servicers.health, metrics=metrics)
    finally:
        await listeners.stop(None)
        await summary.close()
        if readers is not None:
            await readers.close()


def _gathered(settings: Settings, dependencies: Dependencies) -> Encoders:
    """Return the encoders as searches have them, which share their calls."""
    return Encoders(
        [GatheredEncoder(each, calls_at_once=settings.calls_at_once) for each in dependencies.encoders]
    )


def _paced(dependencies: Dependencies, paced: Callable[[Encoder], Encoder]) -> Encoders:
    """Return the encoders as ingests have them, behind the searches."""
    return Encoders([paced(encoder) for encoder in dependencies.encoders])


@asynccontextmanager
async def _prepared(
    settings: Settings, retrieval: Retrieval, search: SearchServicer, library: Library
) -> AsyncIterator[None]:
    """Have catalogue and documents known, and the rewriter ready for them, before a search waits, until the block is left."""
    interval_s = settings.probe_interval_ms / 1e3

    async def learn() -> None:
        await retrieval.catalogue(Deadline.after(settings.probe_timeout_ms / 1e3))

    async def warm() -> None:
        if settings.rewrite_warm_up:
            await search.warm()

    async with (
        repeated("learn", learn, interval_s=interval_s),
        repeated("warm", warm, interval_s=interval_s),
        repeated("teach", search.teach, interval_s=interval_s),
        repeated("documents", library.refresh, interval_s=interval_s),
    ):
        yield


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


def _catalogue_servicer(
    settings: Settings,
    dependencies: Dependencies,
    paced: Callable[[Encoder], Encoder],
    *,
    retrieval: Retrieval,
    moderation: Moderation,
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
        memory=ingest_memory(settings, metrics),
        check_title=moderation.title,
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
    moderation: Moderation,
    sponsoring: Sponsoring | None,
    metrics: Metrics,
) -> SearchServicer:
    rewriting = _rewritings(settings, dependencies.rewriter, retrieval, metrics)
    dependencies.sessions.observe(metrics)
    history = History(retrieval, _history_bounds(settings))
    turns = Turns(
        TurnDependencies(
            retrieval=retrieval,
            search_rewriting=rewriting(
                "search", budget_ms=settings.rewrite_budget_ms, floor_ms=settings.rewrite_budget_floor_ms
            ),
            turn_rewriting=rewriting(
                "converse",
                budget_ms=settings.converse_budget_ms,
                floor_ms=settings.converse_budget_floor_ms,
            ),
            history=history,
            library=library,
            replies=open_replies(settings, dependencies.phraser, retrieval, metrics),
            metrics=metrics,
            sponsoring=sponsoring,
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
        answered=feedback.answered,
        experiment=feedback.experiment,
        moderation=moderation,
    )


def _rewritings(
    settings: Settings, rewriter: Rewriter | None, retrieval: Retrieval, metrics: Metrics
) -> Callable[..., Rewriting]:
    """Return what opens a use of the rewriter by its name, `budget_ms` and `floor_ms`; all uses share what it has learnt."""

    async def describe(deadline: Deadline) -> tuple[Schema, tuple[FieldSummary, ...]]:
        catalogue = await retrieval.catalogue(deadline)
        return catalogue.schema, catalogue.fields

    vocabularies = Vocabularies(rewriter, describe)

    def open_use(name: str, *, budget_ms: int, floor_ms: int) -> Rewriting:
        use = RewriteUse(
            name=name,
            budget=AdaptiveBudget(ceiling_s=budget_ms / 1e3, floor_s=floor_ms / 1e3),
            margin_s=settings.deadline_margin_ms / 1e3,
            cache_entries=settings.rewrite_cache_entries,
        )
        breaker = CircuitBreaker(
            failures=settings.breaker_failures, cooldown_s=settings.breaker_cooldown_ms / 1e3
        )
        return Rewriting(
            rewriter, describe, use=use, breaker=breaker, metrics=metrics, vocabularies=vocabularies
        )

    return open_use


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
