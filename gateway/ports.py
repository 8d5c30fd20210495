"""The seams to other services; adapters stand behind them, fakes obey the same contract tests.

Every call takes the seconds that it may last, raises DeadlineExceeded when they pass, and raises the
DependencyError of its service when that fails.
"""

from collections.abc import AsyncIterator, Container, Mapping, Sequence
from typing import Protocol

from gateway.events import Answer, Event, Outcome, PackedAnswer
from gateway.model import (
    Change,
    DocumentSet,
    Embedded,
    Embedding,
    EncoderInputs,
    FieldSummary,
    IndexSummary,
    IndexVersion,
    KeptIndex,
    Pool,
    Replaced,
    Sort,
    Standing,
    StoredDigests,
    StoredProduct,
    Transcript,
    Weights,
)
from vitrine.domain.filters import Filter
from vitrine.domain.schema import Schema
from vitrine.tensors import EMBEDDING_DIM
from vitrine.v1 import rewrite_pb2

MAX_POOL = 1_000
"""Products of one look-up."""


class Encoder(Protocol):
    """Turns words and pictures into embeddings: one Triton call."""

    async def embed(self, inputs: EncoderInputs, *, timeout_s: float) -> Embedded:
        """Return one L2-normalised row of float32 for each row of the inputs, which texts were cut, and who computed it.

        Raises:
            InvalidQuery: a picture cannot be decoded; names the field `image` and the reason.
        """
        ...

    async def manifest(self, *, timeout_s: float) -> str:
        """Return the digest of the manifest of the models that are served."""
        ...

    async def embedding_dim(self, *, timeout_s: float) -> int:
        """Return the length of the embeddings of the models that are served."""
        ...


class VectorIndex(Protocol):
    """Reads the current collection.

    Filters are those that `vitrine.domain.filters.fitted` returns for the schema of the collection, and mean what
    `vitrine.domain.filters.matches` says.
    """

    async def search(
        self,
        embedding: Embedding,
        *,
        text_embedding: Embedding | None = None,
        weights: Weights,
        filters: Filter | None,
        limit: int,
        words: Sequence[str] = (),
        products: Sequence[str] = (),
        sort: Sort | None = None,
        manifest: str = "",
        timeout_s: float,
    ) -> Pool:
        """Return the best products by weights.text * S_text + weights.image * S_image, then by id, exactly.

        `embedding` asks the image half, and the text half too unless `text_embedding` does. Of a product with several
        pictures the one that scores highest counts. With `words`, only products that have one of these tokens
        (`vitrine.domain.lexical`) are ranked; with `products`, only those of these ids, at most MAX_POOL. `limit` is 1 to
        MAX_POOL.

        With `sort` the products come in the order of the field, then by score, then by id, those without a value
        last. Where more than MAX_POOL products satisfy the filters, a number orders all of them if there are
        filters; otherwise the MAX_POOL best by score are ordered, and the pool is not complete.

        The answer comes from one collection, never from two, also while an index is being swapped.

        Raises:
            IndexSwapped: other encoders made the collection in use than those of `manifest`, where it is given.
        """
        ...

    async def get(self, ids: Sequence[str], *, manifest: str = "", timeout_s: float) -> list[StoredProduct]:
        """Return the products that exist, with the vectors of all their pictures, in the order of the ids.

        Raises:
            IndexSwapped: as `search`.
        """
        ...

    async def count(self, filters: Filter, *, timeout_s: float) -> int:
        """Count the products that fulfil the condition."""
        ...

    async def facets(
        self, filters: Filter | None, fields: Sequence[str], *, timeout_s: float
    ) -> tuple[FieldSummary, ...]:
        """Count the values of fields over all products that fulfil the condition, in the order of the fields."""
        ...

    async def version(self, *, timeout_s: float) -> IndexVersion:
        """Name the current collection: cheap, asked every few seconds. FailedPrecondition when there is none."""
        ...

    async def describe(self, *, timeout_s: float) -> IndexSummary:
        """Describe the current collection and what it holds. Raises FailedPrecondition when there is none."""
        ...


