"""Reports: nothing of fewer than k, noise of the stated scale, and a budget that ends."""

import math
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.adapters.sqlite_events import SqliteEvents, open_sqlite_events
from gateway.events import DAY_MS, FOLDS, Answer, Event, EventKind, pack_answer
from gateway.feedback.folds import Counts, difference, fold_of, share
from gateway.feedback.noise import noisy
from gateway.feedback.words import MAX_QUERIES, WordCounts, lists
from gateway.model import Weights
from gateway.retrieval.query import Query, SearchResult, Timings, Versions
from gateway.settings import Settings
from gateway.testing import PATIENT, product, serving
from vitrine.client import VitrineClient, VitrineError
from vitrine.process.settings import InvalidSettings
from vitrine.v1.report_pb2 import ReportResponse
from vitrine.v1.search_pb2 import SearchRequest

K = 20
DAY_S = 86_400


def search(words: str, user: str, *, hits: int = 1, seconds: float = 0.01, **changes: Any) -> SearchResult:
    """Give what a shopper's search came to."""
    return SearchResult(
        hits=(None,) * hits,
        searched=replace(Query(text=words, typed=words, user_id=user), **changes),
        weights=Weights(text=0.5, image=0.5),
        degraded=(),
        timings=Timings(total_s=seconds, stages_s={}),
        versions=Versions(model="m", index="i", schema=None),
    )


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1_000 * DAY_S + 60.0

    def __call__(self) -> float:
        """Return what the test set."""
        return self.now


def test_words_of_fewer_than_k_shoppers_are_not_told() -> None:
    """However often they search; from the k-th different shopper on the words are, in any case and spacing."""
    counts = WordCounts(least=K)
    for number in range(K - 1):
        for _ in range(5):
            counts.note(search("My  Secret words", f"user-{number}"))
    for _ in range(50):
        counts.note(search("my secret words", ""))  # nobody in particular cannot be told from another
        counts.note(search("my secret words", "late", offset=10))
    assert counts.told() == []
    counts.note(search("my secret Words ", "late"))
    (told,) = counts.told()
    assert (told.words, told.today, told.yesterday) == ("my secret words", 5 * (K - 1) + 1, 0)
    assert not WordCounts(least=0).told()


def test_a_day_is_told_by_its_own_shoppers_and_forgotten_after_the_next() -> None:
    """Yesterday's words may be told with yesterday's count; today's few searches of them are not."""
    clock = Clock()
    counts = WordCounts(least=K, clock=clock)
    for number in range(K):
        counts.note(search("summer dress", f"user-{number}"))
    clock.now += DAY_S
    for number in range(K - 1):
        counts.note(search("summer dress", f"user-{number}"))
    assert [(each.today, each.yesterday) for each in counts.told()] == [(0, K)]
    clock.now += DAY_S
    assert counts.told() == []
    clock.now += DAY_S
    assert (counts.told(), len(counts)) == ([], 0)


def test_the_lists_are_what_they_are_called() -> None:
    """Popular, rising, without hits and slow; the memory is bounded, and the oldest make room."""
    clock = Clock()
    counts = WordCounts(least=5, clock=clock)
    days = (
        {"often": 40, "fading": 20, "rising": 6},
        {"often": 38, "fading": 5, "rising": 30, "missing": 7, "slow": 6},
    )
    for day in days:
        clock.now += DAY_S
        for words, times in day.items():
            for number in range(times):
                hits, seconds = int(words != "missing"), 0.5 if words == "slow" else 0.01
                counts.note(search(words, f"user-{number}", hits=hits, seconds=seconds))
    told = dict(lists(counts.told()))
    names = {name: [each.words for each in words] for name, words in told.items()}
    assert names["popular"][:2] == ["often", "rising"]
    assert names["rising"] == ["rising", "missing", "slow"]
    assert names["without_hits"] == ["missing"]
    assert names["slow"][0] == "slow"
    for number in range(MAX_QUERIES + 10):
        counts.note(search(f"query {number}", "ann"))
    counts.note(search("x" * 101, "ann"))
    assert len(counts) == MAX_QUERIES


