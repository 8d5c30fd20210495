"""Learnt ranking: what the ranker does to an order, who gets it, and what is kept for the next one."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.adapters.sqlite_events import open_sqlite_events
from gateway.errors import EventStoreError
from gateway.events import Answer
from gateway.feedback.answers import MAX_WAITING, AnswerLog
from gateway.feedback.experiments import read_experiment
from gateway.metrics import Metrics
from gateway.model import Hit, Weights
from gateway.retrieval.query import Bucket, Query, SearchResult, Timings, Versions
from gateway.retrieval.ranker import LinearRanker
from gateway.retrieval.ranker_file import UnusableRanker, digest_of, read_ranker, write_ranker
from gateway.retrieval.taste import CANDIDATES
from gateway.settings import Settings
from gateway.testing import PATIENT, product, serving
from vitrine.client import VitrineClient
from vitrine.process.settings import InvalidSettings
from vitrine.v1.search_pb2 import ConverseRequest, SearchRequest, SearchResponse

CATALOGUE = [
    product(f"p{number:03}", f"dress number {number}", price=10.0 + number)
    for number in range(CANDIDATES + 20)
]
CARD = {"refused": False, "trained": {}, "held_out": {}}


def ranker(**changes: Any) -> LinearRanker:
    """Give a ranker that wants what is popular: p007 above all."""
    popular = LinearRanker(
        features=("popularity", "text"),
        weights=np.array([5.0, 0.0]),
        mean=np.zeros(2),
        scale=np.ones(2),
        popularity={"p007": 1.0, "p008": 0.5},
    )
    return replace(popular, **changes)


@asynccontextmanager
async def shop(tmp_path: Path, **settings: Any) -> AsyncIterator[tuple[VitrineClient, Callable[[], Any]]]:
    """A gateway with a ranker, unless told otherwise, that keeps events; and what reads the answers that were kept."""
    path = tmp_path / "ranker.json"
    names = map("before-{}".format, itertools.count())
    write_ranker(path, ranker(), CARD)
    chosen = replace(PATIENT, events="kept", **{"ranker": str(path), **settings})
    async with (
        open_sqlite_events(tmp_path / "events.db") as store,
        serving(products=CATALOGUE, events=store, settings=chosen) as gateway,
        VitrineClient(
            gateway.address, timeout_s=60, metadata=lambda: (("x-request-id", next(names)),)
        ) as client,
    ):
        while not (await dresses(client)).answer_token:  # noqa: ASYNC110 - no event is set
            await asyncio.sleep(0.01)
        names = map(
            "r{}".format, itertools.count()
        )  # what places are exchanged hangs on the request's id alone

        async def kept() -> list[Answer]:
            return (await store.read_answers("", limit=1_000, timeout_s=30))[0]

        yield client, kept


async def dresses(
    client: VitrineClient, *, limit: int = 10, token: str = "", user: str = ""
) -> SearchResponse:
    return await client.search(
        SearchRequest(text="dress number", limit=limit, page_token=token, user_id=user)
    )


def ids(answer: SearchResponse) -> list[str]:
    return [hit.product_id for hit in answer.hits]


async def test_the_ranker_orders_the_best_thirty_by_its_share(tmp_path: Path) -> None:
    """Its favourites among them come first, each score is the sum of its parts, and pages fit together."""
    async with shop(tmp_path, ranker="", answer_log_entries=0) as (client, _):
        plain = await dresses(client, limit=50)
    async with shop(tmp_path, learnt_share=0.5) as (client, _):
        learnt = await dresses(client, limit=50)
        best = ids(plain)[:CANDIDATES]
        favourites = [name for name in ("p007", "p008") if name in best]
        assert favourites
        assert ids(learnt)[: len(favourites)] == favourites
        assert sorted(ids(learnt)[:CANDIDATES]) == sorted(best)
        assert ids(learnt)[CANDIDATES:] == ids(plain)[CANDIDATES:]
        before = {hit.product_id: hit.score for hit in plain.hits}
        for hit in learnt.hits[:CANDIDATES]:
            assert hit.score == pytest.approx(before[hit.product_id] + 0.5 * hit.parts.signals["learnt"])
        assert learnt.searched.weights.signals["learnt"] == 0.5
        paged, token = [], ""
        while len(paged) < len(CATALOGUE):
            answer = await dresses(client, limit=7, token=token)
            paged += ids(answer)
            token = answer.next_page_token
        assert paged == ids(learnt)
    assert "learnt" not in plain.searched.weights.signals


async def test_an_experiment_gives_each_shopper_one_order_on_every_page(tmp_path: Path) -> None:
    """A shopper's bucket stays; the default one has no learnt signal; a page follows the one before it."""
    experiment = read_experiment("pop-1:.5")
    users = {experiment.bucket(f"user-{number}", "r"): f"user-{number}" for number in range(50)}
    assert users.keys() == {Bucket.DEFAULT, Bucket.LEARNT}
    async with shop(tmp_path, experiment="pop-1:.5") as (client, kept):
        for bucket, user in users.items():
            answer = await dresses(client, user=user)
            assert answer.bucket == f"pop-1:{bucket.name.lower()}"
            assert {"learnt" in hit.parts.signals for hit in answer.hits} == {bucket is Bucket.LEARNT}
        first = await dresses(client)
        for _ in range(5):  # without an id each request is drawn, but for those of one list of pages
            assert (await dresses(client, token=first.next_page_token)).bucket == first.bucket
        turn = ConverseRequest(text="dress number")
        (nobodys,) = [event.result async for event in client.converse(turn) if event.HasField("result")]
        assert (nobodys.bucket, "learnt" in nobodys.hits[0].parts.signals) == ("", False)
        await _until(kept, 5)
        assert {each.bucket for each in await kept()} == {"pop-1:default", "pop-1:learnt", ""}


