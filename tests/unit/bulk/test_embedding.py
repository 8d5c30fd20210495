"""A chunk's rows to a part: the same products, digests and refusals as `vitrine index` makes of them."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bulk.chunks import chunks
from bulk.embedding import embed_rows
from bulk.errors import BulkError
from bulk.parts import decode_part, encode_part
from bulk.remote import brought_here
from bulk.screening import open_screening
from bulk.work import Work, open_filesystem, part_name, run_key
from catalogue.product import CatalogueProduct, PictureBytes, PictureFile
from catalogue.readers.rows import RowError
from gateway.indexing.encoding import Submission
from gateway.indexing.ingest import digest
from gateway.model import IndexVersion
from gateway.settings import Settings
from gateway.testing import FakeBlocked, FakeDecoder
from gateway.testing.encoder import MANIFEST, FakeEncoder, embed_picture, embed_words
from vitrine.domain.product import Product, encoded_text
from vitrine.domain.schema_files import shipped_schema
from vitrine.moderation.fingerprints import blocked_hashes
from vitrine.moderation.judging import BlockedPicture
from vitrine.tensors import EMBEDDING_DIM

VERSION = IndexVersion(
    collection="products", manifest=MANIFEST, embedding_dim=EMBEDDING_DIM, schema=shipped_schema()
)


def row(product_id: str, title: str = "", *pictures: PictureBytes | PictureFile) -> CatalogueProduct:
    values = {"title": title} if title else {}
    made = Product(id=product_id, values=values)
    return CatalogueProduct(product=made, pictures=pictures, file=Path("shop.csv"), line=2)


def png() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (4, 4), "red").save(file, "PNG")
    return file.getvalue()


async def test_a_part_has_the_embeddings_and_the_digest_that_an_ingest_would_write() -> None:
    """So a later `vitrine index` of the same rows finds them unchanged."""
    picture = png()
    part = await embed_rows([row("a", "red dress", PictureBytes(picture))], FakeEncoder(), VERSION)
    (made,) = part.products
    text = encoded_text(made.product, VERSION.schema)
    np.testing.assert_allclose(made.image_embeddings, [embed_picture(picture)], atol=1e-6)
    np.testing.assert_allclose(made.text_embedding, embed_words(text), atol=1e-6)
    assert made.digest == digest(Submission(product=made.product, images=(picture,)), MANIFEST)


async def test_bad_rows_are_in_the_part_with_their_place_and_reason() -> None:
    rows = [
        RowError(file=Path("shop.csv"), line=9, field="price", reason="is no number", rows=3),
        row("bare"),
        row("lost", "", PictureFile(Path("/nowhere.jpg"))),
        row("kept", "blue dress", PictureFile(Path("/nowhere.jpg"))),
        row("x" * 600, "long id"),
    ]
    part = await embed_rows(rows, FakeEncoder(), VERSION)
    assert [each.id for each in part.products] == ["kept"]
    assert part.lost_pictures == 1
    assert part.rows == 7
    told = {each.where: (each.field, each.rows) for each in part.bad}
    assert told["shop.csv:9"] == ("price", 3)
    assert told["product bare"] == ("image", 1)
    assert told["product lost"] == ("image", 1)
    assert ("id", 1) in told.values()


async def test_a_part_is_read_as_it_was_written(tmp_path: Path) -> None:
    made = await embed_rows([row("a", "red dress", PictureBytes(png())), row("b")], FakeEncoder(), VERSION)
    work = Work(str(tmp_path / "run"))
    work.write(part_name(3), encode_part(made, VERSION))
    read = decode_part(work.read(part_name(3)), VERSION)
    assert [replace(each, image_embeddings=None, text_embedding=None) for each in read.products] == [
        replace(each, image_embeddings=None, text_embedding=None) for each in made.products
    ]
    np.testing.assert_array_equal(read.products[0].image_embeddings, made.products[0].image_embeddings)
    assert read.bad == made.bad
    assert work.parts() == {3}
    assert [path.name for path in (tmp_path / "run").iterdir()] == [part_name(3)]  # no drafts


def test_chunks_hold_every_row_in_order() -> None:
    assert list(chunks(range(5), 2)) == [[0, 1], [2, 3], [4]]
    assert list(chunks([], 2)) == []


def test_another_source_schema_or_encoder_has_parts_of_its_own() -> None:
    keys = {run_key("s", "d", "m"), run_key("t", "d", "m"), run_key("s", "e", "m"), run_key("s", "d", "n")}
    assert len(keys) == 4
    assert run_key("s", "d", "m") in keys


def test_an_unknown_place_is_refused_in_one_line() -> None:
    with pytest.raises(BulkError, match=r"^nosuch://bucket/x: cannot be opened: "):
        open_filesystem("nosuch://bucket/x")


def test_a_catalogue_in_a_bucket_is_brought_once_and_again_after_a_change(tmp_path: Path) -> None:
    """A URI of the local disk goes the way of any bucket's."""
    bucket, work = tmp_path / "bucket" / "shop", str(tmp_path / "work")
    (bucket / "pictures").mkdir(parents=True)
    (bucket / "products.csv").write_text("id,title\n1,dress\n")
    (bucket / "pictures" / "1.jpg").write_bytes(b"jpeg")
    first = brought_here(bucket.as_uri(), work)
    assert (first / "products.csv").read_text() == "id,title\n1,dress\n"
    assert (first / "pictures" / "1.jpg").read_bytes() == b"jpeg"
    assert brought_here(bucket.as_uri(), work) == first
    (bucket / "products.csv").write_text("id,title\n1,dress\n2,skirt\n")
    second = brought_here((bucket / "products.csv").as_uri(), work)
    assert second.read_text().endswith("2,skirt\n")
    with pytest.raises(BulkError, match="no such file or folder"):
        brought_here((bucket / "nothing").as_uri(), work)
    with pytest.raises(BulkError, match="--work must be a folder that all workers see"):
        brought_here(bucket.as_uri(), "s3://bucket/work")


