# ruff: noqa: N802 - methods bear the names of the proto
"""The bridge before a scripted gateway, both on loopback."""

import io
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import grpc
import pytest
from aiohttp import FormData
from aiohttp.test_utils import TestClient, TestServer
from google.protobuf.message import Message
from google.rpc import code_pb2, status_pb2
from google.rpc.error_details_pb2 import BadRequest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_status import rpc_status
from PIL import Image

from storefront.server import application
from storefront.settings import Settings
from vitrine.domain import limits
from vitrine.domain.errors import InvalidValue
from vitrine.domain.filters import matches
from vitrine.domain.messages import product_message, read_filter, schema_message
from vitrine.domain.product import Product, check_id
from vitrine.domain.schema_files import parse_schema
from vitrine.v1 import (
    catalogue_pb2,
    catalogue_pb2_grpc,
    feedback_pb2,
    feedback_pb2_grpc,
    query_pb2,
    rewrite_pb2,
    search_pb2,
    search_pb2_grpc,
)

Client = TestClient[Any, Any]
MakeClient = Callable[..., Awaitable[Client]]

SCHEMA = parse_schema("""
name = "crates"
currency = "NOK"
[fields.code]
kind = "keyword"
role = "id"
[fields.name]
kind = "text"
role = "title"
[fields.wood]
kind = "keyword"
labels = { en = "timber" }
[fields.cost]
kind = "money"
role = "price"
[fields.stackable]
kind = "boolean"
""")
SESSION = "s-1"


