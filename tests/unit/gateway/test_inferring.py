"""Empty fields filled with what the pictures tell, once a stream's products are written."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from gateway.errors import EncoderError
from gateway.indexing import encoding
from gateway.indexing.idset import IdSet
from gateway.indexing.inferring import Inference, InferenceReport, Inferring
from gateway.indexing.ingest import plain
from gateway.indexing.learning import sample
from gateway.model import Embedding, IndexVersion, StoredProduct
from gateway.testing import MANIFEST, FakeCollection, FakeEncoder, embed_words, stored
from vitrine.domain.schema_files import parse_schema
from vitrine.tensors import EMBEDDING_DIM

SCHEMA = parse_schema("""
name = "crates"

[fields.code]
kind = "keyword"
role = "id"

[fields.name]
kind = "text"
role = "title"

[fields.wood]
kind = "keywords"

[fields.finish]
kind = "keyword"

[fields.shape]
kind = "keyword"
role = "category"

[fields.maker]
kind = "keyword"
role = "brand"
""")
VERSION = IndexVersion(collection="c", manifest=MANIFEST, embedding_dim=EMBEDDING_DIM, schema=SCHEMA)
SHAPES, WOODS, MAKERS = ("box", "tray", "barrel"), ("oak", "pine"), ("ACME", "Bolt", "Crate & Co", "Dun")
ALL = Inference(all_fields=True)


def picture(words: str, seed: int) -> Embedding:
    """Return the embedding of a picture that shows what the words say, with noise."""
    noise = np.random.default_rng(seed).standard_normal(EMBEDDING_DIM) / np.sqrt(EMBEDDING_DIM)
    row = embed_words(words) + 0.5 * noise
    made: Embedding = (row / np.linalg.norm(row)).astype(np.float32)
    return made


def crate(number: int, **changes: object) -> StoredProduct:
    """Return a crate of the catalogue; a value that is changed to None is missing."""
    shape, wood = SHAPES[number % 3], WOODS[number // 3 % 2]
    values = {
        "name": f"crate {number}",
        "shape": shape,
        "wood": (wood,),
        "maker": MAKERS[number * 7 % 4],
        **changes,
    }
    made = stored(
        f"c{number:04}",
        image_embeddings=picture(f"{shape} {wood}", number)[np.newaxis],
        schema=SCHEMA,
        **values,  # type: ignore[arg-type] # values of the schema
    )
    return replace(made, digest=f"d{number}", vectors_digest=f"v{number}")


def collection_of(products: Sequence[StoredProduct]) -> FakeCollection:
    return FakeCollection(VERSION, products={each.id: each for each in products})


CRATES = [crate(number) for number in range(300)]
EMPTY = [crate(number, shape=None, wood=None) for number in range(300, 340)]


async def infer(
    collection: FakeCollection,
    wanted: Inference = ALL,
    *,
    stream: Sequence[str] | None = None,
    encoder: FakeEncoder | None = None,
) -> tuple[list[str], InferenceReport]:
    """Return the ids that were written over, and the report."""
    touched = IdSet()
    for product_id in collection.products if stream is None else stream:
        touched.add(product_id)
    settled = 0

    async def settle() -> None:
        nonlocal settled
        settled += 1

    inferring = Inferring(collection, encoder or FakeEncoder(), wanted)
    pages = [page async for page in inferring.run(touched, settle)]
    assert settled == len(pages)
    return [product_id for page in pages for product_id in page], inferring.report


async def test_empty_fields_are_filled_and_marked() -> None:
    """What the shop left empty is read in the pictures; what it says stays, and the vectors stay as they are."""
    collection = collection_of([*CRATES, *EMPTY])
    written, report = await infer(collection)
    assert sorted(written) == [each.id for each in EMPTY]
    for before in EMPTY:
        after = collection.products[before.id]
        number = int(before.id[1:])
        assert after.product.inferred == ("wood", "shape")
        assert after.product.values["shape"] == SHAPES[number % 3]
        assert after.product.values["wood"] == (WOODS[number // 3 % 2],)
        assert (after.vectors_digest, plain(after.digest)) == (before.vectors_digest, before.digest)
        assert after.digest != before.digest
        assert after.text_embedding is before.text_embedding
    assert all(collection.products[each.id] is each for each in CRATES)
    filled = {each.field: each for each in report.filled}
    assert (filled["shape"].products, filled["shape"].empty, filled["shape"].measured.labelled) == (
        40,
        40,
        300,
    )
    assert filled["shape"].measured.precision >= 0.9
    assert filled["maker"].reason == "no confidence gives a precision of 0.9"
    assert filled["finish"].reason == "no product with a picture has a value"
    assert report.failure == ""


async def test_a_second_run_writes_nothing() -> None:
    """What was read before is read again from what the shop says, and is the same."""
    collection = collection_of([*CRATES, *EMPTY])
    first, _ = await infer(collection)
    again, report = await infer(collection)
    assert (len(first), again) == (40, [])
    filled = {each.field: each for each in report.filled}
    assert (filled["shape"].products, filled["shape"].measured.labelled) == (40, 300)


async def test_fields_that_nobody_asked_for_are_emptied_again() -> None:
    """A run for one field alone leaves what another was read before for as the shop says it."""
    collection = collection_of([*CRATES, *EMPTY])
    await infer(collection)
    await infer(collection, Inference(fields=("shape",)))
    after = collection.products["c0300"].product
    assert (after.inferred, "wood" in after.values) == (("shape",), False)


async def test_only_the_products_of_the_stream_are_filled() -> None:
    """Others of the index are learnt from and left alone."""
    collection = collection_of([*CRATES, *EMPTY])
    written, report = await infer(collection, stream=["c0301", "c0302"])
    assert sorted(written) == ["c0301", "c0302"]
    assert {each.field: each.empty for each in report.filled}["shape"] == 2


async def test_a_product_that_another_writer_changed_meanwhile_is_left_to_it() -> None:
    """What was read is of the product as it was: the newer one is not written over."""

    class Overtaken(FakeCollection):
        async def vectors(self, ids: Sequence[str]) -> dict[str, StoredProduct]:
            found = await super().vectors(ids)
            if list(ids) == ["c0300", "c0301"]:  # and not while it is learnt from
                self.products["c0300"] = replace(self.products["c0300"], digest="newer")
            return found

    collection = Overtaken(VERSION, products={each.id: each for each in [*CRATES, *EMPTY]})
    written, _ = await infer(collection, stream=["c0300", "c0301"])
    assert written == ["c0301"]
    assert collection.products["c0300"].digest == "newer"


async def test_a_product_without_a_picture_or_with_a_strange_one_stays_as_it_is() -> None:
    """There is nothing to be read in it."""
    bare = replace(crate(900, shape=None), image_embeddings=np.zeros((0, EMBEDDING_DIM), np.float32))
    strange = replace(crate(901, shape=None), image_embeddings=-CRATES[0].image_embeddings)  # type: ignore[operator]
    collection = collection_of([*CRATES, bare, strange])
    written, report = await infer(collection)
    assert written == []
    assert {each.field: (each.products, each.empty) for each in report.filled}["shape"] == (0, 1)


async def test_a_small_catalogue_tells_nothing_and_says_so() -> None:
    """With a handful of pictures there is nothing to learn from."""
    _, report = await infer(collection_of(CRATES[:5]))
    assert {each.reason for each in report.filled} == {"5 products have a picture, and 8 are needed"}


async def test_without_the_encoder_products_stay_and_the_report_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Reading pictures is optional work: its failure is no failure of the stream."""
    monkeypatch.setattr(encoding, "_RETRY_PAUSES_S", ())
    collection = collection_of([*CRATES, *EMPTY])
    written, report = await infer(collection, encoder=FakeEncoder(error=EncoderError()))
    assert (written, report.failure) == ([], "encoder is unavailable")
    assert collection.products["c0300"] is EMPTY[0]


