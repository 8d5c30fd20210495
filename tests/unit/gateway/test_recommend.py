"""Recommendations: what each kind answers with, of whose events, and what it does without any."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from gateway.adapters.sqlite_events import open_sqlite_events
from gateway.errors import DeadlineExceeded, EventStoreError
from gateway.events import Event, EventKind
from gateway.feedback.pseudonyms import Keys
from gateway.feedback.trends import MOST, TrendKeeper, learn_trends
from gateway.metrics import Metrics
from gateway.testing import PATIENT, FakeIndex, product, serving
from vitrine.client import VitrineClient, VitrineError
from vitrine.domain.filters import Range
from vitrine.domain.messages import filter_message
from vitrine.domain.schema import Field, Kind, Role
from vitrine.domain.schema_files import shipped_schema
from vitrine.v1.recommend_pb2 import RecommendRequest
from vitrine.v1.search_pb2 import RecommendResponse

NOW_S = 1_000_000_000.0
SETTINGS = replace(PATIENT, personal_budget_ms=30_000, recommend_shoppers=2)
CATALOGUE = [
    *(
        product(f"d{number}", f"red dress {number}", category="dress", price=10.0 + number)
        for number in range(40)
    ),
    *(product(f"b{number}", f"bag {number}", category="bag", price=50.0 + number) for number in range(10)),
]


def did(
    who: str, kind: EventKind, name: str, *, age_s: float = 0.0, session: str = "", number: int = 0
) -> Event:
    """Give an event of a shopper; of an answer where there is none."""
    return Event(
        id=f"{who}-{kind}-{name}-{age_s}-{session}-{number}",
        kind=kind,
        product_id=name,
        at_ms=int((NOW_S - age_s) * 1e3),
        shopper="" if who.startswith("answer") else who,
        request_id=who,
        session=session,
    )


def test_a_click_farm_does_not_lead() -> None:
    """A shopper's thousand clicks count no more than one purchase, and crowds who did not agree no more than those who did."""
    farm = [did("farm", EventKind.CLICK, "b0", number=number) for number in range(1_000)]
    crowd = [did(f"answer{number}", EventKind.CLICK, "b0") for number in range(1_000)]
    few = [did(f"shopper{number}", EventKind.PURCHASE, "d1") for number in range(3)]
    once = [did("ann", EventKind.CLICK, "b0")]
    trends = learn_trends([*farm, *crowd, *once, *few], now_s=NOW_S, shoppers=2)
    assert list(trends.popular) == ["d1", "b0"]
    assert trends.popular["d1"].value == 1.0
    assert trends.popular["b0"].value == pytest.approx(2 * (MOST + 1) / (3 * MOST))
    assert (trends.popular["d1"].reason, trends.popular["b0"].reason) == ("purchase", "visit")


def test_what_few_did_is_not_told_and_old_things_fade() -> None:
    """Neither popularity nor a pair is told of fewer than so many known shoppers; what is old counts for less."""
    events = [
        *(did(who, EventKind.CLICK, "new") for who in ("ann", "bob")),
        *(did(who, EventKind.CLICK, "old", age_s=7 * 86_400) for who in ("ann", "bob")),
        did("ann", EventKind.PURCHASE, "lone"),
        *(did(who, EventKind.HIDE, "hidden") for who in ("ann", "bob")),
    ]
    trends = learn_trends(events, now_s=NOW_S, shoppers=2)
    assert {name: told.value for name, told in trends.popular.items()} == {
        "new": 1.0,
        "old": pytest.approx(0.5),
    }
    assert learn_trends(events, now_s=NOW_S, shoppers=3).popular == {}
    pairs = learn_trends([did("ann", EventKind.CART, name) for name in ("a", "b")], now_s=NOW_S, shoppers=2)
    assert pairs.together == {}


