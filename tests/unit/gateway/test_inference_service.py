"""UpsertProducts with the option to read pictures, over the fakes."""

import io
import re
from collections.abc import Sequence
from dataclasses import replace

import grpc
import numpy as np
import pytest
from PIL import Image

from gateway.model import Embedded, EncoderInputs
from gateway.retrieval import stages, summary
from gateway.testing import FakeEncoder, FakeIndex, ServedGateway, embed_words, send_products, serving
from vitrine.v1 import catalogue_pb2, catalogue_pb2_grpc, query_pb2, search_pb2, search_pb2_grpc

Request = catalogue_pb2.UpsertProductsRequest
COLOURS = ("red", "green", "blue")


class SeeingEncoder(FakeEncoder):
    """Embeds a picture of one colour by that colour's name, and a little by its own bytes."""

    async def embed(self, inputs: EncoderInputs, *, timeout_s: float) -> Embedded:
        """As the fake does, with what the pictures show."""
        embedded = await super().embed(inputs, timeout_s=timeout_s)
        if inputs.images is None:
            return embedded
        shown = np.stack([embed_words(_colour(image)) for image in inputs.images])
        rows = shown + 0.3 * embedded.rows
        return replace(embedded, rows=(rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32))


def _colour(image: bytes) -> str:
    with Image.open(io.BytesIO(image)) as opened:
        pixel = opened.convert("RGB").getpixel((0, 0))
    assert isinstance(pixel, tuple)
    return COLOURS[int(np.argmax(pixel))]


