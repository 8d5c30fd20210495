"""Who calls: what a call shows, held against the file of callers.

A token decides where one is shown, else what the mesh says where it is believed, else the client's certificate.
"""

import hmac
import ipaddress
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from grpc import aio

from gateway.callers import LOCAL, Caller
from gateway.edge.callers_file import InvalidCallers, Register, read_register
from gateway.errors import Unauthenticated
from gateway.logs import log_event
from gateway.metrics import Metrics
from vitrine.channels import AUTHORIZATION
from vitrine.process.files import stamp
from vitrine.tokens import caller_of, digest

FORWARDED_CERTIFICATE = "x-forwarded-client-cert"
"""The header of Envoy, and of Istio with it, that is read for the URI in it; any other header is the identity itself."""

_BEARER = "bearer "
_NOBODY = "0" * 64
"""Compared with where no caller has the name, so that this takes as long."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_logger = logging.getLogger(__name__)


class Failure(Enum):
    """Why nobody is known by what a call shows: the metric's label, and what the caller reads."""

    NOTHING_SHOWN = "who calls? send a bearer token in the metadata `authorization`, or a client certificate"
    MALFORMED = "authorization: must be one bearer token of this service"
    UNKNOWN_TOKEN = "authorization: the token is not known"  # noqa: S105 - a sentence
    EXPIRED = "authorization: the token has expired"
    UNKNOWN_CERTIFICATE = "the client's certificate is of nobody known here"
    UNKNOWN_IDENTITY = "the mesh's identity is of nobody known here"
    UNTRUSTED_HOP = "an identity is taken from the mesh's own proxy alone"
    AMBIGUOUS = "what the call shows belongs to several callers"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What a call shows of who it is."""

    authorization: Sequence[str] = ()
    identities: Sequence[str] = ()
    """Values of the mesh's header."""
    certificate_names: Sequence[str] = ()
    peer: str = ""
    """Where the connection comes from, such as `ipv4:127.0.0.1:4242`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshRules:
    """Whether a mesh says who calls."""

    header: str = ""
    """In small letters; empty: no mesh is believed."""
    proxies: tuple[Network, ...] = ()
    """Where the mesh's proxy connects from: a header from anywhere else was made up."""


