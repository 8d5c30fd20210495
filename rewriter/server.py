"""The rewriter's life: open the engine, serve, drain, close.

SIGTERM or SIGINT: health says NOT_SERVING, balancers get time to look away, calls in flight get their grace, then
everything closes. A second signal exits at once.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from dataclasses import dataclass

from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio

from rewriter.engines.chat.completions import ServerAccess, open_chat_completions
from rewriter.engines.chat.phrasing import open_phrasing
from rewriter.engines.fallback import Fallback
from rewriter.engines.port import Engine, Phraser
from rewriter.engines.rules.engine import Router
from rewriter.linking.linker import Linker, open_tower
from rewriter.metrics import Metrics
from rewriter.servicer import RewriteServicer
from rewriter.settings import PREFIX, Settings
from vitrine.process.lifecycle import metrics_endpoint, stop_signal
from vitrine.process.logs import configure_logs, log_event
from vitrine.process.probes import health_endpoint
from vitrine.process.tls import add_port, server_tls
from vitrine.process.tracing import UNTRACED, Tracer, open_tracer
from vitrine.v1 import rewrite_pb2, rewrite_pb2_grpc

SERVICE = rewrite_pb2.DESCRIPTOR.services_by_name["RewriteService"].full_name

_OPTIONS = [
    # A connection that ends has a gateway look for rewriters that came since.
    ("grpc.max_connection_age_ms", 300_000),
]

_logger = logging.getLogger(__name__)


class _Server(ServerAccess):
    model: str
    max_tokens: int


async def run(settings: Settings) -> None:
    """Serve until a signal says otherwise."""
    configure_logs(settings.log_level)
    told_to_stop = stop_signal()
    with open_tracer(settings.traces, service="vitrine-rewriter", share=settings.trace_share) as tracer:
        await _serve(settings, tracer, told_to_stop)


async def _serve(settings: Settings, tracer: Tracer, told_to_stop: asyncio.Event) -> None:
    metrics = Metrics()
    async with (
        open_linker(settings) as linker,
        open_engine(settings, metrics, linker) as engine,
        _open_phraser(settings) as phraser,
        serving(settings, engine, metrics, phraser=phraser, linker=linker, tracer=tracer) as server,
        metrics_endpoint(settings.metrics_listen, metrics.registry),
    ):
        log_event(_logger, logging.INFO, "serving", engine=settings.engine, port=server.port)
        await told_to_stop.wait()
        await server.drain(wait_s=settings.drain_s)


@asynccontextmanager
async def open_linker(settings: Settings) -> AsyncIterator[Linker]:
    """Open what links words, with the sentence encoder where its package is installed."""
    tower = await asyncio.to_thread(open_tower)
    with closing(Linker(tower=tower, synonyms=settings.own_synonyms())) as linker:
        yield linker


@asynccontextmanager
async def open_engine(settings: Settings, metrics: Metrics, linker: Linker) -> AsyncIterator[Engine]:
    """Open the engine that the settings name; the router stands in for any other."""
    router = Router(linker)
    if settings.engine == "router":
        yield router
        return
    async with _open_model(settings, linker) as model:
        yield Fallback(
            model,
            router,
            name=settings.openai_model or settings.engine,
            reserve_s=settings.fallback_reserve_ms / 1e3,
            on_failure=lambda failure: metrics.engine_failures.labels(failure.value).inc(),
        )


def _open_model(settings: Settings, linker: Linker) -> AbstractAsyncContextManager[Engine]:
    """Open the model that the settings name."""
    if settings.engine == "model":
        # Loaded on demand: the router and a remote server need neither ONNX Runtime nor the tokenizer.
        from rewriter.engines.model.engine import open_language_model  # noqa: PLC0415

        return open_language_model(
            rows=settings.model_rows,
            waiting=settings.model_waiting,
            least_certainty=settings.model_least_certainty,
            linker=linker,
        )
    return open_chat_completions(**_server_of(settings))


@asynccontextmanager
async def _open_phraser(settings: Settings) -> AsyncIterator[Phraser | None]:
    """Open what puts replies into words: a server of chat completions alone can write."""
    if settings.engine != "openai":
        yield None
        return
    async with open_phrasing(**_server_of(settings)) as phraser:
        yield phraser


def _server_of(settings: Settings) -> _Server:
    """Return where the model is served, and what one call may cost."""
    return _Server(
        url=settings.openai_url,
        api_key=settings.api_key(),
        model=settings.openai_model,
        max_tokens=settings.openai_max_tokens,
        connections=settings.openai_connections,
        authorities=settings.authorities(),
    )


@dataclass(frozen=True, slots=True)
class Serving:
    """A server that answers, and its port."""

    port: int
    health: health_aio.HealthServicer

    async def drain(self, *, wait_s: float) -> None:
        """Set the health to NOT_SERVING and wait until balancers have seen it."""
        log_event(_logger, logging.INFO, "draining")
        await self.health.enter_graceful_shutdown()
        await asyncio.sleep(wait_s)


@asynccontextmanager
async def serving(
    settings: Settings,
    engine: Engine,
    metrics: Metrics,
    *,
    phraser: Phraser | None = None,
    linker: Linker | None = None,
    tracer: Tracer = UNTRACED,
) -> AsyncIterator[Serving]:
    """Serve the engine and health; on leaving, calls in flight get their grace."""
    server, health = aio.server(options=_OPTIONS), health_aio.HealthServicer()
    servicer = RewriteServicer(
        engine,
        metrics,
        phraser=phraser,
        linker=linker,
        max_in_flight=settings.max_in_flight,
        default_timeout_s=settings.default_timeout_ms / 1e3,
        max_timeout_s=settings.max_timeout_ms / 1e3,
        tracer=tracer,
    )
    rewrite_pb2_grpc.add_RewriteServiceServicer_to_server(servicer, server)
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    tls = server_tls(settings.tls_cert, settings.tls_key, settings.tls_client_ca, prefix=PREFIX)
    port = add_port(server, settings.listen, tls, expires=metrics.certificate_expires)
    await server.start()
    for service in ("", SERVICE):
        await health.set(service, health_pb2.HealthCheckResponse.SERVING)
    try:
        async with health_endpoint(settings.health_listen, health):
            yield Serving(port, health)
    finally:
        await server.stop(settings.grace_s)
