"""The faults: each is something that happens to a part of the service, and how it ends."""

import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

import psutil

from tests.chaos.proxy import Weather
from tests.chaos.service import REDIS, Service

READY_S = 120.0
"""A process that was killed is back within this time, on any machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something that goes wrong; `begin` and `end` may block."""

    target: str
    name: str
    begin: Callable[[Service], object]
    end: Callable[[Service], object]
    seconds: float
    """Between them; a fault of a process that is restarted ends when it is back."""


def faults(*, seconds: float, stop_seconds: float) -> Iterator[Fault]:
    """Yield the faults of every part that a gateway depends on, and of the gateway itself."""
    for target in ("triton", "milvus", "rewriter", REDIS):
        yield _killed(target)
        yield _stopped(target, stop_seconds)
        for weather in Weather:
            if weather is not Weather.FAIR:
                yield _weather(target, weather, seconds)
    yield _stub_killed()
    yield _stub_stopped(stop_seconds)
    yield _killed("gateway")
    yield _stopped("gateway", stop_seconds)


def _killed(target: str) -> Fault:
    killed: list[int] = []

    def begin(service: Service) -> None:
        killed.append(service.pid(target))
        own = service.own.get(target)
        if own is not None:
            own.stop()
        else:
            os.kill(killed[-1], signal.SIGKILL)

    def end(service: Service) -> None:
        if (own := service.own.get(target)) is not None:
            own.start()
        await_(lambda: service.pid(target) not in {0, killed[-1]} and service.is_ready(target))

    return Fault(target=target, name="kill -9", begin=begin, end=end, seconds=1.0)


def _stopped(target: str, seconds: float) -> Fault:
    stopped: list[psutil.Process] = []

    def begin(service: Service) -> None:
        leader = psutil.Process(service.pid(target))
        stopped[:] = [leader, *leader.children(recursive=True)]
        for each in stopped:
            each.suspend()

    def end(service: Service) -> None:
        _resume(stopped)
        await_(lambda: service.is_ready(target))

    return Fault(target=target, name=f"SIGSTOP {seconds:g} s", begin=begin, end=end, seconds=seconds)


def _weather(target: str, weather: Weather, seconds: float) -> Fault:
    return Fault(
        target=target,
        name=weather.value,
        begin=lambda service: service.proxies[target].set(weather),
        end=lambda service: service.proxies[target].set(Weather.FAIR),
        seconds=seconds,
    )


def _stub_killed() -> Fault:
    before: list[int] = []

    def begin(service: Service) -> None:
        before.append(service.pid("triton"))
        os.kill(service.stubs()[0], signal.SIGKILL)

    def end(service: Service) -> None:
        await_(lambda: service.pid("triton") not in {0, before[-1]} and service.is_ready("triton"))

    return Fault(target="python model", name="kill -9", begin=begin, end=end, seconds=1.0)


def _stub_stopped(seconds: float) -> Fault:
    stopped: list[psutil.Process] = []

    def begin(service: Service) -> None:
        stopped[:] = [psutil.Process(pid) for pid in service.stubs()]
        for each in stopped:
            each.suspend()

    def end(service: Service) -> None:
        _resume(stopped)
        await_(lambda: service.is_ready("triton"))

    return Fault(target="python model", name=f"SIGSTOP {seconds:g} s", begin=begin, end=end, seconds=seconds)


def _resume(stopped: Iterable[psutil.Process]) -> None:
    for each in stopped:
        with suppress(psutil.NoSuchProcess):
            each.resume()


def await_(condition: Callable[[], bool]) -> None:
    """Wait until it holds; TimeoutError where it never does."""
    until = time.monotonic() + READY_S
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError(f"not back within {READY_S:g} s")
        time.sleep(0.05)
