"""Who is let in."""

import asyncio
from collections.abc import Callable

import pytest

from gateway.errors import DeadlineExceeded, EncoderError, InvalidQuery, Overloaded
from gateway.model import Deadline
from gateway.retrieval.admission import AimdLimit, BatchLane, Lanes, Limiter, QueueBounds


def limiter(
    *,
    initial: int = 1,
    maximum: int = 10,
    queue: int = 1,
    wait_s: float = 0.05,
    target_s: float = 30.0,
    on_shed: Callable[[str], None] = lambda _: None,
) -> Limiter:
    return Limiter(
        AimdLimit(maximum=maximum),
        QueueBounds(length=queue, wait_s=wait_s),
        initial=initial,
        latency_target_s=target_s,
        on_shed=on_shed,
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
    async with slots.slot(Deadline.after(60)):
        assert slots.in_flight == 1
    with pytest.raises(InvalidQuery):
        async with slots.slot(Deadline.after(60)):
            raise InvalidQuery("text", "no")
    assert slots.in_flight == 0


async def test_searches_beyond_the_target_shrink_the_limit() -> None:
    """One that took longer than the target counts, however it ended."""
    slots = limiter(initial=10, target_s=0.01)

    async def take_long() -> None:
        async with slots.slot(Deadline.after(60)):
            await asyncio.sleep(0.02)
            raise DeadlineExceeded("late")

    outcomes = await asyncio.gather(*(take_long() for _ in range(2)), return_exceptions=True)
    assert [type(each) for each in outcomes] == [DeadlineExceeded] * 2
    assert slots.limit == 8


async def test_what_a_dependency_drops_shrinks_the_limit() -> None:
    """A full queue of the encoder is a sign, however quickly it says so."""
    slots = limiter(initial=10)
    with pytest.raises(Overloaded):
        async with slots.slot(Deadline.after(60)):
            raise Overloaded("the encoder's queue is full", retry_after_s=0.1)
    assert slots.limit == 9


@pytest.mark.parametrize("ends", [DeadlineExceeded("late"), InvalidQuery("text", "no"), EncoderError()])
async def test_what_ends_before_the_target_is_no_sign(ends: Exception) -> None:
    """A caller's own short deadline, its mistake, a dependency that is away: none moves the limit, up or down."""
    slots = limiter(initial=5)
    for _ in range(20):
        with pytest.raises(type(ends)):
            async with slots.slot(Deadline.after(60)):
                raise ends
    assert (slots.limit, slots.in_flight) == (5, 0)


async def test_callers_who_hang_up_early_are_no_sign() -> None:
    """A search that is cancelled before the target gives its slot back and moves nothing, its deadline over or not."""
    slots = limiter(initial=5)
    for deadline in (Deadline.after(0), Deadline.after(30)):
        task = asyncio.create_task(hold(slots, deadline, asyncio.Event()))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
    assert (slots.limit, slots.in_flight) == (5, 0)


async def test_a_crowd_of_one_caller_keeps_nobody_out() -> None:
    """With every place taken by 150 searches of one caller, five of another are answered, each next but one at most."""
    slots = limiter(initial=2, maximum=2, queue=8, wait_s=30)
    served: list[str] = []

    async def work(share: str) -> None:
        async with slots.slot(Deadline.after(30), share=share):
            served.append(share)
            await asyncio.sleep(0.001)

    crowd = [asyncio.create_task(work("crowd")) for _ in range(150)]
    await asyncio.sleep(0)
    for number in range(5):
        crowd += [asyncio.create_task(work("crowd")) for _ in range(20)]
        await asyncio.sleep(0)
        before = len(served)
        await work("shopper")
        assert "shopper" in served[before : before + 4], number
    outcomes = await asyncio.gather(*crowd, return_exceptions=True)
    refused = [each for each in outcomes if isinstance(each, Overloaded)]
    assert len(refused) + served.count("crowd") == len(crowd)
    assert all(each.retry_after_s >= 0.05 for each in refused)
    assert (slots.in_flight, slots.queued) == (0, 0)


async def test_who_has_a_single_search_may_wait_longer_than_a_crowd() -> None:
    """With one slot that is slow to come free, the crowd's searches are sent away in time and the other's is answered."""
    slots = limiter(queue=8, wait_s=0.05)
    leave = asyncio.Event()
    holder = asyncio.create_task(hold(slots, Deadline.after(30), leave, "crowd"))
    await asyncio.sleep(0)
    crowd = [asyncio.create_task(enter(slots, Deadline.after(30), "crowd")) for _ in range(3)]
    shopper = asyncio.create_task(enter(slots, Deadline.after(30), "shopper"))
    outcomes = await asyncio.gather(*crowd, return_exceptions=True)
    assert [type(each) for each in outcomes] == [Overloaded] * 3
    assert not shopper.done()
    leave.set()
    await asyncio.gather(holder, shopper)
    assert (slots.in_flight, slots.queued, len(slots._running)) == (0, 0, 0)


async def test_callers_take_turns() -> None:
    """Of three who wait, each goes next in rotation, whatever the number of places that it has."""
    slots = limiter(initial=1, maximum=1, queue=20, wait_s=30)
    order: list[str] = []

    async def work(share: str) -> None:
        async with slots.slot(Deadline.after(30), share=share):
            order.append(share)
            await asyncio.sleep(0)

    await asyncio.gather(*(work(share) for share in "aaaaabbc"))
    assert order == list("aabcabaa")


async def test_the_last_place_goes_to_who_has_fewer() -> None:
    """The caller with most places gives its newest one up, and is told when to come back; its oldest keep theirs."""
    reasons: list[str] = []
    slots = limiter(queue=3, wait_s=30, on_shed=reasons.append)
    leave = asyncio.Event()
    holder = asyncio.create_task(hold(slots, Deadline.after(30), leave))
    await asyncio.sleep(0)
    crowd = [asyncio.create_task(enter(slots, Deadline.after(30), "crowd")) for _ in range(3)]
    await asyncio.sleep(0)
    others = [asyncio.create_task(enter(slots, Deadline.after(30), "other")) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await crowd[2]
    with pytest.raises(Overloaded):
        await others[1]
    leave.set()
    await asyncio.gather(holder, *crowd[:2], others[0])
    assert sorted(reasons) == ["queue_full", "queue_share"]
    assert (slots.in_flight, slots.queued) == (0, 0)


async def test_a_full_queue_refuses_at_once_with_advice() -> None:
    """With the slot and the queue taken, the next one is refused and told when to come back."""
    slots = limiter(wait_s=5)
    async with slots.slot(Deadline.after(60)):
        waiter = asyncio.create_task(enter(slots, Deadline.after(60)))
        await asyncio.sleep(0)
        assert slots.queued == 1
        with pytest.raises(Overloaded) as refused:
            await enter(slots, Deadline.after(60))
        assert refused.value.retry_after_s >= 0.05
    await waiter
    assert (slots.in_flight, slots.queued) == (0, 0)


async def test_waiting_has_a_bound() -> None:
    """A search that waits longer than allowed is refused, and leaves the queue."""
    slots = limiter(wait_s=0.02)
    async with slots.slot(Deadline.after(60)):
        with pytest.raises(Overloaded):
            await enter(slots, Deadline.after(60))
        assert slots.queued == 0


async def test_a_waiter_that_is_cancelled_takes_no_slot() -> None:
    """A caller who hangs up in the queue leaves the slot to the next one."""
    slots = limiter(queue=2, wait_s=5)
    async with slots.slot(Deadline.after(60)):
        first = asyncio.create_task(enter(slots, Deadline.after(60)))
        second = asyncio.create_task(enter(slots, Deadline.after(60)))
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
        async with slots.slot(Deadline.after(60)):
            order.append(number)
            running += 1
            most = max(most, running)
            await asyncio.sleep(0.001)
            running -= 1

    await asyncio.gather(*(work(number) for number in range(8)))
    assert most == 2
    assert order == list(range(8))


async def enter(slots: Limiter, deadline: Deadline, share: str = "") -> None:
    async with slots.slot(deadline, share=share):
        pass


async def hold(slots: Limiter, deadline: Deadline, leave: asyncio.Event, share: str = "") -> None:
    async with slots.slot(deadline, share=share):
        await leave.wait()


def batch_lane(words: Limiter, *, slots: int = 8, share: float = 0.1) -> BatchLane:
    return BatchLane(Lanes(words=words, pictures=limiter()), slots=slots, share=share)


async def test_batches_take_a_share_while_anybody_searches() -> None:
    """Alone an ingest has all slots of its lane; beside a search, and a while after it, a tenth of the searches' limit."""
    words = limiter(initial=20, maximum=40)
    lane = batch_lane(words)
    assert lane.limit == 8
    async with words.slot(Deadline.after(30)):
        assert lane.limit == 2
    assert lane.limit == 2, "the next search is not far"
    assert batch_lane(limiter(initial=4)).limit == 8
    async with (small := limiter(initial=4)).slot(Deadline.after(30)):
        assert batch_lane(small).limit == 1, "an ingest goes on, however little there is"


async def test_batches_wait_for_their_lane_and_none_is_lost() -> None:
    """Beside a search one batch at a time is encoded, in turn between callers, and all are in the end."""
    words = limiter(initial=4)
    lane = batch_lane(words)
    order: list[str] = []
    most = 0

    async def encode(share: str) -> None:
        nonlocal most
        async with lane.slot(share=share):
            most = max(most, lane.in_flight)
            order.append(share)
            await asyncio.sleep(0)

    async with words.slot(Deadline.after(30)):
        tasks = [asyncio.create_task(encode(share)) for share in "aaaab"]
        await asyncio.sleep(0)
        tasks[2].cancel()
        await asyncio.wait(tasks)
    assert most == 1
    assert order == list("aaba")
    assert (lane.in_flight, lane.queued) == (0, 0)
