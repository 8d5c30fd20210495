"""An encoder in memory: words and pictures embedded by their hashes."""

import asyncio
import hashlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.errors import DeadlineExceeded, InvalidQuery, SearchError
from gateway.model import Embedded, Embedding, EncoderInputs
from vitrine.preprocess import ImageRejected, inspect_image
from vitrine.tensors import EMBEDDING_DIM, TEXT_LENGTH

MANIFEST = "manifest-of-the-fakes"


def embed_words(text: str) -> Embedding:
    """Return the sum of a fixed direction for each word, L2-normalised: shared words make texts similar."""
    return _normalised(sum((_direction(word.encode()) for word in text.casefold().split()), _direction(b"")))


def embed_picture(image: bytes) -> Embedding:
    """Return a fixed direction for these bytes, L2-normalised."""
    return _direction(image)


@dataclass
class FakeEncoder:
    """Embeds words and pictures by their hashes; counts its calls. It reads `words` words of a text."""

    digest: str = MANIFEST
    error: SearchError | None = None
    delay_s: float = 0.0
    words: int = TEXT_LENGTH
    sign: float = 1.0
    """-1: other encoders, whose vectors are the opposite."""
    embed_calls: list[EncoderInputs] = field(default_factory=list)
    cancelled: int = 0

    async def embed(self, inputs: EncoderInputs, *, timeout_s: float) -> Embedded:
        """Return (n, EMBEDDING_DIM); a composed row is the normalised sum of its parts."""
        self.embed_calls.append(inputs)
        try:
            await work(self.delay_s, timeout_s, self.error)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        parts: list[Embedding] = []
        if inputs.texts is not None:
            read = [" ".join(text.split()[: self.words]) for text in inputs.texts]
            parts.append(np.stack([embed_words(text) for text in read]))
        if inputs.images is not None:
            parts.append(np.stack([_decoded(image) for image in inputs.images]))
        if inputs.references is not None:
            parts.append(inputs.references)
        return Embedded(
            rows=np.float32(self.sign) * np.stack([_normalised(row) for row in np.sum(parts, axis=0)]),
            cut=tuple(len(text.split()) > self.words for text in inputs.texts or ()),
            manifest=self.digest,
        )

    async def manifest(self, *, timeout_s: float) -> str:
        """Return `digest`."""
        await work(self.delay_s, timeout_s, self.error)
        return self.digest

    async def embedding_dim(self, *, timeout_s: float) -> int:
        """Return EMBEDDING_DIM."""
        await work(self.delay_s, timeout_s, self.error)
        return EMBEDDING_DIM


async def work(delay_s: float, timeout_s: float, error: SearchError | None) -> None:
    """Take as long as a fake was told to, and fail as it was told to."""
    if delay_s > timeout_s:
        await asyncio.sleep(timeout_s)
        raise DeadlineExceeded("the fake did not answer in time")
    await asyncio.sleep(delay_s)
    if error is not None:
        raise error


def _direction(data: bytes) -> Embedding:
    seed = int.from_bytes(hashlib.sha256(data).digest()[:8], "little")
    return _normalised(np.random.default_rng(seed).standard_normal(EMBEDDING_DIM))


def _normalised(vector: NDArray[Any]) -> Embedding:
    normalised: Embedding = (vector / np.linalg.norm(vector)).astype(np.float32)
    return normalised


def _decoded(image: bytes) -> Embedding:
    try:
        inspect_image(image)
    except ImageRejected as error:
        raise InvalidQuery("image", error.reason) from None
    return embed_picture(image)
