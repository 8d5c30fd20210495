"""Parts into an index in memory: each product once, in order, whatever was cut off before."""

import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from bulk.errors import BulkError
from bulk.loading import BAD_ROWS, Loader
from bulk.parts import BadRow, Part, encode_part
from bulk.work import Work, part_name
from gateway.errors import Aborted, DeadlineExceeded, SearchError, VectorIndexError
from gateway.indexing.rebuild import finish_rebuild
from gateway.model import StoredDigests, StoredProduct
from gateway.testing import FakeIndex
from gateway.testing.collections import FakeBuild
from gateway.testing.encoder import MANIFEST
from gateway.testing.products import product


async def numbers_of(count: int) -> AsyncIterator[int]:
    for number in range(count):
        yield number


async def build_of(index: FakeIndex) -> FakeBuild:
    return await index.build(MANIFEST, "source")


def write_parts(work: Work, build: FakeBuild, parts: Sequence[Sequence[StoredProduct]], *bad: BadRow) -> None:
    for number, products in enumerate(parts):
        part = Part(products=tuple(products), bad=bad if number == 0 else ())
        work.write(part_name(number), encode_part(part, build.version))


def dresses(*ids: str) -> list[StoredProduct]:
    return [product(each, f"red dress {each}") for each in ids]


async def test_every_product_of_the_parts_is_in_the_index_that_is_swapped_in(tmp_path: Path) -> None:
    """What the parts hold is what readers find, by its vectors and its fields."""
    index, work = FakeIndex.holding([]), Work(str(tmp_path))
    build = await build_of(index)
    write_parts(work, build, [dresses("a", "b"), dresses("c")])
    loader = Loader(build, work, most_bad=0.0)
    await loader.load(numbers_of(2))
    await finish_rebuild(build, loader.kept, index, confirm_shrink=True)
    found = await index.get(["a", "b", "c"], timeout_s=60)
    assert [each.id for each in found] == ["a", "b", "c"]
    assert found[0].product == product("a", "red dress a").product
    assert (found[2].image_embeddings == product("c", "red dress c").image_embeddings).all()


async def test_a_repeated_id_is_a_bad_row_and_the_first_one_counts(tmp_path: Path) -> None:
    index, work = FakeIndex.holding([]), Work(str(tmp_path))
    build = await build_of(index)
    write_parts(work, build, [[product("a", "first")], [product("a", "second"), product("b", "other")]])
    loader = Loader(build, work, most_bad=0.5)
    await loader.load(numbers_of(2))
    assert (loader.tally.products, loader.tally.bad) == (2, 1)
    held = await build.vectors(["a"])
    assert held["a"].product.values["title"] == "first"
    assert json.loads(work.read(BAD_ROWS)) == {
        "where": "product a",
        "field": "id",
        "reason": "was there before",
        "rows": 1,
    }


async def test_more_bad_rows_than_their_share_end_the_run_and_are_listed(tmp_path: Path) -> None:
    """The message says how many of how many, and where they are; the index in use stays."""
    index, work = FakeIndex.holding(dresses("kept")), Work(str(tmp_path))
    build = await build_of(index)
    bad = BadRow(where="shop.csv:7", field="price", reason="is no number", rows=2)
    write_parts(work, build, [dresses("a")], bad)
    with pytest.raises(
        BulkError, match=r"^2 of 3 rows are bad, over 1\.00%: the index in use stays; they are in"
    ):
        await Loader(build, work, most_bad=0.01).load(numbers_of(1))
    assert b"shop.csv:7" in work.read(BAD_ROWS)
    assert [each.id for each in await index.get(["kept"], timeout_s=60)] == ["kept"]


async def test_a_resumed_run_writes_what_the_one_before_did_not(tmp_path: Path) -> None:
    """Of parts that were made before, what the collection holds is not written again."""
    index, work = FakeIndex.holding([]), Work(str(tmp_path))
    build = await build_of(index)
    parts = [dresses("a", "b"), dresses("c")]
    write_parts(work, build, parts)
    await build.upsert(parts[0][:1])  # and then it was killed
    written: list[str] = []
    upsert = build.upsert

    async def watched(products: Sequence[StoredProduct], *, replaces: bool = True) -> None:
        written.extend(each.id for each in products)
        await upsert(products, replaces=replaces)

    build.upsert = watched  # type: ignore[method-assign]
    loader = Loader(build, work, most_bad=0.0, done=work.parts())
    await loader.load(numbers_of(2))
    assert sorted(written) == ["b", "c"]
    assert (loader.tally.products, loader.tally.resumed) == (3, 3)


async def test_a_lost_lease_ends_the_run(tmp_path: Path) -> None:
    """Another writer may have gone on: nothing more is written."""
    index, work = FakeIndex.holding([]), Work(str(tmp_path))
    build = await build_of(index)
    write_parts(work, build, [dresses("a")])
    index.build_held = None
    with pytest.raises(Aborted):
        await Loader(build, work, most_bad=0.0).load(numbers_of(1))


async def test_a_damaged_part_is_named(tmp_path: Path) -> None:
    index, work = FakeIndex.holding([]), Work(str(tmp_path))
    work.write(part_name(0), b"PAR1 but no more")
    loader = Loader(await build_of(index), work, most_bad=0.0)
    with pytest.raises(BulkError, match=r"part-000000\.parquet: cannot be read: delete it and run again"):
        await loader.load(numbers_of(1))


class Refusing:
    """A build whose index fails so many times before it takes a part."""

    def __init__(self, build: FakeBuild, failures: list[SearchError]) -> None:
        self._build = build
        self._failures = failures
        self.version = build.version

    async def upsert(self, products: Sequence[StoredProduct], *, replaces: bool = True) -> None:
        """Fail after the write, as a server does whose answer is lost, until there are no more failures."""
        await self._build.upsert(products, replaces=replaces)
        if self._failures:
            raise self._failures.pop()

    async def digests(self, ids: Sequence[str], *, fresh: bool = False) -> dict[str, StoredDigests]:
        """As the build says."""
        return await self._build.digests(ids, fresh=fresh)


async def test_a_part_that_the_index_does_not_take_is_written_again(tmp_path: Path) -> None:
    """A server that is short of CPU costs a pause; each product is there once. A lost lease is not tried again."""
    index, work = FakeIndex.holding([]), Work(str(tmp_path))
    build = await build_of(index)
    write_parts(work, build, [dresses("a", "b")])
    refusing = Refusing(build, [VectorIndexError(), DeadlineExceeded("late")])
    loader = Loader(refusing, work, most_bad=0.0, pauses_s=(0.0, 0.0))
    await loader.load(numbers_of(1))
    await finish_rebuild(build, loader.kept, index, confirm_shrink=True)
    assert (await index.describe(timeout_s=60)).products == 2
    build = await build_of(index)
    failing: list[list[SearchError]] = [[VectorIndexError()] * 3, [Aborted("index", "lost")]]
    for failures in failing:
        raised = type(failures[0])
        refusing = Refusing(build, failures)
        loader = Loader(refusing, work, most_bad=0.0, pauses_s=(0.0, 0.0))
        with pytest.raises(raised):
            await loader.load(numbers_of(1))
        assert not failures
