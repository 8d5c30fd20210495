"""Shoppers whose click model is known, to see whether the loop finds what it should.

They search a gateway over gRPC, look at a place k with the chance k^-eta, click what they see by its hidden relevance and sometimes
by mistake, and their clicks go through FeedbackService into its store. A ranker is trained on that store, a gateway serves it, and
its order of unseen queries is judged by the relevance that only the simulator knows. Encoder and index are those of
`gateway.testing`: exact, by hashed words; what is simulated are the shoppers.
"""

import asyncio
import itertools
import math
import statistics
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from gateway.adapters.sqlite_events import SqliteEvents, open_sqlite_events
from gateway.retrieval.features import SCORE
from gateway.retrieval.ranker import LinearRanker
from gateway.retrieval.ranker_file import write_ranker
from gateway.retrieval.taste import CANDIDATES
from gateway.settings import Settings
from gateway.testing import PATIENT, FakeIndex, serving
from ranking.goods import Goods, drawn_goods, goods_of
from ranking.judging import ndcg
from ranking.log import Floats, Judged, read_log
from ranking.training import Trained, bias_of, route_weights, train
from vitrine.client import VitrineClient
from vitrine.domain.schema import Role
from vitrine.process.machine import describe_machine
from vitrine.v1.feedback_pb2 import Event
from vitrine.v1.search_pb2 import SearchRequest, SearchResponse