def encoded(colour: str, kind: str = "JPEG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (32, 32), colour).save(buffer, kind)
    return buffer.getvalue()


@dataclass
class Gateway:
    """A gateway that holds a few products, refuses what a real one refuses, and notes what it was asked."""

    products: list[Product]
    address: str = ""
    requests: list[Message] = field(default_factory=list)
    asked: threading.Event = field(default_factory=threading.Event)
    """Set once it is asked to describe itself."""
    describes: threading.Event = field(default_factory=threading.Event)
    """Once this is set, as it is from the start, it answers that."""

    def __post_init__(self) -> None:
        self.describes.set()

    def answer(self, request: Any, *, route: query_pb2.Route.ValueType) -> search_pb2.SearchResponse:
        """Return the products that satisfy the filter, in the order in which they are held."""
        kept = self.products
        if request.HasField("filter"):
            condition = read_filter(request.filter)
            kept = [product for product in kept if matches(condition, product)]
        hits = [
            search_pb2.Hit(product_id=each.id, product=product_message(each, SCHEMA), image_index=0)
            for each in kept[: request.limit or 10]
        ]
        return search_pb2.SearchResponse(
            hits=hits, searched=search_pb2.SearchedQuery(route=route, text=request.text)
        )

    def held(self, product_id: str, context: Any) -> Product:
        """Return a product, or end the call as the gateway does."""
        try:
            check_id("product_id", product_id)
        except InvalidValue as error:
            refuse(context, error.field, error.reason)
        found = next((each for each in self.products if each.id == product_id), None)
        if found is None:
            context.abort(grpc.StatusCode.NOT_FOUND, f"product_id: product {product_id!r} not found")
            raise AssertionError("the call has ended")
        return found


def refuse(context: Any, name: str, reason: str) -> NoReturn:
    """End a call with the field that is wrong."""
    status = status_pb2.Status(code=code_pb2.INVALID_ARGUMENT, message=f"{name}: {reason}")
    violation = BadRequest.FieldViolation(field=name, description=reason)
    status.details.add().Pack(BadRequest(field_violations=[violation]))
    context.abort_with_status(rpc_status.to_status(status))
    raise AssertionError("the call has ended")


class _Search(search_pb2_grpc.SearchServiceServicer):
    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def Search(self, request: search_pb2.SearchRequest, context: Any) -> search_pb2.SearchResponse:
        self._gateway.requests.append(request)
        route = _route(request, context)
        answer = self._gateway.answer(request, route=route)
        answer.next_page_token = "page-2"
        if request.HasField("sort"):
            answer.searched.sort.CopyFrom(request.sort)
        values = [search_pb2.FacetValue(value="oak", products=2)]
        answer.facets.extend(search_pb2.FacetCounts(field=name, values=values) for name in request.facets)
        return answer

    def Converse(
        self, request: search_pb2.ConverseRequest, context: Any
    ) -> Iterator[search_pb2.ConverseResponse]:
        self._gateway.requests.append(request)
        if request.session_id not in {"", SESSION}:
            context.abort(grpc.StatusCode.NOT_FOUND, "session_id: no such session")
        if request.text == "compare":
            yield from self._compared()
            return
        route = _route(request, context)
        understood = rewrite_pb2.Rewrite(route=route, query=request.text, source="script")
        yield search_pb2.ConverseResponse(session_id=SESSION, understood=understood)
        if request.product_id:
            self._gateway.held(request.product_id, context)
        yield search_pb2.ConverseResponse(
            session_id=SESSION, result=self._gateway.answer(request, route=route)
        )
        yield search_pb2.ConverseResponse(session_id=SESSION, reply="Here you are.")

    def _compared(self) -> Iterator[search_pb2.ConverseResponse]:
        yield search_pb2.ConverseResponse(
            session_id=SESSION, understood=rewrite_pb2.Rewrite(route=query_pb2.ROUTE_COMPARE)
        )
        products = [product_message(each, SCHEMA) for each in self._gateway.products[:2]]
        row = search_pb2.ComparedField(field="cost", label="cost", values=["20", "30"])
        comparison = search_pb2.Comparison(products=products, fields=[row])
        yield search_pb2.ConverseResponse(session_id=SESSION, comparison=comparison)


class _Feedback(feedback_pb2_grpc.FeedbackServiceServicer):
    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def Record(
        self, request_iterator: Iterator[feedback_pb2.RecordRequest], context: Any
    ) -> feedback_pb2.RecordResponse:
        del context
        requests = list(request_iterator)
        self._gateway.requests += requests
        return feedback_pb2.RecordResponse(recorded=sum(len(request.events) for request in requests))


class _Catalogue(catalogue_pb2_grpc.CatalogueServiceServicer):
    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def GetProduct(
        self, request: catalogue_pb2.GetProductRequest, context: Any
    ) -> catalogue_pb2.GetProductResponse:
        held = self._gateway.held(request.product_id, context)
        return catalogue_pb2.GetProductResponse(product=product_message(held, SCHEMA))

    def Describe(
        self,
        request: catalogue_pb2.DescribeRequest,  # noqa: ARG002 - grpc's signature
        context: Any,  # noqa: ARG002
    ) -> catalogue_pb2.DescribeResponse:
        self._gateway.asked.set()
        self._gateway.describes.wait(60)
        text = catalogue_pb2.FieldDescription.TYPE_TEXT
        wood = catalogue_pb2.FieldDescription(name="wood", type=text, values=["oak", "pine"], counts=[2, 1])
        return catalogue_pb2.DescribeResponse(
            products=len(self._gateway.products), fields=[wood], schema=schema_message(SCHEMA)
        )


def _route(request: Any, context: Any) -> query_pb2.Route.ValueType:
    """Return the route of what was asked; end the call where it cannot be searched."""
    if request.HasField("image"):
        if not request.image.startswith(b"\xff\xd8"):
            refuse(context, "image", "must be a JPEG, PNG or WebP picture")
        return query_pb2.ROUTE_COMPOSED if request.text else query_pb2.ROUTE_IMAGE
    if request.product_id:
        return query_pb2.ROUTE_REFINE if request.text else query_pb2.ROUTE_SIMILAR
    if not request.text:
        refuse(context, "text", "give words, a picture or a product")
    if request.limit > limits.MAX_HITS:
        refuse(context, "limit", f"must be from 1 to {limits.MAX_HITS}, got {request.limit}")
    return query_pb2.ROUTE_TEXT


@pytest.fixture(scope="session")
def jpeg() -> bytes:
    """A small red picture."""
    return encoded("red")


@pytest.fixture(scope="session")
def other_jpeg() -> bytes:
    """A small blue picture."""
    return encoded("blue")


@pytest.fixture
def form() -> Callable[..., FormData]:
    """Return a maker of forms as the page sends them."""

    def make(request: str, image: bytes | None = None) -> FormData:
        form = FormData(default_to_multipart=True)
        form.add_field("request", request)
        if image is not None:
            form.add_field("image", io.BytesIO(image), filename="picture.jpg", content_type="image/jpeg")
        return form

    return make


@pytest.fixture
def folder(tmp_path: Path, jpeg: bytes, other_jpeg: bytes) -> Path:
    """A folder of pictures with two of p1 in it, and a picture beside the folder."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "p1.jpg").write_bytes(jpeg)
    (folder / "p1-back.jpg").write_bytes(other_jpeg)
    (tmp_path / "secret.jpg").write_bytes(jpeg)
    return folder


@pytest.fixture
def gateway(folder: Path) -> Iterator[Gateway]:
    """A gateway of three products is served at `gateway.address`."""
    fronts = (str(folder / "p1.jpg"), str(folder / "p1-back.jpg"))
    gateway = Gateway(
        products=[
            Product(id="p1", values={"name": "oak crate", "wood": "oak", "cost": 20.0}, image_uris=fronts),
            Product(
                id="p2",
                values={"name": "pine crate", "wood": "pine", "cost": 30.0},
                image_uris=(str(folder / "../secret.jpg"),),
            ),
            Product(id="p/3 ?", values={"wood": "oak"}, image_uris=(f"file://{folder}/p1.jpg",)),
        ]
    )
    server = grpc.server(ThreadPoolExecutor(max_workers=4))
    search_pb2_grpc.add_SearchServiceServicer_to_server(_Search(gateway), server)
    feedback_pb2_grpc.add_FeedbackServiceServicer_to_server(_Feedback(gateway), server)
    catalogue_pb2_grpc.add_CatalogueServiceServicer_to_server(_Catalogue(gateway), server)
    servicer = health.HealthServicer()
    servicer.set("", health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    gateway.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield gateway
    server.stop(grace=None).wait(timeout=5)


@pytest.fixture
async def bridge(folder: Path, gateway: Gateway) -> AsyncIterator[MakeClient]:
    """Return a maker of clients of a bridge; keyword arguments are its settings."""
    async with AsyncExitStack() as stack:

        async def make(**changes: Any) -> Client:
            settings = Settings(**{"gateway": gateway.address, "pictures": folder, **changes})
            server = TestServer(await application(settings))
            return await stack.enter_async_context(TestClient(server))

        yield make


@pytest.fixture
async def client(bridge: MakeClient) -> Client:
    """A client of the bridge with its usual settings."""
    return await bridge()
