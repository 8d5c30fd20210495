"""A caller who sends as much as it is let, over HTTP/2 by hand: its own memory stays small, whatever it sends.

gRPC's client would copy each of hundreds of large messages first.
"""

import asyncio
import struct
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _GOAWAY, _WINDOW = 0, 1, 3, 4, 6, 7, 8
_ACK = _END_STREAM = 1
_END_HEADERS = 4
_INITIAL_WINDOW = 4
_FRAME = 16_384
_FIRST_WINDOW = 65_535


@dataclass(slots=True)
class _Stream:
    window: int
    sent: int = 0
    ended: bool = False


@dataclass(slots=True)
class Flood:
    """One connection, over which one message is sent many times at once."""

    port: int
    path: str
    message: bytes
    calls: int
    _streams: dict[int, _Stream] = field(default_factory=dict)
    _window: int = _FIRST_WINDOW
    _initial: int = _FIRST_WINDOW
    _moved: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def ended(self) -> int:
        """Calls that the server has ended, one by one."""
        return sum(stream.ended for stream in self._streams.values())

    async def run(self) -> None:
        """Send all of it, as far as the server takes it; return when every call was ended, or the connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(_PREFACE + _frame(_SETTINGS, 0, 0))
        for i in range(self.calls):
            self._streams[2 * i + 1] = _Stream(self._initial)
            writer.write(_frame(_HEADERS, _END_HEADERS, 2 * i + 1, _headers(self.path)))
        reading = asyncio.create_task(self._read(reader, writer))
        reading.add_done_callback(lambda _: self._moved.set())
        try:
            while not reading.done():
                self._moved.clear()
                for number, stream in self._streams.items():
                    self._send(writer, number, stream)
                await writer.drain()
                await self._moved.wait()
            await reading
        finally:
            reading.cancel()
            writer.close()

    def _send(self, writer: asyncio.StreamWriter, number: int, stream: _Stream) -> None:
        body = memoryview(self.message)
        while not stream.ended and stream.sent < len(body):
            size = min(_FRAME, len(body) - stream.sent, stream.window, self._window)
            if size <= 0:
                return
            last = stream.sent + size == len(body)
            piece = bytes(body[stream.sent : stream.sent + size])
            writer.write(_frame(_DATA, _END_STREAM if last else 0, number, piece))
            stream.sent += size
            stream.window -= size
            self._window -= size

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while self.ended < self.calls:
            try:
                head = await reader.readexactly(9)
            except (asyncio.IncompleteReadError, ConnectionResetError):
                break  # the server has had enough of this connection
            size, kind, flags = int.from_bytes(head[:3], "big"), head[3], head[4]
            number = int.from_bytes(head[5:], "big") & 0x7FFFFFFF
            payload = await reader.readexactly(size)
            if kind == _SETTINGS and not flags & _ACK:
                self._settle(payload)
                writer.write(_frame(_SETTINGS, _ACK, 0))
            elif kind == _PING and not flags & _ACK:
                writer.write(_frame(_PING, _ACK, 0, payload))
            elif kind == _WINDOW:
                self._widen(number, int.from_bytes(payload, "big"))
            elif kind == _GOAWAY:
                return
            if kind == _RESET or (kind in {_DATA, _HEADERS} and flags & _END_STREAM):
                self._streams[number].ended = True
            self._moved.set()

    def _settle(self, payload: bytes) -> None:
        for key, value in struct.iter_unpack(">HI", payload):
            if key == _INITIAL_WINDOW:
                for stream in self._streams.values():
                    stream.window += value - self._initial
                self._initial = value

    def _widen(self, number: int, by: int) -> None:
        if number:
            self._streams[number].window += by
        else:
            self._window += by


def grpc_message(data: bytes) -> bytes:
    """Return a message as gRPC frames it."""
    return struct.pack(">BI", 0, len(data)) + data


def _frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def _headers(path: str) -> bytes:
    fields: Mapping[str, str] = {
        ":method": "POST",
        ":scheme": "http",
        ":path": path,
        ":authority": "localhost",
        "content-type": "application/grpc",
        "te": "trailers",
        "grpc-timeout": "30S",
    }
    return b"".join(b"\x00" + _text(name) + _text(value) for name, value in fields.items())


def _text(text: str) -> bytes:
    return bytes([len(text)]) + text.encode()


async def _main(port: int, path: str, connections: int, calls: int, message: bytes) -> None:
    framed = grpc_message(message)
    floods = [Flood(port, path, framed, calls) for _ in range(connections)]
    await asyncio.gather(*(flood.run() for flood in floods))
    sys.stdout.write("over\n")


if __name__ == "__main__":
    asyncio.run(
        _main(
            int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), Path(sys.argv[5]).read_bytes()
        )
    )