SHOWN = 20
"""Hits of an answer that a shopper may scroll through."""
ETA = 1.0
MISTAKES = 0.05
"""Chance that a look ends in a click on what is not relevant, or in none on what is."""
TEXT, PRICE, APPEAL, WHIM = 6.0, 1.5, 1.0, 0.5
"""What the hidden utility is made of: likeness of the words, a fitting price, the product's own appeal, and what belongs to one
query and product alone. Likeness of the pictures and rare words have no part in it."""
THRESHOLD = 5.5
CHEAPER, TOLERANCE = 0.2, 0.4
"""Shoppers want to pay so much less than a category's median, on a logarithmic scale, and how exactly."""
_BATCH = 50
_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is simulated."""

    products: int
    searches: int
    queries: int
    seeds: int
    exploration: float = 0.3
    """Share of the answers in which places may be exchanged."""
    data: Path | None = None
    """A catalogue whose products are offered; None: those that are drawn."""
    blind: bool = False
    """Shoppers click at random, so that there is nothing to learn."""


class Market:
    """The products, the queries, and what only the simulator knows: how relevant a product is to a query."""

    def __init__(self, plan: Plan, goods: Goods, seed: int) -> None:
        self._rng = np.random.default_rng((seed, 1))
        self._blind = plan.blind
        self.goods = goods
        self._appeal = {each.id: float(self._rng.standard_normal()) for each in goods.products}
        self._price = {
            name: math.log(price)
            for name, price in goods.values(Role.PRICE).items()
            if isinstance(price, float) and price > 0
        }
        self._category = goods.values(Role.CATEGORY)
        self._usual = {
            category: statistics.median(
                price for name, price in self._price.items() if self._category[name] == category
            )
            for category in {self._category[name] for name in self._price}
        }
        self._whims: dict[tuple[str, str], float] = {}

    def query(self) -> str:
        """Return what a shopper types who has a product in mind."""
        return self.goods.typed[int(self._rng.integers(len(self.goods.typed)))](self._rng)

    def relevance(self, text: str, answer: SearchResponse) -> Floats:
        """Return the chance that each hit is what the shopper wants, (n,)."""
        if self._blind:
            return np.full(len(answer.hits), 0.3)
        utility = [
            TEXT * hit.parts.text
            + PRICE * self._fit(hit.product_id)
            + APPEAL * self._appeal[hit.product_id]
            + WHIM * self._whim(text, hit.product_id)
            for hit in answer.hits
        ]
        return np.array([1 / (1 + math.exp(THRESHOLD - each)) for each in utility])

    def clicks(self, relevance: Floats) -> Iterator[int]:
        """Yield the places, from 1, that a shopper looks at and clicks."""
        places = np.arange(1, len(relevance) + 1)
        chances = places**-ETA * (MISTAKES + (1 - 2 * MISTAKES) * relevance)
        yield from (int(place) for place in places[self._rng.random(len(places)) < chances])

    def _fit(self, product_id: str) -> float:
        if product_id not in self._price:
            return 0.0
        wanted = self._usual[self._category[product_id]] - CHEAPER
        return math.exp(-(((self._price[product_id] - wanted) / TOLERANCE) ** 2) / 2)

    def _whim(self, text: str, product_id: str) -> float:
        return self._whims.setdefault((text, product_id), float(self._rng.standard_normal()))


async def measure(plan: Plan, *, say: Callable[[str], object] = print) -> dict[str, Any]:
    """Return the result: environment, params, and the figures of every seed."""
    runs = []
    for seed in range(1, plan.seeds + 1):
        runs.append(await simulate(plan, seed))
        told = ", ".join(f"{name} {value:.3f}" for name, value in runs[-1]["ndcg"].items())
        say(f"seed {seed}: NDCG@10 {told}; eta {runs[-1]['position_bias']['eta']:.2f}")
    return {
        "environment": describe_machine(("numpy", "lightgbm")),
        "params": {
            "benchmark": "ranking", **asdict(plan), "data": plan.data.name if plan.data is not None else "drawn", "shown": SHOWN, "eta": ETA, "mistakes": MISTAKES,
            "utility": {"text": TEXT, "price": PRICE, "appeal": APPEAL, "whim": WHIM, "threshold": THRESHOLD},
        },
        "results": runs,
    }  # fmt: skip


async def simulate(plan: Plan, seed: int) -> dict[str, Any]:
    """Return what one seed's shoppers taught, and what it was worth to others."""
    goods = drawn_goods(plan.products, seed) if plan.data is None else goods_of(plan.data, plan.products)
    market = Market(plan, goods, seed)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        async with shop(market, place / "events.db", exploration_share=plan.exploration) as (client, store):
            await let_click(market, client, plan.searches)
            await written(store, plan.searches)
            judged = of_shoppers(await read_log(store))
        trained = train(judged, share=Settings().learnt_share)
        unseen = [market.query() for _ in range(plan.queries)]
        async with shop(market, place / "default.db") as (client, store):
            default = [await search(client, text, limit=CANDIDATES) for text in unseen]
            await written(store, len(unseen))
            candidates = {each.answer.request_id: each for each in await read_log(store)}
        held = [candidates[answer.request_id] for answer in default]
        relevance = [market.relevance(text, answer) for text, answer in zip(unseen, default, strict=True)]
        orders = {"default": [each.feature(SCORE) for each in held]}
        orders |= _alternatives(judged, held)
        # Refused or not: the figures are to say what it would have been worth.
        write_ranker(place / "ranker.json", trained.ranker, {**trained.card, "refused": False})
        async with shop(market, place / "learnt.db", ranker=str(place / "ranker.json")) as (client, _):
            learnt = [await search(client, text, limit=CANDIDATES) for text in unseen]
        orders["learnt"] = [_as_served(each, before) for each, before in zip(learnt, default, strict=True)]
        orders["oracle"] = relevance
    return {
        "seed": seed,
        "ndcg": {name: _mean_ndcg(scores, relevance) for name, scores in orders.items()},
        "position_bias": trained.card["trained"]["position_bias"],
        "weights": dict(zip(trained.ranker.features, map(float, trained.ranker.weights), strict=True)),
        "image_weight": {
            route: weight for route, (weight, _) in route_weights(judged, bias_of(judged)).items()
        },
        "held_out": trained.card["held_out"],
        "refused": trained.card["refused"],
        "chosen": trained.card["trained"]["chosen"],
    }


def of_shoppers(judged: Sequence[Judged]) -> list[Judged]:
    """Return the answers without those of before the gateway was ready."""
    return [each for each in judged if each.answer.request_id.startswith("r")]


def _alternatives(judged: Sequence[Judged], held: Sequence[Judged]) -> dict[str, list[Floats]]:
    """Return the scores of what else could have been learnt from the same log."""
    uncorrected = train(judged, share=Settings().learnt_share, eta=0.0)
    bias = bias_of(judged)
    weights = {route: weight for route, (weight, _) in route_weights(judged, bias).items()}
    reweighted = []
    for each in held:
        weight = weights.get(each.answer.route, each.answer.score_weights[1])
        text, image = each.answer.score_weights
        change = (1 - weight - text) * each.feature("text") + (weight - image) * each.feature("image")
        reweighted.append(each.feature(SCORE) + change)
    return {
        "weights alone": reweighted,
        "position bias ignored": [_ranked(uncorrected, each) for each in held],
        **_lambdamart(judged, held, trained=train(judged, share=Settings().learnt_share)),
    }


