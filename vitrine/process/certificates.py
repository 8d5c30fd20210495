"""When a certificate ends, read from its PEM."""

import ssl
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

Expires = Callable[[float], None]
"""Is told when the certificate in use ends, as Unix time in seconds; also from gRPC's threads."""

_END = "-----END CERTIFICATE-----"
_VERSION, _UTC_TIME = 0xA0, 0x17  # tags of DER
_LONG = 0x80
"""In the place of a length: how many bytes the length takes, and this."""
_VALIDITY = 3
"""Position in a TBSCertificate without its version: serial number, signature, issuer, validity (RFC 5280, 4.1)."""


def tell_expiry(pem: bytes, expires: Expires) -> None:
    """Tell when the first certificate of a PEM ends; nothing where it is no X.509 in base64 between its usual lines."""
    try:
        expires(_expiry(pem))
    except (ValueError, IndexError):
        return


def followed_expiry(path: Path) -> Callable[[], float] | None:
    """Return what reads in a file when its certificate ends, as Unix time; None where it has none that can be read.

    A file that cannot be read any more leaves the time as it was.
    """
    held = 0.0

    def keep(at: float) -> None:
        nonlocal held
        held = at

    def now() -> float:
        with suppress(OSError):
            tell_expiry(path.read_bytes(), keep)
        return held

    return now if now() else None


def _expiry(pem: bytes) -> float:
    first, end, _ = pem.decode("ascii", errors="ignore").partition(_END)
    der = ssl.PEM_cert_to_DER_cert(first[first.index("-----BEGIN CERTIFICATE-----") :] + end)
    (_, certificate), *_ = _parts(der)
    (_, signed), *_ = _parts(certificate)
    fields = [content for tag, content in _parts(signed) if tag != _VERSION]
    _, (tag, not_after) = _parts(fields[_VALIDITY])
    text = not_after.decode("ascii")
    if tag == _UTC_TIME:  # of two digits: 50 and above are of the twentieth century
        text = ("19" if text >= "50" else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()


def _parts(der: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the tag and the content of each element that a DER value is made of."""
    at = 0
    while at < len(der):
        tag, size = der[at], der[at + 1]
        at += 2
        if size >= _LONG:
            width = size - _LONG
            size = int.from_bytes(der[at : at + width])
            at += width
        yield tag, der[at : at + size]
        at += size