def test_noise_has_the_scale_that_is_stated() -> None:
    """The mean of its size is that of a discrete Laplace of sensitivity / epsilon, within 8 standard errors; small counts have it too."""
    pytest.importorskip("opendp")
    drawn, scale = noisy([1_000_000] * 20_000, sensitivity=6, epsilon=0.5)
    sizes = [abs(each - 1_000_000) for each in drawn]
    assert scale == 12.0
    assert abs(statistics.fmean(sizes) - scale) < 8 * scale / 20_000**0.5 + 0.1
    assert abs(statistics.fmean(drawn) - 1_000_000) < 8 * scale * 2**0.5 / 20_000**0.5
    small, _ = noisy([0] * 1_000, sensitivity=6, epsilon=0.5)
    assert min(small) < 0 < max(small)


def experiment(dice: np.random.Generator, better: float = 1.0, *, people: int = 400) -> tuple[Counts, Counts]:
    """Give the counts of two buckets of shoppers, some of whom search much and some of whom choose often; noise of scale 16 on each."""
    buckets = []
    for factor in (better, 1.0):
        counts = np.zeros((FOLDS, 4), np.int64)
        searches = dice.geometric(1 / 15, people)
        chosen = dice.binomial(searches, np.minimum(1.0, factor * dice.beta(1.2, 2.8, people)))
        fold = dice.integers(0, FOLDS, people)
        np.add.at(counts, fold, np.stack([searches, chosen, chosen // 3, chosen // 9], axis=1))
        size = 1 - math.exp(-1 / 16)
        noise = dice.geometric(size, counts.shape) - dice.geometric(size, counts.shape)
        buckets.append(counts + noise)
    return buckets[0], buckets[1]


def test_equal_orders_are_seldom_found_to_differ_and_a_better_one_often_is() -> None:
    """Of 400 experiments with equal orders at most one in fourteen, a better order nine times in ten.

    Shoppers differ and repeat themselves: by intervals for independent answers one in six would be found to differ.
    """
    dice = np.random.default_rng(83)
    equal = [difference(*experiment(dice), 1, scale=16) for _ in range(400)]
    false = [each for each in equal if not each.lowest <= 0 <= each.highest]
    assert 4 <= len(false) <= 28
    gained = [difference(*experiment(dice, 1.25, people=1_500), 1, scale=16) for _ in range(100)]
    assert sum(each.lowest > 0 for each in gained) >= 90
    shares = [share(experiment(dice)[0], 1, scale=16) for _ in range(400)]
    assert sum(each.lowest <= 0.3 <= each.highest for each in shares) >= 370


def test_too_few_answers_tell_nothing() -> None:
    """None, or fewer than the noise could make, have an interval of all that may be."""
    few = np.zeros((FOLDS, 4), np.int64)
    many = np.full((FOLDS, 4), 1_000)
    for counts in (few, few - 20, few + 20):
        told = share(counts, 1, scale=16)
        assert (told.value, told.lowest, told.highest) == (0.0, 0.0, 1.0)
        apart = difference(many, counts, 1, scale=16)
        assert (apart.value, apart.lowest, apart.highest) == (0.0, -1.0, 1.0)


def test_a_shopper_has_one_fold_in_an_experiment() -> None:
    """In both buckets and over requests; in another experiment another one; folds are alike in size, and without an id by the request."""
    assert fold_of("may:learnt", "ann") == fold_of("may:default", "ann")
    mays = [fold_of("may:learnt", f"user-{number}") for number in range(2_000)]
    junes = [fold_of("june:learnt", f"user-{number}") for number in range(2_000)]
    assert sum(a == b for a, b in zip(mays, junes, strict=True)) < 300
    assert set(mays) == set(range(FOLDS))
    assert max(Counter(mays).values()) < 280
    nobodys = pack_answer([], route="text", score_weights=(0.5, 0.5), bucket="may:learnt", fold=None, swap=0)
    assert len({Answer.unpacked(str(request), 1, nobodys).fold for request in range(99)}) == FOLDS


@asynccontextmanager
async def shop(path: Path, **settings: Any) -> AsyncIterator[tuple[VitrineClient, SqliteEvents]]:
    """A gateway that keeps events, and its store."""
    async with (
        open_sqlite_events(path / "events.db") as store,
        serving(
            products=[product("p1", "red dress")],
            events=store,
            settings=replace(PATIENT, events="kept", **settings),
        ) as gateway,
        VitrineClient(gateway.address, timeout_s=60) as client,
    ):
        yield client, store


def shown_by(answer: ReportResponse, kind: EventKind, day: int) -> int:
    """Return how many shoppers a report has of a kind on a day, from the oldest."""
    return next(count.shoppers for count in answer.days[day].counts if count.kind == kind.value)


@pytest.mark.usefixtures("one_day")
async def test_a_report_counts_shoppers_once_and_buckets_by_answer(tmp_path: Path) -> None:
    """Noise of scale .0012 leaves the counts as they are; its words and answers are what the gateway saw."""
    pytest.importorskip("opendp")
    now_ms = int(time.time()) // DAY_S * DAY_MS + 1
    async with shop(tmp_path, report_epsilon=10_000.0, report_budget=10_000.0, report_least_shoppers=5) as (
        client,
        store,
    ):
        events = [
            Event(
                id=f"{who}-{name}",
                kind=kind,
                product_id="p1",
                at_ms=now_ms - days * DAY_MS,
                shopper=who,
                request_id=who,
            )
            for who, days in (("ann", 0), ("bob", 0), ("cid", 2))
            for name, kind in (("a", EventKind.CLICK), ("b", EventKind.CLICK), ("c", EventKind.PURCHASE))
            if (who, name) != ("bob", "c")
        ]
        await store.append(events, timeout_s=30)
        answers = [
            Answer(request_id=who, at_ms=now_ms, route="text", bucket=bucket)
            for who, bucket in (("ann", "x:learnt"), ("bob", "x:learnt"), ("dan", "x:default"))
        ]
        await store.log_answers(answers, most=10, timeout_s=30)
        for number in range(5):
            while not (
                await client.search(SearchRequest(text="Red Dress", user_id=f"user-{number}"))
            ).answer_token:
                pass
        report = await client.report(3)
    assert len(report.days) == 3
    assert [shown_by(report, EventKind.CLICK, day) for day in range(3)] == [1, 0, 2]
    assert [shown_by(report, EventKind.PURCHASE, day) for day in range(3)] == [1, 0, 1]
    buckets = {each.bucket: each for each in report.buckets}
    assert (buckets["x:learnt"].answers, buckets["x:default"].answers) == (2, 1)
    assert buckets["x:learnt"].click_through.value == 1
    assert (buckets["x:learnt"].conversion.value, buckets["x:learnt"].cart.value) == (0.5, 0.5)
    assert buckets["x:default"].click_through.value == 0
    (compared,) = report.comparisons
    assert (compared.experiment, compared.click_through.value, compared.cart.value) == ("x", 1, 0.5)
    assert report.noise.shoppers_scale == pytest.approx(6 / 5_000)
    assert [each.words for each in report.words.popular] == ["red dress"]


@pytest.mark.usefixtures("one_day")
async def test_a_spent_budget_is_a_clear_error(tmp_path: Path) -> None:
    """After as many reports as it suffices for the day is named, days that have some left go on, and too many days are refused."""
    pytest.importorskip("opendp")
    async with shop(tmp_path, report_epsilon=0.5, report_budget=1.0) as (client, _):
        for _ in range(2):
            assert (await client.report(1)).noise.epsilon == 0.5
        with pytest.raises(VitrineError, match=r"privacy budget of 2.* does not suffice: 1 for all reports"):
            await client.report(1)
        with pytest.raises(VitrineError, match="from 1 to 31"):
            await client.report(32)


async def test_without_events_or_with_wrong_settings_there_is_no_report() -> None:
    """A gateway that keeps nothing says so; budgets and k have limits."""
    async with serving() as gateway, VitrineClient(gateway.address) as client:
        with pytest.raises(VitrineError, match="GATEWAY_EVENTS"):
            await client.report()
    for wrong in ({"report_epsilon": 0.0}, {"report_epsilon": 6.0}, {"report_least_shoppers": 4}):
        with pytest.raises(InvalidSettings, match="GATEWAY_REPORT"):
            Settings(**wrong)
