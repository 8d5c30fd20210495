"""Making, exchanging and putting back the collections of an index, each by whoever holds the lease."""

import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from gateway.adapters.milvus.building import MilvusBuild
from gateway.adapters.milvus.collections import REBUILD as HOW_TO_REBUILD
from gateway.adapters.milvus.collections import Kept, MilvusCollections
from gateway.adapters.milvus.connection import MilvusConnection
from gateway.adapters.milvus.importing import can_import
from gateway.adapters.milvus.layout import Layout
from gateway.adapters.milvus.lease import FIRST_USE, REBUILD, RESTORE, SCHEMA, Lease
from gateway.adapters.milvus.reading import Reading
from gateway.adapters.milvus.writer import MilvusWriter
from gateway.errors import DeadlineExceeded, FailedPrecondition, VectorIndexError
from gateway.logs import log_event
from gateway.model import (
    Change,
    Deadline,
    IndexState,
    IndexVersion,
    KeptIndex,
    Replaced,
    Standing,
)
from vitrine.domain.schema import Schema, changes
from vitrine.domain.schema_files import shipped_schema
from vitrine.tensors import EMBEDDING_DIM

_WAITS = 2.0
"""Leases for which one is waited for: one until somebody who is gone counts as dead, and what it takes besides."""

_INDEXING_TIMEOUT_S = 7_200.0
"""Of a graph over all rows, before a rebuild is swapped in."""

_logger = logging.getLogger(__name__)


