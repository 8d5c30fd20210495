"""Signals, and the endpoint of metrics and liveness."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from vitrine.process.http import Answer, serving_http

BEAT_S = 0.5
"""Between two beats of a loop's heart."""


class Heartbeat:
    """Tells other threads whether an event loop still turns."""

    def __init__(self, *, silent_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._silent_s = silent_s
        self._clock = clock
        self._last = clock()

    def beat(self) -> None:
        """Note that the loop turns."""
        self._last = self._clock()

    def alive(self) -> bool:
        """Return whether it turned within the last `silent_s` seconds."""
        return self._clock() - self._last < self._silent_s

    @asynccontextmanager
    async def beating(self) -> AsyncIterator[None]:
        """Beat as long as the block runs and the loop turns."""
        task = asyncio.create_task(self._beat(), name="heartbeat")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _beat(self) -> None:
        while True:
            self.beat()
            await asyncio.sleep(BEAT_S)


@asynccontextmanager
async def metrics_endpoint(
    listen: str, registry: CollectorRegistry, health: Callable[[], bool] | None = None
) -> AsyncIterator[None]:
    """Serve the metrics at HOST:PORT while the block runs, and `/livez` where `health` is given.

    Nothing is served where the address is empty.
    """
    if not listen:
        yield
        return

    def answer(path: str, accept: str) -> Answer:
        if path == "/livez" and health is not None:
            return _liveness(alive=health())
        if path in {"/", "/metrics"}:
            encode, content_type = choose_encoder(accept)
            return Answer(status=200, body=encode(registry), content_type=content_type)
        return Answer(status=404, body=b"the metrics are at /metrics\n")

    host, _, port = listen.rpartition(":")
    with serving_http(host, int(port), answer):
        yield


def _liveness(*, alive: bool) -> Answer:
    if alive:
        return Answer(status=200, body=b"alive\n")
    return Answer(status=503, body=b"the event loop has not turned for too long\n")


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
