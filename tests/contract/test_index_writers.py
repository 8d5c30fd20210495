"""What every index promises to several writers: leases, names, swaps under open writers, and the way back."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
import pytest_asyncio

from gateway.adapters.milvus.index import open_milvus
from gateway.errors import Aborted, FailedPrecondition
from gateway.model import IndexState, Replaced
from gateway.testing import FakeBuild, FakeIndex, stored

pytestmark = pytest.mark.asyncio(loop_scope="module")

TIMEOUT_S = 60.0
LEASES_S = {"server": 30.0}
"""Long enough for a busy machine; a real server has a dozen processes of its own."""
LEASE_S = 10.0
"""Of the others: short enough to be waited for."""

Index = Any
"""VectorIndex and IndexAdministrator in one."""


@pytest.fixture
def lease_s(request: pytest.FixtureRequest) -> float:
    """After so long a writer that is gone is dead."""
    return LEASES_S.get(request.node.callspec.params["open_index"], LEASE_S)


@pytest_asyncio.fixture(loop_scope="module")
async def index(open_index: Callable[..., Any], lease_s: float) -> AsyncIterator[Index]:
    """An empty index of the test's own."""
    async with open_index(lease_s=lease_s) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def other(index: Index) -> AsyncIterator[Index]:
    """The same index as another process has it."""
    async with AsyncExitStack() as stack:
        yield await _elsewhere(index, stack)


async def _elsewhere(index: Index, stack: AsyncExitStack) -> Index:
    if isinstance(index, FakeIndex):
        return index  # its leases belong to builds and not to processes
    return await stack.enter_async_context(
        open_milvus(
            index._connection._clients.current._config.uri,
            name=index._collections._prefix,
            write_timeout_s=120.0,
            lease_s=index._collections.claims.lease_s,
        )
    )


def _products(*ids: str) -> list[Any]:
    return [stored(each, title=f"dress {each}") for each in ids]


async def _filled(index: Index, *ids: str) -> str:
    """Build an index of these products; return its name."""
    build = await index.build("m1", f"source of {ids}")
    await build.upsert(_products(*ids))
    await index.promote(build.version)
    name: str = build.version.collection
    return name


async def _held(index: Index, *ids: str) -> set[str]:
    """Return which of the products the index in use has."""
    return {product.id for product in await index.get(ids, timeout_s=TIMEOUT_S)}


def _die(build: Any) -> None:
    """Leave a build as a process does that is killed: nobody beats, and nobody gives anything back."""
    if isinstance(build, FakeBuild):
        build.index.build_held = None
    else:
        build.lease._beating.cancel()


async def test_first_use_by_several_at_once_makes_one_index(index: Index, other: Index) -> None:
    """All who begin on an empty index write to the same collection."""
    writers = await asyncio.gather(*(each.current("m1") for each in (index, other, index, other)))
    assert len({writer.version.collection for writer in writers}) == 1
    await asyncio.gather(*(writer.upsert(_products(f"p{i}")) for i, writer in enumerate(writers)))
    ids = [f"p{i}" for i in range(len(writers))]
    assert set(await writers[0].digests(ids, fresh=True)) == set(ids)


async def test_one_rebuild_at_a_time_over_all_processes(index: Index, other: Index) -> None:
    """A second one is refused while the first one lives, and writes nothing; then it may begin."""
    await _filled(index, "old")
    first = await index.build("m1", "first")
    await first.upsert(_products("a"))
    for each in (other, index):
        with pytest.raises(FailedPrecondition, match="another rebuild is under way"):
            await each.build("m1", "second")
    with pytest.raises(FailedPrecondition, match="another rebuild is under way"):
        await other.restore("")
    await index.promote(first.version)
    second = await other.build("m1", "second")
    assert second.version.collection != first.version.collection
    await second.close()
    assert await _held(index, "a", "old") == {"a"}


async def test_a_rebuild_whose_process_died_is_taken_over_and_can_do_no_harm(
    index: Index, other: Index
) -> None:
    """After the lease's time another resumes it; what the dead one does if it wakes is refused."""
    await _filled(index, "old")
    dead = await index.build("m1", "source")
    await dead.upsert(_products("a", "b"))
    _die(dead)
    resumed = await other.build("m1", "source")
    assert resumed.version.collection == dead.version.collection
    assert set(await resumed.digests(["a", "b"], fresh=True)) == {"a", "b"}
    for act in (
        lambda: dead.upsert(_products("late")),
        lambda: dead.delete(["a"]),
        lambda: dead.retain([]),
        dead.hold,
    ):
        with pytest.raises(Aborted, match="lost its lease"):
            await act()
    await resumed.upsert(_products("c"))
    await other.promote(resumed.version)
    assert await _held(other, "a", "b", "c", "late") == {"a", "b", "c"}


async def test_a_holder_that_sleeps_through_its_lease_cannot_swap(index: Index, other: Index) -> None:
    """Once another has gone on, the promotion of the one that slept is refused and the index in use stays."""
    await _filled(index, "old")
    asleep = await index.build("m1", "asleep")
    await asleep.upsert(_products("a"))
    _die(asleep)
    awake = await other.build("m1", "awake")
    await awake.upsert(_products("b"))
    if not isinstance(index, FakeIndex):
        asleep.lease._ends_at += 1_000  # as if its clock had stood still meanwhile: the store itself refuses
    with pytest.raises(Aborted, match="lost its lease"):
        await index.promote(asleep.version)
    await other.promote(awake.version)
    assert await _held(other, "a", "b", "old") == {"b"}


