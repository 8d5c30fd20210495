"""FeedbackService: what a caller is told of events, and what of them is kept."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from gateway.adapters.sqlite_events import SqliteEvents, open_sqlite_events
from gateway.api.feedback_servicer import MAX_STREAMS
from gateway.feedback.pseudonyms import Keyring, Keys
from gateway.testing import ServedGateway, product, serving, until
from vitrine.client import VitrineClient, VitrineError
from vitrine.domain import limits
from vitrine.v1 import feedback_pb2, feedback_pb2_grpc, search_pb2

Event = feedback_pb2.Event
CATALOGUE = [product("p1", "red dress"), product("p2", "blue dress")]


@asynccontextmanager
async def taking(path: Path) -> AsyncIterator[tuple[VitrineClient, SqliteEvents, ServedGateway]]:
    """Serve a gateway that takes events, once it knows the keys; give a client, the store and the gateway."""
    async with (
        open_sqlite_events(path / "events.db") as store,
        serving(products=CATALOGUE, events=store) as gateway,
        VitrineClient(gateway.address) as client,
    ):
        while not (await client.search(search_pb2.SearchRequest(text="dress"))).answer_token:  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0.01)
        yield client, store, gateway


def click(**changes: Any) -> feedback_pb2.Event:
    """Give a click of somebody who agreed to be known again."""
    event = Event(
        id=uuid.uuid4().hex,
        kind=Event.KIND_CLICK,
        product_id="p1",
        user_id="ann@example.com",
        personalise=True,
    )
    event.time.FromMilliseconds(int(time.time() * 1e3))
    event.MergeFrom(feedback_pb2.Event(**changes))
    return event


async def test_what_a_shopper_did_is_recorded_under_a_pseudonym(tmp_path: Path) -> None:
    """The answer counts what is durable; neither the shopper's id nor that of the visit is anywhere in the file."""
    async with taking(tmp_path) as (client, _, gateway):
        answer = await client.search(search_pb2.SearchRequest(text="dress"))
        events = [
            click(id="e1", answer_token=answer.answer_token, position=1, session_id="visit-of-ann"),
            click(id="e2", kind=Event.KIND_PURCHASE),
        ]
        told = await client.record([*events, events[0]])
        assert (told.recorded, told.duplicates, told.rejected) == (2, 1, 0)
        counted = gateway.metrics.registry.get_sample_value(
            "vitrine_gateway_events_total", {"kind": "click", "outcome": "recorded"}
        )
        assert counted == 1
    kept = _files(tmp_path)
    assert answer.request_id.encode() in kept
    assert b"ann@example" not in kept
    assert b"visit-of-ann" not in kept


def _files(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())


async def test_without_consent_an_event_belongs_to_nobody(tmp_path: Path) -> None:
    """It is kept beside its answer alone, and refused where it names none."""
    async with taking(tmp_path) as (client, store, _):
        answer = await client.search(search_pb2.SearchRequest(text="dress"))
        shy = click(answer_token=answer.answer_token, session_id="s")
        shy.personalise = False
        assert (await client.record([shy])).recorded == 1
        ((shopper, session),) = await store._reader.do(
            lambda database: list(database.execute("SELECT shopper, session FROM events")), timeout_s=30
        )
        assert (shopper, session) == ("", "")
        shy.answer_token = ""
        (error,) = (await client.record([shy])).errors
        assert error.field == "answer_token"


def _forged(token: str) -> str:
    return token[:-1] + ("0" if token[-1] != "0" else "1")


async def test_a_bad_event_is_refused_by_field_and_the_others_are_recorded(tmp_path: Path) -> None:
    """Each refusal names the event, the field and the limit."""
    async with taking(tmp_path) as (client, _, _):
        token = (await client.search(search_pb2.SearchRequest(text="dress"))).answer_token
        now = int(time.time())
        bad: dict[str, Sequence[feedback_pb2.Event]] = {
            "product_id": [
                click(product_id="unknown"),
                click(product_id="x" * 129),
                click(product_id="p\n1"),
            ],
            "answer_token": [
                click(kind=Event.KIND_IMPRESSION),
                click(answer_token="nobody's.1.2"),
                click(answer_token=_forged(token)),
                click(answer_token="x" * 129),
            ],
            "time": [
                click(time={"seconds": now + limits.MAX_EVENT_AHEAD_S + 60}),
                click(time={"seconds": now - limits.MAX_EVENT_AGE_DAYS * 86_400 - 60}),
                click(time={"seconds": -(2**60)}),
                Event(id="x", kind=Event.KIND_CLICK, product_id="p1", user_id="ann", personalise=True),
            ],
            "position": [click(position=-1), click(position=limits.MAX_POSITION + 1)],
            "session_id": [click(session_id="s" * 65)],
            "id": [click(id="i" * 129)],
        }
        (bad["time"][2].time.nanos,) = (5,)
        for field, events in bad.items():
            told = await client.record([*events, click()])
            assert (told.recorded, told.rejected) == (1, len(events)), field
            assert [error.field for error in told.errors] == [field] * len(events)
        no_kind, no_user, no_id = click(), click(), click()
        no_kind.kind, no_user.user_id, no_id.id = 77, "", ""  # type: ignore[assignment] # as a later version may send
        told = await client.record([no_kind, no_user, no_id])
        assert [error.field for error in told.errors] == ["kind", "user_id", "id"]


