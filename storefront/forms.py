"""Requests of the page: multipart forms with a proto in JSON, and a picture and a recording beside it.

part "request"   a vitrine.v1.SearchRequest, ConverseRequest, RecommendRequest or RecordRequest in protobuf's JSON mapping
part "image"     the picture, encoded; optional
part "audio"     what was said, encoded; optional
"""

import asyncio
from collections.abc import Iterator
from email.message import Message
from typing import TypeVar

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.multipart import parse_content_disposition
from google.protobuf import json_format

from storefront.problems import Refused
from vitrine.domain.limits import MAX_AUDIO_BYTES
from vitrine.preprocess import MAX_IMAGE_BYTES
from vitrine.v1.feedback_pb2 import RecordRequest
from vitrine.v1.recommend_pb2 import RecommendRequest
from vitrine.v1.search_pb2 import ConverseRequest, SearchRequest

MAX_REQUEST_BYTES = 256_000
"""Of the part "request"; filters and histories within the gateway's limits fit."""

MAX_BODY_BYTES = MAX_IMAGE_BYTES + MAX_AUDIO_BYTES + MAX_REQUEST_BYTES + 4_096
"""Of the whole form; the rest is for the parts' headers."""

MAX_PARTS = 4
"""That a form is split into; three of them may be right."""

MAX_PART_HEAD_BYTES = 1_024
MAX_BOUNDARY_BYTES = 70

GRACE_S = 3.0
MIN_BYTES_PER_S = 16_000
"""How fast a form must come after the first seconds: one that trickles holds a place that others want."""

_LIMITS = {"request": MAX_REQUEST_BYTES, "image": MAX_IMAGE_BYTES, "audio": MAX_AUDIO_BYTES}

_Request = TypeVar("_Request", SearchRequest, ConverseRequest)
_Alone = TypeVar("_Alone", RecommendRequest, RecordRequest)
_Message = TypeVar("_Message", SearchRequest, ConverseRequest, RecommendRequest, RecordRequest)


async def read_form(request: web.Request, empty: _Request, *, timeout_s: float) -> _Request:
    """Fill the empty message from the form.

    Raises:
        Refused: the form is not one, a part is too large or no message, or it came too slowly.
    """
    parts = await _read_in_time(request, timeout_s)
    message = _parse(parts.get("request", b""), empty)
    if "image" in parts:
        message.image = parts["image"]
    if "audio" in parts:
        message.audio = parts["audio"]
    return message


async def read_message(request: web.Request, empty: _Alone, *, timeout_s: float) -> _Alone:
    """Fill the empty message from a form that has nothing else; raises Refused, as `read_form` does, and for a picture or a sound."""
    parts = await _read_in_time(request, timeout_s)
    if others := sorted(parts.keys() - {"request"}):
        raise Refused(400, "has no place here", field=others[0])
    return _parse(parts.get("request", b""), empty)


async def _read_in_time(request: web.Request, timeout_s: float) -> dict[str, bytes]:
    try:
        async with asyncio.timeout(timeout_s), asyncio.timeout(GRACE_S) as pace:
            return await _read_parts(request, _Pace(pace))
    except TimeoutError:
        slow = f"the request did not arrive within {timeout_s:g} s, or at {MIN_BYTES_PER_S:,} bytes a second"
        raise Refused(408, slow) from None


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
    if not _is_multipart(request.headers.get("Content-Type", "")):
        raise Refused(415, "must be a multipart form")
    if (request.content_length or 0) > MAX_BODY_BYTES:
        raise _too_large("image", MAX_IMAGE_BYTES)
    boundary = _boundary(request.headers["Content-Type"])
    body = await _read_body(request, pace)
    parts: dict[str, bytes] = {}
    for name, data in _split(body, b"--" + boundary):
        if name not in _LIMITS or name in parts:
            known = 'has one "request", at most one "image" and one "audio", and no other part'
            raise Refused(400, known, field=name)
        if len(data) > _LIMITS[name]:
            raise _too_large(name, _LIMITS[name])
        parts[name] = data
    return parts


async def _read_body(request: web.Request, pace: _Pace) -> bytes:
    body = bytearray()
    try:
        async for chunk in request.content.iter_any():
            body += chunk
            pace.arrived(len(chunk))
            if len(body) > MAX_BODY_BYTES:
                raise _too_large("image", MAX_IMAGE_BYTES)
    except (ValueError, HttpProcessingError, web.RequestPayloadError) as error:
        raise _malformed() from error
    return bytes(body)


def _is_multipart(content_type: str) -> bool:
    """Whether the header names a multipart form; the library's own reading of it raises on some that are none."""
    return content_type.partition(";")[0].strip().lower() == "multipart/form-data"


def _boundary(content_type: str) -> bytes:
    header = Message()
    header["Content-Type"] = content_type
    try:
        boundary = (header.get_boundary() or "").encode("ascii")
    except (ValueError, LookupError, TypeError):
        boundary = b""
    if not 1 <= len(boundary) <= MAX_BOUNDARY_BYTES:
        raise _malformed()
    return boundary


def _split(body: bytes, delimiter: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each part (RFC 7578), at the cost of one search for each and not of a line at a time."""
    if not body.startswith(delimiter):
        raise _malformed()
    pieces = (b"\r\n" + body).split(b"\r\n" + delimiter, MAX_PARTS + 1)
    if len(pieces) > MAX_PARTS + 1 or not pieces[-1].startswith(b"--"):
        raise _malformed()
    for piece in pieces[1:-1]:
        if not piece.startswith(b"\r\n"):
            raise _malformed()
        head, found, data = piece[2:].partition(b"\r\n\r\n")
        if not found or len(head) > MAX_PART_HEAD_BYTES:
            raise _malformed()
        yield _name(head), data


def _name(head: bytes) -> str:
    """Return the name that a part's head gives it; empty where it gives none."""
    headers = (line.partition(":") for line in head.decode("latin-1").split("\r\n"))
    for name, _, value in headers:
        if name.strip().lower() == "content-disposition":
            try:
                kind, parameters = parse_content_disposition(value.strip())
            except LookupError:  # it trips over some that are none
                return ""
            return parameters.get("name", "") if kind == "form-data" else ""
    return ""


def _malformed() -> Refused:
    return Refused(400, "is no well-formed multipart form")


def _too_large(name: str, limit: int) -> Refused:
    return Refused(413, f"may have at most {limit:,} bytes", field=name)


def _parse(data: bytes, empty: _Message) -> _Message:
    try:
        return json_format.Parse(data, empty, max_recursion_depth=64)
    except (json_format.ParseError, ValueError) as error:
        raise Refused(400, f"is no {empty.DESCRIPTOR.full_name} in JSON", field="request") from error
