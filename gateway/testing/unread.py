"""A caller that takes nothing of what it is sent: HTTP/2 with a window of no bytes, on a bare socket."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_DATA, _HEADERS, _RESET, _SETTINGS, _PING = 0, 1, 3, 4, 6
_ACK = _END_STREAM = 1
_END_HEADERS = 4
_NAMES = {_DATA: "data", _HEADERS: "headers", _RESET: "reset"}


class UnreadCalls:
    """Calls on one connection that answers pings, so that it lives on, and opens no window."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._opened = 0
        self.seen: Counter[str] = Counter()
        """Frames by their kind."""

    def call(self, method: str, request: bytes) -> None:
        """Open a stream and send a whole request; `method` is its full path."""
        stream = 1 + 2 * self._opened
        self._opened += 1
        headers = (
            (":method", "POST"),
            (":scheme", "http"),
            (":path", method),
            (":authority", "localhost"),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
        )
        self._send(_HEADERS, _END_HEADERS, stream, b"".join(_literal(*header) for header in headers))
        self._send(_DATA, _END_STREAM, stream, b"\0" + len(request).to_bytes(4, "big") + request)

    async def read(self, reader: asyncio.StreamReader) -> None:
        """Count what comes, and answer what keeps the connection alive."""
        while True:
            head = await reader.readexactly(9)
            body = await reader.readexactly(int.from_bytes(head[:3], "big"))
            kind, flags = head[3], head[4]
            self.seen[_NAMES.get(kind, "other")] += 1
            if kind in {_SETTINGS, _PING} and not flags & _ACK:
                self._send(kind, _ACK, 0, body if kind == _PING else b"")

    def begin(self) -> None:
        """Say hello, and that no stream may send a byte."""
        self._writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        self._send(_SETTINGS, 0, 0, (4).to_bytes(2, "big") + (0).to_bytes(4, "big"))

    def _send(self, kind: int, flags: int, stream: int, body: bytes) -> None:
        head = len(body).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big")
        self._writer.write(head + body)


@asynccontextmanager
async def unread_calls(address: str) -> AsyncIterator[UnreadCalls]:
    """Connect, and read frames until the block is left."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    calls = UnreadCalls(writer)
    calls.begin()
    reading = asyncio.create_task(calls.read(reader))
    try:
        yield calls
    finally:
        reading.cancel()
        await asyncio.wait([reading])
        writer.close()


def _literal(name: str, value: str) -> bytes:
    """Write a header as HPACK does without its tables."""
    return b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
