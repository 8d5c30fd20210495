import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import FormData
from aiohttp.test_utils import TestClient

from storefront.bridge import PAGE

Client = TestClient[Any, Any]
MakeClient = Callable[..., Awaitable[Client]]
MakeForm = Callable[..., FormData]


@pytest.mark.parametrize("path", ["/", "/app.js", "/catalogue", "/nowhere", "/products/p1/picture"])
async def test_every_answer_carries_the_policy(client: Client, path: str) -> None:
    """Pages, data, pictures and errors alike allow the page's own files only, and no string as markup."""
    headers = (await client.get(path)).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["require-trusted-types-for"] == "'script'"
    assert policy["frame-ancestors"] == "'none'"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"


async def test_page_is_made_of_its_own_files(client: Client) -> None:
    """Every file that the page and its modules name is served with its type, and none lies elsewhere."""
    types = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
    sources = "".join(path.read_text(encoding="utf-8") for path in PAGE.iterdir() if path.suffix != ".svg")
    named = set(re.findall(r'(?:(?:src|href)="/|from "\./)([\w.]+)"', sources))
    assert {"app.js", "base.css", "shop.css", "icon.svg", "dom.js"} <= named
    assert named == {path.name for path in PAGE.iterdir()} - {"index.html"}
    for name in named:
        response = await client.get(f"/{name}")
        assert (response.status, response.content_type) == (200, types[Path(name).suffix])
    assert not re.search(r"https?://|//cdn|@import|url\(", sources)


def test_no_script_makes_markup_of_strings() -> None:
    """Words of people and products can only become text: no script has a way to parse them."""
    for path in PAGE.glob("*.js"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|DOMParser|srcdoc", text
        ), path


@pytest.mark.parametrize(
    "path",
    [
        "/../settings.py",
        "/%2e%2e/settings.py",
        "/..%2fsettings.py",
        "/page/app.js",
        "/app.js%00",
        "/etc/passwd",
    ],
)
async def test_only_the_pages_files_are_served(client: Client, path: str) -> None:
    """A path that is not exactly a file of the page is not found, however it is written."""
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {client.host}\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 404 Not Found")
    assert answer.endswith(b'{"error": {"message": "Not Found"}}')


@pytest.mark.parametrize("host", ["shop.example", "shop.example:7730", "127.0.0.1.example", "[::1", ""])
async def test_foreign_name_is_refused(client: Client, host: str) -> None:
    """A name that somebody else resolves to this machine gets nothing, not even the page."""
    for path in ("/", "/catalogue"):
        assert (await client.get(path, headers={"Host": host})).status in {400, 421}


async def test_foreign_page_may_not_post(client: Client, form: MakeForm) -> None:
    """A form that another site's page sends is refused; the page's own is answered."""
    own = f"http://{client.host}:{client.port}"
    statuses = []
    for origin in ("https://shop.example", "null", own):
        request = form('{"text": "dress"}')
        statuses.append((await client.post("/search", data=request, headers={"Origin": origin})).status)
    assert statuses == [403, 403, 200]


async def test_too_many_requests_are_refused(bridge: MakeClient) -> None:
    """A request beyond the bound is told to come back, and is answered once there is room."""
    client = await bridge(max_requests=1, upload_timeout_s=5.0)
    begun, release = asyncio.Event(), asyncio.Event()

    async def held() -> AsyncIterator[bytes]:
        yield b"--x\r\n"
        begun.set()
        await release.wait()
        yield b"--x--"

    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    busy = asyncio.create_task(client.post("/search", data=held(), headers=headers))
    await begun.wait()
    while (refused := await client.get("/catalogue")).status != 503:  # noqa: ASYNC110 - of a server
        await asyncio.sleep(0.01)
    assert refused.headers["Retry-After"] == "1"
    release.set()
    assert (await busy).status == 400
    assert (await client.get("/catalogue")).status == 200
