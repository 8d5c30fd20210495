"""Whether encoders and index were made for each other.

The vectors of an index mean nothing to encoders of another manifest. The encoders' manifest is asked for before the
first search, every few seconds by the probes, and again after the encoder failed, since it may come back with other
models; the index's version comes with every search from the index's own short memory.
"""

from gateway.caches import SingleFlight
from gateway.errors import FailedPrecondition
from gateway.ports import Encoder, VectorIndex
from gateway.retrieval.query import Versions


class Compatibility:
    """Knows which encoders and which index answer together."""

    def __init__(self, encoder: Encoder, index: VectorIndex) -> None:
        self._encoder = encoder
        self._index = index
        self._manifest = ""
        self._asking = SingleFlight[str, str]()
        self.verified = False
        """Whether nothing has spoken against the last comparison so far."""

    async def versions(self, *, timeout_s: float) -> Versions:
        """Return what answers now; the encoders' manifest from memory while nothing speaks against it.

        Raises:
            FailedPrecondition: there is no index, or other encoders made it; names the command that helps.
            DependencyError: one of them has never answered, or failed of late and does not answer now.
        """
        if not self._manifest:
            await self._ask(timeout_s)
        versions = await self._compare(timeout_s)
        if versions is None:  # either may have changed since
            await self._ask(timeout_s)
            versions = await self._compare(timeout_s)
        if versions is None:
            raise await self._mismatch(timeout_s)
        return versions

    async def verify(self, *, timeout_s: float) -> Versions:
        """Ask the encoders anew; as `versions`."""
        await self._ask(timeout_s)
        return await self.versions(timeout_s=timeout_s)

    def invalidate(self) -> None:
        """Make the next search ask anew: a dependency failed and may come back as another version."""
        self._manifest = ""
        self.verified = False

    async def _ask(self, timeout_s: float) -> None:
        self._manifest = await self._asking.run(
            "manifest", lambda: self._encoder.manifest(timeout_s=timeout_s)
        )

    async def _compare(self, timeout_s: float) -> Versions | None:
        """Return the versions where they match, else None."""
        try:
            version = await self._index.version(timeout_s=timeout_s)
        except FailedPrecondition:
            self.verified = False
            raise
        self.verified = version.manifest == self._manifest
        if not self.verified:
            return None
        return Versions(model=self._manifest, index=version.collection, schema=version.schema)

    async def _mismatch(self, timeout_s: float) -> FailedPrecondition:
        version = await self._index.version(timeout_s=timeout_s)
        return FailedPrecondition(
            f"encoders {self._manifest[:12]} serve, but encoders {version.manifest[:12]} made the index"
            f" {version.collection}: run `vitrine index --rebuild PATH`"
        )
