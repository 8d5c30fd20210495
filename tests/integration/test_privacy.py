"""What shoppers say and show, and what proves who they are, is in no log, metric or span, however a call ends.

Each text that a request can hold carries a mark, and so do pictures, tokens and metadata; what a real gateway, rewriter
and page write and send at level debug, and what Triton and Milvus logged meanwhile, is searched for the marks.
"""

import asyncio
import base64
import io
import os
import re
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.json_format import ParseDict
from grpc import aio
from PIL import Image

from tests.ports import free_address
from vitrine.tokens import digest, new_token
from vitrine.v1 import (
    catalogue_pb2,
    catalogue_pb2_grpc,
    rewrite_pb2,
    rewrite_pb2_grpc,
    search_pb2,
    search_pb2_grpc,
)

ROOT = Path(__file__).parents[2]
CALL_S = 60.0
PICTURE = b"zqmarkpicture" * 8
TOKEN = new_token("page")
TALK: dict[str, Any] = {
    "text": "cheaper",
    "history": [{"text": "a dress", "rewrite": {"route": "ROUTE_TEXT", "query": "a dress"}, "shown": []}],
}
HEADERS = (("authorization", f"Bearer {TOKEN}"),)
Fragment = Callable[[str], dict[str, Any]]
"""Makes a part of a request that holds the mark."""


@dataclass
class Marks:
    """Counts the marks, so that one that is found names the place that it was sent from."""

    places: list[str] = field(default_factory=list)

    def new(self, place: str) -> str:
        """Return a mark for a place: letters that no language or program puts together."""
        self.places.append(place)
        return f"zqmark{len(self.places)}x"

    def found_in(self, text: str) -> set[str]:
        """Return the places of the marks that a text holds, in any case."""
        numbers = {int(number) for number in re.findall(r"zqmark(\d+)x", text, re.IGNORECASE)}
        return {self.places[number - 1] for number in numbers}


def fragments(kind: Descriptor, depth: int = 4) -> Iterator[tuple[str, Fragment]]:
    """Yield each text that a message can hold, at any depth, and how to put a mark there, as JSON."""
    for each in kind.fields:
        for below, fill in _texts(each, depth):
            yield f"{each.name}{below}", lambda mark, n=each.name, f=fill: {n: f(mark)}


def _texts(each: FieldDescriptor, depth: int) -> Iterator[tuple[str, Callable[[str], Any]]]:
    """Yield each text that a field can hold, and the field's value with a mark there."""
    inner = each.message_type
    mask = inner is not None and inner.full_name == "google.protobuf.FieldMask"
    if each.type == each.TYPE_STRING or mask:
        yield "", lambda mark: [mark] if each.is_repeated else mark
    elif inner is not None and inner.GetOptions().map_entry:
        yield from _pairs(inner.fields_by_name["value"], depth)
    elif inner is not None and depth > 0:
        for below, fill in fragments(inner, depth - 1):
            yield f".{below}", lambda mark, f=fill: [f(mark)] if each.is_repeated else f(mark)


def _pairs(value: FieldDescriptor, depth: int) -> Iterator[tuple[str, Callable[[str], Any]]]:
    """Yield each text that a map can hold, its keys included."""
    if value.type == value.TYPE_DOUBLE:
        yield " key", lambda mark: {mark: 1}
    for below, fill in _texts(value, depth - 1):
        yield f" pair{below}", lambda mark, f=fill: {"colour": f(mark), mark: f(mark)}


def merged(base: Any, part: Any) -> Any:
    """Return a request as JSON with a part of another put into it, at any depth."""
    if isinstance(base, dict) and isinstance(part, dict):
        return base | {name: merged(base.get(name), value) for name, value in part.items()}
    return [merged(base[0], part[0])] if base and isinstance(base, list) and isinstance(part, list) else part


