"""Whether the gateway can answer: encoders and index reachable, and made for each other (retrieval/compatibility.py)."""

import logging
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import numpy as np

from gateway.errors import FailedPrecondition, Overloaded, SearchError
from gateway.logs import log_event
from gateway.model import EncoderInputs, Weights
from gateway.ports import Encoder, VectorIndex
from gateway.retrieval.compatibility import Compatibility

SEARCH_SERVICE = "vitrine.v1.SearchService"
CATALOGUE_SERVICE = "vitrine.v1.CatalogueService"
OVERALL = ""
"""The name that health checks without a service ask for."""
STARTED = "vitrine.Started"
"""SERVING from the first moment at which searches could be answered until the drain, whatever becomes of the services that all
gateways share: whether calls should be sent here, to be answered as well as they can be."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeSettings:
    """How the probes judge."""

    timeout_s: float
    failures: int
    """Failed probes in a row that make a dependency count as gone: one slow answer under load does not."""


class Readiness:
    """Probes with a real inference and a real look-up, and tells health what came of it.

    `answered` returns when a dependency last answered a call, by the clock, so that a probe that is late because of them
    counts for nothing.
    """

    def __init__(
        self,
        encoder: Encoder,
        index: VectorIndex,
        compatibility: Compatibility,
        *,
        settings: ProbeSettings,
        tell: Callable[[Mapping[str, bool]], Awaitable[None]],
        answered: Callable[[str], float] = lambda _: -math.inf,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._encoder = encoder
        self._index = index
        self._compatibility = compatibility
        self._settings = settings
        self._tell = tell
        self._answered = answered
        self._clock = clock
        self._started = False
        # Nothing counts as there until it has answered once.
        self._failed = {"encoder": settings.failures, "index": settings.failures}
        self._obstacle = ""

    async def probe(self) -> None:
        """Ask both once, compare their versions, and tell which services can answer."""
        await self._ask("encoder", self._infer)
        await self._ask("index", self._look_up)
        reachable = all(failed < self._settings.failures for failed in self._failed.values())
        searchable = reachable and await self._agrees()
        self._started = self._started or searchable
        await self._tell(
            {
                OVERALL: reachable,
                CATALOGUE_SERVICE: reachable,
                SEARCH_SERVICE: searchable,
                STARTED: self._started,
            }
        )

    async def _ask(self, dependency: str, question: Callable[[], Awaitable[object]]) -> None:
        began = self._clock()
        try:
            await question()
        except (Overloaded, FailedPrecondition):
            pass  # an answer: busy is not gone, and an index may not be there yet
        except SearchError as error:
            if self._answered(dependency) >= began:
                return  # it answered others meanwhile: late is not gone
            self._failed[dependency] += 1
            if self._failed[dependency] == self._settings.failures:
                log_event(
                    _logger, logging.WARNING, "dependency_lost", dependency=dependency, error=str(error)
                )
            return
        if self._failed[dependency] >= self._settings.failures:
            log_event(_logger, logging.INFO, "dependency_answers", dependency=dependency)
        self._failed[dependency] = 0

    async def _infer(self) -> None:
        await self._encoder.embed(EncoderInputs(texts=["ready"]), timeout_s=self._settings.timeout_s)

    async def _look_up(self) -> None:
        version = await self._index.version(timeout_s=self._settings.timeout_s)
        dim = version.embedding_dim
        await self._index.search(
            np.full(dim, dim**-0.5, np.float32),
            weights=Weights(text=0.5, image=0.5),
            filters=None,
            limit=1,
            timeout_s=self._settings.timeout_s,
        )

    async def _agrees(self) -> bool:
        try:
            await self._compatibility.verify(timeout_s=self._settings.timeout_s)
        except FailedPrecondition as error:
            if str(error) != self._obstacle:
                log_event(_logger, logging.WARNING, "not_searchable", reason=str(error))
            self._obstacle = str(error)
            return False
        except SearchError:
            return self._compatibility.verified
        self._obstacle = ""
        return True
