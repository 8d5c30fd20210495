"""The gateway put together: what is settled once, from the settings and from what stands behind the ports."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio
from grpc_reflection.v1alpha import reflection

from gateway.api.catalogue_servicer import CatalogueServicer
from gateway.api.search_servicer import SearchServicer
from gateway.background import repeated
from gateway.conversation.conversations import Conversations
from gateway.conversation.history import History, HistoryBounds
from gateway.conversation.sessions import SessionStore
from gateway.conversation.turns import TurnDependencies, Turns
from gateway.edge.interceptors import DeadlineRules, Edge
from gateway.encoders import Encoders
from gateway.indexing.writing import Writing
from gateway.logs import log_event
from gateway.metrics import Metrics
from gateway.model import Deadline, FieldSummary, Weights
from gateway.ports import Encoder, IndexAdministrator, Rewriter, VectorIndex
from gateway.readiness import (
    CATALOGUE_SERVICE,
    OVERALL,
    SEARCH_SERVICE,
    ProbeSettings,
    Readiness,
)
from gateway.retrieval.admission import AimdLimit, Limiter, QueueBounds
from gateway.retrieval.compatibility import Compatibility
from gateway.retrieval.pipeline import Retrieval, RetrievalSettings
from gateway.retrieval.signals import LEXICAL
from gateway.retrieval.summary import CatalogueSummary
from gateway.settings import Settings
from gateway.understanding.breaker import CircuitBreaker
from gateway.understanding.budget import AdaptiveBudget
from gateway.understanding.rewriting import RewriteUse, Rewriting
from vitrine.domain.routes import Route
from vitrine.domain.schema import Schema
from vitrine.v1 import catalogue_pb2_grpc, search_pb2_grpc

HEALTH_SERVICE = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name

_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING

_REFUSAL_S = 0.25
"""How long new calls are refused before the server stops: gRPC's core breaks off, as CANCELLED, those that it has
received and not yet handed over when it is stopped, and no client repeats that by itself."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependencies:
    """What stands behind the ports."""

    encoder: Encoder
    index: VectorIndex
    administrator: IndexAdministrator
    rewriter: Rewriter | None
    sessions: SessionStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """A gateway that serves."""

    server: aio.Server
    edge: Edge
    port: int
    health: health_aio.HealthServicer
    metrics: Metrics

    async def drain(self, *, wait_s: float, grace_s: float) -> None:
        """Report NOT_SERVING, wait until nobody should send any more, refuse who does, and let the calls in flight end."""
        await self.health.enter_graceful_shutdown()
        log_event(_logger, logging.INFO, "draining", wait_s=wait_s, grace_s=grace_s)
        await asyncio.sleep(wait_s)
        self.edge.close()
        await asyncio.sleep(_REFUSAL_S)
        await self.server.stop(grace_s)


