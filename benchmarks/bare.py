"""`python -m benchmarks.bare`: a gRPC server that answers every search with the same hits, and the process that runs it.

Its CPU per request is what a request costs on this machine at the least: receive, decode, encode, send. What the service costs
is compared with it, so that a figure does not hang on the machine's speed.
"""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import process_time
from typing import Any

import click
import grpc
import uvloop
from grpc import aio

from benchmarks.workloads import LIMIT
from vitrine.v1.query_pb2 import Product
from vitrine.v1.search_pb2 import Hit, SearchRequest, SearchResponse

_STOP_S = 10.0


@contextmanager
def bare_server(burn_ms: float = 0.0) -> Iterator[tuple[str, int]]:
    """Run the server in a process of its own; yield its address and its pid."""
    command = [sys.executable, "-m", "benchmarks.bare", "--burn-ms", str(burn_ms)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip(), process.pid
        finally:
            process.terminate()
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()


def _handler(burn_s: float) -> grpc.GenericRpcHandler:
    """Return what answers at once, after so much computing."""
    answer = SearchResponse(hits=[_hit(f"p{number:07}") for number in range(LIMIT)])

    async def search(_: SearchRequest, __: Any) -> SearchResponse:
        until = process_time() + burn_s
        while burn_s and process_time() < until:
            pass
        return answer

    method = grpc.unary_unary_rpc_method_handler(
        search, SearchRequest.FromString, SearchResponse.SerializeToString
    )
    return grpc.method_handlers_generic_handler("vitrine.v1.SearchService", {"Search": method})


def _hit(name: str) -> Hit:
    title = "red floral long-sleeve v-neck midi dress with navy accents"
    return Hit(
        product_id=name, score=0.5, product=Product(id=name, title=title, category="dress", price=49.9)
    )


async def _serve(burn_s: float) -> None:
    server = aio.server()
    server.add_generic_rpc_handlers((_handler(burn_s),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"127.0.0.1:{port}", flush=True)
    await server.wait_for_termination()


@click.command()
@click.option(
    "--burn-ms", default=0.0, help="CPU that each request costs beside what it must: a seeded slowdown."
)
def main(burn_ms: float) -> None:
    """Answer every search with the same ten hits, on a free port of loopback that is printed."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(burn_ms / 1000))


if __name__ == "__main__":
    main()
