"""Moderation through a gateway over the fakes: what is refused, what is flagged, and what of it is kept nowhere."""

import base64
import io
import logging
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import aio
from PIL import Image, ImageDraw

from gateway.errors import EncoderError, VectorIndexError
from gateway.testing import (
    PATIENT,
    FakeBlocked,
    FakeDecoder,
    FakeEncoder,
    FakeIndex,
    ServedGateway,
    product,
    refused_field,
    send_products,
    serving,
)
from vitrine.v1 import (
    catalogue_pb2,
    moderation_pb2,
    moderation_pb2_grpc,
    query_pb2,
    rewrite_pb2,
    search_pb2,
    search_pb2_grpc,
)

REFUSING = replace(
    PATIENT, moderation_uploads="refuse", moderation_catalogue="refuse", moderation_budget_ms=30_000
)


def picture(seed: int, *, form: str = "PNG") -> bytes:
    """A scene of rectangles; of another form it has other bytes and the same look."""
    image = Image.new("RGB", (120, 160), (40 * (seed % 6), 90, 120))
    pen = ImageDraw.Draw(image)
    for step in range(9):
        at = (seed * 37 + step * 53) % 100
        high = (seed * 71 + step * 29) % 130
        pen.rectangle(
            (at, high, at + 14 + 3 * step, high + 20), fill=(step * 28, 255 - 20 * step, 30 * (seed % 8))
        )
    file = io.BytesIO()
    image.save(file, form)
    return file.getvalue()


@asynccontextmanager
async def moderated(**options: Any) -> AsyncIterator[tuple[ServedGateway, Any, Any]]:
    """A gateway that blocks picture 1, a stub of searches and one of moderation."""
    options.setdefault("settings", REFUSING)
    async with serving(products=[product("p1", "red dress")], **options) as gateway:
        keeper = moderation_pb2_grpc.ModerationServiceStub(gateway.channel)
        image = moderation_pb2.ImageToBlock(image=picture(1), label="asked for by the maker")
        await keeper.AddBlockedImages(moderation_pb2.AddBlockedImagesRequest(images=[image]))
        yield gateway, search_pb2_grpc.SearchServiceStub(gateway.channel), keeper


async def refusal(call: Any) -> tuple[grpc.StatusCode, str, str]:
    """Return status, field and message of a call that is refused."""
    with pytest.raises(aio.AioRpcError) as caught:
        await call
    return caught.value.code(), refused_field(caught.value), caught.value.details() or ""


def counted(gateway: ServedGateway, kind: str, outcome: str) -> float:
    found = gateway.metrics.registry.get_sample_value(
        "vitrine_gateway_moderated_total", {"kind": kind, "outcome": outcome}
    )
    return found or 0.0


async def test_a_blocked_picture_is_refused_and_kept_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    """Another file of it, in a search and in a turn: the field is named and not the entry; no embedding is remembered, no session begun, no byte logged."""
    shown = picture(1, form="WEBP")
    with caplog.at_level(logging.DEBUG):
        async with moderated() as (gateway, search, _):
            for _ in range(2):
                code, field, said = await refusal(search.Search(search_pb2.SearchRequest(image=shown)))
                assert (code, field) == (grpc.StatusCode.INVALID_ARGUMENT, "image")
                assert said == "image: is refused by the shop's moderation"
            turn = search.Converse(search_pb2.ConverseRequest(text="more like this", image=shown))
            assert (await refusal(turn.read()))[1] == "image"
            sample = gateway.metrics.registry.get_sample_value
            hits = sample("vitrine_gateway_cache_lookups_total", {"cache": "embedding", "outcome": "hit"})
            assert not hits, "a refused picture's embedding is asked for anew"
            assert not sample("vitrine_gateway_sessions")
            assert counted(gateway, "copy", "refused") == 3
            other = await search.Search(search_pb2.SearchRequest(image=picture(2)))
            assert other.hits
            assert not other.degraded
    audited = [record for record in caplog.records if record.name == "gateway.audit"]
    refused = [vars(each) for each in audited if each.getMessage() == "moderated"]
    assert len(refused) == 3
    assert "asked for by the maker" not in caplog.text
    assert repr(shown[:40])[2:-1] not in caplog.text


