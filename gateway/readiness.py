"""Whether the gateway can answer: encoders and index reachable, and made for each other (retrieval/compatibility.py)."""

import logging
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import numpy as np

from gateway.encoders import Encoders
from gateway.errors import FailedPrecondition, Overloaded, SearchError
from gateway.logs import log_event
from gateway.model import Weights
from gateway.ports import VectorIndex
from gateway.retrieval.compatibility import Compatibility

SEARCH_SERVICE = "vitrine.v1.SearchService"
CATALOGUE_SERVICE = "vitrine.v1.CatalogueService"
OVERALL = ""
"""The name that health checks without a service ask for."""
STARTED = "vitrine.Started"
"""SERVING from the first moment at which searches could be answered until the drain, whatever becomes of the services that all
gateways share: whether calls should be sent here, to be answered as well as they can be."""

_ENCODER, _INDEX, _PAIR = "encoder", "index", "encoders_of_index"

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
        encoders: Encoders,
        index: VectorIndex,
        compatibility: Compatibility,
        *,
        settings: ProbeSettings,
        tell: Callable[[Mapping[str, bool]], Awaitable[None]],
        answered: Callable[[str], float] = lambda _: -math.inf,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._encoders = encoders
        self._index = index
        self._compatibility = compatibility
        self._settings = settings
        self._tell = tell
        self._answered = answered
        self._clock = clock
        self._started = False
        self._of_index = ""
        self._answering: tuple[str, ...] = ()
        # Nothing counts as there until it has answered once.
        self._failed = dict.fromkeys((_ENCODER, _INDEX, _PAIR), settings.failures)
        self._obstacle = ""

    @property
    def index_outdated(self) -> bool:
        """Whether the newest encoders that answered the last probe are not those that made the index in use."""
        return bool(self._of_index and self._answering) and self._answering[-1] != self._of_index

    async def probe(self) -> None:
        """Ask the index and its encoders, or any others where those do not answer, and tell which services can answer."""
        await self._ask(_INDEX, self._look_up)
        await self._ask(_PAIR, self._verify)
        if self._failed[_PAIR] or self._obstacle or self._encoders.several:
            await self._ask(_ENCODER, self._any_encoder)
        else:
            self._failed[_ENCODER], self._answering = 0, ()
        reachable = self._there(_ENCODER) and self._there(_INDEX)
        searchable = reachable and self._there(_PAIR) and not self._obstacle
        self._started = self._started or searchable
        await self._tell(
            {
                OVERALL: reachable,
                CATALOGUE_SERVICE: reachable,
                SEARCH_SERVICE: searchable,
                STARTED: self._started,
            }
        )

    def _there(self, dependency: str) -> bool:
        return self._failed[dependency] < self._settings.failures

    async def _ask(self, dependency: str, question: Callable[[], Awaitable[object]]) -> None:
        began = self._clock()
        try:
            await question()
        except (Overloaded, FailedPrecondition):
            pass  # an answer: busy is not gone, and an index may not be there yet
        except SearchError as error:
            if self._answered(_INDEX if dependency == _INDEX else _ENCODER) >= began:
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

    async def _any_encoder(self) -> None:
        self._answering = await self._encoders.answering(timeout_s=self._settings.timeout_s)

    async def _look_up(self) -> None:
        version = await self._index.version(timeout_s=self._settings.timeout_s)
        self._of_index = version.manifest
        dim = version.embedding_dim
        await self._index.search(
            np.full(dim, dim**-0.5, np.float32),
            weights=Weights(text=0.5, image=0.5),
            filters=None,
            limit=1,
            timeout_s=self._settings.timeout_s,
        )

    async def _verify(self) -> None:
        """Embed a word by the encoders of the index in use; a mismatch, or no index, is an obstacle."""
        try:
            await self._compatibility.verify(timeout_s=self._settings.timeout_s)
        except FailedPrecondition as error:
            if str(error) != self._obstacle:
                log_event(_logger, logging.WARNING, "not_searchable", reason=str(error))
            self._obstacle = str(error)
            return
        self._obstacle = ""
