"""Errors that let go of what they held."""

import asyncio
import weakref

from gateway.edge.aborting import let_go
from gateway.errors import VectorIndexError


class Held:
    """Something large."""


def failing(held: Held) -> None:
    """Fail with something in the frame."""
    del held  # the caller's own name for it goes with its frame
    raise VectorIndexError


def fail() -> tuple[VectorIndexError, "weakref.ref[Held]"]:
    """Return an error whose traceback alone holds something."""

    def inner() -> None:
        held = Held()
        kept.append(weakref.ref(held))
        failing(held)

    kept: list[weakref.ref[Held]] = []
    try:
        inner()
    except VectorIndexError as error:
        return error, kept[0]
    raise AssertionError


def test_what_the_frames_held_is_free() -> None:
    """Nothing waits for the collector of garbage, while the error itself lives on."""
    error, held = fail()
    assert held() is not None
    let_go(error)
    assert held() is None


def test_errors_may_lead_to_each_other_in_a_ring() -> None:
    """An error that many calls shared was raised while another was handled, and the other way round."""
    first, held = fail()
    second, also = fail()
    first.__cause__, second.__context__ = second, first
    let_go(first)
    assert held() is None
    assert also() is None


async def test_a_call_that_went_on_after_a_shared_error_goes_on() -> None:
    """Whoever caught the error and waits for something else is not ended by another call's end."""
    shared: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    more = asyncio.Event()

    async def forgives() -> str:
        try:
            await shared
        except VectorIndexError:
            await more.wait()
            return "done"
        return "nothing failed"

    async def gives_up() -> None:
        try:
            await shared
        except VectorIndexError as error:
            let_go(error)

    forgiving = asyncio.create_task(forgives())
    giving_up = asyncio.create_task(gives_up())
    await asyncio.sleep(0)
    shared.set_exception(VectorIndexError())
    await giving_up
    more.set()
    assert await asyncio.wait_for(forgiving, 60) == "done"
