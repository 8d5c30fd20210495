"""Conversations through a gateway on loopback, over fakes."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import grpc
import pytest
from grpc import aio

from gateway.conversation.sessions import image_id
from gateway.ports import RewriterUnavailable
from gateway.settings import Settings
from gateway.testing import FakeEncoder, FakeIndex, FakeRewriter, ServedGateway, product, serving
from vitrine.v1 import query_pb2, rewrite_pb2, search_pb2, search_pb2_grpc

PRODUCTS = (
    product("p1", "red dress", price=30.0),
    product("p2", "red dress long", price=10.0),
    product("p3", "blue shirt", price=20.0, colour="blue"),
)


async def take_turn(gateway: ServedGateway, **request: object) -> list[search_pb2.ConverseResponse]:
    stub = search_pb2_grpc.SearchServiceStub(gateway.channel)
    turn = search_pb2.ConverseRequest(**request)  # type: ignore[arg-type] # the tests name the fields
    return [event async for event in stub.Converse(turn, timeout=60)]


def events_of(turn: Sequence[search_pb2.ConverseResponse]) -> list[str | None]:
    return [event.WhichOneof("event") for event in turn]


def hits_of(turn: Sequence[search_pb2.ConverseResponse]) -> list[str]:
    return [hit.product_id for event in turn for hit in event.result.hits]


def scripted(*rewrites: rewrite_pb2.Rewrite) -> FakeRewriter:
    script = iter(rewrites)
    return FakeRewriter(lambda _: next(script))


async def test_a_turn_streams_what_was_understood_then_hits_then_a_reply() -> None:
    """The events come in the promised order under one new session id."""
    rewriter = scripted(
        rewrite_pb2.Rewrite(
            route=query_pb2.ROUTE_TEXT, query="red dress", reply="Red dresses.", source="fake", confidence=0.5
        )
    )
    async with serving(products=PRODUCTS, rewriter=rewriter) as gateway:
        turn = await take_turn(gateway, text="i need a dress, red")
    assert events_of(turn) == ["understood", "result", "reply"]
    assert len({event.session_id for event in turn}) == 1
    assert len(turn[0].session_id) == 32
    assert (turn[0].understood.query, turn[0].understood.source) == ("red dress", "fake")
    assert hits_of(turn)[0] == "p1"
    assert turn[1].result.searched.source == "fake"
    # The rewriter's own sentence was made before the search, and knows nothing of what was found.
    assert turn[2].reply == "Closest to your words: “red dress”."


async def test_the_rewriter_reads_the_history() -> None:
    """The second turn's request tells what the first one said, meant and showed."""
    rewriter = scripted(
        rewrite_pb2.Rewrite(route=query_pb2.ROUTE_TEXT, query="red dress"),
        rewrite_pb2.Rewrite(route=query_pb2.ROUTE_REFINE, modification="long", references=["p1"]),
    )
    async with serving(products=PRODUCTS, rewriter=rewriter) as gateway:
        first = await take_turn(gateway, text="red dress", limit=2)
        second = await take_turn(gateway, text="the first, longer", session_id=first[0].session_id)
    (before,) = rewriter.requests[1].history
    assert before.text == "red dress"
    assert before.rewrite.query == "red dress"
    assert [shown.id for shown in before.shown] == hits_of(first)
    assert second[1].result.searched.route == query_pb2.ROUTE_REFINE
    assert second[1].result.searched.product_id == "p1"
    assert hits_of(second)[0] == "p2"


async def test_an_earlier_picture_can_be_changed(jpeg: bytes) -> None:
    """A turn may refer to a picture of the session by its id."""
    rewriter = scripted(
        rewrite_pb2.Rewrite(
            route=query_pb2.ROUTE_COMPOSED, modification="in blue", references=[image_id(jpeg)]
        )
    )
    encoder = FakeEncoder()
    async with serving(products=PRODUCTS, rewriter=rewriter, encoder=encoder) as gateway:
        first = await take_turn(gateway, image=jpeg)
        second = await take_turn(gateway, text="the same in blue", session_id=first[0].session_id)
    assert first[1].result.searched.route == query_pb2.ROUTE_IMAGE
    assert first[1].result.degraded == []
    assert second[1].result.searched.route == query_pb2.ROUTE_COMPOSED
    assert encoder.embed_calls[-1].images == [jpeg]
    assert encoder.embed_calls[-1].texts == ["in blue"]


@pytest.mark.parametrize("route", [query_pb2.ROUTE_CHAT, query_pb2.ROUTE_COMPARE])
async def test_some_turns_search_nothing(route: query_pb2.Route.ValueType) -> None:
    """Chat and comparison are answered by the reply alone."""
    rewriter = scripted(rewrite_pb2.Rewrite(route=route, reply="You are welcome."))
    async with serving(products=PRODUCTS, rewriter=rewriter) as gateway:
        turn = await take_turn(gateway, text="thanks")
    assert events_of(turn) == ["understood", "reply"]


