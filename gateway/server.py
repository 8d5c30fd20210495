"""The gateway's life: open the adapters, serve, probe beside, drain, close in reverse.

SIGTERM or SIGINT: health says NOT_SERVING, balancers get time to look away, calls in flight get their grace, then
everything closes. A second signal exits at once.
"""

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from prometheus_client import start_http_server

from gateway.adapters.grpc_rewriter import open_rewriter
from gateway.adapters.milvus_index import open_milvus
from gateway.adapters.triton_encoder import open_triton
from gateway.assembly import Dependencies, serving_gateway
from gateway.logs import configure_logs, log_event
from gateway.metrics import Metrics
from gateway.settings import Settings

_logger = logging.getLogger(__name__)


async def run(settings: Settings) -> None:
    """Serve until a signal says otherwise."""
    configure_logs(settings.log_level)
    told_to_stop = _stop_signal()
    async with (
        _opened(settings) as dependencies,
        serving_gateway(settings, dependencies) as gateway,
        _metrics_endpoint(settings, gateway.metrics),
    ):
        log_event(_logger, logging.INFO, "serving", listen=settings.listen, port=gateway.port)
        await told_to_stop.wait()
        await gateway.drain(wait_s=settings.drain_s, grace_s=settings.grace_s)


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Dependencies]:
    async with AsyncExitStack() as stack:
        encoder = await stack.enter_async_context(open_triton(settings.triton))
        index = await stack.enter_async_context(open_milvus(settings.milvus))
        rewriter = (
            await stack.enter_async_context(open_rewriter(settings.rewriter)) if settings.rewriter else None
        )
        yield Dependencies(encoder=encoder, index=index, administrator=index, rewriter=rewriter)


@asynccontextmanager
async def _metrics_endpoint(settings: Settings, metrics: Metrics) -> AsyncIterator[None]:
    if not settings.metrics_listen:
        yield
        return
    host, _, port = settings.metrics_listen.rpartition(":")
    endpoint, thread = start_http_server(int(port), host, metrics.registry)
    try:
        yield
    finally:
        endpoint.shutdown()
        endpoint.server_close()
        thread.join()


def _stop_signal() -> asyncio.Event:
    """Give an event that the first signal sets; the second exits, for there may be something that hangs."""
    told = asyncio.Event()

    def stop(number: int) -> None:
        if told.is_set():
            os._exit(128 + number)
        told.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
    return told
