"""The encoders of searches: texts that are asked for at the same time are encoded by one call."""

from collections.abc import Sequence

import numpy as np

from gateway.gathering import Gathering
from gateway.model import Embedded, EncoderInputs
from gateway.ports import Encoder
from vitrine.tensors import MAX_BATCH_SIZE


class GatheredEncoder:
    """Implements Encoder for searches.

    One text, or one text and what it changes, shares its call with others of its kind. Pictures go by themselves: encoding them
    costs far more than the call does, and Triton batches them.
    """

    def __init__(self, encoder: Encoder, *, calls_at_once: int) -> None:
        self._encoder = encoder
        self._gathering = Gathering[str, EncoderInputs, Embedded](
            self._embed, most=MAX_BATCH_SIZE, at_once=calls_at_once, late="the encoder did not answer in time"
        )

    async def embed(self, inputs: EncoderInputs, *, timeout_s: float) -> Embedded:
        """As the port says."""
        if inputs.texts is None or len(inputs.texts) != 1 or inputs.images is not None:
            return await self._encoder.embed(inputs, timeout_s=timeout_s)
        kind = "words" if inputs.references is None else "change"
        return await self._gathering.run(kind, inputs, timeout_s=timeout_s)

    async def manifest(self, *, timeout_s: float) -> str:
        """As the port says."""
        return await self._encoder.manifest(timeout_s=timeout_s)

    async def embedding_dim(self, *, timeout_s: float) -> int:
        """As the port says."""
        return await self._encoder.embedding_dim(timeout_s=timeout_s)

    async def _embed(
        self, _kind: str, asked: Sequence[EncoderInputs], timeout_s: float
    ) -> Sequence[Embedded]:
        if len(asked) == 1:
            return [await self._encoder.embed(asked[0], timeout_s=timeout_s)]
        references = [each.references for each in asked if each.references is not None]
        inputs = EncoderInputs(
            texts=[text for each in asked for text in each.texts or ()],
            references=np.concatenate(references) if references else None,
        )
        embedded = await self._encoder.embed(inputs, timeout_s=timeout_s)
        return [
            Embedded(
                # A row of its own: whoever remembers it does not keep the others.
                rows=embedded.rows[i : i + 1].copy(),
                cut=embedded.cut[i : i + 1],
                manifest=embedded.manifest,
            )
            for i in range(len(asked))
        ]
