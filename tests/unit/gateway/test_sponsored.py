"""Sponsored places: who is shown, marked as such, for what price, and what of the page stays as it was."""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from gateway.adapters.sqlite_campaigns import open_sqlite_campaigns
from gateway.testing import PATIENT, FakeRewriter, product, serving
from gateway.testing.served import ServedGateway
from vitrine.client import VitrineClient, VitrineError
from vitrine.v1 import query_pb2, rewrite_pb2
from vitrine.v1.campaigns_pb2 import Campaign
from vitrine.v1.query_pb2 import Equals, FieldValue, Filter, Sort, Weights
from vitrine.v1.search_pb2 import ConverseRequest, SearchRequest, SearchResponse

SETTINGS = replace(PATIENT, sponsored_budget_ms=30_000, lexical_share=0.0)
DRESSES = [
    product(f"p{number:02}", f"dress number {number}", brand=("Ada", "Bo")[number % 2], price=10.0 + number)
    for number in range(30)
]
LAMPS = [product(f"lamp{number}", f"iron lamp {number}", brand="Lux", category="lamp") for number in range(3)]
WORDS = Weights(text=1.0, image=0.0)


def campaign(name: str, *products: str, **changes: Any) -> Campaign:
    """Return a campaign of a bid of 100 that runs since a minute and for a day, as fast as it goes."""
    usual: dict[str, Any] = {
        "advertiser": f"{name} Ltd", "bid_micros": 100, "budget_micros": 10_000, "currency": "EUR",
        "pacing": Campaign.PACING_ASAP,
    }  # fmt: skip
    made = Campaign(id=name, products=products, **{**usual, **changes})
    now = int(time.time())
    if "starts" not in changes:
        made.starts.seconds = now - 60
    if "ends" not in changes:
        made.ends.seconds = now + 86_400
    return made


def of_brand(brand: str) -> Filter:
    """Return the condition that products are of a brand."""
    return Filter(equals=Equals(field="brand", value=FieldValue(text=brand)))


@asynccontextmanager
async def shop(folder: Path, **options: Any) -> AsyncIterator[tuple[VitrineClient, ServedGateway]]:
    """A gateway with sponsored places."""
    options.setdefault("settings", SETTINGS)
    async with (
        open_sqlite_campaigns(folder / "campaigns.db") as store,
        serving(products=[*DRESSES, *LAMPS], campaigns=store, **options) as gateway,
        VitrineClient(gateway.address, timeout_s=60) as client,
    ):
        yield client, gateway


async def dresses(client: VitrineClient, **request: Any) -> SearchResponse:
    """Search for dresses by their words alone."""
    usual: dict[str, Any] = {"text": "dress", "weights": WORDS, "limit": 10}
    return await client.search(SearchRequest(**{**usual, **request}))


def ids(answer: SearchResponse) -> list[str]:
    """Return the ids of the hits."""
    return [hit.product_id for hit in answer.hits]


def paid(answer: SearchResponse) -> list[str]:
    """Return the products in sponsored places."""
    return [hit.product_id for hit in answer.hits if hit.HasField("sponsored")]


async def spent(client: VitrineClient, name: str) -> tuple[int, int]:
    """Return what a campaign spent, and for how many impressions."""
    spend = (await client.campaigns.spend(name)).spend
    return spend.spent_micros, spend.impressions


async def test_a_place_is_marked_and_the_order_is_otherwise_as_it_was(tmp_path: Path) -> None:
    """The product says who pays and keeps its own score; over all pages nothing is lost or doubled; page two has none."""
    async with shop(tmp_path) as (client, _):
        organic = await dresses(client, limit=30)
        shown = ids(organic)[20]
        await client.campaigns.create(campaign("spring", shown))
        first = await dresses(client)
        assert ids(first) == [shown, *ids(organic)[:9]]
        told = first.hits[0].sponsored
        assert (told.campaign_id, told.advertiser) == ("spring", "spring Ltd")
        assert paid(first) == [shown]
        assert first.hits[0].score == pytest.approx(organic.hits[20].score)
        assert first.hits[0].parts.reasons["sponsored"] == "product"
        pages, token = ids(first), first.next_page_token
        while token:
            page = await dresses(client, page_token=token)
            assert paid(page) == []
            pages, token = pages + ids(page), page.next_page_token
        whole = [*ids(organic), *ids(await dresses(client, limit=33))]
        assert pages == [shown, *(each for each in dict.fromkeys(whole) if each != shown)]
        assert await spent(client, "spring") == (2, 2)