def test_baskets_bind_products_by_how_many_had_both() -> None:
    """A pair is worth the shoppers who had both, beside those who had either; bestsellers go with nothing in particular."""
    events = []
    for number in range(4):
        events += [did(f"s{number}", EventKind.CART, name) for name in ("dress", "bag", "bestseller")]
    events += [did(f"t{number}", EventKind.CLICK, "bestseller") for number in range(12)]
    events += [
        did("s0", EventKind.PURCHASE, "later", age_s=86_400),
        did("s1", EventKind.PURCHASE, "later", age_s=86_400),
    ]
    trends = learn_trends(events, now_s=NOW_S, shoppers=2)
    told = trends.together["dress"]
    assert list(told) == ["bag", "bestseller"]
    assert (told["bag"].value, told["bag"].reason) == (1.0, "cart")
    assert told["bestseller"].value == pytest.approx(0.5)
    assert "later" not in trends.together


async def test_a_store_that_fails_is_not_asked_at_every_call() -> None:
    """Who asks first is told that it failed; who asks soon after gets what is known, which is nothing, at once."""

    class Failing:
        calls = 0

        async def acts(self, **_: object) -> list[Event]:
            self.calls += 1
            raise EventStoreError

    store = Failing()
    keeper = TrendKeeper(store, Metrics(), shoppers=2)
    with pytest.raises(EventStoreError):
        await keeper.now(timeout_s=30)
    with pytest.raises(DeadlineExceeded):
        await keeper.now(timeout_s=30)
    assert keeper.known.popular == {}
    assert store.calls == 1
    await keeper.close()


@asynccontextmanager
async def shop(path: Path, events: Iterable[Event], **changes: object) -> AsyncIterator[VitrineClient]:
    """A gateway whose store holds these events, of now."""
    shift_ms = int((time.time() - NOW_S) * 1e3)
    async with open_sqlite_events(path / "events.db") as store:
        keys = Keys(store, key_days=SETTINGS.event_key_days, retention_days=SETTINGS.event_retention_days)
        keyring = await keys.keyring(timeout_s=30)
        held = [
            replace(
                each,
                at_ms=each.at_ms + shift_ms,
                shopper=keyring.pseudonym("shopper", each.shopper) if each.shopper else "",
            )
            for each in events
        ]
        await store.append(held, timeout_s=30)
        settings = replace(SETTINGS, **changes)
        async with (
            serving(products=CATALOGUE, events=store, settings=settings) as gateway,
            VitrineClient(gateway.address, timeout_s=60) as client,
        ):
            while not (await client.recommend(ask("POPULAR_NOW"))).answer_token:  # noqa: ASYNC110 - no event is set
                await asyncio.sleep(0.01)
            yield client


def like(*names: str, **fields: object) -> RecommendRequest:
    """Ask for more like products."""
    return RecommendRequest(kind=RecommendRequest.KIND_MORE_LIKE_THIS, product_ids=names, **fields)


def ask(kind: str, *names: str, **fields: object) -> RecommendRequest:
    """Ask for a kind by its name."""
    return RecommendRequest(kind=RecommendRequest.Kind.Value(f"KIND_{kind}"), product_ids=names, **fields)


def ids(answer: RecommendResponse) -> list[str]:
    """Return the ids of the hits, whose scores are held against their parts."""
    shares = answer.weights.signals
    for hit in answer.hits:
        vectors = answer.weights.text * hit.parts.text + answer.weights.image * hit.parts.image
        signals = sum(shares[name] * value for name, value in hit.parts.signals.items())
        assert hit.score == pytest.approx(vectors + signals, abs=1e-6)
    return [hit.product_id for hit in answer.hits]


BOUGHT = [
    did(who, kind, name)
    for who in ("ann", "bob", "cyd")
    for kind, name in ((EventKind.PURCHASE, "d0"), (EventKind.PURCHASE, "b3"), (EventKind.CART, "d7"))
]