class Authentication:
    """Knows the callers of the file of now; without a file everybody is LOCAL."""

    def __init__(
        self,
        callers: Path | None,
        mesh: MeshRules,
        metrics: Metrics,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Read the file; raises InvalidCallers."""
        self._path = callers
        self._mesh = mesh
        self._metrics = metrics
        self._now = now
        self._stamp = stamp(callers) if callers is not None else ()
        self._register = read_register(callers) if callers is not None else None

    @property
    def callers(self) -> Mapping[str, Caller]:
        """Those who are known, by name."""
        return {LOCAL.name: LOCAL} if self._register is None else self._register.callers

    async def refresh(self) -> None:
        """Take over the file if it was exchanged; one that cannot be used leaves things as they are."""
        if self._path is None or (now := stamp(self._path)) == self._stamp:
            return
        self._stamp = now
        try:
            self._register = read_register(self._path)
        except InvalidCallers as error:
            self._metrics.callers_reloads.labels("refused").inc()
            log_event(_logger, logging.ERROR, "callers_refused", reason=str(error))
            return
        self._metrics.callers_reloads.labels("taken").inc()
        log_event(_logger, logging.INFO, "callers_exchanged", callers=len(self._register.callers))

    def caller_of(self, context: "aio.ServicerContext[Any, Any]") -> Caller:
        """Return who makes the call; raises Unauthenticated."""
        return LOCAL if self._register is None else self.caller(_shown(context, self._mesh.header))

    def caller(self, shown: Shown) -> Caller:
        """Return who shows this; raises Unauthenticated."""
        register = self._register
        if register is None:
            return LOCAL
        found = self._find(register, shown)
        if isinstance(found, Caller):
            return found
        self._metrics.auth_failures.labels(found.name.lower()).inc()
        raise Unauthenticated(found.value)

    def _find(self, register: Register, shown: Shown) -> Caller | Failure:
        if shown.authorization:
            return self._by_token(register, shown.authorization)
        if shown.identities:
            return self._by_identity(register, shown)
        if not shown.certificate_names:
            return Failure.NOTHING_SHOWN
        return _only_one(register.certificates, shown.certificate_names, Failure.UNKNOWN_CERTIFICATE)

    def _by_token(self, register: Register, values: Sequence[str]) -> Caller | Failure:
        token = values[0][len(_BEARER) :].strip()
        if len(values) > 1 or not values[0].lower().startswith(_BEARER):
            return Failure.MALFORMED
        name, shown = caller_of(token), digest(token)
        if not name:
            return Failure.MALFORMED
        # Every digest of the caller is compared, in constant time, whichever is the one.
        known = register.tokens.get(name, ())
        matching = [each for each in known if hmac.compare_digest(each.sha256, shown)]
        if not known:
            hmac.compare_digest(_NOBODY, shown)
        if not matching:
            return Failure.UNKNOWN_TOKEN
        if not any(each.expires is None or self._now() < each.expires for each in matching):
            return Failure.EXPIRED
        return register.callers[name]

    def _by_identity(self, register: Register, shown: Shown) -> Caller | Failure:
        if not _comes_from(shown.peer, self._mesh.proxies):
            return Failure.UNTRUSTED_HOP
        if len(shown.identities) > 1:
            return Failure.AMBIGUOUS
        (value,) = shown.identities
        names = forwarded_uris(value) if self._mesh.header == FORWARDED_CERTIFICATE else (value,)
        return _only_one(register.identities, names, Failure.UNKNOWN_IDENTITY)


def forwarded_uris(header: str) -> tuple[str, ...]:
    """Return the URIs of the last certificate of an x-forwarded-client-cert: the one that the nearest proxy has seen.

    Those before it were seen by proxies further away, or were made up by the caller.
    """
    fields = _split(_split(header, ",")[-1], ";")
    pairs = (field.partition("=") for field in fields)
    return tuple(unquote(value.strip().strip('"')) for key, _, value in pairs if key.strip().lower() == "uri")


def _split(text: str, separator: str) -> list[str]:
    """Split at separators outside of quotes, in which a backslash takes the next character as it is."""
    parts, quoted, escaped = [""], False, False
    for character in text:
        if character == separator and not quoted:
            parts.append("")
            continue
        parts[-1] += character
        if escaped:
            escaped = False
        elif character == "\\":
            escaped = True
        elif character == '"':
            quoted = not quoted
    return parts


def _only_one(known: Mapping[str, Caller], names: Sequence[str], unknown: Failure) -> Caller | Failure:
    found = {known[name].name: known[name] for name in names if name in known}
    if len(found) > 1:
        return Failure.AMBIGUOUS
    return next(iter(found.values()), unknown)


def _comes_from(peer: str, networks: Sequence[Network]) -> bool:
    """Return whether a gRPC peer is in one of the networks; a unix socket is this machine's own."""
    scheme, _, rest = peer.partition(":")
    if scheme in {"unix", "unix-abstract"}:
        return True
    host = unquote(rest).rpartition(":")[0].removeprefix("[").removesuffix("]").partition("%")[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return any((mapped or address) in network for network in networks)


def _shown(context: "aio.ServicerContext[Any, Any]", mesh_header: str) -> Shown:
    values: dict[str, list[str]] = {AUTHORIZATION: [], mesh_header: []}
    for key, value in context.invocation_metadata() or ():
        if key in values and key:
            values[key].append(value if isinstance(value, str) else "")
    identities = values[mesh_header] if mesh_header else []
    return Shown(
        authorization=values[AUTHORIZATION],
        identities=identities,
        certificate_names=_certificate_names(context.auth_context() or {}),
        peer=context.peer() or "",
    )


def _certificate_names(auth: Mapping[str, Iterable[bytes]]) -> tuple[str, ...]:
    """Return the DNS names and URIs of a verified certificate; its common name where it has neither."""
    if "x509_pem_cert" not in auth:
        return ()
    alternative = [*auth.get("peer_dns", ()), *auth.get("peer_uri", ())]
    has_any = alternative or auth.get("x509_subject_alternative_name")
    names = alternative if has_any else auth.get("x509_common_name", ())
    return tuple(name.decode("utf-8", errors="replace") for name in names)
