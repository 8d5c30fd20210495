"""What callers do to the index: streams of products, rebuilds, deletions, and putting back the index before."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Protocol

from gateway.callers import Scope
from gateway.context import require
from gateway.encoders import Encoders, Served
from gateway.errors import Aborted, FailedPrecondition, OutdatedIndex, SearchError
from gateway.indexing.encoding import Refusal, Submission
from gateway.indexing.idset import IdSet
from gateway.indexing.inferring import Inference, Inferring
from gateway.indexing.ingest import Outcome, Target, ingest
from gateway.indexing.live import LiveWrites
from gateway.indexing.rebuild import finish_rebuild
from gateway.metrics import Metrics
from gateway.model import IndexState, IndexVersion, KeptIndex, Replaced
from gateway.ports import Build, CollectionWriter, IndexAdministrator, VectorIndex
from vitrine.domain.schema import Schema, changes

_ENCODERS_TIMEOUT_S = 5.0
_DESCRIBED_S = 1.0
"""Longest wait for what is only told."""
_TRIES = 3
"""Of a deletion that a swap overtakes."""

Items = AsyncIterator[Submission | Refusal]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What a stream of products asks for."""

    rebuild: bool = False
    rebuild_if_stale: bool = False
    confirm_shrink: bool = False
    source: str = ""
    schema: Schema | None = None
    inference: Inference | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion:
    """What was deleted."""

    products: int
    collections: tuple[str, ...]
    """Where."""


class Stream(Protocol):
    """An open stream of products."""

    @property
    def rebuilds(self) -> bool:
        """Whether it makes a new index."""
        ...

    @property
    def version(self) -> IndexVersion:
        """Return the identity of the collection that is written."""
        ...

    def write(self, items: Items) -> AsyncGenerator[Outcome, None]:
        """Write the products; what an outcome says was written is durable and acknowledged by it."""
        ...

    @property
    def inferring(self) -> Inferring | None:
        """What reads the pictures of the products that were written; None where nobody asked for it."""
        ...

    def infer(self) -> AsyncGenerator[tuple[str, ...], None]:
        """Write what the pictures of the products tell, after the last one; yields the ids of those that it changed."""
        ...

    async def finish(self) -> Replaced | None:
        """End the stream; a rebuild is put in use and says what it replaced."""
        ...


class Writing:
    """Writes the index by the encoders that belong to it; any number of gateways may at the same time."""

    def __init__(
        self, index: VectorIndex, administrator: IndexAdministrator, encoders: Encoders, metrics: Metrics
    ) -> None:
        self._index = index
        self._administrator = administrator
        self._encoders = encoders
        self._metrics = metrics

    @asynccontextmanager
    async def opened(self, wishes: Wishes, *, timeout_s: float) -> AsyncIterator[Stream]:
        """Open the index, or a new one, for a stream of products; `timeout_s` is for finding out which.

        Raises:
            PermissionDenied: it is a rebuild, and the caller is no administrator.
            FailedPrecondition: no encoders that serve belong to the index, its schema is another, or another rebuild is
                under way.
        """
        if await self._rebuilds(wishes, timeout_s):
            require(Scope.ADMIN)
            served = await self._encoders.newest(timeout_s=_ENCODERS_TIMEOUT_S)
            build = await self._administrator.build(
                served.manifest, wishes.source, wishes.schema, embedding_dim=served.embedding_dim
            )
            try:
                with self._metrics.index_lease.labels("rebuild").track_inprogress():
                    yield _RebuildStream(self, served, build, wishes)
            finally:
                await build.close()
        else:
            served = await self._serving(timeout_s)
            writer = await self._administrator.current(
                served.manifest, wishes.schema, embedding_dim=served.embedding_dim
            )
            live = LiveWrites(self._administrator, self._encoders, writer)
            await live.begin()
            yield _LiveStream(served, writer, live, wishes)

    async def delete(self, ids: Sequence[str], *, timeout_s: float) -> Deletion:
        """Delete products from the index in use, and from one that is being built; `timeout_s` is for finding it."""
        deleted, collections = 0, []
        for left in reversed(range(_TRIES)):
            # Its own manifest: nothing is embedded, so the encoders need not agree or even run.
            version = await self._index.version(timeout_s=timeout_s)
            writer = await self._administrator.current(version.manifest, embedding_dim=version.embedding_dim)
            deleted = max(deleted, await writer.delete(ids))
            collections.append(writer.version.collection)
            try:
                await LiveWrites(self._administrator, self._encoders, writer).settle_deletion(ids)
                break
            except Aborted:
                if not left:
                    raise
        return Deletion(products=deleted, collections=tuple(collections))

    async def encoders(self, *, timeout_s: float) -> Sequence[str]:
        """Return the manifests of the encoders that answer, the newest last; none where nobody does."""
        try:
            return await self._encoders.answering(timeout_s=min(timeout_s, _DESCRIBED_S))
        except SearchError:
            return ()

    async def indexes(self) -> Sequence[KeptIndex]:
        """Return the index in use and those that are kept beside it."""
        return await self._administrator.indexes()

    async def restore(self, collection: str) -> Replaced:
        """Put the index before back.

        Raises:
            FailedPrecondition: there is none, it is another, or no encoders that serve made it.
        """
        for kept in await self._administrator.indexes():
            if kept.state is IndexState.BEFORE:
                await self._encoders.of(kept.manifest, timeout_s=_ENCODERS_TIMEOUT_S)
        with self._metrics.index_lease.labels("restore").track_inprogress():
            replaced = await self._administrator.restore(collection)
        self._metrics.index_swaps.labels("restore").inc()
        return replaced

    async def promote(self, build: Build, kept: IdSet, *, confirm_shrink: bool) -> Replaced | None:
        """Make a built collection the one in use; see `finish_rebuild`."""
        try:
            await self._encoders.of(build.version.manifest, timeout_s=_ENCODERS_TIMEOUT_S)
        except FailedPrecondition:
            raise FailedPrecondition("the encoders were exchanged during the rebuild: run it again") from None
        replaced = await finish_rebuild(build, kept, self._administrator, confirm_shrink=confirm_shrink)
        self._metrics.index_swaps.labels("rebuild").inc()
        return replaced

    async def _serving(self, timeout_s: float) -> Served:
        """Return the encoders that made the index in use, or where those do not serve, the newest that do."""
        try:
            version = await self._index.version(timeout_s=timeout_s)
            return await self._encoders.of(version.manifest, timeout_s=_ENCODERS_TIMEOUT_S)
        except FailedPrecondition:  # whoever opens the index says what is the matter with it
            return await self._encoders.first(timeout_s=_ENCODERS_TIMEOUT_S)

    async def _rebuilds(self, wishes: Wishes, timeout_s: float) -> bool:
        if wishes.rebuild or not wishes.rebuild_if_stale:
            return wishes.rebuild
        try:
            version = await self._index.version(timeout_s=timeout_s)
        except OutdatedIndex:
            return True
        except FailedPrecondition:  # there is none yet; if it is damaged, whoever writes to it says so
            return False
        newest = await self._encoders.newest(timeout_s=_ENCODERS_TIMEOUT_S)
        stale = wishes.schema is not None and bool(changes(version.schema, wishes.schema).breaking)
        return version.manifest != newest.manifest or stale


