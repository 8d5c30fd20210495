"""What a collection of products looks like, and how a product becomes a row of it."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from pymilvus import CollectionSchema, DataType, MilvusClient
from pymilvus.milvus_client.index import IndexParams

from catalogue.product import MAX_ID_LENGTH, MAX_TITLE_LENGTH, MAX_URI_LENGTH, MAX_VALUE_LENGTH, TEXT_FIELDS
from gateway.adapters.milvus.expression import decode_text, encode_text
from gateway.model import Embedding, IndexVersion, StoredProduct

ID = "id"
VECTOR = "embedding"
"""The image half, then the text half."""

SCALAR_FIELDS = (*TEXT_FIELDS, "price", "title", "image_uri", "attributes", "digest")
PRODUCT_FIELDS = (*SCALAR_FIELDS, VECTOR)

# Milvus counts bytes. A character takes four at most, encoded or not.
_BYTES_PER_CHARACTER = 4
_DIGEST_LENGTH = 64


def with_keys(keys: Iterable[str]) -> str:
    """Give the expression of the rows with those keys: encoded ids, which hold nothing to escape."""
    listed = ", ".join(f'"{key}"' for key in keys)
    return f"{ID} in [{listed}]"


def product_schema(*, manifest: str, source: str, embedding_dim: int) -> CollectionSchema:
    """Give the schema of a collection whose description carries its identity."""
    identity = {"manifest": manifest, "source": source, "embedding_dim": embedding_dim}
    schema = MilvusClient.create_schema(
        auto_id=False, enable_dynamic_field=False, description=json.dumps(identity)
    )
    schema.add_field(ID, DataType.VARCHAR, is_primary=True, max_length=MAX_ID_LENGTH * _BYTES_PER_CHARACTER)
    schema.add_field(VECTOR, DataType.FLOAT_VECTOR, dim=2 * embedding_dim)
    for field in TEXT_FIELDS:
        schema.add_field(field, DataType.VARCHAR, max_length=MAX_VALUE_LENGTH * _BYTES_PER_CHARACTER)
    schema.add_field("price", DataType.DOUBLE)
    schema.add_field("title", DataType.VARCHAR, max_length=MAX_TITLE_LENGTH * _BYTES_PER_CHARACTER)
    schema.add_field("image_uri", DataType.VARCHAR, max_length=MAX_URI_LENGTH * _BYTES_PER_CHARACTER)
    schema.add_field("attributes", DataType.JSON)
    schema.add_field("digest", DataType.VARCHAR, max_length=_DIGEST_LENGTH)
    return schema


def vector_index() -> IndexParams:
    """Give the index of the vectors: FLAT is exact, under filters of any selectivity too."""
    index = MilvusClient.prepare_index_params()
    index.add_index(VECTOR, index_type="FLAT", metric_type="IP")
    return index


def read_version(collection: str, description: str) -> tuple[IndexVersion, str]:
    """Give the identity and the source that a collection's description carries; ValueError where it has none."""
    try:
        identity = json.loads(description)
        version = IndexVersion(
            collection=collection, manifest=identity["manifest"], embedding_dim=identity["embedding_dim"]
        )
        return version, identity["source"]
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"collection {collection} carries no identity") from None


def to_row(product: StoredProduct, *, embedding_dim: int) -> dict[str, Any]:
    """Give the row of a product that has both embeddings."""
    row = {field: getattr(product, field) for field in SCALAR_FIELDS}
    row |= {field: encode_text(row[field]) for field in TEXT_FIELDS}
    row["attributes"] = dict(product.attributes)
    row[ID] = encode_text(product.id)
    halves = [_half(product, name, embedding_dim) for name in ("image_embedding", "text_embedding")]
    row[VECTOR] = np.concatenate(halves)
    return row


def take_vectors(hits: Any) -> Embedding:
    """Take the vectors of a search's hits, both halves in a row each, out of what pymilvus would decode.

    It would make a list of Python floats of each, and we an array of that: a hundred times the work. Packed floats
    are the tail of their message as they are.
    """
    if not hits:
        return np.empty((0, 0), np.float32)
    (field,) = (field for field in hits.lazy_field_data if field.field_name == VECTOR)
    hits.lazy_field_data.remove(field)
    packed = field.vectors.float_vector
    dim = field.vectors.dim
    rows = np.frombuffer(packed.SerializeToString()[-4 * len(packed.data) :], "<f4")
    return rows.reshape(-1, dim)


def to_product(row_id: str, row: Mapping[str, Any], vector: Embedding) -> StoredProduct:
    """Give the product of a row and its vector, which holds both halves."""
    fields = {field: row[field] for field in SCALAR_FIELDS}
    fields |= {field: decode_text(row[field]) for field in TEXT_FIELDS}
    return StoredProduct(
        id=decode_text(row_id),
        **fields,
        image_embedding=vector[: len(vector) // 2],
        text_embedding=vector[len(vector) // 2 :],
    )


def _half(product: StoredProduct, name: str, dim: int) -> Embedding:
    """Give one half of the product's vector; Milvus would take what is not finite in silence."""
    half: Embedding | None = getattr(product, name)
    if half is None or half.shape != (dim,) or not np.isfinite(half).all():
        raise ValueError(f"{name} of product {product.id!r} must be {dim} finite numbers")
    return half.astype(np.float32, copy=False)
