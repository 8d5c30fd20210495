import asyncio
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import FormData
from aiohttp.test_utils import TestClient
from google.protobuf.field_mask_pb2 import FieldMask

from storefront.forms import MAX_BODY_BYTES, MAX_REQUEST_BYTES
from vitrine.domain.limits import MAX_AUDIO_BYTES
from vitrine.preprocess import MAX_IMAGE_BYTES
from vitrine.v1.query_pb2 import Sort
from vitrine.v1.search_pb2 import SearchRequest

Client = TestClient[Any, Any]
MakeClient = Callable[..., Awaitable[Client]]
MakeForm = Callable[..., FormData]


async def problem(response: Any) -> tuple[int, dict[str, Any]]:
    return response.status, (await response.json())["error"]


async def test_turn_is_answered_event_by_event(client: Client, form: MakeForm) -> None:
    """A turn gives what was understood, the hits and the reply, a line each, under one session."""
    response = await client.post("/converse", data=form('{"text": "oak crate", "limit": 2}'))
    assert (response.status, response.content_type) == (200, "application/x-ndjson")
    understood, result, reply = map(json.loads, (await response.text()).splitlines())
    assert understood["understood"]["query"] == "oak crate"
    assert [hit["product_id"] for hit in result["result"]["hits"]] == ["p1", "p2"]
    assert reply["reply"] == "Here you are."
    assert understood["session_id"] == result["session_id"] == reply["session_id"] != ""


async def test_turn_continues_its_session(client: Client, form: MakeForm, jpeg: bytes) -> None:
    """A second turn, with a picture, is answered in the session of the first."""
    first = json.loads(
        (await (await client.post("/converse", data=form('{"text": "dress"}'))).text()).split("\n")[0]
    )
    turn = json.dumps({"session_id": first["session_id"]})
    events = await (await client.post("/converse", data=form(turn, jpeg))).text()
    lines = [json.loads(line) for line in events.splitlines()]
    assert {line["session_id"] for line in lines} == {first["session_id"]}
    assert lines[1]["result"]["searched"]["route"] == "ROUTE_IMAGE"


async def test_search_takes_filters_and_limits(client: Client, form: MakeForm) -> None:
    """A query in protobuf's JSON mapping reaches the gateway whole."""
    query = '{"text": "crate", "filter": {"range": {"field": "cost", "minimum": 25}}, "limit": 5}'
    answer = await (await client.post("/search", data=form(query))).json()
    assert [hit["product_id"] for hit in answer["hits"]] == ["p2"]


async def test_search_takes_orders_pages_and_facets(client: Client, form: MakeForm, gateway: Any) -> None:
    """What the page may ask of a search reaches the gateway whole, and so does its answer the page."""
    query = {
        "text": "crate",
        "sort": {"field": "cost", "descending": True},
        "page_token": "page-1",
        "facets": ["wood", "stackable"],
        "fields": "title,imageUri",
    }
    answer = await (await client.post("/search", data=form(json.dumps(query)))).json()
    assert gateway.requests == [
        SearchRequest(
            text="crate",
            sort=Sort(field="cost", descending=True),
            page_token="page-1",
            facets=["wood", "stackable"],
            fields=FieldMask(paths=["title", "image_uri"]),
        )
    ]
    assert answer["next_page_token"] == "page-2"
    assert answer["searched"]["sort"] == {"field": "cost", "descending": True}
    assert [facet["field"] for facet in answer["facets"]] == ["wood", "stackable"]
    assert answer["facets"][0]["values"] == [{"value": "oak", "products": "2"}]


@pytest.mark.parametrize(
    "member",
    ['"sort": "cost"', '"sort": {"by": "cost"}', '"facets": "wood"', '"page_token": 2', '"page": "2"'],
)
async def test_a_search_of_another_shape_is_refused(
    client: Client, form: MakeForm, gateway: Any, member: str
) -> None:
    """What is no member of the proto, or has another type, is refused before the gateway is asked."""
    status, error = await problem(await client.post("/search", data=form(f'{{"text": "crate", {member}}}')))
    assert (status, error["field"]) == (400, "request")
    assert gateway.requests == []