async def test_more_like_this_needs_no_events_and_leaves_out_where_it_starts() -> None:
    """The nearest products of one or several, under the filter, without themselves and their variants."""
    schema = shipped_schema()
    grouped = replace(
        schema, fields=(*schema.fields, Field(name="family", kind=Kind.KEYWORD, role=Role.GROUP, filter=True))
    )
    products = [product(f"d{n}", "red dress", family="one" if n < 3 else f"f{n}") for n in range(12)]
    async with (
        serving(index=FakeIndex.holding(products, schema=grouped)) as gateway,
        VitrineClient(gateway.address, timeout_s=60) as client,
    ):
        answer = await client.recommend(like("d0", "d5", limit=20))
        assert sorted(ids(answer)) == sorted(f"d{n}" for n in range(12) if n not in {0, 1, 2, 5})
        assert answer.kind == RecommendRequest.KIND_MORE_LIKE_THIS
        assert (answer.answer_token, list(answer.degraded)) == ("", [])
        for kind in ("FOR_YOU", "POPULAR_NOW"):
            with pytest.raises(VitrineError, match="GATEWAY_EVENTS") as refused:
                await client.recommend(ask(kind))
            assert refused.value.code is grpc.StatusCode.FAILED_PRECONDITION


async def test_what_goes_with_a_product_is_of_other_categories_and_says_why(tmp_path: Path) -> None:
    """What was bought with it comes first; after it the nearest of other categories, and nothing of its own."""
    async with shop(tmp_path, BOUGHT) as client:
        answer = await client.recommend(ask("GOES_WELL_WITH", "d0", limit=5))
        found = ids(answer)
        assert found[0] == "b3"
        assert len(found) == 5
        assert all(name.startswith("b") for name in found)
        assert answer.hits[0].parts.signals["together"] == 1.0
        reasons = [hit.parts.reasons["together"] for hit in answer.hits]
        assert reasons == ["purchase", *["similar"] * 4]
        cheap = filter_message(Range(field="price", maximum=52.0))
        assert set(ids(await client.recommend(ask("GOES_WELL_WITH", "d0", filter=cheap)))) <= {
            "b0",
            "b1",
            "b2",
        }


async def test_for_you_is_by_taste_and_for_strangers_popular(tmp_path: Path) -> None:
    """What the shopper has or hid is left out; who did not agree, or is not known, gets what is popular."""
    hidden = did("ann", EventKind.HIDE, "d9")
    async with shop(tmp_path, [*BOUGHT, hidden]) as client:
        mine = await client.recommend(ask("FOR_YOU", user_id="ann", personalise=True, limit=60))
        assert mine.kind == RecommendRequest.KIND_FOR_YOU
        assert {"d0", "b3", "d7", "d9"}.isdisjoint(ids(mine))
        assert mine.hits[0].parts.signals["personal"] > 0
        popular = await client.recommend(ask("POPULAR_NOW"))
        assert ids(popular) == ["b3", "d0", "d7"]
        for shopper in (
            {"user_id": "ann"},
            {"user_id": "stranger", "personalise": True},
            {"personalise": True},
        ):
            answer = await client.recommend(ask("FOR_YOU", **shopper))
            assert answer.kind == RecommendRequest.KIND_POPULAR_NOW
            assert answer.hits == popular.hits


async def test_bad_requests_name_the_field_and_the_limit(tmp_path: Path) -> None:
    """Each with its status, and nothing is looked up."""
    async with shop(tmp_path, []) as client:
        for request, field in (
            (RecommendRequest(), "kind"),
            (ask("MORE_LIKE_THIS"), "product_ids"),
            (ask("GOES_WELL_WITH", *map(str, range(9))), "product_ids"),
            (ask("POPULAR_NOW", "d0"), "product_ids"),
            (ask("MORE_LIKE_THIS", "bad\nid"), "product_ids[0]"),
            (ask("POPULAR_NOW", limit=201), "limit"),
        ):
            with pytest.raises(VitrineError) as refused:
                await client.recommend(request)
            assert [each.field for each in refused.value.violations] == [field]
        with pytest.raises(VitrineError, match=r"product_ids\[1\].*'nothing'") as missing:
            await client.recommend(like("d0", "nothing"))
        assert missing.value.code is grpc.StatusCode.NOT_FOUND
        assert list((await client.recommend(ask("POPULAR_NOW"))).hits) == []
