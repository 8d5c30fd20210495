"""What a search costs after hours of uptime: measured after a start, and again after rebuilds under load, in one run.

A bare server is asked in the same rounds, so that the ratio of old to young does not hang on what else the machine did
meanwhile: of each case it is `(service CPU / bare CPU, old) / (service CPU / bare CPU, young)`.
"""

import asyncio
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import median
from typing import Any

import psutil

from benchmarks.bare import bare_server
from benchmarks.environment import describe_environment
from benchmarks.generator import Send, closed_loop, sender
from benchmarks.processes import BARE_SERVER, GENERATOR, cpu_seconds, up_seconds
from benchmarks.serving import Served, ServingError
from benchmarks.summary import summarise_run
from benchmarks.workloads import WORKLOADS, Material, Request, read_pictures
from catalogue.randomness import generator
from vitrine.client import VitrineClient

KINDS = ("text, repeated", "text", "image", "rewritten")
CLIENTS = 8
_REBUILD_TIMEOUT_S = 900.0


async def measure_uptime(
    served: Served,
    *,
    minutes: float,
    rebuilds: int,
    seconds: float,
    repeats: int,
    salt: str,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Return the document of the result file: figures after the start, after the load and the rebuilds, and their ratios.

    Raises:
        ServingError: a rebuild failed.
    """
    async with VitrineClient(served.address, retry=False) as client:
        material = Material(read_pictures(served.queries), ())
        streams = {kind: WORKLOADS[kind](material, generator("uptime", salt + kind)) for kind in KINDS}
        send = sender(client)
        with bare_server() as (address, pid):
            async with VitrineClient(address, retry=False) as bare:
                rounds = _Rounds(send, streams, served.pids, sender(bare), pid)
                young = await rounds.measure(seconds, repeats)
                say(f"young: {young['cpu_ms']}")
                searches = await _age(served, send, streams, minutes=minutes, rebuilds=rebuilds, say=say)
                old = await rounds.measure(seconds, repeats)
                say(f"old: {old['cpu_ms']}")
        environment = describe_environment(await client.describe()) | {"up_s": up_seconds(served.pids)}
    params = {
        "benchmark": "uptime", "minutes": minutes, "rebuilds": rebuilds, "searches": searches, "clients": CLIENTS,
        "seconds": seconds, "repeats": repeats,
    }  # fmt: skip
    results = {"young": young, "old": old, "ratios": _ratios(young, old)}
    return {"environment": environment, "params": params, "results": results}


class _Rounds:
    """Rounds over all kinds and the bare server, at a young and at an old age."""

    def __init__(
        self,
        send: Send[Request],
        streams: Mapping[str, Iterator[Request]],
        pids: dict[str, int],
        bare: Send[Request],
        bare_pid: int,
    ) -> None:
        texts = WORKLOADS["text"](Material((), ()), generator(BARE_SERVER, "uptime"))
        self._asked = {kind: (send, stream, pids) for kind, stream in streams.items()}
        self._asked |= {BARE_SERVER: (bare, texts, {BARE_SERVER: bare_pid})}
        self._pids = pids

    async def measure(self, seconds: float, repeats: int) -> dict[str, Any]:
        """Return CPU by kind, process and repeat, in ms a search, and the memory of each process in MB."""
        for send, stream, _ in self._asked.values():
            await closed_loop(send, stream, clients=CLIENTS, seconds=seconds / 2)
        cpu: dict[str, list[dict[str, float | None]]] = {kind: [] for kind in self._asked}
        for _ in range(repeats):
            for kind, (send, stream, pids) in self._asked.items():
                before = cpu_seconds(pids)
                trace = await closed_loop(send, stream, clients=CLIENTS, seconds=seconds)
                used = {name: spent - before[name] for name, spent in cpu_seconds(pids).items()}
                cpu[kind].append(summarise_run(trace, used)["cpu_ms_per_answer"])
        return {"cpu_ms": cpu, "memory_mb": _memory(self._pids), "up_s": up_seconds(self._pids)}


async def _age(
    served: Served,
    send: Send[Request],
    streams: Mapping[str, Iterator[Request]],
    *,
    minutes: float,
    rebuilds: int,
    say: Callable[[str], None],
) -> int:
    """Load the service for so many minutes while its index is rebuilt so often; return how many searches were sent."""
    ends = time.monotonic() + 60 * minutes
    sent = 0
    rebuilding = asyncio.create_task(_rebuild(served, rebuilds, say))
    try:
        while time.monotonic() < ends or not rebuilding.done():
            for stream in streams.values():
                trace = await closed_loop(send, stream, clients=CLIENTS, seconds=1.0)
                sent += len(trace.samples)
            if rebuilding.done():
                rebuilding.result()
    finally:
        rebuilding.cancel()
        await asyncio.gather(rebuilding, return_exceptions=True)
    return sent


async def _rebuild(served: Served, times: int, say: Callable[[str], None]) -> None:
    for number in range(1, times + 1):
        command = ["-m", "vitrine", "index", "--rebuild", str(served.catalogue), "--address", served.address]
        process = await asyncio.create_subprocess_exec(
            sys.executable, *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        try:
            async with asyncio.timeout(_REBUILD_TIMEOUT_S):
                told, _ = await process.communicate()
        except TimeoutError:
            raise ServingError(f"rebuild {number} did not end") from None
        finally:
            if process.returncode is None:
                process.kill()
        if process.returncode:
            raise ServingError(f"rebuild {number}: {told.decode(errors='replace')[-500:]}")
        say(f"rebuild {number} of {times}")


def _ratios(young: Mapping[str, Any], old: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Return by kind and process what a search costs old over young, each over the bare server of its round."""
    names = [name for name in young["cpu_ms"][KINDS[0]][0] if name != GENERATOR]
    return {
        kind: {
            name: ratio
            for name in (*names, "service")
            if (ratio := _ratio(kind, names if name == "service" else [name], young, old)) is not None
        }
        for kind in KINDS
    }


def _ratio(kind: str, names: Sequence[str], *ages: Mapping[str, Any]) -> float | None:
    over_bare = []
    for age in ages:
        rounds = zip(age["cpu_ms"][kind], age["cpu_ms"][BARE_SERVER], strict=True)
        over_bare.append(
            median(
                sum(used[name] or 0.0 for name in names) / (bare[BARE_SERVER] or 1.0) for used, bare in rounds
            )
        )
    # What hardly takes part has no ratio: its CPU is counted in steps of 10 ms.
    return round(over_bare[1] / over_bare[0], 3) if over_bare[0] > _LEAST_OVER_BARE else None


_LEAST_OVER_BARE = 0.2


def _memory(pids: Mapping[str, int]) -> dict[str, float]:
    sums = {}
    for name, pid in pids.items():
        process = psutil.Process(pid)
        members = [process, *process.children(recursive=True)]
        sums[name] = round(sum(member.memory_info().rss for member in members) / 1e6, 1)
    return sums