async def test_a_missing_value_is_absent(client: Client, form: MakeForm) -> None:
    """A product without a price and a title has neither in its JSON, and a value has its field's kind."""
    answer = await (await client.post("/search", data=form('{"text": "crate"}'))).json()
    known, nameless = (answer["hits"][i]["product"] for i in (0, 2))
    assert known["fields"]["cost"] == {"number": 20.0}
    assert known["price"] == 20.0
    assert "price" not in nameless
    assert nameless["fields"] == {"wood": {"text": "oak"}}
    assert nameless["title"] == ""


async def test_paths_of_the_server_stay_there(client: Client, form: MakeForm) -> None:
    """No answer says where the pictures lie."""
    for path in ("/search", "/converse"):
        body = await (await client.post(path, data=form('{"text": "dress"}'))).text()
        assert "p1" in body
        assert "pictures" not in body


async def test_a_comparison_reaches_the_page(client: Client, form: MakeForm) -> None:
    """Products side by side come as rows, and where their pictures lie stays unsaid."""
    first = await (await client.post("/converse", data=form('{"text": "dress"}'))).text()
    session_id = json.loads(first.splitlines()[0])["session_id"]
    turn = json.dumps({"text": "compare", "session_id": session_id})
    body = await (await client.post("/converse", data=form(turn))).text()
    comparison = json.loads(body.splitlines()[1])["comparison"]
    assert [each["id"] for each in comparison["products"]] == ["p1", "p2"]
    row = {"field": "cost", "label": "cost", "values": ["20", "30"], "equal": False}
    assert comparison["fields"] == [row]
    assert "pictures" not in body
    assert (await client.get("/products/p1/picture")).status == 200


async def test_catalogue_is_described(client: Client) -> None:
    """The page learns how many products there are, which fields the schema has, and which values these have."""
    answer = await (await client.get("/catalogue")).json()
    assert answer["products"] == "3"
    assert answer["fields"][0]["values"] == ["oak", "pine"]
    schema = answer["schema"]
    assert (schema["name"], schema["currency"]) == ("crates", "NOK")
    assert [field["name"] for field in schema["fields"]] == ["code", "name", "wood", "cost", "stackable"]
    wood, cost = schema["fields"][2:4]
    assert (wood["kind"], wood["labels"], wood["facet"]) == ("FIELD_KIND_KEYWORD", {"en": "timber"}, True)
    assert (cost["kind"], cost["role"], cost["sort"]) == ("FIELD_KIND_MONEY", "FIELD_ROLE_PRICE", True)


async def test_picture_of_a_product(client: Client, jpeg: bytes) -> None:
    """The picture of an indexed product is served with its type, whatever characters the id has."""
    for product_id in ("p1", "p%2F3%20%3F"):
        response = await client.get(f"/products/{product_id}/picture")
        assert (response.status, response.content_type) == (200, "image/jpeg")
        assert await response.read() == jpeg


async def test_a_picture_is_asked_for_each_time(client: Client, jpeg: bytes) -> None:
    """A browser keeps it and asks whether it may still show it, which costs no bytes; nothing is shown unasked."""
    first = await client.get("/products/p1/picture")
    assert await first.read() == jpeg
    assert "no-cache" in first.headers["Cache-Control"]
    tag = {"If-None-Match": first.headers["ETag"]}
    again = await client.get("/products/p1/picture", headers=tag)
    assert (again.status, await again.read()) == (304, b"")
    gone = await client.get("/products/unknown/picture", headers=tag)
    assert gone.status == 404


async def test_each_picture_of_a_product(
    client: Client, form: MakeForm, jpeg: bytes, other_jpeg: bytes
) -> None:
    """The picture that matched is served by its number, before and after the product was shown; beyond the last is none."""
    for _ in range(2):
        pictures = [await client.get(f"/products/p1/picture?index={index}") for index in (0, 1, 2)]
        assert [picture.status for picture in pictures] == [200, 200, 404]
        assert [await picture.read() for picture in pictures[:2]] == [jpeg, other_jpeg]
        await client.post("/search", data=form('{"text": "crate"}'))