def _lambdamart(
    judged: Sequence[Judged], held: Sequence[Judged], *, trained: Trained
) -> dict[str, list[Floats]]:
    """Return the scores of LightGBM's LambdaMART on the same features and weights, where it is installed."""
    try:
        from ranking.lambdamart import scores  # noqa: PLC0415
    except ModuleNotFoundError:
        return {}
    return {"LambdaMART": scores(judged, held, trained.ranker, bias_of(judged))}


def _ranked(trained: Trained, judged: Judged) -> Floats:
    ranker: LinearRanker = trained.ranker
    values: Floats = judged.feature(SCORE) + Settings().learnt_share * ranker.values(
        judged.features, judged.product_ids
    )
    return values


def _as_served(learnt: SearchResponse, default: SearchResponse) -> Floats:
    """Return scores that put the default answer's hits into the learnt answer's order."""
    places = {hit.product_id: place for place, hit in enumerate(learnt.hits)}
    return np.array([-float(places[hit.product_id]) for hit in default.hits])


def _mean_ndcg(scores: Sequence[Floats], relevance: Sequence[Floats]) -> float:
    return statistics.fmean(ndcg(score, known) for score, known in zip(scores, relevance, strict=True))


@asynccontextmanager
async def shop(
    market: Market, path: Path, **settings: Any
) -> AsyncIterator[tuple[VitrineClient, SqliteEvents]]:
    """Serve the market's products and keep what is done with them; requests are numbered, so that a seed draws the same again."""
    index = FakeIndex.holding(market.goods.products, schema=market.goods.schema)
    names = map("before-{}".format, itertools.count())
    chosen = replace(
        PATIENT, events=str(path), result_cache_entries=0, answer_log_entries=1_000_000, **settings
    )
    async with (
        open_sqlite_events(path) as store,
        serving(index=index, events=store, settings=chosen) as gateway,
        VitrineClient(
            gateway.address, timeout_s=_TIMEOUT_S, metadata=lambda: (("x-request-id", next(names)),)
        ) as client,
    ):
        # Before it knows the keys of its store, an answer has no token.
        while not (await search(client, "dress", limit=1)).answer_token:  # noqa: ASYNC110 - no event is set
            await asyncio.sleep(0.01)
        names = map("r{:08}".format, itertools.count())
        yield client, store


async def let_click(market: Market, client: VitrineClient, searches: int) -> None:
    """Let shoppers search so often, and record what they click."""
    waiting: list[Event] = []
    for number in range(searches):
        text = market.query()
        answer = await search(client, text, limit=SHOWN)
        for place in market.clicks(market.relevance(text, answer)):
            event = Event(
                id=f"e{number}-{place}",
                kind=Event.KIND_CLICK,
                product_id=answer.hits[place - 1].product_id,
                answer_token=answer.answer_token,
                position=place,
            )
            event.time.GetCurrentTime()
            waiting.append(event)
        if number % _BATCH == _BATCH - 1 or number == searches - 1:
            recorded = await client.record(waiting)
            assert recorded.recorded == len(waiting), "every click is taken"
            waiting.clear()


async def search(client: VitrineClient, text: str, *, limit: int) -> SearchResponse:
    """Return the answer to words alone."""
    return await client.search(SearchRequest(text=text, limit=limit))


async def written(store: SqliteEvents, answers: int) -> None:
    """Wait until the gateway has written so many answers beside its calls, and the one before them."""
    async with asyncio.timeout(_TIMEOUT_S):
        while True:
            mark, count = "", 0
            some, mark = await store.read_answers(mark, limit=5_000, timeout_s=_TIMEOUT_S)
            while some:
                count += len(some)
                some, mark = await store.read_answers(mark, limit=5_000, timeout_s=_TIMEOUT_S)
            if count > answers:
                return
            await asyncio.sleep(0.2)
