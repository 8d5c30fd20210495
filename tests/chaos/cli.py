"""The command line: `python -m tests.chaos faults|rolling|overload|soak`."""

import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from benchmarks.environment import describe_environment
from tests.chaos import pressure
from tests.chaos.accidents import accidents
from tests.chaos.faults import Fault, faults
from tests.chaos.load import Load
from tests.chaos.machine import Clock, Disk, small_disk
from tests.chaos.material import prepare
from tests.chaos.milvus import MilvusServer, in_namespace
from tests.chaos.rolling import roll
from tests.chaos.service import ROOT, Service, running
from tests.chaos.suite import SERVER_GROWTH, Bounds, document, run_faults
from vitrine.client import VitrineClient
from vitrine.v1.catalogue_pb2 import DescribeResponse

SHORT = frozenset(
    {
        ("triton", "kill -9"),
        ("milvus", "kill -9"),
        ("milvus", "black hole"),
        ("rewriter", "black hole"),
        ("redis", "refused"),
        ("gateway", "kill -9"),
        ("index", "swapped"),
    }
)
"""Target and fault of the short form."""

SHORT_BOUNDS = Bounds(late_s=5.0, recovery_s=200.0, unharmed=0.75)
SHORT_DEADLINE_S = 8.0
TERMINATED = 143
"""The exit status of a process that SIGTERM ended, as shells have it."""
INSIDE = "VITRINE_CHAOS_INSIDE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a service runs, and of what it is made."""

    port_base: int
    state: Path
    repository: Path
    catalogue: Path
    out: Path | None


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Break the service under live load, and say what was seen."""
    # So that whatever was started is ended too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))


def _place_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of a Place, as one."""

    def placed(*, port_base: int, state: Path | None, repository: Path, catalogue: Path, out: Path | None,
               **options: Any) -> None:  # fmt: skip
        folder = state or Path(tempfile.mkdtemp(prefix="vitrine-chaos-")) / "stack"
        command(
            Place(port_base=port_base, state=folder, repository=repository, catalogue=catalogue, out=out),
            **options,
        )

    placed.__doc__ = command.__doc__
    placed.__click_params__ = getattr(command, "__click_params__", [])  # type: ignore[attr-defined]
    there = click.Path(path_type=Path, exists=True, resolve_path=True)
    options = (
        click.option("--port-base", type=int, default=26_700, show_default=True),
        click.option("--state", type=click.Path(path_type=Path, resolve_path=True), help="An empty folder."),
        click.option("--repository", type=there, default=ROOT / "build/model_repository", show_default=True),
        click.option("--catalogue", type=there, default=ROOT / "build/catalogue", show_default=True),
        click.option("--out", type=click.Path(path_type=Path), help="Write what was seen as a result file."),
    )
    for option in options:
        placed = option(placed)
    return placed


@main.command("faults")
@click.option("--only", "targets", multiple=True, help="Only faults of this target; may be repeated.")
@click.option("--fault", "names", multiple=True, help="Only faults whose name begins so.")
@click.option("--short", is_flag=True, help="A few faults in three minutes, with bounds for a busy machine.")
@click.option(
    "--milvus-server", is_flag=True, help="Use the real Milvus 2.3.5, in a network namespace (root)."
)
@click.option("--rate", type=float, default=12.0, show_default=True, help="Requests a second.")
@click.option("--seconds", type=float, default=6.0, show_default=True, help="Of a fault of the network.")
@click.option("--stop-seconds", type=float, default=10.0, show_default=True, help="Of a SIGSTOP.")
@click.option("--seed", type=int, default=1, show_default=True)
@_place_options
def faults_command(place: Place, *, targets: tuple[str, ...], names: tuple[str, ...], **options: Any) -> None:
    """Let every fault happen under live load, and hold every answer against an exact index."""
    if options["milvus_server"] and not os.environ.get(INSIDE):
        sys.exit(in_namespace(sys.argv[1:], INSIDE))
    begun = datetime.now(UTC)

    def wanted(fault: Fault) -> bool:
        return (
            (not options["short"] or (fault.target, fault.name) in SHORT)
            and (not targets or fault.target in targets)
            and (not names or fault.name.startswith(names))
        )

    with ExitStack() as held:
        service, disk, clock = _broken_service(held, place, options)
        described, results = asyncio.run(_faults(service, place, disk, clock, wanted, options))
    _write(place.out, {"benchmark": "chaos"} | options, results, begun=begun, described=described)
    breaches = sum(len(each["breaches"]) for each in results)
    click.echo(f"{len(results)} faults, {breaches} breaches")
    sys.exit(int(bool(breaches)))


