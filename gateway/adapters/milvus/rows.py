"""Products as rows of Milvus, and back."""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Any

import numpy as np
import orjson

from gateway.adapters.milvus.expression import (
    LOWEST,
    MISSING,
    boolean_key,
    decode_text,
    encode_text,
    keyword_key,
)
from gateway.adapters.milvus.found import Row
from gateway.adapters.milvus.layout import (
    ID,
    MAX_JSON_BYTES,
    PART,
    PICTURES,
    TOKENS,
    VALUES,
    VECTOR,
    WORDS,
    Layout,
    column_name,
    presence_key,
)
from gateway.memory import KEPT_PRODUCTS, MAX_KEPT_BYTES
from gateway.model import Embedding, StoredProduct
from vitrine.domain import limits
from vitrine.domain.errors import InvalidValue
from vitrine.domain.lexical import product_tokens
from vitrine.domain.product import Product
from vitrine.domain.schema import NUMBER_KINDS, Field, Kind
from vitrine.domain.values import Value

_MAX_COUNTED_BYTES = 60_000
"""Bytes of the tokens of one product that are counted; JSON adds three to each, and escapes nothing in them."""

_SAID = (VALUES, "texts", "attributes", PICTURES)
"""The columns that make a product without its digests."""

_PART_MARK = "%/"
"""Parts the id from the number of the picture: no encoded id holds it."""


def row_key(product_id: str, part: int = 0) -> str:
    """Return the key of a product's main row, or of the row of its picture `part`."""
    key = encode_text(product_id)
    return f"{key}{_PART_MARK}{part}" if part else key


def read_key(key: str) -> tuple[str, int]:
    """Return the product's id and the number of the picture."""
    encoded, _, part = key.partition(_PART_MARK)
    return decode_text(encoded), int(part or 0)


def keys_of(product_ids: Iterable[str]) -> Iterator[str]:
    """Yield the keys of all rows that products may have."""
    for product_id in product_ids:
        for part in range(limits.MAX_PICTURES):
            yield row_key(product_id, part)


def with_keys(keys: Iterable[str]) -> str:
    """Return the expression of the rows with those keys, which are encoded and hold nothing to escape."""
    return f"{ID} in [{_listed(keys)}]"


def without_keys(keys: Collection[str]) -> str:
    """Return the expression of the other rows; empty, which holds always, for no keys."""
    return f"{ID} not in [{_listed(keys)}]" if keys else ""


def _listed(keys: Iterable[str]) -> str:
    return ", ".join(f'"{key}"' for key in keys)


def to_rows(stored: StoredProduct, layout: Layout) -> list[dict[str, Any]]:
    """Return the rows of a product that has all its vectors, the main one first.

    Raises:
        ValueError: a vector is missing, of another length or not finite.
        InvalidValue: the product is too large for a column.
    """
    text = _text_half(stored, layout.version.embedding_dim)
    images = _image_halves(stored, layout.version.embedding_dim)
    shared = _document(stored, pictures=len(images)) | _conditions(stored.product, layout)
    halves = images if len(images) else np.zeros((1, len(text)), np.float32)
    return [
        {**shared, ID: row_key(stored.id, part), PART: part, VECTOR: np.concatenate([image, text])}
        for part, image in enumerate(halves)
    ]


def to_product(
    product_id: str, row: Mapping[str, Any], *, images: Embedding, text: Embedding
) -> StoredProduct:
    """Return the product of a row with the vectors of its pictures and its words."""
    product, pictures = _said(product_id, row)
    return StoredProduct(
        product=product,
        digest=row["digest"],
        vectors_digest=row["vectors_digest"],
        image_embeddings=images if pictures else images[:0],
        text_embedding=text,
    )


def _said(product_id: str, row: Mapping[str, Any]) -> tuple[Product, int]:
    """Return the product of a row and the number of its pictures; equal rows of searches give the same object."""
    if isinstance(row, Row):
        cells = row.raw(_SAID)
        if sum(map(len, cells)) <= MAX_KEPT_BYTES:
            return _kept(product_id, *cells)
    return _made(product_id, *(row[column] for column in _SAID))


@lru_cache(KEPT_PRODUCTS)
def _kept(product_id: str, *cells: bytes) -> tuple[Product, int]:
    return _made(product_id, *map(orjson.loads, cells))


