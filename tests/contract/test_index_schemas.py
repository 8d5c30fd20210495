"""What every index promises of a collection's identity: manifest, schema and source, rebuilds and swaps."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from pymilvus import DataType, MilvusClient

from gateway.adapters.milvus.index import open_milvus
from gateway.adapters.milvus.layout import vector_index
from gateway.errors import FailedPrecondition, OutdatedIndex
from gateway.model import Hit, IndexVersion, Sort, Weights
from gateway.testing import FakeIndex, embed_words, stored
from vitrine.domain.filters import Equals, Filter, Not, Range
from vitrine.domain.schema import Field, Kind, Role, Schema, SchemaError
from vitrine.domain.schema_files import shipped_schema
from vitrine.tensors import EMBEDDING_DIM

pytestmark = pytest.mark.asyncio(loop_scope="module")

TIMEOUT_S = 60.0
QUERY = embed_words("red dress")

Index = Any
"""VectorIndex and IndexAdministrator in one."""


@pytest_asyncio.fixture(loop_scope="module")
async def index(open_index: Callable[[], Any]) -> AsyncIterator[Index]:
    """An empty index of the test's own."""
    async with open_index() as opened:
        yield opened


async def _search(index: Index, *, filters: Filter | None = None, **changes: Any) -> list[Hit]:
    asked = {"limit": 100, "timeout_s": TIMEOUT_S, **changes}
    pool = await index.search(QUERY, weights=Weights(text=0.5, image=0.5), filters=filters, **asked)
    return list(pool.hits)


async def _ids(index: Index, **asked: Any) -> list[str]:
    return [hit.product.id for hit in await _search(index, **asked)]


def _changed(schema: Schema, field: str, **changes: Any) -> Schema:
    """Return the schema with one field changed."""
    fields = (replace(each, **changes) if each.name == field else each for each in schema)
    return replace(schema, fields=tuple(fields))


async def test_an_index_has_the_schema_that_it_was_made_with(index: Index, base_schema: Schema) -> None:
    """The first use makes the collection with the schema; without one it stays, and describe names it."""
    made = await index.current("m1", base_schema)
    again = await index.current("m1")
    assert made.version == again.version == await index.version(timeout_s=TIMEOUT_S)
    assert made.version.schema == base_schema
    assert (await index.describe(timeout_s=TIMEOUT_S)).version.schema == base_schema
    rebuilt = await index.build("m2", "source")
    assert rebuilt.version.schema == base_schema


async def test_without_a_schema_an_index_is_made_for_fashion(index: Index) -> None:
    """Whoever names no schema gets the one that ships, in a rebuild of nothing too."""
    build = await index.build("m1", "source")
    assert build.version.schema == shipped_schema()
    await build.close()
    assert (await index.current("m1")).version.schema == shipped_schema()


async def test_a_collection_keeps_the_length_of_its_vectors(index: Index) -> None:
    """Encoders of another length make an index of their own."""
    writer = await index.current("m1", embedding_dim=24)
    assert writer.version.embedding_dim == 24
    vector = np.full(24, 24**-0.5, np.float32)
    await writer.upsert([stored("p", title="a", image_embeddings=vector[None], text_embedding=vector)])
    await writer.seal()
    pool = await index.search(
        vector, weights=Weights(text=0.5, image=0.5), filters=None, limit=1, timeout_s=TIMEOUT_S
    )
    assert pool.hits[0].score == pytest.approx(1.0)