def picture(*, damaged: bool = False) -> bytes:
    """Return a JPEG with marks in its comment, its EXIF and behind its end."""
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[270] = PICTURE.decode()
    Image.effect_noise((64, 64), 80).convert("RGB").save(buffer, "JPEG", comment=PICTURE, exif=exif)
    return buffer.getvalue()[: buffer.tell() // 2] if damaged else buffer.getvalue() + PICTURE


@asynccontextmanager
async def process(room: str, log: Path, **settings: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a room with these settings, its log in a file; it is ended in its own way."""
    prefix = room.upper()
    env = {name: value for name, value in os.environ.items() if not name.startswith(f"{prefix}_")}
    env |= {f"{prefix}_{name.upper()}": value for name, value in settings.items()}
    with log.open("wb") as output:
        running = await asyncio.create_subprocess_exec(
            sys.executable, "-m", room, cwd=ROOT, env=env, stdout=output, stderr=output
        )
    try:
        yield running
    finally:
        if running.returncode is None:
            running.terminate()
        await running.wait()


async def attempt(call: Any) -> None:
    """Await a call, however it ends."""
    with suppress(aio.AioRpcError, aiohttp.ClientError, TimeoutError):
        await call


async def turn(stub: Any, request: search_pb2.ConverseRequest) -> list[Any]:
    """Take one turn, however it ends, and return its events."""
    with suppress(aio.AioRpcError):
        return [event async for event in stub.Converse(request, timeout=CALL_S, metadata=HEADERS)]
    return []


async def say_everything(channel: aio.Channel, marks: Marks) -> set[str]:
    """Put a mark into each text of each request of the gateway that a shopper's words reach; return session ids."""
    search = search_pb2_grpc.SearchServiceStub(channel)
    sessions: set[str] = set()
    for place, fill in fragments(search_pb2.SearchRequest.DESCRIPTOR):
        for base in ({"text": "red dress", "rewrite": "REWRITE_MODE_AUTO"}, {}):
            request = ParseDict(base | fill(marks.new(f"Search {place}")), search_pb2.SearchRequest())
            await attempt(search.Search(request, timeout=CALL_S, metadata=HEADERS))
    for place, fill in fragments(search_pb2.ConverseRequest.DESCRIPTOR):
        for said in (TALK if place.startswith("history") else {"text": "like it, not red"}, {}):
            part = fill(marks.new(f"Converse {place}"))
            for event in await turn(search, ParseDict(merged(said, part), search_pb2.ConverseRequest())):
                sessions.add(event.session_id)
    product = catalogue_pb2.GetProductRequest(product_id=marks.new("GetProduct"))
    catalogue = catalogue_pb2_grpc.CatalogueServiceStub(channel)
    await attempt(catalogue.GetProduct(product, timeout=CALL_S, metadata=HEADERS))
    await converse_for_long(search, marks, sessions)
    return sessions - {""}


async def converse_for_long(search: Any, marks: Marks, sessions: set[str]) -> None:
    """Hold a conversation with words, pictures and complaints, that others try to enter."""
    session, user = "", marks.new("user")
    for text in ("i hate {}", "a {} dress", "not {}, another", "show me more", "compare the first two, {}"):
        said = text.format(marks.new(f"conversation: {text}"))
        for image in (None, picture()):
            request = search_pb2.ConverseRequest(session_id=session, text=said, user_id=user, image=image)
            for event in await turn(search, request):
                session = event.session_id or session
    sessions.add(session)
    stranger = search_pb2.ConverseRequest(session_id=session, text="red", user_id=marks.new("stranger"))
    await turn(search, stranger)


async def fail_in_every_way(channel: aio.Channel, marks: Marks) -> None:
    """End calls early, late, malformed, by the wrong method, without a token and with damaged pictures."""
    search = search_pb2_grpc.SearchServiceStub(channel)

    def asked(text: str) -> search_pb2.SearchRequest:
        return search_pb2.SearchRequest(text=text, rewrite=search_pb2.REWRITE_MODE_AUTO)

    for image in (picture(), picture(damaged=True), PICTURE, b"\xff\xd8\xff" + PICTURE):
        for text in ("", marks.new("words beside a picture")):
            await attempt(
                search.Search(
                    search_pb2.SearchRequest(text=text, image=image), timeout=CALL_S, metadata=HEADERS
                )
            )
    for seconds in (0.0, 0.002, 0.02, 0.1):
        await attempt(search.Search(asked(marks.new("late")), timeout=seconds, metadata=HEADERS))
        call = search.Search(asked(marks.new("hung up")), timeout=CALL_S, metadata=HEADERS)
        await asyncio.sleep(seconds)
        call.cancel()
    await attempt(search.Search(asked(marks.new("too long") * 500), timeout=CALL_S, metadata=HEADERS))
    stolen = f"vitrine.{marks.new('the name in a token')}.{'zqmarksecret' * 4}"[:-5]
    for metadata in (
        (),
        (("authorization", f"Bearer {stolen}"),),
        (("authorization", f"Bearer {marks.new('token')}"),),
        (("authorization", f"Basic {marks.new('basic')}"),),
        (*HEADERS, ("x-request-id", f"{marks.new('id')} !")),
        (*HEADERS, ("traceparent", marks.new("context")), ("tracestate", f"a={marks.new('state')}")),
        (*HEADERS, ("baggage", f"words={marks.new('baggage')}"), ("x-other", marks.new("metadata"))),
    ):
        await attempt(search.Search(asked("red"), timeout=CALL_S, metadata=metadata))


async def break_every_rule(channel: aio.Channel, marks: Marks) -> None:
    """Send what is no message, to methods and to what is none."""
    raw = [b"\x0a\xff", b"\x0a\x10\xff\xfe", b"\xa8\x06\x01" * 1_000 + b"\x0a\x14\xff"]
    for method in ("/vitrine.v1.SearchService/Search", "/vitrine.v1.SearchService/Converse"):
        for data in raw:
            call: Any = channel.unary_unary(method)
            await attempt(call(data + marks.new("malformed").encode(), timeout=CALL_S, metadata=HEADERS))
    for path in ("/{}", "/a/{}/c", "/vitrine.v1.SearchService/{}", "/{}/Search"):
        call = channel.unary_unary(path.format(marks.new(f"method {path}")))
        await attempt(call(marks.new("to no method").encode(), timeout=CALL_S, metadata=HEADERS))


async def read_everything(address: str, marks: Marks, texts: int) -> None:
    """Put a mark into each text of a request of the rewriter, up to so many."""
    async with aio.insecure_channel(address) as channel:
        stub = rewrite_pb2_grpc.RewriteServiceStub(channel)
        places = list(fragments(rewrite_pb2.RewriteRequest.DESCRIPTOR, depth=4))[:texts]
        for place, fill in places:
            for base in ({"text": "hate it, cheaper"}, {}):
                request = ParseDict(base | fill(marks.new(f"Rewrite {place}")), rewrite_pb2.RewriteRequest())
                await attempt(stub.Rewrite(request, timeout=CALL_S, wait_for_ready=True))


@asynccontextmanager
async def talkative_model() -> AsyncIterator[str]:
    """Serve chat completions that repeat the prompt, each time in another form that is none of the right ones."""
    asked = count()

    async def answer(request: web.Request) -> web.Response:
        prompt, number = await request.text(), next(asked)
        content = (
            prompt if number % 2 else '{"route": "' + "".join(re.findall(r"zqmark\d+x", prompt)[:3]) + '"}'
        )
        if number % 4 > 1:
            return web.Response(status=200 if number % 2 else 500, text=prompt)
        return web.json_response({"choices": [{"message": {"content": content}}]})

    application = web.Application()
    application.router.add_post("/v1/chat/completions", answer)
    async with TestServer(application) as server:
        yield str(server.make_url("/v1"))


async def browse(address: str, marks: Marks) -> None:
    """Ask the page for everything, with marks in paths, headers, forms and methods."""
    async with aiohttp.ClientSession(f"http://{address}") as page:
        for path in ("/search", "/converse"):
            for request in ('{{"text": "{}"}}', '{{"{}": 1}}', "{}", '{{"limit": "{}"}}'):
                form = aiohttp.FormData(default_to_multipart=True)
                form.add_field("request", request.format(marks.new(f"page {path} {request}")))
                form.add_field("image", io.BytesIO(picture()), filename=marks.new("file name"))
                async with page.post(path, data=form) as response:
                    await response.read()
        for path in ("/{}", "/products/{}/picture", "/products/p/picture?index={}", "/?q={}"):
            async with page.get(
                path.format(marks.new(f"page {path}")), headers={"Cookie": marks.new("cookie")}
            ) as response:
                await response.read()
        for headers in (
            {"Host": marks.new("host")},
            {"Origin": f"http://{marks.new('origin')}"},
            {"Origin": "http://["},
        ):
            await attempt(page.get("/", headers=headers))
    for line in ("GET /{} HTTP/9.9", "{} / HTTP/1.1", "GET / HTTP/1.1\r\n{}"):
        reader, writer = await asyncio.open_connection(*address.split(":"))
        writer.write(f"{line.format(marks.new(f'raw {line!r}'))}\r\n\r\n".encode())
        await asyncio.wait_for(reader.read(10_000), CALL_S)
        writer.close()


async def metrics(*addresses: str) -> str:
    """Return pages of metrics."""
    async with aiohttp.ClientSession() as session:
        return "".join([await (await session.get(f"http://{each}/metrics")).text() for each in addresses])


async def serving(address: str) -> None:
    """Wait until somebody listens."""
    host, port = address.split(":")
    async with asyncio.timeout(60):
        while True:
            try:
                _, writer = await asyncio.open_connection(host, int(port))
            except OSError:
                await asyncio.sleep(0.1)
            else:
                writer.close()
                return


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """A gateway, its rewriter, a rewriter before a talkative model, and the page: their addresses and logs."""

    gateway: str
    gateway_metrics: str
    rewriter: str
    rewriter_metrics: str
    chat: str
    storefront: str
    logs: dict[str, Path]
    reads: asyncio.subprocess.Process


@asynccontextmanager
async def services(stack: Any, endpoint: str, folder: Path) -> AsyncIterator[Services]:
    """Run the services at level debug, with spans to the endpoint and the page as the one caller that is known."""
    names = ("gateway", "gateway_metrics", "rewriter", "rewriter_metrics", "chat", "storefront")
    at = {name: free_address() for name in names}
    logs = {name: folder / f"{name}.log" for name in ("gateway", "rewriter", "storefront", "chat")}
    entry = f'scopes = ["search", "catalogue"]\n[[callers.page.tokens]]\nsha256 = "{digest(TOKEN)}"\n'
    (folder / "callers.toml").write_text(f"[callers.page]\n{entry}")
    (folder / "token").write_text(TOKEN)
    debug = {"traces": endpoint, "drain_s": "0", "log_level": "debug"}
    budgets = {f"{use}_budget{end}_ms": "5000" for use in ("rewrite", "converse") for end in ("", "_floor")}
    async with AsyncExitStack() as running:
        model = await running.enter_async_context(talkative_model())
        rooms = {
            "rewriter": debug | {"listen": at["rewriter"], "metrics_listen": at["rewriter_metrics"]},
            "chat": debug | {"listen": at["chat"], "engine": "openai", "openai_url": model, "openai_model": "m"},
            "gateway": debug | budgets | {
                "listen": at["gateway"], "metrics_listen": at["gateway_metrics"], "rewriter": at["rewriter"],
                "triton": stack.triton, "milvus": stack.milvus, "callers": str(folder / "callers.toml"),
            },
            "storefront": {
                "traces": endpoint, "listen": at["storefront"], "gateway": at["gateway"],
                "pictures": str(stack.catalogue), "gateway_token_file": str(folder / "token"),
            },
        }  # fmt: skip
        started = {
            name: await running.enter_async_context(
                process("rewriter" if name == "chat" else name, logs[name], **settings)
            )
            for name, settings in rooms.items()
        }
        for name in rooms:
            await serving(at[name])
        yield Services(**at, logs=logs, reads=started["rewriter"])


@pytest.mark.timeout(900)
async def test_no_word_picture_token_or_history_leaves_by_a_log_metric_or_span(
    stack: Any, collector: Any, tmp_path: Path
) -> None:
    """Nothing that was marked is found, though every call left its line and its span."""
    marks = Marks()
    engines = {name: stack.settings.log(name) for name in ("triton", "milvus")}
    before = {name: len(log.read_bytes()) for name, log in engines.items()}
    async with (
        services(stack, collector.endpoint, tmp_path) as own,
        aio.insecure_channel(own.gateway) as channel,
    ):
        sessions = await say_everything(channel, marks)
        await fail_in_every_way(channel, marks)
        await break_every_rule(channel, marks)
        await browse(own.storefront, marks)
        await read_everything(own.rewriter, marks, texts=100)
        await read_everything(own.chat, marks, texts=12)
        pages = await metrics(own.gateway_metrics, own.rewriter_metrics)
        own.reads.kill()
        lost = search_pb2.SearchRequest(text=marks.new("degraded"), rewrite=search_pb2.REWRITE_MODE_AUTO)
        search = search_pb2_grpc.SearchServiceStub(channel)
        answer = await search.Search(lost, timeout=CALL_S, metadata=HEADERS)
        pages += await metrics(own.gateway_metrics)
    assert "rewrite" in answer.degraded
    written = {name: log.read_text(encoding="utf-8", errors="replace") for name, log in own.logs.items()}
    for name, log in engines.items():
        written[name] = log.read_bytes()[before[name] :].decode(errors="replace")
    written |= {"metrics": pages, "spans": b"\n".join(collector.payloads).decode(errors="replace")}
    assert {name: marks.found_in(text) for name, text in written.items()} == {name: set() for name in written}
    secrets = {TOKEN, TOKEN.rpartition(".")[2], "zqmarkpicture", "zqmarksecret", *sessions}
    secrets |= {base64.b64encode(PICTURE)[2:40].decode(), PICTURE.hex()[:60]}
    assert {(name, each) for name, text in written.items() for each in secrets if each in text} == set()
    assert len(sessions) > 1
    assert written["gateway"].count('"event":"call"') > 100
    assert '"event": "engine_failed"' in written["chat"]
    rooms = {span.service for span in collector.spans()}
    assert rooms == {"vitrine-gateway", "vitrine-rewriter", "vitrine-storefront"}