async def test_the_check_of_a_picture_costs_no_second_embedding() -> None:
    """What was embedded for the check is what the search takes; an empty list costs nothing at all."""
    encoder = FakeEncoder()
    async with moderated(encoder=encoder) as (_, search, keeper):
        before = len(encoder.embed_calls)
        await search.Search(search_pb2.SearchRequest(image=picture(3)))
        assert len(encoder.embed_calls) == before + 1
        listed = await keeper.ListBlockedImages(moderation_pb2.ListBlockedImagesRequest())
        removal = moderation_pb2.RemoveBlockedImagesRequest(ids=[listed.images[0].id, "none"])
        assert (await keeper.RemoveBlockedImages(removal)).removed == [listed.images[0].id]
        assert (await search.Search(search_pb2.SearchRequest(image=picture(1)))).hits


async def test_a_flagged_picture_is_answered_and_told() -> None:
    """Where the settings flag, the search is answered, and the metric counts it."""
    settings = replace(REFUSING, moderation_uploads="flag")
    async with moderated(settings=settings) as (gateway, search, _):
        assert (await search.Search(search_pb2.SearchRequest(image=picture(1)))).hits
        assert counted(gateway, "copy", "flagged") == 1


@pytest.mark.parametrize(("unchecked", "degraded"), [("refuse", None), ("allow", ["moderation"])])
async def test_what_nobody_can_check_is_refused_or_told(unchecked: str, degraded: list[str] | None) -> None:
    """By a setting: refused as unavailable, or answered with `moderation` in `degraded`."""
    decoder = FakeDecoder()
    settings = replace(REFUSING, moderation_unchecked=unchecked)
    async with moderated(decoder=decoder, settings=settings) as (_, search, _):
        decoder.error = EncoderError()
        call = search.Search(search_pb2.SearchRequest(image=picture(2)))
        if degraded is None:
            assert (await refusal(call))[0] == grpc.StatusCode.UNAVAILABLE
        else:
            answer = await call
            assert (answer.degraded, bool(answer.hits)) == (degraded, True)


async def test_a_list_that_was_never_read_lets_nothing_through() -> None:
    """While the store is away from the start, a picture is refused, and words are searched."""
    blocked = FakeBlocked(error=VectorIndexError())
    async with serving(products=[product("p1", "red dress")], blocked=blocked, settings=REFUSING) as gateway:
        search = search_pb2_grpc.SearchServiceStub(gateway.channel)
        call = search.Search(search_pb2.SearchRequest(image=picture(1)))
        assert (await refusal(call))[0] == grpc.StatusCode.UNAVAILABLE
        assert (await search.Search(search_pb2.SearchRequest(text="red"))).hits


async def test_a_blocked_picture_of_a_product_is_listed_as_other_rejects_are() -> None:
    """The product is not written, its field is named; others of the stream are."""
    index = FakeIndex()
    products = [
        catalogue_pb2.ProductInput(product=product_message("good"), image=picture(2)),
        catalogue_pb2.ProductInput(
            product=product_message("bad"), image=picture(3), more_images=[picture(1, form="WEBP")]
        ),
    ]
    async with moderated(index=index) as (gateway, _, _):
        answers = await send_products(
            gateway, [catalogue_pb2.UpsertProductsRequest(product=each) for each in products]
        )
        errors = [(each.product_id, each.field) for answer in answers for each in answer.errors]
        assert errors == [("bad", "more_images[0]")]
        assert answers[-1].written == 1
        assert counted(gateway, "copy", "refused") == 1