@main.command("rolling")
@click.option("--requests", type=int, default=5_000, show_default=True, help="At least.")
@click.option("--clients", type=int, default=8, show_default=True)
@_place_options
def rolling_command(place: Place, *, requests: int, clients: int) -> None:
    """Restart two gateways and two Tritons in turn behind an Envoy, under load."""
    begun = datetime.now(UTC)
    result = asyncio.run(
        roll(
            place.state,
            port_base=place.port_base,
            repository=place.repository,
            catalogue=place.catalogue,
            requests=requests,
            clients=clients,
            say=click.echo,
        )
    )
    _write(
        place.out, {"benchmark": "rolling", "requests": requests, "clients": clients}, [result], begun=begun
    )
    click.echo(json.dumps(result))
    sys.exit(int(bool(result["failed"] or result["wrong"])))


@main.command("overload")
@click.option("--seconds", type=float, default=15.0, show_default=True, help="Of each measurement.")
@_place_options
def overload_command(place: Place, *, seconds: float) -> None:
    """Offer three times the peak, and see how much of it is served, and how late."""
    begun = datetime.now(UTC)
    with _plain_service(place) as service:
        asyncio.run(_fill(service, place))
        result = asyncio.run(
            pressure.overload(service.settings.gateway, seconds=seconds, seed=1, say=click.echo)
        )
    _write(place.out, {"benchmark": "overload", "seconds": seconds}, [result], begun=begun)
    click.echo(json.dumps(result))


@main.command("soak")
@click.option("--minutes", type=float, default=30.0, show_default=True)
@_place_options
def soak_command(place: Place, *, minutes: float) -> None:
    """Load at 70 % of the peak for long, and see whether anything grows; with --state a soak that was cut goes on."""
    begun = datetime.now(UTC)
    with _plain_service(place) as service:
        asyncio.run(_fill(service, place))
        results = asyncio.run(
            pressure.soak(service, place.state.parent, minutes=minutes, seed=1, say=click.echo)
        )
    _write(place.out, {"benchmark": "soak", "minutes": minutes}, results, begun=begun)
    click.echo(json.dumps(results[0]))


def _plain_service(place: Place) -> AbstractContextManager[Service]:
    return running(place.state, port_base=place.port_base, repository=place.repository, proxied=False)


async def _fill(service: Service, place: Place) -> None:
    await prepare(
        service.settings.gateway, service.settings.triton_grpc, place.catalogue, products=400, texts=0, seed=1
    )


def _broken_service(
    held: ExitStack, place: Place, options: dict[str, Any]
) -> tuple[Service, Disk | None, Clock | None]:
    """Run a service whose disk is small and whose clock can be set, where the machine allows that."""
    repository = place.state.parent / "repository"
    shutil.copytree(place.repository, repository, dirs_exist_ok=True)
    disk = clock = milvus = None
    if not options["short"]:
        try:
            held.enter_context(small_disk(place.state))
            disk = Disk(place.state)
        except PermissionError as error:
            click.echo(f"left out: {error}")
        clock = Clock(place.state.parent)
    if options["milvus_server"]:
        milvus = MilvusServer(place.state.parent)
        held.callback(milvus.stop)
        milvus.start()
    service = held.enter_context(
        running(
            place.state,
            port_base=place.port_base,
            repository=repository,
            milvus=milvus,
            environment=clock.environment if clock is not None else None,
        )
    )
    return service, disk, clock


async def _faults(  # noqa: PLR0917 - one call
    service: Service,
    place: Place,
    disk: Disk | None,
    clock: Clock | None,
    wanted: Callable[[Fault], bool],
    options: dict[str, Any],
) -> tuple[DescribeResponse, list[dict[str, Any]]]:
    short = options["short"]
    material, index = await prepare(
        service.settings.gateway,
        service.settings.triton_grpc,
        place.catalogue,
        products=150 if short else 400,
        texts=60 if short else 200,
        seed=options["seed"],
    )
    async with VitrineClient(service.settings.gateway, retry=False) as client:
        load = Load(client, material, index, rate=options["rate"], seed=options["seed"])
        if short:
            load.deadline_s = SHORT_DEADLINE_S

        def everything() -> Iterator[Fault]:
            seconds = 2.0 if short else options["seconds"]
            yield from faults(seconds=seconds, stop_seconds=3.0 if short else options["stop_seconds"])
            yield from accidents(load, disk=disk, clock=clock, seconds=seconds)

        bounds = SHORT_BOUNDS if short else Bounds()
        if options["milvus_server"]:
            bounds = replace(bounds, growth={"milvus": SERVER_GROWTH})
        outcomes = await run_faults(service, load, [*filter(wanted, everything())], bounds, click.echo)
        return await client.describe(), document(outcomes)


def _write(
    out: Path | None,
    params: dict[str, Any],
    results: list[dict[str, Any]],
    *,
    begun: datetime,
    described: DescribeResponse | None = None,
) -> None:
    """Write a result file, where one is wanted."""
    if out is None:
        return
    environment = describe_environment(described or DescribeResponse())
    environment["begun"] = begun.isoformat(timespec="seconds")
    result = {"environment": environment, "params": params, "results": results}
    out.write_text(json.dumps(result, indent=1) + "\n")
