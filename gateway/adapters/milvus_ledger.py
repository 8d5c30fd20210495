"""A small collection of our own, of keys and values: what Milvus itself cannot remember about collections."""

from typing import Any

import numpy as np
from pymilvus import DataType, MilvusClient

from gateway.adapters.milvus_connection import COLLECTION_NOT_FOUND, MilvusConnection, MilvusError
from gateway.adapters.milvus_expression import literal

_MAX_LENGTH = 512

# Milvus keeps no collection without a vector.
_VECTOR = "unused"
_DIM = 2


class MilvusLedger:
    """Keeps values under keys; a value is written as one row, so readers see the old one or the new one."""

    def __init__(self, connection: MilvusConnection, *, name: str) -> None:
        self._connection = connection
        self._name = name

    async def read(self, key: str, *, timeout_s: float) -> str | None:
        """Give the value, or None."""
        try:
            rows = await self._connection.call(
                "query",
                self._name,
                filter=f"key == {literal(key)}",
                output_fields=["value"],
                # Rare, and never on the path of a search: the newest value is worth the wait.
                consistency_level="Strong",
                timeout_s=timeout_s,
            )
        except MilvusError as error:
            if error.milvus_code == COLLECTION_NOT_FOUND:
                return None
            raise
        return rows[0]["value"] if rows else None

    async def write(self, key: str, value: str, *, timeout_s: float) -> None:
        """Keep the value; durable when this returns."""
        row = {"key": key, "value": value, _VECTOR: np.zeros(_DIM, np.float32)}
        try:
            await self._connection.call("upsert", self._name, [row], timeout_s=timeout_s)
        except MilvusError as error:
            if error.milvus_code != COLLECTION_NOT_FOUND:
                raise
            await self._connection.call("create_collection", self._name, **_schema(), timeout_s=timeout_s)
            await self._connection.call("upsert", self._name, [row], timeout_s=timeout_s)


def _schema() -> dict[str, Any]:
    schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("key", DataType.VARCHAR, is_primary=True, max_length=_MAX_LENGTH)
    schema.add_field("value", DataType.VARCHAR, max_length=_MAX_LENGTH)
    schema.add_field(_VECTOR, DataType.FLOAT_VECTOR, dim=_DIM)
    index = MilvusClient.prepare_index_params()
    index.add_index(_VECTOR, index_type="FLAT", metric_type="IP")
    return {"schema": schema, "index_params": index}
