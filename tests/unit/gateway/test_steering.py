"""Intent and dislikes: how they order the best products, by how much, and what is told of it."""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace

import numpy as np
import pytest

from gateway.conversation.exclusions import disliked
from gateway.model import Hit, Intent, StoredProduct
from gateway.retrieval.steering import Steering, steered, unlike
from gateway.retrieval.taste import CANDIDATES
from gateway.testing import PATIENT, FakeIndex, FakeRewriter, product, serving, stored
from vitrine.client import VitrineClient
from vitrine.domain.schema import Field, Kind, Role
from vitrine.domain.schema_files import shipped_schema
from vitrine.v1 import query_pb2
from vitrine.v1.rewrite_pb2 import Rewrite, RewriteRequest
from vitrine.v1.search_pb2 import ConverseRequest, SearchRequest, SearchResponse

SHIPPED = shipped_schema()
SCHEMA = replace(
    SHIPPED,
    fields=(*SHIPPED.fields, Field(name="stock", kind=Kind.BOOLEAN, role=Role.AVAILABILITY, filter=True)),
)
SHARES = {"intent": 0.2, "unlike": 0.3}
SETTINGS = replace(PATIENT, intent_share=0.2, unlike_share=0.3, personal_budget_ms=30_000)
CATALOGUE = [
    product(f"p{number:02}", f"dress number {number}", stock=number % 3 == 0)
    for number in range(CANDIDATES + 20)
]


def near(name: str, *coordinates: float) -> StoredProduct:
    """Give a product with one vector for both halves."""
    vector = np.zeros(512, np.float32)
    vector[: len(coordinates)] = coordinates
    vector /= np.linalg.norm(vector)
    return stored(name, title=name, image_embeddings=vector[np.newaxis], text_embedding=vector)


def hit(held: StoredProduct, score: float) -> Hit:
    """Give a hit of a score."""
    return Hit(product=held, score=score, text_score=score, image_score=score)


def test_who_compares_sees_what_differs() -> None:
    """Of two that are alike the second makes room for what is not, and the order is that of the scores."""
    hits = [hit(near("a", 1.0), 0.90), hit(near("b", 1.0, 0.01), 0.89), hit(near("c", 0.0, 1.0), 0.80)]
    spread = steered(hits, Steering(intent=Intent.COMPARE, popularity={}), None, SCHEMA, SHARES)
    assert [each.product.id for each in spread] == ["a", "c", "b"]
    assert [each.score for each in spread] == sorted((each.score for each in spread), reverse=True)
    assert [round(each.signals["intent"], 3) for each in spread] == [1.0, 1.0, 0.0]
    assert {each.reasons["intent"] for each in spread} == {"spread"}


def test_who_buys_gets_what_can_be_had_and_who_asks_advice_what_the_words_say() -> None:
    """What is known of a product is the mean of its parts; where nothing is known there is no signal."""
    out, held = (stored(name, title=name, stock=there) for name, there in (("out", False), ("held", True)))
    buys = Steering(intent=Intent.BUY, popularity={"out": 1.0})
    told = {
        each.product.id: each for each in steered([hit(out, 0.5), hit(held, 0.5)], buys, None, SCHEMA, SHARES)
    }
    assert {name: each.signals["intent"] for name, each in told.items()} == {"out": 0.5, "held": 0.5}
    assert {name: each.reasons["intent"] for name, each in told.items()} == {
        "out": "popular",
        "held": "available",
    }
    advice = Steering(intent=Intent.CONSULT, popularity={})
    (asked,) = steered([replace(hit(held, 0.5), text_score=0.7)], advice, None, SCHEMA, SHARES)
    assert (asked.signals, asked.reasons) == ({"intent": 0.7}, {"intent": "words"})
    (plain,) = steered([hit(out, 0.5)], Steering(intent=Intent.BUY, popularity={}), None, SHIPPED, SHARES)
    assert (plain.signals, plain.score) == ({}, 0.5)


def test_what_is_like_something_disliked_gains_least() -> None:
    """The disliked product itself has 0, one that has nothing in common 1."""
    steering = Steering(disliked=(near("d", 1.0),), popularity={})
    near_it = [hit(each, 0.5) for each in (near("d", 1.0), near("e", 1.0, 1.0), near("f", 0.0, 1.0))]
    told = unlike(near_it, steering, None)
    assert [round(value, 3) for value, _ in told] == [0.0, 0.293, 1.0]
    assert unlike(near_it, Steering(popularity={}), None) == [None] * 3
    wordless = stored("w", image_embeddings=near("d", 1.0).image_embeddings)
    assert unlike([hit(wordless, 0.5)], steering, None) == [(0.0, "product")]


def reading(sentiment: int, *references: str) -> Rewrite:
    """Give a reading of a turn that speaks of products."""
    return Rewrite(sentiment=sentiment, references=references)


def test_a_conversation_dislikes_what_it_speaks_ill_of_until_it_praises_it() -> None:
    """Pictures and what is merely referred to are no dislikes."""
    bad, good = query_pb2.SENTIMENT_NEGATIVE, query_pb2.SENTIMENT_POSITIVE
    readings = [reading(bad, "a", "b"), reading(0, "c"), reading(bad, "image:1", "a"), reading(good, "b")]
    assert disliked(readings) == ("a",)
    assert disliked([reading(bad, *(f"p{number}" for number in range(20)))]) == tuple(
        f"p{n}" for n in range(12, 20)
    )


