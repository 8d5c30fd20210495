"""The shop's documents in Milvus: a row a passage, and a row of a ledger that names which rows are in use.

    <name>_passages_256       the passages of encoders that give 256 numbers; a generation is what one exchange wrote
    <name>_documents          "in_use": the generation, how many rows it has, its digest and its encoders; and the lease

An exchange writes its passages under a generation of its own, then the ledger's row, then deletes the rows of every other
generation. So a reader that finds fewer rows than the ledger names has been overtaken, and reads the ledger again.
"""

import json
from dataclasses import asdict, dataclass
from secrets import token_hex
from typing import Any

import numpy as np
from pymilvus import DataType, MilvusClient

from gateway.adapters.milvus.connection import (
    COLLECTION_NOT_FOUND,
    MilvusConnection,
    MilvusError,
)
from gateway.adapters.milvus.lease import LEASE_S, Claims
from gateway.adapters.milvus.ledger import MilvusLedger
from gateway.errors import Aborted, VectorIndexError
from gateway.model import Deadline, DocumentSet, Embedding, Passage
from vitrine.domain import limits

_EXCHANGE = "exchange of the documents"
_IN_USE = "in_use"
_ID, _GENERATION, _VECTOR = "id", "generation", "embedding"
_TEXTS = ("document", "document_digest", "title", "heading", "text")
_COLUMNS = [*_TEXTS, "position", _VECTOR]
_MAX_BYTES = {
    _ID: 64,
    _GENERATION: 32,
    "document": 4 * limits.MAX_DOCUMENT_NAME_LENGTH,
    "document_digest": 128,
    "title": 4 * limits.MAX_HEADING_LENGTH,
    "heading": 4 * limits.MAX_HEADING_LENGTH,
    "text": 4 * limits.MAX_PASSAGE_LENGTH,
}
_ROWS_AT_ONCE = 200
_ATTEMPTS = 5
"""Times that a reader who was overtaken reads the ledger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _InUse:
    """What the ledger's row says."""

    digest: str = ""
    manifest: str = ""
    generation: str = ""
    dim: int = 0
    rows: int = 0