async def _until(kept: Callable[[], Any], number: int) -> None:
    """Wait until so many answers are written."""
    async with asyncio.timeout(60):
        while len(await kept()) < number:  # noqa: ASYNC110 - no event is set
            await asyncio.sleep(0.05)


def test_an_experiment_splits_by_its_share() -> None:
    """The share is kept over many shoppers, and another name splits them otherwise."""
    first, second = read_experiment("a:.2"), read_experiment("b:.2")
    users = [f"user-{number}" for number in range(5_000)]
    in_first = {user for user in users if first.bucket(user, "") is Bucket.LEARNT}
    in_second = {user for user in users if second.bucket(user, "") is Bucket.LEARNT}
    assert 850 < len(in_first) < 1_150
    assert 120 < len(in_first & in_second) < 290
    assert read_experiment("").bucket("user-1", "") is Bucket.NONE
    for wrong in ("a", "a:2", "a:-1", "A:.5", "a:nan", ":.5", f"{'a' * 40}:.5"):
        with pytest.raises(InvalidSettings, match="GATEWAY_EXPERIMENT"):
            read_experiment(wrong)


async def test_what_was_shown_is_kept_with_its_features_and_no_words(tmp_path: Path) -> None:
    """Products, places, weights and features; places are exchanged in a share of the answers alone."""
    async with shop(tmp_path, ranker="", exploration_share=1.0) as (client, kept):
        answers = {(answer := await dresses(client, user="ann")).request_id: answer for _ in range(20)}
        await _until(kept, 21)
        stored = [each for each in await kept() if each.request_id in answers]
    assert {each.request_id for each in stored} == answers.keys()
    exchanged = 0
    for each in stored:
        told = answers[each.request_id]
        assert [shown.product_id for shown in each.shown] == ids(told)
        assert 2 <= each.swap <= 10
        scores = [hit.score for hit in told.hits]
        exchanged += scores != sorted(scores, reverse=True)
        assert each.shown[0].features.keys() == {"score", "text", "image", "lexical", "price_fit"}
        assert each.shown[0].features["text"] == pytest.approx(told.hits[0].parts.text, rel=1e-4)
        assert "dress" not in each.packed()
        assert "ann" not in each.packed()
    assert 3 <= exchanged <= 17  # half of them, by the ids of the requests


