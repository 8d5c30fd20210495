"""Bad input through the running gateway: the right status, the field and its limit, and the next request is answered."""

import io
import math
import struct
import zlib
from collections.abc import AsyncIterator
from typing import Any

import grpc
import numpy as np
import pytest
from google.rpc import error_details_pb2
from grpc import aio
from grpc_status import rpc_status
from PIL import Image

from vitrine.preprocess import MAX_IMAGE_BYTES
from vitrine.v1 import query_pb2, search_pb2, search_pb2_grpc

TIMEOUT_S = 60.0
Violation = tuple[grpc.StatusCode, str, str]


@pytest.fixture
async def channel(stack: Any) -> AsyncIterator[aio.Channel]:
    """Connect to the running gateway; afterwards, a plain search must still be answered."""
    options = [("grpc.max_send_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
    async with aio.insecure_channel(stack.gateway, options=options) as channel:
        yield channel
        stub = search_pb2_grpc.SearchServiceStub(channel)
        answer = await stub.Search(search_pb2.SearchRequest(text="red dress", limit=3), timeout=TIMEOUT_S)
        assert len(answer.hits) == 3


async def search(channel: aio.Channel, request: search_pb2.SearchRequest) -> search_pb2.SearchResponse:
    return await search_pb2_grpc.SearchServiceStub(channel).Search(request, timeout=TIMEOUT_S)


async def violation(channel: aio.Channel, request: search_pb2.SearchRequest) -> Violation:
    """Give the status, and the field and the limit of its details."""
    with pytest.raises(aio.AioRpcError) as refused:
        await search(channel, request)
    return read_violation(refused.value)


def read_violation(error: aio.AioRpcError) -> Violation:
    status = rpc_status.from_call(error)
    assert status is not None, error.details()
    bad_request = error_details_pb2.BadRequest()
    info = error_details_pb2.ErrorInfo()
    for detail in status.details:
        detail.Unpack(info)
        if detail.Unpack(bad_request):
            (field,) = bad_request.field_violations
            return error.code(), field.field, field.description
    return error.code(), info.metadata["field"], error.details() or ""


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def gradient() -> Image.Image:
    """Give a picture that is not its own mirror image in any direction."""
    return Image.merge(
        "RGB", [Image.linear_gradient("L"), Image.radial_gradient("L"), Image.new("L", (256, 256), 90)]
    ).crop((0, 0, 200, 120))


def half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def png_header(width: int, height: int) -> bytes:
    """Give the head of a PNG that claims a size and holds no pixels."""
    fields = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + fields
    return (
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I", len(fields)) + chunk + struct.pack(">I", zlib.crc32(chunk))
    )


def equals(field: str, **value: object) -> query_pb2.Filter:
    return query_pb2.Filter(
        equals=query_pb2.Equals(field=field, value=query_pb2.FieldValue(**value))  # type: ignore[arg-type] # text or number
    )


@pytest.mark.parametrize(
    ("request_", "field", "limit"),
    [
        ({}, "text", "must not be empty"),
        ({"text": "   "}, "text", "must not be empty"),
        ({"text": "x" * 2_001}, "text", "at most 2,000 characters, got 2,001"),
        ({"text": "red\x00dress"}, "text", "control characters"),
        ({"text": "red", "limit": 0}, "limit", "from 1 to 200, got 0"),
        ({"text": "red", "limit": -5}, "limit", "from 1 to 200, got -5"),
        ({"text": "red", "limit": 201}, "limit", "from 1 to 200, got 201"),
        ({"text": "red", "weights": query_pb2.Weights(text=math.nan, image=1)}, "weights.text", "got nan"),
        ({"text": "red", "weights": query_pb2.Weights(text=math.inf, image=1)}, "weights.text", "got inf"),
        ({"text": "red", "weights": query_pb2.Weights(text=1, image=-1)}, "weights.image", "got -1"),
        ({"text": "red", "weights": query_pb2.Weights()}, "weights", "more than 0"),
        ({"text": "red", "filter": equals("size", text="XL")}, "filter.equals.field", "category, colour"),
        ({"text": "red", "filter": equals("price", text="cheap")}, "filter.equals.value", "must be a number"),
        ({"text": "red", "filter": equals("colour", boolean=True)}, "filter.equals.value", "must be a text"),
        ({"text": "red", "filter": equals("price", number=math.nan)}, "filter.equals.value", "finite"),
        (
            {
                "text": "red",
                "filter": query_pb2.Filter(range=query_pb2.Range(field="price", minimum=9, maximum=1)),
            },
            "filter.range.minimum",
            "below the maximum 1, got 9",
        ),
        (
            {
                "text": "red",
                "filter": query_pb2.Filter(
                    one_of=query_pb2.OneOf(
                        field="colour", values=[query_pb2.FieldValue(text=f"c{i}") for i in range(10_000)]
                    )
                ),
            },
            "filter.one_of.values",
            "at most 256, got 10,000",
        ),
        (
            {
                "text": "red",
                "filter": query_pb2.Filter(
                    any_of=query_pb2.FilterList(
                        filters=[equals("colour", text=f"c{i}") for i in range(10_000)]
                    )
                ),
            },
            "filter.any_of.filters",
            "at most 256, got 10,000",
        ),
    ],
)
async def test_a_field_beyond_its_limit_is_refused(
    channel: aio.Channel, request_: dict[str, object], field: str, limit: str
) -> None:
    """Each broken limit gives INVALID_ARGUMENT with the field and the limit in its details."""
    code, got_field, got_limit = await violation(channel, search_pb2.SearchRequest(**request_))  # type: ignore[arg-type] # the cases name the fields
    assert (code, got_field) == (grpc.StatusCode.INVALID_ARGUMENT, field)
    assert limit in got_limit


async def test_text_in_another_encoding_is_refused(channel: aio.Channel) -> None:
    """Bytes that are no UTF-8 name their field; bytes that are no message are refused as such."""
    call = channel.unary_unary("/vitrine.v1.SearchService/Search")
    for data, expected in ((b"\x0a\x02\xff\xfe", "text"), (b"\x0a\x7f", "request")):
        with pytest.raises(aio.AioRpcError) as refused:
            await call(data, timeout=TIMEOUT_S)
        code, field, _ = read_violation(refused.value)
        assert (code, field) == (grpc.StatusCode.INVALID_ARGUMENT, expected)


@pytest.mark.parametrize(
    ("image", "limit"),
    [
        (b"", "is empty"),
        (b"hello, I am no picture", "JPEG, PNG or WebP"),
        (b"%PDF-1.7 neither am I", "JPEG, PNG or WebP"),
        (encoded(gradient(), "JPEG")[:100], "truncated"),
        (half(encoded(gradient(), "JPEG")), "truncated"),
        (half(encoded(gradient(), "PNG")), "truncated"),
        (encoded(gradient(), "JPEG") + b"\0" * MAX_IMAGE_BYTES, "the limit is 8,000,000"),
        (png_header(5_000, 4_001), "20,000,000"),
        (png_header(60_000, 60_000), "limit"),
        (encoded(Image.new("1", (8_000, 8_000)), "PNG"), "20,000,000"),
        (
            encoded(gradient(), "PNG", save_all=True, append_images=[gradient().rotate(90)]),
            "animated",
        ),
        (
            encoded(gradient(), "WEBP", save_all=True, append_images=[gradient().rotate(90)]),
            "animated",
        ),
    ],
    ids=[
        "0 bytes", "text", "PDF", "truncated header", "truncated JPEG", "truncated PNG", "8 MB", "20 megapixels",
        "60,000 pixels a side", "bomb", "animated PNG", "animated WebP",
    ],
)  # fmt: skip
async def test_a_bad_picture_is_refused(channel: aio.Channel, image: bytes, limit: str) -> None:
    """Pictures that are none, too large or damaged give INVALID_ARGUMENT naming the limit, whoever found it."""
    code, field, got_limit = await violation(channel, search_pb2.SearchRequest(image=image))
    assert (code, field) == (grpc.StatusCode.INVALID_ARGUMENT, "image")
    assert limit in got_limit


@pytest.mark.parametrize(
    "image",
    [
        encoded(gradient().convert("CMYK"), "JPEG", quality=95),
        encoded(gradient(), "PNG"),
        encoded(gradient().convert("RGBA"), "WEBP", lossless=True),
        encoded(gradient().transpose(Image.Transpose.ROTATE_90), "JPEG", quality=95, exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"),
    ],
    ids=["CMYK", "PNG", "WebP with alpha", "EXIF-rotated"],
)  # fmt: skip
async def test_an_unusual_picture_is_seen_as_it_looks(channel: aio.Channel, image: bytes) -> None:
    """However it is stored, a picture finds what its plain copy finds, with scores that differ by little."""
    plain = encoded(gradient(), "JPEG", quality=95)
    expected = await search(channel, search_pb2.SearchRequest(image=plain, limit=5))
    got = await search(channel, search_pb2.SearchRequest(image=image, limit=5))
    assert [hit.score for hit in got.hits] == pytest.approx([hit.score for hit in expected.hits], abs=0.05)
    assert got.hits[0].product_id == expected.hits[0].product_id


async def test_sixteen_bit_grey_is_a_picture(channel: aio.Channel) -> None:
    """A 16-bit PNG is answered like its 8-bit copy."""
    grey = Image.linear_gradient("L")
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    expected = await search(channel, search_pb2.SearchRequest(image=encoded(grey, "PNG"), limit=5))
    got = await search(channel, search_pb2.SearchRequest(image=encoded(deep, "PNG"), limit=5))
    assert [hit.score for hit in got.hits] == pytest.approx([hit.score for hit in expected.hits], abs=0.02)


async def test_a_picture_just_within_the_limits_is_answered(channel: aio.Channel) -> None:
    """19.6 megapixels of one colour decode within the deadline."""
    image = encoded(Image.new("RGB", (4_900, 4_000), "red"), "JPEG")
    assert len((await search(channel, search_pb2.SearchRequest(image=image, limit=3))).hits) == 3


async def test_a_small_file_that_takes_long_to_decode_is_refused(channel: aio.Channel) -> None:
    """The same pixels as a lossless picture are some hundred bytes, and a third of a second of work."""
    image = encoded(Image.new("RGB", (4_900, 4_000), "red"), "WEBP", lossless=True)
    code, field, limit = await violation(channel, search_pb2.SearchRequest(image=image))
    assert (code, field) == (grpc.StatusCode.INVALID_ARGUMENT, "image")
    assert "ms to decode; the limit is 200" in limit


async def test_an_unknown_product_is_not_found(channel: aio.Channel) -> None:
    """A reference that is not there gives NOT_FOUND with its field."""
    code, field, message = await violation(channel, search_pb2.SearchRequest(product_id="no-such-product"))
    assert (code, field) == (grpc.StatusCode.NOT_FOUND, "product_id")
    assert "no-such-product" in message


@pytest.mark.parametrize(
    "value", ['" or 1 == 1 or colour == "', "' || price > 0 #", "\\", "{x}", "%", "a\nb"]
)
async def test_quotes_and_operators_in_a_value_are_a_value(channel: aio.Channel, value: str) -> None:
    """What would break out of an expression is compared like any other text, and equals no colour."""
    request = search_pb2.SearchRequest(text="red dress", filter=equals("colour", text=value))
    assert len((await search(channel, request)).hits) == 0
    negated = search_pb2.SearchRequest(
        text="red dress", limit=5, filter=query_pb2.Filter(negation=equals("colour", text=value))
    )
    assert len((await search(channel, negated)).hits) == 5


@pytest.mark.parametrize("timeout_s", [0.0, 1e-6, 0.001])
async def test_a_deadline_that_cannot_be_met_is_told(channel: aio.Channel, timeout_s: float) -> None:
    """An expired deadline, and one shorter than an answer needs, give DEADLINE_EXCEEDED."""
    stub = search_pb2_grpc.SearchServiceStub(channel)
    with pytest.raises(aio.AioRpcError) as late:
        await stub.Search(search_pb2.SearchRequest(text=f"never asked before {timeout_s}"), timeout=timeout_s)
    assert late.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_a_message_beyond_the_size_limit_is_refused(channel: aio.Channel) -> None:
    """A message of 13 MB gives RESOURCE_EXHAUSTED, and says how large one may be."""
    stub = search_pb2_grpc.SearchServiceStub(channel)
    with pytest.raises(aio.AioRpcError) as refused:
        await stub.Search(search_pb2.SearchRequest(image=b"x" * 13_000_000), timeout=TIMEOUT_S)
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "12000000" in (refused.value.details() or "")
