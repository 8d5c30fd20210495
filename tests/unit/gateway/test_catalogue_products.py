"""Products as they are written: what is refused, what may be missing, and what is told of it."""

from collections.abc import Sequence

import grpc
import pytest
from grpc import aio

from gateway.testing import FakeEncoder, FakeIndex, product, send_products, serving
from vitrine.v1 import catalogue_pb2, catalogue_pb2_grpc, query_pb2, search_pb2, search_pb2_grpc

Request = catalogue_pb2.UpsertProductsRequest
Response = catalogue_pb2.UpsertProductsResponse


def upsert(product_id: str, *images: bytes, **fields: object) -> Request:
    """Return the message of a good product, changed by the fields."""
    values = {
        "title": f"title of {product_id}",
        "category": "dress",
        "colour": "red",
        "price": 10.0,
        **fields,
    }
    message = query_pb2.Product(
        id=product_id,
        **{name: value for name, value in values.items() if value is not None},  # type: ignore[arg-type] # the cases name the fields
    )
    image, more = images[:1], images[1:]
    return Request(
        product=catalogue_pb2.ProductInput(product=message, image=b"".join(image), more_images=more)
    )


def refusals(responses: Sequence[Response]) -> list[tuple[str, str]]:
    return [(error.product_id, error.field) for response in responses for error in response.errors]


@pytest.mark.parametrize(
    ("fields", "field", "reason"),
    [
        ({"id": ""}, "id", "must not be empty"),
        ({"id": "x" * 129}, "id", "at most 128 characters, got 129"),
        ({"id": "a\nb"}, "id", "must not hold control characters"),
        ({"title": " "}, "title", "must not be empty"),
        ({"title": "x" * 1_001}, "title", "at most 1,000 characters, got 1,001"),
        ({"category": "x" * 513}, "category", "at most 512 characters, got 513"),
        ({"brand": "a\0b"}, "brand", "must not hold a NUL character"),
        ({"price": -1.0}, "price", "must be a finite number >= 0, got -1"),
        ({"price": float("nan")}, "price", "must be a finite number, got nan"),
        ({"image_uri": "x" * 2_049}, "image_uri", "at most 2,048 characters, got 2,049"),
        ({"image_uris": ["x"] * 9}, "image_uris", "at most 8, got 9"),
        ({"attributes": {f"a{i}": "" for i in range(65)}}, "attributes", "at most 64, got 65"),
        (
            {"attributes": {f"a{i}": "x" * 1_000 for i in range(61)}},
            "attributes",
            "at most 60,000 bytes as JSON",
        ),
        (
            {"fields": {"description": query_pb2.FieldValue(text="x" * 32_769)}},
            "description",
            "at most 32,768 bytes, got 32,769",
        ),
        ({"fields": {"size": query_pb2.FieldValue(text="M")}}, "size", "is no field of the schema 'fashion'"),
        ({"fields": {"price": query_pb2.FieldValue(text="9")}}, "price", "must be a number, got '9'"),
        ({"fields": {"colour": query_pb2.FieldValue()}}, "colour", "must hold a text, a number"),
    ],
)
async def test_a_product_that_breaks_a_rule_is_refused_alone(
    jpeg: bytes, fields: dict[str, object], field: str, reason: str
) -> None:
    """The refusal names the field and the limit; the products around it are written."""
    product_id = str(fields.get("id", "bad"))
    bad = upsert(product_id, jpeg, **{name: value for name, value in fields.items() if name != "id"})
    async with serving(index=FakeIndex()) as gateway:
        *_, last = responses = await send_products(gateway, [upsert("a", jpeg), bad, upsert("b", jpeg)])
    assert (last.written, last.rejected) == (2, 1)
    (error,) = [error for response in responses for error in response.errors]
    assert (error.product_id, error.field) == (product_id[:128], field)
    assert error.reason.startswith(reason)