class MilvusDocuments:
    """Obeys `gateway.ports.DocumentStore`."""

    def __init__(self, connection: MilvusConnection, *, prefix: str, lease_s: float = LEASE_S) -> None:
        self._connection = connection
        self._prefix = prefix
        self._ledger = MilvusLedger(connection, name=f"{prefix}_documents")
        self._claims = Claims(self._ledger, prefix="claim/", lease_s=lease_s)
        self._lease_s = lease_s

    async def digest(self, *, timeout_s: float) -> str:
        """As the port says."""
        return (await self._in_use(timeout_s=timeout_s, consistency="Session")).digest

    async def read(self, *, timeout_s: float) -> DocumentSet:
        """As the port says."""
        deadline = Deadline.after(timeout_s)
        for _ in range(_ATTEMPTS):
            in_use = await self._in_use(timeout_s=deadline.remaining_s())
            rows = await self._rows(in_use, deadline)
            if len(rows) == in_use.rows:
                passages = sorted(map(_passage, rows), key=lambda each: (each.document, each.position))
                return DocumentSet(digest=in_use.digest, manifest=in_use.manifest, passages=tuple(passages))
        raise VectorIndexError

    async def replace(self, documents: DocumentSet, *, before: str, timeout_s: float) -> None:
        """As the port says."""
        deadline = Deadline.after(timeout_s)
        lease = await self._claims.acquire(
            _EXCHANGE,
            wait_s=min(2 * self._lease_s, deadline.remaining_s()),
            floor=_from_zero,
            timeout_s=deadline.remaining_s(),
        )
        try:
            found = await self._in_use(timeout_s=deadline.remaining_s())
            if found.digest != before:
                raise Aborted("documents", "another writer has exchanged them: begin again")
            in_use = _InUse()
            if documents.passages:
                in_use = await self._write(documents, deadline)
            await lease.verify()
            value = json.dumps(asdict(in_use))
            await self._ledger.write(_IN_USE, value, timeout_s=deadline.remaining_s())
            for dim in {found.dim, in_use.dim} - {0}:
                await self._delete_others(dim, in_use.generation, deadline)
        finally:
            await lease.release()

    async def _in_use(self, *, timeout_s: float, consistency: str = "Strong") -> _InUse:
        value = await self._ledger.read(_IN_USE, timeout_s=timeout_s, consistency=consistency)
        return _InUse() if value is None else _InUse(**json.loads(value))

    async def _rows(self, in_use: _InUse, deadline: Deadline) -> list[dict[str, Any]]:
        if not in_use.rows:
            return []
        try:
            found = await self._connection.call(
                "query",
                self._collection(in_use.dim),
                filter=f'{_GENERATION} == "{in_use.generation}"',
                output_fields=_COLUMNS,
                limit=limits.MAX_PASSAGES,
                consistency_level="Strong",
                timeout_s=deadline.remaining_s(),
            )
        except MilvusError as error:
            if error.milvus_code == COLLECTION_NOT_FOUND:
                return []
            raise
        return list(found)

    async def _write(self, documents: DocumentSet, deadline: Deadline) -> _InUse:
        """Write the passages under a generation of their own; return what the ledger is to say of them."""
        vectors = [_vector(each) for each in documents.passages]
        generation, dim = token_hex(8), len(vectors[0])
        collection = self._collection(dim)
        if not await self._connection.call("has_collection", collection, timeout_s=deadline.remaining_s()):
            await self._connection.call(
                "create_collection", collection, **_schema(dim), timeout_s=deadline.remaining_s()
            )
        rows = [
            _row(passage, vector, generation, number)
            for number, (passage, vector) in enumerate(zip(documents.passages, vectors, strict=True))
        ]
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            batch = rows[start : start + _ROWS_AT_ONCE]
            await self._connection.call("insert", collection, batch, timeout_s=deadline.remaining_s())
        return _InUse(
            digest=documents.digest,
            manifest=documents.manifest,
            generation=generation,
            dim=dim,
            rows=len(rows),
        )

    async def _delete_others(self, dim: int, generation: str, deadline: Deadline) -> None:
        others = f'{_GENERATION} != "{generation}"'
        await self._connection.call(
            "delete", self._collection(dim), filter=others, timeout_s=deadline.remaining_s()
        )

    def _collection(self, dim: int) -> str:
        return f"{self._prefix}_passages_{dim}"


async def _from_zero() -> int:
    return 0


def _vector(passage: Passage) -> Embedding:
    if passage.embedding is None:
        raise ValueError(f"{passage.document}: a passage is not embedded")
    return passage.embedding


def _row(passage: Passage, vector: Embedding, generation: str, number: int) -> dict[str, Any]:
    texts = {name: getattr(passage, name) for name in _TEXTS}
    key = {_ID: f"{generation}/{number}", _GENERATION: generation, "position": passage.position}
    return key | texts | {_VECTOR: vector}


def _passage(row: dict[str, Any]) -> Passage:
    texts = {name: str(row[name]) for name in _TEXTS}
    vector = np.asarray(row[_VECTOR], np.float32)
    return Passage(**texts, position=int(row["position"]), embedding=vector)


def _schema(dim: int) -> dict[str, Any]:
    schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
    for name, length in _MAX_BYTES.items():
        schema.add_field(name, DataType.VARCHAR, is_primary=name == _ID, max_length=length)
    schema.add_field("position", DataType.INT64)
    schema.add_field(_VECTOR, DataType.FLOAT_VECTOR, dim=dim)
    index = MilvusClient.prepare_index_params()
    index.add_index(_VECTOR, index_type="FLAT", metric_type="IP")
    return {"schema": schema, "index_params": index}
