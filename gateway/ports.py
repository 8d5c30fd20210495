"""The seams to other services; adapters stand behind them, fakes obey the same contract tests.

Every call takes the seconds that it may last, raises DeadlineExceeded when they pass, and raises the
DependencyError of its service when that fails.
"""

from collections.abc import Collection, Sequence
from typing import Protocol

from gateway.model import (
    Embedding,
    EncoderInputs,
    Filter,
    Hit,
    IndexSummary,
    IndexVersion,
    StoredProduct,
    Weights,
)
from vitrine.tensors import EMBEDDING_DIM
from vitrine.v1 import rewrite_pb2


class Encoder(Protocol):
    """Turns words and pictures into embeddings: one Triton call."""

    async def embed(self, inputs: EncoderInputs, *, timeout_s: float) -> Embedding:
        """Give one L2-normalised row of float32 for each row of the inputs.

        Raises:
            InvalidQuery: a picture cannot be decoded; names the field `image` and the reason.
        """
        ...

    async def manifest(self, *, timeout_s: float) -> str:
        """Give the digest of the manifest of the models that are served."""
        ...

    async def embedding_dim(self, *, timeout_s: float) -> int:
        """Give the length of the embeddings of the models that are served."""
        ...


class VectorIndex(Protocol):
    """Reads the current collection."""

    async def search(
        self,
        embedding: Embedding,
        *,
        text_embedding: Embedding | None = None,
        weights: Weights,
        filters: Filter | None,
        limit: int,
        timeout_s: float,
    ) -> list[Hit]:
        """Give the best products by weights.text * S_text + weights.image * S_image: one exact ANN call.

        `embedding` asks the image half, and the text half too unless `text_embedding` does.
        The answer comes from one collection, never from two, also while an index is being swapped.
        """
        ...

    async def get(self, ids: Sequence[str], *, timeout_s: float) -> list[StoredProduct]:
        """Give the products that exist, with their embeddings, in the order of the ids."""
        ...

    async def count(self, filters: Filter, *, timeout_s: float) -> int:
        """Count the products that fulfil the condition."""
        ...

    async def version(self, *, timeout_s: float) -> IndexVersion:
        """Name the current collection: cheap, asked every few seconds. FailedPrecondition when there is none."""
        ...

    async def describe(self, *, timeout_s: float) -> IndexSummary:
        """Say what the current collection is and holds. Raises FailedPrecondition when there is none."""
        ...


class CollectionWriter(Protocol):
    """Writes one collection: the current one, or one that is being built."""

    version: IndexVersion

    async def digests(self, ids: Sequence[str]) -> dict[str, str]:
        """Give the digests of those products that the collection holds."""
        ...

    async def upsert(self, products: Sequence[StoredProduct]) -> None:
        """Write products with both embeddings; durable when this returns."""
        ...

    async def delete(self, ids: Sequence[str]) -> int:
        """Delete products, at most 1,000 at a time; give how many there were."""
        ...

    async def retain(self, ids: Collection[str]) -> int:
        """Delete every product but these; give how many there were."""
        ...

    async def seal(self) -> int:
        """Record how many products there are, which opening the collection verifies; give the number.

        When this returns, readers see every write before it.
        """
        ...


class IndexAdministrator(Protocol):
    """Opens collections for writing and swaps the one that readers use."""

    async def current(self, manifest: str, *, embedding_dim: int = EMBEDDING_DIM) -> CollectionWriter:
        """Open the collection in use, made empty on first use; FailedPrecondition when its manifest differs."""
        ...

    async def build(
        self, manifest: str, source: str, *, embedding_dim: int = EMBEDDING_DIM
    ) -> CollectionWriter:
        """Open a new collection for a rebuild, or the unfinished one of the same manifest and source."""
        ...

    async def promote(self, version: IndexVersion) -> None:
        """Seal the collection and make it the one in use, atomically; the one before stays until the next rebuild."""
        ...


class Rewriter(Protocol):
    """Reads a turn in the light of the conversation; may be late, wrong or absent."""

    async def rewrite(
        self, request: rewrite_pb2.RewriteRequest, *, timeout_s: float
    ) -> rewrite_pb2.RewriteResponse:
        """Give what the turn needs, and what read it. Raises RewriterUnavailable when it cannot."""
        ...


class RewriterUnavailable(Exception):  # noqa: N818 - a reason to degrade, not a failure of the search
    """The rewriter did not answer in time, or not at all: the caller's own words are used."""
