"""The collections of one index: their names, which is in use, which is being built, which may go.

    products_0a1b2c3d_000007    prefix, the manifest's first characters, a number that grows

The number tells their order: the one in use is what the pointer names, a lower number is one that was in use before,
a higher one a rebuild that was not finished. Beside that, a ledger keeps the schema of a collection where it has
become another than that which the collection was made with.
"""

import asyncio
import logging
import re
from hashlib import sha256

from pymilvus.milvus_client.index import IndexParams

from gateway.adapters.milvus.connection import (
    COLLECTION_NOT_FOUND,
    INVALID_PARAMETER,
    MilvusConnection,
    MilvusError,
)
from gateway.adapters.milvus.layout import (
    Layout,
    NoLayoutError,
    collection_schema,
    read_description,
    read_schema_text,
    scalar_indexes,
    vector_index,
    write_schema,
)
from gateway.adapters.milvus.ledger import MilvusLedger
from gateway.adapters.milvus.pointer import Pointer, find_pointer
from gateway.adapters.milvus.reading import Reading
from gateway.errors import DeadlineExceeded, FailedPrecondition, OutdatedIndex
from gateway.logs import log_event
from gateway.model import Deadline
from vitrine.domain.schema import Schema

REBUILD = "run `vitrine index --rebuild PATH`"

_MAX_SCHEMA_VALUE_BYTES = 65_535

_logger = logging.getLogger(__name__)


class MilvusCollections:
    """Finds, makes and drops the collections of the index whose names begin with the prefix."""

    def __init__(self, connection: MilvusConnection, *, prefix: str) -> None:
        self.ledger = MilvusLedger(connection, name=f"{prefix}_ledger")
        """Keeps how many products a collection was sealed with, by its name."""
        self._schemas = MilvusLedger(connection, name=f"{prefix}_schemas", max_bytes=_MAX_SCHEMA_VALUE_BYTES)
        self._connection = connection
        self._prefix = prefix
        self._name = re.compile(rf"{re.escape(prefix)}_[0-9a-f]{{8}}_(\d{{6,}})")
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
        schema = await self._schemas.read(collection, timeout_s=deadline.remaining_s())
        return layout if schema is None else layout.with_schema(read_schema_text(schema))

    async def refreshed(self, layout: Layout, *, timeout_s: float) -> Layout:
        """Return the layout with the schema that the collection has now: one cheap call, asked again and again."""
        schema = await self._schemas.read(layout.collection, timeout_s=timeout_s, consistency="Session")
        return layout if schema is None else layout.with_schema(read_schema_text(schema))

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
        sealed = int(await self.ledger.read(collection, timeout_s=deadline.remaining_s()) or 0)
        reading = Reading(connection=self._connection, layout=layout, deadline=deadline, consistency="Strong")
        if (count := await reading.count()) < sealed:
            raise FailedPrecondition(
                f"index {collection} holds {count:,} products and was sealed with {sealed:,}: its data is damaged;"
                f" restore it, or {REBUILD}"
            )
        return layout

    async def unfinished(
        self, manifest: str, source: str, schema: Schema, *, timeout_s: float
    ) -> Layout | None:
        """Return the rebuild of that manifest, source and schema that was not finished; drop every other unused one."""
        deadline = Deadline.after(timeout_s)
        in_use = await self.in_use(timeout_s=deadline.remaining_s())
        resumed = None
        for collection in await self._list(deadline):
            if collection == in_use:
                continue
            layout = await self._readable(collection, deadline)
            wanted = (manifest, source, schema.digest)
            if (
                layout is not None
                and (layout.version.manifest, layout.source, layout.version.schema.digest) == wanted
                and resumed is None
                and self._number(collection) > self._number(in_use)
            ):
                resumed = layout
                continue
            await self._drop(collection, deadline)
        if resumed is not None:
            # Whoever made it may have been killed before it was ready.
            await self._make_ready(resumed, deadline)
        return resumed

    async def create(
        self, manifest: str, source: str, schema: Schema, *, embedding_dim: int, timeout_s: float
    ) -> Layout:
        """Make a new, empty collection."""
        deadline = Deadline.after(timeout_s)
        number = max(map(self._number, await self._list(deadline)), default=0) + 1
        # A manifest is any text; a collection's name is not.
        collection = f"{self._prefix}_{sha256(manifest.encode()).hexdigest()[:8]}_{number:06d}"
        made = collection_schema(schema, manifest=manifest, source=source, embedding_dim=embedding_dim)
        await self._connection.call(
            "create_collection",
            collection,
            schema=made,
            consistency_level="Bounded",
            timeout_s=deadline.remaining_s(),
        )
        layout = read_description(collection, made.description)
        await self._make_ready(layout, deadline)
        # A collection of that name may have been dropped behind our back, and what was kept of it be left.
        await self._schemas.forget(collection, timeout_s=deadline.remaining_s())
        await self.ledger.write(collection, "0", timeout_s=deadline.remaining_s())
        return layout

    async def _make_ready(self, layout: Layout, deadline: Deadline) -> None:
        """Make the indexes and load the collection; what is there already is left as it is."""
        collection = layout.collection
        await asyncio.gather(
            self._connection.call(
                "create_index", collection, vector_index(), timeout_s=deadline.remaining_s()
            ),
            *(
                self._try_index(collection, column, index, deadline)
                for column, index in scalar_indexes(layout.created_with).items()
                if column not in self._unindexed
            ),
        )
        await self._connection.call("load_collection", collection, timeout_s=deadline.remaining_s())

    async def _try_index(self, collection: str, column: str, index: IndexParams, deadline: Deadline) -> None:
        """Make an index that speeds conditions up where the engine has it; what it lacks is not tried again."""
        try:
            await self._connection.call("create_index", collection, index, timeout_s=deadline.remaining_s())
        except (MilvusError, DeadlineExceeded) as error:
            if isinstance(error, MilvusError) and error.milvus_code == INVALID_PARAMETER:
                self._unindexed.add(column)
            log_event(_logger, logging.DEBUG, "scalar_index_refused", column=column, error=str(error))

    async def _drop(self, collection: str, deadline: Deadline) -> None:
        await self._connection.call("drop_collection", collection, timeout_s=deadline.remaining_s())
        await self.ledger.forget(collection, timeout_s=deadline.remaining_s())
        await self._schemas.forget(collection, timeout_s=deadline.remaining_s())

    async def _find_pointer(self, deadline: Deadline) -> Pointer:
        if self._pointer is None:
            self._pointer = await find_pointer(
                self._connection, self.ledger, alias=self._prefix, timeout_s=deadline.remaining_s()
            )
        return self._pointer

    async def _readable(self, collection: str, deadline: Deadline) -> Layout | None:
        """Return the collection's layout, or None: what cannot be read cannot be resumed."""
        try:
            return await self.layout(collection, timeout_s=deadline.remaining_s())
        except FailedPrecondition:
            return None

    async def _list(self, deadline: Deadline) -> list[str]:
        names = await self._connection.call("list_collections", timeout_s=deadline.remaining_s())
        return sorted((name for name in names if self._name.fullmatch(name)), key=self._number)

    def _number(self, collection: str | None) -> int:
        match = self._name.fullmatch(collection or "")
        return int(match[1]) if match else 0