async def test_a_product_of_the_page_is_moved_and_the_last_page_keeps_what_gave_way(tmp_path: Path) -> None:
    """A hit of the page goes to its place; where one of another page comes, the one that gives way is on the next page."""
    narrow = Filter(range=query_pb2.Range(field="price", maximum=14.5))
    async with shop(tmp_path) as (client, _):
        organic = ids(await dresses(client, filter=narrow))
        assert len(organic) > 4
        await client.campaigns.create(campaign("spring", organic[2]))
        moved = await dresses(client, filter=narrow)
        assert ids(moved) == [organic[2], *organic[:2], *organic[3:]]
        first = await dresses(client, filter=narrow, limit=2)
        rest = await dresses(client, filter=narrow, limit=2, page_token=first.next_page_token)
        assert ids(first) + ids(rest) == [organic[2], organic[0], organic[1], organic[3]]
        whole = await dresses(client, filter=narrow, limit=len(organic) - 1)
        last = await dresses(client, filter=narrow, limit=len(organic) - 1, page_token=whole.next_page_token)
        assert sorted(ids(whole) + ids(last)) == sorted(organic)


async def test_an_irrelevant_rich_bid_does_not_show(tmp_path: Path) -> None:
    """What is no answer to the query is not shown for any money, and sets nobody else's price."""
    async with shop(tmp_path) as (client, _):
        await client.campaigns.create(
            campaign("rich", "lamp1", bid_micros=1_000_000_000, budget_micros=10**12)
        )
        await client.campaigns.create(
            campaign("lamps", filter=of_brand("Lux"), bid_micros=900_000_000, budget_micros=10**12)
        )
        assert paid(await dresses(client)) == []
        await client.campaigns.create(campaign("modest", "p20", bid_micros=5))
        assert paid(await dresses(client)) == ["p20"]
        assert await spent(client, "rich") == await spent(client, "lamps") == (0, 0)
        assert await spent(client, "modest") == (1, 1)
        assert paid(await dresses(client, text="iron lamp")) == ["lamp1"]


async def test_a_winner_pays_what_the_next_one_would_have_needed(tmp_path: Path) -> None:
    """Second price by relevance, at least the reserve, never above the own bid; several places go in order."""
    settings = replace(SETTINGS, sponsored_positions="1,4", sponsored_reserve_micros=7)
    async with shop(tmp_path, settings=settings) as (client, _):
        scores = {hit.product_id: hit.score for hit in (await dresses(client, limit=30)).hits}
        for name, shown, bid in (("a", "p11", 100), ("b", "p12", 80), ("c", "p13", 60), ("low", "p14", 6)):
            await client.campaigns.create(campaign(name, shown, bid_micros=bid))
        answer = await dresses(client)
        ranks = {"p11": 100 * scores["p11"], "p12": 80 * scores["p12"], "p13": 60 * scores["p13"]}
        first, second, third = sorted(ranks, key=lambda name: -ranks[name])
        assert (ids(answer)[0], ids(answer)[3], len(paid(answer))) == (first, second, 2)
        names = {"p11": "a", "p12": "b", "p13": "c"}
        for winner, rival in ((first, second), (second, third)):
            rival_value = ranks[rival] / scores[winner]
            assert await spent(client, names[winner]) == (math.ceil(rival_value - 1e-9), 1)
        for name in ("a", "b"):
            await client.campaigns.delete(name)
        before, _ = await spent(client, "c")
        assert paid(await dresses(client)) == ["p13"]
        assert (await spent(client, "c"))[0] == before + 7  # nobody is next: the reserve
        assert await spent(client, "low") == (0, 0)


async def test_filters_choose_what_is_shown_and_what_cannot_be_had_is_not(tmp_path: Path) -> None:
    """The best product that fulfils the campaign's filter and the query's own is shown."""
    async with shop(tmp_path) as (client, _):
        await client.campaigns.create(campaign("bo", filter=of_brand("bo")))
        organic = await dresses(client, limit=30, no_sponsored=True)
        bo = [hit.product_id for hit in organic.hits if hit.product.fields["brand"].text == "Bo"]
        answer = await dresses(client, limit=3)
        assert (paid(answer), answer.hits[0].parts.reasons["sponsored"]) == (bo[:1], "filter")
        assert paid(await dresses(client, filter=of_brand("Ada"))) == []


