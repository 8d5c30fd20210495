"""`python -m vitrine.repository_fetch URL FOLDER`: a published model repository from an object store, proven and whole or not at all.

The SHA-256 of manifest.json is given, and manifest.json has that of every file: what was altered on the way or in the
store never serves. Files are written beside the folder and become it in one step; a run that was cut off goes on where
it stopped. Only what Python brings along is used: it runs in Triton's image, before Triton.
"""

import hashlib
import json
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from urllib.parse import quote, urlsplit

import click

from vitrine.repository import MANIFEST_FILE

_MANIFEST_BYTES = 10_000_000
_CHUNK_BYTES = 1 << 20
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers that another try may mend."""


class FetchFailed(Exception):  # noqa: N818 - read by people as a sentence
    """The repository could not be fetched; the message names the file and never the token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """Where a repository lies, and with which limits it is read."""

    url: str
    """Of the folder that holds manifest.json."""
    token: str = field(default="", repr=False)
    """A bearer's; goes to the host of the URL alone."""
    read_s: float = 30.0
    """Upper bound on the wait for the next bytes."""
    attempts: int = 4
    pause_s: float = 1.0
    """Pause after the first try that failed; it doubles after each further one."""

    def read(self, name: str) -> Iterator[bytes]:
        """Yield the bytes of a file; raises OSError, HTTPException or FetchFailed."""
        request = urllib.request.Request(f"{self.url.rstrip('/')}/{quote(name)}")  # noqa: S310 - http alone
        if self.token:
            # Not sent on to where a redirect leads.
            request.add_unredirected_header("Authorization", f"Bearer {self.token}")
        try:
            with urllib.request.urlopen(request, timeout=self.read_s) as answer:  # noqa: S310
                while chunk := answer.read(_CHUNK_BYTES):
                    yield chunk
                if answer.length:
                    raise HTTPException("the connection was cut off")
        except urllib.error.HTTPError as error:
            if error.code not in _PASSING:
                raise FetchFailed(f"{name}: the store answers {error.code} {error.reason}") from None
            raise


def fetch_repository(store: Store, folder: Path, *, sha256: str, max_bytes: int, timeout_s: float) -> None:
    """Fetch the repository of one manifest into a folder, which is there at the end with all its files, or not at all.

    Args:
        store: where it lies.
        folder: what is there already is whole, and is left as it is.
        sha256: that of manifest.json, in hexadecimal.
        max_bytes: upper bound on all files together.
        timeout_s: upper bound on the whole.

    Raises:
        FetchFailed: a file is not there, not what it should be, or not within the bounds.
    """
    if urlsplit(store.url).scheme not in {"http", "https"}:
        raise FetchFailed(f"{store.url}: not an http or https URL")
    if folder.exists():
        return
    fetching = _Fetching(store, max_bytes, time.monotonic() + timeout_s)
    partial = folder.with_name(f".{folder.name}.partial")
    partial.mkdir(parents=True, exist_ok=True)
    fetching.file(MANIFEST_FILE, partial, sha256, at_most=_MANIFEST_BYTES)
    for name, digest in _files(partial / MANIFEST_FILE).items():
        fetching.file(name, partial, digest, at_most=max_bytes)
    partial.replace(folder)


class _Fetching:
    """What is left of the bytes and of the time."""

    def __init__(self, store: Store, max_bytes: int, end: float) -> None:
        self._store = store
        self._left = max_bytes
        self._end = end

    def file(self, name: str, folder: Path, digest: str, *, at_most: int) -> None:
        """Write a file below the folder, unless it is there; tries again where that may help."""
        target = folder / name
        if target.is_file() and _digest(target) == digest:
            self._left -= target.stat().st_size
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        for attempt in range(1, self._store.attempts + 1):
            try:
                self._left -= self._write(name, target, digest, min(at_most, self._left))
            except (OSError, HTTPException) as error:
                pause = self._store.pause_s * 2 ** (attempt - 1)
                if attempt == self._store.attempts or time.monotonic() + pause > self._end:
                    raise FetchFailed(f"{name}: {error or type(error).__name__}") from error
                time.sleep(pause)
            else:
                return

    def _write(self, name: str, target: Path, digest: str, at_most: int) -> int:
        size = 0
        found = hashlib.sha256()
        with target.open("wb") as file:
            for chunk in self._store.read(name):
                size += len(chunk)
                if size > at_most:
                    raise FetchFailed(f"{name}: more than the {at_most:,} bytes that are left of the limit")
                if time.monotonic() > self._end:
                    raise FetchFailed(f"{name}: not within the time")
                found.update(chunk)
                file.write(chunk)
        if found.hexdigest() != digest:
            raise FetchFailed(f"{name}: its SHA-256 is {found.hexdigest()}, and should be {digest}")
        return size


def _files(manifest: Path) -> Mapping[str, str]:
    """Return the files that a manifest names, each below the folder."""
    try:
        names: dict[str, str] = dict(json.loads(manifest.read_text(encoding="utf-8"))["files"])
    except (ValueError, KeyError, TypeError):
        raise FetchFailed(f"{MANIFEST_FILE}: not as `python -m export publish` writes it") from None
    for name in names:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or path.as_posix() != name or "\\" in name:
            raise FetchFailed(f"{MANIFEST_FILE}: {name!r} is no path below the repository")
    return names


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@click.command()
@click.argument("url")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--sha256", required=True, metavar="HEX", help="That of manifest.json.")
@click.option(
    "--max-bytes", type=click.IntRange(min=1), required=True, help="Upper bound on all files together."
)
@click.option("--token-file", type=click.Path(path_type=Path), help="Holds a bearer's token for the store.")
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), default=3600.0, show_default=True)
def main(
    *, url: str, folder: Path, sha256: str, max_bytes: int, token_file: Path | None, timeout: float
) -> None:
    """Fetch the model repository at URL into FOLDER."""
    try:
        token = token_file.read_text(encoding="ascii").strip() if token_file else ""
        fetch_repository(
            Store(url=url, token=token), folder, sha256=sha256, max_bytes=max_bytes, timeout_s=timeout
        )
    except (FetchFailed, OSError, ValueError) as error:
        sys.exit(f"Error: {error}")


if __name__ == "__main__":
    main()
