"""Whether an experiment's report finds a better order, and how often it finds one where both are equal.

The shoppers of `ranking.simulation` teach a ranker and then take part in an experiment: they differ in how much they search and in how
readily they choose, so that answers of one of them are alike. Their choices are counted as a gateway's report counts them, with its
noise, as often as it takes to know the rate of false findings; and once they search a gateway, whose report is read.
"""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.events import FOLDS
from gateway.feedback.experiments import Experiment
from gateway.feedback.folds import Counts, fold_of
from gateway.feedback.noise import noisy
from gateway.feedback.reports import ANSWER_SENSITIVITY, Rates, compared
from gateway.retrieval.query import Bucket
from gateway.retrieval.ranker_file import write_ranker
from gateway.settings import Settings
from ranking.goods import drawn_goods
from ranking.log import Floats, read_log
from ranking.simulation import (
    ETA,
    MISTAKES,
    SHOWN,
    Market,
    Plan,
    let_click,
    of_shoppers,
    search,
    shop,
    written,
)
from ranking.training import train
from vitrine.client import VitrineClient
from vitrine.process.machine import describe_machine
from vitrine.v1.feedback_pb2 import Event
from vitrine.v1.report_pb2 import Rate
from vitrine.v1.search_pb2 import SearchRequest

NAME = "simulated"
SEARCHES = 5.0
"""Searches of a shopper, on average; their number is geometric."""
READINESS = 4.0
"""Shape of the gamma distribution, of mean 1, of how readily a shopper chooses."""
CARTED, BOUGHT = 0.3, 0.3
"""Chance that what was clicked goes into the cart, and that this is bought."""
OUTCOMES = ("click_through", "cart", "conversion")
_EPSILON = 5.0
"""Of the report of the gateway, whose shoppers are few."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """How much is simulated."""

    repeats: int
    shoppers: Sequence[int]
    """Of an experiment; each number is tried."""
    searches: int
    """Through a gateway with an experiment."""
    seed: int = 1


async def measure_experiments(
    trial: Trial, plan: Plan, *, say: Callable[[str], object] = print
) -> dict[str, Any]:
    """Return the result: environment, params, how often orders were found to differ, and what the gateway reported."""
    market = Market(plan, drawn_goods(plan.products, trial.seed), trial.seed)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        ranker = str(await _taught(market, plan, place))
        asked = [market.query() for _ in range(plan.queries)]
        pools = {
            "default": await _relevances(market, asked, place / "default.db"),
            "learnt": await _relevances(market, asked, place / "learnt.db", ranker=ranker),
        }
        reported = await _reported(market, trial, place / "experiment.db", ranker)
    say(f"the gateway's report: {reported}")
    found = []
    dice = np.random.default_rng((trial.seed, 2))
    for name, learnt in (("equal", "default"), ("better", "learnt")):
        for shoppers in trial.shoppers:
            shares = _found([pools["default"], pools[learnt]], shoppers, trial.repeats, dice)
            found.append({"orders": name, "shoppers": shoppers, **shares})
            say(f"{name}, {shoppers:,} shoppers: {shares}")
    return {
        "environment": describe_machine(("numpy", "opendp")),
        "params": {
            "benchmark": "experiment", **asdict(trial), "products": plan.products, "taught_by": plan.searches, "queries": plan.queries, "shown": SHOWN,
            "searches_each": SEARCHES, "readiness": READINESS, "carted": CARTED, "bought": BOUGHT, "epsilon": Settings().report_epsilon, "gateway_epsilon": _EPSILON,
        },
        "results": {"found": found, "gateway": reported},
    }  # fmt: skip


async def _taught(market: Market, plan: Plan, place: Path) -> Path:
    async with shop(market, place / "taught.db", exploration_share=plan.exploration) as (client, store):
        await let_click(market, client, plan.searches)
        await written(store, plan.searches)
        trained = train(of_shoppers(await read_log(store)), share=Settings().learnt_share)
    path = place / "ranker.json"
    write_ranker(path, trained.ranker, {**trained.card, "refused": False})
    return path


async def _relevances(market: Market, asked: Sequence[str], path: Path, **settings: Any) -> Floats:
    """Return the relevance of the hits of each query in the order of a gateway, (queries, SHOWN); beyond the last hit it is -1."""
    relevances = np.full((len(asked), SHOWN), -1.0)
    async with shop(market, path, **settings) as (client, _):
        for row, text in zip(relevances, asked, strict=True):
            known = market.relevance(text, await search(client, text, limit=SHOWN))
            row[: len(known)] = known
    return relevances


def _found(
    pools: Sequence[Floats], shoppers: int, repeats: int, dice: np.random.Generator
) -> dict[str, dict[str, float]]:
    """Return by outcome in which share of the experiments the second order was found to be better, and worse."""
    drawn = [_compared(pools, f"{shoppers}-{repeat}", shoppers, dice) for repeat in range(repeats)]
    return {
        name: {
            "better": float(np.mean([getattr(each, name).lowest > 0 for each in drawn])),
            "worse": float(np.mean([getattr(each, name).highest < 0 for each in drawn])),
        }
        for name in OUTCOMES
    }


def _compared(pools: Sequence[Floats], salt: str, shoppers: int, dice: np.random.Generator) -> Rates:
    """Return what a report says of an experiment, of which the shoppers are drawn."""
    experiment = Experiment(NAME, 0.5)
    users = [f"{salt}-{number}" for number in range(shoppers)]
    learnt = np.array([experiment.bucket(user, "") is Bucket.LEARNT for user in users])
    folds = np.array([fold_of(NAME, user) for user in users])
    who = np.repeat(np.arange(shoppers), dice.geometric(1 / SEARCHES, shoppers))
    ready = dice.gamma(READINESS, 1 / READINESS, shoppers)[who]
    asked = dice.integers(0, len(pools[0]), len(who))
    relevance = np.where(learnt[who, np.newaxis], pools[1][asked], pools[0][asked])
    outcomes = _outcomes(relevance, ready, dice)
    counts = {":default": _counted(outcomes, folds[who], ~learnt[who])}
    counts[":learnt"] = _counted(outcomes, folds[who], learnt[who])
    flat, scale = noisy(
        [int(count) for each in counts.values() for count in each.flat],
        sensitivity=ANSWER_SENSITIVITY,
        epsilon=Settings().report_epsilon / 2,
    )
    noised = np.array(flat, np.int64).reshape(len(counts), FOLDS, ANSWER_SENSITIVITY)
    return compared({NAME + name: each for name, each in zip(counts, noised, strict=True)}, scale=scale)[NAME]


def _outcomes(relevance: Floats, ready: Floats, dice: np.random.Generator) -> NDArray[np.bool_]:
    """Return of each answer whether it was given, clicked, put into the cart and bought from, (n, 4)."""
    looked = np.arange(1, SHOWN + 1) ** -ETA * (relevance >= 0)
    chances = looked * np.minimum(1, ready[:, np.newaxis] * (MISTAKES + (1 - 2 * MISTAKES) * relevance))
    clicked = dice.random(relevance.shape) < chances
    carted = clicked & (dice.random(relevance.shape) < CARTED)
    bought = carted & (dice.random(relevance.shape) < BOUGHT)
    return np.stack([np.ones(len(ready), np.bool_), clicked.any(1), carted.any(1), bought.any(1)], axis=1)


def _counted(outcomes: NDArray[np.bool_], folds: NDArray[np.int64], own: NDArray[np.bool_]) -> Counts:
    counts = np.zeros((FOLDS, ANSWER_SENSITIVITY), np.int64)
    np.add.at(counts, folds[own], outcomes[own])
    return counts


async def _reported(market: Market, trial: Trial, path: Path, ranker: str) -> dict[str, Any]:
    """Return what a gateway reports of an experiment whose shoppers search it and click."""
    dice = np.random.default_rng((trial.seed, 3))
    people = max(1, round(trial.searches / SEARCHES))
    settings = {"experiment": f"{NAME}:.5", "report_epsilon": _EPSILON, "report_budget": _EPSILON}
    async with shop(market, path, ranker=ranker, **settings) as (client, store):
        for number in range(trial.searches):
            await _visited(market, client, f"user-{dice.integers(people)}", f"e{number}")
        await written(store, trial.searches)
        report = await client.report(1)
    (between,) = report.comparisons
    return {
        "answers": {each.bucket: each.answers for each in report.buckets},
        "shares": {each.bucket: _told(each.click_through) for each in report.buckets if each.bucket},
        "difference": {name: _told(getattr(between, name)) for name in OUTCOMES},
    }


async def _visited(market: Market, client: VitrineClient, user: str, name: str) -> None:
    text = market.query()
    answer = await client.search(SearchRequest(text=text, limit=SHOWN, user_id=user))
    events = []
    for place in market.clicks(market.relevance(text, answer)):
        event = Event(
            id=f"{name}-{place}", kind=Event.KIND_CLICK, product_id=answer.hits[place - 1].product_id
        )
        event.answer_token, event.position = answer.answer_token, place
        event.time.GetCurrentTime()
        events.append(event)
    if events:
        await client.record(events)


def _told(rate: Rate) -> list[float]:
    return [round(each, 4) for each in (rate.value, rate.lowest, rate.highest)]
