"""What is fuzzed: each target takes bytes of anybody's making, and raises where the code below breaks its promise.

Refusals of the domain's own kind are answers; whatever else is raised is a fault.
"""

import asyncio
import base64
import json
import tempfile
import zlib
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from google.protobuf.message import DecodeError

from catalogue.readers.opening import open_catalogue
from catalogue.readers.rows import CatalogueError
from gateway.adapters.milvus.expression import filter_expression
from gateway.adapters.milvus.layout import Layout
from gateway.errors import SearchError
from gateway.model import IndexVersion
from gateway.retrieval.pages import page_of
from gateway.retrieval.query import Query, Versions
from rewriter.checks import InvalidRequest, check_request, violation
from rewriter.engines.rules.engine import Router
from tests.fuzz.served import Bridge, Gateway
from vitrine.audio_header import AudioRejected, inspect_audio
from vitrine.domain.errors import InvalidValue
from vitrine.domain.filters import check_limits, fitted, matches
from vitrine.domain.limits import MAX_AUDIO_S
from vitrine.domain.messages import filter_message, read_filter
from vitrine.domain.product import Product
from vitrine.domain.schema_files import shipped_schema
from vitrine.filter_text import FilterSyntaxError, format_filter, parse_filter
from vitrine.preprocess import ImageRejected, decode_image, inspect_image
from vitrine.tensors import EMBEDDING_DIM, IMAGE_SIZE
from vitrine.v1 import query_pb2, rewrite_pb2

Target = Callable[[bytes], None]

CATALOGUE_ENDINGS = (".csv", ".tsv", ".txt", ".jsonl", ".json", ".xml", ".parquet")
"""By the first byte of a case, what the file's name ends in."""

CALLS = ("Search", "Converse", "UpsertProducts", "DeleteProducts", "GetProduct", "Describe")
"""By the first byte of a case, which method is called with the rest."""

_MOST_ROWS = 10_000
_PNG = b"\x89PNG\r\n\x1a\n"
_T = TypeVar("_T")


def recording_header(data: bytes) -> None:
    """Judge a recording as the gateway's door does."""
    with suppress(AudioRejected):
        header = inspect_audio(data)
        assert header.seconds is None or header.seconds <= MAX_AUDIO_S


def picture_header(data: bytes) -> None:
    """Judge a picture as the gateway's door does."""
    with suppress(ImageRejected):
        header = inspect_image(data)
        assert header.width > 0
        assert header.height > 0


def picture(data: bytes) -> None:
    """Decode a picture as Triton does; a PNG with the checksums of its chunks mended, behind which decoders are."""
    with suppress(ImageRejected):
        pixels = decode_image(_with_checksums(data))
        assert pixels.shape == (IMAGE_SIZE, IMAGE_SIZE, 3)


def filters(data: bytes) -> None:
    """Read a filter, hold it against limits and schema, ask a product by it and write it for Milvus."""
    try:
        message = query_pb2.Filter.FromString(data)
    except DecodeError:
        return
    with suppress(InvalidValue):
        node = read_filter(message)
        check_limits(node)
        assert read_filter(filter_message(node)) == node
        node = fitted(node, shipped_schema())
        assert matches(node, _dress()) in {True, False}
        filter_expression(node, _layout()).encode()


def filter_text(data: bytes) -> None:
    """Read a filter as people write it; what is read and written is read as the same again."""
    with suppress(FilterSyntaxError):
        node = parse_filter(data.decode(errors="replace"))
        assert parse_filter(format_filter(node)) == node


def page_token(data: bytes) -> None:
    """Continue a search by a token; after a zero byte, by one that is made of the message that follows."""
    made = base64.urlsafe_b64encode(zlib.compress(data[1:])) if data[:1] == b"\0" else data
    with suppress(SearchError):
        page_of(
            Query(text="red dress", typed="red dress", page_token=made.decode(errors="replace")), versions()
        )


