"""Blocked pictures in Milvus: a row a picture, and a row of a ledger that changes with the list.

    <name>_blocked       the picture's own hash as a binary vector, its other hashes and its embedding beside it
    <name>_moderation    "version": a token that every change exchanges; and the lease of who changes it

Servers before 2.4 take one vector a collection. It is the hash, since a list may hold embeddings of several lengths; gateways
search neither here but in their own memory.
"""

import base64
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from secrets import token_hex
from typing import Any

import numpy as np
from pymilvus import DataType, MilvusClient

from gateway.adapters.milvus.connection import COLLECTION_NOT_FOUND, MilvusConnection, MilvusError
from gateway.adapters.milvus.expression import literal
from gateway.adapters.milvus.lease import LEASE_S, Claims
from gateway.adapters.milvus.ledger import MilvusLedger
from gateway.errors import InvalidQuery
from gateway.model import Deadline
from vitrine.domain import limits
from vitrine.moderation.fingerprints import BITS, HASH_BYTES, Hashes
from vitrine.moderation.judging import BlockedPicture

_CHANGE = "change of the blocked pictures"
_VERSION = "version"
_ID, _HASH = "id", "hash"
_TEXTS = {
    _ID: limits.MAX_BLOCKED_ID_LENGTH,
    "label": 4 * limits.MAX_BLOCKED_LABEL_LENGTH,
    "manifest": 128,
    "copies": 1_024,
    "windows": 32_768,
    "embedding": 16_384,
}
_COLUMNS = [*_TEXTS, "added_ms"]
_FIRST_DIGITS = "0123456789abcdef"
"""Of ids, by which the list is read in parts: an answer of Milvus is bounded in bytes."""


class MilvusBlocked:
    """Obeys `gateway.moderation.ports.BlockedImageStore`."""

    def __init__(self, connection: MilvusConnection, *, prefix: str, lease_s: float = LEASE_S) -> None:
        self._connection = connection
        self._collection = f"{prefix}_blocked"
        self._ledger = MilvusLedger(connection, name=f"{prefix}_moderation")
        self._claims = Claims(self._ledger, prefix="claim/", lease_s=lease_s)
        self._lease_s = lease_s

    async def version(self, *, timeout_s: float) -> str:
        """As the port says."""
        return await self._ledger.read(_VERSION, timeout_s=timeout_s, consistency="Session") or ""

    async def read(self, *, timeout_s: float) -> Sequence[BlockedPicture]:
        """As the port says."""
        deadline = Deadline.after(timeout_s)
        found = [
            _picture(row)
            for digit in _FIRST_DIGITS
            for row in await self._query(f'{_ID} like "{digit}%"', _COLUMNS, deadline)
        ]
        return sorted(found, key=lambda each: each.id)

    async def add(self, pictures: Sequence[BlockedPicture], *, timeout_s: float) -> None:
        """As the port says."""
        deadline = Deadline.after(timeout_s)
        async with self._changing(deadline):
            held = {row[_ID] for row in await self._query(f'{_ID} != ""', [_ID], deadline)}
            if len(held | {each.id for each in pictures}) > limits.MAX_BLOCKED_IMAGES:
                raise InvalidQuery("images", f"at most {limits.MAX_BLOCKED_IMAGES:,} may be blocked")
            if not await self._call("has_collection", deadline=deadline):
                await self._call("create_collection", **_schema(), deadline=deadline)
            await self._call("upsert", [_row(each) for each in pictures], deadline=deadline)

    async def remove(self, ids: Sequence[str], *, timeout_s: float) -> list[str]:
        """As the port says."""
        deadline = Deadline.after(timeout_s)
        named = f"{_ID} in [{', '.join(map(literal, ids))}]"
        async with self._changing(deadline):
            held = {row[_ID] for row in await self._query(named, [_ID], deadline)}
            if held:
                await self._call("delete", filter=named, deadline=deadline)
        return [each for each in ids if each in held]

    @asynccontextmanager
    async def _changing(self, deadline: Deadline) -> AsyncIterator[None]:
        """Hold the lease, and tell readers of the change at the end."""
        lease = await self._claims.acquire(
            _CHANGE,
            wait_s=min(2 * self._lease_s, deadline.remaining_s()),
            floor=_from_zero,
            timeout_s=deadline.remaining_s(),
        )
        try:
            yield
            await lease.verify()
            await self._ledger.write(_VERSION, token_hex(8), timeout_s=deadline.remaining_s())
        finally:
            await lease.release()

    async def _query(self, expression: str, columns: list[str], deadline: Deadline) -> list[dict[str, Any]]:
        try:
            found = await self._call(
                "query",
                filter=expression,
                output_fields=columns,
                limit=limits.MAX_BLOCKED_IMAGES,
                consistency_level="Strong",
                deadline=deadline,
            )
        except MilvusError as error:
            if error.milvus_code == COLLECTION_NOT_FOUND:
                return []
            raise
        return list(found)

    async def _call(self, method: str, *args: Any, deadline: Deadline, **kwargs: Any) -> Any:
        return await self._connection.call(
            method, self._collection, *args, timeout_s=deadline.remaining_s(), **kwargs
        )


async def _from_zero() -> int:
    return 0


def _row(picture: BlockedPicture) -> dict[str, Any]:
    return {
        _ID: picture.id,
        "label": picture.label,
        "manifest": picture.manifest,
        "added_ms": picture.added_ms,
        "copies": _text(picture.copies.tobytes()),
        "windows": _text(picture.windows.tobytes()),
        "embedding": _text(picture.embedding.astype("<f4").tobytes()),
        _HASH: picture.windows[0].tobytes(),
    }


def _picture(row: dict[str, Any]) -> BlockedPicture:
    return BlockedPicture(
        id=row[_ID],
        label=row["label"],
        manifest=row["manifest"],
        added_ms=int(row["added_ms"]),
        copies=_hashes(row["copies"]),
        windows=_hashes(row["windows"]),
        embedding=np.frombuffer(base64.b64decode(row["embedding"]), "<f4"),
    )


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _hashes(text: str) -> Hashes:
    return np.frombuffer(base64.b64decode(text), np.uint8).reshape(-1, HASH_BYTES)


def _schema() -> dict[str, Any]:
    schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
    for name, length in _TEXTS.items():
        schema.add_field(name, DataType.VARCHAR, is_primary=name == _ID, max_length=length)
    schema.add_field("added_ms", DataType.INT64)
    schema.add_field(_HASH, DataType.BINARY_VECTOR, dim=BITS)
    index = MilvusClient.prepare_index_params()
    index.add_index(_HASH, index_type="BIN_FLAT", metric_type="HAMMING")
    return {"schema": schema, "index_params": index}