@pytest.mark.parametrize("index", ["8", "-1", "x", "", "1.0", "99999", "\N{SUPERSCRIPT TWO}"])
async def test_a_picture_of_no_number_is_refused(client: Client, index: str) -> None:
    """A number beyond a product's most pictures, or none at all, is told with the limit."""
    response = await client.get("/products/p1/picture", params={"index": index})
    assert await problem(response) == (400, {"message": "must be from 0 to 7", "field": "index"})


@pytest.mark.parametrize("product_id", ["p2", "nobody", "..%2F..%2Fsecret.jpg", "%00", "x" * 200])
async def test_picture_that_is_not_to_be_had(client: Client, product_id: str) -> None:
    """A picture outside the folder, an unknown product and a path in place of an id get a sentence, not a file."""
    response = await client.get(f"/products/{product_id}/picture")
    assert response.status in {400, 404}
    assert (await response.json())["error"]["field"] == "product_id"


@pytest.mark.parametrize(
    ("request_part", "image", "refusal"),
    [
        ("{}", None, (400, "text")),
        ("{}", b"", (400, "image")),
        ("{}", b"GIF89a", (400, "image")),
        ('{"text": "dress", "limit": 9999}', None, (400, "limit")),
        ('{"session_id": "made-up", "text": "dress"}', None, (404, "session_id")),
        ("no JSON", None, (400, "request")),
        ('{"colour": "red"}', None, (400, "request")),
        ('{"text": "\\ud800"}', None, (400, "request")),
        ("[" * 100_000, None, (400, "request")),
        (json.dumps({"text": "a" * MAX_REQUEST_BYTES}), None, (413, "request")),
        ("{}", bytes(MAX_IMAGE_BYTES + 1), (413, "image")),
        ("{}", bytes(MAX_BODY_BYTES + 1), (413, "image")),
    ],
)
async def test_bad_turn_is_one_sentence_with_its_field(
    client: Client, form: MakeForm, request_part: str, image: bytes | None, refusal: tuple[int, str]
) -> None:
    """What the gateway or the bridge refuses is a status, a sentence and the field, without a trace of the program."""
    status, error = await problem(await client.post("/converse", data=form(request_part, image)))
    assert (status, error["field"]) == refusal
    assert 0 < len(error["message"]) < 200
    assert "Traceback" not in error["message"]


async def test_what_was_said_goes_to_the_gateway_as_it_came(client: Client, gateway: Any) -> None:
    """A recording is a part of the form, beside words or alone; one that is too large is refused here."""
    for size in (9, MAX_AUDIO_BYTES + 1):
        parts = FormData({"request": '{"text": "oak", "locale": "en-GB"}'})
        parts.add_field("audio", io.BytesIO(bytes(size)), filename="said.webm", content_type="audio/webm")
        response = await client.post("/converse", data=parts)
        if size > MAX_AUDIO_BYTES:
            assert await problem(response) == (
                413,
                {"message": "may have at most 2,000,000 bytes", "field": "audio"},
            )
        else:
            assert response.status == 200
            assert gateway.requests[-1].audio == bytes(size)
            assert gateway.requests[-1].locale == "en-GB"


async def test_error_after_the_first_event_is_the_last_line(client: Client, form: MakeForm) -> None:
    """A turn that fails once the answer has begun ends with the error in place of the hits."""
    response = await client.post("/converse", data=form('{"product_id": "nobody"}'))
    understood, error = map(json.loads, (await response.text()).splitlines())
    assert understood["understood"]["route"] == "ROUTE_SIMILAR"
    assert error == {
        "error": {"message": "product 'nobody' not found", "field": "product_id", "code": "NOT_FOUND"}
    }


async def test_endless_body_is_cut_off(client: Client) -> None:
    """A picture without a stated length is read up to the limit and no further."""
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        yield b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
        while sent < 4 * MAX_IMAGE_BYTES:
            sent += 100_000
            yield bytes(100_000)

    response = await client.post(
        "/search", data=endless(), headers={"Content-Type": "multipart/form-data; boundary=x"}
    )
    assert await problem(response) == (413, {"message": "may have at most 8,000,000 bytes", "field": "image"})


