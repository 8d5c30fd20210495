"""The collections of one index: their names, which is in use, which is being built, which may go.

    products_0a1b2c3d_000007    prefix, the manifest's first characters, a number that grows

The number tells their order: the one in use is what the pointer names, a lower number is one that was in use before,
a higher one a rebuild that was not finished. Nothing else needs to be remembered.
"""

import re
from hashlib import sha256

from gateway.adapters.milvus.connection import COLLECTION_NOT_FOUND, MilvusConnection, MilvusError
from gateway.adapters.milvus.ledger import MilvusLedger
from gateway.adapters.milvus.pointer import Pointer, find_pointer
from gateway.adapters.milvus.schema import product_schema, read_version, vector_index
from gateway.adapters.milvus.writer import count_rows
from gateway.errors import FailedPrecondition
from gateway.model import Deadline, IndexVersion

REBUILD = "run `vitrine index --rebuild PATH`"


class MilvusCollections:
    """Finds, makes and drops the collections of the index whose names begin with the prefix."""

    def __init__(self, connection: MilvusConnection, ledger: MilvusLedger, *, prefix: str) -> None:
        self._connection = connection
        self._ledger = ledger
        self._prefix = prefix
        self._name = re.compile(rf"{re.escape(prefix)}_[0-9a-f]{{8}}_(\d{{6,}})")
        self._pointer: Pointer | None = None

    async def in_use(self, *, timeout_s: float) -> str | None:
        """Give the name of the collection that readers use, or None before the first."""
        deadline = Deadline.after(timeout_s)
        pointer = await self._find_pointer(deadline)
        return await pointer.read(timeout_s=deadline.remaining_s())

    async def put_in_use(self, collection: str, *, timeout_s: float) -> None:
        """Make it the one that readers use."""
        deadline = Deadline.after(timeout_s)
        pointer = await self._find_pointer(deadline)
        await pointer.write(collection, timeout_s=deadline.remaining_s())

    async def verified(self, collection: str, *, timeout_s: float) -> IndexVersion:
        """Give the collection's identity after holding it against what it must be, and load it.

        Raises:
            FailedPrecondition: it is not there, has no identity, or lacks products that it was sealed with; says
                what helps.
        """
        deadline = Deadline.after(timeout_s)
        version, _ = await self._identity(collection, deadline)
        await self._connection.call("load_collection", collection, timeout_s=deadline.remaining_s())
        sealed = int(await self._ledger.read(collection, timeout_s=deadline.remaining_s()) or 0)
        count = await count_rows(
            self._connection, collection, consistency="Strong", timeout_s=deadline.remaining_s()
        )
        if count < sealed:
            raise FailedPrecondition(
                f"index {collection} holds {count:,} products and was sealed with {sealed:,}: its data is damaged;"
                f" restore it, or {REBUILD}"
            )
        return version

    async def unfinished(self, manifest: str, source: str, *, timeout_s: float) -> IndexVersion | None:
        """Give the rebuild of that manifest and source that was not finished; drop every other unused collection."""
        deadline = Deadline.after(timeout_s)
        in_use = await self.in_use(timeout_s=deadline.remaining_s())
        resumed = None
        for collection in await self._list(deadline):
            if collection == in_use:
                continue
            version = await self._resumable(collection, manifest, source, deadline)
            if version is not None and resumed is None and self._number(collection) > self._number(in_use):
                resumed = version
                continue
            await self._connection.call("drop_collection", collection, timeout_s=deadline.remaining_s())
            await self._ledger.forget(collection, timeout_s=deadline.remaining_s())
        return resumed

    async def create(
        self, manifest: str, source: str, *, embedding_dim: int, timeout_s: float
    ) -> IndexVersion:
        """Make a new, empty collection."""
        deadline = Deadline.after(timeout_s)
        number = max(map(self._number, await self._list(deadline)), default=0) + 1
        # A manifest is any text; a collection's name is not.
        collection = f"{self._prefix}_{sha256(manifest.encode()).hexdigest()[:8]}_{number:06d}"
        await self._connection.call(
            "create_collection",
            collection,
            schema=product_schema(manifest=manifest, source=source, embedding_dim=embedding_dim),
            index_params=vector_index(),
            consistency_level="Bounded",
            timeout_s=deadline.remaining_s(),
        )
        # A collection of that name may have been dropped behind our back, and its seal be left.
        await self._ledger.write(collection, "0", timeout_s=deadline.remaining_s())
        return IndexVersion(collection=collection, manifest=manifest, embedding_dim=embedding_dim)

    async def _find_pointer(self, deadline: Deadline) -> Pointer:
        if self._pointer is None:
            self._pointer = await find_pointer(
                self._connection, self._ledger, alias=self._prefix, timeout_s=deadline.remaining_s()
            )
        return self._pointer

    async def _resumable(
        self, collection: str, manifest: str, source: str, deadline: Deadline
    ) -> IndexVersion | None:
        """Give the collection's identity where it is of that manifest and source."""
        try:
            version, its_source = await self._identity(collection, deadline)
        except FailedPrecondition:
            return None  # what cannot be read cannot be resumed
        return version if (version.manifest, its_source) == (manifest, source) else None

    async def _identity(self, collection: str, deadline: Deadline) -> tuple[IndexVersion, str]:
        try:
            described = await self._connection.call(
                "describe_collection", collection, timeout_s=deadline.remaining_s()
            )
            return read_version(collection, described["description"])
        except MilvusError as error:
            if error.milvus_code != COLLECTION_NOT_FOUND:
                raise
            raise FailedPrecondition(f"index {collection} is gone: {REBUILD}") from error
        except ValueError:
            raise FailedPrecondition(f"collection {collection} is none of Vitrine's: {REBUILD}") from None

    async def _list(self, deadline: Deadline) -> list[str]:
        names = await self._connection.call("list_collections", timeout_s=deadline.remaining_s())
        return sorted((name for name in names if self._name.fullmatch(name)), key=self._number)

    def _number(self, collection: str | None) -> int:
        match = self._name.fullmatch(collection or "")
        return int(match[1]) if match else 0
