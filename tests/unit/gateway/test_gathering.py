"""Calls that are made together."""

import asyncio
from collections.abc import Callable, Sequence
from contextvars import ContextVar

import pytest

from gateway.errors import DeadlineExceeded, EncoderError
from gateway.gathering import Gathering
from gateway.testing import until

NAME: ContextVar[str] = ContextVar("name", default="")


class Upstream:
    """Answers each word by itself doubled, when it is let; keeps what it was asked, how long it might last, and for whom."""

    def __init__(self, *, open_at_once: bool = False, error: Exception | None = None) -> None:
        self.calls: list[tuple[str, ...]] = []
        self.names: list[str] = []
        self.timeouts: list[float] = []
        self.cancelled = 0
        self.error = error
        self.gate = asyncio.Event()
        if open_at_once:
            self.gate.set()

    async def call(self, kind: str, asked: Sequence[str], timeout_s: float) -> list[str]:
        """Answer."""
        assert kind
        self.calls.append(tuple(asked))
        self.names.append(NAME.get())
        self.timeouts.append(timeout_s)
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error is not None:
            raise self.error
        return [2 * each for each in asked]


def gathering(upstream: Upstream, *, most: int = 4, at_once: int = 1) -> Gathering[str, str, str]:
    return Gathering[str, str, str](upstream.call, most=most, at_once=at_once, late="it is late")


async def asking(
    gathered: Gathering[str, str, str], words: str, *, kind: str = "k", timeout_s: float = 60.0
) -> list[asyncio.Task[str]]:
    """Ask for each letter in a task of its own, by its own name, and let all of them begin."""

    async def ask(word: str) -> str:
        NAME.set(word)
        return await gathered.run(kind, word, timeout_s=timeout_s)

    tasks = [asyncio.create_task(ask(word)) for word in words]
    await asyncio.sleep(0)
    return tasks


async def test_one_after_the_other_goes_alone() -> None:
    """Where nobody else asks, nobody waits."""
    upstream = Upstream(open_at_once=True)
    gathered = gathering(upstream)
    assert [await gathered.run("k", word, timeout_s=60) for word in "ab"] == ["aa", "bb"]
    assert upstream.calls == [("a",), ("b",)]


async def test_who_comes_meanwhile_goes_with_the_next_call() -> None:
    """Answers go to whom they belong to, calls are no larger than they may be, and a call has the context of its first asker."""
    upstream = Upstream()
    tasks = await asking(gathering(upstream, most=3), "abcdef")
    assert upstream.calls == [("a",)]
    upstream.gate.set()
    assert await asyncio.gather(*tasks) == ["aa", "bb", "cc", "dd", "ee", "ff"]
    assert upstream.calls == [("a",), ("b", "c", "d"), ("e", "f")]
    assert upstream.names == ["a", "b", "e"]


async def test_so_many_calls_are_under_way_at_once() -> None:
    """The bound is of each kind, and one kind does not wait for another."""
    upstream = Upstream()
    gathered = gathering(upstream, at_once=2)
    tasks = [*await asking(gathered, "abc"), *await asking(gathered, "x", kind="other")]
    assert upstream.calls == [("a",), ("b",), ("x",)]
    upstream.gate.set()
    assert await asyncio.gather(*tasks) == ["aa", "bb", "cc", "xx"]


async def test_nothing_is_kept_of_a_kind_that_nobody_asks_for() -> None:
    """Kinds come from what shoppers ask: their number has no bound."""
    upstream = Upstream()
    gathered = gathering(upstream)
    tasks = await asking(gathered, "abc")
    upstream.gate.set()
    await asyncio.gather(*tasks)
    await asyncio.sleep(0)
    assert not gathered._lines


