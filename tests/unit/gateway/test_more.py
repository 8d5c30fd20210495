"""Show me more: the next page of the search before, in a session and in a history that the caller keeps."""

from collections.abc import Sequence

import pytest

from gateway.retrieval.category import CATEGORY
from gateway.testing import FakeIndex, FakeRewriter, ServedGateway, product, serving
from vitrine.v1 import query_pb2, rewrite_pb2, search_pb2, search_pb2_grpc

PRODUCTS = tuple(product(f"p{i:02}", f"red dress kind{i % 7}", price=float(i * 7 % 11)) for i in range(12))
MORE = "show me more"


async def take_turn(
    gateway: ServedGateway, text: str, **request: object
) -> list[search_pb2.ConverseResponse]:
    stub = search_pb2_grpc.SearchServiceStub(gateway.channel)
    turn = search_pb2.ConverseRequest(text=text, **request)  # type: ignore[arg-type] # the tests name the fields
    return [event async for event in stub.Converse(turn, timeout=30)]


def hits_of(turn: Sequence[search_pb2.ConverseResponse]) -> list[str]:
    return [hit.product_id for event in turn for hit in event.result.hits]


def degraded_of(turn: Sequence[search_pb2.ConverseResponse]) -> list[str]:
    return [part for event in turn for part in event.result.degraded]


def reading(**fields: object) -> FakeRewriter:
    """A rewriter that reads a search as given, small talk as such, and more as the search before."""

    def read(request: rewrite_pb2.RewriteRequest) -> rewrite_pb2.Rewrite:
        if request.text == "thanks":
            return rewrite_pb2.Rewrite(route=query_pb2.ROUTE_CHAT, reply="Welcome.")
        searches = [turn.rewrite for turn in request.history if turn.rewrite.route != query_pb2.ROUTE_CHAT]
        if request.text == MORE and searches:
            more = rewrite_pb2.Rewrite()
            more.CopyFrom(searches[-1])
            more.more = True
            return more
        return rewrite_pb2.Rewrite(
            **{"route": query_pb2.ROUTE_TEXT, "query": request.text, **fields}  # type: ignore[arg-type] # the tests name them
        )

    return FakeRewriter(read)


async def talk(gateway: ServedGateway, *texts: str, limit: int = 4) -> list[list[str]]:
    """Say the texts in one session; return the hits of each turn."""
    session_id, shown = "", []
    for text in texts:
        turn = await take_turn(gateway, text, session_id=session_id, limit=limit)
        assert degraded_of(turn) == []
        session_id = turn[0].session_id
        shown.append(hits_of(turn))
    return shown


@pytest.mark.parametrize(
    "fields",
    [{}, {"sort": query_pb2.Sort(field="price")}],
    ids=["by score", "by price"],
)
async def test_more_is_the_next_page_and_more_again_the_one_after(fields: dict[str, object]) -> None:
    """Three turns show three pages of one search: all in its order, none twice, until there are no more."""
    async with serving(products=PRODUCTS, rewriter=reading(**fields)) as gateway:
        ((*whole,),) = await talk(gateway, "red dress", limit=200)
        shown = await talk(gateway, "red dress", MORE, MORE, MORE)
    assert [len(page) for page in shown] == [4, 4, 4, 0]
    assert [each for page in shown for each in page] == whole


async def test_more_goes_on_after_small_talk() -> None:
    """What searches nothing does not move the page."""
    async with serving(products=PRODUCTS, rewriter=reading()) as gateway:
        ((*whole,),) = await talk(gateway, "red dress", limit=200)
        shown = await talk(gateway, "red dress", "thanks", MORE, "thanks", MORE)
    assert [each for page in shown for each in page] == whole


async def test_another_search_begins_at_its_first_page() -> None:
    """More is about the last search, not about the one before it."""
    async with serving(products=PRODUCTS, rewriter=reading()) as gateway:
        ((*whole,),) = await talk(gateway, "dress kind3", limit=200)
        shown = await talk(gateway, "red dress", MORE, "dress kind3", MORE)
    assert shown[2] + shown[3] == whole[:8]


async def test_pages_of_a_conversation_may_have_several_sizes() -> None:
    """More goes on where the last page ended, however many hits it had."""
    async with serving(products=PRODUCTS, rewriter=reading()) as gateway:
        ((*whole,),) = await talk(gateway, "red dress", limit=200)
        first = await take_turn(gateway, "red dress", limit=5)
        second = await take_turn(gateway, MORE, session_id=first[0].session_id, limit=2)
        third = await take_turn(gateway, MORE, session_id=first[0].session_id, limit=3)
    assert hits_of(first) + hits_of(second) + hits_of(third) == whole[:10]


