"""Rows as Parquet files for Milvus's bulk insert; apart, since a gateway makes none and its image has no pyarrow."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from gateway.adapters.milvus.layout import (
    JSON_COLUMNS,
    PART,
    TOKENS,
    VECTOR,
    Layout,
    column_fields,
    column_name,
)
from vitrine.domain.schema import NUMBER_KINDS


def encode_rows(rows: Iterable[Mapping[str, Any]], layout: Layout) -> bytes:
    """Return rows of `rows.to_rows` as a Parquet file with the columns of the layout's collection."""
    schema = _columns(layout)
    columns: dict[str, list[Any]] = {name: [] for name in schema.names}
    for row in rows:
        for name, cells in columns.items():
            cells.append(json.dumps(row[name]) if name in JSON_COLUMNS else row[name])
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns, schema=schema), sink, compression="zstd")
    return bytes(sink.getvalue())


def _columns(layout: Layout) -> pa.Schema:
    """Return the columns of a collection made with the layout's schema, as Parquet has them."""
    fields = [("id", pa.string()), (PART, pa.int64()), (VECTOR, pa.list_(pa.float32()))]
    fields += [
        (column_name(owner), pa.float64() if owner.kind in NUMBER_KINDS else pa.string())
        for owner in column_fields(layout.created_with)
    ]
    fields += [(name, pa.string()) for name in JSON_COLUMNS]
    fields += [(TOKENS, pa.list_(pa.string())), ("digest", pa.string()), ("vectors_digest", pa.string())]
    return pa.schema(fields)
