"""A small collection of our own, of keys and values: what Milvus itself cannot remember about collections."""

import asyncio
from typing import Any

import numpy as np
from pymilvus import DataType, MilvusClient

from gateway.adapters.milvus.connection import (
    COLLECTION_NOT_FOUND,
    COLLECTION_NOT_LOADED,
    MilvusConnection,
    MilvusError,
)
from gateway.adapters.milvus.expression import literal
from gateway.model import Deadline

_MAX_BYTES = 512
_LOADING_POLL_S = 0.05

# Milvus keeps no collection without a vector.
_VECTOR = "unused"
_DIM = 2


class MilvusLedger:
    """Keeps values under keys; readers see the old value or the new one, and never none in between.

    An upsert would not do: Milvus Lite deletes the old row before it inserts the new one. So every value is a row
    of its own with a number that grows, the highest one counts, and the lower ones are deleted after it is written.
    """

    def __init__(self, connection: MilvusConnection, *, name: str, max_bytes: int = _MAX_BYTES) -> None:
        self._connection = connection
        self._name = name
        self._max_bytes = max_bytes
        """Bytes of a value."""

    async def read(self, key: str, *, timeout_s: float, consistency: str = "Strong") -> str | None:
        """Return the value, or None.

        A weaker consistency than the default spares a server's wait for its own clock, some tenths of a second; it
        returns what this process wrote, and what others wrote a little later.
        """
        rows = await self._rows(key, timeout_s, consistency)
        return max(rows)[1] if rows else None

    async def make(self, *, timeout_s: float) -> None:
        """Make the ledger where it is not there; otherwise its first write does, which takes a server seconds."""
        deadline = Deadline.after(timeout_s)
        if not await self._call("has_collection", timeout_s=deadline.remaining_s()):
            await self._call(
                "create_collection", **_schema(self._max_bytes), timeout_s=deadline.remaining_s()
            )

    async def write(self, key: str, value: str, *, timeout_s: float) -> None:
        """Keep the value; durable when this returns."""
        rows = await self._rows(key, timeout_s)
        await self.put(key, max(rows)[0] + 1 if rows else 0, value, timeout_s=timeout_s)

    async def put(self, key: str, number: int, value: str, *, timeout_s: float) -> None:
        """Keep the value under that number, in the place of those with lower ones; durable when this returns."""
        row = {
            "id": f"{key}/{number}",
            "key": key,
            "number": number,
            "value": value,
            _VECTOR: np.zeros(_DIM, np.float32),
        }
        try:
            await self._call("insert", [row], timeout_s=timeout_s)
        except MilvusError as error:
            if error.milvus_code != COLLECTION_NOT_FOUND:
                raise
            await self._call("create_collection", **_schema(self._max_bytes), timeout_s=timeout_s)
            await self._call("insert", [row], timeout_s=timeout_s)
        if number:
            older = f"key == {literal(key)} and number < {number}"
            await self._call("delete", filter=older, timeout_s=timeout_s)

    async def forget(self, key: str, *, timeout_s: float) -> None:
        """Keep the key no longer."""
        if await self._rows(key, timeout_s):
            await self._call("delete", filter=f"key == {literal(key)}", timeout_s=timeout_s)

    async def read_all(self, prefix: str, *, timeout_s: float) -> dict[str, tuple[int, str]]:
        """Return the numbers and values of all keys that begin so: one moment of the ledger, no earlier than this call."""
        found: dict[str, tuple[int, str]] = {}
        for row in await self._query(f'key like "{prefix}%"', timeout_s, "Strong"):
            if row["key"].startswith(prefix):
                entry = (row["number"], row["value"])
                found[row["key"]] = max(found.get(row["key"], entry), entry)
        return found

    async def _rows(self, key: str, timeout_s: float, consistency: str = "Strong") -> list[tuple[int, str]]:
        """Return the numbers and values of the key."""
        rows = await self._query(f"key == {literal(key)}", timeout_s, consistency)
        return [(row["number"], row["value"]) for row in rows]

    async def _query(self, expression: str, timeout_s: float, consistency: str) -> list[dict[str, Any]]:
        deadline = Deadline.after(timeout_s)
        while True:
            try:
                rows = await self._call(
                    "query",
                    filter=expression,
                    output_fields=["key", "number", "value"],
                    consistency_level=consistency,
                    timeout_s=deadline.remaining_s(),
                )
            except MilvusError as error:
                if error.milvus_code == COLLECTION_NOT_FOUND:
                    return []
                if error.milvus_code != COLLECTION_NOT_LOADED:
                    raise
                # Another process is making it at this moment; what stands in it already must not be missed.
                await asyncio.sleep(_LOADING_POLL_S)
                continue
            return list(rows)

    async def _call(self, method: str, *args: Any, timeout_s: float, **kwargs: Any) -> Any:
        return await self._connection.call(method, self._name, *args, timeout_s=timeout_s, **kwargs)


def _schema(max_bytes: int) -> dict[str, Any]:
    schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
    for field, length in {"id": _MAX_BYTES, "key": _MAX_BYTES, "value": max_bytes}.items():
        schema.add_field(field, DataType.VARCHAR, is_primary=field == "id", max_length=length)
    schema.add_field("number", DataType.INT64)
    schema.add_field(_VECTOR, DataType.FLOAT_VECTOR, dim=_DIM)
    index = MilvusClient.prepare_index_params()
    index.add_index(_VECTOR, index_type="FLAT", metric_type="IP")
    return {"schema": schema, "index_params": index}