def scene(form: str) -> PictureBytes:
    """Give a file of another form of the same picture."""
    dice = np.random.default_rng(5)
    image = Image.fromarray(dice.integers(0, 256, (8, 6, 3), np.uint8)).resize(
        (120, 160), Image.Resampling.NEAREST
    )
    file = io.BytesIO()
    image.save(file, form, lossless=True)
    return PictureBytes(file.getvalue())


async def test_what_a_gateway_would_refuse_a_run_refuses() -> None:
    """The product of a blocked picture is listed with its field and the others are there, also where a batch has several."""
    png_file = scene("PNG").data
    decoder = FakeDecoder()
    (pixels,) = await decoder.pixels([png_file], timeout_s=1)
    kept = blocked_hashes(pixels, (120, 160))
    assert kept is not None
    store = FakeBlocked()
    blocked = BlockedPicture(
        id="b1", label="", added_ms=0, manifest=MANIFEST, embedding=embed_picture(png_file), copies=kept.copies, windows=kept.windows,
    )  # fmt: skip
    await store.add([blocked], timeout_s=1)
    settings = Settings(moderation_catalogue="refuse")
    screening = await open_screening(settings, store, by_triton=False, timeout_s=1)
    assert screening is not None
    rows = [row("bad", "red dress", scene("WEBP")), row("good", "blue dress", PictureBytes(png()))]
    part = await embed_rows(rows, screening.of(FakeEncoder(), decoder), VERSION)
    assert [made.product.id for made in part.products] == ["good"]
    assert [(each.where, each.field, each.reason) for each in part.bad] == [
        ("product bad", "image", "is refused by the shop's moderation")
    ]


async def test_a_run_is_screened_only_as_the_settings_say() -> None:
    """Not at all by default; for nudity by Triton alone."""
    assert await open_screening(Settings(), FakeBlocked(), by_triton=False, timeout_s=1) is None
    settings = Settings(moderation_catalogue="refuse", moderation_nudity=0.8)
    with pytest.raises(BulkError, match="--triton"):
        await open_screening(settings, FakeBlocked(), by_triton=False, timeout_s=1)


async def test_parts_are_of_the_pictures_that_were_blocked() -> None:
    """A run goes on with the parts of one that held its pictures against the same list by the same rules, and of no other."""
    hashes = np.zeros((1, 32), np.uint8)
    blocked = [
        BlockedPicture(
            id=name, label="", added_ms=1, manifest=MANIFEST, embedding=embed_picture(png()), copies=hashes, windows=hashes,
        )
        for name in ("b1", "b2")
    ]  # fmt: skip
    refusing = Settings(moderation_catalogue="refuse")
    first, second, both = FakeBlocked(), FakeBlocked(), FakeBlocked()
    await first.add(blocked[:1], timeout_s=60)
    await second.add(blocked[:1], timeout_s=60)
    await both.add(blocked, timeout_s=60)
    runs = [
        (refusing, first),
        (refusing, both),
        (replace(refusing, moderation_crop_bits=20), first),
        (replace(refusing, moderation_catalogue="flag"), first),
        (refusing, second),
    ]
    opened = [await open_screening(*run, by_triton=False, timeout_s=60) for run in runs]
    keys = [run_key("source", "schema", MANIFEST, each.digest) for each in opened if each is not None]
    assert len(set(keys[:-1])) == len(runs) - 1
    assert keys[-1] == keys[0]