async def test_blocked_words_refuse_a_query_and_flag_a_title(tmp_path: Path) -> None:
    """By the locale of the query; of the words themselves neither answer nor metric holds any."""
    path = tmp_path / "words.toml"
    path.write_text('en = ["red dress"]', encoding="utf-8")
    settings = replace(PATIENT, moderation_words=str(path))
    async with serving(products=[product("p1", "red dress")], settings=settings) as gateway:
        search = search_pb2_grpc.SearchServiceStub(gateway.channel)
        asked = search_pb2.SearchRequest(text="a red  DRESS", locale="en")
        code, field, said = await refusal(search.Search(asked))
        assert (code, field) == (grpc.StatusCode.INVALID_ARGUMENT, "text")
        assert "dress" not in said.lower()
        assert (await search.Search(search_pb2.SearchRequest(text="a red dress", locale="de"))).hits
        sent = catalogue_pb2.ProductInput(product=product_message("p2"))
        answers = await send_products(gateway, [catalogue_pb2.UpsertProductsRequest(product=sent)])
        assert answers[-1].written == 1
        assert counted(gateway, "words", "flagged") == 1
        keeper = moderation_pb2_grpc.ModerationServiceStub(gateway.channel)
        told = await keeper.CheckText(moderation_pb2.CheckTextRequest(text="red-dress"))
        assert (told.blocked, told.entry) == (True, "red dress")
        unoffered = keeper.CheckImage(moderation_pb2.CheckImageRequest(image=picture(1)))
        assert (await refusal(unoffered))[0] == grpc.StatusCode.FAILED_PRECONDITION


async def test_blocked_words_come_by_no_other_way(tmp_path: Path) -> None:
    """Neither in a page token that was made up, nor in a history that a caller brings."""
    path = tmp_path / "words.toml"
    path.write_text('en = ["red dress"]', encoding="utf-8")
    made_up = search_pb2.PageToken(text="a red dress").SerializeToString()
    token = base64.urlsafe_b64encode(zlib.compress(made_up)).decode()
    settings = replace(PATIENT, moderation_words=str(path))
    async with serving(products=[product("p1", "red dress")], settings=settings) as gateway:
        stub = search_pb2_grpc.SearchServiceStub(gateway.channel)
        page = search_pb2.SearchRequest(text="shoes", locale="en", page_token=token)
        assert (await refusal(stub.Search(page)))[1] == "text"
        history = [rewrite_pb2.Turn(text="a red dress")]
        turn = search_pb2.ConverseRequest(text="in blue", locale="en", history=history)
        assert (await refusal(stub.Converse(turn).read()))[1] == "text"


async def test_keepers_see_pages_and_what_is_refused_of_what_they_add() -> None:
    """A picture without contrast and one that is none are refused by position; a page ends where it says."""
    plain = io.BytesIO()
    Image.new("RGB", (60, 60), "white").save(plain, "PNG")
    async with moderated() as (_, _, keeper):
        images = [moderation_pb2.ImageToBlock(image=each) for each in (picture(4), plain.getvalue(), b"none")]
        added = await keeper.AddBlockedImages(moderation_pb2.AddBlockedImagesRequest(images=images))
        assert [bool(each) for each in added.ids] == [True, False, False]
        assert {each.position for each in added.refused} == {1, 2}
        first = await keeper.ListBlockedImages(moderation_pb2.ListBlockedImagesRequest(page_size=1))
        rest = await keeper.ListBlockedImages(
            moderation_pb2.ListBlockedImagesRequest(page_token=first.next_page_token)
        )
        assert (len(first.images), len(rest.images), first.total, rest.next_page_token) == (1, 1, 2, "")
        assert first.images[0].id < rest.images[0].id
        checked = await keeper.CheckImage(moderation_pb2.CheckImageRequest(image=picture(1)))
        assert (checked.blocked, checked.kind, checked.label) == (True, "copy", "asked for by the maker")


def product_message(identity: str) -> query_pb2.Product:
    """A product that is sent."""
    message = query_pb2.Product(id=identity)
    message.fields["title"].text = "red dress"
    return message