async def test_there_is_none_where_there_should_be_none(tmp_path: Path) -> None:
    """Told off, in an order by a field, to another locale or intent, paused, over or spent: the page is the organic one."""
    async with shop(tmp_path) as (client, _):
        organic = ids(await dresses(client))
        made = await client.campaigns.create(campaign("spring", "p20", locales=["de", "en-GB"], bid_micros=1))
        for locale, shows in (("de-AT", True), ("DE", True), ("en-GB", True), ("en", False), ("", False)):
            assert bool(paid(await dresses(client, locale=locale))) is shows
        assert ids(await dresses(client, locale="de", no_sponsored=True)) == organic
        assert paid(await dresses(client, locale="de", sort=Sort(field="price"))) == []
        for change in (
            Campaign(id="spring", paused=True),
            Campaign(id="spring", intents=[query_pb2.INTENT_BUY]),
        ):
            fields = ["paused"] if change.paused else ["intents"]
            await client.campaigns.update(change, fields)
            assert ids(await dresses(client, locale="de")) == organic
            await client.campaigns.update(Campaign(id="spring"), fields)
        over = Campaign(id="spring", revision=made.revision + 4)
        over.starts.seconds, over.ends.seconds = int(time.time()) - 90, int(time.time()) - 30
        with pytest.raises(VitrineError, match=r"campaign.ends: must be in the future"):
            await client.campaigns.update(over, ["starts", "ends"])
        assert await spent(client, "spring") == (3, 3)
        # Of a smaller budget nothing is leased anew; the 20 bids that this gateway had leased may be spent.
        await client.campaigns.update(Campaign(id="spring", budget_micros=4), ["budget_micros"])
        shown = [bool(paid(await dresses(client, locale="de"))) for _ in range(22)]
        assert (shown, await spent(client, "spring")) == ([True] * 20 + [False] * 2, (23, 23))


async def test_a_shopper_sees_a_campaign_no_more_than_its_cap(tmp_path: Path, one_day: None) -> None:  # noqa: ARG001
    """Counted of who agreed to be known, and in a visit; nobody else is counted."""
    async with shop(tmp_path) as (client, _):
        await client.campaigns.create(campaign("spring", "p20", daily_cap=2))
        ann = {"user_id": "ann", "personalise": True}
        assert [bool(paid(await dresses(client, **ann))) for _ in range(4)] == [True, True, False, False]
        assert [bool(paid(await dresses(client, user_id="ann"))) for _ in range(3)] == [True] * 3
        session, seen = "", []
        for _ in range(4):
            turn = ConverseRequest(text="dress", weights=WORDS, limit=10, session_id=session)
            answers = [answer async for answer in client.converse(turn)]
            session = answers[-1].session_id
            seen += [bool(paid(each.result)) for each in answers if each.HasField("result")]
        assert seen == [True, True, False, False]


async def test_a_search_that_nobody_sees_costs_nothing(tmp_path: Path) -> None:
    """The words are searched as they stand while the rewriter reads them anew: one answer, one impression, by the intent read."""

    def read(_: rewrite_pb2.RewriteRequest) -> rewrite_pb2.Rewrite:
        return rewrite_pb2.Rewrite(
            route=query_pb2.ROUTE_TEXT, query="dress number", intent=query_pb2.INTENT_BUY
        )

    rewriter = FakeRewriter(read, delay_s=0.05)
    async with shop(tmp_path, rewriter=rewriter) as (client, gateway):
        await client.campaigns.create(campaign("spring", "p20", intents=[query_pb2.INTENT_BUY]))
        answer = await dresses(client, rewrite="REWRITE_MODE_AUTO")
        assert (answer.searched.text, paid(answer)) == ("dress number", ["p20"])
        assert await spent(client, "spring") == (1, 1)
        told = gateway.metrics.registry
        assert told.get_sample_value("vitrine_gateway_sponsored_impressions_total") == 1
        assert told.get_sample_value("vitrine_gateway_sponsored_spend_micros_total") == 1


