"""Calls to Milvus: a bound on how many are under way, a deadline for each, one family of errors."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import grpc
from google.protobuf.message import Message
from pymilvus import MilvusException
from pymilvus.grpc_gen import common_pb2

from gateway.adapters.milvus.clients import Clients, open_clients
from gateway.adapters.milvus.found import Found, take_found
from gateway.adapters.milvus.searching import Asked, SearchChannel, open_searches, search_request
from gateway.context import request_id
from gateway.errors import DeadlineExceeded, VectorIndexError
from gateway.gathering import Gathering
from gateway.logs import log_event
from gateway.model import Deadline, Embedding
from vitrine.channels import Tls
from vitrine.process.secrets import Secret
from vitrine.process.tracing import span

COLLECTION_NOT_FOUND = 100
COLLECTION_NOT_LOADED = 101
INVALID_PARAMETER = 1100
ALIAS_NOT_FOUND = 1600

_TELLING = (
    COLLECTION_NOT_FOUND,
    COLLECTION_NOT_LOADED,
    INVALID_PARAMETER,
    ALIAS_NOT_FOUND,
    grpc.StatusCode.UNIMPLEMENTED,
)
"""Codes that answer a question, such as whether there is an alias."""

# One more try after 10 ms mends a connection that broke; whoever needs more has a deadline of his own.
_RETRIES = 1

_LATE = "the index did not answer in time"

_MOST_VECTORS = 16
"""Of one request."""

_logger = logging.getLogger(__name__)


class MilvusError(VectorIndexError):
    """Milvus refused a call or was not reached; `milvus_code` is its own error code or gRPC's."""

    def __init__(self, code: object) -> None:
        super().__init__()
        self.milvus_code = code


class MilvusConnection:
    """A client whose calls are bounded in number and time.

    Milvus queues what it cannot serve yet, where nobody sees it; so the callers wait here instead.
    """

    def __init__(
        self, clients: Clients, searches: SearchChannel, *, max_concurrency: int, calls_at_once: int = 1
    ) -> None:
        self._clients = clients
        self._searches = searches
        self._slots = asyncio.Semaphore(max_concurrency)
        self._gathering = Gathering[Asked, Embedding, Found](
            self._search, most=_MOST_VECTORS, at_once=calls_at_once, late=_LATE
        )

    async def call(self, method: str, *args: Any, timeout_s: float, **kwargs: Any) -> Any:
        """Call the client's method; the request's id goes along, which is all that the client lets through.

        Raises:
            DeadlineExceeded: it did not answer in time; the call was cancelled, on the server too.
            MilvusError: it refused, or was not reached.
        """
        with _told(method):
            async with within(timeout_s), self._slots:
                with self._clients.held() as client:
                    return await getattr(client, method)(
                        *args, retry_times=_RETRIES, client_request_id=request_id(), **kwargs
                    )

    async def search(self, asked: Asked, vector: Embedding, *, timeout_s: float) -> Found:
        """Return the rows nearest to the vector, (2 d,); raises as `call` does.

        Searches that differ in their vectors alone go in one request where they are asked for at the same time.
        """
        return await self._gathering.run(asked, vector, timeout_s=timeout_s)

    async def _search(self, asked: Asked, vectors: Sequence[Embedding], timeout_s: float) -> list[Found]:
        deadline = Deadline.after(timeout_s)
        with _told("search"):
            await self._take_slot(timeout_s)
            try:
                # The call has a deadline of its own: a timer beside it would cost as much as building the request.
                answer = await self._searches.search(
                    search_request(asked, vectors), timeout_s=deadline.remaining_s()
                )
            finally:
                self._slots.release()
            _check(answer.status)
        return take_found(answer.results, len(vectors))

    async def _take_slot(self, timeout_s: float) -> None:
        if self._slots.locked():
            async with within(timeout_s):
                await self._slots.acquire()
        else:
            await self._slots.acquire()

    async def send(self, method: str, request: Message, answers: type[Message], *, timeout_s: float) -> Any:
        """Return what a call answers that the client lacks, by its name in Milvus's protocol; raises as `call` does."""
        with _told(method):
            async with within(timeout_s), self._slots:
                answer = await self._searches.send(method, request, answers, timeout_s=timeout_s)
            _check(answer.status)
        return answer


@contextmanager
def _told(method: str) -> Iterator[None]:
    """Trace a call, and translate both families of errors."""
    try:
        with span(f"milvus {method}", **{"peer.service": "milvus"}):
            yield
    except MilvusException as error:
        raise _translated(method, error.code) from error
    except grpc.RpcError as error:
        raise _translated(method, error.code()) from error


def _check(status: common_pb2.Status) -> None:
    """Raise MilvusException where Milvus refused; servers before 2.3 say so by the older of the two codes alone."""
    if status.code or status.error_code:
        raise MilvusException.from_status(status)


@asynccontextmanager
async def within(timeout_s: float) -> AsyncIterator[None]:
    """Raise DeadlineExceeded where what is inside lasts longer."""
    try:
        async with asyncio.timeout(timeout_s):
            yield
    except TimeoutError:
        raise DeadlineExceeded(_LATE) from None


@asynccontextmanager
async def connect(
    uri: str, *, token: Secret, tls: Tls | None, max_concurrency: int, calls_at_once: int = 1
) -> AsyncIterator[MilvusConnection]:
    """Open a connection of its own to the URI; the first call reaches out, so the server may come later.

    `token` gives one, or user:password, as it is at that moment. TLS is used where the URI is https; `tls` says whom to trust,
    by files that are followed.
    """
    # It logs every failure at error level, tracebacks and filter values included.
    logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
    clients = open_clients(uri, token=token, tls=tls)
    try:
        async with open_searches(uri, token=token, tls=tls) as searches:
            yield MilvusConnection(
                clients, searches, max_concurrency=max_concurrency, calls_at_once=calls_at_once
            )
    finally:
        await clients.close()


def _translated(method: str, code: object) -> Exception:
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return DeadlineExceeded(_LATE)
    # Milvus repeats the expression in its message, and with it the shopper's words: the code must do.
    level = logging.DEBUG if code in _TELLING else logging.WARNING
    log_event(
        _logger, level, "index_call_failed", call=method, code=code if isinstance(code, int) else str(code)
    )
    return MilvusError(code)