async def test_slow_body_is_given_up(bridge: MakeClient) -> None:
    """A request that does not arrive in time is refused."""
    client = await bridge(upload_timeout_s=0.1)

    async def slow() -> AsyncIterator[bytes]:
        yield b"--x\r\n"
        await asyncio.sleep(5)

    response = await client.post(
        "/search", data=slow(), headers={"Content-Type": "multipart/form-data; boundary=x"}
    )
    assert await problem(response) == (
        408,
        {"message": "the request did not arrive within 0.1 s, or at 16,000 bytes a second"},
    )


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("application/json", b'{"text": "dress"}', 415),
        ("multipart/form-data", b"", 400),
        ("multipart/form-data; boundary=x", b"nothing of the kind", 400),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--',
            400,
        ),
    ],
)
async def test_form_that_is_none_is_refused(
    client: Client, content_type: str, body: bytes, status: int
) -> None:
    """A body of another type, or one that is no form of ours, is refused in a sentence."""
    response = await client.post("/search", data=body, headers={"Content-Type": content_type})
    got, error = await problem(response)
    assert (got, bool(error["message"])) == (status, True)


async def test_gateway_that_is_down_is_said(bridge: MakeClient, form: MakeForm) -> None:
    """Without a gateway a turn, and the health, are answered 503 with a sentence for people."""
    client = await bridge(gateway="127.0.0.1:9", call_timeout_s=2.0)
    down = (503, {"message": "The search service does not answer.", "code": "UNAVAILABLE"})
    assert await problem(await client.post("/converse", data=form('{"text": "dress"}'))) == down
    assert await problem(await client.get("/healthz")) == down


async def test_health_is_the_gateways(client: Client) -> None:
    """The bridge is well when the gateway is."""
    response = await client.get("/healthz")
    assert (response.status, await response.json()) == (200, {"gateway": "SERVING"})


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"x\r\n" * 300_000 + b'--x\r\nContent-Disposition: form-data; name="request"\r\n\r\n{}\r\n--x--', id="lines before"),
        pytest.param(b"--x\r\n\r\n" * 100_000 + b"--x--", id="parts"),
        pytest.param(b"--x\r\n" + b"X: a\r\n" * 5_000 + b"\r\n{}\r\n--x--", id="headers of a part"),
        pytest.param(b'--x\r\nContent-Disposition: form-data; name="request"\r\n\r\n{}\r\n--x', id="no end"),
        pytest.param(b"--xX\r\n\r\n{}\r\n--xX--", id="another boundary"),
    ],
)  # fmt: skip
async def test_a_form_that_is_long_to_take_apart_is_refused(client: Client, body: bytes) -> None:
    """A megabyte of lines, parts or headers is refused as a whole, not walked through."""
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    response = await client.post("/search", data=body, headers=headers)
    assert await problem(response) == (400, {"message": "is no well-formed multipart form"})


async def test_what_was_done_with_products_reaches_the_gateway(
    client: Client, form: MakeForm, gateway: Any, jpeg: bytes
) -> None:
    """Events of the page are recorded as they are; a picture among them is refused."""
    event = {
        "id": "e1",
        "kind": "KIND_CLICK",
        "product_id": "p1",
        "position": 2,
        "time": "2026-11-29T10:00:00.5Z",
    }
    events = json.dumps({"events": [event]})
    response = await client.post("/events", data=form(events))
    assert (await response.json())["recorded"] == "1"
    (recorded,) = gateway.requests[-1].events
    assert (recorded.id, recorded.product_id, recorded.position, recorded.personalise) == (
        "e1",
        "p1",
        2,
        False,
    )
    assert recorded.time.ToMilliseconds() % 1_000 == 500
    status, told = await problem(await client.post("/events", data=form(events, jpeg)))
    assert (status, told["field"]) == (400, "image")
