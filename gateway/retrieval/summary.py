"""What the index holds, as it last described itself: the values that filters may use, and how rare each word is."""

import asyncio
import logging
import time

from gateway.errors import SearchError
from gateway.logs import log_event
from gateway.model import IndexSummary
from gateway.ports import VectorIndex

REFRESH_S = 5.0
"""Age at which it is asked for anew."""

_PATIENCE_S = 0.1
"""Longest wait for a newer summary of the same index; asking costs a count where nothing was written since."""

_TIMEOUT_S = 30.0

_logger = logging.getLogger(__name__)


class CatalogueSummary:
    """Keeps the index's description of itself.

    A summary of another index is never returned: the first caller after a swap waits for the new one, within its time.
    An old summary of the same index is waited for shortly, and else returned while a newer one is on its way.
    """

    def __init__(self, index: VectorIndex) -> None:
        self._index = index
        self._summary: IndexSummary | None = None
        self._asked_at = float("-inf")
        self._refreshing: asyncio.Task[None] | None = None

    async def of(self, collection: str, *, timeout_s: float) -> IndexSummary | None:
        """Return the summary of the collection; None where the index does not describe it within the time."""
        known = self._of(collection)
        if known is not None and time.monotonic() - self._asked_at <= REFRESH_S:
            return known
        ends_at = time.monotonic() + timeout_s
        under_way = self._refreshing is not None
        await self._wait(min(timeout_s, _PATIENCE_S) if known is not None else timeout_s)
        if under_way and self._of(collection) is None:
            # It was asked before the index was replaced.
            await self._wait(max(0.0, ends_at - time.monotonic()))
        return self._of(collection)

    async def close(self) -> None:
        """Stop asking."""
        if self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.wait([self._refreshing])

    def _of(self, collection: str) -> IndexSummary | None:
        summary = self._summary
        return summary if summary is not None and summary.version.collection == collection else None

    async def _wait(self, timeout_s: float) -> None:
        """Wait for the answer that is under way, or for one that is asked for now."""
        if self._refreshing is None:
            self._refreshing = asyncio.create_task(self._refresh())
        await asyncio.wait([self._refreshing], timeout=timeout_s)

    async def _refresh(self) -> None:
        try:
            self._summary = await self._index.describe(timeout_s=_TIMEOUT_S)
        except SearchError as error:
            log_event(_logger, logging.WARNING, "catalogue_not_described", error=str(error))
        finally:
            self._asked_at = time.monotonic()
            self._refreshing = None