@pytest.mark.parametrize(
    "rewriter",
    [
        FakeRewriter(lambda _: rewrite_pb2.Rewrite(), fails=True),
        FakeRewriter(lambda _: rewrite_pb2.Rewrite(), delay_s=60),
        scripted(rewrite_pb2.Rewrite(route=query_pb2.ROUTE_REFINE, modification="x", references=["p9"])),
        scripted(rewrite_pb2.Rewrite(route=query_pb2.ROUTE_SIMILAR)),
        scripted(rewrite_pb2.Rewrite(route=query_pb2.ROUTE_IMAGE)),
    ],
)
async def test_without_a_sound_rewrite_the_words_are_searched(rewriter: FakeRewriter) -> None:
    """Failing, late, or without the reference that its route needs: the shopper's words, and the answer says so."""
    settings = Settings(converse_budget_ms=50)
    async with serving(products=PRODUCTS, rewriter=rewriter, settings=settings) as gateway:
        turn = await take_turn(gateway, text="blue shirt")
    assert turn[0].understood.source == "caller"
    assert turn[1].result.degraded == ["rewrite"]
    assert hits_of(turn)[0] == "p3"


async def test_a_session_belongs_to_its_user() -> None:
    """Another user is denied, an unknown session is not found; both are told which field."""
    async with serving(products=PRODUCTS) as gateway:
        first = await take_turn(gateway, text="red dress", user_id="ann")
        session_id = first[0].session_id
        with pytest.raises(aio.AioRpcError) as denied:
            await take_turn(gateway, text="more", session_id=session_id, user_id="bob")
        with pytest.raises(aio.AioRpcError) as missing:
            await take_turn(gateway, text="more", session_id="x" * 32)
        assert events_of(await take_turn(gateway, text="more", session_id=session_id, user_id="ann"))
    assert denied.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert missing.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_caller_may_keep_the_history_itself() -> None:
    """With a history in the request there is no session, and references reach into that history."""
    rewriter = scripted(rewrite_pb2.Rewrite(route=query_pb2.ROUTE_SIMILAR, references=["p1"]))
    history = [rewrite_pb2.Turn(text="red dress", shown=[query_pb2.Product(id="p1", title="red dress")])]
    async with serving(products=PRODUCTS, rewriter=rewriter) as gateway:
        turn = await take_turn(gateway, text="more like the first", history=history)
    assert {event.session_id for event in turn} == {""}
    assert turn[1].result.searched.product_id == "p1"
    assert sorted(hits_of(turn)) == ["p2", "p3"]


async def test_turns_of_one_session_are_answered_one_after_the_other() -> None:
    """Three turns at once see each other's history in the order in which they were answered."""
    rewriter = FakeRewriter(lambda _: rewrite_pb2.Rewrite(route=query_pb2.ROUTE_CHAT), delay_s=0.02)
    async with serving(products=PRODUCTS, rewriter=rewriter) as gateway:
        first = await take_turn(gateway, text="hello")
        session_id = first[0].session_id
        await asyncio.gather(*(take_turn(gateway, text=f"t{i}", session_id=session_id) for i in range(3)))
    assert [len(request.history) for request in rewriter.requests] == [0, 1, 2, 3]


async def test_a_turn_that_failed_is_not_remembered() -> None:
    """Only answered turns are part of the conversation."""
    rewriter = FakeRewriter(lambda _: rewrite_pb2.Rewrite(route=query_pb2.ROUTE_CHAT))
    async with serving(products=PRODUCTS, rewriter=rewriter) as gateway:
        first = await take_turn(gateway, text="hello")
        with pytest.raises(aio.AioRpcError):
            await take_turn(gateway, product_id="p9", session_id=first[0].session_id)
        await take_turn(gateway, text="again", session_id=first[0].session_id)
    assert [turn.text for turn in rewriter.requests[-1].history] == ["hello"]


async def test_the_callers_filter_holds_in_every_turn() -> None:
    """What the rewriter understands comes on top of the caller's own conditions."""
    blue = query_pb2.Filter(equals=query_pb2.Equals(field="colour", value=query_pb2.FieldValue(text="blue")))
    rewriter = scripted(rewrite_pb2.Rewrite(route=query_pb2.ROUTE_TEXT, query="red dress"))
    async with serving(products=PRODUCTS, rewriter=rewriter) as gateway:
        turn = await take_turn(gateway, text="red dress", filter=blue)
    assert hits_of(turn) == ["p3"]


