"""Personal ranking: whose clicks order which hits, by how much, and what is told of it."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gateway.adapters.sqlite_events import SqliteEvents, open_sqlite_events
from gateway.errors import DeadlineExceeded
from gateway.events import Event as Kept
from gateway.events import EventKind
from gateway.feedback.tastes import HALF_LIFE_S, MAX_LIKED, likings
from gateway.model import Embedding
from gateway.retrieval.taste import CANDIDATES, Liked, Taste, learn_taste, personal
from gateway.testing import PATIENT, product, serving
from vitrine.client import VitrineClient
from vitrine.domain.schema_files import shipped_schema
from vitrine.v1.feedback_pb2 import Event
from vitrine.v1.search_pb2 import SearchRequest, SearchResponse

SCHEMA = shipped_schema()
SETTINGS = replace(PATIENT, personal_budget_ms=30_000, personal_share=0.5)
CATALOGUE = [
    product(f"p{number:03}", f"dress number {number}", brand=("Ada", "Bo")[number % 2], price=10.0 + number)
    for number in range(CANDIDATES + 40)
]


@asynccontextmanager
async def shop(path: Path) -> AsyncIterator[tuple[VitrineClient, SqliteEvents]]:
    """A gateway that takes events and knows shoppers by them."""
    async with (
        open_sqlite_events(path / "events.db") as store,
        serving(products=CATALOGUE, events=store, settings=SETTINGS) as gateway,
        VitrineClient(gateway.address, timeout_s=60) as client,
    ):
        while not (await client.search(SearchRequest(text="dress"))).answer_token:  # noqa: ASYNC110 - no event is set
            await asyncio.sleep(0.01)
        yield client, store


async def do(client: VitrineClient, kind: "Event.Kind.ValueType", *products: str) -> None:
    """Let ann do something with products."""
    events = [
        Event(id=uuid.uuid4().hex, kind=kind, product_id=each, user_id="ann", personalise=True)
        for each in products
    ]
    for event in events:
        event.time.FromMilliseconds(int(time.time() * 1e3))
    assert (await client.record(events)).recorded == len(products)


async def dresses(
    client: VitrineClient, *, limit: int = 12, token: str = "", user: str = "ann"
) -> SearchResponse:
    """Search as a shopper who agreed to be known."""
    return await client.search(
        SearchRequest(text="dress", limit=limit, page_token=token, user_id=user, personalise=bool(user))
    )


def ids(answer: SearchResponse) -> list[str]:
    """Return the ids of the hits."""
    return [hit.product_id for hit in answer.hits]


async def test_clicks_change_the_order_at_once_and_the_parts_say_why(tmp_path: Path) -> None:
    """What was clicked comes first, by at most the share, and each score is the sum of its parts."""
    async with shop(tmp_path) as (client, _):
        plain = await dresses(client, user="")
        liked = ids(plain)[-1]
        await do(client, Event.KIND_CLICK, liked)
        mine = await dresses(client)
        assert ids(mine)[0] == liked
        weights = mine.searched.weights
        for hit in mine.hits:
            value = hit.parts.signals["personal"]
            assert 0 <= value <= 1
            vectors = weights.text * hit.parts.text + weights.image * hit.parts.image
            lexical = weights.signals["lexical"] * hit.parts.signals.get("lexical", 0.0)
            assert hit.score == pytest.approx(vectors + lexical + 0.5 * value)
            assert hit.parts.reasons["personal"] in {"similar", "price", *SCHEMA.by_name}
        assert mine.hits[0].parts.reasons["personal"] == "similar"
        await do(client, Event.KIND_HIDE, liked)
        assert (
            next(h for h in (await dresses(client, limit=70)).hits if h.product_id == liked).parts.signals[
                "personal"
            ]
            == 0
        )


async def test_without_consent_or_clicks_the_order_is_everybodys(tmp_path: Path) -> None:
    """Nobody, who did not agree, and who is not known get the plain hits with the plain scores."""
    async with shop(tmp_path) as (client, _):
        plain = await dresses(client, user="")
        await do(client, Event.KIND_PURCHASE, ids(plain)[-1])
        stranger = await dresses(client, user="bob")
        shy = await client.search(SearchRequest(text="dress", limit=12, user_id="ann"))
        nobody = await client.search(SearchRequest(text="dress", limit=12, personalise=True))
        for answer in (stranger, shy, nobody):
            assert list(answer.hits) == list(plain.hits)
            assert list(answer.degraded) == []


async def test_pages_of_a_known_shopper_fit_together(tmp_path: Path) -> None:
    """Small pages are the beginning of a large one, past the products that the signal ranks too."""
    async with shop(tmp_path) as (client, _):
        await do(client, Event.KIND_CART, "p003", "p044")
        whole, paged, token = ids(await dresses(client, limit=70)), [], ""
        while len(paged) < len(whole):
            answer = await dresses(client, limit=7, token=token)
            paged += ids(answer)
            token = answer.next_page_token
        assert paged == whole
        assert len(set(whole)) == len(CATALOGUE)


async def test_a_store_that_is_late_costs_its_budget_and_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order is everybody's then, and `degraded` says so."""

    async def late(*_: object, **__: object) -> None:
        raise DeadlineExceeded("late")

    async with shop(tmp_path) as (client, store):
        await do(client, Event.KIND_CLICK, "p003")
        plain = await dresses(client, user="")
        monkeypatch.setattr(store, "of_shoppers", late)
        mine = await dresses(client)
        assert (ids(mine), list(mine.degraded)) == (ids(plain), ["personal"])


