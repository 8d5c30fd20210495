"""Learning from clicks: position bias, popularity, weights, what an order is worth, and what is refused."""

import asyncio
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from gateway.adapters.sqlite_events import open_sqlite_events
from gateway.events import Answer, Event, EventKind, Shown
from gateway.retrieval.ranker_file import UnusableRanker, read_ranker
from ranking.cli import main
from ranking.judging import compare, ndcg
from ranking.log import Judged, read_log
from ranking.onnx_file import export_onnx
from ranking.pairwise import fit
from ranking.popularity import popularity
from ranking.propensity import MAX_WEIGHT, PositionBias, estimate_bias
from ranking.simulation import Plan, simulate
from ranking.training import TooLittle, route_weights, train

ETA = 0.8
HITS = 10
Relevance = Callable[[np.ndarray, np.ndarray], np.ndarray]


@cache
def shoppers(answers: int, relevance: Relevance, *, seed: int = 1, swaps: bool = True) -> Sequence[Judged]:
    """Let simulated shoppers see answers ordered by a poor score and click by their position bias."""
    rng = np.random.default_rng(seed)
    judged = []
    for number in range(answers):
        text, image = rng.normal(size=(2, HITS)) * 0.1
        order = np.argsort(-(text + image))
        swap = int(rng.integers(2, HITS + 1)) if swaps else 0
        if swap and rng.random() < 0.5:
            order[[0, swap - 1]] = order[[swap - 1, 0]]
        text, image = text[order], image[order]
        ids = rng.choice(40, HITS, replace=False)
        seen = rng.random(HITS) < np.arange(1, HITS + 1) ** -ETA
        chosen = seen & (rng.random(HITS) < relevance(text, ids))
        shown = tuple(
            Shown(
                product_id=f"p{ids[place]}",
                position=place + 1,
                features={
                    "score": (text[place] + image[place]) / 2,
                    "text": text[place],
                    "image": image[place],
                },
            )
            for place in range(HITS)
        )
        answer = Answer(request_id=f"r{number:05}", at_ms=number, route="text", swap=swap, shown=shown)
        judged.append(Judged(answer=answer, chosen=chosen))
    return tuple(judged)


