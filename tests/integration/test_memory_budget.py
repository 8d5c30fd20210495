"""A gateway with the settings of the chart, under as many of the largest requests as it lets in: it stays under its limit."""

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
import yaml
from google.rpc import error_details_pb2
from grpc import aio
from grpc_status import rpc_status

from gateway.settings import Settings
from vitrine.domain import limits
from vitrine.v1 import catalogue_pb2, query_pb2, search_pb2, search_pb2_grpc

ROOT = Path(__file__).parents[2]
FLOOD = Path(__file__).with_name("flood.py")
CALLS_OF_A_CONNECTION = 64
PATIENCE_S = 60

_PROGRAM = """
import asyncio, sys
from dataclasses import replace
from gateway.testing import product, serving

async def main():
    async with serving(products=[product("p1", "red dress")], settings=None) as gateway:
        print(gateway.address.rpartition(":")[2], flush=True)
        await asyncio.to_thread(sys.stdin.readline)

asyncio.run(main())
"""


@asynccontextmanager
async def gateway_over_fakes() -> AsyncIterator[tuple[Process, int]]:
    """Run a gateway over the fakes in a process of its own; yield it and its port."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _PROGRAM, cwd=ROOT, stdin=PIPE, stdout=PIPE
    )
    assert process.stdout is not None
    try:
        yield process, int(await asyncio.wait_for(process.stdout.readline(), 60))
    finally:
        process.send_signal(signal.SIGKILL)
        await process.wait()


def peak_bytes(process: Process) -> int:
    """Return the most memory that the process ever had."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return next(int(line.split()[1]) * 1_024 for line in status.splitlines() if line.startswith("VmHWM"))


def limit_of_the_chart() -> int:
    """Return the memory limit of a gateway's pod, in bytes."""
    values = yaml.safe_load((ROOT / "helm/vitrine/values.yaml").read_text())
    limit = values["gateway"]["resources"]["limits"]["memory"]
    number, unit = int(limit[:-2]), limit[-2:]
    return number * {"Mi": 1 << 20, "Gi": 1 << 30}[unit]


PICTURE = b"\xff\xd8\xff" + bytes(limits.MAX_PICTURE_BYTES - 3)
LARGEST = {
    "picture": ("SearchService/Search", search_pb2.SearchRequest(image=PICTURE).SerializeToString()),
    "too large": (
        "SearchService/Converse",
        search_pb2.ConverseRequest(image=bytes(limits.MAX_MESSAGE_BYTES - 100)).SerializeToString(),
    ),
    "empty turns": ("SearchService/Converse", b"\x52\x00" * 5_900_000),
    "unknown fields": ("SearchService/Search", b"\xa8\x06\x01" * 3_966_666 + b"\x0a\x01\xff"),
    "product": (
        "CatalogueService/UpsertProducts",
        catalogue_pb2.UpsertProductsRequest(
            product=catalogue_pb2.ProductInput(product=query_pb2.Product(id="p"), image=PICTURE)
        ).SerializeToString(),
    ),
}


@pytest.mark.parametrize("kind", LARGEST)
async def test_as_many_of_the_largest_requests_as_it_lets_in_stay_under_the_limit(
    kind: str, tmp_path: Path
) -> None:
    """All calls that may be here at once send the largest message: memory stays, and another caller is answered."""
    method, data = LARGEST[kind]
    message = tmp_path / "message"
    message.write_bytes(data)
    calls = Settings().max_concurrent_calls
    async with gateway_over_fakes() as (process, port), aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        await searched(channel)
        flood = await asyncio.create_subprocess_exec(
            *(sys.executable, str(FLOOD), str(port), f"/vitrine.v1.{method}"),
            *(str(calls // CALLS_OF_A_CONNECTION), str(CALLS_OF_A_CONNECTION), str(message)),
            stdout=PIPE,
        )
        ended = asyncio.create_task(flood.communicate())
        while not ended.done():
            await searched(channel)
            await asyncio.sleep(0.05)
        assert (await ended)[0] == b"over\n"
        assert peak_bytes(process) < limit_of_the_chart()
        await searched(channel)


async def searched(channel: aio.Channel) -> None:
    """Search until it is answered: one is refused now and then in such a crowd, and comes back when it is told to."""
    request = search_pb2.SearchRequest(text="red dress", rewrite=search_pb2.REWRITE_MODE_OFF)
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                answer = await search_pb2_grpc.SearchServiceStub(channel).Search(request, timeout=PATIENCE_S)
            except aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                    raise
                await asyncio.sleep(retry_after_s(error))
                continue
            assert answer.hits
            return


def retry_after_s(error: aio.AioRpcError) -> float:
    """Return after how many seconds a refusal says to come back."""
    info = error_details_pb2.RetryInfo()
    status = rpc_status.from_call(error)
    assert status is not None
    assert any(detail.Unpack(info) for detail in status.details), status
    return info.retry_delay.ToMilliseconds() / 1_000