def kept(name: str, kind: EventKind, *, age_s: float = 0.0) -> Kept:
    """Give an event so old."""
    return Kept(id=name, kind=kind, product_id=name, at_ms=int((1e9 - age_s) * 1e3), shopper="ann")


def test_likings_fade_and_what_is_done_now_counts_for_more() -> None:
    """A click of now outweighs one of an hour ago; a purchase outweighs a click; half of it is left after the half-life."""
    events = [
        kept("now", EventKind.CLICK),
        kept("hour", EventKind.CLICK, age_s=3_600),
        kept("bought", EventKind.PURCHASE, age_s=3_600),
        kept("old", EventKind.CLICK, age_s=HALF_LIFE_S),
        kept("seen", EventKind.IMPRESSION),
        kept("hidden", EventKind.HIDE),
    ]
    liked, hidden = likings(events, now_s=1e9)
    assert list(liked) == ["bought", "now", "hour", "old"]
    assert liked["now"] == pytest.approx(4.0)
    assert liked["old"] == pytest.approx(0.5)
    assert hidden == {"hidden"}


def test_who_buys_what_they_hid_likes_it_again() -> None:
    """The latest deed decides whether a product is hidden; of very many liked ones the best are kept."""
    events = [kept("p", EventKind.PURCHASE), replace(kept("p", EventKind.HIDE, age_s=9), id="h")]
    liked, hidden = likings(events, now_s=1e9)
    assert (list(liked), hidden) == (["p"], frozenset())
    many = [kept(f"p{number}", EventKind.CLICK) for number in range(MAX_LIKED + 5)]
    assert len(likings(many, now_s=1e9)[0]) == MAX_LIKED


def unit(*numbers: float) -> Embedding:
    """Return a vector of length 1."""
    vector = np.array(numbers, dtype=np.float32)
    return vector / np.float32(np.linalg.norm(vector))


def taste_of(*liked: tuple[str, float], brands: Sequence[str] = ("Ada",)) -> Taste:
    """Return the taste of whoever liked dresses of these brands."""
    chosen = [
        Liked(replace(product(name, name, brand=brand, price=40.0), text_embedding=unit(1, 0)), weight)
        for (name, weight), brand in zip(liked, brands, strict=True)
    ]
    return learn_taste(chosen, frozenset({"hidden"}), SCHEMA)


def test_the_signal_is_bounded_and_names_its_strongest_part() -> None:
    """It is 1 for what is all that was liked, 0 for what was hidden, and between for what shares some of it."""
    taste = taste_of(("a", 1.0), ("b", 3.0), brands=("Ada", "Bo"))
    assert taste.fields["brand"] == {"ada": 0.25, "bo": 0.75}

    def signal(name: str, *, brand: str, price: float, vector: Embedding) -> tuple[float, str]:
        other = {"category": "hat", "colour": "blue", "pattern": "dots"} if brand != "BO" else {}
        stored = product(name, name, brand=brand, price=price, **other)
        images = np.zeros((0, 2), dtype=np.float32)
        return personal(replace(stored, text_embedding=vector, image_embeddings=images), taste, SCHEMA)

    same, why = signal("x", brand="BO", price=40.0, vector=unit(1, 0))
    assert (0.9 < same <= 1, why) == (True, "similar")
    other, why = signal("x", brand="Cy", price=40.0, vector=unit(0, 1))
    assert (0 < other < same, why) == (True, "price")
    opposite, why = signal("x", brand="Bo", price=4e9, vector=unit(-1, 0))
    assert (0 < opposite < same, why) == (True, "brand")
    assert signal("x", brand="Cy", price=4e9, vector=unit(-1, 0)) == (pytest.approx(0.0), "")
    assert signal("hidden", brand="Bo", price=40.0, vector=unit(1, 0)) == (0.0, "")


def test_what_is_not_known_has_no_part() -> None:
    """A shopper who only hid something leaves every other product at 0; a product without a price is judged by the rest."""
    hides = learn_taste([], frozenset({"hidden"}), SCHEMA)
    assert personal(product("x", "x"), hides, SCHEMA) == (0.0, "")
    taste = taste_of(("a", 1.0))
    bare = replace(product("x", "x", brand="Ada"), text_embedding=unit(1, 0), image_embeddings=None)
    value, _ = personal(bare, taste, SCHEMA)
    assert value > 0.5