async def test_an_added_field_is_filtered_counted_and_sorted_by(
    index: Index, base_schema: Schema, later_schema: Schema
) -> None:
    """Fields that are added become the index's as it stands; products written before lack them, until written again."""
    writer = await index.current("m1", base_schema)
    await writer.upsert([stored(f"p{i}", title="red dress") for i in range(4)])
    writer = await index.current("m1", later_schema)
    assert writer.version.schema == later_schema == (await index.version(timeout_s=TIMEOUT_S)).schema
    assert await _ids(index, filters=Equals("size", "m")) == []
    assert len(await _ids(index, filters=Not(Equals("size", "m")))) == 4
    await writer.upsert(
        [
            stored("p1", title="red dress", size="M", weight=2.0, labels=("New", "sale"), used=True),
            stored("p2", title="red dress", size="s", weight=1.0, labels=("NEW",), used=False),
        ]
    )
    await writer.seal()
    assert await _ids(index, filters=Equals("size", "m")) == ["p1"]
    assert await _ids(index, filters=Equals("labels", "sale")) == ["p1"]
    assert await _ids(index, filters=Range(field="weight", maximum=1.5)) == ["p2"]
    assert await _ids(index, filters=Equals("used", value=False)) == ["p2"]
    assert (await _ids(index, sort=Sort(field="weight")))[:2] == ["p2", "p1"]
    assert (await _ids(index, sort=Sort(field="size", descending=True)))[:2] == ["p2", "p1"]
    size, labels, weight = await index.facets(None, ["size", "labels", "weight"], timeout_s=TIMEOUT_S)
    assert (size.values, size.counts) == (("M", "s"), (1, 1))
    assert (labels.values, labels.counts) == (("NEW", "sale"), (2, 1))
    assert (weight.minimum, weight.maximum, weight.products) == (1.0, 2.0, 2)
    assert (await index.current("m1")).version.schema == later_schema


async def test_words_of_a_schema_change_without_a_rebuild(index: Index, base_schema: Schema) -> None:
    """Names of columns, labels and question words become the index's; products stay as they are."""
    writer = await index.current("m1", base_schema)
    await writer.upsert([stored("p", title="red dress", brand="acme")])
    await writer.seal()
    labelled = _changed(base_schema, "brand", labels={"de": "Marke"}, columns=("vendor",))
    writer = await index.current("m1", labelled)
    assert writer.version.schema == (await index.version(timeout_s=TIMEOUT_S)).schema == labelled
    assert await _ids(index, filters=Equals("brand", "ACME")) == ["p"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"kind": Kind.KEYWORD, "facet": False}, "field stars is of kind keyword now, was number"),
        ({"name": "rating"}, "field stars is gone; field rating is new"),
        ({"filter": False}, "field stars has filter = false now"),
    ],
)
async def test_a_schema_that_needs_a_rebuild_is_refused_by_name(
    index: Index, base_schema: Schema, changes: dict[str, Any], reason: str
) -> None:
    """The message says what has changed and which command helps; the index keeps the schema that it has."""
    await index.current("m1", base_schema)
    with pytest.raises(FailedPrecondition) as caught:
        await index.current("m1", _changed(base_schema, "stars", **changes))
    assert reason in str(caught.value)
    assert "`vitrine index --rebuild PATH`" in str(caught.value)
    assert (await index.version(timeout_s=TIMEOUT_S)).schema == base_schema


async def test_the_largest_schema_makes_an_index(index: Index) -> None:
    """64 fields, more than the engines have columns for, are all filtered and sorted by."""
    kinds = (Kind.NUMBER, Kind.KEYWORD, Kind.BOOLEAN, Kind.KEYWORDS, Kind.MONEY)
    many = tuple(
        Field(name=f"{'x' * 44}_{i}", kind=kinds[i % 5], filter=True, facet=True, labels={"en": "l" * 64})
        for i in range(62)
    )
    ids = (
        Field(name="id", kind=Kind.KEYWORD, role=Role.ID),
        Field(name="title", kind=Kind.TEXT, role=Role.TITLE, lexical=True, encoded=True),
    )
    schema = Schema(name="large", fields=(*ids, *many))
    writer = await index.current("m1", schema)
    values: dict[str, Any] = {
        each.name: {Kind.KEYWORD: "Word", Kind.BOOLEAN: True, Kind.KEYWORDS: ("Word", "other")}.get(
            each.kind, 3.0
        )
        for each in many
    }
    await writer.upsert([stored("full", title="a", **values), stored("empty", title="b")])
    await writer.seal()
    for each in many[-10:]:
        value = {Kind.KEYWORD: "word", Kind.BOOLEAN: True, Kind.KEYWORDS: "OTHER"}.get(each.kind, 3.0)
        assert await _ids(index, filters=Equals(each.name, value)) == ["full"]
        excluded = [] if each.kind in {Kind.NUMBER, Kind.MONEY} else ["empty"]
        assert await _ids(index, filters=Not(Equals(each.name, value))) == excluded
    assert (await index.get(["full"], timeout_s=TIMEOUT_S))[0].product.values == {"title": "a", **values}


