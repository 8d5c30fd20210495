"""Requests of the page: multipart forms with a proto in JSON, and a picture beside it.

part "request"   a vitrine.v1.SearchRequest or ConverseRequest in protobuf's JSON mapping
part "image"     the picture, encoded; optional
"""

import asyncio
from typing import TypeVar

from aiohttp import BodyPartReader, MultipartReader, web
from aiohttp.http_exceptions import HttpProcessingError
from google.protobuf import json_format

from storefront.problems import Refused
from vitrine.preprocess import MAX_IMAGE_BYTES
from vitrine.v1.search_pb2 import ConverseRequest, SearchRequest

MAX_REQUEST_BYTES = 256_000
"""Of the part "request"; filters and histories within the gateway's limits fit."""

MAX_BODY_BYTES = MAX_IMAGE_BYTES + MAX_REQUEST_BYTES + 4_096
"""Of the whole form; the rest is for the parts' headers."""

GRACE_S = 3.0
MIN_BYTES_PER_S = 16_000
"""How fast a form must come after the first seconds: one that trickles holds a place that others want."""

_LIMITS = {"request": MAX_REQUEST_BYTES, "image": MAX_IMAGE_BYTES}

_Request = TypeVar("_Request", SearchRequest, ConverseRequest)


async def read_form(request: web.Request, empty: _Request, *, timeout_s: float) -> _Request:
    """Fill the empty message from the form.

    Raises:
        Refused: the form is not one, a part is too large or no message, or it came too slowly.
    """
    try:
        async with asyncio.timeout(timeout_s), asyncio.timeout(GRACE_S) as pace:
            parts = await _read_parts(request, _Pace(pace))
    except TimeoutError:
        slow = f"the request did not arrive within {timeout_s:g} s, or at {MIN_BYTES_PER_S:,} bytes a second"
        raise Refused(408, slow) from None
    message = _parse(parts.get("request", b""), empty)
    if "image" in parts:
        message.image = parts["image"]
    return message


class _Pace:
    """Puts off the end of a form by the bytes of it that came."""

    def __init__(self, limit: asyncio.Timeout) -> None:
        self._limit = limit

    def arrived(self, size: int) -> None:
        """Count bytes."""
        until = self._limit.when()
        if until is not None and not self._limit.expired():
            self._limit.reschedule(until + size / MIN_BYTES_PER_S)


async def _read_parts(request: web.Request, pace: _Pace) -> dict[str, bytes]:
    if request.content_type != "multipart/form-data":
        raise Refused(415, "must be a multipart form")
    if (request.content_length or 0) > MAX_BODY_BYTES:
        raise _too_large("image", MAX_IMAGE_BYTES)
    parts: dict[str, bytes] = {}
    try:
        reader = await request.multipart()
        while (part := await reader.next()) is not None:
            name = part.name if isinstance(part, BodyPartReader) else None
            if isinstance(part, MultipartReader) or name not in _LIMITS or name in parts:
                raise Refused(
                    400, 'has one "request" and at most one "image", and no other part', field=name or ""
                )
            parts[name] = await _read_part(part, name, pace)
    except (ValueError, HttpProcessingError, web.RequestPayloadError) as error:
        raise Refused(400, "is no well-formed multipart form") from error
    return parts


async def _read_part(part: BodyPartReader, name: str, pace: _Pace) -> bytes:
    data = bytearray()
    while chunk := await part.read_chunk(65_536):
        data += chunk
        pace.arrived(len(chunk))
        if len(data) > _LIMITS[name]:
            raise _too_large(name, _LIMITS[name])
    return bytes(data)


def _too_large(name: str, limit: int) -> Refused:
    return Refused(413, f"may have at most {limit:,} bytes", field=name)


def _parse(data: bytes, empty: _Request) -> _Request:
    try:
        return json_format.Parse(data, empty, max_recursion_depth=64)
    except (json_format.ParseError, ValueError) as error:
        raise Refused(400, f"is no {empty.DESCRIPTOR.full_name} in JSON", field="request") from error
