"""Ranking signals, campaigns and exchanged places in one search: none spoils another, and nothing found is no error."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from gateway.adapters.sqlite_campaigns import open_sqlite_campaigns
from gateway.adapters.sqlite_events import SqliteEvents, open_sqlite_events
from gateway.retrieval.ranker import LinearRanker
from gateway.retrieval.ranker_file import write_ranker
from gateway.retrieval.taste import CANDIDATES
from gateway.testing import PATIENT, product, serving
from vitrine.client import VitrineClient
from vitrine.v1 import query_pb2
from vitrine.v1.campaigns_pb2 import Campaign
from vitrine.v1.query_pb2 import Filter, Range
from vitrine.v1.search_pb2 import SearchRequest, SearchResponse

CATALOGUE = [product(f"p{number:03}", f"dress number {number}", price=10.0 + number) for number in range(50)]
ODD = product("p  x", "dress number 77", price=500.0)
"""Its id is one that `check_id` allows and `check_text` would change."""
NOTHING = Filter(range=Range(field="price", maximum=1.0))


def campaign(*products: str, **changes: Any) -> Campaign:
    made = Campaign(
        id="c", advertiser="A", bid_micros=100, budget_micros=10_000, currency="EUR", products=products,
        pacing=Campaign.PACING_ASAP, **changes,
    )  # fmt: skip
    made.starts.GetCurrentTime()
    made.ends.FromSeconds(made.starts.seconds + 86_400)
    made.starts.FromSeconds(made.starts.seconds - 60)
    return made


@asynccontextmanager
async def shop(folder: Path, **settings: Any) -> AsyncIterator[tuple[VitrineClient, SqliteEvents]]:
    """A gateway with a ranker that wants what is popular, dislikes that count, sponsored places, and events."""
    ranker = LinearRanker(
        features=("popularity", "text"), weights=np.array([5.0, 0.0]), mean=np.zeros(2), scale=np.ones(2),
        popularity={f"p{number:03}": number / 100 for number in range(50)},
    )  # fmt: skip
    write_ranker(folder / "ranker.json", ranker, {"refused": False, "trained": {}, "held_out": {}})
    names = map("r{}".format, itertools.count())
    chosen = replace(
        PATIENT,
        events="kept",
        campaigns="kept",
        ranker=str(folder / "ranker.json"),
        sponsored_budget_ms=30_000,
        **settings,
    )
    async with (
        open_sqlite_events(folder / "events.db") as events,
        open_sqlite_campaigns(folder / "campaigns.db") as campaigns,
        serving(products=[*CATALOGUE, ODD], events=events, campaigns=campaigns, settings=chosen) as gateway,
        VitrineClient(
            gateway.address, timeout_s=60, metadata=lambda: (("x-request-id", next(names)),)
        ) as client,
    ):
        yield client, events


async def dresses(client: VitrineClient, **request: Any) -> SearchResponse:
    return await client.search(SearchRequest(**{"text": "dress number", "limit": 10, **request}))


def ids(answer: SearchResponse) -> list[str]:
    return [hit.product_id for hit in answer.hits]


async def test_nothing_found_is_no_error(tmp_path: Path) -> None:
    """With a ranker and with a purpose, each of which orders what was found."""
    async with shop(tmp_path) as (client, _):
        assert ids(await dresses(client, filter=NOTHING)) == []
        assert ids(await dresses(client, filter=NOTHING, intent=query_pb2.INTENT_COMPARE)) == []


async def test_what_is_learnt_does_not_price_campaigns_out(tmp_path: Path) -> None:
    """A campaign's product is held against scores of which none has what a model or a shopper adds."""
    async with shop(tmp_path, learnt_share=1.0, sponsored_floor=0.5) as (client, _):
        plain = await dresses(client, text="dress", limit=50)
        least, best = plain.hits[40], max(hit.score for hit in plain.hits[CANDIDATES:])
        assert plain.hits[0].score > best + 0.5, "the model adds a lot"
        await client.campaigns.create(campaign(least.product_id))
        answer = await dresses(client, text="dress")
        assert answer.hits[0].product_id == least.product_id
        assert answer.hits[0].HasField("sponsored")
        assert answer.hits[1].product_id == plain.hits[0].product_id


async def test_an_answer_that_explores_has_no_sponsored_places(tmp_path: Path) -> None:
    """Its exchanged places stay where they are, and its pages lose and double nothing."""
    async with shop(tmp_path, exploration_share=1.0) as (client, _):
        before = await dresses(client, limit=50)
        await client.campaigns.create(campaign("p040"))
        for _ in range(4):
            paged, token = [], ""
            while len(paged) < len(CATALOGUE) + 1:
                answer = await dresses(client, page_token=token)
                assert not any(hit.HasField("sponsored") for hit in answer.hits)
                paged += ids(answer)
                token = answer.next_page_token
            assert sorted(paged) == sorted(each.id for each in [*CATALOGUE, ODD])
        assert len(before.hits) == 50


async def test_places_that_were_paid_for_teach_nothing(tmp_path: Path) -> None:
    """What is kept of an answer has the organic hits at the places where they were seen."""
    async with shop(tmp_path) as (client, events):
        await client.campaigns.create(campaign("p040"))
        while not (answer := await dresses(client)).answer_token:
            pass
        assert answer.hits[0].HasField("sponsored")
    async with open_sqlite_events(tmp_path / "events.db") as events:
        kept, _ = await events.read_answers("", limit=100, timeout_s=30)
    shown = [(each.product_id, each.position) for each in kept[-1].shown]
    assert shown == [(name, place) for place, name in enumerate(ids(answer), start=1) if name != "p040"]


async def test_an_intent_that_the_request_says_chooses_campaigns(tmp_path: Path) -> None:
    """Without anybody who reads the words."""
    async with shop(tmp_path) as (client, _):
        await client.campaigns.create(campaign("p040", intents=[query_pb2.INTENT_CONSULT]))
        assert not (await dresses(client)).hits[0].HasField("sponsored")
        answer = await dresses(client, intent=query_pb2.INTENT_CONSULT)
        assert answer.hits[0].HasField("sponsored")


async def test_a_sponsored_product_of_any_id_is_left_out_of_the_next_page(tmp_path: Path) -> None:
    """Ids go through a page token as they are."""
    async with shop(tmp_path) as (client, _):
        await client.campaigns.create(campaign("p  x"))
        first = await dresses(client, limit=25)
        assert first.hits[0].product_id == "p  x"
        second = await dresses(client, limit=26, page_token=first.next_page_token)
        assert sorted(ids(first) + ids(second)) == sorted(each.id for each in [*CATALOGUE, ODD])