@asynccontextmanager
async def serving_gateway(settings: Settings, dependencies: Dependencies) -> AsyncIterator[Gateway]:
    """Serve on `settings.listen` (port 0: any that is free) until the block is left."""
    metrics = Metrics()
    compatibility = Compatibility(dependencies.encoder, dependencies.index)
    summary = CatalogueSummary(dependencies.index)
    edge = Edge(_deadline_rules(settings), metrics)
    server = aio.server(
        interceptors=[edge],
        options=_server_options(settings),
        maximum_concurrent_rpcs=settings.max_concurrent_calls,
    )
    retrieval = Retrieval(
        encoder=dependencies.encoder,
        index=dependencies.index,
        compatibility=compatibility,
        summary=summary,
        limiter=_limiter(settings, metrics),
        metrics=metrics,
        settings=_retrieval_settings(settings),
    )
    search_pb2_grpc.add_SearchServiceServicer_to_server(
        _search_servicer(settings, dependencies, retrieval=retrieval, metrics=metrics), server
    )
    catalogue = CatalogueServicer(
        dependencies.index,
        Writing(dependencies.index, dependencies.administrator, Encoders([dependencies.encoder]), metrics),
        retrieval.products,
        margin_s=settings.deadline_margin_ms / 1e3,
    )
    catalogue_pb2_grpc.add_CatalogueServiceServicer_to_server(catalogue, server)
    health = health_aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    if settings.reflection:
        services = (SEARCH_SERVICE, CATALOGUE_SERVICE, HEALTH_SERVICE, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(services, server)
    port = server.add_insecure_port(settings.listen)
    readiness = await _readiness(
        settings, dependencies, compatibility=compatibility, health=health, metrics=metrics
    )
    await server.start()
    try:
        interval_s, patience_s = settings.probe_interval_ms / 1e3, settings.probe_timeout_ms / 1e3

        async def learn() -> None:
            """Know the catalogue before it is asked for: a search waits for a description only shortly."""
            await retrieval.catalogue(Deadline.after(patience_s))

        async with (
            repeated("probe", readiness.probe, interval_s=interval_s),
            repeated("learn", learn, interval_s=interval_s),
        ):
            yield Gateway(server=server, edge=edge, port=port, health=health, metrics=metrics)
    finally:
        await server.stop(None)
        await summary.close()


async def _readiness(
    settings: Settings,
    dependencies: Dependencies,
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

    await tell(dict.fromkeys((OVERALL, SEARCH_SERVICE, CATALOGUE_SERVICE), False))
    return Readiness(
        dependencies.encoder,
        dependencies.index,
        compatibility,
        settings=ProbeSettings(
            timeout_s=settings.probe_timeout_ms / 1e3, failures=max(1, settings.probe_failures)
        ),
        tell=tell,
    )


def _search_servicer(
    settings: Settings, dependencies: Dependencies, *, retrieval: Retrieval, metrics: Metrics
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
            metrics=metrics,
            head_start_s=settings.rewrite_head_start_ms / 1e3,
        )
    )
    return SearchServicer(
        turns,
        Conversations(turns, history, dependencies.sessions, metrics),
        rewrite_by_default=bool(settings.rewrite_by_default),
        shares=_shares(settings),
    )


def _history_bounds(settings: Settings) -> HistoryBounds:
    return HistoryBounds(
        last=settings.history_last_turns,
        similar=settings.history_similar_turns,
        tokens=settings.history_tokens,
        timeout_s=settings.history_timeout_ms / 1e3,
    )


def _retrieval_settings(settings: Settings) -> RetrievalSettings:
    image_weights = {
        Route.TEXT: settings.text_image_weight,
        Route.IMAGE: settings.image_image_weight,
        Route.COMPOSED: settings.composed_image_weight,
        Route.REFINE: settings.refine_image_weight,
        Route.SIMILAR: settings.similar_image_weight,
    }
    return RetrievalSettings(
        weights={route: Weights(text=1 - image, image=image) for route, image in image_weights.items()},
        shares=_shares(settings),
        margin_s=settings.deadline_margin_ms / 1e3,
        embedding_cache_entries=settings.embedding_cache_entries,
        product_cache_entries=settings.product_cache_entries,
        product_cache_ttl_s=settings.product_cache_ttl_s,
    )


def _shares(settings: Settings) -> dict[str, float]:
    return {LEXICAL: settings.lexical_share}


def _limiter(settings: Settings, metrics: Metrics) -> Limiter:
    limiter = Limiter(
        AimdLimit(maximum=settings.max_concurrency),
        QueueBounds(length=settings.max_queue, wait_s=settings.max_queue_wait_ms / 1e3),
        initial=settings.initial_concurrency,
        latency_target_s=settings.latency_target_ms / 1e3,
        on_shed=lambda reason: metrics.shed.labels(reason).inc(),
    )
    metrics.concurrency_limit.set_function(lambda: limiter.limit)
    metrics.searches_running.set_function(lambda: limiter.in_flight)
    metrics.searches_queued.set_function(lambda: limiter.queued)
    return limiter


def _deadline_rules(settings: Settings) -> DeadlineRules:
    return DeadlineRules(
        default_s=settings.default_deadline_ms / 1e3, maximum_s=settings.max_deadline_ms / 1e3
    )


def _server_options(settings: Settings) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        # Without a grace: calls under way, a long ingest above all, end on the old connection.
        ("grpc.max_connection_age_ms", settings.max_connection_age_s * 1_000),
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        # Clients that ping to keep idle connections open may do so every ten seconds.
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
        # Two gateways on one port is a mistake, to be told at once.
        ("grpc.so_reuseport", 0),
    ]