class MilvusAdministrator:
    """Obeys `gateway.ports.IndexAdministrator`."""

    def __init__(
        self, connection: MilvusConnection, collections: MilvusCollections, *, timeout_s: float
    ) -> None:
        self._connection = connection
        self._collections = collections
        self._claims = collections.claims
        self._timeout_s = timeout_s
        self._writers: dict[str, MilvusWriter] = {}
        self._builds: dict[str, MilvusBuild] = {}

    async def close(self) -> None:
        """Give back what leases are held."""
        for build in [*self._builds.values()]:
            await build.close()

    def writes(self, collection: str) -> int:
        """Return how often this process has changed the collection."""
        return self._writers[collection].writes if collection in self._writers else 0

    async def current(
        self, manifest: str, schema: Schema | None = None, *, embedding_dim: int = EMBEDDING_DIM
    ) -> MilvusWriter:
        """As the port says."""
        collection = await self._collections.in_use(timeout_s=self._timeout_s)
        if collection is None:
            collection = await self._first_use(manifest, schema or shipped_schema(), embedding_dim)
        layout = await self.opened(collection)
        if layout.version.manifest != manifest:
            raise FailedPrecondition(
                f"encoders {layout.version.manifest[:12]} made the index {layout.collection}, and {manifest[:12]}"
                f" serve now: {HOW_TO_REBUILD}"
            )
        return self._writer(await self._adopted(layout, schema))

    async def standing(self) -> Standing:
        """As the port says."""
        deadline = Deadline.after(self._timeout_s)
        # In this order: a swap that ends in between is seen by the pointer.
        claims = await self._claims.read(timeout_s=deadline.remaining_s())
        in_use = await self._collections.in_use(timeout_s=deadline.remaining_s())
        holders = [claim for claim in claims.values() if claim.token]
        if not holders:
            return Standing(in_use=in_use)
        claim = max(holders, key=lambda each: each.token)
        change = Change(token=claim.token, kind=claim.kind, changes=claim.changes, swapping=claim.swapping)
        return Standing(in_use=in_use, change=change)

    async def changes(self, change: Change) -> MilvusWriter | None:
        """As the port says."""
        if change.changes not in self._writers:
            try:
                layout = await self._collections.layout(change.changes, timeout_s=self._timeout_s)
            except FailedPrecondition:
                return None
            return self._writer(layout)
        return self._writers[change.changes]

    async def build(
        self, manifest: str, source: str, schema: Schema | None = None, *, embedding_dim: int = EMBEDDING_DIM
    ) -> MilvusBuild:
        """As the port says."""
        lease = await self._lease(REBUILD)
        try:
            return await self._build(lease, manifest, source, schema, embedding_dim)
        finally:
            if not lease.claim.changes:
                await lease.release()

    async def can_insert_files(self) -> bool:
        """Whether the server takes files in (`MilvusBuild.insert_file`)."""
        return await can_import(self._connection, timeout_s=self._timeout_s)

    async def promote(self, version: IndexVersion) -> Replaced | None:
        """As the port says."""
        build = self._builds[version.collection]
        await build.lease.verify()
        # Nothing is lost without it; but a server searches what it has flushed with less work.
        await self._connection.call("flush", version.collection, timeout_s=self._timeout_s)
        await build.hold()
        products = await build.seal()
        kept = await self._collections.kept(timeout_s=self._timeout_s)
        replaced = None if kept.in_use is None else await self._count(kept.in_use)
        await self._swap(version.collection, build.lease)
        self._writers = {}  # of this one too: it has many writers from now on
        others = {kept.before, *kept.unfinished} - {None, version.collection}
        await self._drop_quietly(sorted(filter(None, others)))
        await build.close()
        if kept.in_use is None:
            return None
        return Replaced(collection=kept.in_use, products=replaced or 0, products_now=products)

    async def indexes(self) -> list[KeptIndex]:
        """As the port says."""
        kept = await self._collections.kept(timeout_s=self._timeout_s)
        named = [
            (kept.in_use, IndexState.IN_USE),
            (kept.before, IndexState.BEFORE),
            *((name, IndexState.UNFINISHED) for name in kept.unfinished),
        ]
        found = []
        for name, state in named:
            if name is None:
                continue
            try:
                manifest = (await self._layout_of(name)).version.manifest
            except FailedPrecondition:  # of an earlier version, or made half: it can be told of all the same
                manifest = ""
            found.append(
                KeptIndex(
                    collection=name, state=state, products=await self._count(name) or 0, manifest=manifest
                )
            )
        return found

    async def restore(self, collection: str) -> Replaced:
        """As the port says."""
        async with self._held(RESTORE) as lease:
            await lease.renew(swapping=True)
            kept = await self._collections.kept(timeout_s=self._timeout_s)
            target = _restorable(kept, collection)
            await self._collections.verified(target, timeout_s=self._timeout_s)
            now = await self._count(target)
            replaced = await self._count(kept.in_use or "")
            await self._swap(target, lease)
        return Replaced(collection=kept.in_use or "", products=replaced or 0, products_now=now or 0)

    async def opened(self, collection: str) -> Layout:
        """Return the layout of the collection in use, verified once."""
        return await self._collections.verified(collection, timeout_s=self._timeout_s)

    async def pointer_moved(self) -> None:
        """Do what is to be done when another collection is in use; here nothing."""

    async def _build(
        self, lease: Lease, manifest: str, source: str, schema: Schema | None, embedding_dim: int
    ) -> MilvusBuild:
        schema = schema or await self._schema_in_use()
        kept = await self._collections.kept(timeout_s=self._timeout_s)
        await self._drop_quietly(
            kept.changes
        )  # of rebuilds that were cut off: whoever resumes them sends all anew
        layout = await self._collections.resumable(manifest, source, schema, timeout_s=self._timeout_s)
        resumed = layout is not None
        token = lease.claim.token
        if layout is None:
            layout = await self._collections.create(
                manifest, source, schema, token=token, embedding_dim=embedding_dim, timeout_s=self._timeout_s
            )
        elif layout.version.schema != schema:
            layout = await self._collections.adopt(layout, schema, timeout_s=self._timeout_s)
        beside = await self._collections.create_changes(layout, token=token, timeout_s=self._timeout_s)
        self._writers.pop(layout.collection, None)
        build = MilvusBuild(
            self._writer(layout, alone=True),
            self._writer(beside),
            lease=lease,
            began=self._began,
            ended=self._ended,
            fit=lambda: self._collections.fit_index(layout.collection, timeout_s=_INDEXING_TIMEOUT_S),
        )
        build.empty = not resumed
        # From here on whoever writes to the collection in use writes there too.
        await lease.renew(changes=beside.collection)
        self._builds[layout.collection] = build
        return build

    async def _began(self, build: MilvusBuild) -> None:
        """Drop other rebuilds that were not finished: this one has products, and the lease says that nobody is at them."""
        kept = await self._collections.kept(timeout_s=self._timeout_s)
        await self._drop_quietly(name for name in kept.unfinished if name != build.version.collection)

    async def _ended(self, build: MilvusBuild) -> None:
        """Give the lease back, and drop what is of no use without it."""
        self._builds.pop(build.version.collection, None)
        self._writers.pop(build.changes.version.collection, None)
        if build.empty and build.lease.remaining_s:  # otherwise another may have taken it up
            await self._drop_quietly([build.version.collection])
        await build.lease.release()
        await self._drop_quietly([build.changes.version.collection])

    async def _first_use(self, manifest: str, schema: Schema, embedding_dim: int) -> str:
        """Make the first collection, or find the one that another has made meanwhile."""
        async with self._held(FIRST_USE) as lease:
            in_use = await self._collections.in_use(timeout_s=self._timeout_s)
            if in_use is not None:
                return in_use
            created = await self._collections.create(
                manifest,
                "",
                schema,
                token=lease.claim.token,
                embedding_dim=embedding_dim,
                timeout_s=self._timeout_s,
            )
            await self._swap(created.collection, lease)
            return created.collection

    async def _swap(self, collection: str, lease: Lease) -> None:
        """Exchange the collection in use, within the time that the lease certainly holds."""
        await lease.renew()
        await self._collections.swap(collection, timeout_s=min(lease.remaining_s, self._timeout_s))
        log_event(
            _logger,
            logging.INFO,
            "index_in_use",
            index=collection,
            kind=lease.claim.kind,
            token=lease.claim.token,
        )
        await self.pointer_moved()

    async def _adopted(self, layout: Layout, schema: Schema | None) -> Layout:
        """Return the layout after a schema that the collection can take on as it stands has become its own."""
        if schema is None or schema == layout.version.schema:
            return layout
        async with self._held(SCHEMA):
            # Another process may have given it a field within the last moments.
            layout = await self._layout_of(layout.collection)
            if (difference := changes(layout.version.schema, schema)).breaking:
                raise FailedPrecondition(
                    f"the schema of the index {layout.collection} has changed: {difference}: {HOW_TO_REBUILD}"
                )
            adopted = await self._collections.adopt(layout, schema, timeout_s=self._timeout_s)
        await self.pointer_moved()
        return adopted

    async def _lease(self, kind: str) -> Lease:
        return await self._claims.acquire(
            kind,
            wait_s=_WAITS * self._claims.lease_s,
            floor=self._collections.highest_number,
            timeout_s=self._timeout_s,
        )

    @asynccontextmanager
    async def _held(self, kind: str) -> AsyncIterator[Lease]:
        lease = await self._lease(kind)
        try:
            yield lease
        finally:
            await lease.release()

    def _writer(self, layout: Layout, *, alone: bool = False) -> MilvusWriter:
        if layout.collection not in self._writers:
            self._writers[layout.collection] = MilvusWriter(
                self._connection,
                self._collections.seals,
                layout=layout,
                timeout_s=self._timeout_s,
                alone=alone,
            )
        self._writers[layout.collection].use(layout)
        return self._writers[layout.collection]

    async def _layout_of(self, collection: str) -> Layout:
        return await self._collections.layout(collection, timeout_s=self._timeout_s)

    async def _schema_in_use(self) -> Schema:
        """Return the schema of the collection in use, or fashion where there is none that can be read."""
        collection = await self._collections.in_use(timeout_s=self._timeout_s)
        if collection is None:
            return shipped_schema()
        try:
            return (await self._layout_of(collection)).version.schema
        except FailedPrecondition:
            return shipped_schema()

    async def _count(self, collection: str) -> int | None:
        """Return how many products a collection has; None where it cannot be read."""
        try:
            layout = await self._layout_of(collection)
        except FailedPrecondition:
            return None
        deadline = Deadline.after(self._timeout_s)
        await self._connection.call("load_collection", collection, timeout_s=deadline.remaining_s())
        reading = Reading(connection=self._connection, layout=layout, deadline=deadline, consistency="Strong")
        return await reading.count()

    async def _drop_quietly(self, names: Iterable[str]) -> None:
        """Drop what nobody needs; what cannot be dropped now is found again by the next rebuild."""
        try:
            await self._collections.drop(names, timeout_s=self._timeout_s)
        except (VectorIndexError, DeadlineExceeded) as error:
            log_event(_logger, logging.WARNING, "collection_left", error=str(error))


def _restorable(kept: Kept, wanted: str) -> str:
    """Return the collection that is put back; raises FailedPrecondition where there is none, or another is wanted."""
    if kept.before is None:
        raise FailedPrecondition("there is no index before the one in use")
    if wanted not in {"", kept.before}:
        raise FailedPrecondition(f"the index before the one in use is {kept.before}, not {wanted}")
    return kept.before
