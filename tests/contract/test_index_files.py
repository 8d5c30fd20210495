"""Bulk insert: what Milvus takes in from files is what an upsert would have written, and it is there once."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

from bulk.errors import BulkError
from bulk.inserting import FilesPlace, InsertedFiles
from gateway.adapters.milvus import vector_indexes
from gateway.adapters.milvus.index import MilvusIndex
from gateway.adapters.milvus.layout import VECTOR
from gateway.indexing.idset import IdSet
from gateway.indexing.rebuild import finish_rebuild
from gateway.model import StoredProduct
from gateway.testing.encoder import MANIFEST
from gateway.testing.products import stored
from vitrine.tensors import EMBEDDING_DIM

pytestmark = pytest.mark.asyncio(loop_scope="module")

TIMEOUT_S = 60.0

Index = Any


@pytest_asyncio.fixture(loop_scope="module")
async def index(open_index: Callable[..., Any]) -> AsyncIterator[Index]:
    """An empty index of the test's own."""
    async with open_index() as opened:
        if not isinstance(opened, MilvusIndex):
            pytest.skip("does not apply: only Milvus takes files in")
        yield opened


def products() -> list[StoredProduct]:
    """Products with several pictures and with none, with fields of every kind and with none, and with letters of all sorts."""
    told = [
        stored(
            f"p{i}", title=f'"red" dress {i} é中', colour="red", price=9.5 + i, attributes={"note": "a\nb"},
            images=[f"{i}/{n}".encode() for n in range(i % 4)],
        )
        for i in range(30)
    ]  # fmt: skip
    return [
        *told,
        stored("bare"),
        stored("a/b c", title="silk dress", image_uris=["https://shop.example/1.jpg"]),
    ]


async def test_files_become_the_products_that_upserts_would_have_made(index: Index, tmp_path: Path) -> None:
    """On a server with bulk insert: each product once, as it was, with its vectors, in the index that is swapped in."""
    if not await index.can_insert_files():
        assert index._connection._clients.current._config.uri.startswith("unix:"), (
            "only Milvus Lite has no bulk insert"
        )
        return
    wanted = products()
    build = await index.build(MANIFEST, "files")
    place = FilesPlace(str(tmp_path / "place"), "")
    files = InsertedFiles(build, place, rows_a_file=12)
    await files.open()
    kept = IdSet()
    for start in range(0, len(wanted), 5):
        await files.upsert(wanted[start : start + 5], replaces=False)
    for each in wanted:
        kept.add(each.id)
    await files.finish()
    assert not list((tmp_path / "place").iterdir())
    await finish_rebuild(build, kept, index, confirm_shrink=True)
    found = await index.get([each.id for each in wanted], timeout_s=TIMEOUT_S)
    assert [each.product for each in found] == [each.product for each in wanted]
    assert [each.digest for each in found] == [each.digest for each in wanted]
    for seen, sent in zip(found, wanted, strict=True):
        assert np.allclose(seen.image_embeddings, sent.image_embeddings)
        assert np.allclose(seen.text_embedding, sent.text_embedding)
    assert (await index.describe(timeout_s=TIMEOUT_S)).products == len(wanted)


async def test_the_index_holds_all_rows_of_the_files_before_the_swap(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server calls a graph finished before it is: readers must not be given a collection that is searched row by row."""
    if not await index.can_insert_files():
        return
    monkeypatch.setattr(vector_indexes, "EXACT_ROWS", 2_000)
    rng = np.random.default_rng(5)
    halves = rng.standard_normal((4_000, 1, EMBEDDING_DIM), dtype=np.float32)
    halves /= np.linalg.norm(halves, axis=2, keepdims=True)
    wanted = [
        stored(f"p{i}", title="dress", image_embeddings=half, text_embedding=half[0])
        for i, half in enumerate(halves)
    ]
    build = await index.build(MANIFEST, "files of a graph")
    files = InsertedFiles(build, FilesPlace(str(tmp_path), ""), rows_a_file=2_000)
    await files.open()
    await files.upsert(wanted[:2_000])
    await files.upsert(wanted[2_000:])
    await files.finish()
    kept = IdSet()
    for each in wanted:
        kept.add(each.id)
    await finish_rebuild(build, kept, index, confirm_shrink=True)
    told = await index._connection.call(
        "describe_index", build.version.collection, VECTOR, timeout_s=TIMEOUT_S
    )
    assert (told["index_type"], told["indexed_rows"], told["pending_index_rows"]) == ("HNSW", 4_000, 0)


async def test_a_place_that_the_server_does_not_read_ends_the_run(index: Index, tmp_path: Path) -> None:
    """The message says under which path Milvus looked; the index in use stays as it was."""
    if not await index.can_insert_files():
        return
    build = await index.build(MANIFEST, "files elsewhere")
    files = InsertedFiles(build, FilesPlace(str(tmp_path), "/not/read/by/milvus"))
    await files.open()
    await files.upsert(products()[:3], replaces=False)
    with pytest.raises(BulkError, match="did not take /not/read/by/milvus/vitrine-"):
        await files.finish()
    await files.close()
    await build.close()