def rewriting(data: bytes) -> None:
    """Read a turn in the light of its history, as the rewriter does."""
    try:
        request = rewrite_pb2.RewriteRequest.FromString(data)
    except DecodeError:
        return
    with suppress(InvalidRequest):
        check_request(request)
        rewrite = _run(_router().rewrite(request, timeout_s=1.0))
        assert not violation(rewrite, request), violation(rewrite, request)


def catalogue(data: bytes) -> None:
    """Open a file as a catalogue and read every row of it."""
    ending = CATALOGUE_ENDINGS[data[0] % len(CATALOGUE_ENDINGS)] if data else ".csv"
    path = _folder() / f"products{ending}"
    path.write_bytes(data[1:])
    with suppress(CatalogueError):
        opened = open_catalogue(path)
        assert sum(1 for _ in opened.rows) <= _MOST_ROWS


def calls(data: bytes) -> None:
    """Call a gateway with the bytes for a request; whatever they are, it is never INTERNAL or UNKNOWN."""
    method = CALLS[data[0] % len(CALLS)] if data else CALLS[0]
    status = _run(_gateway().call(method, data[1:]))
    assert status not in {"INTERNAL", "UNKNOWN"}, f"{method}: {status}"


def forms(data: bytes) -> None:
    """Post a form to the page's bridge: its content type, its origin, and its body, a line for each of the first two."""
    content_type, _, rest = data.partition(b"\n")
    origin, _, body = rest.partition(b"\n")
    status, answer = _run(_bridge().post(_header(content_type), _header(origin), body))
    assert status < 500, status
    json.loads(answer)


TARGETS: dict[str, Target] = {
    "recording_header": recording_header,
    "picture_header": picture_header,
    "picture": picture,
    "filters": filters,
    "filter_text": filter_text,
    "page_token": page_token,
    "rewriting": rewriting,
    "catalogue": catalogue,
    "calls": calls,
    "forms": forms,
}
PLANTED = "planted"


def planted(data: bytes) -> None:
    """Break down at what a few mutations of its seed are: shows that faults are found and told."""
    assert data[:2] != b"ac", "planted"


@cache
def versions() -> Versions:
    """Return the versions of an index that page tokens are of."""
    return Versions(model="m", index="products_1", schema=shipped_schema())


def _run(answer: Coroutine[Any, Any, _T]) -> _T:
    return loop().run_until_complete(answer)


@cache
def loop() -> asyncio.AbstractEventLoop:
    """Return the one loop that everything asynchronous runs on."""
    return asyncio.new_event_loop()


def _with_checksums(data: bytes) -> bytes:
    if not data.startswith(_PNG):
        return data
    mended, offset = bytearray(data), len(_PNG)
    while offset + 12 <= len(data):
        end = offset + 8 + int.from_bytes(data[offset : offset + 4], "big")
        if end + 4 > len(data):
            break
        mended[end : end + 4] = zlib.crc32(data[offset + 4 : end]).to_bytes(4, "big")
        offset = end + 4
    return bytes(mended)


def _header(data: bytes) -> str:
    """Return a header's value without what aiohttp's parser refuses."""
    return data.decode(errors="replace").translate({0: None, 10: None, 13: None})


@cache
def _gateway() -> Gateway:
    return _run(Gateway.started())


@cache
def _bridge() -> Bridge:
    return _run(Bridge.started())


@cache
def _router() -> Router:
    return Router()


@cache
def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="vitrine-fuzz-"))


@cache
def _dress() -> Product:
    values = {"title": "red dress", "category": "dress", "colour": "red", "price": 10.0}
    return Product(id="1", values=values, attributes={}, image_uris=())


@cache
def _layout() -> Layout:
    version = IndexVersion(
        collection="products_1", manifest="m", embedding_dim=EMBEDDING_DIM, schema=shipped_schema()
    )
    return Layout(version=version, source="", created_with=shipped_schema())
