"""The gateway's life: open the adapters, serve, probe beside, drain, close in reverse.

SIGTERM or SIGINT: health says NOT_SERVING, balancers get time to look away, calls in flight get their grace, then
everything closes. A second signal exits at once.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from gateway.adapters.memory_sessions import memory_sessions
from gateway.adapters.milvus.index import open_milvus
from gateway.adapters.redis_campaigns import open_redis_campaigns
from gateway.adapters.redis_events import open_redis_events
from gateway.adapters.redis_sessions import SessionBounds, open_redis_sessions
from gateway.adapters.rewriter import open_rewriter
from gateway.adapters.speech import open_speech
from gateway.adapters.sqlite_campaigns import UnreadableCampaigns, open_sqlite_campaigns
from gateway.adapters.sqlite_events import UnreadableEvents, open_sqlite_events
from gateway.adapters.triton import open_triton
from gateway.assembly.access import behind
from gateway.assembly.footprint import check_memory, memory_limit
from gateway.assembly.moderation import PictureDependencies
from gateway.assembly.serving import Dependencies, serving_gateway
from gateway.conversation.sessions import SessionStore
from gateway.logs import configure_logs, log_event
from gateway.ports import EventStore
from gateway.settings import MEMORY, PREFIX, REDIS, Settings
from gateway.sponsoring.store import CampaignStore
from vitrine.process.lifecycle import Heartbeat, metrics_endpoint, stop_signal
from vitrine.process.settings import InvalidSettings, variable
from vitrine.process.tracing import Tracer, open_tracer

_logger = logging.getLogger(__name__)


async def run(settings: Settings) -> None:
    """Serve until a signal says otherwise; raises InvalidSettings for what does not fit into its memory."""
    check_memory(settings, memory_limit(settings))
    configure_logs(settings.log_level)
    told_to_stop = stop_signal()
    with open_tracer(settings.traces, service="vitrine-gateway", share=settings.trace_share) as tracer:
        await _serve(settings, tracer, told_to_stop)


async def _serve(settings: Settings, tracer: Tracer, told_to_stop: asyncio.Event) -> None:
    heart = Heartbeat(silent_s=settings.liveness_s)
    async with (
        _opened(settings) as dependencies,
        serving_gateway(settings, dependencies, tracer=tracer) as gateway,
        heart.beating(),
        metrics_endpoint(settings.metrics_listen, gateway.metrics.registry, heart.alive),
    ):
        if settings.open:
            log_event(_logger, logging.WARNING, "open_on_purpose", words=settings.open)
        log_event(_logger, logging.INFO, "serving", listen=settings.listen, port=gateway.port)
        await told_to_stop.wait()
        await gateway.drain(wait_s=settings.drain_s, grace_s=settings.grace_s)


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Dependencies]:
    access = behind(settings)
    async with AsyncExitStack() as stack:
        encoder = await stack.enter_async_context(open_triton(settings.triton, tls=access.triton))
        next_encoder = (
            await stack.enter_async_context(open_triton(settings.triton_next, tls=access.triton))
            if settings.triton_next
            else None
        )
        index = await stack.enter_async_context(
            open_milvus(
                settings.milvus,
                token=access.milvus_token,
                tls=access.milvus,
                calls_at_once=settings.calls_at_once,
            )
        )
        rewriter = (
            await stack.enter_async_context(open_rewriter(settings.rewriter, tls=access.rewriter))
            if settings.rewriter
            else None
        )
        transcriber = (
            await stack.enter_async_context(open_speech(settings.speech, tls=access.speech))
            if settings.speech
            else None
        )
        sessions = await stack.enter_async_context(open_sessions(settings))
        events = await stack.enter_async_context(open_events(settings))
        campaigns = await stack.enter_async_context(open_campaigns(settings))
        yield Dependencies(
            encoder=encoder,
            next_encoder=next_encoder,
            index=index,
            administrator=index,
            documents=index.documents,
            rewriter=rewriter,
            phraser=rewriter,
            transcriber=transcriber,
            sessions=sessions,
            events=events,
            pictures=PictureDependencies(store=index.blocked, decoder=encoder, classifier=encoder),
            campaigns=campaigns,
        )


@asynccontextmanager
async def open_sessions(settings: Settings) -> AsyncIterator[SessionStore]:
    """Open the store of sessions that the settings name."""
    access = behind(settings)
    if access.sessions_url == MEMORY:
        yield memory_sessions(settings)
        return
    bounds = SessionBounds(
        session_bytes=settings.session_bytes,
        caller_bytes=settings.caller_session_bytes,
        caller_sessions=settings.max_sessions,
    )
    async with open_redis_sessions(
        access.sessions_url,
        ttl_s=settings.session_ttl_s,
        bounds=bounds,
        tls=access.sessions,
        current=access.sessions_now,
    ) as sessions:
        yield sessions


@asynccontextmanager
async def open_events(settings: Settings) -> AsyncIterator[EventStore | None]:
    """Open the store of events that the settings name, if they name one; raises InvalidSettings where it is no such file."""
    if not settings.keeps_events:
        yield None
        return
    access = behind(settings)
    place = access.events_now()
    if place.startswith(REDIS):
        async with open_redis_events(
            place,
            retention_days=settings.event_retention_days,
            tls=access.sessions,
            current=access.events_now,
        ) as shared:
            await shared.warn_if_unsafe()
            yield shared
        return
    try:
        async with open_sqlite_events(Path(place)) as events:
            yield events
    except UnreadableEvents as error:
        raise InvalidSettings(f"{variable(PREFIX, 'events')}: {error}") from error


@asynccontextmanager
async def open_campaigns(settings: Settings) -> AsyncIterator[CampaignStore | None]:
    """Open the store of campaigns that the settings name, if they name one; raises InvalidSettings where it is no such file."""
    if not settings.sells_places:
        yield None
        return
    access = behind(settings)
    place = access.campaigns_now()
    if place.startswith(REDIS):
        async with open_redis_campaigns(place, tls=access.sessions, current=access.campaigns_now) as shared:
            await shared.warn_if_unsafe()
            yield shared
        return
    try:
        async with open_sqlite_campaigns(Path(place)) as campaigns:
            yield campaigns
    except UnreadableCampaigns as error:
        raise InvalidSettings(f"{variable(PREFIX, 'campaigns')}: {error}") from error