@pytest.mark.parametrize("image", [b"GIF89a not allowed", b"\xff\xd8\xff truncated"])
async def test_a_picture_that_is_none_is_refused_alone(jpeg: bytes, image: bytes) -> None:
    """A picture that request validation does not let through costs its own product only."""
    async with serving(index=FakeIndex()) as gateway:
        *_, last = responses = await send_products(gateway, [upsert("a", image), upsert("b", jpeg)])
    assert (last.written, last.rejected) == (1, 1)
    assert refusals(responses) == [("a", "image")]


async def test_a_product_without_a_picture_is_found_by_its_words(jpeg: bytes) -> None:
    """It is written, and the answer counts it."""
    async with serving(index=FakeIndex()) as gateway:
        *_, last = await send_products(gateway, [upsert("w", title="green hat"), upsert("p", jpeg)])
        answer = await search_pb2_grpc.SearchServiceStub(gateway.channel).Search(
            search_pb2.SearchRequest(text="green hat"), timeout=30
        )
    assert (last.written, last.without_image, last.without_words) == (2, 1, 0)
    assert (answer.hits[0].product_id, answer.hits[0].parts.image) == ("w", 0.0)


async def test_a_product_without_words_is_found_by_its_picture(jpeg: bytes, png: bytes) -> None:
    """It is written, and the answer counts it."""
    async with serving(index=FakeIndex()) as gateway:
        *_, last = await send_products(gateway, [upsert("n", png, title=None), upsert("p", jpeg)])
        answer = await search_pb2_grpc.SearchServiceStub(gateway.channel).Search(
            search_pb2.SearchRequest(image=png), timeout=30
        )
    assert (last.written, last.without_image, last.without_words) == (2, 0, 1)
    assert (answer.hits[0].product_id, answer.hits[0].parts.text) == ("n", 0.0)


async def test_a_product_with_neither_is_refused(jpeg: bytes) -> None:
    """Nothing could find it."""
    async with serving(index=FakeIndex()) as gateway:
        *_, last = responses = await send_products(gateway, [upsert("x", title=None), upsert("p", jpeg)])
    assert (last.written, last.rejected, last.without_image, last.without_words) == (1, 1, 0, 0)
    assert refusals(responses) == [("x", "image")]


async def test_a_product_is_found_by_each_of_its_pictures(jpeg: bytes, png: bytes) -> None:
    """The hit says which one matched."""
    async with serving(index=FakeIndex()) as gateway:
        *_, last = await send_products(gateway, [upsert("several", jpeg, png), upsert("other", title="hat")])
        stub = search_pb2_grpc.SearchServiceStub(gateway.channel)
        found = [
            (await stub.Search(search_pb2.SearchRequest(image=image), timeout=30)).hits[0]
            for image in (jpeg, png)
        ]
    assert last.written == 2
    assert [(hit.product_id, hit.image_index) for hit in found] == [("several", 0), ("several", 1)]


async def test_eight_pictures_are_taken_and_nine_are_refused(jpeg: bytes) -> None:
    """The refusal names the further pictures and how many there may be."""
    async with serving(index=FakeIndex()) as gateway:
        *_, last = responses = await send_products(
            gateway, [upsert("eight", *[jpeg] * 8), upsert("nine", *[jpeg] * 9)]
        )
    assert (last.written, refusals(responses)) == (1, [("nine", "more_images")])


async def test_a_later_picture_is_named_by_its_place(jpeg: bytes) -> None:
    """A bad second picture is the first of the further ones; further ones alone are refused too."""
    async with serving(index=FakeIndex()) as gateway:
        responses = await send_products(
            gateway, [upsert("second", jpeg, b"no picture"), upsert("first", b"", jpeg)]
        )
    assert refusals(responses) == [("second", "more_images[0]"), ("first", "image")]


async def test_words_that_the_encoder_does_not_read_are_counted_and_kept(jpeg: bytes) -> None:
    """The rest of a long title is stored and not encoded, and the answer says of how many products."""
    index, encoder = FakeIndex(), FakeEncoder(words=3)
    async with serving(index=index, encoder=encoder) as gateway:
        *_, last = await send_products(gateway, [upsert("a", jpeg, title="a red dress for the summer")])
        stub = catalogue_pb2_grpc.CatalogueServiceStub(gateway.channel)
        found = await stub.GetProduct(catalogue_pb2.GetProductRequest(product_id="a"), timeout=30)
    assert last.cut == 1
    assert found.product.title == "a red dress for the summer"