async def test_encoders_of_another_manifest_may_not_write(index: Index) -> None:
    """The collection in use takes vectors of its own encoders only."""
    await index.current("m1")
    with pytest.raises(FailedPrecondition, match="vitrine index --rebuild"):
        await index.current("m2")


async def test_an_unfinished_build_is_resumed_by_its_manifest_source_and_schema(
    index: Index, base_schema: Schema, later_schema: Schema
) -> None:
    """The same rebuild finds what it had written, under new labels too; another one begins anew."""
    products = [stored(f"p{i}", title="red dress") for i in range(3)]
    ids = [product.id for product in products]
    begun = await index.build("m1", "source", base_schema)
    await begun.upsert(products)
    await begun.seal()
    await begun.close()
    labelled = _changed(base_schema, "brand", labels={"de": "Marke"})
    resumed = await index.build("m1", "source", labelled)
    assert resumed.version == replace(begun.version, schema=labelled)
    assert set(await resumed.digests(ids)) == set(ids)
    await resumed.close()
    for manifest, source, schema in (
        ("m1", "source", later_schema),
        ("m1", "other", base_schema),
        ("m2", "other", base_schema),
    ):
        other = await index.build(manifest, source, schema)
        assert await other.digests(ids) == {}
        await other.close()


async def test_readers_never_see_a_swap(index: Index) -> None:
    """While indexes are built and swapped, every answer is complete and all of it from one of them."""
    products = 40
    versions: dict[str, IndexVersion] = {}

    async def rebuild(tag: str) -> None:
        writer = await index.build("m1", tag)
        await writer.upsert([stored(f"{tag}{i}", title=f"red dress {i}") for i in range(products)])
        versions[tag] = writer.version
        await index.promote(writer.version)

    answers: list[set[str]] = []
    done = asyncio.Event()

    async def read() -> None:
        while not done.is_set():
            ids = await _ids(index)
            assert len(ids) == products
            answers.append({each[0] for each in ids})
            await asyncio.sleep(0.001)

    await rebuild("a")
    readers = [asyncio.create_task(read()) for _ in range(4)]

    await asyncio.sleep(0.1)
    for tag in "bc":
        await rebuild(tag)
        assert await index.version(timeout_s=TIMEOUT_S) == versions[tag]
        assert {each[0] for each in await _ids(index)} == {tag}
        await asyncio.sleep(0.1)
    done.set()
    await asyncio.gather(*readers)
    assert len(answers) > 8
    assert all(len(tags) == 1 for tags in answers)
    assert set.union(*answers) == set("abc")


def _elsewhere(index: Index) -> Any:
    """Open the same index as another process would; skip where there is but one process."""
    if isinstance(index, FakeIndex):
        pytest.skip("does not apply: the fake lives in one process")
    return open_milvus(index._connection._clients.current._config.uri, name=index._collections._prefix)


