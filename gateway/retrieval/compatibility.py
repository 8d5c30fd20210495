"""Which encoders and which index answer together: the index in use names the encoders that made its vectors.

What an index says is from its own short memory; that an embedding was made by those encoders is held against every
inference (gateway/encoders.py). When another index is swapped in, or the one before put back, its encoders come with it.
"""

from gateway.encoders import Encoders
from gateway.model import EncoderInputs
from gateway.ports import VectorIndex
from gateway.retrieval.query import Versions


class Compatibility:
    """Knows the pair of encoders and index that answers now."""

    def __init__(self, encoders: Encoders, index: VectorIndex) -> None:
        self._encoders = encoders
        self._index = index

    async def versions(self, *, timeout_s: float) -> Versions:
        """Return the index in use and the encoders that belong to it, whether or not they serve.

        Raises:
            FailedPrecondition: there is no index; names the command that helps.
            DependencyError: the index does not answer.
        """
        version = await self._index.version(timeout_s=timeout_s)
        return Versions(model=version.manifest, index=version.collection, schema=version.schema)

    async def verify(self, *, timeout_s: float) -> None:
        """Embed a word by the encoders of the index in use.

        Raises:
            FailedPrecondition: there is no index, or other encoders serve than made it; names the command that helps.
            DependencyError, Overloaded, DeadlineExceeded: the encoders or the index do not answer.
        """
        versions = await self.versions(timeout_s=timeout_s)
        await self._encoders.embed(
            EncoderInputs(texts=["ready"]), manifest=versions.model, timeout_s=timeout_s
        )