SERVING = "vitrine_gateway_serving"


async def until(condition: Callable[[], bool]) -> None:
    """Wait for the condition."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0.001)


class HangingRewriter:
    """Fails when it is told to, and hangs until then."""

    def __init__(self) -> None:
        self.told = asyncio.Event()

    async def rewrite(
        self, _request: rewrite_pb2.RewriteRequest, *, timeout_s: float
    ) -> rewrite_pb2.RewriteResponse:
        """Hang, then fail."""
        async with asyncio.timeout(timeout_s):
            await self.told.wait()
        raise RewriterUnavailable


@pytest.mark.parametrize("method", ["Search", "Converse"])
async def test_the_words_are_searched_as_they_stand_from_the_start(method: str) -> None:
    """While the rewriter hangs the index is asked already; when it is given up, that answer is the answer."""
    rewriter, index = HangingRewriter(), FakeIndex.holding(PRODUCTS)
    patient = Settings(
        converse_budget_ms=30_000,
        rewrite_budget_ms=30_000,
        default_deadline_ms=30_000,
        probe_interval_ms=10**7,
        lexical_share=0.0,
    )
    async with serving(index=index, rewriter=rewriter, settings=patient) as gateway:
        stub = search_pb2_grpc.SearchServiceStub(gateway.channel)
        await stub.Search(
            search_pb2.SearchRequest(text="x", rewrite=1), timeout=30
        )  # after it, the probe is done
        before = index.search_calls
        if method == "Search":
            call = stub.Search(search_pb2.SearchRequest(text="blue shirt", rewrite=2), timeout=30)
            answer: asyncio.Task[Any] = asyncio.ensure_future(call)
        else:
            answer = asyncio.create_task(take_turn(gateway, text="blue shirt"))
        await until(lambda: index.search_calls > before)
        assert not answer.done()
        rewriter.told.set()
        result = (await answer) if method == "Search" else (await answer)[1].result
    assert index.search_calls == before + 1
    assert (result.hits[0].product_id, list(result.degraded)) == ("p3", ["rewrite"])


async def test_what_was_understood_in_vain_falls_back() -> None:
    """A product that is gone from the index cannot be refined: the words are searched, and the answer says so."""
    rewriter = scripted(
        rewrite_pb2.Rewrite(route=query_pb2.ROUTE_TEXT, query="dress"),
        rewrite_pb2.Rewrite(route=query_pb2.ROUTE_REFINE, modification="blue", references=["p1"]),
    )
    index = FakeIndex.holding(PRODUCTS)
    settings = Settings(product_cache_entries=0)
    async with serving(index=index, rewriter=rewriter, settings=settings) as gateway:
        first = await take_turn(gateway, text="dress")
        assert index.in_use is not None
        await index.in_use.delete(["p1"])
        second = await take_turn(gateway, text="blue shirt", session_id=first[0].session_id)
    assert hits_of(second)[0] == "p3"
    assert second[1].result.degraded == ["rewrite"]


async def test_products_are_compared_by_the_index() -> None:
    """A comparison is a table of the products that the turn refers to, as the index holds them now."""
    rewriter = scripted(
        rewrite_pb2.Rewrite(route=query_pb2.ROUTE_TEXT, query="red dress"),
        rewrite_pb2.Rewrite(
            route=query_pb2.ROUTE_COMPARE,
            references=["p2", "p1"],
            reply="Both.",
            intent=query_pb2.INTENT_COMPARE,
        ),
    )
    async with serving(products=PRODUCTS, rewriter=rewriter) as gateway:
        first = await take_turn(gateway, text="red dress")
        second = await take_turn(gateway, text="compare", session_id=first[0].session_id)
    assert events_of(second) == ["understood", "comparison", "reply"]
    assert second[0].understood.intent == query_pb2.INTENT_COMPARE
    table = second[1].comparison
    assert [each.id for each in table.products] == ["p2", "p1"]
    rows = {row.field: (list(row.values), row.equal) for row in table.fields}
    assert rows["price"] == (["10.00", "30.00"], False)
    assert rows["colour"] == (["red", "red"], True)


async def test_questions_are_answered_by_the_index() -> None:
    """A question about a shown product gets its attributes; one about the catalogue what the index counts."""
    consult = {"route": query_pb2.ROUTE_CHAT, "intent": query_pb2.INTENT_CONSULT, "reply": "See below."}
    rewriter = scripted(
        rewrite_pb2.Rewrite(route=query_pb2.ROUTE_TEXT, query="red dress"),
        rewrite_pb2.Rewrite(references=["p3"], **consult),  # type: ignore[arg-type] # it names the fields
        rewrite_pb2.Rewrite(**consult),  # type: ignore[arg-type] # likewise
    )
    async with serving(products=PRODUCTS, rewriter=rewriter) as gateway:
        first = await take_turn(gateway, text="red dress")
        second = await take_turn(gateway, text="what is the third?", session_id=first[0].session_id)
        third = await take_turn(gateway, text="how many red things?", session_id=first[0].session_id)
    assert [each.id for each in second[1].comparison.products] == ["p3"]
    (fact,) = third[1].facts.facts
    assert (fact.field, fact.value, fact.products) == ("colour", "red", 2)


async def test_what_the_shopper_hates_is_left_out_until_it_is_forgiven() -> None:
    """A remark excludes its value from this search and the next ones, the answer says so, and praise lifts it."""
    red = {"field": "colour", "value": "red"}
    rewriter = scripted(
        rewrite_pb2.Rewrite(
            route=query_pb2.ROUTE_TEXT,
            query="red dress",
            remarks=[rewrite_pb2.Remark(**red, polarity=query_pb2.SENTIMENT_NEGATIVE)],  # type: ignore[arg-type] # named
        ),
        rewrite_pb2.Rewrite(route=query_pb2.ROUTE_TEXT, query="red dress long"),
        rewrite_pb2.Rewrite(
            route=query_pb2.ROUTE_TEXT,
            query="red dress",
            remarks=[rewrite_pb2.Remark(**red, polarity=query_pb2.SENTIMENT_POSITIVE)],  # type: ignore[arg-type] # named
        ),
    )
    async with serving(products=PRODUCTS, rewriter=rewriter) as gateway:
        session_id = ""
        turns = []
        for text in ("too red", "longer", "red is fine after all"):
            turns.append(await take_turn(gateway, text=text, session_id=session_id))
            session_id = turns[-1][0].session_id
    assert [hits_of(turn)[0] for turn in turns] == ["p3", "p3", "p1"]
    said = [[(each.field, each.value) for each in turn[1].result.searched.excluded] for turn in turns]
    assert said == [[("colour", "red")], [("colour", "red")], []]
    assert turns[0][0].understood.remarks[0].value == "red"


async def test_a_history_remembers_what_was_hated() -> None:
    """A caller that keeps the history itself gets the same: the log of readings is all that it takes."""
    remark = rewrite_pb2.Remark(field="colour", value="red", polarity=query_pb2.SENTIMENT_NEGATIVE)
    history = [rewrite_pb2.Turn(text="too red", rewrite=rewrite_pb2.Rewrite(remarks=[remark]))]
    rewriter = scripted(rewrite_pb2.Rewrite(route=query_pb2.ROUTE_TEXT, query="red dress"))
    async with serving(products=PRODUCTS, rewriter=rewriter) as gateway:
        turn = await take_turn(gateway, text="longer", history=history)
    assert hits_of(turn) == ["p3"]


async def test_where_everything_is_hated_the_nearest_is_shown() -> None:
    """Wishes give way first, then faults, and the answer says which."""
    hates = [
        rewrite_pb2.Remark(field="category", value="dress", polarity=query_pb2.SENTIMENT_NEGATIVE),
    ]
    blue = query_pb2.Filter(equals=query_pb2.Equals(field="colour", value=query_pb2.FieldValue(text="blue")))
    rewrite = rewrite_pb2.Rewrite(route=query_pb2.ROUTE_TEXT, query="red dress", remarks=hates, filter=blue)
    async with serving(products=PRODUCTS, rewriter=scripted(rewrite)) as gateway:
        turn = await take_turn(gateway, text="not a dress")
    assert hits_of(turn) == ["p1", "p2", "p3"]
    assert turn[1].result.degraded == ["soft_filters", "exclusions"]
    assert not turn[1].result.searched.excluded


async def test_sessions_know_nothing_of_each_other(jpeg: bytes) -> None:
    """Neither words nor pictures nor dislikes of one session reach another, whatever it refers to."""
    remark = rewrite_pb2.Remark(field="colour", value="red", polarity=query_pb2.SENTIMENT_NEGATIVE)
    rewriter = scripted(
        rewrite_pb2.Rewrite(route=query_pb2.ROUTE_TEXT, query="red dress", remarks=[remark]),
        rewrite_pb2.Rewrite(route=query_pb2.ROUTE_COMPOSED, modification="blue", references=[image_id(jpeg)]),
    )
    async with serving(products=PRODUCTS, rewriter=rewriter) as gateway:
        await take_turn(gateway, image=jpeg, text="my secret picture")
        other = await take_turn(gateway, text="red dress")
    assert not rewriter.requests[1].history
    assert "secret" not in str(other)
    assert (hits_of(other)[0], other[1].result.degraded) == ("p1", ["rewrite"])
    assert not other[1].result.searched.excluded
