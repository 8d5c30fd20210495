"""The collections of one index: their names, which is in use, which is being built, which may go.

    products_0a1b2c3d_000007_5ce91d02    prefix, the manifest's first characters, the token of who made it, chance
    products_changes_000007_81fb3a66     what was written beside that rebuild

No name is used twice. The one in use is what the pointer names; the one before it stands in a ledger; every other is of
a rebuild that was not finished. Another ledger keeps the schema of a collection where it has become another than that
which the collection was made with.
"""

import asyncio
import json
import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from secrets import token_hex

from pymilvus import CollectionSchema
from pymilvus.milvus_client.index import IndexParams

from gateway.adapters.milvus.connection import (
    COLLECTION_NOT_FOUND,
    INVALID_PARAMETER,
    MilvusConnection,
    MilvusError,
)
from gateway.adapters.milvus.expression import ALWAYS
from gateway.adapters.milvus.layout import (
    VECTOR,
    Layout,
    NoLayoutError,
    collection_schema,
    read_description,
    read_schema_text,
    scalar_indexes,
    vector_index,
    write_schema,
)
from gateway.adapters.milvus.lease import LEASE_S, Claims
from gateway.adapters.milvus.ledger import MilvusLedger
from gateway.adapters.milvus.pointer import Pointer, find_pointer
from gateway.adapters.milvus.reading import Reading
from gateway.adapters.milvus.seals import Seals
from gateway.adapters.milvus.vector_indexes import FLAT, index_for
from gateway.errors import DeadlineExceeded, FailedPrecondition, OutdatedIndex
from gateway.logs import log_event
from gateway.model import Deadline
from vitrine.domain.schema import Schema

REBUILD = "run `vitrine index --rebuild PATH`"

_MAX_SCHEMA_VALUE_BYTES = 65_535

