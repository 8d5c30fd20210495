"""Searches and turns that are spoken, through a gateway over the fakes."""

import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest
from grpc import aio

from gateway.edge.bounds import check_bytes
from gateway.errors import InvalidQuery
from gateway.ports import Transcriber
from gateway.testing import FakeTranscriber, ServedGateway, product, recording, refused_field, serving
from vitrine.process.logs import JsonFormatter
from vitrine.v1 import catalogue_pb2, catalogue_pb2_grpc, search_pb2, search_pb2_grpc

SAID = "a red dress"
PRODUCTS = [product("p1", "red dress"), product("p2", "blue shirt")]


@asynccontextmanager
async def gateway(transcriber: Transcriber | None) -> AsyncIterator[ServedGateway]:
    async with serving(products=PRODUCTS, transcriber=transcriber) as served:
        yield served


async def search(served: ServedGateway, **fields: object) -> search_pb2.SearchResponse:
    stub = search_pb2_grpc.SearchServiceStub(served.channel)
    return await stub.Search(search_pb2.SearchRequest(**fields), timeout=30)


async def turn(served: ServedGateway, **fields: object) -> list[search_pb2.ConverseResponse]:
    stub = search_pb2_grpc.SearchServiceStub(served.channel)
    return [event async for event in stub.Converse(search_pb2.ConverseRequest(**fields), timeout=30)]


async def refusal(served: ServedGateway, **fields: object) -> aio.AioRpcError:
    with pytest.raises(aio.AioRpcError) as error:
        await search(served, **fields)
    return error.value


async def test_what_was_said_is_searched_as_if_it_had_been_written() -> None:
    """The same hits, and the transcript beside them."""
    async with gateway(FakeTranscriber(SAID)) as served:
        spoken = await search(served, audio=recording(1.5), locale="en-GB")
        written = await search(served, text=SAID)
    assert [hit.product_id for hit in spoken.hits] == [hit.product_id for hit in written.hits]
    assert spoken.searched.text == SAID
    assert spoken.heard == search_pb2.Transcript(text=SAID, language="en", seconds=1.5)
    assert not written.HasField("heard")
    assert spoken.timings.stages_ms["hear"] > 0
    assert spoken.timings.total_ms >= sum(spoken.timings.stages_ms.values()) - 1


@pytest.mark.parametrize(("locale", "asked"), [("en-GB", "en"), ("ES", "es"), ("", "")])
async def test_the_locale_says_which_language_is_spoken(locale: str, asked: str) -> None:
    """Its first part; without one the language is detected."""
    transcriber = FakeTranscriber(SAID)
    async with gateway(transcriber) as served:
        await search(served, audio=recording(), locale=locale)
    assert transcriber.asked == [asked]


async def test_spoken_words_follow_the_written_ones() -> None:
    """Both are the query."""
    async with gateway(FakeTranscriber("in red")) as served:
        answer = await search(served, text="a dress", audio=recording())
    assert answer.searched.text == "a dress in red"


async def test_a_spoken_turn_tells_what_was_heard_first_and_is_remembered() -> None:
    """The transcript comes before the reading, and the next turn's history has it."""
    async with gateway(FakeTranscriber(SAID)) as served:
        events = await turn(served, audio=recording(1.5))
        again = await turn(served, session_id=events[0].session_id, text="blue")
    assert [event.WhichOneof("event") for event in events] == ["heard", "understood", "result", "reply"]
    assert events[0].heard == search_pb2.Transcript(text=SAID, language="en", seconds=1.5)
    assert events[1].understood.query == SAID
    assert again[0].WhichOneof("event") == "understood"


async def test_the_next_page_is_asked_for_by_the_words_that_were_heard() -> None:
    """A token of a spoken search serves the written one: nobody says it twice."""
    async with gateway(FakeTranscriber(SAID)) as served:
        first = await search(served, audio=recording(), limit=1)
        second = await search(served, text=first.heard.text, limit=1, page_token=first.next_page_token)
    assert first.hits[0].product_id != second.hits[0].product_id


@pytest.mark.parametrize(
    ("transcriber", "code", "message"),
    [
        (
            FakeTranscriber(),
            grpc.StatusCode.INVALID_ARGUMENT,
            "audio: nothing was understood in it: say it again, or write it",
        ),
        (FakeTranscriber(SAID, fails=True), grpc.StatusCode.UNAVAILABLE, "speech is unavailable"),
        (
            FakeTranscriber(SAID, busy=True),
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "too many recordings wait to be heard",
        ),
        (
            None,
            grpc.StatusCode.FAILED_PRECONDITION,
            "audio: nobody hears here: the setting GATEWAY_SPEECH names no speech service",
        ),
    ],
)
async def test_who_only_spoke_learns_why_nobody_heard(
    transcriber: Transcriber | None, code: grpc.StatusCode, message: str
) -> None:
    """One clear line, and no guess."""
    async with gateway(transcriber) as served:
        error = await refusal(served, audio=recording())
        assert (error.code(), error.details()) == (code, message)
        with pytest.raises(aio.AioRpcError) as turned:
            await turn(served, audio=recording())
        assert turned.value.code() is code


