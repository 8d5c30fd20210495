"""Products with the vectors that the fake encoder would give them."""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from gateway.model import Embedding, StoredProduct
from gateway.testing.encoder import embed_picture, embed_words
from vitrine.domain.product import Product, encoded_text
from vitrine.domain.schema import Schema
from vitrine.domain.schema_files import shipped_schema
from vitrine.domain.values import Value
from vitrine.tensors import EMBEDDING_DIM


def stored(
    product_id: str,
    *,
    images: Sequence[bytes] | None = None,
    image_embeddings: Embedding | None = None,
    text_embedding: Embedding | None = None,
    image_uris: Sequence[str] = (),
    attributes: Mapping[str, str] | None = None,
    schema: Schema | None = None,
    **values: Value | None,
) -> StoredProduct:
    """Return a product of a schema, fashion where none is given, with all its vectors.

    A value that is None or empty is missing. Without `images` the product has one picture of its own, made of its
    id; its text half is that of its encoded fields, such as the title, and all zero where it has none of them.
    """
    held = {name: value for name, value in values.items() if value not in {None, "", ()}}
    made = Product(
        id=product_id,
        values={name: value for name, value in held.items() if value is not None},
        attributes=attributes or {},
        image_uris=tuple(image_uris),
    )
    pictures = [product_id.encode()] if images is None else images
    if image_embeddings is None:
        image_embeddings = np.reshape([embed_picture(each) for each in pictures], (-1, EMBEDDING_DIM)).astype(
            np.float32
        )
    text = encoded_text(made, schema or shipped_schema())
    if text_embedding is None:
        text_embedding = embed_words(text) if text else np.zeros(EMBEDDING_DIM, np.float32)
    return StoredProduct(
        product=made,
        digest=_digest(f"{sorted(held.items())}", *pictures),
        vectors_digest=_digest(text, *pictures),
        image_embeddings=image_embeddings,
        text_embedding=text_embedding,
    )


def product(
    product_id: str, title: str, *, image: bytes = b"", image_uri: str = "", **values: Value | None
) -> StoredProduct:
    """Return a red dress of acme for 10.0, but for what is said otherwise, with one picture."""
    usual: dict[str, Value | None] = {
        "category": "dress", "colour": "red", "pattern": "plain", "brand": "acme", "price": 10.0,
    }  # fmt: skip
    return stored(
        product_id,
        images=[image or product_id.encode()],
        image_uris=[image_uri] if image_uri else [],
        **{"title": title, **usual, **values},  # type: ignore[arg-type] # the caller names fields of the schema
    )


def _digest(text: str, *pictures: bytes) -> str:
    return hashlib.sha256(b"\0".join([text.encode(), *pictures])).hexdigest()
