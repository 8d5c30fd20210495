"""The encoders that serve: those that made the index in use, and, while it is rebuilt for others, those beside them.

What an address serves is asked for once and remembered, and every inference is held against it: its answer names the
models that computed it. Where they are others, nothing of the answer is used: who serves what is asked anew, and the
encoders that were wanted are asked once more.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.caches import SingleFlight
from gateway.errors import DependencyError, EncodersExchanged, FailedPrecondition, SearchError
from gateway.logs import log_event
from gateway.model import Deadline, Embedded, EncoderInputs
from gateway.ports import Encoder

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """Encoders of one manifest; what `encoder` embeds was computed by them, or it raises."""

    encoder: Encoder
    manifest: str
    embedding_dim: int


@dataclass(frozen=True, slots=True)
class _Answer:
    """What an address said that it serves."""

    encoder: Encoder
    manifest: str
    embedding_dim: int


class Encoders:
    """Chooses by manifest: the vectors of an index mean nothing to encoders of another."""

    def __init__(self, encoders: Sequence[Encoder]) -> None:
        """Take one encoder at least, the newest last."""
        self._encoders = tuple(encoders)
        self._known: dict[str, _Answer] = {}
        """By manifest: who served it when last asked."""
        self._finding = SingleFlight[str, _Answer]()

    @property
    def several(self) -> bool:
        """Whether there are others beside the first."""
        return len(self._encoders) > 1

    async def newest(self, *, timeout_s: float) -> Served:
        """Return the encoders that a new index is built with: those of the last address.

        Raises:
            DependencyError: they do not answer; an index for encoders before them would not be what was asked for.
        """
        return self._pinned(await self._ask(self._encoders[-1], Deadline.after(timeout_s)))

    async def first(self, *, timeout_s: float) -> Served:
        """Return the encoders that a first index is made with: the newest of those that answer, each within the time.

        Raises:
            DependencyError: none of them answers.
        """
        for encoder in reversed(self._encoders[1:]):
            try:
                return self._pinned(await self._ask(encoder, Deadline.after(timeout_s)))
            except SearchError:
                continue
        return self._pinned(await self._ask(self._encoders[0], Deadline.after(timeout_s)))

    async def of(self, manifest: str, *, timeout_s: float) -> Served:
        """Ask who serves, and return the encoders of that manifest.

        Raises:
            FailedPrecondition: those that answer are others.
            DependencyError: one of them does not answer, and the others have another manifest.
        """
        return self._pinned(await self._find(manifest, Deadline.after(timeout_s)))

    async def embed(self, inputs: EncoderInputs, *, manifest: str, timeout_s: float) -> Embedded:
        """Return what the encoders of that manifest compute, and nothing else.

        Raises:
            EncodersExchanged: others answered, twice, where those of the manifest were said to serve.
            FailedPrecondition, DependencyError: as `of`.
        """
        deadline = Deadline.after(timeout_s)
        for _ in range(2):
            server = await self._server_of(manifest, deadline)
            try:
                embedded = await server.encoder.embed(inputs, timeout_s=deadline.remaining_s())
            except DependencyError:
                self.forget()  # it may come back as others
                raise
            if embedded.manifest == manifest:
                return embedded
            log_event(
                _logger, logging.WARNING, "encoders_exchanged", wanted=manifest, answered=embedded.manifest
            )
            self.forget()
        raise EncodersExchanged

    async def answering(self, *, timeout_s: float) -> tuple[str, ...]:
        """Return the manifests that serve now, the newest last; raises DependencyError where nobody answers."""
        deadline = Deadline.after(timeout_s)
        said = await asyncio.gather(*(self._said(encoder, deadline) for encoder in self._encoders))
        manifests = tuple(dict.fromkeys(each.manifest for each in said if isinstance(each, _Answer)))
        failures = [each for each in said if isinstance(each, SearchError)]
        if not manifests:
            raise failures[0]
        return manifests

    def forget(self) -> None:
        """Ask who serves what before the next inference."""
        self._known.clear()

    async def _server_of(self, manifest: str, deadline: Deadline) -> _Answer:
        known = self._known.get(manifest)
        if known is not None:
            return known
        return await self._finding.run(manifest, lambda: self._find(manifest, deadline))

    async def _find(self, manifest: str, deadline: Deadline) -> _Answer:
        """Ask all at once, and wait no longer than until one has the manifest."""
        asked = [asyncio.create_task(self._said(encoder, deadline)) for encoder in self._encoders]
        others: list[str] = []
        failure: SearchError | None = None
        try:
            for answer in asyncio.as_completed(asked):
                said = await answer
                if isinstance(said, SearchError):
                    failure = said
                elif said.manifest == manifest:
                    return said
                else:
                    others.append(said.manifest)
        finally:
            for task in asked:
                task.cancel()
        serving = ", ".join(each[:12] for each in others)
        raise failure or FailedPrecondition(
            f"encoders {serving} serve, but encoders {manifest[:12]} made the index: run"
            " `vitrine index --rebuild PATH`, or serve those encoders too"
        )

    async def _said(self, encoder: Encoder, deadline: Deadline) -> _Answer | SearchError:
        try:
            return await self._ask(encoder, deadline)
        except SearchError as error:
            return error

    async def _ask(self, encoder: Encoder, deadline: Deadline) -> _Answer:
        manifest = await encoder.manifest(timeout_s=deadline.remaining_s())
        dim = await encoder.embedding_dim(timeout_s=deadline.remaining_s())
        answer = _Answer(encoder, manifest, dim)
        self._known[manifest] = answer
        return answer

    def _pinned(self, answer: _Answer) -> Served:
        encoder = _Pinned(self, answer.manifest)
        return Served(encoder=encoder, manifest=answer.manifest, embedding_dim=answer.embedding_dim)


class _Pinned:
    """Implements Encoder for one manifest, whoever serves it."""

    def __init__(self, encoders: Encoders, manifest: str) -> None:
        self._encoders = encoders
        self._manifest = manifest

    async def embed(self, inputs: EncoderInputs, *, timeout_s: float) -> Embedded:
        """As `Encoders.embed`."""
        return await self._encoders.embed(inputs, manifest=self._manifest, timeout_s=timeout_s)

    async def manifest(self, *, timeout_s: float) -> str:
        """Return the manifest, if its encoders serve; raises as `Encoders.of`."""
        return (await self._encoders.of(self._manifest, timeout_s=timeout_s)).manifest

    async def embedding_dim(self, *, timeout_s: float) -> int:
        """Return the length of the embeddings; raises as `Encoders.of`."""
        return (await self._encoders.of(self._manifest, timeout_s=timeout_s)).embedding_dim
