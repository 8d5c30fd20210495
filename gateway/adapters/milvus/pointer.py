"""Which collection is in use: an alias where the server has them, a row of the ledger where it has not."""

from typing import Protocol

import grpc

from gateway.adapters.milvus.connection import ALIAS_NOT_FOUND, MilvusConnection, MilvusError
from gateway.adapters.milvus.ledger import MilvusLedger


class Pointer(Protocol):
    """Names the collection in use; writing is atomic."""

    async def read(self, *, timeout_s: float) -> str | None:
        """Return the collection's name, or None when there is none yet."""
        ...

    async def write(self, collection: str, *, timeout_s: float) -> None:
        """Make it the one in use."""
        ...


async def find_pointer(
    connection: MilvusConnection, ledger: MilvusLedger, *, alias: str, timeout_s: float
) -> Pointer:
    """Ask the server whether it knows aliases, and return the pointer that it can keep."""
    pointer = _AliasPointer(connection, alias)
    try:
        await pointer.read(timeout_s=timeout_s)
    except MilvusError as error:
        if error.milvus_code is grpc.StatusCode.UNIMPLEMENTED:
            return _RowPointer(ledger, alias)
        raise
    return pointer


class _AliasPointer:
    """Milvus's own alias, for servers."""

    def __init__(self, connection: MilvusConnection, alias: str) -> None:
        self._connection = connection
        self._alias = alias

    async def read(self, *, timeout_s: float) -> str | None:
        try:
            described = await self._connection.call("describe_alias", self._alias, timeout_s=timeout_s)
        except MilvusError as error:
            if error.milvus_code == ALIAS_NOT_FOUND:
                return None
            raise
        name: str = described["collection_name"]
        return name

    async def write(self, collection: str, *, timeout_s: float) -> None:
        method = "create_alias" if await self.read(timeout_s=timeout_s) is None else "alter_alias"
        await self._connection.call(method, collection, self._alias, timeout_s=timeout_s)


class _RowPointer:
    """A row of the ledger, for Milvus Lite 2.5, which answers UNIMPLEMENTED to everything about aliases."""

    def __init__(self, ledger: MilvusLedger, key: str) -> None:
        self._ledger = ledger
        self._key = key

    async def read(self, *, timeout_s: float) -> str | None:
        return await self._ledger.read(self._key, timeout_s=timeout_s)

    async def write(self, collection: str, *, timeout_s: float) -> None:
        await self._ledger.write(self._key, collection, timeout_s=timeout_s)
