"""A rebuild: one stream's products into a new collection, then what was written meanwhile, then the swap.

    its own products -> nothing else is in it, and all of them are -> changes taken over -> others are held up
        -> the last changes taken over -> as many products as there must be -> swap

Whatever fails before the swap leaves the index in use as it is, and the new collection to be resumed.
"""

from dataclasses import dataclass, field

from gateway.errors import FailedPrecondition, InvalidQuery
from gateway.indexing.idset import IdSet
from gateway.indexing.live import DELETED
from gateway.model import IndexState, Replaced
from gateway.ports import Build, CollectionWriter, IndexAdministrator

SMALLEST_SHARE = 0.5
"""Of the products in use, which a rebuild has to have unless it is confirmed."""

_ROUNDS = 20
_TAKEN_AT_ONCE = 100
"""Products with all their vectors, some megabytes."""


@dataclass(slots=True)
class _Overlay:
    """What was taken over of the changes."""

    written: IdSet = field(default_factory=IdSet)
    deleted: IdSet = field(default_factory=IdSet)


async def finish_rebuild(
    build: Build, kept: IdSet, administrator: IndexAdministrator, *, confirm_shrink: bool
) -> Replaced | None:
    """Make the built collection the one in use, once it holds what was acknowledged and nothing else.

    `kept` are the ids that were acknowledged to the rebuild's own caller.

    Raises:
        InvalidQuery: there is none.
        FailedPrecondition: a product is missing, or fewer than half as many as in use are left and nobody confirmed it.
        Aborted: the lease was lost.
    """
    if not len(kept):
        raise InvalidQuery("product", "a rebuild needs one product at least that is not refused")
    # One that was cut off and resumed may hold products which its source has lost since.
    if await build.seal() != len(kept):
        await build.retain(kept)
    await _check_count(build, len(kept))
    await build.fit_index()
    overlay = await _take_over(build)
    expected = (kept | overlay.written) - overlay.deleted
    if not confirm_shrink:
        await _check_shrinking(administrator, len(expected))
    await build.hold()
    overlay = await _take_over_the_last(build)
    await _check_count(build, len((kept | overlay.written) - overlay.deleted))
    return await administrator.promote(build.version)


async def _check_count(build: Build, expected: int) -> None:
    if (count := await build.seal()) != expected:
        raise FailedPrecondition(
            f"the new index holds {count:,} products and should hold {expected:,}: the one in use stays; run the"
            " rebuild again"
        )


async def _check_shrinking(administrator: IndexAdministrator, products: int) -> None:
    for index in await administrator.indexes():
        if index.state is IndexState.IN_USE and products < SMALLEST_SHARE * index.products:
            raise FailedPrecondition(
                f"the rebuild would leave {products:,} of {index.products:,} products: the index in use stays; if that"
                " is meant, confirm it with `vitrine index --rebuild --yes` (UpsertOptions.confirm_shrink)"
            )


async def _take_over(build: Build) -> _Overlay:
    """Bring what was written and deleted meanwhile into the collection; return all of it."""
    overlay = _Overlay()
    async for page in build.changes.entries():
        gone = [product_id for product_id, digests in page.items() if digests.digest == DELETED]
        live = {product_id: digests for product_id, digests in page.items() if digests.digest != DELETED}
        for product_id in gone:
            overlay.deleted.add(product_id)
        for product_id in live:
            overlay.written.add(product_id)
        if gone:
            await build.delete(gone)
        known = await build.digests(list(live), fresh=True) if live else {}
        await _copy([each for each in live if known.get(each) != live[each]], build.changes, build)
    return overlay


async def _take_over_the_last(build: Build) -> _Overlay:
    """Take over the changes until nothing is added to them: nobody acknowledges any more.

    A write that is not acknowledged may still be under way, and hide for a moment what it replaces.
    """
    before = await _take_over(build)
    for _ in range(_ROUNDS):
        overlay = await _take_over(build)
        if overlay == before and len(overlay.written) + len(overlay.deleted) == await build.changes.seal():
            return overlay
        before = overlay
    raise FailedPrecondition(
        "what was written beside the rebuild does not come to rest: the index in use stays; run the rebuild again"
    )


async def _copy(ids: list[str], source: CollectionWriter, target: CollectionWriter) -> None:
    for start in range(0, len(ids), _TAKEN_AT_ONCE):
        found = await source.vectors(ids[start : start + _TAKEN_AT_ONCE])
        if found:
            await target.upsert([*found.values()])
