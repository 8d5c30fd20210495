"""The file of callers: who may call, by which token, certificate or identity, and how much.

    [callers.shop]
    scopes = ["search"]
    certificates = ["shop.example.com"]          # a DNS name or URI of its certificate; without any, its common name
    identities = ["spiffe://prod/ns/shop/sa/web"]   # what the mesh says
    requests_per_s = 50
    concurrent = 20

    [[callers.shop.tokens]]
    sha256 = "..."                               # `vitrine token new shop` makes it
    expires = 2027-01-31                         # may be left out

Everything is checked before any of it holds: a file with one mistake changes nothing.
"""

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from gateway.callers import LOCAL, Caller, Quotas, Scope
from vitrine.tokens import NAME_RULE, is_caller_name

MAX_FILE_BYTES = 1_000_000
MAX_CALLERS = 1_000
MAX_TOKENS = 8
"""Of one caller: the one in use, the next one, and some to spare."""
MAX_NAME_LENGTH = 512
"""Of a certificate's name or an identity."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_QUOTAS: Mapping[str, type] = {
    "requests_per_s": float,
    "concurrent": int,
    "session_bytes": int,
    "ingest_streams": int,
}
_KEYS = {"scopes", "tokens", "certificates", "identities", *_QUOTAS}


class InvalidCallers(ValueError):  # noqa: N818 - read by operators as a sentence
    """The file cannot be used; the message says where, and never holds a digest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownToken:
    """What is kept of one token."""

    sha256: str
    expires: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Register:
    """All callers, by what they may show."""

    callers: Mapping[str, Caller]
    tokens: Mapping[str, tuple[KnownToken, ...]]
    """By the caller's name."""
    certificates: Mapping[str, Caller]
    identities: Mapping[str, Caller]


def read_register(path: Path) -> Register:
    """Read the file of callers; raises InvalidCallers."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise InvalidCallers(f"{path}: {error.strerror}") from error
    if len(data) > MAX_FILE_BYTES:
        raise InvalidCallers(f"{path}: at most {MAX_FILE_BYTES:,} bytes")
    try:
        return parse_register(data.decode())
    except InvalidCallers as error:
        raise InvalidCallers(f"{path}: {error}") from None
    except UnicodeDecodeError as error:
        raise InvalidCallers(f"{path}: is no UTF-8 at byte {error.start}") from None


def parse_register(text: str) -> Register:
    """Read the text of a file of callers; raises InvalidCallers."""
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InvalidCallers(f"is no TOML: {error}") from None
    _only(document, {"callers"}, "the file")
    entries = _table(document.get("callers", {}), "callers")
    if not 1 <= len(entries) <= MAX_CALLERS:
        raise InvalidCallers(f"callers: 1 to {MAX_CALLERS:,} are known, got {len(entries):,}")
    callers = {name: _caller(name, _table(entry, f"callers.{name}")) for name, entry in entries.items()}
    return Register(
        callers=callers,
        tokens={name: tuple(_tokens(name, entry.get("tokens", []))) for name, entry in entries.items()},
        certificates=_names("certificates", entries, callers),
        identities=_names("identities", entries, callers),
    )


def _caller(name: str, entry: Mapping[str, Any]) -> Caller:
    where = f"callers.{name}"
    if not is_caller_name(name) or name == LOCAL.name:
        raise InvalidCallers(f"{where}: a name is {NAME_RULE}, and not {LOCAL.name!r}")
    _only(entry, _KEYS, where)
    if not any(entry.get(key) for key in ("tokens", "certificates", "identities")):
        raise InvalidCallers(
            f"{where}: nobody can be this caller: it needs tokens, certificates or identities"
        )
    known = {scope.value: scope for scope in Scope}
    scopes = _strings(entry.get("scopes", []), f"{where}.scopes")
    if not scopes or not known.keys() >= set(scopes):
        raise InvalidCallers(f"{where}.scopes: one or more of {', '.join(known)}")
    quotas = {
        key: _quota(entry[key], kind, f"{where}.{key}") for key, kind in _QUOTAS.items() if key in entry
    }
    return Caller(name=name, scopes=frozenset(known[scope] for scope in scopes), quotas=Quotas(**quotas))


def _quota(value: Any, kind: Callable[[Any], Any], where: str) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 <= value < float("inf") or (kind is int and not isinstance(value, int)):
        raise InvalidCallers(f"{where}: must be a{' whole' if kind is int else ''} number >= 0")
    return kind(value)


def _tokens(name: str, entries: Any) -> Iterator[KnownToken]:
    where = f"callers.{name}.tokens"
    if not isinstance(entries, list) or len(entries) > MAX_TOKENS:
        raise InvalidCallers(f"{where}: a list of at most {MAX_TOKENS}")
    for position, entry in enumerate(entries):
        place = f"{where}[{position}]"
        _only(_table(entry, place), {"sha256", "expires"}, place)
        sha256 = entry.get("sha256")
        if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
            raise InvalidCallers(f"{place}.sha256: must be 64 hexadecimal digits in small letters")
        yield KnownToken(sha256=sha256, expires=_moment(entry.get("expires"), f"{place}.expires"))


def _moment(value: Any, where: str) -> datetime | None:
    """Return the moment at which a token ends; a date ends it as that day begins in UTC."""
    match value:
        case None:
            return None
        case datetime():
            if value.tzinfo is None:
                raise InvalidCallers(f"{where}: a time needs its offset, such as 2027-01-31T12:00:00Z")
            return value
        case date():
            return datetime(value.year, value.month, value.day, tzinfo=UTC)
        case _:
            raise InvalidCallers(f"{where}: must be a date or a time, without quotes")


def _names(key: str, entries: Mapping[str, Any], callers: Mapping[str, Caller]) -> dict[str, Caller]:
    """Return the callers by what another one vouches for; the same name for two callers is a mistake."""
    found: dict[str, Caller] = {}
    for name, entry in entries.items():
        where = f"callers.{name}.{key}"
        for value in _strings(entry.get(key, []), where):
            if not 0 < len(value) <= MAX_NAME_LENGTH:
                raise InvalidCallers(f"{where}: a name has 1 to {MAX_NAME_LENGTH} characters")
            if found.get(value, callers[name]) is not callers[name]:
                raise InvalidCallers(f"{where}: {value!r} is {found[value].name!r} already")
            found[value] = callers[name]
    return found


def _strings(value: Any, where: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise InvalidCallers(f"{where}: must be a list of strings")
    return value


def _table(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise InvalidCallers(f"{where}: must be a table")
    return value


def _only(table: Mapping[str, Any], known: set[str], where: str) -> None:
    if unknown := sorted(table.keys() - known):
        raise InvalidCallers(f"{where}: does not know {', '.join(unknown)}")
