"""Channels to services: TLS, the client's own certificate, and the token that says who calls.

A token goes along as metadata of each call. Token and certificates are read anew when their files were exchanged; a channel
of gRPC's threaded stack reads certificates when it is opened.
"""

import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

import grpc
from grpc import aio

from vitrine.addresses import is_local
from vitrine.followed import FollowedChannel
from vitrine.process.files import Stamp, stamp

AUTHORIZATION = "authorization"
_BEARER = "Bearer "
_MAX_TOKEN_BYTES = 4_096

Options = list[tuple[str, Any]]
Metadata = tuple[tuple[str, str], ...]


class InvalidAccess(ValueError):  # noqa: N818 - read by people as a sentence
    """A certificate, key or token cannot be used; the message names the file and never what is in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """Whom a client trusts, and the certificate that it shows."""

    ca: Path | None = None
    """Certificates of those who may sign the service's; None: the authorities that gRPC brings along."""
    cert: Path | None = None
    """The client's own certificate, and those between it and its authority."""
    key: Path | None = None
    server_name: str = ""
    """The name that the service's certificate must have; empty: that of its address."""

    @property
    def options(self) -> Options:
        """What a channel needs besides the credentials."""
        return [("grpc.ssl_target_name_override", self.server_name)] if self.server_name else []

    @property
    def files(self) -> tuple[Path, ...]:
        """All files."""
        return tuple(each for each in (self.ca, self.cert, self.key) if each is not None)

    def credentials(self) -> grpc.ChannelCredentials:
        """Read the files.

        Raises:
            InvalidAccess: one cannot be read, or key and certificate do not belong together.
        """
        if (self.cert is None) is not (self.key is None):
            raise InvalidAccess("a certificate and its key go together: one of them is missing")
        if self.ca is not None:
            check_authorities(self.ca)
        if self.cert is None or self.key is None:
            return grpc.ssl_channel_credentials(root_certificates=_read(self.ca))
        check_pair(self.cert, self.key)
        return grpc.ssl_channel_credentials(
            root_certificates=_read(self.ca), private_key=_read(self.key), certificate_chain=_read(self.cert)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How a client reaches a service and says who it is; raises InvalidAccess for what excludes each other."""

    tls: Tls | None = None
    """None: no TLS."""
    token: str = field(default="", repr=False)
    token_file: Path | None = None
    """A file that holds the token; excludes `token`."""
    token_in_clear: bool = False
    """Whether the token may leave this machine without TLS, as where a mesh encrypts what is between."""

    def __post_init__(self) -> None:
        if self.token and self.token_file is not None:
            raise InvalidAccess("a token and a token's file exclude each other")
        if self.token:
            _check_token(self.token, "the token")

    def check(self, address: str) -> None:
        """Raise InvalidAccess where the token would go to the address in clear."""
        names_itself = self.token or self.token_file is not None
        if names_itself and self.tls is None and not self.token_in_clear and not is_local(address):
            raise InvalidAccess(
                f"the token would go to {address} in clear: use TLS (--tls or --ca), or say --token-in-clear"
            )


class AccessOptions(TypedDict, total=False):
    """What a client is told of its access, as the options of the command line have it."""

    token: str
    token_file: Path | str | None
    ca: Path | str | None
    """Of the authorities who may sign the service's certificate; means TLS, as `cert` does."""
    cert: Path | str | None
    key: Path | str | None
    tls: bool
    """TLS with the authorities that gRPC brings along."""
    server_name: str
    token_in_clear: bool


def read_access(options: AccessOptions) -> Access:
    """Return the access that the options mean; raises InvalidAccess."""
    ca, cert, key = (_path(options.get(name)) for name in ("ca", "cert", "key"))
    wanted = options.get("tls", False) or ca is not None or cert is not None or key is not None
    return Access(
        tls=Tls(ca=ca, cert=cert, key=key, server_name=options.get("server_name", "")) if wanted else None,
        token=options.get("token", ""),
        token_file=_path(options.get("token_file")),
        token_in_clear=options.get("token_in_clear", False),
    )


def options_from(env: Mapping[str, str]) -> AccessOptions:
    """Return the options that the environment gives, by the names that the command line reads: VITRINE_CA and so on."""
    return AccessOptions(
        token_file=env.get("VITRINE_TOKEN_FILE"),
        ca=env.get("VITRINE_CA"),
        cert=env.get("VITRINE_CERT"),
        key=env.get("VITRINE_KEY"),
        tls=_is_true(env, "VITRINE_TLS"),
        server_name=env.get("VITRINE_SERVER_NAME", ""),
        token_in_clear=_is_true(env, "VITRINE_TOKEN_IN_CLEAR"),
    )


class Bearer:
    """Gives each call the token, which is read again when its file was exchanged."""

    def __init__(self, access: Access) -> None:
        """Read the token's file; raises InvalidAccess."""
        self._file = access.token_file
        self._stamp: Stamp = stamp(self._file) if self._file is not None else ()
        self._token = read_token(self._file) if self._file is not None else access.token

    def metadata(self) -> Metadata:
        """Return the metadata of a call; a file that cannot be read any more leaves the token as it was."""
        if self._file is not None and (now := stamp(self._file)) != self._stamp:
            self._stamp = now
            with suppress(InvalidAccess):
                self._token = read_token(self._file)
        return ((AUTHORIZATION, _BEARER + self._token),) if self._token else ()


def open_channel(address: str, tls: Tls | None, *, options: Options) -> aio.Channel:
    """Open a channel of grpc.aio, which follows the files of TLS; raises InvalidAccess for certificates that cannot be used."""
    if tls is None:
        return aio.insecure_channel(address, options=options)

    def make() -> aio.Channel:
        return aio.secure_channel(address, tls.credentials(), options=[*options, *tls.options])

    return FollowedChannel(make, *tls.files) if tls.files else make()


def open_threaded_channel(address: str, tls: Tls | None, *, options: Options) -> grpc.Channel:
    """Open a channel of gRPC's threaded stack; raises InvalidAccess for certificates that cannot be used."""
    if tls is None:
        return grpc.insecure_channel(address, options=options)
    return grpc.secure_channel(address, tls.credentials(), options=[*options, *tls.options])


def read_token(path: Path) -> str:
    """Return the token that a file holds; raises InvalidAccess."""
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_TOKEN_BYTES + 1)
    except OSError as error:
        raise InvalidAccess(f"{path}: {error.strerror}") from error
    token = data.decode("ascii", errors="replace").strip()
    _check_token(token, str(path))
    return token