async def test_show_me_more_loses_nothing(tmp_path: Path) -> None:
    """What gave way on the first page of a conversation begins the next one, which has no sponsored place."""

    def read(request: rewrite_pb2.RewriteRequest) -> rewrite_pb2.Rewrite:
        return rewrite_pb2.Rewrite(
            route=query_pb2.ROUTE_TEXT, query="dress", more=request.text == "show me more"
        )

    async with shop(tmp_path, rewriter=FakeRewriter(read)) as (client, _):
        organic = ids(await dresses(client, limit=30))
        await client.campaigns.create(campaign("spring", organic[20]))
        session, pages = "", []
        for text in ("dress", "show me more"):
            turn = ConverseRequest(text=text, weights=WORDS, limit=4, session_id=session)
            answers = [each async for each in client.converse(turn)]
            session = answers[-1].session_id
            pages += [each.result for each in answers if each.HasField("result")]
        assert [ids(page) for page in pages] == [[organic[20], *organic[:3]], organic[3:7]]
        assert [paid(page) for page in pages] == [[organic[20]], []]


async def test_comparisons_and_facts_hold_none(tmp_path: Path) -> None:
    """What searches nothing shows nothing that is paid for, and costs nothing."""

    def read(request: rewrite_pb2.RewriteRequest) -> rewrite_pb2.Rewrite:
        if "compare" in request.text:
            references = [each.id for each in request.history[0].shown[:2]]
            return rewrite_pb2.Rewrite(route=query_pb2.ROUTE_COMPARE, references=references)
        if "dress" in request.text:
            return rewrite_pb2.Rewrite(route=query_pb2.ROUTE_TEXT, query="dress")
        return rewrite_pb2.Rewrite(route=query_pb2.ROUTE_CHAT, intent=query_pb2.INTENT_CONSULT)

    async with shop(tmp_path, rewriter=FakeRewriter(read)) as (client, _):
        await client.campaigns.create(campaign("spring", "p01"))
        first = [each async for each in client.converse(ConverseRequest(text="dress", limit=3))]
        shown = next(each for each in first if each.HasField("result"))
        assert paid(shown.result) == ["p01"]
        answers = []
        for text in ("compare them", "which brands do you have?"):
            turn = ConverseRequest(text=text, session_id=shown.session_id)
            answers += [each async for each in client.converse(turn)]
        assert any(each.HasField("comparison") for each in answers)
        assert any(each.HasField("facts") for each in answers)
        assert not [each for each in answers if paid(each.result)]
        assert await spent(client, "spring") == (1, 1)


async def test_without_time_for_them_there_are_none_and_it_is_said(tmp_path: Path) -> None:
    """A search waits for offers no longer than their budget; without a setting there is nothing to wait for."""
    async with shop(tmp_path, settings=replace(SETTINGS, sponsored_budget_ms=0)) as (client, _):
        organic = await dresses(client)
        assert list(organic.degraded) == []
        await client.campaigns.create(campaign("spring", "p20"))
        answer = await dresses(client)
        assert (ids(answer), list(answer.degraded)) == (ids(organic), ["sponsored"])
    async with serving(products=DRESSES) as gateway, VitrineClient(gateway.address) as client:
        assert list((await dresses(client)).degraded) == []
        with pytest.raises(VitrineError, match="GATEWAY_CAMPAIGNS") as refused:
            await client.campaigns.create(campaign("spring", "p01"))
        assert refused.value.code is grpc.StatusCode.FAILED_PRECONDITION


async def test_an_even_pace_holds_back_what_is_not_due(tmp_path: Path) -> None:
    """Of a day's budget one bid may be spent at once, and the share of the time that has passed."""
    async with shop(tmp_path) as (client, _):
        await client.campaigns.create(
            campaign("slow", "p20", pacing=Campaign.PACING_EVEN, bid_micros=100, budget_micros=1_000)
        )
        shown = [bool(paid(await dresses(client))) for _ in range(120)]
        assert shown[0]
        assert sum(shown) <= 101  # prices are 1 here, and 100 + 900 / 1,440 were due


