"""TLS of servers: certificates from files, read again when they were exchanged."""

import logging
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from grpc import aio

from vitrine.channels import InvalidAccess, check_authorities, check_pair
from vitrine.process.certificates import Expires, tell_expiry
from vitrine.process.files import stamp
from vitrine.process.logs import log_event
from vitrine.process.settings import InvalidSettings

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTls:
    """The certificate of a server, and whose certificates its clients must have."""

    cert: Path
    key: Path
    client_ca: Path | None = None
    """Certificates of those who may sign the clients'; with it, nobody is connected without a certificate of theirs."""

    @property
    def files(self) -> tuple[Path, ...]:
        """All files."""
        return (self.cert, self.key, *([self.client_ca] if self.client_ca is not None else []))

    def check(self) -> None:
        """Raise InvalidAccess where the files cannot be used."""
        check_pair(self.cert, self.key)
        if self.client_ca is not None:
            check_authorities(self.client_ca)


def server_tls(cert: str, key: str, client_ca: str = "", *, prefix: str) -> ServerTls | None:
    """Read the three settings of a server's TLS, named with the prefix; None where none is set.

    Raises:
        InvalidSettings: one needs another.
    """
    if not (cert or key or client_ca):
        return None
    if not (cert and key):
        raise InvalidSettings(f"{prefix}TLS_CERT and {prefix}TLS_KEY go together")
    return ServerTls(cert=Path(cert), key=Path(key), client_ca=Path(client_ca) if client_ca else None)


def add_port(server: aio.Server, listen: str, tls: ServerTls | None, *, expires: Expires) -> int:
    """Have the server listen, with TLS where it is given; return the port. `expires` is told of each certificate.

    Raises:
        InvalidSettings: a file of the certificate cannot be used.
    """
    if tls is None:
        return server.add_insecure_port(listen)
    try:
        credentials = _Rotated(tls, expires).credentials()
    except InvalidAccess as error:
        raise InvalidSettings(str(error)) from error
    return server.add_secure_port(listen, credentials)


class RotatedContext:
    """The TLS context of an HTTP server; `refresh` takes over a new certificate for the connections after it."""

    def __init__(self, tls: ServerTls) -> None:
        tls.check()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(tls.cert, tls.key)
        self._tls = tls
        self._stamp = stamp(*tls.files)

    def refresh(self) -> None:
        """Take over the files if they were exchanged; those that cannot be used leave things as they are."""
        now = stamp(*self._tls.files)
        if now == self._stamp:
            return
        self._stamp = now
        if _usable(self._tls):
            self.context.load_cert_chain(self._tls.cert, self._tls.key)


class _Rotated:
    """Gives gRPC the certificates of the moment."""

    def __init__(self, tls: ServerTls, expires: Expires) -> None:
        self._tls = tls
        self._expires = expires
        self._stamp = stamp(*tls.files)

    def credentials(self) -> grpc.ServerCredentials:
        """Return credentials that look at the files before each handshake; raises InvalidAccess."""
        self._tls.check()
        return grpc.dynamic_ssl_server_credentials(
            self._configuration(), self._renewed, self._tls.client_ca is not None
        )

    def _renewed(self) -> Any:
        """Return the new configuration where the files were exchanged and can be used; None for no change.

        gRPC calls this on a thread of its own.
        """
        now = stamp(*self._tls.files)
        if now == self._stamp:
            return None
        # Set before they are read: what changes meanwhile is seen by the next handshake.
        self._stamp = now
        try:
            return self._configuration() if _usable(self._tls) else None
        except OSError as error:
            log_event(_logger, logging.ERROR, "certificate_refused", reason=str(error.strerror))
            return None

    def _configuration(self) -> Any:
        roots = self._tls.client_ca.read_bytes() if self._tls.client_ca is not None else None
        pair = (self._tls.key.read_bytes(), self._tls.cert.read_bytes())
        tell_expiry(pair[1], self._expires)
        return grpc.ssl_server_certificate_configuration([pair], roots)


def _usable(tls: ServerTls) -> bool:
    """Return whether exchanged files can be used; log which it was."""
    try:
        tls.check()
    except InvalidAccess as error:
        log_event(_logger, logging.ERROR, "certificate_refused", reason=str(error))
        return False
    log_event(_logger, logging.INFO, "certificate_exchanged", file=str(tls.cert))
    return True
