"""Work beside the calls, repeated at an interval and never ended by its own failure; and work beside other work."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, NoReturn, TypeVar

from gateway.logs import log_event

T = TypeVar("T")

_logger = logging.getLogger(__name__)


@asynccontextmanager
async def repeated(
    name: str, work: Callable[[], Awaitable[None]], *, interval_s: float
) -> AsyncIterator[None]:
    """Repeat the work until the block is left; a failure is logged and the next round comes all the same."""
    task = asyncio.create_task(_repeat(name, work, interval_s), name=name)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _repeat(name: str, work: Callable[[], Awaitable[None]], interval_s: float) -> NoReturn:
    while True:
        try:
            await work()
        except Exception:  # noqa: BLE001 - the supervisor of background work: nobody above it could answer
            log_event(_logger, logging.ERROR, "background_work_failed", failed=True, work=name)
        await asyncio.sleep(interval_s)


@asynccontextmanager
async def running(work: Coroutine[Any, Any, T]) -> AsyncIterator[asyncio.Task[T]]:
    """Run the work beside the block; what the block has not awaited is cancelled when it ends."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # seen: abandoned work may have failed, and nobody asks
