"""The bridge's endpoints: each is one call to the gateway, or a file of the page."""

import asyncio
import hashlib
import json
import mimetypes
from collections.abc import MutableMapping
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import ETag, web
from cachetools import TTLCache
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from storefront.forms import read_form, read_message
from storefront.problems import Refused, problem
from storefront.settings import Settings
from vitrine.client import VitrineClient, VitrineError
from vitrine.domain import limits
from vitrine.picture_files import read_picture
from vitrine.v1.feedback_pb2 import RecordRequest
from vitrine.v1.query_pb2 import Product
from vitrine.v1.recommend_pb2 import RecommendRequest
from vitrine.v1.search_pb2 import (
    ConverseRequest,
    ConverseResponse,
    RecommendResponse,
    SearchRequest,
    SearchResponse,
)

PAGE = Path(__file__).parent / "page"

MAX_KNOWN_PICTURES = 10_000
KNOWN_PICTURES_S = 1.0
"""For so long a picture is shown without asking whether its product is still there; the page asks for all at once."""

_MEDIA_TYPES = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}
_NEVER_STALE = {"Cache-Control": "no-cache"}
_ASK_AGAIN = {"Cache-Control": "private, no-cache"}
"""The browser keeps it and asks each time whether it may show it: of a deleted product it may not."""


def _known_pictures() -> MutableMapping[str, tuple[str, ...]]:
    return TTLCache(MAX_KNOWN_PICTURES, KNOWN_PICTURES_S)


@dataclass(frozen=True, slots=True)
class Bridge:
    """Answers the page's requests from the gateway."""

    client: VitrineClient
    settings: Settings
    known_pictures: MutableMapping[str, tuple[str, ...]] = field(default_factory=_known_pictures)
    """Where the pictures of products shown lately lie, by product id: the browser asks for each of them at once."""

    async def converse(self, request: web.Request) -> web.StreamResponse:
        """Take one turn; the answer is a line of JSON an event, as the events come.

        An error after the first event is the last line.
        """
        turn = await read_form(request, ConverseRequest(), timeout_s=self.settings.upload_timeout_s)
        async with aclosing(self.client.converse(turn)) as events:
            first = await anext(events)  # a turn that is refused is answered with a status of its own
            response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson", **_NEVER_STALE})
            await response.prepare(request)
            await response.write(self._line(first))
            try:
                async for event in events:
                    await response.write(self._line(event))
            except VitrineError as error:
                await response.write(_encode(problem(error)) + b"\n")
        return response

    async def search(self, request: web.Request) -> web.Response:
        """Answer one query."""
        query = await read_form(request, SearchRequest(), timeout_s=self.settings.upload_timeout_s)
        answer = await self.client.search(query)
        self._note_pictures(answer)
        return web.Response(body=_encode(_as_json(answer)), content_type="application/json")

    async def recommend(self, request: web.Request) -> web.Response:
        """Recommend products without a query."""
        asked = await read_message(request, RecommendRequest(), timeout_s=self.settings.upload_timeout_s)
        answer = await self.client.recommend(asked)
        self._note_pictures(answer)
        return web.Response(body=_encode(_as_json(answer)), content_type="application/json")

    async def record(self, request: web.Request) -> web.Response:
        """Record what was done with products."""
        message = await read_message(request, RecordRequest(), timeout_s=self.settings.upload_timeout_s)
        answer = await self.client.record(message.events)
        return web.Response(body=_encode(_as_json(answer)), content_type="application/json")

    async def describe(self, _: web.Request) -> web.Response:
        """Describe what the index holds, and the schema of the catalogue."""
        answer = await self.client.describe()
        return web.Response(body=_encode(_as_json(answer)), content_type="application/json")

    async def picture(self, request: web.Request) -> web.Response:
        """Send one of the pictures of a product of the index: the first one, or that of `?index=`, from 0."""
        product_id = request.match_info["product_id"]
        index = _picture_index(request.query.get("index", "0"))
        uris = self.known_pictures.get(product_id)
        if uris is None or 0 < len(uris) <= index:
            uris = _uris_of((await self.client.get_product(product_id)).product)
            self.known_pictures[product_id] = uris
        uri = uris[index] if index < len(uris) else ""
        picture = await asyncio.to_thread(read_picture, uri, self.settings.pictures)
        if picture is None:
            raise Refused(404, "the product has no picture here", field="product_id")
        tag = ETag(hashlib.sha256(picture.data).hexdigest())
        if tag in (request.if_none_match or ()):
            response = web.Response(status=304, headers=_ASK_AGAIN)
        else:
            media_type = _MEDIA_TYPES[picture.format]
            response = web.Response(body=picture.data, content_type=media_type, headers=_ASK_AGAIN)
        response.etag = tag
        return response

    async def health(self, _: web.Request) -> web.Response:
        """Answer 200 where the gateway is well, else 503."""
        status = await self.client.health()
        return web.json_response({"gateway": status}, status=200 if status == "SERVING" else 503)

    def _line(self, event: ConverseResponse) -> bytes:
        self._note_pictures(event.result)
        for product in event.comparison.products:
            self._note_picture(product.id, product)
        return _encode(_as_json(event)) + b"\n"

    def _note_pictures(self, answer: SearchResponse | RecommendResponse) -> None:
        """Remember where the pictures lie, and take it out of the answer: the server's paths are its own."""
        for hit in answer.hits:
            self._note_picture(hit.product_id, hit.product)

    def _note_picture(self, product_id: str, product: Product) -> None:
        if uris := _uris_of(product):
            self.known_pictures[product_id] = uris
            product.ClearField("image_uri")
            product.ClearField("image_uris")


def page_routes() -> list[web.RouteDef]:
    """Return a route for each file of the page; they are read once, so no request names a path."""
    routes = [_page_route(f"/{path.name}", path) for path in sorted(PAGE.iterdir())]
    return [_page_route("/", PAGE / "index.html"), *routes]


def _page_route(url: str, path: Path) -> web.RouteDef:
    body = path.read_bytes()
    media_type = mimetypes.guess_type(path.name)[0]

    async def file(_: web.Request) -> web.Response:
        return web.Response(body=body, content_type=media_type, charset="utf-8", headers=_NEVER_STALE)

    return web.get(url, file)


def _picture_index(text: str) -> int:
    digits = text.isascii() and text.isdecimal() and len(text) <= len(str(limits.MAX_PICTURES))
    if not digits or int(text) >= limits.MAX_PICTURES:
        raise Refused(400, f"must be from 0 to {limits.MAX_PICTURES - 1}", field="index")
    return int(text)


def _uris_of(product: Product) -> tuple[str, ...]:
    return tuple(product.image_uris) or ((product.image_uri,) if product.image_uri else ())


def _as_json(message: Message) -> dict[str, Any]:
    return MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)


def _encode(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
