"""Downloads of pictures into a folder, each once: what is there is not fetched again."""

import asyncio
import hashlib
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urljoin, urlsplit, urlunsplit

import httpcore

from catalogue.fetching.addresses import FetchError, PublicBackend
from vitrine.preprocess import MAX_IMAGE_BYTES, ImageRejected, inspect_image

_AGENT = b"vitrine-search (https://pypi.org/project/vitrine-search)"
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers that another try may turn into a picture."""
_NETWORK_ERRORS = (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError, TimeoutError)
_OK = 200
_URL_SAFE = "/%:@!$&'()*+,;=~-._?"


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchSettings:
    """How pictures are fetched, and with which limits."""

    cache: Path
    """The folder that keeps them, each under the digest of its URL."""
    allowed_hosts: frozenset[str] = frozenset()
    """Names of hosts whose addresses may be private."""
    concurrency: int = 8
    """Downloads at once."""
    connect_s: float = 5.0
    read_s: float = 15.0
    """Upper bound on the wait for the next bytes."""
    total_s: float = 60.0
    """Upper bound on one try at one picture, its redirects included."""
    max_bytes: int = MAX_IMAGE_BYTES
    redirects: int = 5
    attempts: int = 3
    pause_s: float = 0.5
    """Pause after the first try that failed; it doubles after each further one."""
    host_failures: int = 20
    """Pictures in a row that a host may fail to give, before it is asked no more."""


@dataclass(slots=True)
class FetchCounts:
    """What has been fetched so far."""

    fetched: int = 0
    cached: int = 0
    failed: int = 0
    bytes: int = 0


class _Passing(Exception):  # noqa: N818 - a reason to try again
    """The server may do better next time."""


@dataclass(slots=True)
class PictureFetcher:
    """Fetches pictures into the cache, a few at a time, and each URL once."""

    settings: FetchSettings
    pool: httpcore.AsyncConnectionPool
    slots: asyncio.Semaphore
    changed: Callable[[FetchCounts], None]
    counts: FetchCounts = field(default_factory=FetchCounts)
    _failures: Counter[str] = field(default_factory=Counter)
    """By host: pictures in a row that it failed to give."""
    _running: dict[str, "asyncio.Task[Path]"] = field(default_factory=dict)

    async def fetch(self, url: str) -> Path:
        """Return the file of a picture, fetched unless it is there; raises FetchError."""
        task = self._running.get(url)
        if task is None:
            task = self._running[url] = asyncio.create_task(self._fetch(url))
            task.add_done_callback(lambda _: self._running.pop(url, None))
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Cancel what is still running."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _fetch(self, url: str) -> Path:
        path = cached_path(self.settings.cache, url)
        try:
            if path.is_file():
                self.counts.cached += 1
            else:
                async with self.slots:
                    await self._download(url, path)
                self.counts.fetched += 1
                self.counts.bytes += path.stat().st_size
        except FetchError:
            self.counts.failed += 1
            raise
        finally:
            self.changed(self.counts)
        return path

    async def _download(self, url: str, path: Path) -> None:
        host = urlsplit(normalised_url(url)).hostname or ""
        if self._failures[host] >= self.settings.host_failures:
            raise FetchError(f"{host} failed {self._failures[host]} times in a row and is given up")
        for attempt in range(1, self.settings.attempts + 1):
            try:
                async with asyncio.timeout(self.settings.total_s):
                    data = await self._follow(url)
            except (_Passing, *_NETWORK_ERRORS) as error:
                if attempt == self.settings.attempts:
                    self._failures[host] += 1
                    reason = str(error) if isinstance(error, _Passing) else _network_reason(error)
                    raise FetchError(f"{reason}, tried {attempt} times") from error
                await asyncio.sleep(self.settings.pause_s * 2 ** (attempt - 1))
            else:
                self._failures.pop(host, None)
                _save(data, path)
                return

    async def _follow(self, url: str) -> bytes:
        """Return the bytes at a URL, or at the one that it is redirected to; each is checked by itself."""
        for _ in range(self.settings.redirects + 1):
            redirected = await self._request(normalised_url(url))
            if isinstance(redirected, bytes):
                return redirected
            url = urljoin(url, redirected)
        raise FetchError(f"is redirected more than {self.settings.redirects} times")

    async def _request(self, url: str) -> bytes | str:
        """Return the picture's bytes, or where it is to be had instead."""
        settings = self.settings
        times = {
            "connect": settings.connect_s,
            "read": settings.read_s,
            "write": settings.read_s,
            "pool": settings.total_s,
        }
        headers = [
            (b"Host", urlsplit(url).netloc.encode()),
            (b"User-Agent", _AGENT),
            (b"Accept", b"image/jpeg, image/png, image/webp"),
            (b"Accept-Encoding", b"identity"),
        ]
        async with self.pool.stream("GET", url, headers=headers, extensions={"timeout": times}) as answer:
            said = {name.lower(): value for name, value in answer.headers}
            if answer.status in _REDIRECTS and b"location" in said:
                return said[b"location"].decode("utf-8", errors="replace")
            if answer.status in _PASSING:
                raise _Passing(f"the server answers {answer.status}")
            if answer.status != _OK:
                raise FetchError(f"the server answers {answer.status}")
            length = said.get(b"content-length", b"")
            if length.isdigit() and int(length) > settings.max_bytes:
                raise FetchError(f"has {int(length):,} bytes; the limit is {settings.max_bytes:,}")
            return await self._read(answer)

    async def _read(self, answer: httpcore.Response) -> bytes:
        data = bytearray()
        async for chunk in answer.aiter_stream():
            data += chunk
            if len(data) > self.settings.max_bytes:
                raise FetchError(f"has over {self.settings.max_bytes:,} bytes")
        try:
            inspect_image(bytes(data))
        except ImageRejected as error:
            raise FetchError(error.reason) from error
        return bytes(data)