async def test_a_new_price_costs_no_inference(jpeg: bytes) -> None:
    """A product of which only the price changed keeps its vectors."""
    encoder = FakeEncoder()
    async with serving(index=FakeIndex(), encoder=encoder) as gateway:
        await send_products(gateway, [upsert("a", jpeg)])
        before = len([call for call in encoder.embed_calls if call.texts != ["ready"]])
        *_, last = await send_products(gateway, [upsert("a", jpeg, price=7.0)])
        stub = catalogue_pb2_grpc.CatalogueServiceStub(gateway.channel)
        found = await stub.GetProduct(catalogue_pb2.GetProductRequest(product_id="a"), timeout=30)
    after = len([call for call in encoder.embed_calls if call.texts != ["ready"]])
    assert (last.written, after - before, found.product.price) == (1, 0, 7.0)


async def test_a_missing_price_stays_missing(jpeg: bytes) -> None:
    """It comes out absent, not as 0."""
    async with serving(index=FakeIndex()) as gateway:
        await send_products(gateway, [upsert("a", jpeg, price=None), upsert("b", jpeg, price=0.0)])
        stub = catalogue_pb2_grpc.CatalogueServiceStub(gateway.channel)
        found = [
            (await stub.GetProduct(catalogue_pb2.GetProductRequest(product_id=each), timeout=30)).product
            for each in ("a", "b")
        ]
    assert [each.HasField("price") for each in found] == [False, True]
    assert "price" not in found[0].fields


async def test_prices_and_numeric_ids_come_out_as_they_went_in(jpeg: bytes) -> None:
    """Neither leading zeros nor cents are lost."""
    async with serving(index=FakeIndex()) as gateway:
        await send_products(gateway, [upsert("0108775015", jpeg, price=38.95)])
        stub = catalogue_pb2_grpc.CatalogueServiceStub(gateway.channel)
        found = await stub.GetProduct(catalogue_pb2.GetProductRequest(product_id="0108775015"), timeout=30)
    assert (found.product.id, found.product.price) == ("0108775015", 38.95)


async def test_a_deleted_product_is_no_reference_any_more() -> None:
    """Its look-alikes were just shown, so that it was remembered: it is gone all the same, at once."""
    index = FakeIndex.holding([product("a", "red dress"), product("b", "red dress long")])
    async with serving(index=index) as gateway:
        searches = search_pb2_grpc.SearchServiceStub(gateway.channel)
        like = search_pb2.SearchRequest(product_id="a")
        assert [hit.product_id for hit in (await searches.Search(like, timeout=30)).hits] == ["b"]
        await catalogue_pb2_grpc.CatalogueServiceStub(gateway.channel).DeleteProducts(
            catalogue_pb2.DeleteProductsRequest(product_ids=["a"]), timeout=30
        )
        with pytest.raises(aio.AioRpcError, match="product_id: product 'a' not found") as caught:
            await searches.Search(like, timeout=30)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_new_picture_has_other_look_alikes_at_once(jpeg: bytes, png: bytes) -> None:
    """A reference that was written again asks with what it looks like now."""
    index = FakeIndex()
    async with serving(index=index) as gateway:
        searches = search_pb2_grpc.SearchServiceStub(gateway.channel)
        like = search_pb2.SearchRequest(product_id="a", weights=query_pb2.Weights(image=1.0))
        products = [upsert("a", jpeg), upsert("red", jpeg), upsert("blue", png)]
        await send_products(gateway, products)
        assert (await searches.Search(like, timeout=30)).hits[0].product_id == "red"
        await send_products(gateway, [upsert("a", png)])
        assert (await searches.Search(like, timeout=30)).hits[0].product_id == "blue"
