"""The proxy makes the network as bad as it is told, and good again."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.chaos.proxy import DELAY_S, Proxy, Weather
from tests.ports import free_address


@asynccontextmanager
async def echo() -> AsyncIterator[str]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1_000):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()


async def ask(address: str, timeout_s: float) -> bytes:
    """Connect, say three bytes, and return what comes back until they are answered."""
    host, _, port = address.rpartition(":")
    async with asyncio.timeout(timeout_s):
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            writer.write(b"abc")
            return await reader.readexactly(3)
        finally:
            writer.close()


@pytest.mark.parametrize(
    ("weather", "error"),
    [
        (Weather.RESET, (ConnectionError, asyncio.IncompleteReadError)),
        (Weather.REFUSED, ConnectionRefusedError),
        (Weather.BLACK_HOLE, TimeoutError),
    ],
)
async def test_bad_weather_fails_calls_and_ends(weather: Weather, error: type[Exception]) -> None:
    """While it lasts nothing is answered; afterwards everything is."""
    async with echo() as upstream:
        with Proxy(free_address(), upstream) as proxy:
            assert await ask(proxy.listen, 60) == b"abc"
            await asyncio.to_thread(proxy.set, weather)
            with pytest.raises(error):
                await ask(proxy.listen, 0.5 if error is TimeoutError else 60)
            await asyncio.to_thread(proxy.set, Weather.FAIR)
            assert await ask(proxy.listen, 60) == b"abc"


@pytest.mark.parametrize(("weather", "least_s"), [(Weather.SLOW, 2 * DELAY_S), (Weather.TRICKLE, 0.02)])
async def test_slow_weather_delays_and_loses_nothing(weather: Weather, least_s: float) -> None:
    """What is slow arrives whole, and no sooner than it may."""
    async with echo() as upstream:
        with Proxy(free_address(), upstream) as proxy:
            await asyncio.to_thread(proxy.set, weather)
            begun = time.monotonic()
            assert await ask(proxy.listen, 60) == b"abc"
            assert time.monotonic() - begun >= least_s
