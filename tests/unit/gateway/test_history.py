"""Which earlier turns a turn is read in the light of."""

from collections.abc import Sequence

import numpy as np
import pytest

from gateway.conversation.history import HistoryBounds, token_count, tokens_of, within_budget
from gateway.conversation.sessions import LoggedTurn
from gateway.model import Embedding
from gateway.settings import Settings
from gateway.testing import FakeEncoder, FakeRewriter, ServedGateway, product, serving
from vitrine.v1 import query_pb2, rewrite_pb2, search_pb2, search_pb2_grpc

PRODUCTS = (product("p1", "red dress"), product("p2", "blue shirt", colour="blue"))


def turns(*texts: str) -> list[LoggedTurn]:
    return [LoggedTurn(turn=rewrite_pb2.Turn(text=text)) for text in texts]


def bounds(*, last: int = 2, similar: int = 2, tokens: int = 1_000) -> HistoryBounds:
    return HistoryBounds(last=last, similar=similar, tokens=tokens, timeout_s=30)


def similarity(*values: float) -> Embedding:
    return np.array(values, np.float32)


def test_the_last_and_the_most_similar_turns_are_chosen_in_order() -> None:
    """The last ones are taken as they come, of the others those that are most similar; in the order of the talk."""
    said = turns(*"abcdefg")
    assert within_budget(said, similarity(0.9, 0.1, 0.5, 0.4, 0.7), bounds()) == [0, 4, 5, 6]


def test_what_is_not_similar_at_all_is_left_out() -> None:
    """A turn without words, or of the opposite meaning, is no help."""
    assert within_budget(turns(*"abcd"), similarity(0.0, -0.5), bounds()) == [2, 3]


def test_tokens_have_a_bound() -> None:
    """The last turns come first to it, then the similar ones; one that is too long gives way to the next."""
    said = turns("a b c", "a " * 50, "a b", "a b c", "a b")
    near = similarity(0.5, 0.9, 0.7)
    assert within_budget(said, near, bounds(similar=3, tokens=10)) == [0, 2, 3, 4]
    assert within_budget(said, near, bounds(similar=3, tokens=7)) == [2, 3, 4]
    assert within_budget(said, near, bounds(similar=3, tokens=4)) == [4]
    assert within_budget(said, near, bounds(similar=3, tokens=1)) == []


def test_all_that_a_model_would_read_counts() -> None:
    """The words, how they were read, and what was shown."""
    turn = rewrite_pb2.Turn(text="one", rewrite=rewrite_pb2.Rewrite(query="two", reply="three"))
    without = token_count(turn)
    turn.shown.add(title="red dress", category="dress", price=12.5)
    assert without == tokens_of("one") + tokens_of("two") + tokens_of("three")
    assert token_count(turn) == without + tokens_of("red dress dress 12.50")


@pytest.mark.parametrize(
    ("text", "tokens"), [("", 0), ("a dress", 4), ("under $20!", 7), ("裙子", 6), ("日 x", 4)]
)
def test_tokens_are_counted(text: str, tokens: int) -> None:
    """Pairs of letters, digits and signs one by one, and bytes beyond ASCII."""
    assert tokens_of(text) == tokens


async def converse(
    gateway: ServedGateway, text: str, session_id: str = "", history: Sequence[rewrite_pb2.Turn] = ()
) -> list[search_pb2.ConverseResponse]:
    stub = search_pb2_grpc.SearchServiceStub(gateway.channel)
    request = search_pb2.ConverseRequest(text=text, session_id=session_id, history=history)
    return [event async for event in stub.Converse(request, timeout=30)]


def embedded(encoder: FakeEncoder) -> list[list[str]]:
    """Give the words of each call, the probes' aside."""
    calls = [list(call.texts or ()) for call in encoder.embed_calls]
    return [texts for texts in calls if texts != ["ready"]]


SHORT = Settings(
    history_last_turns=2, history_similar_turns=1, history_timeout_ms=30_000, converse_budget_ms=30_000
)


def reader() -> FakeRewriter:
    return FakeRewriter(lambda turn: rewrite_pb2.Rewrite(route=query_pb2.ROUTE_TEXT, query=turn.text))


async def test_a_session_recalls_a_turn_of_long_ago() -> None:
    """The turn whose words are most like these is read with the last two, by embeddings that were made before."""
    rewriter, encoder = reader(), FakeEncoder()
    async with serving(products=PRODUCTS, rewriter=rewriter, encoder=encoder, settings=SHORT) as gateway:
        session_id = ""
        for text in ("green boots", "red silk dress", "a hat", "some socks"):
            session_id = (await converse(gateway, text, session_id))[0].session_id
        await converse(gateway, "that silk dress again", session_id)
    read = [turn.text for turn in rewriter.requests[-1].history]
    assert read == ["red silk dress", "a hat", "some socks"]
    said = ["green boots", "red silk dress", "a hat", "some socks", "that silk dress again"]
    assert embedded(encoder) == [[text] for text in said], "once each, for its search and for the memory"


async def test_a_history_that_the_caller_sends_is_recalled_alike() -> None:
    """Its turns carry no embeddings: one call makes them, and the next turn finds them made."""
    rewriter, encoder = reader(), FakeEncoder()
    history = [
        rewrite_pb2.Turn(text=text) for text in ("green boots", "red silk dress", "a hat", "some socks")
    ]
    async with serving(products=PRODUCTS, rewriter=rewriter, encoder=encoder, settings=SHORT) as gateway:
        await converse(gateway, "that silk dress again", history=history)
        calls = embedded(encoder)
        await converse(gateway, "that silk dress again", history=history)
    assert [turn.text for turn in rewriter.requests[-1].history] == ["red silk dress", "a hat", "some socks"]
    assert sorted(calls) == [["green boots", "red silk dress"], ["that silk dress again"]]
    assert embedded(encoder) == calls


async def test_without_an_encoder_in_time_the_last_turns_are_read() -> None:
    """A slow encoder costs the old turns, which the answer says, and not the turn."""
    rewriter = reader()
    impatient = Settings(history_last_turns=1, history_timeout_ms=0, converse_budget_ms=30_000)
    history = [rewrite_pb2.Turn(text=text) for text in ("red dress", "a hat")]
    async with serving(products=PRODUCTS, rewriter=rewriter, settings=impatient) as gateway:
        events = await converse(gateway, "red dress", history=history)
    assert [turn.text for turn in rewriter.requests[-1].history] == ["a hat"]
    assert [part for event in events for part in event.result.degraded] == ["history"]