async def test_a_call_that_takes_long_keeps_nobody_waiting() -> None:
    """Those who came meanwhile share one of their own; after that a call at once is enough again."""
    upstream = Upstream()
    gathered = gathering(upstream)
    stuck = await asking(gathered, "a")
    waiting = await asking(gathered, "bc")
    await until(lambda: len(upstream.calls) > 1)
    assert upstream.calls == [("a",), ("b", "c")]
    upstream.gate.set()
    assert await asyncio.gather(*stuck, *waiting) == ["aa", "bb", "cc"]
    upstream.gate.clear()
    later = [*await asking(gathered, "d"), *await asking(gathered, "e")]
    assert upstream.calls[2:] == [("d",)]
    upstream.gate.set()
    assert await asyncio.gather(*later) == ["dd", "ee"]


async def test_each_waits_as_long_as_it_may() -> None:
    """One whose time passes fails alone; the call lasts as long as the one with the most time."""
    upstream = Upstream()
    gathered = gathering(upstream)
    first = await asking(gathered, "a")
    hasty = await asking(gathered, "b", timeout_s=0.01)
    patient = await asking(gathered, "cd", timeout_s=30)
    with pytest.raises(DeadlineExceeded, match="it is late"):
        await hasty[0]
    upstream.gate.set()
    assert await asyncio.gather(*first, *patient) == ["aa", "cc", "dd"]
    assert upstream.calls == [("a",), ("c", "d")]
    assert 29 < upstream.timeouts[1] <= 30


async def test_the_time_of_one_passes_while_the_call_goes_on() -> None:
    """The others of the same call get their answers."""
    upstream = Upstream()
    gathered = gathering(upstream)
    first = await asking(gathered, "a")
    hasty = await asking(gathered, "b", timeout_s=0.05)
    patient = await asking(gathered, "c")
    first[0].cancel()
    with pytest.raises(DeadlineExceeded):
        await hasty[0]
    assert upstream.calls == [("a",), ("b", "c")]
    assert upstream.cancelled == 1
    upstream.gate.set()
    assert await patient[0] == "cc"


def _all(tasks: list[asyncio.Task[str]]) -> list[asyncio.Task[str]]:
    return tasks


def _first(tasks: list[asyncio.Task[str]]) -> list[asyncio.Task[str]]:
    return tasks[:1]


@pytest.mark.parametrize(("gone", "cancelled"), [(_all, 1), (_first, 0)])
async def test_a_call_ends_with_the_last_who_waits_for_it(
    gone: Callable[[list[asyncio.Task[str]]], list[asyncio.Task[str]]], cancelled: int
) -> None:
    """Callers who hang up leave nothing running, and the next ones are served."""
    upstream = Upstream()
    gathered = gathering(upstream)
    first = await asking(gathered, "a")
    waiting = await asking(gathered, "bc")
    first[0].cancel()
    await asyncio.wait(first)
    await asyncio.sleep(0)  # the next call begins
    assert upstream.calls == [("a",), ("b", "c")]
    for task in gone(waiting):
        task.cancel()
    await asyncio.wait(gone(waiting))
    await asyncio.sleep(0)
    assert upstream.cancelled == 1 + cancelled
    later = await asking(gathered, "d")
    upstream.gate.set()
    assert await later[0] == "dd"


async def test_callers_who_hang_up_before_the_call_began_block_nobody() -> None:
    """A task that is cancelled before its first step does nothing, not even what stands at its end."""
    upstream = Upstream()
    gathered = gathering(upstream)
    first = await asking(gathered, "a")
    waiting = await asking(gathered, "b")
    first[0].cancel()
    waiting[0].cancel()
    await asyncio.gather(*first, *waiting, return_exceptions=True)
    upstream.gate.set()
    async with asyncio.timeout(60):
        assert await gathered.run("k", "c", timeout_s=60) == "cc"


async def test_what_a_call_raises_is_raised_for_all_of_it() -> None:
    """And the calls after it are made."""
    upstream = Upstream(error=EncoderError())
    gathered = gathering(upstream)
    tasks = await asking(gathered, "abc")
    upstream.gate.set()
    assert [type(each) for each in await asyncio.gather(*tasks, return_exceptions=True)] == 3 * [EncoderError]
    upstream.error = None
    assert await gathered.run("k", "d", timeout_s=60) == "dd"
