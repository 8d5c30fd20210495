"""A small HTTP server for scrapers and probes: GET alone, an answer a connection, and bounds that strangers cannot move.

It runs in a thread of its own with a loop of its own, so that it answers while the loop that does the work hangs.
"""

import asyncio
import contextlib
import socket
import threading
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

MAX_CONNECTIONS = 32
"""At once; beyond them the oldest makes room, since whoever has a question asks it at once."""
CONNECTION_S = 5.0
"""For the whole of a connection, question and answer."""
MAX_HEAD_BYTES = 8_192
"""Of a question."""

_REASONS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    503: "Service Unavailable",
}
_END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What is sent."""

    status: int
    body: bytes
    content_type: str = "text/plain; charset=utf-8"

    def encoded(self) -> bytes:
        """Return the bytes of the wire."""
        head = (
            f"HTTP/1.1 {self.status} {_REASONS[self.status]}\r\n"
            f"Content-Type: {self.content_type}\r\nContent-Length: {len(self.body)}\r\nConnection: close\r\n\r\n"
        )
        return head.encode() + self.body


Answering = Callable[[str, str], Answer]
"""The answer to a path, for what the caller accepts."""


@contextmanager
def serving_http(host: str, port: int, answering: Answering) -> Iterator[int]:
    """Serve while the block runs; yield the port. OSError where it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host.strip("[]"), port), family=family)
    loop = asyncio.new_event_loop()
    ended = asyncio.Event()
    work = _Server(answering).serve(listener, ended)
    thread = threading.Thread(target=_run, args=(loop, work), name="http", daemon=True)
    thread.start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()


class _Server:
    def __init__(self, answering: Answering) -> None:
        self._answering = answering
        self._open: OrderedDict[asyncio.StreamWriter, None] = OrderedDict()

    async def serve(self, listener: socket.socket, ended: asyncio.Event) -> None:
        server = await asyncio.start_server(self._connected, sock=listener, limit=MAX_HEAD_BYTES)
        await ended.wait()
        server.close()
        for writer in self._open:
            writer.transport.abort()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open[writer] = None
        if len(self._open) > MAX_CONNECTIONS:
            oldest, _ = self._open.popitem(last=False)
            oldest.transport.abort()
        # A caller who is late, has gone or sends too much gets no answer: nobody is owed one here.
        with contextlib.suppress(
            TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError
        ):
            async with asyncio.timeout(CONNECTION_S):
                head = await reader.readuntil(_END)
                writer.write(self._answer(head).encoded())
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        self._open.pop(writer, None)
        writer.transport.abort()

    def _answer(self, head: bytes) -> Answer:
        request, *headers = head.decode("latin-1").split("\r\n")
        words = request.split(" ")
        if len(words) != 3:  # noqa: PLR2004 - method, target, version
            return Answer(status=400, body=b"this is no HTTP\n")
        method, target, _ = words
        if method != "GET":
            return Answer(status=405, body=b"GET alone\n")
        return self._answering(target.partition("?")[0], _accepted(headers))


def _accepted(headers: list[str]) -> str:
    for header in headers:
        name, _, value = header.partition(":")
        if name.strip().lower() == "accept":
            return value.strip()
    return ""


def _run(loop: asyncio.AbstractEventLoop, work: Coroutine[object, object, None]) -> None:
    with contextlib.closing(loop):
        loop.run_until_complete(work)
        loop.run_until_complete(loop.shutdown_asyncgens())
