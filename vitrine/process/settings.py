"""Settings as frozen values, read once from the environment and strict about typos."""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import Field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar
from urllib.parse import urlsplit

if TYPE_CHECKING:

    class SettingsValue(Protocol):
        """A dataclass each field of which is str, int, float or Path."""

        __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


_S = TypeVar("_S", bound="SettingsValue")


class InvalidSettings(ValueError):  # noqa: N818 - read by operators as a sentence
    """A setting is unknown, of the wrong type or out of range; the message says which."""


def variable(prefix: str, name: str) -> str:
    """Return the environment variable of a field."""
    return prefix + name.upper()


def read_settings(kind: type[_S], prefix: str, env: Mapping[str, str]) -> _S:
    """Read a value of settings from the variables that begin with the prefix.

    Raises:
        InvalidSettings: a variable with the prefix names no field, or cannot be read as the field's type.
    """
    known = {variable(prefix, field.name): field for field in fields(kind)}
    if unknown := sorted(name for name in env if name.startswith(prefix) and name not in known):
        raise InvalidSettings(f"unknown settings: {', '.join(unknown)}")
    return kind(
        **{field.name: _convert(name, env[name], field.type) for name, field in known.items() if name in env}
    )


def check_traces(prefix: str, endpoint: str, share: float) -> None:
    """Raise InvalidSettings for an endpoint that is no http(s) URL, and a share that is none."""
    if endpoint and not re.match(r"https?://[^/\s]", endpoint):
        raise InvalidSettings(f"{variable(prefix, 'traces')} must be an http(s) URL, got {endpoint!r}")
    if not 0 <= share <= 1:
        raise InvalidSettings(f"{variable(prefix, 'trace_share')} must be from 0 to 1, got {share}")


def _convert(name: str, value: str, kind: Any) -> Any:
    try:
        return kind(value)
    except ValueError:
        raise InvalidSettings(f"{name} must be {kind.__name__}, got {value!r}") from None


def read_secret(path: str, name: str) -> str:
    """Return what a file of a secret holds, without the line's end; raises InvalidSettings, which never holds it."""
    try:
        secret = Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise InvalidSettings(f"{name}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise InvalidSettings(f"{name}: is no UTF-8") from None
    if not secret:
        raise InvalidSettings(f"{name}: is empty")
    return secret


def check_no_password(name: str, url: str, *, instead: str) -> None:
    """Raise InvalidSettings where a URL that is shown and logged holds a user or a password."""
    try:
        parts = urlsplit(url)
        named = parts.username is not None or parts.password is not None
    except ValueError:
        return  # whoever uses the URL says what is wrong with it
    if named:
        raise InvalidSettings(f"{name} must hold no user and no password: they belong into {instead}")


def check_keyed_url(name: str, url: str, *, keyed: bool, instead: str) -> None:
    """Raise InvalidSettings where a URL of a server is none, holds a password, or would carry a key in clear."""
    check_no_password(name, url, instead=instead)
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        raise InvalidSettings(f"{name} must be an http(s) URL, got {url!r}")
    if parts.scheme == "http" and keyed and not _is_loopback(parts.hostname or ""):
        raise InvalidSettings(
            f"{name} must be https where a key goes with it, unless it is this machine's own:"
            " anybody on the way could read the key"
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
