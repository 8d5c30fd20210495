"""What the index says it holds, across swaps and while it is slow."""

import asyncio
from dataclasses import dataclass, field, replace

from gateway.errors import VectorIndexError
from gateway.model import IndexSummary
from gateway.retrieval.summary import CatalogueSummary
from gateway.testing import (
    MANIFEST,
    PATIENT,
    FakeIndex,
    FakeRewriter,
    ServedGateway,
    product,
    serving,
    until,
)
from vitrine.v1 import query_pb2, rewrite_pb2, search_pb2, search_pb2_grpc

RED = product("r", "red dress")
BLUE = product("b", "blue dress", colour="blue")


@dataclass
class GatedIndex(FakeIndex):
    """Describes itself as it was when it was asked, once it is told to."""

    open: asyncio.Event = field(default_factory=asyncio.Event)
    asked: int = 0

    async def describe(self, *, timeout_s: float) -> IndexSummary:
        """Take the summary, then wait for the word."""
        self.asked += 1
        summary = await super().describe(timeout_s=timeout_s)
        await self.open.wait()
        return summary


def gated() -> GatedIndex:
    return GatedIndex(in_use=FakeIndex.holding([RED]).in_use)


async def swap(index: FakeIndex) -> None:
    built = await index.build(MANIFEST, "test")
    await built.upsert([BLUE])
    await index.promote(built.version)


def colours(summary: IndexSummary | None) -> tuple[str, ...]:
    assert summary is not None
    return next(each.values for each in summary.fields if each.name == "colour")


async def test_a_summary_is_remembered() -> None:
    """Those who ask again at once are answered from memory, those who ask together share one question."""
    index = gated()
    index.open.set()
    summary = CatalogueSummary(index)
    answers = await asyncio.gather(*(summary.of("fake-0", timeout_s=30) for _ in range(3)))
    answers.append(await summary.of("fake-0", timeout_s=30))
    assert ([colours(each) for each in answers], index.asked) == ([("red",)] * 4, 1)


async def test_an_index_that_does_not_answer_has_no_summary() -> None:
    """Failing or late, there is none, and the next one who asks is answered."""
    index = gated()
    index.error = VectorIndexError()
    summary = CatalogueSummary(index)
    assert await summary.of("fake-0", timeout_s=30) is None
    index.error = None
    assert await summary.of("fake-0", timeout_s=0.01) is None
    index.open.set()
    assert colours(await summary.of("fake-0", timeout_s=30)) == ("red",)


async def test_the_summary_of_a_replaced_index_is_never_given() -> None:
    """Whoever asks after a swap waits for the new one, also where the old one is still being described."""
    index = gated()
    summary = CatalogueSummary(index)
    before = asyncio.create_task(summary.of("fake-0", timeout_s=30))
    await until(lambda: index.asked == 1)
    await swap(index)
    after = asyncio.create_task(summary.of("fake-1", timeout_s=30))
    await asyncio.sleep(0)
    index.open.set()
    assert colours(await before) == ("red",)
    assert colours(await after) == ("blue",)
    await summary.close()


async def search(gateway: ServedGateway, text: str) -> search_pb2.SearchResponse:
    stub = search_pb2_grpc.SearchServiceStub(gateway.channel)
    request = search_pb2.SearchRequest(text=text, rewrite=search_pb2.REWRITE_MODE_AUTO)
    return await stub.Search(request, timeout=30)


async def test_the_first_search_after_a_rebuild_is_read_by_the_new_index() -> None:
    """Its words are read with the values that the new index holds."""
    blue = query_pb2.Filter(equals=query_pb2.Equals(field="colour", value=query_pb2.FieldValue(text="BLUE")))
    rewriter = FakeRewriter(
        lambda turn: rewrite_pb2.Rewrite(route=query_pb2.ROUTE_TEXT, query=turn.text, filter=blue)
    )
    index = FakeIndex.holding([RED])
    async with serving(index=index, rewriter=rewriter) as gateway:
        await search(gateway, "a dress")
        await swap(index)
        answer = await search(gateway, "a blue dress")
    facets = {facet.field: list(facet.values) for facet in rewriter.requests[-1].facets}
    assert (facets["colour"], answer.versions.index) == (["blue"], "fake-1")
    assert answer.searched.filter.equals.value.text == "blue"


async def test_an_index_that_is_slow_to_describe_itself_holds_no_turn_up() -> None:
    """The turn is searched as it stands, and says what is missing: the reading, and exact matches."""
    rewriter = FakeRewriter(lambda turn: rewrite_pb2.Rewrite(route=query_pb2.ROUTE_TEXT, query=turn.text))
    settings = replace(PATIENT, converse_budget_ms=50)
    async with serving(index=gated(), rewriter=rewriter, settings=settings) as gateway:
        stub = search_pb2_grpc.SearchServiceStub(gateway.channel)
        turn = stub.Converse(search_pb2.ConverseRequest(text="red dress"), timeout=30)
        events = [event async for event in turn]
    assert [hit.product_id for event in events for hit in event.result.hits] == ["r"]
    assert set(events[1].result.degraded) <= {"rewrite", "lexical"}
    assert "lexical" in events[1].result.degraded
