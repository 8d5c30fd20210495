"""The speech service's life: load the engine, serve, drain, close.

SIGTERM or SIGINT: health says NOT_SERVING, balancers get time to look away, calls in flight get their grace, then
everything closes. A second signal exits at once.
"""

import asyncio
import importlib.util
import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio

from speech.decoder import open_decoder
from speech.desk import Desk
from speech.engines.port import Engine
from speech.engines.transcriptions import open_transcriptions
from speech.metrics import Metrics
from speech.packages import WAY_OUT, PackageMissing
from speech.servicer import Decodes, SpeechServicer
from speech.settings import PREFIX, Settings
from vitrine.domain.limits import MAX_AUDIO_BYTES
from vitrine.process.lifecycle import metrics_endpoint, stop_signal
from vitrine.process.logs import configure_logs, log_event
from vitrine.process.probes import health_endpoint
from vitrine.process.tls import add_port, server_tls
from vitrine.process.tracing import UNTRACED, Tracer, open_tracer
from vitrine.v1 import speech_pb2, speech_pb2_grpc

SERVICE = speech_pb2.DESCRIPTOR.services_by_name["SpeechService"].full_name

_REST_BYTES = 65_536
_OPTIONS = [
    # A connection that ends has a gateway look for services that came since.
    ("grpc.max_connection_age_ms", 300_000),
    ("grpc.max_receive_message_length", MAX_AUDIO_BYTES + _REST_BYTES),
]

_logger = logging.getLogger(__name__)


async def run(settings: Settings) -> None:
    """Serve until a signal says otherwise; raises PackageMissing where the extra is not installed."""
    configure_logs(settings.log_level)
    told_to_stop = stop_signal()
    with open_tracer(settings.traces, service="vitrine-speech", share=settings.trace_share) as tracer:
        metrics = Metrics()
        async with (
            open_engine(settings) as engine,
            open_decoder() as decoder,
            serving(settings, engine, decoder, metrics, tracer=tracer) as server,
            metrics_endpoint(settings.metrics_listen, metrics.registry),
        ):
            log_event(_logger, logging.INFO, "serving", engine=engine.version, port=server.port)
            await told_to_stop.wait()
            await server.drain(wait_s=settings.drain_s)


def open_engine(settings: Settings) -> AbstractAsyncContextManager[Engine]:
    """Open the engine that the settings name; raises PackageMissing where what it needs is not installed."""
    _require("av")
    if settings.engine == "openai":
        return open_transcriptions(
            url=settings.openai_url,
            api_key=settings.api_key(),
            model=settings.openai_model,
            form=settings.openai_format,
            connections=settings.workers,
            authorities=settings.authorities(),
        )
    _require("faster_whisper")
    # Loaded on demand: a remote server needs none of it.
    from speech.engines.whisper import open_whisper  # noqa: PLC0415

    return open_whisper(workers=settings.workers, threads=settings.threads, languages=settings.detected)


def _require(module: str) -> None:
    if importlib.util.find_spec(module) is None:
        raise PackageMissing(f"speech is not installed ({module} is missing); the way out: {WAY_OUT}")


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
    settings: Settings, engine: Engine, decoder: Decodes, metrics: Metrics, *, tracer: Tracer = UNTRACED
) -> AsyncIterator[Serving]:
    """Serve the engine and health; on leaving, calls in flight get their grace."""
    server, health = aio.server(options=_OPTIONS), health_aio.HealthServicer()
    servicer = SpeechServicer(
        engine,
        decoder,
        Desk(workers=settings.workers, waiting=settings.max_waiting),
        metrics,
        default_timeout_s=settings.default_timeout_ms / 1e3,
        max_timeout_s=settings.max_timeout_ms / 1e3,
        tracer=tracer,
    )
    speech_pb2_grpc.add_SpeechServiceServicer_to_server(servicer, server)
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
