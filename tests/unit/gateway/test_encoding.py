"""Products without a picture, without words, with several pictures; and words that the encoder cuts."""

import numpy as np
import pytest

from gateway.errors import EncoderError
from gateway.indexing import encoding
from gateway.indexing.encoding import Encoded, Refusal, Submission, encode
from gateway.model import Embedded, EncoderInputs, IndexVersion
from gateway.testing import FakeEncoder, embed_picture, embed_words
from vitrine.domain.product import Product
from vitrine.domain.schema_files import shipped_schema
from vitrine.tensors import EMBEDDING_DIM, MAX_BATCH_SIZE

VERSION = IndexVersion(collection="c", manifest="m1", embedding_dim=EMBEDDING_DIM, schema=shipped_schema())


def submission(product_id: str, title: str, *images: bytes) -> Submission:
    return Submission(product=Product(id=product_id, values={"title": title} if title else {}), images=images)


async def encoded(*submissions: Submission, encoder: FakeEncoder | None = None) -> Encoded:
    return await encode(submissions, encoder or FakeEncoder(), VERSION)


async def test_each_product_gets_the_vectors_of_its_own_pictures_and_words(jpeg: bytes, png: bytes) -> None:
    """Rows of one batch are dealt out to products with none, one and several pictures, and to those without words."""
    answer = await encoded(
        submission("both", "red dress", jpeg, png),
        submission("words", "blue hat"),
        submission("picture", "", png),
    )
    both, words, picture = answer.products
    np.testing.assert_allclose(both.image_embeddings, [embed_picture(jpeg), embed_picture(png)], atol=1e-6)
    np.testing.assert_allclose(both.text_embedding, embed_words("red dress"), atol=1e-6)
    assert words.image_embeddings is not None
    assert words.image_embeddings.shape == (0, EMBEDDING_DIM)
    np.testing.assert_allclose(words.text_embedding, embed_words("blue hat"), atol=1e-6)
    np.testing.assert_allclose(picture.image_embeddings, [embed_picture(png)], atol=1e-6)
    assert picture.text_embedding is not None
    assert not picture.text_embedding.any()


async def test_a_product_without_picture_and_words_is_refused(jpeg: bytes) -> None:
    """Nothing could find it; the products beside it are encoded."""
    answer = await encoded(submission("neither", ""), submission("ok", "", jpeg))
    assert [refusal.field for refusal in answer.refusals] == ["image"]
    assert answer.refused == {"neither"}
    assert [product.id for product in answer.products] == ["ok"]


async def test_a_later_picture_that_cannot_be_decoded_is_named(jpeg: bytes) -> None:
    """The refusal says which picture it is, counted as the request does."""
    answer = await encoded(submission("bad", "red dress", jpeg, b"no picture", jpeg))
    (refusal,) = answer.refusals
    assert isinstance(refusal, Refusal)
    assert (refusal.product_id, refusal.field) == ("bad", "more_images[0]")
    assert answer.products == []


async def test_more_pictures_than_a_batch_are_encoded_batch_by_batch(jpeg: bytes) -> None:
    """A few products of many pictures exceed one call."""
    encoder = FakeEncoder()
    products = [submission(f"p{i}", "red dress", *[jpeg] * 8) for i in range(5)]
    answer = await encoded(*products, encoder=encoder)
    assert [len(call.images) for call in encoder.embed_calls if call.images] == [MAX_BATCH_SIZE, 8]
    assert all(
        each.image_embeddings is not None and len(each.image_embeddings) == 8 for each in answer.products
    )


async def test_products_whose_words_were_cut_are_counted(jpeg: bytes) -> None:
    """The words that the encoder did not see are told, by how many products have such."""
    answer = await encoded(
        submission("long", "a red dress for the summer"),
        submission("short", "red dress", jpeg),
        encoder=FakeEncoder(words=3),
    )
    assert answer.cut == 1


class Failing(FakeEncoder):
    """Fails on every batch that holds one picture, as an encoder does whose code that picture breaks."""

    def __init__(self, poison: bytes) -> None:
        super().__init__()
        self.poison = poison

    async def embed(self, inputs: EncoderInputs, *, timeout_s: float) -> Embedded:
        """Embed, unless the picture is among them."""
        embedded = await super().embed(inputs, timeout_s=timeout_s)
        if self.poison in (inputs.images or ()):
            raise EncoderError
        return embedded


async def test_a_picture_on_which_the_encoder_fails_costs_itself_alone(jpeg: bytes, png: bytes) -> None:
    """While the encoder is well for other pictures, the one at fault is found and refused, without a pause."""
    products = [submission(f"p{i}", "red dress", jpeg) for i in range(39)]
    products.insert(20, submission("poison", "red dress", png))
    answer = await encoded(*products, encoder=Failing(png))
    assert [(refusal.product_id, refusal.reason) for refusal in answer.refusals] == [
        ("poison", "cannot be encoded")
    ]
    assert [each.product.id for each in answer.products] == [f"p{i}" for i in range(39)]


async def test_an_encoder_that_is_away_fails_the_ingest(jpeg: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """No picture is blamed while a sound one fails as well."""
    monkeypatch.setattr(encoding, "_RETRY_PAUSES_S", (0.0, 0.0))
    with pytest.raises(EncoderError):
        await encoded(submission("p1", "", jpeg), encoder=FakeEncoder(error=EncoderError()))
