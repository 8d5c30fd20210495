"""Captions of pictures by an OpenAI-compatible vision server, a few at a time, each picture once.

The server is asked by the command line, never by the service, and is sent a product's first picture alone. What it says is
untrusted: it is cut to one line, and a caption with an address or markup in it is none.
"""

import asyncio
import base64
import hashlib
import json
import os
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from vitrine.domain import limits
from vitrine.preprocess import ImageRejected, inspect_image
from vitrine.v1 import catalogue_pb2

PROMPT = (
    "Describe the product in this picture in one short sentence: what it is, its colour, pattern, material and form."
    " Name no brand, price or person. Answer with the sentence alone."
)
MAX_ANSWER_BYTES = 64 * 1024
MAX_TOKENS = 120
KEY_VARIABLE = "VITRINE_CAPTIONS_KEY"
"""Of the environment; on no command line, where others could read it."""

_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
_ADDRESSES = ("://", "www.", "@", "<", ">")
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class CaptionError(Exception):
    """A caption cannot be had; the message says why."""


class _Passing(Exception):  # noqa: N818 - a reason to try again
    """The server may do better next time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionSettings:
    """Which server writes captions, and within which limits."""

    url: str
    """Where its API begins, such as http://127.0.0.1:8000/v1."""
    model: str
    key: str = field(default="", repr=False)
    cache: Path
    """The folder that keeps captions, each under the digest of its picture and the model."""
    concurrency: int = 4
    """Pictures that the server has at once."""
    total_s: float = 60.0
    """Upper bound on one try at one picture."""
    attempts: int = 3
    pause_s: float = 0.5
    """Pause after the first try that failed; it doubles after each further one."""
    failures: int = 5
    """Pictures in a row that the server may fail at, before it is asked no more."""

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc:
            raise CaptionError(
                "--captions-url must be a URL of http or https without a user, such as http://host:8000/v1"
            )
        if self.key and parts.scheme == "http" and parts.hostname not in _LOOPBACK:
            raise CaptionError(
                f"--captions-url must be https where {KEY_VARIABLE} goes with it, unless it is this machine's own"
            )
        if not 0 < len(self.model) <= limits.MAX_CAPTION_BY_LENGTH or not self.model.isprintable():
            raise CaptionError(
                f"--captions-model must have 1 to {limits.MAX_CAPTION_BY_LENGTH} printable characters"
            )


class CaptionWriter:
    """Asks the server for captions, and keeps them."""

    def __init__(self, settings: CaptionSettings, client: httpx.AsyncClient) -> None:
        self._settings = settings
        self._client = client
        self._slots = asyncio.Semaphore(settings.concurrency)
        self._failed = 0
        """Pictures in a row."""

    @property
    def model(self) -> str:
        """Return the name of the model that writes."""
        return self._settings.model

    async def caption(self, image: bytes) -> str:
        """Return the caption of a picture, written unless it is kept; raises CaptionError."""
        path = self._path(image)
        if path.is_file():
            return path.read_text(encoding="utf-8")
        async with self._slots:
            caption = await self._written(image)
        _save(caption, path)
        return caption

    async def _written(self, image: bytes) -> str:
        if self._failed >= self._settings.failures:
            raise CaptionError(f"the server failed {self._failed} times in a row and is given up")
        for attempt in range(1, self._settings.attempts + 1):
            try:
                async with asyncio.timeout(self._settings.total_s):
                    caption = read_caption(await self._ask(image))
            except (_Passing, httpx.HTTPError, TimeoutError) as error:
                if attempt == self._settings.attempts:
                    self._failed += 1
                    raise CaptionError(f"{_reason(error)}, tried {attempt} times") from error
                await asyncio.sleep(self._settings.pause_s * 2 ** (attempt - 1))
            except CaptionError:
                self._failed += 1
                raise
            else:
                self._failed = 0
                return caption
        raise AssertionError("the last attempt returns or raises")

    async def _ask(self, image: bytes) -> bytes:
        """Send the picture and read the answer, up to the limit."""
        body = {
            "model": self._settings.model,
            "messages": [{"role": "user", "content": _content(image)}],
            "temperature": 0,
            "max_tokens": MAX_TOKENS,
        }
        async with self._client.stream("POST", "chat/completions", json=body) as response:
            if response.status_code in _PASSING:
                raise _Passing(f"the server answers {response.status_code}")
            if response.status_code != httpx.codes.OK:
                raise CaptionError(f"the server answers {response.status_code}")
            answer = bytearray()
            async for chunk in response.aiter_bytes():
                answer += chunk
                if len(answer) > MAX_ANSWER_BYTES:
                    raise CaptionError(f"the answer has over {MAX_ANSWER_BYTES:,} bytes")
            return bytes(answer)

    def _path(self, image: bytes) -> Path:
        identity = hashlib.sha256(f"{self._settings.model}\n{PROMPT}\n".encode())
        identity.update(hashlib.sha256(image).digest())
        digest = identity.hexdigest()
        return self._settings.cache / digest[:2] / digest