class CollectionWriter(Protocol):
    """Writes one collection: the current one, one that is being built, or one that takes changes meanwhile."""

    @property
    def version(self) -> IndexVersion:
        """Return the identity of the collection, with the schema that it has now."""
        ...

    async def digests(self, ids: Sequence[str], *, fresh: bool = False) -> Mapping[str, StoredDigests]:
        """Return the digests of those products that the collection holds; `fresh` has every write that ended before."""
        ...

    async def vectors(self, ids: Sequence[str]) -> Mapping[str, StoredProduct]:
        """Return those products that the collection holds, with the vectors of all their pictures."""
        ...

    def entries(self) -> AsyncIterator[Mapping[str, StoredDigests]]:
        """Yield the digests of every product, some hundreds at a time; every write that ended before is in them."""
        ...

    async def upsert(self, products: Sequence[StoredProduct], *, replaces: bool = True) -> None:
        """Write products with all their vectors, in the place of what was there; durable when this returns.

        Without `replaces` the caller says that none of them was there with more pictures; it costs no look-up.
        """
        ...

    async def delete(self, ids: Sequence[str]) -> int:
        """Delete products, at most 1,000 at a time; return how many there were."""
        ...

    async def retain(self, ids: Container[str]) -> int:
        """Delete every product but these; return how many there were."""
        ...

    async def seal(self) -> int:
        """Record how many products there are, which opening the collection verifies; return the number.

        When this returns, readers see every write before it.
        """
        ...


class Build(CollectionWriter, Protocol):
    """A collection that is being built by the one who holds the lease.

    Every write raises Aborted, and writes nothing, once the lease was lost: another writer may have gone on.
    """

    @property
    def changes(self) -> CollectionWriter:
        """Return what others write and delete meanwhile; only its owner takes it over."""
        ...

    async def fit_index(self) -> None:
        """Have searches of the collection cost no more than its size needs; minutes for millions of products.

        Nothing is written to it meanwhile.
        """
        ...

    async def hold(self) -> None:
        """Have nothing else acknowledged until this has been promoted or closed; Aborted where the lease was lost."""
        ...

    async def close(self) -> None:
        """Give the lease back; what was written is kept for whoever resumes it. Nothing after it was promoted."""
        ...


class IndexAdministrator(Protocol):
    """Opens collections for writing and swaps the one that readers use.

    One writer at a time makes, rebuilds, swaps or changes the schema of an index, over all processes: it holds a
    lease beside the index. Any number write products to the collection in use. Names are never used twice.
    """

    async def current(
        self, manifest: str, schema: Schema | None = None, *, embedding_dim: int = EMBEDDING_DIM
    ) -> CollectionWriter:
        """Open the collection in use, made empty on first use with the schema, or fashion where none is given.

        A schema that differs from the collection's in names of columns, labels or question words, or only adds fields
        that are neither encoded nor searched by their words, becomes the collection's.

        Raises:
            FailedPrecondition: its manifest differs, or the schema differs in a way that needs a rebuild; says which.
        """
        ...

    async def standing(self) -> Standing:
        """Say which collection is in use and what is being done to the index, as of no earlier than this call."""
        ...

    async def changes(self, change: Change) -> CollectionWriter | None:
        """Open the collection that takes the changes beside a rebuild; None where it has ended meanwhile."""
        ...

    async def build(
        self, manifest: str, source: str, schema: Schema | None = None, *, embedding_dim: int = EMBEDDING_DIM
    ) -> Build:
        """Open a new collection for a rebuild, or the unfinished one of the same manifest, source and schema.

        Without a schema it has that of the collection in use, or fashion where there is none. Nothing else is dropped
        before the first product is written to it, and the collection before the one in use not before it is promoted.

        Raises:
            FailedPrecondition: another writer has the lease.
        """
        ...

    async def promote(self, version: IndexVersion) -> Replaced | None:
        """Seal the built collection and make it the one in use, atomically; the one before it is kept.

        Return what it replaced; None where it is the first.
        """
        ...

    async def indexes(self) -> Sequence[KeptIndex]:
        """Return the collection in use, the one before it and those that are unfinished, in this order."""
        ...

    async def restore(self, collection: str) -> Replaced:
        """Put the collection before the one in use back; that one becomes the one before.

        Raises:
            FailedPrecondition: the named collection is not the one before, is damaged, or another writer has the lease.
        """
        ...


class DocumentReader(Protocol):
    """Holds the shop's documents as one set."""

    async def digest(self, *, timeout_s: float) -> str:
        """Return the digest of the set in use; empty where there is none. Cheap: asked every few seconds."""
        ...

    async def read(self, *, timeout_s: float) -> DocumentSet:
        """Return the set in use with the embeddings of its passages; the passages of one set, never of two."""
        ...


class DocumentStore(DocumentReader, Protocol):
    """Keeps the set, which is exchanged as a whole."""

    async def replace(self, documents: DocumentSet, *, before: str, timeout_s: float) -> None:
        """Put a set in the place of the one in use, whose digest is `before`; durable when this returns.

        Every passage has an embedding, all of one length. A set without passages leaves none.

        Raises:
            Aborted: another set than `before` is in use.
            FailedPrecondition: another writer exchanges the documents now.
        """
        ...