@asynccontextmanager
async def open_fetcher(
    settings: FetchSettings, changed: Callable[[FetchCounts], None] = lambda _: None
) -> AsyncIterator[PictureFetcher]:
    """Open a fetcher; `changed` learns what has been fetched."""
    settings.cache.mkdir(parents=True, exist_ok=True)
    async with httpcore.AsyncConnectionPool(
        max_connections=settings.concurrency,
        keepalive_expiry=settings.read_s,
        network_backend=PublicBackend(settings.allowed_hosts),
    ) as pool:
        fetcher = PictureFetcher(settings, pool, asyncio.Semaphore(settings.concurrency), changed)
        try:
            yield fetcher
        finally:
            await fetcher.close()


def cached_path(cache: Path, url: str) -> Path:
    """Return the file that keeps the picture of a URL."""
    digest = hashlib.sha256(url.encode("utf-8", errors="surrogatepass")).hexdigest()
    return cache / digest[:2] / digest


def normalised_url(url: str) -> str:
    """Return a URL as it is sent: its host in ASCII, its path quoted.

    Raises:
        FetchError: it is no URL of http or https, or names a user.
    """
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
        if parts.scheme.lower() not in {"http", "https"} or not host:
            raise FetchError("is no URL of http or https")
        name = host if ":" in host else host.encode("idna").decode()
    except ValueError as error:
        raise FetchError("is no URL that can be read") from error
    if "@" in parts.netloc:
        raise FetchError("names a user, which pictures need not")
    place = f"[{name}]" if ":" in name else name
    netloc = place if port is None else f"{place}:{port}"
    path = quote(parts.path or "/", safe=_URL_SAFE, errors="replace")
    return urlunsplit(
        (parts.scheme.lower(), netloc, path, quote(parts.query, safe=_URL_SAFE, errors="replace"), "")
    )


def _save(data: bytes, path: Path) -> None:
    """Write a file whole or not at all: what a killed process leaves has another name."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(data)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise FetchError(f"cannot be kept: {error.strerror}") from error


def _network_reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError | httpcore.TimeoutException):
        return "the server is too slow"
    return "the connection breaks off" if isinstance(error, httpcore.ProtocolError) else "no connection"