_BEFORE = "before"
"""The ledger's key of which collection is the one before."""
_LIST_TIMEOUT_S = 30.0
_COUNTS = 3
_INDEXING_POLL_S = 0.5
"""Looks at a collection that has fewer products than its seal says: others may write at that moment."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """The collections of an index, by name."""

    in_use: str | None
    before: str | None
    """Was in use before, and can be put back."""
    unfinished: tuple[str, ...]
    """Of rebuilds that have not ended or were cut off, oldest first."""
    changes: tuple[str, ...]


class MilvusCollections:
    """Finds, makes and drops the collections of the index whose names begin with the prefix."""

    def __init__(self, connection: MilvusConnection, *, prefix: str, lease_s: float = LEASE_S) -> None:
        self._ledger = MilvusLedger(connection, name=f"{prefix}_ledger")
        self.seals = Seals(self._ledger)
        """How many products the collections hold at least."""
        self.claims = Claims(self._ledger, prefix="claim/", lease_s=lease_s)
        """Who may make, exchange and drop collections."""
        self._schemas = MilvusLedger(connection, name=f"{prefix}_schemas", max_bytes=_MAX_SCHEMA_VALUE_BYTES)
        self._connection = connection
        self._prefix = prefix
        self._name = re.compile(rf"{re.escape(prefix)}_[0-9a-f]{{8}}_(\d{{6,}})(?:_[0-9a-f]{{8}})?")
        self._pointer: Pointer | None = None
        self._unindexed: set[str] = set()

    async def in_use(self, *, timeout_s: float) -> str | None:
        """Return the name of the collection that readers use, or None before the first."""
        deadline = Deadline.after(timeout_s)
        pointer = await self._find_pointer(deadline)
        return await pointer.read(timeout_s=deadline.remaining_s())

    async def put_in_use(self, collection: str, *, timeout_s: float) -> None:
        """Make it the one that readers use."""
        deadline = Deadline.after(timeout_s)
        pointer = await self._find_pointer(deadline)
        await pointer.write(collection, timeout_s=deadline.remaining_s())

    async def layout(self, collection: str, *, timeout_s: float) -> Layout:
        """Return the collection's identity and layout, with the schema that it has now.

        Raises:
            FailedPrecondition: it is not there, or was not made by this version; says what helps.
        """
        deadline = Deadline.after(timeout_s)
        try:
            described = await self._connection.call(
                "describe_collection", collection, timeout_s=deadline.remaining_s()
            )
            layout = read_description(collection, described["description"])
        except MilvusError as error:
            if error.milvus_code != COLLECTION_NOT_FOUND:
                raise
            raise FailedPrecondition(f"index {collection} is gone: {REBUILD}") from error
        except NoLayoutError as error:
            raise OutdatedIndex(f"index {collection} {error}: {REBUILD}") from None
        index = await self._index_kind(collection, deadline)
        layout = replace(layout, exact=index in {None, FLAT.kind})
        schema = await self._schemas.read(collection, timeout_s=deadline.remaining_s())
        return layout if schema is None else layout.with_schema(read_schema_text(schema))

    async def refreshed(self, layout: Layout, *, timeout_s: float) -> Layout:
        """Return the layout with the schema that the collection has now: one cheap call, asked again and again."""
        text = await self._schemas.read(layout.collection, timeout_s=timeout_s, consistency="Session")
        schema = layout.version.schema if text is None else read_schema_text(text)
        # What is remembered of a schema is remembered of the object.
        return layout if schema == layout.version.schema else layout.with_schema(schema)

    async def adopt(self, layout: Layout, schema: Schema, *, timeout_s: float) -> Layout:
        """Make the schema the collection's; its new fields must be such as need no column."""
        await self._schemas.write(layout.collection, write_schema(schema), timeout_s=timeout_s)
        return layout.with_schema(schema)

    async def verified(self, collection: str, *, timeout_s: float) -> Layout:
        """Return the collection's layout after holding it against what it must be, and load it.

        Raises:
            FailedPrecondition: it is not there, was not made by this version, or lacks products that it was sealed
                with; says what helps.
        """
        deadline = Deadline.after(timeout_s)
        layout = await self.layout(collection, timeout_s=deadline.remaining_s())
        await self._connection.call("load_collection", collection, timeout_s=deadline.remaining_s())
        reading = Reading(connection=self._connection, layout=layout, deadline=deadline, consistency="Strong")
        for _ in range(_COUNTS):
            count = await reading.count()
            sealed = await self.seals.read(collection, timeout_s=deadline.remaining_s())
            if count >= sealed:
                return layout
        raise FailedPrecondition(
            f"index {collection} holds {count:,} products and was sealed with {sealed:,}: its data is damaged;"
            f" restore it, or {REBUILD}"
        )

    async def resumable(
        self, manifest: str, source: str, schema: Schema, *, timeout_s: float
    ) -> Layout | None:
        """Return the rebuild of that manifest, source and schema that was not finished; nothing is dropped."""
        deadline = Deadline.after(timeout_s)
        wanted = (manifest, source, schema.digest)
        for collection in reversed((await self.kept(timeout_s=deadline.remaining_s())).unfinished):
            layout = await self._readable(collection, deadline)
            if layout is None:
                continue
            if (layout.version.manifest, layout.source, layout.version.schema.digest) == wanted:
                # Whoever made it may have been killed before it was ready.
                await self._make_ready(layout, deadline)
                return layout
        return None

    async def kept(self, *, timeout_s: float) -> Kept:
        """Return the collections of the index by what they are to it."""
        deadline = Deadline.after(timeout_s)
        names = await self._connection.call("list_collections", timeout_s=deadline.remaining_s())
        in_use = await self.in_use(timeout_s=deadline.remaining_s())
        ours = sorted((name for name in names if self._name.fullmatch(name)), key=self._number)
        before = await self._before(in_use, ours, deadline)
        return Kept(
            in_use=in_use,
            before=before if before in ours else None,
            unfinished=tuple(name for name in ours if name not in {in_use, before}),
            changes=tuple(name for name in names if name.startswith(f"{self._prefix}_changes_")),
        )

    async def highest_number(self) -> int:
        """Return the highest number that a collection's name has."""
        kept = await self.kept(timeout_s=_LIST_TIMEOUT_S)
        return max(map(self._number, [kept.in_use, kept.before, *kept.unfinished]))

    async def swap(self, collection: str, *, timeout_s: float) -> None:
        """Make it the one that readers use, and remember which it took the place of."""
        deadline = Deadline.after(timeout_s)
        kept = await self.kept(timeout_s=deadline.remaining_s())
        # Before the swap, and true before and after it: a kill in between leaves no collection unaccounted for.
        plan = {"in_use": collection, "before": kept.in_use or "", "older": kept.before or ""}
        await self._ledger.write(_BEFORE, json.dumps(plan), timeout_s=deadline.remaining_s())
        await self.put_in_use(collection, timeout_s=deadline.remaining_s())

    async def create(
        self, manifest: str, source: str, schema: Schema, *, token: int, embedding_dim: int, timeout_s: float
    ) -> Layout:
        """Make a new, empty collection, whose name was never used."""
        # A manifest is any text; a collection's name is not.
        digest = sha256(manifest.encode()).hexdigest()[:8]
        name = f"{self._prefix}_{digest}_{token:06d}_{token_hex(4)}"
        made = collection_schema(schema, manifest=manifest, source=source, embedding_dim=embedding_dim)
        return await self._create(name, made, timeout_s=timeout_s)

    async def create_changes(self, layout: Layout, *, token: int, timeout_s: float) -> Layout:
        """Make the collection that takes the changes beside the one that is being built."""
        version = layout.version
        made = collection_schema(
            version.schema,
            manifest=version.manifest,
            source=layout.source,
            embedding_dim=version.embedding_dim,
        )
        name = f"{self._prefix}_changes_{token:06d}_{token_hex(4)}"
        return await self._create(name, made, timeout_s=timeout_s)

    async def fit_index(self, collection: str, *, timeout_s: float) -> None:
        """Make the vector index that fits how many rows the collection has; one that the engine lacks stays FLAT.

        Nobody searches the collection meanwhile.
        """
        deadline = Deadline.after(timeout_s)
        counted = await self._connection.call(
            "query",
            collection,
            filter=ALWAYS,
            output_fields=["count(*)"],
            consistency_level="Strong",
            timeout_s=deadline.remaining_s(),
        )
        wanted = index_for(int(counted[0]["count(*)"]))
        if wanted.kind == await self._index_kind(collection, deadline):
            return
        await self._connection.call("release_collection", collection, timeout_s=deadline.remaining_s())
        await self._connection.call("drop_index", collection, VECTOR, timeout_s=deadline.remaining_s())
        try:
            await self._connection.call(
                "create_index", collection, vector_index(wanted), timeout_s=deadline.remaining_s()
            )
        except MilvusError as error:
            log_event(
                _logger, logging.INFO, "vector_index_refused", index=wanted.kind, code=error.milvus_code
            )
            await self._connection.call(
                "create_index", collection, vector_index(), timeout_s=deadline.remaining_s()
            )
        await self._all_indexed(collection, deadline)
        await self._connection.call("load_collection", collection, timeout_s=deadline.remaining_s())

    async def drop(self, names: Iterable[str], *, timeout_s: float) -> None:
        """Drop collections and what is kept of them."""
        deadline = Deadline.after(timeout_s)
        for name in names:
            await self._connection.call("drop_collection", name, timeout_s=deadline.remaining_s())
            await self.seals.forget(name, timeout_s=deadline.remaining_s())
            await self._schemas.forget(name, timeout_s=deadline.remaining_s())

    async def _create(self, name: str, made: CollectionSchema, *, timeout_s: float) -> Layout:
        deadline = Deadline.after(timeout_s)
        await self._connection.call(
            "create_collection",
            name,
            schema=made,
            consistency_level="Bounded",
            timeout_s=deadline.remaining_s(),
        )
        layout = read_description(name, made.description)
        await self._make_ready(layout, deadline)
        return layout

    async def _make_ready(self, layout: Layout, deadline: Deadline) -> None:
        """Make the indexes and load the collection; what is there already is left as it is."""
        collection = layout.collection
        await asyncio.gather(
            self._index_vectors(collection, deadline),
            *(
                self._try_index(collection, column, index, deadline)
                for column, index in scalar_indexes(layout.created_with).items()
                if column not in self._unindexed
            ),
        )
        await self._connection.call("load_collection", collection, timeout_s=deadline.remaining_s())

    async def _index_vectors(self, collection: str, deadline: Deadline) -> None:
        if await self._index_kind(collection, deadline) is None:
            await self._connection.call(
                "create_index", collection, vector_index(), timeout_s=deadline.remaining_s()
            )

    async def _all_indexed(self, collection: str, deadline: Deadline) -> None:
        """Wait until all rows are in the index: a server calls it finished while what came from files is not in it yet."""
        while True:
            described = await self._connection.call(
                "describe_index", collection, VECTOR, timeout_s=deadline.remaining_s()
            )
            if described is None or not int(described.get("pending_index_rows") or 0):
                return
            await asyncio.sleep(_INDEXING_POLL_S)

    async def _index_kind(self, collection: str, deadline: Deadline) -> str | None:
        """Return the kind of the collection's vector index, None where it has none."""
        described = await self._connection.call(
            "describe_index", collection, VECTOR, timeout_s=deadline.remaining_s()
        )
        return None if described is None else str(described["index_type"])

    async def _try_index(self, collection: str, column: str, index: IndexParams, deadline: Deadline) -> None:
        """Make an index that speeds conditions up where the engine has it; what it lacks is not tried again."""
        try:
            await self._connection.call("create_index", collection, index, timeout_s=deadline.remaining_s())
        except (MilvusError, DeadlineExceeded) as error:
            if isinstance(error, MilvusError) and error.milvus_code == INVALID_PARAMETER:
                self._unindexed.add(column)
            log_event(_logger, logging.DEBUG, "scalar_index_refused", column=column, error=str(error))

    async def _before(self, in_use: str | None, ours: Sequence[str], deadline: Deadline) -> str | None:
        """Return the collection that was in use before."""
        written = await self._ledger.read(_BEFORE, timeout_s=deadline.remaining_s())
        if written is not None:
            plan = json.loads(written)
            if plan["in_use"] == in_use:
                return str(plan["before"]) or None
            if plan["before"] == (in_use or ""):  # the swap was not carried out
                return str(plan["older"]) or None
        earlier = [name for name in ours if self._number(name) < self._number(in_use)]
        return earlier[-1] if earlier else None

    async def _find_pointer(self, deadline: Deadline) -> Pointer:
        if self._pointer is None:
            self._pointer = await find_pointer(
                self._connection, self._ledger, alias=self._prefix, timeout_s=deadline.remaining_s()
            )
        return self._pointer

    async def _readable(self, collection: str, deadline: Deadline) -> Layout | None:
        """Return the collection's layout, or None: what cannot be read cannot be resumed."""
        try:
            return await self.layout(collection, timeout_s=deadline.remaining_s())
        except FailedPrecondition:
            return None

    def _number(self, collection: str | None) -> int:
        match = self._name.fullmatch(collection or "")
        return int(match[1]) if match else 0
