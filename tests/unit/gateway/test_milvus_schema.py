"""Rows of Milvus carry both halves of a product's vector, whatever the family's length."""

from dataclasses import replace

import numpy as np
import pytest

from gateway.adapters.milvus.schema import product_schema, read_version, to_product, to_row
from gateway.model import StoredProduct

DIM = 24
PRODUCT = StoredProduct(
    id="p'1",
    title="red dress",
    category="dress",
    colour="red",
    pattern="",
    brand="",
    price=10.0,
    image_uri="p1.jpg",
    image_embedding=np.linspace(0, 1, DIM, dtype=np.float32),
    text_embedding=np.linspace(1, 0, DIM, dtype=np.float32),
)


def test_a_product_comes_back_as_it_was_stored() -> None:
    """The vector is the picture's half and the text's, side by side."""
    row = to_row(PRODUCT, embedding_dim=DIM)
    assert row["embedding"].shape == (2 * DIM,)
    stored = to_product(row["id"], row, row["embedding"])
    assert (stored.id, stored.title) == (PRODUCT.id, PRODUCT.title)
    np.testing.assert_array_equal(stored.image_embedding, PRODUCT.image_embedding)
    np.testing.assert_array_equal(stored.text_embedding, PRODUCT.text_embedding)


@pytest.mark.parametrize(
    "half", [None, np.zeros(256, np.float32), np.full(DIM, np.nan, np.float32)], ids=["none", "256", "nan"]
)
def test_a_half_of_another_length_is_refused(half: np.ndarray | None) -> None:
    """Nothing that the collection's encoders cannot have made is written."""
    with pytest.raises(ValueError, match=r"text_embedding of product .* must be 24 finite numbers"):
        to_row(replace(PRODUCT, text_embedding=half), embedding_dim=DIM)


def test_a_collection_says_its_length() -> None:
    """What the schema was made with is read from its description."""
    schema = product_schema(manifest="m1", source="s", embedding_dim=DIM)
    version, source = read_version("c", schema.description)
    assert (version.manifest, version.embedding_dim, source) == ("m1", DIM, "s")