def by_words(text: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Give a relevance by the words alone, and by what every fourth product has of its own."""
    return 1 / (1 + np.exp(1.0 - 20 * text - 1.5 * (ids % 4 == 0)))


def by_nothing(_: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Give everything the same relevance."""
    return np.full(len(ids), 0.3)


def test_exchanged_places_tell_the_position_bias_whatever_is_relevant() -> None:
    """The estimate is within four of its own standard errors, where what stands in front is also what is better."""
    bias = estimate_bias(shoppers(4_000, by_words))
    assert bias is not None
    assert abs(bias.eta - ETA) < 4 * bias.error
    assert 0 < bias.error < 0.1
    assert estimate_bias(shoppers(4_000, by_words, swaps=False)) is None
    assert PositionBias(eta=2.0).weights(np.array([1.0, 2.0, 100.0])).tolist() == [1.0, 4.0, MAX_WEIGHT]


def test_popularity_is_not_what_a_place_gives() -> None:
    """Two products that are equally good have equal rates, one of them always in front; ignoring places they differ."""
    rng = np.random.default_rng(2)
    judged = []
    for number in range(4_000):
        chosen = (rng.random(5) < np.arange(1, 6) ** -1.0) & (rng.random(5) < 0.4)
        shown = tuple(Shown(product_id=f"p{place}", position=place) for place in range(1, 6))
        judged.append(
            Judged(
                answer=Answer(request_id=str(number), at_ms=number, route="text", shown=shown), chosen=chosen
            )
        )
    fair, unfair = (popularity(judged, PositionBias(eta=eta)).rates for eta in (1.0, 0.0))
    assert fair["p5"] == pytest.approx(fair["p1"], rel=0.15)
    assert unfair["p5"] < 0.3 * unfair["p1"]


def test_weights_are_those_of_the_least_loss() -> None:
    """The gradient at the fitted weights is none, and a feature that decides the pairs has the greatest weight."""
    rng = np.random.default_rng(3)
    differences = rng.normal(size=(500, 3))
    differences[:, 1] += 0.8
    weights = rng.random(500)
    found = fit(differences, weights)

    def loss(w: np.ndarray) -> float:
        return float(weights @ np.log1p(np.exp(-differences @ w)) + w @ w / 2)

    for column in range(3):
        step = np.eye(3)[column] * 1e-4
        assert loss(found) <= min(loss(found + step), loss(found - step)) + 1e-9
    assert np.argmax(found) == 1


def test_what_an_order_is_worth_is_what_full_knowledge_says() -> None:
    """Clicks on another order, by inverse propensities, give nearly the gain that all relevances give."""
    judged = shoppers(4_000, by_words)
    bias = PositionBias(eta=ETA)
    texts = [each.feature("text") for each in judged]
    defaults = [each.feature("score") for each in judged]
    told = compare(judged, texts, defaults, bias)
    gains = {}
    for name, scores in (("new", texts), ("old", defaults)):
        relevance = [
            by_words(each.feature("text"), np.array([int(i[1:]) for i in each.product_ids]))
            for each in judged
        ]
        ranks = [np.argsort(np.argsort(-score)) + 1 for score in scores]
        gains[name] = sum(
            float(np.sum(rel / np.log2(1 + rank))) for rel, rank in zip(relevance, ranks, strict=True)
        )
    assert told.ndcg / told.default == pytest.approx(gains["new"] / gains["old"], rel=0.03)
    assert told.lowest_gain < told.ndcg - told.default < told.highest_gain
    assert told.wins
    assert ndcg(np.array([3.0, 2.0, 1.0]), np.array([0.0, 1.0, 1.0])) == pytest.approx(
        (1 / math.log2(3) + 1 / 2) / (1 + 1 / math.log2(3))
    )


def test_training_finds_what_matters_and_refuses_what_does_not() -> None:
    """Words and popularity have weight, pictures next to none; where clicks are blind the ranker is refused."""
    trained = train(shoppers(4_000, by_words), share=1.0)
    weights = dict(zip(trained.ranker.features, trained.ranker.weights, strict=True))
    assert weights.keys() == {"text", "image", "popularity"}
    assert abs(weights["image"]) < 0.2 * min(weights["text"], weights["popularity"])
    assert trained.card["refused"] is False
    assert trained.comparison.ndcg > trained.comparison.default
    assert train(shoppers(4_000, by_nothing), share=1.0).card["refused"] is True
    with pytest.raises(TooLittle, match="training needs 200"):
        train(shoppers(20, by_words), share=1.0)
    with pytest.raises(TooLittle, match="GATEWAY_EXPLORATION_SHARE"):
        train(shoppers(500, by_words, swaps=False), share=1.0)
    assert train(shoppers(1_000, by_words, swaps=False), share=1.0, eta=ETA).card["refused"] is False


def test_weights_of_a_route_follow_what_is_clicked() -> None:
    """A route whose clicks follow the words weighs pictures little; one with too few clicks is left out."""
    judged = shoppers(3_000, by_words)
    few = [replace(each, answer=replace(each.answer, route="image")) for each in shoppers(20, by_words)]
    found = route_weights([*judged, *few], PositionBias(eta=ETA))
    assert found.keys() == {"text"}
    weight, worth = found["text"]
    assert 0 <= weight < 0.15
    assert worth.wins


async def test_the_log_joins_answers_and_what_was_chosen(tmp_path: Path) -> None:
    """By the request and the product; impressions and hides choose nothing, and a wrong position changes nothing."""
    shown = tuple(Shown(product_id=f"p{place}", position=place) for place in (1, 2, 3))
    answers = [
        Answer(request_id=name, at_ms=at, route="text", shown=shown)
        for name, at in (("late", 2), ("early", 1))
    ]
    kinds = {
        "p1": EventKind.IMPRESSION,
        "p2": EventKind.PURCHASE,
        "p3": EventKind.HIDE,
        "p9": EventKind.CLICK,
    }
    events = [
        Event(id=name, kind=kind, product_id=name, at_ms=3, request_id="late", position=1)
        for name, kind in kinds.items()
    ]
    async with open_sqlite_events(tmp_path / "events.db") as store:
        await store.log_answers(answers, most=10, timeout_s=30)
        await store.append(events, timeout_s=30)
        early, late = await read_log(store)
    assert (early.answer.request_id, early.chosen.tolist()) == ("early", [False] * 3)
    assert (late.chosen.tolist(), late.positions.tolist()) == ([False, True, False], [1.0, 2.0, 3.0])


def _kept(path: Path, judged: list[Judged]) -> Path:
    """Write a log of answers and clicks as a gateway does."""

    async def write() -> None:
        async with open_sqlite_events(path) as store:
            await store.log_answers([each.answer for each in judged], most=100_000, timeout_s=60)
            clicks = [
                Event(
                    id=f"{each.answer.request_id}-{name}",
                    kind=EventKind.CLICK,
                    product_id=name,
                    at_ms=each.answer.at_ms,
                    request_id=each.answer.request_id,
                )
                for each in judged
                for name, chosen in zip(each.product_ids, each.chosen, strict=True)
                if chosen
            ]
            await store.append(clicks, timeout_s=60)

    asyncio.run(write())
    return path


def _run(*arguments: Any) -> Any:
    return CliRunner().invoke(main, [str(each) for each in arguments])


def test_the_commands_write_what_a_gateway_reads(tmp_path: Path) -> None:
    """A ranker with its card and its graph, and settings by route; the same graph gives the same values."""
    onnx_runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    events = _kept(tmp_path / "events.db", shoppers(2_500, by_words))
    path = tmp_path / "out" / "ranker.json"
    done = _run("train", "--events", events, "--out", path)
    assert (done.exit_code, "for GATEWAY_RANKER" in done.output) == (0, True), done.output
    ranker, card = read_ranker(path)
    assert card["trained"]["answers"] == 2_500
    told = [{"text": 0.1, "image": -0.1}, {"text": -0.2}]
    raw = np.array([[each.get(name, np.nan) for name in ranker.features] for each in told], dtype=np.float32)
    raw[:, ranker.features.index("popularity")] = ranker.usual_popularity
    session = onnx_runtime.InferenceSession(
        str(path.with_suffix(".onnx")), providers=["CPUExecutionProvider"]
    )
    (values,) = session.run(None, {"features": raw})
    assert values == pytest.approx(ranker.values(told, ["new", "new"]), abs=1e-5)
    export_onnx(ranker, tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == path.with_suffix(".onnx").read_bytes()
    learnt = _run("weights", "--events", events, "--out", tmp_path / "weights.env")
    assert learnt.exit_code == 0, learnt.output
    name, _, value = (tmp_path / "weights.env").read_text().strip().partition("=")
    assert (name, float(value) < 0.2) == ("GATEWAY_TEXT_IMAGE_WEIGHT", True)


def test_a_refused_ranker_is_written_and_no_gateway_loads_it(tmp_path: Path) -> None:
    """Exit status 1 and the figures; a file that is not there, and one that is none, are said in a line."""
    events = _kept(tmp_path / "events.db", shoppers(1_500, by_nothing))
    path = tmp_path / "ranker.json"
    done = _run("train", "--events", events, "--eta", ETA, "--out", path)
    assert (done.exit_code, "does not beat the default order" in done.output) == (1, True)
    assert json.loads(path.read_text())["card"]["held_out"]["clicks"] > 0
    with pytest.raises(UnusableRanker, match="did not beat"):
        read_ranker(path)
    missing = _run("train", "--events", tmp_path / "none.db")
    assert (missing.exit_code, "no such file" in missing.output) == (1, True)
    (tmp_path / "text.db").write_text("no database" * 100)
    assert "not a database" in _run("weights", "--events", tmp_path / "text.db").output


@pytest.mark.slow
async def test_the_loop_finds_what_simulated_shoppers_want() -> None:
    """Searches and clicks over gRPC, a ranker trained on the store, and a gateway that serves its order of unseen queries."""
    told = await simulate(Plan(products=80, searches=500, queries=40, seeds=1, exploration=1.0), 1)
    assert told["ndcg"]["oracle"] == 1
    assert told["ndcg"]["learnt"] > told["ndcg"]["default"] + 0.05
    assert abs(told["position_bias"]["eta"] - 1) < 4 * told["position_bias"]["error"]
