"""What reads the category in pictures, learnt once an index, beside the searches that ask for it."""

import asyncio
import logging
import time

from gateway.encoders import Encoders
from gateway.errors import SearchError
from gateway.indexing.learning import learn
from gateway.logs import log_event
from gateway.ports import IndexAdministrator
from gateway.retrieval.query import Versions
from vitrine.attributes.reader import PictureReader
from vitrine.domain.schema import Role

_FRESH_S = 3_600.0
"""Age at which it is learnt anew: the index has other products by then. The old one serves meanwhile."""
_RETRY_S = 30.0
"""After it could not be learnt."""
_ENCODERS_TIMEOUT_S = 5.0

_logger = logging.getLogger(__name__)


class CategoryReaders:
    """Implements `gateway.retrieval.category.Readers`; keeps the reader of one index, and learns one at a time."""

    def __init__(self, administrator: IndexAdministrator, encoders: Encoders, *, precision: float) -> None:
        self._administrator = administrator
        self._encoders = encoders
        self._precision = precision
        self._collection = ""
        self._reader: PictureReader | None = None
        self._learn_again_at = float("-inf")
        self._learning: asyncio.Task[None] | None = None

    async def of(self, versions: Versions, *, timeout_s: float) -> PictureReader | None:
        """As the protocol says."""
        if self._known(versions) is None or time.monotonic() >= self._learn_again_at:
            self._start(versions)
        if self._known(versions) is None and self._learning is not None:
            await asyncio.wait([self._learning], timeout=timeout_s)
        return self._known(versions)

    async def close(self) -> None:
        """Stop learning."""
        if self._learning is not None:
            self._learning.cancel()
            await asyncio.wait([self._learning])

    def _known(self, versions: Versions) -> PictureReader | None:
        return self._reader if self._collection == versions.index else None

    def _start(self, versions: Versions) -> None:
        if self._learning is not None:
            return
        if self._collection == versions.index and time.monotonic() < self._learn_again_at:
            return
        self._learning = asyncio.create_task(self._learn(versions), name="learn categories")

    async def _learn(self, versions: Versions) -> None:
        wait_s = _RETRY_S
        try:
            reader = await self._read(versions)
            if reader is not None:
                self._reader, wait_s = reader, _FRESH_S
            elif self._collection != versions.index:
                self._reader = None
        except SearchError as error:
            log_event(_logger, logging.WARNING, "categories_not_learnt", error=str(error))
            if self._collection != versions.index:
                self._reader = None
        finally:
            self._collection = versions.index
            self._learn_again_at = time.monotonic() + wait_s
            self._learning = None

    async def _read(self, versions: Versions) -> PictureReader | None:
        """Learn from the index in use; None where it is another by now."""
        owner = versions.schema.role(Role.CATEGORY)
        if owner is None:
            return PictureReader()
        served = await self._encoders.of(versions.model, timeout_s=_ENCODERS_TIMEOUT_S)
        writer = await self._administrator.current(versions.model, embedding_dim=served.embedding_dim)
        if writer.version.collection != versions.index:
            return None
        return await learn(writer, served.encoder, [owner], precision=self._precision)
