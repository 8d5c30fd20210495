"""Encoders as ingests use them: behind the lane of batches, so that searches go first."""

from gateway.context import current_share
from gateway.model import Embedded, EncoderInputs
from gateway.ports import Encoder
from gateway.retrieval.admission import BatchLane


class PacedEncoder:
    """Implements gateway.ports.Encoder; what asks for an embedding waits for its place in the lane first."""

    def __init__(self, encoder: Encoder, lane: BatchLane) -> None:
        self._encoder = encoder
        self._lane = lane

    async def embed(self, inputs: EncoderInputs, *, timeout_s: float) -> Embedded:
        """As the port says; the wait for a place is not part of the time."""
        async with self._lane.slot(share=current_share()):
            return await self._encoder.embed(inputs, timeout_s=timeout_s)

    async def manifest(self, *, timeout_s: float) -> str:
        """As the port says."""
        return await self._encoder.manifest(timeout_s=timeout_s)

    async def embedding_dim(self, *, timeout_s: float) -> int:
        """As the port says."""
        return await self._encoder.embedding_dim(timeout_s=timeout_s)
