"""DataService: what is kept of a shopper is told whole, and after an erasure none of it is anywhere."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from gateway.adapters.sqlite_events import SqliteEvents, open_sqlite_events
from gateway.testing import PATIENT, product, serving
from vitrine.client import VitrineClient, VitrineError
from vitrine.v1.feedback_pb2 import Event
from vitrine.v1.search_pb2 import ConverseRequest, SearchRequest

SHOPPER = "eve-with-an-id-to-look-for"
CATALOGUE = [product(f"p{number}", f"dress {number}", price=10.0 + number) for number in range(8)]


@asynccontextmanager
async def shop(folder: Path) -> AsyncIterator[tuple[VitrineClient, SqliteEvents]]:
    """A gateway that takes events and keeps conversations."""
    settings = replace(PATIENT, personal_budget_ms=30_000)
    async with (
        open_sqlite_events(folder / "events.db") as store,
        serving(products=CATALOGUE, events=store, settings=settings) as gateway,
        VitrineClient(gateway.address, timeout_s=60) as client,
    ):
        while not (await client.search(SearchRequest(text="dress"))).answer_token:  # noqa: ASYNC110 - no event is set
            await asyncio.sleep(0.01)
        yield client, store


def events(count: int) -> list[Event]:
    """Return clicks of the shopper, of now."""
    clicks = [
        Event(
            id=uuid.uuid4().hex,
            kind=Event.KIND_CLICK,
            product_id=f"p{number % 8}",
            user_id=SHOPPER,
            session_id="visit",
            personalise=True,
        )
        for number in range(count)
    ]
    for click in clicks:
        click.time.FromMilliseconds(int(time.time() * 1e3) - 1)
    return clicks


async def session_of(client: VitrineClient) -> str:
    """Let the shopper take a turn; return the session's id."""
    turn = ConverseRequest(text="a dress", user_id=SHOPPER)
    return [answer async for answer in client.converse(turn)][-1].session_id


def everything(folder: Path) -> Iterator[bytes]:
    """Yield what is in the files of the store."""
    return (path.read_bytes() for path in folder.iterdir())


async def test_a_shopper_is_exported_whole(tmp_path: Path) -> None:
    """All events in pieces, then each conversation with its turns; another one gets nothing of it."""
    async with shop(tmp_path) as (client, _):
        sent = events(72)
        assert (await client.record(sent)).recorded == 72
        session = await session_of(client)
        told = [answer async for answer in client.export(SHOPPER)]
        kept = [event for answer in told for event in answer.events]
        assert {event.id for event in kept} == {event.id for event in sent}
        assert {event.kind for event in kept} == {Event.KIND_CLICK}
        conversation = told[-1].conversation
        assert (conversation.session_id, [turn.text for turn in conversation.turns]) == (session, ["a dress"])
        assert [answer async for answer in client.export("somebody else")] == []


async def test_nothing_of_an_erased_shopper_is_left(tmp_path: Path) -> None:
    """No file has the pseudonym, no answer the taste, no store the conversation; what happened before is taken no more."""
    async with shop(tmp_path) as (client, store):
        mine = SearchRequest(text="dress", user_id=SHOPPER, personalise=True)
        plain = await client.search(SearchRequest(text="dress"))
        await client.record(events(8))
        session = await session_of(client)
        assert (await client.search(mine)).hits[0].parts.signals["personal"] > 0
        kept = "SELECT DISTINCT shopper FROM events UNION SELECT DISTINCT session FROM events"
        names = await store._reader.do(
            lambda database: [name for (name,) in database.execute(kept)], timeout_s=30
        )
        late = events(4)
        erased = await client.erase(SHOPPER)
        assert (erased.events, erased.conversations) == (8, 1)
        assert list((await client.search(mine)).hits) == list(plain.hits)
        with pytest.raises(VitrineError, match="session"):
            async for _ in client.converse(
                ConverseRequest(session_id=session, text="and in red", user_id=SHOPPER)
            ):
                pass
        told = await client.record(late)
        assert (told.recorded, [error.field for error in told.errors]) == (0, ["user_id"] * 4)
        assert [answer async for answer in client.export(SHOPPER)] == []
    found = list(everything(tmp_path))
    assert len(names) == 2
    assert not [name for name in (*names, SHOPPER) for data in found if name.encode() in data]


async def test_an_erasure_during_ingest_holds(tmp_path: Path) -> None:
    """Whatever comes first: once the erasure is acknowledged, nothing that happened before it is there or comes."""
    async with shop(tmp_path) as (client, _):
        streams = [client.record(events(40)) for _ in range(4)]
        await asyncio.gather(client.erase(SHOPPER), *streams)
        assert [answer async for answer in client.export(SHOPPER)] == []


async def test_who_is_nobody_is_refused() -> None:
    """An empty or endless id is told by its field; without a store of events there are conversations alone."""
    async with serving(products=CATALOGUE) as gateway, VitrineClient(gateway.address) as client:
        for bad in ("", "x" * 129, "a\nb"):
            with pytest.raises(VitrineError, match="user_id") as refused:
                await client.erase(bad)
            assert refused.value.code is grpc.StatusCode.INVALID_ARGUMENT
        await session_of(client)
        erased = await client.erase(SHOPPER)
        assert (erased.events, erased.conversations) == (0, 1)
