"""The encoders that serve: those that made the index in use, and, while it is rebuilt for others, those beside them."""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.errors import FailedPrecondition, SearchError
from gateway.model import Deadline
from gateway.ports import Encoder


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """Encoders with what they say of themselves."""

    encoder: Encoder
    manifest: str
    embedding_dim: int


class Encoders:
    """Chooses by manifest: the vectors of an index mean nothing to encoders of another."""

    def __init__(self, encoders: Sequence[Encoder]) -> None:
        """Take one encoder at least, the newest last."""
        self._encoders = tuple(encoders)

    async def newest(self, *, timeout_s: float) -> Served:
        """Return the encoders that a new index is built with: the last of those that answer.

        Raises:
            DependencyError: none of them answers.
        """
        deadline = Deadline.after(timeout_s)
        for encoder in reversed(self._encoders[1:]):
            try:
                return await _served(encoder, deadline)
            except SearchError:
                continue
        return await _served(self._encoders[0], deadline)

    async def of(self, manifest: str, *, timeout_s: float) -> Served:
        """Return the encoders of that manifest.

        Raises:
            FailedPrecondition: those that answer are others.
            DependencyError: one of them does not answer, and the others have another manifest.
        """
        deadline = Deadline.after(timeout_s)
        failure: SearchError | None = None
        for encoder in self._encoders:
            try:
                served = await _served(encoder, deadline)
            except SearchError as error:
                failure = error
                continue
            if served.manifest == manifest:
                return served
        raise failure or FailedPrecondition(f"no encoders {manifest[:12]} serve")


async def _served(encoder: Encoder, deadline: Deadline) -> Served:
    manifest = await encoder.manifest(timeout_s=deadline.remaining_s())
    dim = await encoder.embedding_dim(timeout_s=deadline.remaining_s())
    return Served(encoder=encoder, manifest=manifest, embedding_dim=dim)