@asynccontextmanager
async def open_captions(settings: CaptionSettings) -> AsyncIterator[CaptionWriter]:
    """Hold the connections to the server."""
    headers = {"Authorization": f"Bearer {settings.key}"} if settings.key else {}
    # No timeout of httpx: each try has one for all of it, and httpx would only bound the gaps between its parts.
    async with httpx.AsyncClient(
        base_url=settings.url,
        headers=headers,
        limits=httpx.Limits(max_connections=settings.concurrency),
        timeout=None,  # noqa: S113 - as said above
        trust_env=False,
    ) as client:
        yield CaptionWriter(settings, client)


async def captioned(
    products: AsyncGenerator[catalogue_pb2.ProductInput, None],
    writer: CaptionWriter,
    failed: Callable[[str], None],
    *,
    ahead: int = 8,
) -> AsyncGenerator[catalogue_pb2.ProductInput, None]:
    """Yield the products in order, those with a picture captioned; `failed` is told why one is not."""
    waiting: deque[tuple[catalogue_pb2.ProductInput, asyncio.Task[str]]] = deque()
    try:
        async for product in products:
            waiting.append((product, asyncio.create_task(_caption(product, writer, failed))))
            if len(waiting) >= ahead:
                yield await _first(waiting, writer.model)
        while waiting:
            yield await _first(waiting, writer.model)
    finally:
        for _, task in waiting:
            task.cancel()
        await asyncio.gather(*(task for _, task in waiting), return_exceptions=True)
        await products.aclose()


async def _first(
    waiting: deque[tuple[catalogue_pb2.ProductInput, asyncio.Task[str]]], model: str
) -> catalogue_pb2.ProductInput:
    """Take the first product with its caption."""
    product, task = waiting[0]
    caption = await task
    waiting.popleft()
    if caption:
        product.product.caption, product.product.caption_by = caption, model
    return product


async def _caption(
    product: catalogue_pb2.ProductInput, writer: CaptionWriter, failed: Callable[[str], None]
) -> str:
    if not product.image:
        return ""
    try:
        return await writer.caption(product.image)
    except CaptionError as error:
        failed(str(error))
        return ""


def read_caption(answer: bytes) -> str:
    """Take the caption out of the server's answer; raises CaptionError where there is none that may be shown."""
    try:
        body: Any = json.loads(answer)
    except ValueError:
        raise CaptionError("the answer is no JSON") from None
    match body:
        case {"choices": [{"finish_reason": "length"}, *_]}:
            raise CaptionError("the caption was cut off")
        case {"choices": [{"message": {"content": str(content)}}, *_]}:
            caption = " ".join("".join(c if c.isprintable() else " " for c in content).split())
        case _:
            raise CaptionError("the answer has no caption")
    if not 0 < len(caption) <= limits.MAX_CAPTION_LENGTH:
        raise CaptionError(
            f"a caption has 1 to {limits.MAX_CAPTION_LENGTH:,} characters, got {len(caption):,}"
        )
    if any(mark in caption for mark in _ADDRESSES):
        raise CaptionError("the caption holds an address or markup")
    return caption


def _content(image: bytes) -> list[dict[str, Any]]:
    """Return the parts of the message that asks for a caption."""
    try:
        kind = inspect_image(image).format.lower()
    except ImageRejected as error:
        raise CaptionError(error.reason) from error
    data = f"data:image/{kind};base64,{base64.b64encode(image).decode()}"
    return [{"type": "text", "text": PROMPT}, {"type": "image_url", "image_url": {"url": data}}]


def _save(caption: str, path: Path) -> None:
    """Write a file whole or not at all."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(caption, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise CaptionError(f"cannot be kept: {error.strerror}") from error


def _reason(error: BaseException) -> str:
    if isinstance(error, _Passing):
        return str(error)
    return "the server is too slow" if isinstance(error, TimeoutError) else "no connection to the server"