async def test_captions_are_made_of_the_fields_and_give_words_to_those_without() -> None:
    """The shop's values and those that were read make a caption; it is the words of a product that has no others."""
    silent = crate(400, name=None, shape=None)
    collection = collection_of([*CRATES, silent])
    encoder = FakeEncoder()
    _, report = await infer(collection, Inference(fields=("shape",), captions=True), encoder=encoder)
    after = collection.products["c0400"]
    assert (after.product.caption, after.product.caption_by) == ("pine tray", "fields")
    assert after.product.inferred == ("shape",)
    np.testing.assert_allclose(after.text_embedding, embed_words("pine tray"), rtol=1e-5)
    assert (after.vectors_digest != "v400", plain(after.vectors_digest)) == (True, "v400")
    spoken = collection.products["c0000"]
    assert (spoken.product.caption, spoken.text_embedding is CRATES[0].text_embedding) == ("oak box", True)
    assert report.captions == 301
    _, report = await infer(collection, Inference(fields=("shape",)))
    again = collection.products["c0400"]
    assert (again.product.caption, again.vectors_digest) == ("", "v400")
    assert not again.text_embedding.any()  # type: ignore[union-attr]


async def test_the_sample_is_bounded_and_the_same_each_time() -> None:
    """Of many products as many as are wanted are learnt from, chosen by their ids."""
    collection = collection_of(CRATES)
    first = await sample(collection, most=50)
    again = await sample(collection_of(list(reversed(CRATES))), most=50)
    assert len(first) == 50
    assert [each.product.id for each in first] == [each.product.id for each in again]
