"""Bad turns through the running gateway: a clear answer, or one that says what is missing; and the next turn is answered."""

import math
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from grpc import aio

from vitrine.v1 import query_pb2, rewrite_pb2, search_pb2, search_pb2_grpc

TIMEOUT_S = 60.0
Turn = list[search_pb2.ConverseResponse]
NEVER_SENT = "image:0123456789abcdef0123456789abcdef"


@pytest.fixture
async def channel(stack: Any) -> AsyncIterator[aio.Channel]:
    """Connect to the running gateway; afterwards, a plain turn must still be answered."""
    options = [("grpc.max_send_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
    async with aio.insecure_channel(stack.gateway, options=options) as channel:
        yield channel
        after = await converse(channel, text="a red dress")
    assert hits_of(after)
    assert degraded_of(after) == []


async def converse(channel: aio.Channel, **request: Any) -> Turn:
    stub = search_pb2_grpc.SearchServiceStub(channel)
    turn = search_pb2.ConverseRequest(**request)
    return [event async for event in stub.Converse(turn, timeout=TIMEOUT_S)]


async def refusal(channel: aio.Channel, **request: Any) -> tuple[grpc.StatusCode, str]:
    """Give the status of a turn that is refused, and its message."""
    with pytest.raises(aio.AioRpcError) as refused:
        await converse(channel, **request)
    return refused.value.code(), refused.value.details() or ""


def hits_of(turn: Turn) -> list[str]:
    return [hit.product_id for event in turn for hit in event.result.hits]


def degraded_of(turn: Turn) -> list[str]:
    return [part for event in turn for part in event.result.degraded]


async def test_a_session_that_is_not_there(channel: aio.Channel) -> None:
    """An id that nobody was given, or that lapsed, is not found; the message names the field."""
    code, message = await refusal(channel, text="red", session_id="x" * 32)
    assert (code, message) == (grpc.StatusCode.NOT_FOUND, "session_id: session not found")


async def test_another_callers_session(channel: aio.Channel) -> None:
    """It is refused, and the one whose it is goes on."""
    session_id = (await converse(channel, text="a red dress", user_id="ann"))[0].session_id
    for stranger in ("bob", ""):
        code, message = await refusal(channel, text="more", session_id=session_id, user_id=stranger)
        assert code is grpc.StatusCode.PERMISSION_DENIED
        assert message.startswith("session_id: ")
        assert "ann" not in message
    assert hits_of(await converse(channel, text="cheaper", session_id=session_id, user_id="ann"))


async def test_two_sessions_know_nothing_of_each_other(channel: aio.Channel) -> None:
    """What one conversation showed is no reference in another."""
    first = await converse(channel, text="a red floral dress")
    second = await converse(channel, text="a black leather bag")
    assert first[0].session_id != second[0].session_id
    then = await converse(channel, text="compare the first two", session_id=second[0].session_id)
    compared = [product.id for event in then for product in event.comparison.products]
    assert compared == hits_of(second)[:2]


@pytest.mark.parametrize(
    ("request_", "field", "limit"),
    [
        ({"text": "x" * 100_000}, "text", "has 100,000 bytes"),
        (
            {"text": "a", "history": [rewrite_pb2.Turn(text="a")] * 10_000},
            "history",
            "at most 256 fields of one request",
        ),
        ({"text": "a", "history": [rewrite_pb2.Turn()], "session_id": "s"}, "history", "excludes session_id"),
        ({"text": "a", "session_id": "s" * 1_000}, "session_id", "at most 64 characters"),
        ({"text": "a", "session_id": "a\nb"}, "session_id", "control characters"),
        (
            {"text": "a", "history": [rewrite_pb2.Turn(shown=[query_pb2.Product(price=math.nan)])]},
            "history[0].shown[0].price",
            "finite",
        ),
    ],
    ids=["100 kB of text", "10,000 turns", "history and session", "long id", "id of two lines", "no price"],
)
async def test_a_field_beyond_its_limit(
    channel: aio.Channel, request_: dict[str, Any], field: str, limit: str
) -> None:
    """It is refused with the field and its limit."""
    code, message = await refusal(channel, **request_)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert message.startswith(f"{field}: ")
    assert limit in message


async def test_a_picture_that_was_never_sent(channel: aio.Channel) -> None:
    """As a product it is not found; as an earlier picture it is missing, so the words are searched and that is said."""
    code, message = await refusal(channel, product_id=NEVER_SENT)
    assert code is grpc.StatusCode.NOT_FOUND
    assert message.startswith("product_id: ")
    picture = rewrite_pb2.Turn(image_id=NEVER_SENT, rewrite=rewrite_pb2.Rewrite(route=query_pb2.ROUTE_IMAGE))
    turn = await converse(channel, text="like the picture, but in black", history=[picture])
    assert turn[-1].WhichOneof("event") == "reply"
    assert hits_of(turn)
    assert degraded_of(turn) == ["rewrite"]


async def test_a_history_of_nonsense(channel: aio.Channel) -> None:
    """Whatever a caller claims to have been read and shown before, the turn is answered."""
    nonsense = rewrite_pb2.Rewrite(
        route=99,
        filter=query_pb2.Filter(
            equals=query_pb2.Equals(field="price; drop", value=query_pb2.FieldValue(text="x"))
        ),
        references=["p9"] * 20,
        remarks=[rewrite_pb2.Remark(field="colour", value='"; --', polarity=query_pb2.SENTIMENT_NEGATIVE)],
    )
    history = [rewrite_pb2.Turn(text="ignore it", rewrite=nonsense, shown=[query_pb2.Product(id="p9")])] * 50
    turn = await converse(channel, text="a red dress", history=history)
    assert hits_of(turn)
    assert turn[0].session_id == ""
