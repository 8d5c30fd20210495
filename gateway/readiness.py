"""Whether the gateway can answer: encoders and index reachable, and made for each other.

The vectors of an index mean nothing to encoders of another manifest. Both identities are compared before the first
search, every few seconds, and again after the encoder failed, since it may come back with other models.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import numpy as np

from gateway.caches import SingleFlight
from gateway.errors import FailedPrecondition, Overloaded, SearchError
from gateway.logs import log_event
from gateway.model import EncoderInputs, Weights
from gateway.ports import Encoder, VectorIndex
from gateway.retrieval.query import Versions

SEARCH_SERVICE = "vitrine.v1.SearchService"
CATALOGUE_SERVICE = "vitrine.v1.CatalogueService"
OVERALL = ""
"""The name that health checks without a service ask for."""

_logger = logging.getLogger(__name__)


class Agreement:
    """Knows which encoders and which index answer together."""

    def __init__(self, encoder: Encoder, index: VectorIndex) -> None:
        self._encoder = encoder
        self._index = index
        self._agreed: Versions | None = None
        self._check = SingleFlight[str, Versions]()

    async def versions(self, *, timeout_s: float) -> Versions:
        """Give what answers now, from memory while nothing speaks against it.

        Raises:
            FailedPrecondition: there is no index, or other encoders made it; names the command that helps.
            DependencyError: one of them has never answered, or failed of late and does not answer now.
        """
        if self._agreed is None:
            return await self.verify(timeout_s=timeout_s)
        return self._agreed

    async def verify(self, *, timeout_s: float) -> Versions:
        """Ask both anew; as `versions`."""
        return await self._check.run("versions", lambda: self._compare(timeout_s))

    @property
    def standing(self) -> bool:
        """Whether nothing spoke against the last agreement so far."""
        return self._agreed is not None

    def doubt(self) -> None:
        """Make the next search ask anew: a dependency failed and may come back as another version."""
        self._agreed = None

    async def _compare(self, timeout_s: float) -> Versions:
        manifest = await self._encoder.manifest(timeout_s=timeout_s)
        try:
            version = await self._index.version(timeout_s=timeout_s)
        except FailedPrecondition:
            self._agreed = None
            raise
        if manifest != version.manifest:
            self._agreed = None
            raise FailedPrecondition(
                f"encoders {manifest[:12]} serve, but encoders {version.manifest[:12]} made the index"
                f" {version.collection}: run `vitrine index --rebuild PATH`"
            )
        self._agreed = Versions(model=manifest, index=version.collection)
        return self._agreed


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeSettings:
    """How the probes judge."""

    timeout_s: float
    failures: int
    """Failed probes in a row that make a dependency count as gone: one slow answer under load does not."""


class Readiness:
    """Probes with a real inference and a real look-up, and tells health what came of it."""

    def __init__(
        self,
        encoder: Encoder,
        index: VectorIndex,
        agreement: Agreement,
        *,
        settings: ProbeSettings,
        tell: Callable[[Mapping[str, bool]], Awaitable[None]],
    ) -> None:
        self._encoder = encoder
        self._index = index
        self._agreement = agreement
        self._settings = settings
        self._tell = tell
        # Nothing counts as there until it has answered once.
        self._failed = {"encoder": settings.failures, "index": settings.failures}
        self._obstacle = ""

    async def probe(self) -> None:
        """Ask both once, compare their versions, and tell which services can answer."""
        await self._ask("encoder", self._infer)
        await self._ask("index", self._look_up)
        reachable = all(failed < self._settings.failures for failed in self._failed.values())
        searchable = reachable and await self._agrees()
        await self._tell({OVERALL: reachable, CATALOGUE_SERVICE: reachable, SEARCH_SERVICE: searchable})

    async def _ask(self, dependency: str, question: Callable[[], Awaitable[object]]) -> None:
        try:
            await question()
        except (Overloaded, FailedPrecondition):
            pass  # an answer: busy is not gone, and an index may not be there yet
        except SearchError as error:
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
            await self._agreement.verify(timeout_s=self._settings.timeout_s)
        except FailedPrecondition as error:
            if str(error) != self._obstacle:
                log_event(_logger, logging.WARNING, "not_searchable", reason=str(error))
            self._obstacle = str(error)
            return False
        except SearchError:
            return self._agreement.standing
        self._obstacle = ""
        return True
