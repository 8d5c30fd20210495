"""The bridge before a gateway over fakes, both on loopback."""

import io
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from aiohttp import FormData
from aiohttp.test_utils import TestClient, TestServer
from PIL import Image

from gateway.testing import FakeRewriter, product, serving
from storefront.server import application
from storefront.settings import Settings
from vitrine.v1 import query_pb2, rewrite_pb2

Client = TestClient[Any, Any]
MakeClient = Callable[..., Awaitable[Client]]


def encoded(colour: str, kind: str = "JPEG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (32, 32), colour).save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture(scope="session")
def jpeg() -> bytes:
    """A small red picture."""
    return encoded("red")


@pytest.fixture
def form() -> Callable[..., FormData]:
    """Give a maker of forms as the page sends them."""

    def make(request: str, image: bytes | None = None) -> FormData:
        form = FormData(default_to_multipart=True)
        form.add_field("request", request)
        if image is not None:
            form.add_field("image", io.BytesIO(image), filename="picture.jpg", content_type="image/jpeg")
        return form

    return make


@pytest.fixture
def folder(tmp_path: Path, jpeg: bytes) -> Path:
    """A folder of pictures with p1's in it, and a picture beside the folder."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "p1.jpg").write_bytes(jpeg)
    (tmp_path / "secret.jpg").write_bytes(jpeg)
    return folder


def read(request: rewrite_pb2.RewriteRequest) -> rewrite_pb2.Rewrite:
    """Read "compare" as a wish to see two products side by side, and all else as words to search by."""
    if request.text == "compare" and request.history:
        return rewrite_pb2.Rewrite(route=query_pb2.ROUTE_COMPARE, references=["p1", "p2"])
    return rewrite_pb2.Rewrite(
        route=query_pb2.ROUTE_TEXT, query=request.text, reply="Here you are.", source="fake"
    )


@pytest.fixture
async def bridge(folder: Path) -> AsyncIterator[MakeClient]:
    """Give a maker of clients of a bridge; keyword arguments are its settings."""
    products = [
        product("p1", "red floral dress", image_uri=str(folder / "p1.jpg"), price=20.0),
        product("p2", "blue plain dress", image_uri=str(folder / "../secret.jpg"), price=30.0),
        product("p/3 ?", "green hat", image_uri=f"file://{folder}/p1.jpg", price=40.0),
    ]
    rewriter = FakeRewriter(read)
    async with AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(serving(products=products, rewriter=rewriter))

        async def make(**changes: Any) -> Client:
            settings = Settings(**{"gateway": gateway.address, "pictures": folder, **changes})
            server = TestServer(await application(settings))
            return await stack.enter_async_context(TestClient(server))

        yield make


@pytest.fixture
async def client(bridge: MakeClient) -> Client:
    """A client of the bridge with its usual settings."""
    return await bridge()
