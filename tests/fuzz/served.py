"""A gateway over fakes and the page's bridge, for targets that need one whole."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Self

import grpc
from aiohttp import streams, web
from aiohttp.http import HttpVersion11, RawRequestMessage
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from gateway.testing.products import product
from gateway.testing.served import FakeRewriter, ServedGateway, serving
from rewriter.catalogues import schema_of
from rewriter.engines.rules.decide import decide
from rewriter.nlu.lexicon import LexiconCache
from storefront import bridge as storefront_bridge
from storefront.server import application
from storefront.settings import Settings
from vitrine.v1 import rewrite_pb2, search_pb2

_CALL_S = 30.0
_STREAMS = {"UpsertProducts": "stream", "Converse": "answers"}
_CATALOGUE = {"UpsertProducts", "DeleteProducts", "GetProduct", "Describe"}


def _identity(data: bytes) -> bytes:
    return data


@dataclass
class Gateway:
    """A gateway that serves over fakes in memory, with the rules as its rewriter."""

    _held: AsyncExitStack
    _served: ServedGateway
    _threaded: grpc.Channel

    @classmethod
    async def started(cls) -> Self:
        """Start one, which lasts as long as the process."""
        lexicons = LexiconCache()

        def answer(request: rewrite_pb2.RewriteRequest) -> rewrite_pb2.Rewrite:
            return decide(request, lexicons.get(request.facets, schema_of(request)))

        held = AsyncExitStack()
        products = [product(str(number), f"red dress {number}", price=float(number)) for number in range(12)]
        served = await held.enter_async_context(
            serving(products=products, rewriter=FakeRewriter(answer, version="rules"))
        )
        return cls(held, served, grpc.insecure_channel(served.address))

    async def call(self, method: str, data: bytes) -> str:
        """Call a method with bytes that may be no message; return the name of the status."""
        service = "CatalogueService" if method in _CATALOGUE else "SearchService"
        path = f"/vitrine.v1.{service}/{method}"
        codec = {"request_serializer": _identity, "response_deserializer": _identity}
        try:
            match _STREAMS.get(method):
                case "stream":
                    # The threaded stack keeps the status of a stream that is refused while it is being sent.
                    await asyncio.to_thread(
                        lambda: list(
                            self._threaded.stream_stream(path, **codec)(
                                iter(_messages(data)), timeout=_CALL_S
                            )
                        )
                    )
                case "answers":
                    call: Any = self._served.channel.unary_stream(path, **codec)(data, timeout=_CALL_S)
                    async for _ in call:
                        pass
                case _:
                    await self._served.channel.unary_unary(path, **codec)(data, timeout=_CALL_S)
        except grpc.RpcError as error:
            return str(error.code().name)
        return grpc.StatusCode.OK.name


def _messages(data: bytes) -> list[bytes]:
    """Return the messages of a stream: one a length of two bytes before it."""
    messages = []
    while data:
        length = int.from_bytes(data[:2], "big")
        messages.append(data[2 : 2 + length])
        data = data[2 + length :]
    return messages


class _Answering:
    """Stands in for the client of a gateway that finds nothing."""

    async def search(self, _: search_pb2.SearchRequest) -> search_pb2.SearchResponse:
        return search_pb2.SearchResponse()

    async def __aexit__(self, *_: object) -> None:
        return


@dataclass
class Bridge:
    """The page's application without a socket."""

    _app: web.Application

    @classmethod
    async def started(cls) -> Self:
        """Make one that reaches no gateway."""
        app = await application(Settings(hosts="localhost"))
        for resource in app.router.resources():
            for route in resource:
                handler: Any = route.handler
                owner = getattr(handler, "__self__", None)
                if isinstance(owner, storefront_bridge.Bridge):
                    await owner.client.__aexit__()
                    object.__setattr__(owner, "client", _Answering())
        app.freeze()
        return cls(app)

    async def post(self, content_type: str, origin: str, body: bytes) -> tuple[int, bytes]:
        """Post a body to /search; return the status and the answer."""
        loop = asyncio.get_running_loop()
        payload = streams.StreamReader(_PROTOCOL, limit=2**16, loop=loop)
        payload.feed_data(body)
        payload.feed_eof()
        headers = CIMultiDict({"Host": "localhost", "Content-Type": content_type, "Origin": origin})
        message = RawRequestMessage(
            "POST",
            "/search",
            HttpVersion11,
            CIMultiDictProxy(headers),
            raw_headers=(),
            should_close=False,
            compression=None,
            upgrade=False,
            chunked=False,
            url=URL("/search"),
        )
        nothing: Any = None
        request = web.Request(message, payload, _PROTOCOL, nothing, nothing, loop)
        response: Any = await self._app._handle(request)
        return response.status, response.body


_PROTOCOL: Any = SimpleNamespace(
    _reading_paused=False,
    resume_reading=lambda **_: None,
    pause_reading=lambda: None,
    ssl_context=None,
    peername=None,
    sockname=None,
    transport=None,
    max_field_size=8_190,
    max_headers=128,
    max_line_length=8_190,
)
"""Stands in for the connection of a request."""
