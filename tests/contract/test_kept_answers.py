"""What every store of events promises of the answers that it keeps, and of what reports read and spend."""

import asyncio
from dataclasses import replace
from typing import Any

from gateway.events import DAY_MS, Answer, Shown
from gateway.ports import EventStore
from gateway.testing.events import NOW_MS, WAIT_S, event


def answer(name: str, at_ms: int = NOW_MS, **changes: Any) -> Answer:
    """Give an answer that showed two products."""
    shown = (
        Shown(product_id="p1", position=1, features={"text": 0.123456789, "lexical": 0.0}),
        Shown(product_id="p2", position=2, features={"text": -1.0, "personal": 0.5}),
    )
    return Answer(request_id=name, at_ms=at_ms, route="text", **{"shown": shown, **changes})


async def _answers(event_store: EventStore) -> list[Answer]:
    """Read all answers, two at a time."""
    read: list[Answer] = []
    more, mark = await event_store.read_answers("", limit=2, timeout_s=WAIT_S)
    while more:
        read += more
        more, mark = await event_store.read_answers(mark, limit=2, timeout_s=WAIT_S)
    return read


async def test_what_answers_showed_is_kept_once_and_the_oldest_make_room(event_store: EventStore) -> None:
    """Answers come back as they were given, to five digits, in their order; they are bounded and expire."""
    first = answer("a", bucket="x:learnt", fold=7, swap=3, score_weights=(0.3, 0.7))
    await event_store.log_answers([first, answer("b", NOW_MS + 1), first], most=3, timeout_s=WAIT_S)
    kept = await _answers(event_store)
    assert kept[0] == replace(
        first, shown=(replace(first.shown[0], features={"text": 0.12346, "lexical": 0.0}), first.shown[1])
    )
    assert [each.request_id for each in kept] == ["a", "b"]
    later = [answer(name, NOW_MS + 2 + number) for number, name in enumerate("cd")]
    await event_store.log_answers(later, most=3, timeout_s=WAIT_S)
    assert [each.request_id for each in await _answers(event_store)] == ["b", "c", "d"]
    await event_store.expire(before_ms=NOW_MS + 3, timeout_s=WAIT_S)
    assert [each.request_id for each in await _answers(event_store)] == ["d"]


async def test_answers_go_with_the_events_of_who_is_erased(event_store: EventStore) -> None:
    """What a shopper's events name is deleted with them; the answers of others stay, and so do their events."""
    await event_store.log_answers([answer("r1"), answer("r2")], most=10, timeout_s=WAIT_S)
    hers, his = event("a", request_id="r1"), event("b", request_id="r2", shopper="bob")
    await event_store.append([hers, his, event("c", product_id="p2")], timeout_s=WAIT_S)
    first, mark = await event_store.read_events("", limit=2, timeout_s=WAIT_S)
    rest, mark = await event_store.read_events(mark, limit=2, timeout_s=WAIT_S)
    assert [each.id for each in (*first, *rest)] == ["a", "b", "c"]
    assert await event_store.read_events(mark, limit=2, timeout_s=WAIT_S) == ([], mark)
    await event_store.erase(["ann"], before_ms=NOW_MS, timeout_s=WAIT_S)
    assert [each.request_id for each in await _answers(event_store)] == ["r2"]
    assert (await event_store.read_events("", limit=10, timeout_s=WAIT_S))[0] == [his]


async def test_a_report_reads_from_a_day_on(event_store: EventStore) -> None:
    """Nothing that happened since the moment is missing, however the pages fall."""
    old, new = event("old", at_ms=NOW_MS - DAY_MS), event("new")
    await event_store.append([old, new], timeout_s=WAIT_S)
    await event_store.log_answers([answer("old", NOW_MS - DAY_MS), answer("new")], most=9, timeout_s=WAIT_S)
    events, _ = await event_store.read_events("", since_ms=NOW_MS, limit=9, timeout_s=WAIT_S)
    answers, mark = await event_store.read_answers("", since_ms=NOW_MS, limit=9, timeout_s=WAIT_S)
    assert new in events
    assert [each.request_id for each in answers] == ["new"]
    assert (await event_store.read_answers(mark, since_ms=NOW_MS, limit=9, timeout_s=WAIT_S))[0] == []


async def test_a_budget_is_never_overspent(event_store: EventStore) -> None:
    """Of several who spend at once as many succeed as it suffices for, on all their days or on none; expired days are forgotten."""
    day = NOW_MS // DAY_MS
    told = await asyncio.gather(
        *(event_store.spend([day - 1, day], 3, most=10, timeout_s=WAIT_S) for _ in range(5))
    )
    assert sorted(told, key=str) == [day - 1, day - 1, None, None, None]
    assert await event_store.spend([day + 1, day], 3, most=10, timeout_s=WAIT_S) == day
    assert await event_store.spend([day + 1], 10, most=10, timeout_s=WAIT_S) is None
    await event_store.expire(before_ms=NOW_MS + DAY_MS, timeout_s=WAIT_S)
    assert await event_store.spend([day], 10, most=10, timeout_s=WAIT_S) is None
    assert await event_store.spend([day + 1], 1, most=10, timeout_s=WAIT_S) == day + 1
