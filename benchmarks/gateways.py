"""`python -m benchmarks.gateways`: how a stack of several gateways spreads calls, over one address and over all of theirs.

The shared address spreads connections, by a hash of their two ends; a list of the gateways' own addresses spreads the
calls of each client. Both are measured with the same clients over so many connections, in turn.
"""

import itertools
import json
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import click
import uvloop
from grpc import aio

from benchmarks.environment import describe_environment
from benchmarks.generator import OK, Send, Trace, closed_loop
from benchmarks.processes import cpu_seconds, service_pids
from benchmarks.report import RESULTS
from benchmarks.summary import summarise_repeats, summarise_run
from benchmarks.workloads import WORKLOADS, Material, Request
from catalogue.randomness import generator
from vitrine.client import DEFAULT_ADDRESS, VitrineClient
from vitrine.v1 import search_pb2_grpc

CONNECTIONS = (1, 2, 4, 16)
_ROUND_ROBIN = json.dumps({"loadBalancingConfig": [{"round_robin": {}}]})
_GATEWAY = "gateway"


async def measure(
    addresses: dict[str, str], *, state: Path, clients: int, seconds: float, repeats: int
) -> dict[str, Any]:
    """Return the document of the result file: a case for each way in and number of connections."""
    pids = {name: pid for name, pid in service_pids(state).items() if name.startswith(_GATEWAY)}
    cases: dict[tuple[str, int], tuple[list[Trace], list[dict[str, Any]]]] = {}
    for _ in range(repeats):
        for way, connections in itertools.product(addresses, CONNECTIONS):
            traces, runs = cases.setdefault((way, connections), ([], []))
            async with AsyncExitStack() as stack:
                send = await open_sender(stack, addresses[way], connections)
                requests = WORKLOADS["text, repeated"](Material((), ()), generator("gateways", 0))
                await closed_loop(send, requests, clients=clients, seconds=seconds / 4)
                before = cpu_seconds(pids)
                trace = await closed_loop(send, requests, clients=clients, seconds=seconds)
                used = {name: value - before[name] for name, value in cpu_seconds(pids).items()}
            traces.append(trace)
            runs.append(summarise_run(trace, used) | {"busiest_share": busiest_share(used)})
    async with VitrineClient(addresses["shared"]) as client:
        environment = describe_environment(await client.describe())
    return {
        "environment": environment,
        "params": {"benchmark": "gateways", "gateways": len(pids), "clients": clients, "seconds": seconds}
        | {"repeats": repeats},
        "results": [
            {
                "way": way,
                "connections": connections,
                "pooled": summarise_repeats(traces, runs),
                "repeats": runs,
            }
            for (way, connections), (traces, runs) in cases.items()
        ],
    }


async def open_sender(stack: AsyncExitStack, address: str, connections: int) -> Send[Request]:
    """Return what sends searches over so many channels in turn, each with connections of its own."""
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.service_config", _ROUND_ROBIN)]
    channels = [
        await stack.enter_async_context(aio.insecure_channel(address, options=options))
        for _ in range(connections)
    ]
    stubs: Iterator[Any] = itertools.cycle(map(search_pb2_grpc.SearchServiceStub, channels))

    async def send(request: Request, timeout_s: float) -> str:
        try:
            await next(stubs).Search(request, timeout=timeout_s)
        except aio.AioRpcError as error:
            return error.code().name
        return OK

    return send


def busiest_share(used: dict[str, float]) -> float:
    """Return which share of the gateways' CPU the busiest of them used: 1 over their number where all do the same."""
    gateways = [seconds for name, seconds in used.items() if name.startswith(_GATEWAY)]
    return round(max(gateways) / max(sum(gateways), 1e-9), 3)


@click.command()
@click.option("--address", default=DEFAULT_ADDRESS, show_default=True, help="The one that they share.")
@click.option("--each", required=True, help="Their own ones, as `stack up` says: ipv4:HOST:PORT,HOST:PORT.")
@click.option("--state", type=click.Path(path_type=Path), default=Path("build/stack"), show_default=True)
@click.option("--clients", type=click.IntRange(min=1), default=16, show_default=True)
@click.option("--seconds", type=click.FloatRange(min=0.1, max=60), default=2.0, show_default=True)
@click.option("--repeats", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=RESULTS / "gateways.json", show_default=True)
def main(
    *, address: str, each: str, state: Path, clients: int, seconds: float, repeats: int, out: Path
) -> None:
    """Measure how several gateways share the calls."""
    found = uvloop.run(
        measure(
            {"shared": address, "each": each},
            state=state,
            clients=clients,
            seconds=seconds,
            repeats=repeats,
        )
    )
    out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    for case in found["results"]:
        pooled = case["pooled"]
        shares = ", ".join(f"{run['busiest_share']:.2f}" for run in case["repeats"])
        click.echo(
            f"{case['way']:6} {case['connections']:2} connections: {pooled['answered_per_s']:g}/s,"
            f" p50 {pooled['latency_ms']['p50']:g} ms, busiest gateway's share {shares}"
        )


if __name__ == "__main__":
    main()
