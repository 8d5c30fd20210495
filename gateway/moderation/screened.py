"""Encoders of ingests that refuse what the shop's moderation refuses, as they refuse a picture that cannot be decoded."""

import asyncio
from collections.abc import Sequence

from gateway.errors import DeadlineExceeded, DependencyError
from gateway.model import Deadline, Embedded, EncoderInputs
from gateway.moderation.pictures import Pictures
from gateway.moderation.policy import Action
from gateway.ports import Encoder


class ScreenedEncoder:
    """Implements gateway.ports.Encoder; the pictures of a call are checked once they are embedded."""

    def __init__(self, encoder: Encoder, pictures: Pictures) -> None:
        self._encoder = encoder
        self._pictures = pictures

    async def embed(self, inputs: EncoderInputs, *, timeout_s: float) -> Embedded:
        """As the port says.

        Raises:
            Blocked: one of the pictures is refused; which one is found as for one that cannot be decoded, by asking again
                for fewer.
        """
        embedded = await self._encoder.embed(inputs, timeout_s=timeout_s)
        if inputs.images is not None and self._pictures.policy.catalogue is not Action.OFF:
            try:
                await self._check(inputs.images, embedded, timeout_s)
            except (DependencyError, DeadlineExceeded) as error:
                self._pictures.unchecked(error)
        return embedded

    async def manifest(self, *, timeout_s: float) -> str:
        """As the port says."""
        return await self._encoder.manifest(timeout_s=timeout_s)

    async def embedding_dim(self, *, timeout_s: float) -> int:
        """As the port says."""
        return await self._encoder.embedding_dim(timeout_s=timeout_s)

    async def _check(self, images: Sequence[bytes], embedded: Embedded, timeout_s: float) -> None:
        if await self._pictures.idle():
            return
        deadline = Deadline.after(timeout_s)
        pixels = await self._pictures.decoded(images, timeout_s=timeout_s)
        checks = (
            self._pictures.of_catalogue(image, own, (embedded.manifest, row), deadline, again=len(images) > 1)
            for image, own, row in zip(images, pixels, embedded.rows, strict=True)
        )
        await asyncio.gather(*checks)