def _made(
    product_id: str,
    values: dict[str, Any],
    texts: dict[str, Any],
    attributes: Mapping[str, str],
    pictures: Mapping[str, Any],
) -> tuple[Product, int]:
    product = Product(
        id=product_id,
        values={name: _value(value) for name, value in (texts | values).items()},
        attributes=attributes,
        image_uris=tuple(pictures["uris"]),
        inferred=tuple(pictures.get("inferred", ())),
        caption=pictures.get("caption", ""),
        caption_by=pictures.get("caption_by", ""),
    )
    return product, pictures["count"]


def _document(stored: StoredProduct, *, pictures: int) -> dict[str, Any]:
    """Return the columns that make the product again."""
    product = stored.product
    told = {"inferred": list(product.inferred), "caption": product.caption, "caption_by": product.caption_by}
    uris = {"count": pictures, "uris": list(product.image_uris)}
    # An index of an earlier version has none of these either.
    uris |= {name: said for name, said in told.items() if said}
    _check_size("image_uris", uris)
    return {
        "attributes": dict(product.attributes),
        PICTURES: uris,
        "digest": stored.digest,
        "vectors_digest": stored.vectors_digest,
    }


def _conditions(product: Product, layout: Layout) -> dict[str, Any]:
    """Return the columns of the product's fields: as they are written, and as they are asked."""
    schema = layout.version.schema
    short = {each.name for each in schema.columns}
    tokens = [encode_text(token) for token in product_tokens(product, schema)]
    columns: dict[str, Any] = {
        VALUES: {name: _plain(value) for name, value in product.values.items() if name in short},
        "texts": {name: _plain(value) for name, value in product.values.items() if name not in short},
        TOKENS: tokens,
        WORDS: {"tokens": _counted(tokens)},
        "lists": {},
        "extra": {},
    }
    for owner in schema.columns:
        value = product.values.get(owner.name)
        if isinstance(value, tuple):
            columns["lists"][owner.name] = {encode_text(keyword_key(each)): 1 for each in value}
        elif layout.has_column(owner):
            columns[column_name(owner)] = _asked(owner, value)
        elif value is not None:
            columns["extra"][owner.name] = _asked(owner, value)
            if owner.kind in NUMBER_KINDS:
                columns["extra"][presence_key(owner)] = 1
    for name in ("lists", "extra"):
        _check_size("fields", columns[name])
    return columns


def _counted(tokens: Sequence[str]) -> list[str]:
    """Return the tokens that are counted: all that fit into a column, which only the strangest products exceed."""
    sizes = accumulate(len(token.encode(errors="surrogatepass")) for token in tokens)
    return [token for token, size in zip(tokens, sizes, strict=True) if size <= _MAX_COUNTED_BYTES]


def _asked(owner: Field, value: Value | None) -> str | float:
    """Return a value as conditions compare it."""
    if owner.kind in NUMBER_KINDS:
        if not isinstance(value, float):
            return MISSING
        return max(value, LOWEST)
    if owner.kind is Kind.BOOLEAN:
        return boolean_key(value) if isinstance(value, bool) else ""
    return encode_text(keyword_key(value)) if isinstance(value, str) else ""


def _plain(value: Value) -> object:
    return list(value) if isinstance(value, tuple) else value


def _value(plain: Any) -> Value:
    value: Value = tuple(plain) if isinstance(plain, list) else plain
    return value


def _check_size(name: str, column: Mapping[str, object]) -> None:
    size = len(json.dumps(column, ensure_ascii=False, separators=(",", ":")).encode(errors="surrogatepass"))
    if size > MAX_JSON_BYTES:
        raise InvalidValue(name, f"at most {MAX_JSON_BYTES:,} bytes as the index keeps them, got {size:,}")


def _text_half(stored: StoredProduct, dim: int) -> Embedding:
    """Return the text half; Milvus would take what is not finite in silence."""
    half = stored.text_embedding
    if half is None or half.shape != (dim,) or not np.isfinite(half).all():
        raise ValueError(f"text_embedding of product {stored.id!r} must be {dim} finite numbers")
    return half.astype(np.float32, copy=False)


def _image_halves(stored: StoredProduct, dim: int) -> Embedding:
    halves = stored.image_embeddings
    if (
        halves is None
        or halves.ndim != 2  # noqa: PLR2004 - a row a picture
        or halves.shape[1] != dim
        or len(halves) > limits.MAX_PICTURES
        or not np.isfinite(halves).all()
    ):
        raise ValueError(
            f"image_embeddings of product {stored.id!r} must be 0 to {limits.MAX_PICTURES} rows of {dim} finite"
            " numbers"
        )
    return halves.astype(np.float32, copy=False)