async def test_exact_matches_stay_those_of_the_first_pages_words() -> None:
    """The words of "show me more" match nothing; those that were typed first still do."""
    products = [*PRODUCTS, product("WH-1000XM4", "headphones")]
    async with serving(products=products, rewriter=reading(query="dress")) as gateway:
        ((*whole,),) = await talk(gateway, "WH-1000XM4", limit=200)
        shown = await talk(gateway, "WH-1000XM4", MORE, MORE, MORE)
    assert whole[0] == "WH-1000XM4"
    assert [each for page in shown for each in page] == whole


async def test_more_of_a_picture_goes_on_with_it(jpeg: bytes) -> None:
    """A turn of a picture alone, and one of a picture with words, have next pages too."""
    reader = reading(route=query_pb2.ROUTE_COMPOSED, query="", modification="in red")
    for text in ("", "in red"):
        async with serving(products=PRODUCTS, rewriter=reader) as gateway:
            whole = await take_turn(gateway, text, image=jpeg, limit=200)
            first = await take_turn(gateway, text, image=jpeg, limit=4)
            second = await take_turn(gateway, MORE, session_id=first[0].session_id, limit=4)
        # A busy machine may not yet have found that there are too few pictures to learn from.
        assert set(degraded_of(second)) <= {CATEGORY}
        assert hits_of(first) + hits_of(second) == hits_of(whole)[:8]


async def test_more_of_a_products_look_alikes_goes_on_with_it() -> None:
    """A turn that pointed at a product has next pages; the product itself is in none."""
    async with serving(products=PRODUCTS, rewriter=reading()) as gateway:
        whole = await take_turn(gateway, "", product_id="p03", limit=200)
        first = await take_turn(gateway, "", product_id="p03", limit=4)
        second = await take_turn(gateway, MORE, session_id=first[0].session_id, limit=4)
    assert hits_of(first) + hits_of(second) == hits_of(whole)[:8]


async def test_a_relaxed_search_has_next_pages_too() -> None:
    """What no product satisfied is given up on every page alike."""
    striped = product("z", "a striped one", pattern="striped", price=100.0)
    value = query_pb2.FieldValue(text="striped")
    stripes = query_pb2.Filter(equals=query_pb2.Equals(field="pattern", value=value))
    cheap = query_pb2.Filter(range=query_pb2.Range(field="price", maximum=50))
    async with serving(products=[striped, *PRODUCTS], rewriter=reading(filter=stripes)) as gateway:
        turns, session_id = [], ""
        for text in ("red dress", MORE, MORE):
            turns.append(await take_turn(gateway, text, session_id=session_id, filter=cheap, limit=4))
            session_id = turns[-1][0].session_id
    assert [degraded_of(turn) for turn in turns] == [["soft_filters"]] * 3
    shown = [each for turn in turns for each in hits_of(turn)]
    assert sorted(shown) == [each.id for each in PRODUCTS]


async def test_more_without_a_search_before_is_a_search() -> None:
    """There is nothing to go on with: the first page is shown."""
    rewriter = FakeRewriter(
        lambda turn: rewrite_pb2.Rewrite(route=query_pb2.ROUTE_TEXT, query=turn.text, more=True)
    )
    async with serving(products=PRODUCTS, rewriter=rewriter) as gateway:
        assert len(hits_of(await take_turn(gateway, "red dress", limit=4))) == 4


async def test_a_caller_that_keeps_the_history_tells_the_position() -> None:
    """With Turn.position the next page is the same as that of a session."""
    async with serving(products=PRODUCTS, rewriter=reading()) as gateway:
        ((*whole,),) = await talk(gateway, "red dress", limit=200)
        history: list[rewrite_pb2.Turn] = []
        shown: list[str] = []
        for text in ("red dress", MORE, MORE):
            turn = await take_turn(
                gateway, text, history=history or [rewrite_pb2.Turn(text="hello")], limit=4
            )
            shown += hits_of(turn)
            history.append(rewrite_pb2.Turn(text=text, rewrite=turn[0].understood, position=len(shown)))
    assert shown == whole


@pytest.mark.parametrize("position", [1_000, 999])
async def test_the_last_position_has_nothing_after_it(position: int) -> None:
    """A history that claims to have seen it all is answered with nothing, and harms nobody."""
    read = rewrite_pb2.Rewrite(route=query_pb2.ROUTE_TEXT, query="red dress")
    history = [rewrite_pb2.Turn(text="red dress", rewrite=read, position=position)]
    index = FakeIndex.holding(PRODUCTS)
    async with serving(index=index, rewriter=reading()) as gateway:
        assert hits_of(await take_turn(gateway, MORE, history=history, limit=200)) == []