async def test_answers_beyond_the_queue_are_dropped_and_counted() -> None:
    """A store that fails loses answers and nothing else, and no more wait than may."""

    class Failing:
        async def log_answers(self, *_: object, **__: object) -> None:
            raise EventStoreError

    metrics = Metrics()
    log = AnswerLog(Failing(), metrics, entries=10)
    result = SearchResult(
        hits=(Hit(product=CATALOGUE[0], score=1, text_score=1, image_score=1),),
        searched=Query(text="x"),
        weights=Weights(text=0.5, image=0.5),
        degraded=(),
        timings=Timings(total_s=0, stages_s={}),
        versions=Versions(model="m", index="i", schema=None),
    )
    for number in range(MAX_WAITING + 5):
        log.note(result, str(number), "")
    log.note(replace(result, hits=()), "empty", "")
    await log.flush()
    assert metrics.logged_answers.labels("dropped")._value.get() == MAX_WAITING + 5
    assert metrics.logged_answers.labels("kept")._value.get() == 0


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"format": 2}, "no ranker of format 1"),
        ({"card": {"refused": True}}, "did not beat the default order"),
        ({"features": ["popularity", "horoscope"]}, "features: horoscope: not known"),
        ({"weights": [1.0]}, "weights: must be 2 numbers"),
        ({"weights": [1.0, float("nan")]}, "weights: must be 2 numbers"),
        ({"scale": [1.0, 0.0]}, "scale: every number must be more than 0"),
        ({"popularity": {"p1": "high"}}, "popularity: every value must be a number"),
        ({"popularity": []}, "popularity: must be a table"),
    ],
)
def test_a_ranker_that_may_not_serve_says_why(tmp_path: Path, change: dict[str, Any], told: str) -> None:
    """Each wrong file is refused with its field; with its digest intact, so that it is the field that is wrong."""
    path = tmp_path / "ranker.json"
    write_ranker(path, ranker(), CARD)
    content = json.loads(path.read_text()) | change
    del content["digest"]
    path.write_text(json.dumps({"digest": digest_of(content), **content}))
    with pytest.raises(UnusableRanker, match=told):
        read_ranker(path)


async def test_a_gateway_refuses_to_start_with_a_damaged_ranker(tmp_path: Path) -> None:
    """An edited file, one that is none, and one that is not there name the setting."""
    path = tmp_path / "ranker.json"
    write_ranker(path, ranker(), CARD)
    path.write_text(path.read_text().replace("5.0", "6.0"))
    (tmp_path / "other.json").write_text("{")
    for wrong in (path, tmp_path / "other.json", tmp_path / "missing.json"):
        with pytest.raises(InvalidSettings, match="GATEWAY_RANKER"):
            async with serving(settings=replace(PATIENT, ranker=str(wrong))):
                raise AssertionError
    assert Settings().ranker == ""


async def test_a_written_ranker_reads_back(tmp_path: Path) -> None:
    """Every number of it, and what is not known counts as its mean."""
    path = tmp_path / "ranker.json"
    write_ranker(path, ranker(mean=np.array([0.1, 0.2])), CARD)
    read, card = read_ranker(path)
    told = [{"text": 0.2}, {}]
    assert card == CARD
    assert (
        read.values(told, ["p007", "new"]).tolist()
        == ranker(mean=np.array([0.1, 0.2])).values(told, ["p007", "new"]).tolist()
    )
    assert read.matrix(told, ["p007", "p007"])[:, 1].tolist() == [0.0, 0.0]
