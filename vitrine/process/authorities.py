"""Authorities that a client of HTTPS trusts beside none, read again when their file was exchanged."""

import logging
import ssl
from pathlib import Path
from typing import Any

from vitrine.channels import InvalidAccess, check_authorities
from vitrine.process.files import stamp
from vitrine.process.logs import log_event
from vitrine.process.settings import InvalidSettings

_logger = logging.getLogger(__name__)


class Authorities:
    """A context of TLS for httpx; connections made after an exchange trust the new authorities too.

    Those before are trusted until the process ends: a context gives up none that it has.
    """

    def __init__(self, ca: Path, name: str) -> None:
        """Read the file of the setting that has this name; raises InvalidSettings."""
        self._ca = ca
        self._stamp = stamp(ca)
        try:
            check_authorities(ca)
        except InvalidAccess as error:
            raise InvalidSettings(f"{name}: {error}") from error
        self._context = ssl.create_default_context(cafile=ca)

    @property
    def options(self) -> dict[str, Any]:
        """What a client of httpx is made with."""
        return {"verify": self._context, "event_hooks": {"request": [self._refresh]}}

    async def _refresh(self, _: object) -> None:
        if (found := stamp(self._ca)) == self._stamp:
            return
        self._stamp = found
        try:
            check_authorities(self._ca)
        except InvalidAccess as error:
            log_event(_logger, logging.ERROR, "certificate_refused", reason=str(error))
            return
        self._context.load_verify_locations(self._ca)
        log_event(_logger, logging.INFO, "certificate_exchanged", file=str(self._ca))


def authorities_of(path: str, name: str) -> Authorities | None:
    """Return the authorities of a setting; None where it names no file, for the usual ones."""
    return Authorities(Path(path), name) if path else None
