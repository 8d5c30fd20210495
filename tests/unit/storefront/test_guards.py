import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import FormData
from aiohttp.test_utils import TestClient

from storefront import forms
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
    named = set(re.findall(r'(?:(?:src|href)="/|from "\./)([\w.-]+)"', sources))
    named |= {f"words-{code}.js" for code in re.findall(r'<option value="(\w+)"', sources)}
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


async def test_too_many_uploads_are_refused_and_the_page_is_served(
    bridge: MakeClient, form: MakeForm
) -> None:
    """An upload beyond the bound is told to come back, and is answered once there is room; a GET is, all the while."""
    client = await bridge(max_uploads=1, upload_timeout_s=60.0)
    begun, release = asyncio.Event(), asyncio.Event()

    async def held() -> AsyncIterator[bytes]:
        yield b"--x\r\n"
        begun.set()
        await release.wait()
        yield b"--x--"

    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    busy = asyncio.create_task(client.post("/search", data=held(), headers=headers))
    await begun.wait()
    while (refused := await client.post("/search", data=form('{"text": "dress"}'))).status != 503:  # noqa: ASYNC110 - of a server
        await asyncio.sleep(0.01)
    assert refused.headers["Retry-After"] == "1"
    assert [(await client.get(path)).status for path in ("/", "/catalogue", "/healthz")] == [200] * 3
    release.set()
    assert (await busy).status == 400
    assert (await client.post("/search", data=form('{"text": "dress"}'))).status == 200


async def test_too_many_requests_are_refused(bridge: MakeClient, gateway: Any) -> None:
    """What has no body is bounded too."""
    client = await bridge(max_requests=1)
    gateway.describes.clear()
    answered = asyncio.create_task(client.get("/catalogue"))
    await asyncio.to_thread(gateway.asked.wait, 60)
    refused = await asyncio.gather(*(client.get("/catalogue") for _ in range(4)))
    gateway.describes.set()
    assert [answer.status for answer in (await answered, *refused)] == [200, 503, 503, 503, 503]


async def test_an_upload_that_trickles_is_ended(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte now and then is too slow after the first seconds, long before the whole time is up."""
    monkeypatch.setattr(forms, "GRACE_S", 0.2)

    async def trickling() -> AsyncIterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="request"\r\n\r\n'
        for _ in range(200):
            yield b" "
            await asyncio.sleep(0.05)

    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = await client.post("/search", data=trickling(), headers=headers)
    assert answer.status == 408
    assert "16,000 bytes a second" in (await answer.json())["error"]["message"]


async def test_an_upload_that_comes_along_is_not_ended(
    client: Client, monkeypatch: pytest.MonkeyPatch, jpeg: bytes
) -> None:
    """The time that a form may take grows with what has come."""
    monkeypatch.setattr(forms, "GRACE_S", 0.5)

    async def steady() -> AsyncIterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="request"\r\n\r\n{"limit": 1}\r\n'
        yield b'--x\r\nContent-Disposition: form-data; name="image"\r\n\r\n' + jpeg
        for _ in range(10):
            yield bytes(40_000)
            await asyncio.sleep(0.1)
        yield b"\r\n--x--\r\n"

    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    assert (await client.post("/search", data=steady(), headers=headers)).status == 200


@pytest.mark.parametrize("origin", ["http://[", "http://[::1", "//[", "http://]:x", "\u2100"])
async def test_an_origin_that_is_no_address_is_refused(client: Client, form: MakeForm, origin: str) -> None:
    """It is not the page's own, and no failure of ours."""
    answer = await client.post("/search", data=form('{"text": "dress"}'), headers={"Origin": origin})
    assert answer.status == 403


@pytest.mark.parametrize(
    "raw",
    [
        b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
        b"\0\0\0\0\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: abc\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"secret" * 3_000 + b"\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_refused_like_anything_else(
    client: Client, raw: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """With the security headers, without a version, without an echo, and without a traceback in the log."""
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(raw)
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    assert head.startswith((b"HTTP/1.1 400 ", b"HTTP/1.0 400 "))
    assert b"Content-Security-Policy: default-src 'none'" in head
    assert b"aiohttp" not in head
    assert b"Python" not in head
    assert body == b'{"error": {"message": "is no well-formed HTTP request"}}'
    assert all(record.exc_info is None for record in caplog.records)
    assert "secret" not in caplog.text


async def test_no_answer_names_a_version(client: Client) -> None:
    """Neither of the page, nor of an error."""
    for path in ("/", "/nowhere", "/catalogue"):
        assert (await client.get(path)).headers["Server"] == "vitrine"
