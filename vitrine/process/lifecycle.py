"""Signals and the metrics' endpoint."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry, start_http_server


@asynccontextmanager
async def metrics_endpoint(listen: str, registry: CollectorRegistry) -> AsyncIterator[None]:
    """Serve the metrics at HOST:PORT while the block runs; nothing where the address is empty."""
    if not listen:
        yield
        return
    host, _, port = listen.rpartition(":")
    endpoint, thread = start_http_server(int(port), host, registry)
    try:
        yield
    finally:
        endpoint.shutdown()
        endpoint.server_close()
        thread.join()


def stop_signal() -> asyncio.Event:
    """Return an event that the first signal sets; the second exits, for there may be something that hangs."""
    told = asyncio.Event()

    def stop(number: int) -> None:
        if told.is_set():
            os._exit(128 + number)
        told.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
    return told
