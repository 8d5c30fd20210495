"""pymilvus's client, made anew when the token or a certificate was exchanged: it reads them once, when it is made."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pymilvus import AsyncMilvusClient

from gateway.logs import log_event
from vitrine.channels import InvalidAccess, Tls
from vitrine.followed import LOOK_S
from vitrine.process.files import stamp
from vitrine.process.secrets import Secret

_logger = logging.getLogger(__name__)

# A server that was away is found again within a second; gRPC's own default is two minutes.
_RECONNECTION = {"grpc.initial_reconnect_backoff_ms": 100, "grpc.max_reconnect_backoff_ms": 1_000}


class Clients:
    """Gives the client of the token and the files as they are; one before it is closed after its last call.

    `make` gets the token, and raises InvalidAccess for files that cannot be used, whereupon the client before stays.
    """

    def __init__(
        self, make: Callable[[str], AsyncMilvusClient], *, token: Secret, files: tuple[Path, ...]
    ) -> None:
        self._make = make
        self._token = token
        self._files = files
        self._seen = self._look()
        self.current = make(self._seen[0])
        self._look_at = time.monotonic() + LOOK_S
        self._calls: Counter[AsyncMilvusClient] = Counter()
        self._closing: set[asyncio.Task[None]] = set()

    def _look(self) -> tuple[str, object]:
        return self._token(), stamp(*self._files)

    @contextmanager
    def held(self) -> Iterator[AsyncMilvusClient]:
        """Return the client for one call, until whose end it is not closed."""
        if (now := time.monotonic()) >= self._look_at:
            self._look_at = now + LOOK_S
            self._follow()
        client = self.current
        self._calls[client] += 1
        try:
            yield client
        finally:
            self._calls[client] -= 1
            self._close_if_idle(client)

    def _follow(self) -> None:
        if (found := self._look()) == self._seen:
            return
        self._seen = found
        try:
            made = self._make(found[0])
        except InvalidAccess as error:
            log_event(_logger, logging.ERROR, "certificate_refused", reason=str(error))
            return
        log_event(_logger, logging.INFO, "index_access_exchanged")
        before, self.current = self.current, made
        self._close_if_idle(before)

    def _close_if_idle(self, client: AsyncMilvusClient) -> None:
        if client is self.current or self._calls[client] > 0:
            return
        del self._calls[client]
        closing = asyncio.get_running_loop().create_task(client.close())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Close every client."""
        clients = {self.current, *self._calls}
        await asyncio.gather(*self._closing, *(each.close() for each in clients), return_exceptions=True)


def open_clients(uri: str, *, token: Secret, tls: Tls | None) -> Clients:
    """Return the clients of a Milvus, none of which reaches out yet; `tls` says whom to trust where the URI is https."""
    files = tls.files if tls is not None and tls.ca is not None else ()

    def make(shown: str) -> AsyncMilvusClient:
        if tls is not None and files:
            tls.credentials()  # the client itself reads them with its first call
        return AsyncMilvusClient(
            uri, token=shown, dedicated=True, grpc_options=_RECONNECTION, **_names(tls if files else None)
        )

    return Clients(make, token=token, files=files)


def _names(tls: Tls | None) -> dict[str, str]:
    """Return the client's names for the files of TLS; it shows a certificate only beside an authority of its own."""
    if tls is None:
        return {}
    if tls.cert is None:
        return {"server_pem_path": str(tls.ca)}
    return {"ca_pem_path": str(tls.ca), "client_pem_path": str(tls.cert), "client_key_path": str(tls.key)}
