"""A part: what became of the rows of a chunk, as a Parquet file.

message           vitrine.v1.Product, serialised
digest, vectors_digest
images            float32, little-endian: one row of `embedding_dim` a picture
text              float32, little-endian
"""

import json
from dataclasses import asdict, dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from gateway.model import IndexVersion, StoredProduct
from vitrine.domain.messages import product_message, read_product
from vitrine.v1 import query_pb2

_COLUMNS = pa.schema(
    [
        ("message", pa.binary()),
        ("digest", pa.string()),
        ("vectors_digest", pa.string()),
        ("images", pa.binary()),
        ("text", pa.binary()),
    ]
)
_TOLD = b"vitrine.part"


@dataclass(frozen=True, slots=True, kw_only=True)
class BadRow:
    """A row that is not in the index, or rows that cannot be read."""

    where: str
    """The file and line, or the id of a product."""
    field: str
    reason: str
    rows: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What became of the rows of a chunk."""

    products: tuple[StoredProduct, ...]
    """With their vectors and digests."""
    bad: tuple[BadRow, ...] = ()
    cut: int = 0
    """Products whose words are longer than what the encoder reads."""
    lost_pictures: int = 0
    """Pictures that could not be read; their products are there."""

    @property
    def rows(self) -> int:
        """Return how many rows it is of."""
        return len(self.products) + sum(each.rows for each in self.bad)


def encode_part(part: Part, version: IndexVersion) -> bytes:
    """Return the part as a file."""
    told = {
        "bad": [asdict(each) for each in part.bad],
        "cut": part.cut,
        "lost_pictures": part.lost_pictures,
    }
    rows = [_row(product, version) for product in part.products]
    table = pa.Table.from_pylist(rows, schema=_COLUMNS.with_metadata({_TOLD: json.dumps(told).encode()}))
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return bytes(sink.getvalue())


def decode_part(data: bytes, version: IndexVersion) -> Part:
    """Return the part of a file; raises ValueError for a file that is none."""
    try:
        table = pq.read_table(pa.BufferReader(data))
        told = json.loads(table.schema.metadata[_TOLD])
    except (pa.ArrowException, KeyError, TypeError) as error:
        raise ValueError("not a part") from error
    return Part(
        products=tuple(_product(row, version) for row in table.to_pylist()),
        bad=tuple(BadRow(**each) for each in told.pop("bad")),
        **told,
    )


def _row(stored: StoredProduct, version: IndexVersion) -> dict[str, object]:
    assert stored.image_embeddings is not None
    assert stored.text_embedding is not None
    return {
        "message": product_message(stored.product, version.schema).SerializeToString(),
        "digest": stored.digest,
        "vectors_digest": stored.vectors_digest,
        "images": stored.image_embeddings.astype("<f4").tobytes(),
        "text": stored.text_embedding.astype("<f4").tobytes(),
    }


def _product(row: dict[str, bytes], version: IndexVersion) -> StoredProduct:
    message = query_pb2.Product.FromString(row["message"])
    return StoredProduct(
        product=read_product(message, version.schema),
        digest=str(row["digest"]),
        vectors_digest=str(row["vectors_digest"]),
        image_embeddings=_floats(row["images"]).reshape(-1, version.embedding_dim),
        text_embedding=_floats(row["text"]),
    )


def _floats(data: bytes) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.frombuffer(data, "<f4").astype(np.float32, copy=False)