async def test_no_name_is_used_twice(index: Index) -> None:
    """Collections that were abandoned or dropped leave their names unused for ever."""
    names = [await _filled(index, "a")]
    for i in range(2):
        build = await index.build("m1", f"abandoned {i}")
        names.append(build.version.collection)
        await build.close()
        names.append(await _filled(index, f"b{i}"))
    assert len(set(names)) == len(names)


async def test_a_rebuild_without_products_drops_nothing(index: Index) -> None:
    """The index before and an unfinished rebuild stay until a new build has products; the former until a swap."""
    before, in_use = await _filled(index, "a"), await _filled(index, "b")
    unfinished = await index.build("m1", "unfinished")
    await unfinished.upsert(_products("u"))
    await unfinished.close()
    kept = [before, in_use, unfinished.version.collection]
    empty = await index.build("m1", "empty")
    await empty.close()
    assert sorted(each.collection for each in await index.indexes()) == sorted(kept)
    build = await index.build("m1", "begun")
    await build.upsert(_products("x"))
    states = {each.collection: each.state for each in await index.indexes()}
    assert states == {
        in_use: IndexState.IN_USE,
        before: IndexState.BEFORE,
        build.version.collection: IndexState.UNFINISHED,
    }
    await index.promote(build.version)
    states = {each.collection: each.state for each in await index.indexes()}
    assert states == {build.version.collection: IndexState.IN_USE, in_use: IndexState.BEFORE}


async def test_the_index_before_is_put_back_and_forth(index: Index, other: Index) -> None:
    """Restoring says what it replaced, is undone by itself, and names the index that it expects where one is named."""
    with pytest.raises(FailedPrecondition, match="no index before"):
        await index.restore("")
    first = await _filled(index, "a1", "a2", "a3")
    with pytest.raises(FailedPrecondition, match="no index before"):
        await index.restore("")
    second = await _filled(index, "b")
    with pytest.raises(FailedPrecondition, match=f"is {first}, not {second}"):
        await index.restore(second)
    assert await other.restore("") == Replaced(collection=second, products=1, products_now=3)
    assert (await other.version(timeout_s=TIMEOUT_S)).collection == first
    assert await _held(other, "a1", "b") == {"a1"}
    assert await index.restore(second) == Replaced(collection=first, products=3, products_now=1)
    assert await _held(index, "a1", "b") == {"b"}
    await index.restore("")
    third = await index.build("m1", "third")
    await third.upsert(_products("c"))
    assert await index.promote(third.version) == Replaced(collection=first, products=3, products_now=1)
    assert await index.restore("") == Replaced(
        collection=third.version.collection, products=1, products_now=3
    )


async def test_whoever_writes_learns_of_a_rebuild_and_of_a_swap(index: Index, other: Index) -> None:
    """The standing names the collection in use, the changes beside a rebuild, and that a swap begins."""
    in_use = await _filled(index, "old")
    assert (await other.standing()).change is None
    build = await index.build("m1", "source")
    await build.upsert(_products("new"))
    standing = await other.standing()
    assert standing.in_use == in_use
    assert standing.change is not None
    assert not standing.change.swapping
    beside = await other.changes(standing.change)
    await beside.upsert(_products("live"))
    assert [set(page) async for page in build.changes.entries()] == [{"live"}]
    await build.hold()
    assert (await other.standing()).change.swapping
    await index.promote(build.version)
    standing = await other.standing()
    assert (standing.in_use, standing.change) == (build.version.collection, None)
    assert (await other.version(timeout_s=TIMEOUT_S)).collection == build.version.collection


async def test_a_rebuild_that_died_no_longer_concerns_whoever_writes(
    index: Index, other: Index, lease_s: float
) -> None:
    """After the lease's time nobody writes beside it any more, without another rebuild having begun."""
    await _filled(index, "old")
    build = await index.build("m1", "source")
    await build.upsert(_products("new"))
    assert (await other.standing()).change is not None
    _die(build)
    async with asyncio.timeout(10 * lease_s):
        while (await other.standing()).change is not None:  # noqa: ASYNC110 - its death is seen by asking
            await asyncio.sleep(0.2)


async def test_deletions_by_two_at_once_leave_the_seal_low_enough(index: Index, other: Index) -> None:
    """After both have deleted, the index is served: its seal counts each deletion once."""
    ids = [f"p{i}" for i in range(20)]
    await _filled(index, *ids)
    left, right = await index.current("m1"), await other.current("m1")
    assert await left.seal() == 20
    gone = await asyncio.gather(
        *(writer.delete([each]) for writer, each in zip([left, right] * 6, ids, strict=False))
    )
    assert gone == [1] * 12
    async with AsyncExitStack() as stack:
        fresh = await _elsewhere(index, stack)
        assert (await fresh.describe(timeout_s=TIMEOUT_S)).products == 8
        assert await left.seal() == 8
