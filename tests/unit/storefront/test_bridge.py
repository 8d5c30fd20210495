import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import FormData
from aiohttp.test_utils import TestClient

from storefront.forms import MAX_BODY_BYTES, MAX_REQUEST_BYTES
from vitrine.preprocess import MAX_IMAGE_BYTES

Client = TestClient[Any, Any]
MakeClient = Callable[..., Awaitable[Client]]
MakeForm = Callable[..., FormData]


async def problem(response: Any) -> tuple[int, dict[str, Any]]:
    return response.status, (await response.json())["error"]


async def test_turn_is_answered_event_by_event(client: Client, form: MakeForm) -> None:
    """A turn gives what was understood, the hits and the reply, a line each, under one session."""
    response = await client.post("/converse", data=form('{"text": "red floral dress", "limit": 2}'))
    assert (response.status, response.content_type) == (200, "application/x-ndjson")
    understood, result, reply = map(json.loads, (await response.text()).splitlines())
    assert understood["understood"]["query"] == "red floral dress"
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
    query = '{"text": "dress", "filter": {"range": {"field": "price", "minimum": 25}}, "limit": 5}'
    answer = await (await client.post("/search", data=form(query))).json()
    assert sorted(hit["product_id"] for hit in answer["hits"]) == ["p/3 ?", "p2"]


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
    prices = {"field": "price", "values": ["20.00", "30.00"], "equal": False}
    assert prices in comparison["fields"]
    assert "pictures" not in body
    assert (await client.get("/products/p1/picture")).status == 200


async def test_catalogue_is_described(client: Client) -> None:
    """The page learns how many products there are and which values their fields have."""
    answer = await (await client.get("/catalogue")).json()
    assert answer["products"] == "3"
    assert {"category", "colour", "price"} <= {field["name"] for field in answer["fields"]}


async def test_picture_of_a_product(client: Client, jpeg: bytes) -> None:
    """The picture of an indexed product is served with its type, whatever characters the id has."""
    for product_id in ("p1", "p%2F3%20%3F"):
        response = await client.get(f"/products/{product_id}/picture")
        assert (response.status, response.content_type) == (200, "image/jpeg")
        assert await response.read() == jpeg


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
    assert await problem(response) == (408, {"message": "the request did not arrive within 0.1 s"})


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