async def test_a_reader_of_another_process_follows_the_swap(index: Index) -> None:
    """An index opened elsewhere answers in full from the old collection or the new one, and soon from the new."""
    async with _elsewhere(index) as reader:
        for tag in "abc":
            writer = await index.build("m1", tag)
            await writer.upsert([stored(f"{tag}{i}", title="dress") for i in range(5)])
            await index.promote(writer.version)
            ids = await _ids(reader)
            assert len(ids) == 5
            assert len({each[0] for each in ids}) == 1
        await _until(lambda: _ids(reader), {f"c{i}" for i in range(5)})


async def test_a_reader_of_another_process_follows_the_schema(
    index: Index, base_schema: Schema, later_schema: Schema
) -> None:
    """A field that one process adds is soon known to a reader elsewhere, and at once to one that comes later."""
    async with _elsewhere(index) as reader:
        await index.current("m1", base_schema)
        assert (await reader.version(timeout_s=TIMEOUT_S)).schema == base_schema
        writer = await index.current("m1", later_schema)
        await writer.upsert([stored("p", title="dress", size="M")])
        await writer.seal()
        async with _elsewhere(index) as later:
            assert (await later.version(timeout_s=TIMEOUT_S)).schema == later_schema
            assert await _ids(later, filters=Equals("size", "m")) == ["p"]

        async def names() -> list[str]:
            return [each.name for each in (await reader.version(timeout_s=TIMEOUT_S)).schema]

        await _until(names, {each.name for each in later_schema})
        assert await _ids(reader, filters=Equals("size", "m")) == ["p"]


async def _until(ask: Callable[[], Any], wanted: set[str]) -> None:
    """Ask again and again until the answer is the wanted one."""
    async with asyncio.timeout(TIMEOUT_S):
        while set(await ask()) != wanted:  # noqa: ASYNC110 - another process tells nobody
            await asyncio.sleep(0.05)


async def test_a_collection_of_an_older_layout_is_refused_and_rebuilt(index: Index) -> None:
    """The error says that another version made it and which command helps; the rebuild leaves it behind."""
    async with _elsewhere(index) as reader:
        collection = f"{index._collections._prefix}_0a1b2c3d_000001"
        schema = MilvusClient.create_schema(
            auto_id=False,
            enable_dynamic_field=False,
            description=json.dumps({"manifest": "m1", "source": "", "embedding_dim": EMBEDDING_DIM}),
        )
        schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=64)
        schema.add_field("embedding", DataType.FLOAT_VECTOR, dim=8)
        client = index._connection
        await client.call(
            "create_collection", collection, schema=schema, index_params=vector_index(), timeout_s=TIMEOUT_S
        )
        await index._collections.put_in_use(collection, timeout_s=TIMEOUT_S)
        for ask in (lambda: reader.version(timeout_s=TIMEOUT_S), lambda: index.current("m1")):
            with pytest.raises(
                OutdatedIndex, match=r"another version of Vitrine.*vitrine index --rebuild PATH"
            ):
                await ask()
        writer = await index.build("m1", "source")
        assert writer.version.schema == shipped_schema()
        await writer.upsert([stored("p", title="dress")])
        await index.promote(writer.version)
        assert await _ids(index) == ["p"]
        writer = await index.build("m1", "next")
        assert collection in await client.call("list_collections", timeout_s=TIMEOUT_S)
        await writer.upsert([stored("p", title="dress")])
        await index.promote(writer.version)
        assert collection not in await client.call("list_collections", timeout_s=TIMEOUT_S)


async def test_a_schema_too_long_to_be_kept_is_refused(index: Index, base_schema: Schema) -> None:
    """A schema of more than 60,000 bytes makes no index."""
    if isinstance(index, FakeIndex):
        pytest.skip("does not apply: the fake keeps any schema")
    words = tuple(f"{i}{'日' * 60}" for i in range(32))
    questions = {f"a{chr(97 + i)}": words for i in range(20)}
    with pytest.raises(SchemaError, match="at most 60,000 bytes"):
        await index.current("m1", _changed(base_schema, "brand", questions=questions))