BAD: list[tuple[dict[str, Any], str]] = [
    ({"id": ""}, "campaign.id: must not be empty"),
    ({"id": "x" * 65}, "campaign.id: at most 64"),
    ({"advertiser": " "}, "campaign.advertiser"),
    ({"bid_micros": 0}, "campaign.bid_micros: must be from 1 to 1,000,000,000, got 0"),
    ({"bid_micros": -5}, "campaign.bid_micros: must be from 1"),
    ({"bid_micros": 2_000_000_000}, "campaign.bid_micros"),
    ({"budget_micros": 99}, "campaign.budget_micros: must be from 100"),
    ({"budget_micros": 10**15 + 1}, "campaign.budget_micros"),
    ({"currency": "USD"}, "campaign.currency: must be EUR"),
    ({"pacing": 9}, "campaign.pacing"),
    ({"daily_cap": -1}, "campaign.daily_cap: must be from 0 to 1,000"),
    ({"products": []}, "campaign.products: either"),
    ({"filter": of_brand("Bo")}, "campaign.products: either"),
    ({"products": ["p01", "nowhere"]}, r"campaign.products\[1\]: is no product of the index"),
    ({"products": ["p01"] * 101}, "campaign.products: at most 100"),
    ({"products": [], "filter": Filter(equals=Equals(field="wings", value=FieldValue(text="2")))}, "'wings'"),
    ({"locales": ["no locale"]}, r"campaign.locales\[0\]"),
    ({"intents": [0]}, r"campaign.intents\[0\]"),
    ({"ends": -86_400}, "campaign.ends: must be after the start"),
    ({"ends": 800 * 86_400}, "campaign.ends: must be at most 731 days"),
    ({"starts": -90, "ends": -30}, "campaign.ends: must be in the future"),
    ({"starts": None}, "campaign.starts: must be given"),
    ({"filter": Filter(), "products": []}, "filter"),
]


async def test_bad_campaigns_are_refused_by_field_and_limit(tmp_path: Path) -> None:
    """Nothing of them is kept; a second one of a name, an unknown one and a stale revision are told too."""
    async with shop(tmp_path) as (client, _):
        for changes, told in BAD:
            wrong = campaign("spring", "p01")
            for name, value in changes.items():
                wrong.ClearField(name)  # type: ignore[arg-type] # it is one of the message's names
                if name in {"starts", "ends"}:
                    if value is not None:
                        getattr(wrong, name).seconds = int(time.time()) + value
                elif isinstance(value, list):
                    getattr(wrong, name).extend(value)
                elif isinstance(value, Filter):
                    wrong.filter.CopyFrom(value)
                else:
                    setattr(wrong, name, value)
            with pytest.raises(VitrineError, match=told) as refused:
                await client.campaigns.create(wrong)
            assert refused.value.code is grpc.StatusCode.INVALID_ARGUMENT, changes
        assert [each async for each in client.campaigns.list()] == []
        await client.campaigns.create(campaign("spring", "p01"))
        with pytest.raises(VitrineError, match=r"campaign.id: is another campaign's"):
            await client.campaigns.create(campaign("spring", "p01"))
        with pytest.raises(VitrineError, match="not found"):
            await client.campaigns.get("summer")
        for fields in (["id"], [], ["colour"]):
            with pytest.raises(VitrineError, match=r"^fields: "):
                await client.campaigns.update(Campaign(id="spring"), fields)
        stale = Campaign(id="spring", revision=7, paused=True)
        with pytest.raises(VitrineError, match=r"campaign.revision: is 1 now") as refused:
            await client.campaigns.update(stale, ["paused"])
        assert refused.value.code is grpc.StatusCode.ABORTED


async def test_campaigns_are_changed_field_by_field_and_listed_in_pages(tmp_path: Path) -> None:
    """What the mask does not name stays; a list of products may become a filter; pages follow the ids."""
    async with shop(tmp_path) as (client, _):
        names = [f"c{number:02}" for number in range(60)]
        for name in names:
            await client.campaigns.create(campaign(name, "p01", "p02"))
        change = Campaign(id="c07", filter=of_brand("Bo"), bid_micros=7, advertiser="nobody asked")
        changed = await client.campaigns.update(change, ["products", "filter", "bid_micros"])
        assert (list(changed.products), changed.bid_micros, changed.advertiser) == ([], 7, "c07 Ltd")
        assert changed == await client.campaigns.get("c07")
        assert [each.id async for each in client.campaigns.list()] == names
        assert (await client.campaigns.delete("c07")).impressions == 0
        assert len([each async for each in client.campaigns.list()]) == 59


async def test_what_was_spent_outlives_the_gateway(tmp_path: Path) -> None:
    """A gateway that ends tells everything and gives its leases back; the next one goes on from there."""
    async with shop(tmp_path) as (client, _):
        await client.campaigns.create(campaign("spring", "p20"))
        await asyncio.gather(*(dresses(client) for _ in range(5)))
    async with shop(tmp_path) as (client, _):
        books = (await client.campaigns.spend("spring")).spend
        assert (books.spent_micros, books.impressions, books.leased_micros) == (5, 5, 0)
        while not paid(await dresses(client)):  # noqa: ASYNC110 - it reads the campaigns beside the first calls
            await asyncio.sleep(0.01)
        assert await spent(client, "spring") == (6, 6)
