"""The values that filters may use, as the index last described them."""

import asyncio
import logging
import time

from gateway.errors import SearchError
from gateway.logs import log_event
from gateway.model import FieldSummary
from gateway.ports import VectorIndex

REFRESH_S = 5.0
"""Age at which they are asked for anew, beside the call that noticed it."""

_TIMEOUT_S = 5.0

_logger = logging.getLogger(__name__)


class FacetCache:
    """Keeps the index's description of its fields; only the very first caller waits for it."""

    def __init__(self, index: VectorIndex) -> None:
        self._index = index
        self._fields: tuple[FieldSummary, ...] = ()
        self._asked_at = float("-inf")
        self._refreshing: asyncio.Task[None] | None = None

    async def fields(self, *, timeout_s: float) -> tuple[FieldSummary, ...]:
        """Give the fields; none when the index has not described them and does not within the time."""
        if time.monotonic() - self._asked_at > REFRESH_S and self._refreshing is None:
            self._refreshing = asyncio.create_task(self._refresh())
        if not self._fields and self._refreshing is not None:
            await asyncio.wait([self._refreshing], timeout=timeout_s)
        return self._fields

    async def close(self) -> None:
        """Stop asking."""
        if self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.wait([self._refreshing])

    async def _refresh(self) -> None:
        try:
            self._fields = (await self._index.describe(timeout_s=_TIMEOUT_S)).fields
        except SearchError as error:
            log_event(_logger, logging.WARNING, "facets_not_refreshed", error=str(error))
        finally:
            self._asked_at = time.monotonic()
            self._refreshing = None
