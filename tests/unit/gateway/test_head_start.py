"""When the words as they stand are searched beside their reading."""

from dataclasses import replace

from gateway.conversation.head_start import HeadStart
from gateway.testing import PATIENT, FakeIndex, FakeRewriter, product, serving
from vitrine.v1 import query_pb2, rewrite_pb2, search_pb2, search_pb2_grpc

QUIET = replace(PATIENT, lexical_share=0.0, probe_interval_ms=10**7, result_cache_entries=0)


def test_a_search_beside_the_reading_is_made_while_it_is_of_use() -> None:
    """At first it is made; turns that were changed in time end that, and turns that were not bring it back."""
    start = HeadStart(0.01)
    assert start.seconds == 0.01
    for _ in range(7):
        start.learn(useful=False)
    assert start.seconds is None
    start.learn(useful=True)
    assert start.seconds == 0.01


async def test_words_that_are_read_in_time_come_to_cost_one_look_up() -> None:
    """After some searches whose words were changed, a search asks the index once, and twice before that."""
    index = FakeIndex.holding([product("p1", "red dress"), product("p2", "blue shirt")])
    rewriter = FakeRewriter(
        lambda request: rewrite_pb2.Rewrite(route=query_pb2.ROUTE_TEXT, query=f"{request.text} shirt")
    )
    calls = []
    async with serving(index=index, rewriter=rewriter, settings=QUIET) as gateway:
        stub = search_pb2_grpc.SearchServiceStub(gateway.channel)
        unread = search_pb2.SearchRequest(text="blue", rewrite=search_pb2.REWRITE_MODE_OFF)
        await stub.Search(unread, timeout=30)  # after it, the probe is done
        for i in range(10):
            before = index.search_calls
            answer = await stub.Search(search_pb2.SearchRequest(text=f"blue {i}"), timeout=30)
            assert answer.searched.text == f"blue {i} shirt"
            calls.append(index.search_calls - before)
    assert max(calls) <= 2
    assert calls[-3:] == [1, 1, 1]
