"""Reports: shoppers by day and kind of event, and answers by bucket, both with noise, within a budget of privacy a day."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from gateway.errors import FailedPrecondition, Overloaded
from gateway.events import DAY_MS, FOLDS, Event, EventKind
from gateway.feedback.folds import Counts, Rate, difference, share
from gateway.feedback.noise import MICRO, noisy
from gateway.model import Deadline
from gateway.ports import EventStore

MAX_EVENTS = 2_000_000
"""Events of one report; more are refused, since a part would say something else."""
_PAGE = 2_000
_RETRY_S = 60.0

SHOPPER_SENSITIVITY = len(EventKind)
"""Counts of a day that one shopper changes, each by one."""
_OUTCOMES = {
    "click_through": frozenset({EventKind.CLICK, EventKind.CART, EventKind.PURCHASE, EventKind.FAVOURITE}),
    "cart": frozenset({EventKind.CART, EventKind.PURCHASE}),
    "conversion": frozenset({EventKind.PURCHASE}),
}
"""By name, the kinds of which one event gives an answer that outcome."""
ANSWER_SENSITIVITY = 1 + len(_OUTCOMES)
"""Counts of a bucket's fold that one answer changes: answers, and those with each outcome."""
DEFAULT, LEARNT = ":default", ":learnt"
"""What the names of an experiment's two buckets end in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Which shares of the answers had which outcome, or by how much two buckets' shares differ."""

    click_through: Rate
    cart: Rate
    conversion: Rate


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketCounts:
    """What came of the answers of a bucket."""

    answers: int
    rates: Rates


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Counts with noise."""

    days: Mapping[int, Mapping[EventKind, int]]
    """Shoppers by day since 1970 and kind."""
    buckets: Mapping[str, BucketCounts]
    comparisons: Mapping[str, Rates]
    """By experiment that has both orders: the learnt one's shares less the default one's."""
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

    async def _answers(self, reported: range, done: "_Done", deadline: Deadline) -> dict[str, Counts]:
        """Return by bucket how many answers there were of each fold, and how many with each outcome."""
        counts: defaultdict[str, Counts] = defaultdict(_no_answers)
        mark = ""
        while True:
            answers, mark = await self._store.read_answers(
                mark, since_ms=reported.start * DAY_MS, limit=_PAGE, timeout_s=deadline.remaining_s()
            )
            if not answers:
                return dict(counts)
            for answer in answers:
                outcomes = (answer.request_id in requests for requests in done.requests.values())
                counts[answer.bucket][answer.fold] += (1, *outcomes)

    def _noisy(self, reported: range, done: "_Done", answers: Mapping[str, Counts]) -> Report:
        cells = [(day, kind) for day in reported for kind in EventKind]
        shoppers, shoppers_scale = noisy(
            [len(done.shoppers[cell]) for cell in cells],
            sensitivity=SHOPPER_SENSITIVITY,
            epsilon=self.epsilon / 2,
        )
        by_cell = dict(zip(cells, shoppers, strict=True))
        # Every bucket is told, the one without an experiment too: which there are is the operator's setting and nobody's doing.
        told = {"": _no_answers(), **answers}
        flat, answers_scale = noisy(
            [int(count) for name in sorted(told) for count in told[name].flat],
            sensitivity=ANSWER_SENSITIVITY,
            epsilon=self.epsilon / 2,
        )
        with_noise = np.array(flat, np.int64).reshape(len(told), FOLDS, ANSWER_SENSITIVITY)
        buckets = dict(zip(sorted(told), with_noise, strict=True))
        return Report(
            days={day: {kind: max(0, by_cell[day, kind]) for kind in EventKind} for day in reported},
            buckets={name: _bucket(counts, answers_scale) for name, counts in buckets.items()},
            comparisons=compared(buckets, scale=answers_scale),
            shoppers_scale=shoppers_scale,
            answers_scale=answers_scale,
        )


class _Done:
    """What was done, as sets: who repeats it counts once."""

    def __init__(self) -> None:
        self.shoppers: defaultdict[tuple[int, EventKind], set[str]] = defaultdict(set)
        self.requests: dict[str, set[str]] = {name: set() for name in _OUTCOMES}

    def add(self, event: Event) -> None:
        self.shoppers[event.day, event.kind].add(event.who)
        for name, kinds in _OUTCOMES.items():
            if event.kind in kinds:
                self.requests[name].add(event.request_id)


def compared(buckets: Mapping[str, Counts], *, scale: float) -> dict[str, Rates]:
    """Return by experiment by how much the learnt order's shares are above the default order's, where both have a bucket."""
    names = [name.removesuffix(LEARNT) for name in sorted(buckets) if name.endswith(LEARNT)]
    return {
        name: _rates(
            difference(buckets[name + LEARNT], buckets[name + DEFAULT], column, scale=scale)
            for column in range(1, ANSWER_SENSITIVITY)
        )
        for name in names
        if name + DEFAULT in buckets
    }


def day_name(day: int) -> str:
    """Return a day since 1970 as YYYY-MM-DD."""
    return datetime.fromtimestamp(day * DAY_MS / 1e3, UTC).date().isoformat()


def _bucket(counts: Counts, scale: float) -> BucketCounts:
    return BucketCounts(
        answers=max(0, int(counts[:, 0].sum())),
        rates=_rates(share(counts, column, scale=scale) for column in range(1, ANSWER_SENSITIVITY)),
    )


def _rates(by_outcome: Iterable[Rate]) -> Rates:
    return Rates(**dict(zip(_OUTCOMES, by_outcome, strict=True)))


def _no_answers() -> Counts:
    return np.zeros((FOLDS, ANSWER_SENSITIVITY), np.int64)
