"""Secrets that are exchanged under a running process: a file is read again when a new one was put in its place."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from vitrine.process.files import stamp
from vitrine.process.settings import InvalidSettings, read_secret

Secret = Callable[[], str]
"""Gives a secret as it is now; empty: there is none."""


def secret_of(path: str, name: str, *, otherwise: str) -> Secret:
    """Return the secret that a file holds, or where no file is named, the other one.

    A file that cannot be read any more, or that is empty, leaves the secret as it was.

    Raises:
        InvalidSettings: it cannot be read now; the message has the name and never the secret.
    """
    if not path:
        return lambda: otherwise
    held = read_secret(path, name)
    seen = stamp(Path(path))

    def now() -> str:
        nonlocal held, seen
        if (found := stamp(Path(path))) != seen:
            seen = found
            with suppress(InvalidSettings):
                held = read_secret(path, name)
        return held

    return now


def bearer(key: Secret) -> Callable[[Any], Any]:
    """Return what puts the key into each request of httpx, as it is then; without one nothing."""

    def authorized(request: Any) -> Any:
        if token := key():
            request.headers["Authorization"] = f"Bearer {token}"
        return request

    return authorized