@pytest.mark.parametrize(
    ("transcriber", "reason", "heard"),
    [
        (FakeTranscriber(), "nothing", True),
        (FakeTranscriber(SAID, fails=True), "unavailable", False),
        (FakeTranscriber(SAID, busy=True), "busy", False),
        (None, "absent", False),
    ],
)
async def test_who_wrote_too_gets_that_answered(
    transcriber: Transcriber | None, reason: str, *, heard: bool
) -> None:
    """The answer says that what was said is not in it."""
    async with gateway(transcriber) as served:
        answer = await search(served, text="red dress", audio=recording())
        events = await turn(served, text="red dress", audio=recording())
        sample = served.metrics.registry.get_sample_value(
            "vitrine_gateway_degraded_total", {"part": "speech", "reason": reason}
        )
    assert answer.hits[0].product_id == "p1"
    assert list(answer.degraded) == ["speech"]
    assert answer.HasField("heard") is heard
    assert answer.heard.text == ""
    (result,) = [event.result for event in events if event.WhichOneof("event") == "result"]
    assert "speech" in result.degraded
    assert sample == 2


@pytest.mark.parametrize(
    ("audio", "message"),
    [
        (b"", "audio: is empty"),
        (b"GIF89a", "audio: is not a WAV, FLAC, Ogg or WebM recording"),
        (b"RIFF" + bytes(1_999_997), "audio: has 2,000,001 bytes; the limit is 2,000,000"),
        (recording(31.0, loudness=0.0), "audio: lasts 31.0 s; the limit is 30 s"),
    ],
)
async def test_a_recording_is_refused_at_the_door(audio: bytes, message: str) -> None:
    """Before anybody is asked to hear it, also where there are words beside it."""
    transcriber = FakeTranscriber(SAID)
    async with gateway(transcriber) as served:
        error = await refusal(served, audio=audio, text="red dress")
        assert error.details() == message
        assert refused_field(error) == "audio"
    assert transcriber.asked == []


def test_sound_takes_nothing_of_the_room_of_words() -> None:
    """It has a limit of its own, beside that of a picture."""
    request = search_pb2.ConverseRequest(audio=bytes(2_000_000), image=bytes(8_000_000), text="a")
    check_bytes(request.SerializeToString(), request.DESCRIPTOR)
    too_long = search_pb2.ConverseRequest(audio=bytes(2_000_001))
    with pytest.raises(InvalidQuery, match="audio: has 2,000,001 bytes"):
        check_bytes(too_long.SerializeToString(), too_long.DESCRIPTOR)


async def test_what_a_server_says_is_held_to_the_limits() -> None:
    """Control characters and too many words are no words of a query."""
    async with gateway(FakeTranscriber("red\x00 \n dress " + "x" * 5_000, language="<b>")) as served:
        answer = await search(served, audio=recording())
    assert answer.heard.text.startswith("red dress xxx")
    assert len(answer.heard.text) == 1_000
    assert answer.heard.language == ""


async def test_the_service_says_whether_it_hears() -> None:
    """For a page that shows a microphone or does not."""
    for transcriber in (None, FakeTranscriber()):
        async with gateway(transcriber) as served:
            stub = catalogue_pb2_grpc.CatalogueServiceStub(served.channel)
            answer = await stub.Describe(catalogue_pb2.DescribeRequest(), timeout=30)
        assert answer.speech is (transcriber is not None)


async def test_neither_log_nor_metrics_hold_a_word(caplog: pytest.LogCaptureFixture) -> None:
    """Whether anything was heard, how long it was, and its language."""
    caplog.set_level(logging.INFO)
    async with gateway(FakeTranscriber("secretively dressed")) as served:
        await search(served, audio=recording(1.5))
        names = str([sample for metric in served.metrics.registry.collect() for sample in metric.samples])
    lines = [JsonFormatter().format(record) for record in caplog.records]
    (told,) = [json.loads(line) for line in lines if '"hear_ms"' in line]
    assert (told["heard"], told["language"], told["spoken_s"]) == (True, "en", 1.5)
    assert not any("secretively" in text for text in (*lines, names))