def _picture(colour: str, number: int) -> bytes:
    out = io.BytesIO()
    full = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}[colour]
    picture = Image.new("RGB", (16, 16), full)
    picture.putpixel((number % 16, 1 + number // 16), (number, number, number))
    picture.save(out, "PNG")
    return out.getvalue()


def _product(number: int, **fields: object) -> Request:
    colour = COLOURS[number % 3]
    values = {"title": f"thing {number}", "category": "cup", "colour": colour, **fields}
    message = query_pb2.Product(
        id=f"p{number:03}",
        **{name: value for name, value in values.items() if value is not None},  # type: ignore[arg-type] # the cases name the fields
    )
    return Request(product=catalogue_pb2.ProductInput(product=message, image=_picture(colour, number)))


KNOWN = [_product(number) for number in range(90)]
SILENT = [_product(number, colour=None) for number in range(90, 96)]


def _options(*, rebuild: bool = False, **inference: object) -> Request:
    options = catalogue_pb2.InferenceOptions(**inference)  # type: ignore[arg-type] # the cases name the fields
    return Request(options=catalogue_pb2.UpsertOptions(rebuild=rebuild, inference=options))


async def _get(gateway: ServedGateway, product_id: str) -> query_pb2.Product:
    stub = catalogue_pb2_grpc.CatalogueServiceStub(gateway.channel)
    return (await stub.GetProduct(catalogue_pb2.GetProductRequest(product_id=product_id), timeout=30)).product


@pytest.mark.parametrize("rebuild", [False, True])
async def test_a_first_index_and_a_rebuild_fill_what_is_empty(rebuild: bool) -> None:  # noqa: FBT001 - a case
    """Within one stream: products whose colour is known teach it, those without one get it, marked, and are filtered by it."""
    async with serving(index=FakeIndex(), encoder=SeeingEncoder()) as gateway:
        asked = _options(rebuild=rebuild, fields=["colour"])
        last = (await send_products(gateway, [asked, *KNOWN, *SILENT]))[-1]
        (told,) = last.inference.fields
        assert (last.written, told.field, told.products, told.empty, told.labelled) == (
            96,
            "colour",
            6,
            6,
            90,
        )
        assert (told.precision, told.reason, last.inference.failure) == (1.0, "", "")
        found = await _get(gateway, "p091")
        assert (found.colour, list(found.inferred)) == ("green", ["colour"])
        assert list((await _get(gateway, "p001")).inferred) == []
        searches = search_pb2_grpc.SearchServiceStub(gateway.channel)
        condition = query_pb2.Filter(
            equals=query_pb2.Equals(field="colour", value=query_pb2.FieldValue(text="green"))
        )
        request = search_pb2.SearchRequest(text="thing 91", filter=condition, facets=["colour"])
        answer = await searches.Search(request, timeout=30)
        assert answer.hits[0].product_id == "p091"
        assert list(answer.hits[0].product.inferred) == ["colour"]
        assert {each.value: each.products for each in answer.facets[0].values} == {"green": 32}


async def test_a_run_with_the_option_leaves_them_and_one_without_removes_them() -> None:
    """What was read is no difference to a run that reads again; one that does not has the products as the shop says."""
    async with serving(index=FakeIndex(), encoder=SeeingEncoder()) as gateway:
        asked = _options(all_fields=True)
        await send_products(gateway, [asked, *KNOWN, *SILENT])
        again = (await send_products(gateway, [asked, *KNOWN, *SILENT]))[-1]
        assert (again.written, again.unchanged) == (0, 96)
        assert {each.field: each.products for each in again.inference.fields}["colour"] == 6
        assert (await _get(gateway, "p091")).colour == "green"
        without = (await send_products(gateway, [*KNOWN, *SILENT]))[-1]
        assert (without.written, without.unchanged, without.HasField("inference")) == (6, 90, False)
        found = await _get(gateway, "p091")
        assert (found.colour, list(found.inferred)) == ("", [])


async def test_a_product_that_is_fetched_and_written_again_is_the_shops(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the service read is not taken for what the shop says, and a caption of a model's is kept with its name."""
    monkeypatch.setattr(stages, "LEXICAL_WAIT_S", 5.0)  # on a busy machine the counts of words come late,
    monkeypatch.setattr(summary, "REFRESH_S", 0.0)  # and may be of before
    async with serving(index=FakeIndex(), encoder=SeeingEncoder()) as gateway:
        await send_products(gateway, [_options(fields=["colour"], captions=True), *KNOWN, *SILENT])
        found = await _get(gateway, "p091")
        assert (found.caption, found.caption_by) == ("green cup", "fields")
        image = _picture("green", 91)
        again = Request(product=catalogue_pb2.ProductInput(product=found, image=image))
        (last,) = (await send_products(gateway, [again]))[-1:]
        assert last.written == 1
        found = await _get(gateway, "p091")
        assert (found.colour, list(found.inferred), found.caption) == ("", [], "")
        found.caption, found.caption_by = "a green cup on a table", "some-model"
        await send_products(
            gateway, [Request(product=catalogue_pb2.ProductInput(product=found, image=image))]
        )
        kept = await _get(gateway, "p091")
        assert (kept.caption, kept.caption_by) == ("a green cup on a table", "some-model")
        answer = await search_pb2_grpc.SearchServiceStub(gateway.channel).Search(
            search_pb2.SearchRequest(text="table"), timeout=30
        )
        assert (answer.hits[0].product_id, answer.hits[0].parts.signals["lexical"]) == ("p091", 1.0)


@pytest.mark.parametrize(
    ("inference", "message"),
    [
        ({}, "options.inference: must ask for fields or captions"),
        ({"fields": ["price"]}, r"options.inference.fields\[0\]: 'price' is no field of keywords"),
        ({"fields": ["colour"] * 65}, "options.inference.fields: at most 64, got 65"),
        (
            {"all_fields": True, "precision": 0.5},
            "options.inference.precision: must be over 0.5 and under 1, got 0.5",
        ),
        ({"all_fields": True, "precision": float("nan")}, "options.inference.precision: must be over 0.5"),
    ],
)
async def test_bad_options_are_refused_with_their_name(inference: dict[str, object], message: str) -> None:
    """Before a product is read."""
    async with serving(index=FakeIndex(), encoder=SeeingEncoder()) as gateway:
        with pytest.raises(grpc.RpcError) as caught:
            await send_products(gateway, [_options(**inference), *KNOWN[:1]])
    assert isinstance(caught.value, grpc.Call)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert re.match(message, caught.value.details() or "")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"caption": "x" * 1_001}, "caption"),
        ({"caption": "a\0b"}, "caption"),
        ({"caption": "a", "caption_by": "x" * 129}, "caption_by"),
    ],
)
async def test_captions_have_limits(fields: dict[str, object], field: str) -> None:
    """A product with a caption that breaks one is refused by the field's name."""
    async with serving(index=FakeIndex(), encoder=SeeingEncoder()) as gateway:
        responses: Sequence[catalogue_pb2.UpsertProductsResponse] = await send_products(
            gateway, [_product(1, **fields)]
        )
    assert [error.field for response in responses for error in response.errors] == [field]
