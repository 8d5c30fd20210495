"""A proxy between the gateway and what it depends on, whose network goes bad on command.

It runs on a thread of its own, so that a busy client slows no traffic down. Addresses are `HOST:PORT` or `unix:PATH`.
"""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Coroutine
from enum import StrEnum
from pathlib import Path
from typing import Self

_CHUNK = 65_536
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: on, for no time, so that closing sends a reset."""

DELAY_S = 0.2
TRICKLE_BYTES_S = 64.0
"""Slower than any answer can use."""


class Weather(StrEnum):
    """How the network is."""

    FAIR = "fair"
    SLOW = "+200 ms"
    RESET = "reset"
    """Every connection is reset when something is sent over it."""
    BLACK_HOLE = "black hole"
    """Connections are taken, and nothing comes through either way."""
    REFUSED = "refused"
    """Nobody listens, and connections that stood are closed."""
    TRICKLE = "trickle"
    """A byte at a time."""


class Proxy:
    """Forwards one address to another."""

    def __init__(self, listen: str, upstream: str) -> None:
        self.listen = listen
        self.upstream = upstream
        self.weather = Weather.FAIR
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._changed = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._pairs: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        self._wait(self._open())
        return self

    def __exit__(self, *_: object) -> None:
        self._wait(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def set(self, weather: Weather) -> None:
        """Change the weather, for the connections that stand as well."""
        self._wait(self._become(weather))

    def _wait(self, coroutine: Coroutine[None, None, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    async def _become(self, weather: Weather) -> None:
        before, self.weather = self.weather, weather
        self._changed.set()
        self._changed = asyncio.Event()
        if weather is Weather.REFUSED:
            await self._close()
        elif before is Weather.REFUSED:
            await self._open()
        if weather is Weather.RESET:
            self._reset_all()
        if weather is Weather.FAIR and before is Weather.BLACK_HOLE:
            # What was swallowed never comes: as after a partition, the connections of that time are of no more use.
            self._reset_all()

    async def _open(self) -> None:
        if self.listen.startswith("unix:"):
            _unlink(self.listen)
            self._server = await asyncio.start_unix_server(self._serve, self.listen.removeprefix("unix:"))
            return
        host, _, port = self.listen.rpartition(":")
        self._server = await asyncio.start_server(self._serve, host, int(port))

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        if self.listen.startswith("unix:"):
            _unlink(self.listen)
        self._reset_all()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.sleep(0)

    def _reset_all(self) -> None:
        for pair in list(self._pairs):
            for writer in pair:
                _reset(writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._forward(reader, writer)
        except (OSError, asyncio.CancelledError):
            _reset(writer)
        finally:
            self._tasks.discard(task)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.weather is Weather.RESET:
            _reset(writer)
            return
        up_reader, up_writer = await _connect(self.upstream)
        pair = (writer, up_writer)
        self._pairs.add(pair)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, up_writer))
                group.create_task(self._pump(up_reader, writer))
        except* OSError:
            pass
        finally:
            self._pairs.discard(pair)
            for each in pair:
                each.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_CHUNK):
            while self.weather is Weather.BLACK_HOLE:
                await self._changed.wait()
            if self.weather is Weather.SLOW:
                await asyncio.sleep(DELAY_S)
            if self.weather is Weather.TRICKLE:
                await self._trickle(data, writer)
                continue
            writer.write(data)
            await writer.drain()
        writer.close()

    async def _trickle(self, data: bytes, writer: asyncio.StreamWriter) -> None:
        """Send byte by byte until the weather changes, and then the rest."""
        for position in range(len(data)):
            if self.weather is not Weather.TRICKLE:
                writer.write(data[position:])
                break
            writer.write(data[position : position + 1])
            await writer.drain()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1 / TRICKLE_BYTES_S):
                    await self._changed.wait()
        await writer.drain()


async def _connect(address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if address.startswith("unix:"):
        return await asyncio.open_unix_connection(address.removeprefix("unix:"))
    host, _, port = address.rpartition(":")
    return await asyncio.open_connection(host, int(port))


def _unlink(address: str) -> None:
    Path(address.removeprefix("unix:")).unlink(missing_ok=True)


def _reset(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    if connection is not None and connection.family != socket.AF_UNIX:
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