def check_pair(cert: Path, key: Path) -> None:
    """Raise InvalidAccess unless the key is the certificate's."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, password=_no_password)
    except ssl.SSLError as error:
        raise InvalidAccess(f"{cert} and {key} are no certificate with its key: {_reason(error)}") from error
    except OSError as error:
        # load_cert_chain does not say which of the two; opening them does.
        _read(cert)
        _read(key)
        raise InvalidAccess(f"{cert} or {key}: {error.strerror}") from error


def check_authorities(ca: Path) -> None:
    """Raise InvalidAccess unless the file holds certificates."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(ca)
    except ssl.SSLError as error:
        raise InvalidAccess(f"{ca} holds no certificates: {_reason(error)}") from error
    except OSError as error:
        raise InvalidAccess(f"{ca}: {error.strerror}") from error


def _is_true(env: Mapping[str, str], name: str) -> bool:
    return env.get(name, "").lower() in {"1", "true", "yes", "on", "t", "y"}


def _path(value: object) -> Path | None:
    return Path(str(value)) if value else None


def _no_password() -> str:
    """Return no password: a key under one would be asked for on the terminal."""
    return ""


def _reason(error: ssl.SSLError) -> str:
    return (error.reason or "not PEM").lower().replace("_", " ")


def _read(path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidAccess(f"{path}: {error.strerror}") from error


def _check_token(token: str, where: str) -> None:
    """Refuse what cannot be a header's value; a token of another service, which a proxy may want, is one."""
    if not 0 < len(token) <= _MAX_TOKEN_BYTES or not all("!" <= character <= "~" for character in token):
        raise InvalidAccess(
            f"{where} holds no token: 1 to {_MAX_TOKEN_BYTES:,} characters of ASCII without spaces are one"
        )
