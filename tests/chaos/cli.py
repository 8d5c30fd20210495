"""The command line: `python -m tests.chaos`."""

import asyncio
import json
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from benchmarks.environment import describe_environment
from tests.chaos.faults import faults
from tests.chaos.load import Load
from tests.chaos.material import prepare
from tests.chaos.rolling import roll
from tests.chaos.service import ROOT, running
from tests.chaos.suite import Bounds, document, run_faults
from vitrine.client import VitrineClient
from vitrine.v1.catalogue_pb2 import DescribeResponse

SHORT = frozenset(
    {
        ("triton", "kill -9"),
        ("triton", "black hole"),
        ("milvus", "kill -9"),
        ("milvus", "reset"),
        ("rewriter", "black hole"),
        ("redis", "refused"),
        ("gateway", "kill -9"),
    }
)
"""Target and fault of the short form."""

SHORT_BOUNDS = Bounds(late_s=2.0, recovery_s=60.0, unharmed=0.9)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Break the service under live load, and say what was seen."""


def _service_options(command: Any) -> Any:
    for option in (
        click.option("--port-base", type=int, default=26_700, show_default=True),
        click.option("--state", type=click.Path(path_type=Path), default=None),
        click.option(
            "--repository", type=click.Path(path_type=Path, exists=True, resolve_path=True),
            default=ROOT / "build/model_repository", show_default=True,
        ),
        click.option(
            "--catalogue", type=click.Path(path_type=Path, exists=True), default=ROOT / "build/catalogue",
            show_default=True,
        ),
        click.option("--out", type=click.Path(path_type=Path), help="Write what was seen as a result file."),
    ):  # fmt: skip
        command = option(command)
    return command


@main.command("faults")
@click.option("--only", "targets", multiple=True, help="Only faults of this target; may be repeated.")
@click.option("--fault", "names", multiple=True, help="Only faults whose name begins so.")
@click.option("--short", is_flag=True, help="A few faults in three minutes, with bounds for a busy machine.")
@click.option("--rate", type=float, default=12.0, show_default=True, help="Requests a second.")
@click.option("--seconds", type=float, default=6.0, show_default=True, help="Of a fault of the network.")
@click.option("--stop-seconds", type=float, default=10.0, show_default=True, help="Of a SIGSTOP.")
@click.option("--seed", type=int, default=1, show_default=True)
@_service_options
def faults_command(
    *,
    targets: tuple[str, ...],
    names: tuple[str, ...],
    short: bool,
    rate: float,
    seconds: float,
    stop_seconds: float,
    seed: int,
    port_base: int,
    state: Path | None,
    repository: Path,
    catalogue: Path,
    out: Path | None,
) -> None:
    """Let every fault happen under live load, and hold every answer against an exact index."""
    chosen = [
        each
        for each in faults(seconds=2.0 if short else seconds, stop_seconds=3.0 if short else stop_seconds)
        if (not short or (each.target, each.name) in SHORT)
        and (not targets or each.target in targets)
        and (not names or each.name.startswith(names))
    ]
    folder = _folder(state)
    begun = datetime.now(UTC)
    with running(folder, port_base=port_base, repository=repository) as service:

        async def run() -> tuple[DescribeResponse, list[dict[str, Any]]]:
            material, index = await prepare(
                service.settings.gateway,
                service.settings.triton_grpc,
                catalogue,
                products=150 if short else 400,
                texts=60 if short else 200,
                seed=seed,
            )
            async with VitrineClient(service.settings.gateway, retry=False) as client:
                load = Load(client, material, index, rate=rate, seed=seed)
                outcomes = await run_faults(
                    service, load, chosen, SHORT_BOUNDS if short else Bounds(), click.echo
                )
                return await client.describe(), document(outcomes)

        described, results = asyncio.run(run())
    params = {"rate": rate, "seconds": seconds, "stop_seconds": stop_seconds, "seed": seed, "short": short}
    _write(out, {"benchmark": "chaos"} | params, results, begun=begun, described=described)
    breaches = sum(len(each["breaches"]) for each in results)
    click.echo(f"{len(results)} faults, {breaches} breaches")
    sys.exit(int(bool(breaches)))


@main.command("rolling")
@click.option("--requests", type=int, default=5_000, show_default=True, help="At least.")
@click.option("--clients", type=int, default=8, show_default=True)
@_service_options
def rolling_command(
    *,
    requests: int,
    clients: int,
    port_base: int,
    state: Path | None,
    repository: Path,
    catalogue: Path,
    out: Path | None,
) -> None:
    """Restart two gateways and two Tritons in turn behind an Envoy, under load."""
    begun = datetime.now(UTC)
    result = asyncio.run(
        roll(
            _folder(state),
            port_base=port_base,
            repository=repository,
            catalogue=catalogue,
            requests=requests,
            clients=clients,
            say=click.echo,
        )
    )
    _write(out, {"benchmark": "rolling", "requests": requests, "clients": clients}, [result], begun=begun)
    click.echo(json.dumps(result))
    sys.exit(int(bool(result["failed"] or result["wrong"])))


def _folder(state: Path | None) -> Path:
    return state or Path(tempfile.mkdtemp(prefix="vitrine-chaos-")) / "stack"


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
    document = {"environment": environment, "params": params, "results": results}
    out.write_text(json.dumps(document, indent=1) + "\n")
