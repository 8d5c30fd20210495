"""Reports: shoppers by day and kind of event, and answers by bucket, both with noise, within a budget of privacy a day."""

import asyncio
import math
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from gateway.errors import FailedPrecondition, Overloaded
from gateway.events import DAY_MS, Event, EventKind
from gateway.feedback.noise import MICRO, noisy
from gateway.model import Deadline
from gateway.ports import EventStore

MAX_EVENTS = 2_000_000
"""Events of one report; more are refused, since a part would say something else."""
_PAGE = 2_000
_RETRY_S = 60.0
_95 = 1.96

SHOPPER_SENSITIVITY = len(EventKind)
"""Counts of a day that one shopper changes, each by one."""
ANSWER_SENSITIVITY = 3
"""Counts of a bucket that one answer changes: answers, those with a choice, those with a purchase."""
CHOSEN = frozenset({EventKind.CLICK, EventKind.CART, EventKind.PURCHASE, EventKind.FAVOURITE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """A share with its 95 % interval."""

    value: float
    lowest: float
    highest: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketCounts:
    """What came of the answers of a bucket."""

    answers: int
    click_through: Rate
    conversion: Rate


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Counts with noise."""

    days: Mapping[int, Mapping[EventKind, int]]
    """Shoppers by day since 1970 and kind."""
    buckets: Mapping[str, BucketCounts]
    shoppers_scale: float
    answers_scale: float


class Reports:
    """Makes reports; each spends `epsilon` of the `budget` of every day that it is about."""

    def __init__(
        self, store: EventStore, *, epsilon: float, budget: float, clock: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self.epsilon = epsilon
        self.budget = budget
        self._clock = clock

    async def report(self, days: int, deadline: Deadline) -> Report:
        """Report on the days up to today.

        Half of epsilon is for shoppers, half for answers.

        Raises:
            FailedPrecondition: the budget of a day does not suffice, or OpenDP is not installed; nothing was spent.
            DependencyError, DeadlineExceeded, Overloaded: the store did not answer, or has too much to count.
        """
        today = int(self._clock() // (DAY_MS / 1e3))
        reported = range(today - days + 1, today + 1)
        # Beside the calls, since the library takes a while to load; where it is missing, nothing is spent.
        await asyncio.to_thread(noisy, [], sensitivity=1, epsilon=1.0)
        done = await self._events(reported, deadline)
        answers = await self._answers(reported, done, deadline)
        spent = await self._store.spend(
            reported,
            round(self.epsilon * MICRO),
            most=round(self.budget * MICRO),
            timeout_s=deadline.remaining_s(),
        )
        if spent is not None:
            raise FailedPrecondition(
                f"the privacy budget of {day_name(spent)} does not suffice: {self.budget:g} for all reports, and each spends"
                f" {self.epsilon:g}; ask for other days, or from tomorrow on"
            )
        return await asyncio.to_thread(self._noisy, reported, done, answers)

    async def _events(self, reported: range, deadline: Deadline) -> "_Done":
        done, mark, read = _Done(), "", 0
        since_ms = reported.start * DAY_MS
        while True:
            events, mark = await self._store.read_events(
                mark, since_ms=since_ms, limit=_PAGE, timeout_s=deadline.remaining_s()
            )
            if not events:
                return done
            read += len(events)
            if read > MAX_EVENTS:
                raise Overloaded(
                    f"days: they have more than {MAX_EVENTS:,} events; ask for fewer", retry_after_s=_RETRY_S
                )
            for event in events:
                if event.day in reported:
                    done.add(event)

    async def _answers(self, reported: range, done: "_Done", deadline: Deadline) -> dict[str, list[int]]:
        """Return by bucket how many answers there were, how many with a choice, and how many with a purchase."""
        counts: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
        mark = ""
        while True:
            answers, mark = await self._store.read_answers(
                mark, since_ms=reported.start * DAY_MS, limit=_PAGE, timeout_s=deadline.remaining_s()
            )
            if not answers:
                return dict(counts)
            for answer in answers:
                count = counts[answer.bucket]
                count[0] += 1
                count[1] += answer.request_id in done.chosen
                count[2] += answer.request_id in done.bought

    def _noisy(self, reported: range, done: "_Done", answers: Mapping[str, list[int]]) -> Report:
        cells = [(day, kind) for day in reported for kind in EventKind]
        shoppers, shoppers_scale = noisy(
            [len(done.shoppers[cell]) for cell in cells],
            sensitivity=SHOPPER_SENSITIVITY,
            epsilon=self.epsilon / 2,
        )
        by_cell = dict(zip(cells, shoppers, strict=True))
        # Every bucket is told, the one without an experiment too: which there are is the operator's setting and nobody's doing.
        names = sorted({"", *answers})
        flat, answers_scale = noisy(
            [count for name in names for count in answers.get(name, [0, 0, 0])],
            sensitivity=ANSWER_SENSITIVITY,
            epsilon=self.epsilon / 2,
        )
        return Report(
            days={day: {kind: by_cell[day, kind] for kind in EventKind} for day in reported},
            buckets={
                name: _bucket(*flat[3 * place : 3 * place + 3], scale=answers_scale)
                for place, name in enumerate(names)
            },
            shoppers_scale=shoppers_scale,
            answers_scale=answers_scale,
        )


class _Done:
    """What was done, as sets: who repeats it counts once."""

    def __init__(self) -> None:
        self.shoppers: defaultdict[tuple[int, EventKind], set[str]] = defaultdict(set)
        self.chosen: set[str] = set()
        self.bought: set[str] = set()

    def add(self, event: Event) -> None:
        self.shoppers[event.day, event.kind].add(event.who)
        if event.kind in CHOSEN:
            self.chosen.add(event.request_id)
        if event.kind is EventKind.PURCHASE:
            self.bought.add(event.request_id)


def rate(part: int, whole: int, *, scale: float) -> Rate:
    """Return a share of counts with noise, and its normal interval: chance of the share, and twice the variance of the noise."""
    if whole <= 0:
        return Rate(value=0.0, lowest=0.0, highest=1.0)
    value = min(1.0, part / whole)
    # A discrete Laplace of this scale has a variance of nearly 2 scale^2; it is in both counts.
    variance = value * (1 - value) / whole + 2 * scale**2 * (1 + value**2) / whole**2
    spread = _95 * math.sqrt(variance)
    return Rate(value=value, lowest=max(0.0, value - spread), highest=min(1.0, value + spread))


def day_name(day: int) -> str:
    """Return a day since 1970 as YYYY-MM-DD."""
    return datetime.fromtimestamp(day * DAY_MS / 1e3, UTC).date().isoformat()


def _bucket(answers: int, chosen: int, bought: int, *, scale: float) -> BucketCounts:
    return BucketCounts(
        answers=answers,
        click_through=rate(chosen, answers, scale=scale),
        conversion=rate(bought, answers, scale=scale),
    )