async def test_messages_and_streams_have_bounds(tmp_path: Path) -> None:
    """A message of many events or of many bytes, and one event too many of a stream, end it with the limit."""
    async with taking(tmp_path) as (client, _, gateway):
        stub = feedback_pb2_grpc.FeedbackServiceStub(gateway.channel)
        crowd = feedback_pb2.RecordRequest(events=[click() for _ in range(limits.MAX_EVENTS + 1)])
        large = feedback_pb2.RecordRequest(events=[click(id="i" * 10_000_000)])
        for message in (crowd, large):
            with pytest.raises(grpc.aio.AioRpcError, match=r"limit|at most") as refused:
                await stub.Record(iter([message]), timeout=30)
            assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert "events" in (refused.value.details() or "")
        repeated = [click(id="again")] * (limits.MAX_STREAM_EVENTS + 1)
        with pytest.raises(VitrineError, match="10,000 in one stream") as ended:
            await client.record(repeated, timeout_s=60)
        assert ended.value.code is grpc.StatusCode.INVALID_ARGUMENT
        assert (await client.record(repeated[:1])).duplicates == 1


async def test_so_many_streams_are_read_at_once(tmp_path: Path) -> None:
    """One more is told to come back, and does once another has ended."""
    async with taking(tmp_path) as (client, _, gateway):
        record = feedback_pb2_grpc.FeedbackServiceStub(gateway.channel).Record
        open_streams = [record(timeout=60) for _ in range(MAX_STREAMS)]
        for number, stream in enumerate(open_streams):
            await stream.write(feedback_pb2.RecordRequest(events=[click(user_id=f"shopper {number}")]))
        recorded = gateway.metrics.events.labels("click", "recorded")
        await until(lambda: recorded._value.get() == MAX_STREAMS)
        with pytest.raises(VitrineError, match="16 streams of events") as refused:
            await client.record([click()])
        assert (refused.value.code, refused.value.retry_after_s) == (grpc.StatusCode.RESOURCE_EXHAUSTED, 0.5)
        for stream in open_streams:
            await stream.done_writing()
            assert (await stream).recorded == 1
        assert (await client.record([click()])).recorded == 1


async def test_a_gateway_without_a_store_says_how_to_have_one() -> None:
    """Nothing is recorded in silence, and answers carry no token."""
    async with serving(products=CATALOGUE) as gateway, VitrineClient(gateway.address) as client:
        with pytest.raises(VitrineError, match="GATEWAY_EVENTS") as refused:
            await client.record([click()])
        assert refused.value.code is grpc.StatusCode.FAILED_PRECONDITION
        assert not (await client.search(search_pb2.SearchRequest(text="dress"))).answer_token


async def test_keys_are_exchanged_and_destroyed(tmp_path: Path) -> None:
    """A shopper is known by the pseudonyms of all kept periods, and by none whose events have gone."""
    now_s = [1_000_000_000.0]
    async with open_sqlite_events(tmp_path / "events.db") as store:
        keys = Keys(store, key_days=30, retention_days=90, clock=lambda: now_s[0])
        first = await keys.keyring(timeout_s=30)
        before = first.pseudonym("shopper", "ann")
        now_s[0] += 31 * 86_400
        assert keys.known is None
        second = await keys.keyring(timeout_s=30)
        assert second.pseudonyms("shopper", "ann") == (second.pseudonym("shopper", "ann"), before)
        now_s[0] += 121 * 86_400
        third = await keys.keyring(timeout_s=30)
        assert before not in third.pseudonyms("shopper", "ann")
        assert len(third.keys) == 1


def test_pseudonyms_of_kinds_and_keys_are_apart() -> None:
    """Equal ids of a shopper and a visit, or under other keys, have nothing in common."""
    one, other = Keyring({1: b"a" * 32}), Keyring({1: b"b" * 32})
    assert one.pseudonym("shopper", "7") == one.pseudonym("shopper", "7")
    names = {one.pseudonym("shopper", "7"), one.pseudonym("session", "7"), other.pseudonym("shopper", "7")}
    assert len(names) == 3
    assert one.read_token(one.answer_token("a.b:c", 99.0)) == ("a.b:c", 99)
    assert other.read_token(one.answer_token("a.b:c", 99.0)) is None
    assert [one.read_token(token) for token in ("", "..", "a.é.b", "a.zz.b")] == [None] * 4