class Phraser(Protocol):
    """Puts a reply into a language model's own words."""

    async def phrase(self, request: rewrite_pb2.PhraseRequest, *, timeout_s: float) -> str:
        """Return what the model says, unchecked.

        Raises:
            RewriterUnavailable: there is no such model, or it failed.
        """
        ...


class Rewriter(Protocol):
    """Reads a turn in the light of the conversation; may be late, wrong or absent."""

    async def rewrite(
        self, request: rewrite_pb2.RewriteRequest, *, timeout_s: float
    ) -> rewrite_pb2.RewriteResponse:
        """Return what the turn needs, and what read it. Raises RewriterUnavailable when it cannot."""
        ...

    async def learn(self, request: rewrite_pb2.LearnRequest, *, timeout_s: float) -> bool:
        """Have a rewriter learn a vocabulary; return whether it had not before. Raises RewriterUnavailable when it does not."""
        ...


class RewriterUnavailable(Exception):  # noqa: N818 - a reason to degrade, not a failure of the search
    """The rewriter did not answer in time, or not at all: the caller's own words are used."""


class Transcriber(Protocol):
    """Hears what was said in a recording."""

    async def transcribe(self, audio: bytes, *, language: str, timeout_s: float) -> Transcript:
        """Return what was said in a language, the first part of a BCP 47 tag, or in one that is detected where it is empty.

        Raises:
            InvalidQuery: the recording cannot be decoded, or breaks a limit; names the field `audio` and the reason.
            Overloaded: too many recordings wait to be heard.
        """
        ...


class EventStore(Protocol):
    """Keeps what shoppers did, and the keys of their pseudonyms. Raises EventStoreError when it fails."""

    async def keys(self, period: int, *, oldest: int, timeout_s: float) -> Mapping[int, bytes]:
        """Return the keys of the periods from `oldest` on, that of `period` made where there is none; destroy older ones.

        All who ask for a period get the same 32 random bytes.
        """
        ...

    async def append(self, events: Sequence[Event], *, timeout_s: float) -> list[Outcome]:
        """Record events, durably when this returns, and return what became of each.

        An id is recorded once; of a shopper and a day no more is kept than `gateway.events` says. Events of erased shoppers
        that happened before are not recorded.

        Raises:
            Overloaded: too many events wait to be written.
        """
        ...

    async def of_shoppers(self, shoppers: Sequence[str], *, limit: int, timeout_s: float) -> list[Event]:
        """Return the latest events of shoppers by their pseudonyms, the latest first."""
        ...

    async def acts(self, *, since_ms: int, limit: int, timeout_s: float) -> list[Event]:
        """Return what shoppers did since a moment beside seeing products: the latest events, the latest first.

        Where there are more than `limit`, a store may take those for the latest that came last.
        """
        ...

    async def erase(self, shoppers: Sequence[str], *, before_ms: int, timeout_s: float) -> int:
        """Delete everything of shoppers, and record nothing of theirs that happened up to then; return how many events.

        The answers that their events name go with them.
        """
        ...

    async def expire(self, *, before_ms: int, timeout_s: float) -> int:
        """Delete what happened before a moment, and the answers given before it; return how many events."""
        ...

    async def log_answers(
        self, answers: Sequence[Answer | PackedAnswer], *, most: int, timeout_s: float
    ) -> None:
        """Keep what answers showed; of more than `most` the oldest make room."""
        ...

    async def read_answers(
        self, after: str, *, since_ms: int = 0, limit: int, timeout_s: float
    ) -> tuple[list[Answer], str]:
        """Return the next answers in the order in which they were kept, and the mark after which to go on.

        `after` is empty for the first ones, of those given since a moment. No answers: there are no more.
        """
        ...

    async def read_events(
        self, after: str, *, since_ms: int = 0, limit: int, timeout_s: float
    ) -> tuple[list[Event], str]:
        """Return the next events of everybody, in the order in which they were recorded; as `read_answers`.

        None that happened since the moment is missing; some that happened before it may be there.
        """
        ...

    async def spend(self, days: Sequence[int], amount: int, *, most: int, timeout_s: float) -> int | None:
        """Account for an amount of each day's budget, durably: of all of them, or of none where one has not enough left.

        Return that day, in days since 1970; None where it is accounted for. What is known of a day goes when it expires.
        """
        ...
