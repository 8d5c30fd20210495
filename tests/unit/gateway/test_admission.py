"""Who is let in."""

import asyncio

import pytest

from gateway.errors import DeadlineExceeded, InvalidQuery, Overloaded
from gateway.model import Deadline
from gateway.retrieval.admission import AimdLimit, Limiter, QueueBounds


def limiter(*, initial: int = 1, maximum: int = 10, queue: int = 1, wait_s: float = 0.05) -> Limiter:
    return Limiter(
        AimdLimit(maximum=maximum),
        QueueBounds(length=queue, wait_s=wait_s),
        initial=initial,
        latency_target_s=1.0,
    )


@pytest.mark.parametrize(
    ("limit", "in_flight", "overloaded", "expected"),
    [
        (10, 5, False, 11),
        (10, 4, False, 10),
        (10, 10, True, 9),
        (1, 1, True, 1),
        (20, 20, False, 20),
        (100, 100, True, 90),
    ],
)
def test_limit_grows_while_busy_and_shrinks_when_overloaded(
    *, limit: int, in_flight: int, overloaded: bool, expected: int
) -> None:
    """The rule adds one while at least half is in use, and takes a tenth away when something came late."""
    assert AimdLimit(maximum=20).after(limit, in_flight=in_flight, overloaded=overloaded) == expected


async def test_slot_is_given_back_after_success_and_failure() -> None:
    """However a search ends, its slot is free again."""
    slots = limiter()
    async with slots.slot(Deadline.after(1)):
        assert slots.in_flight == 1
    with pytest.raises(InvalidQuery):
        async with slots.slot(Deadline.after(1)):
            raise InvalidQuery("text", "no")
    assert slots.in_flight == 0


async def test_late_searches_shrink_the_limit() -> None:
    """A search that missed its deadline counts as overload, a caller's mistake does not."""
    slots = limiter(initial=10)
    with pytest.raises(InvalidQuery):
        async with slots.slot(Deadline.after(1)):
            raise InvalidQuery("text", "no")
    assert slots.limit == 10
    with pytest.raises(DeadlineExceeded):
        async with slots.slot(Deadline.after(1)):
            raise DeadlineExceeded("late")
    assert slots.limit == 9


async def test_a_full_queue_refuses_at_once_with_advice() -> None:
    """With the slot and the queue taken, the next one is refused and told when to come back."""
    slots = limiter(wait_s=5)
    async with slots.slot(Deadline.after(5)):
        waiter = asyncio.create_task(enter(slots, Deadline.after(5)))
        await asyncio.sleep(0)
        assert slots.queued == 1
        with pytest.raises(Overloaded) as refused:
            await enter(slots, Deadline.after(5))
        assert refused.value.retry_after_s >= 0.05
    await waiter
    assert (slots.in_flight, slots.queued) == (0, 0)


async def test_waiting_has_a_bound() -> None:
    """A search that waits longer than allowed is refused, and leaves the queue."""
    slots = limiter(wait_s=0.02)
    async with slots.slot(Deadline.after(5)):
        with pytest.raises(Overloaded):
            await enter(slots, Deadline.after(5))
        assert slots.queued == 0


async def test_a_waiter_that_is_cancelled_takes_no_slot() -> None:
    """A caller who hangs up in the queue leaves the slot to the next one."""
    slots = limiter(queue=2, wait_s=5)
    async with slots.slot(Deadline.after(5)):
        first = asyncio.create_task(enter(slots, Deadline.after(5)))
        second = asyncio.create_task(enter(slots, Deadline.after(5)))
        await asyncio.sleep(0)
    # The slot has just been given to the first, which has not run yet.
    first.cancel()
    await second
    assert (slots.in_flight, slots.queued) == (0, 0)


async def test_waiters_are_served_in_order_and_never_above_the_limit() -> None:
    """Slots pass from one to the next; no more than the limit run at once."""
    slots = limiter(initial=2, maximum=2, queue=10, wait_s=5)
    running, most = 0, 0
    order: list[int] = []

    async def work(number: int) -> None:
        nonlocal running, most
        async with slots.slot(Deadline.after(5)):
            order.append(number)
            running += 1
            most = max(most, running)
            await asyncio.sleep(0.001)
            running -= 1

    await asyncio.gather(*(work(number) for number in range(8)))
    assert most == 2
    assert order == list(range(8))


async def enter(slots: Limiter, deadline: Deadline) -> None:
    async with slots.slot(deadline):
        pass