class _Inferred:
    """What both kinds of streams do to read pictures."""

    rebuilds = False

    def __init__(self, served: Served, writer: CollectionWriter, wishes: Wishes) -> None:
        self._served = served
        self._kept = IdSet()
        """Ids that were acknowledged."""
        self.inferring = (
            Inferring(writer, served.encoder, wishes.inference) if wishes.inference is not None else None
        )

    async def _write(self, items: Items, target: Target) -> AsyncGenerator[Outcome, None]:
        target = replace(target, keep_told=self.inferring is not None)
        async with aclosing(ingest(items, encoder=self._served.encoder, target=target)) as outcomes:
            async for outcome in outcomes:
                if self.rebuilds or self.inferring is not None:
                    for product_id in (*outcome.written, *outcome.unchanged):
                        self._kept.add(product_id)
                yield outcome

    async def _infer(self, settle: Callable[[], Awaitable[None]]) -> AsyncGenerator[tuple[str, ...], None]:
        if self.inferring is not None:
            async with aclosing(self.inferring.run(self._kept, settle)) as pages:
                async for ids in pages:
                    yield ids


class _LiveStream(_Inferred):
    """Adds to the index in use."""

    def __init__(self, served: Served, writer: CollectionWriter, live: LiveWrites, wishes: Wishes) -> None:
        super().__init__(served, writer, wishes)
        self._writer = writer
        self._live = live

    @property
    def version(self) -> IndexVersion:
        return self._writer.version

    def write(self, items: Items) -> AsyncGenerator[Outcome, None]:
        return self._write(items, Target(writer=self._writer, settle=self._live.settle))

    def infer(self) -> AsyncGenerator[tuple[str, ...], None]:
        # A rebuild that is under way has a source of its own, and reads its own pictures where it is asked to.
        return self._infer(lambda: self._live.settle(()))

    async def finish(self) -> None:
        await self._live.settle(())
        await self._writer.seal()


class _RebuildStream(_Inferred):
    """Builds a new index."""

    rebuilds = True

    def __init__(self, writing: Writing, served: Served, build: Build, wishes: Wishes) -> None:
        super().__init__(served, build, wishes)
        self._writing = writing
        self._build = build
        self._confirm_shrink = wishes.confirm_shrink

    @property
    def version(self) -> IndexVersion:
        return self._build.version

    def write(self, items: Items) -> AsyncGenerator[Outcome, None]:
        return self._write(items, Target(writer=self._build))

    def infer(self) -> AsyncGenerator[tuple[str, ...], None]:
        async def nothing_more() -> None:
            """Do nothing: nobody reads the collection yet."""

        return self._infer(nothing_more)

    async def finish(self) -> Replaced | None:
        return await self._writing.promote(self._build, self._kept, confirm_shrink=self._confirm_shrink)