@asynccontextmanager
async def shop(
    answer: Callable[[RewriteRequest], Rewrite] | None = None, **changes: float
) -> AsyncIterator[VitrineClient]:
    """A gateway over the catalogue."""
    rewriter = None if answer is None else FakeRewriter(answer)
    async with (
        serving(
            index=FakeIndex.holding(CATALOGUE, schema=SCHEMA),
            rewriter=rewriter,
            settings=replace(SETTINGS, **changes),
        ) as gateway,
        VitrineClient(gateway.address, timeout_s=60) as client,
    ):
        yield client


def checked(answer: SearchResponse) -> list[str]:
    """Return the ids of the hits, whose scores fall and are the sums of their parts."""
    weights = answer.searched.weights
    for each in answer.hits:
        vectors = weights.text * each.parts.text + weights.image * each.parts.image
        signals = sum(weights.signals[name] * value for name, value in each.parts.signals.items())
        assert each.score == pytest.approx(vectors + signals)
    scores = [each.score for each in answer.hits]
    assert scores == sorted(scores, reverse=True)
    return [each.product_id for each in answer.hits]


@pytest.mark.parametrize("intent", [query_pb2.INTENT_BUY, query_pb2.INTENT_COMPARE, query_pb2.INTENT_CONSULT])
async def test_pages_of_a_steered_search_fit_together(intent: int) -> None:
    """Small pages are the beginning of a large one, past the products that are steered too; a share of 0 changes nothing."""
    request = SearchRequest(text="dress", limit=45, intent=intent)
    async with shop() as client, shop(intent_share=0.0) as off:
        whole, paged, token = checked(await client.search(request)), [], ""
        while len(paged) < len(whole):
            answer = await client.search(
                SearchRequest(text="dress", limit=8, intent=intent, page_token=token)
            )
            paged += checked(answer)
            token = answer.next_page_token
        assert paged[: len(whole)] == whole
        plain = await off.search(SearchRequest(text="dress", limit=45))
        assert whole != checked(plain)
        assert list((await off.search(request)).hits) == list(plain.hits)


async def test_what_was_read_orders_a_search_and_its_pages() -> None:
    """A search that the rewriter reads as a comparison is spread, also on its second page; the caller's own word goes first."""

    def compares(request: RewriteRequest) -> Rewrite:
        return Rewrite(route=query_pb2.ROUTE_TEXT, query=request.text, intent=query_pb2.INTENT_COMPARE)

    async with shop(compares) as client:
        first = await client.search(SearchRequest(text="dress", limit=5, rewrite=2))
        second = await client.search(
            SearchRequest(text="dress", limit=5, rewrite=2, page_token=first.next_page_token)
        )
        reasons = {each.parts.reasons["intent"] for each in (*first.hits, *second.hits)}
        assert reasons == {"spread"}
        buys = await client.search(
            SearchRequest(text="dress", limit=5, rewrite=2, intent=query_pb2.INTENT_BUY)
        )
        assert {each.parts.reasons.get("intent") for each in buys.hits} == {"available"}


async def test_a_conversation_steers_away_from_what_it_disliked() -> None:
    """What was spoken ill of falls behind, within the session and nowhere else."""

    def reads(request: RewriteRequest) -> Rewrite:
        shown = [each.id for turn in request.history for each in turn.shown]
        bad = "bad" in request.text
        return Rewrite(
            route=query_pb2.ROUTE_TEXT,
            query="dress",
            references=shown[:1] if bad else (),
            sentiment=query_pb2.SENTIMENT_NEGATIVE if bad else query_pb2.SENTIMENT_UNSPECIFIED,
        )

    async with shop(reads, intent_share=0.0) as client:
        first, session = await turn(client, "dress", "")
        second, _ = await turn(client, "the first is bad", session)
        worst = first.hits[0].product_id
        parts = {each.product_id: each.parts for each in second.hits}
        assert parts[worst].signals["unlike"] == pytest.approx(0.0, abs=1e-5)
        assert {each.parts.reasons["unlike"] for each in second.hits[:5]} == {"product"}
        assert checked(second)[0] != worst
        third, _ = await turn(client, "dress", session)
        assert checked(third) == checked(second)
        nothing = query_pb2.Filter(range=query_pb2.Range(field="price", maximum=0.01))
        assert not (await turn(client, "dress", session, nothing))[0].hits
        other, _ = await turn(client, "dress", "")
        assert list(other.hits) == list(first.hits)


async def turn(
    client: VitrineClient, text: str, session: str, within: query_pb2.Filter | None = None
) -> tuple[SearchResponse, str]:
    """Take a turn; return its hits and the session's id."""
    found: Iterable[SearchResponse] = []
    request = ConverseRequest(text=text, session_id=session, limit=CANDIDATES, filter=within)
    async for event in client.converse(request):
        session = event.session_id
        if event.HasField("result"):
            found = [event.result]
    (result,) = found
    return result, session


async def test_who_buys_is_not_steered_where_nothing_is_known() -> None:
    """Without what says that a product can be had, events or a taste, the hits are everybody's, and have no signal."""
    async with (
        serving(products=CATALOGUE, settings=SETTINGS) as gateway,
        VitrineClient(gateway.address) as client,
    ):
        plain = await client.search(SearchRequest(text="dress", limit=5))
        buys = await client.search(SearchRequest(text="dress", limit=5, intent=query_pb2.INTENT_BUY))
    assert list(buys.hits) == list(plain.hits)
    assert not any("intent" in hit.parts.signals for hit in buys.hits)
