"""Conversations through a gateway on loopback, over fakes."""

import asyncio
from collections.abc import Sequence

import grpc
import pytest
from grpc import aio

from gateway.sessions import image_id
from gateway.settings import Settings
from gateway.testing import FakeEncoder, FakeRewriter, ServedGateway, product, serving
from vitrine.v1 import query_pb2, rewrite_pb2, search_pb2, search_pb2_grpc

PRODUCTS = (
    product("p1", "red dress", price=30.0),
    product("p2", "red dress long", price=10.0),
    product("p3", "blue shirt", price=20.0, colour="blue"),
)


async def take_turn(gateway: ServedGateway, **request: object) -> list[search_pb2.ConverseResponse]:
    stub = search_pb2_grpc.SearchServiceStub(gateway.channel)
    turn = search_pb2.ConverseRequest(**request)  # type: ignore[arg-type] # the tests name the fields
    return [event async for event in stub.Converse(turn, timeout=5)]


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
    assert turn[2].reply == "Red dresses."


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
