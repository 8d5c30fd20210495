"""The command line: `python -m benchmarks load|speech|report`."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import click
import uvloop

from benchmarks.bulk import BulkBenchError, measure_bulk
from benchmarks.index import measure_indexes
from benchmarks.load import QUICK, Plan, measure
from benchmarks.processes import service_pids
from benchmarks.report import DOCUMENT, RESULTS, ReportError, stale_files, write_report
from benchmarks.speech import SpeechBenchError, measure_speech
from benchmarks.workloads import WORKLOADS
from vitrine.client import DEFAULT_ADDRESS, VitrineError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Measure a running service, and write down what was measured."""


@main.command()
@click.option("--address", default=DEFAULT_ADDRESS, envvar="VITRINE_ADDRESS", show_default=True)
@click.option(
    "--state",
    type=click.Path(path_type=Path),
    default=Path("build/stack"),
    show_default=True,
    help="The stack's state folder: says which processes' CPU is counted.",
)
@click.option(
    "--queries",
    type=click.Path(path_type=Path),
    default=Path("build/catalogue/queries"),
    show_default=True,
    help="Pictures to search by.",
)
@click.option(
    "--quick", is_flag=True, help="Under 2 minutes instead of under 8, with fewer cases and shorter runs."
)
@click.option("--workload", "workloads", type=click.Choice([*WORKLOADS]), multiple=True, help="Only these.")
@click.option(
    "--rate", "rates", type=float, multiple=True, help="Requests a second offered, instead of fractions."
)
@click.option("--arrivals", type=click.Choice(["poisson", "constant"]), default="poisson", show_default=True)
@click.option("--repeats", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--name", default="load", show_default=True, help="Ends the result file's name.")
@click.option("--out", type=click.Path(path_type=Path), default=RESULTS, show_default=True)
def load(
    *,
    address: str,
    state: Path,
    queries: Path,
    quick: bool,
    workloads: tuple[str, ...],
    rates: tuple[float, ...],
    arrivals: str,
    repeats: int,
    name: str,
    out: Path,
) -> None:
    """Measure latency and throughput: a closed loop for the ceiling, then an open loop at given rates."""
    plan = replace(QUICK if quick else Plan(), rates=rates, arrivals=arrivals, repeats=repeats)
    if workloads:
        plan = replace(plan, workloads=workloads)
    pids = service_pids(state)
    if not pids:
        click.echo(f"no stack in {state}: CPU is counted for the generator alone", err=True)
    begun = datetime.now(UTC)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            result = runner.run(measure(address, plan, queries=queries, pids=pids, say=click.echo))
    except (VitrineError, FileNotFoundError) as error:
        raise click.ClickException(f"{error} (`make demo` starts and fills a service)") from error
    result["environment"]["begun"] = begun.isoformat(timespec="seconds")
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{begun:%Y-%m-%d}-{name}.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    click.echo(f"written to {path}; `python -m benchmarks report` puts it into {DOCUMENT}")


@main.command()
@click.option("--out", type=click.Path(path_type=Path), default=RESULTS / "speech.json", show_default=True)
def speech(*, out: Path) -> None:
    """Measure how well speech is heard, and what that costs, on a speech service of its own."""
    begun = datetime.now(UTC)
    try:
        result = measure_speech(say=click.echo)
    except SpeechBenchError as error:
        raise click.ClickException(str(error)) from error
    result["environment"]["begun"] = begun.isoformat(timespec="seconds")
    out.write_text(json.dumps(result, indent=1) + "\n")
    click.echo(f"written to {out}; `python -m benchmarks report` puts it into {DOCUMENT}")


@main.command()
@click.option("--rows", type=click.IntRange(min=10_000), default=200_000, show_default=True)
@click.option(
    "--repository",
    type=click.Path(path_type=Path),
    default=Path("build/model_repository"),
    show_default=True,
    help="The encoders, run in the workers.",
)
@click.option(
    "--milvus", envvar="VITRINE_TEST_MILVUS", required=True, metavar="URI", help="An index of nobody's."
)
@click.option(
    "--folder", type=click.Path(path_type=Path), default=Path("build/bench-bulk"), show_default=True
)
@click.option("--out", type=click.Path(path_type=Path), default=RESULTS / "bulk.json", show_default=True)
def bulk(*, rows: int, repository: Path, milvus: str, folder: Path, out: Path) -> None:
    """Measure bulk indexing while a worker, and then the whole run, is killed."""
    begun = datetime.now(UTC)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        result = measure_bulk(folder, rows=rows, repository=repository, milvus=milvus, say=click.echo)
    except BulkBenchError as error:
        raise click.ClickException(str(error)) from error
    result["environment"]["begun"] = begun.isoformat(timespec="seconds")
    out.write_text(json.dumps(result, indent=1) + "\n")
    click.echo(f"written to {out}; `python -m benchmarks report` puts it into {DOCUMENT}")


@main.command()
@click.option("--rows", type=click.IntRange(min=1_000), default=50_000, show_default=True)
@click.option(
    "--repository",
    type=click.Path(path_type=Path),
    default=Path("build/model_repository"),
    show_default=True,
    help="Encoders for the drawn captions.",
)
@click.option(
    "--milvus", envvar="VITRINE_TEST_MILVUS", required=True, metavar="URI", help="An index of nobody's."
)
@click.option("--lite", is_flag=True, help="It is a Milvus Lite, which has fewer kinds.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="[default: index-KIND-ROWS.json among the results]"
)
def index(*, rows: int, repository: Path, milvus: str, lite: bool, out: Path | None) -> None:
    """Measure kinds of vector index: recall, latency, CPU and memory, with and without filters."""
    begun = datetime.now(UTC)
    result = measure_indexes(milvus, rows=rows, repository=repository, lite=lite, say=click.echo)
    out = out or RESULTS / f"index-{'lite' if lite else 'server'}-{rows}.json"
    result["environment"]["begun"] = begun.isoformat(timespec="seconds")
    out.write_text(json.dumps(result, indent=1) + "\n")
    click.echo(f"written to {out}; `python -m benchmarks report` puts it into {DOCUMENT}")


@main.command()
@click.option("--check", is_flag=True, help="Write nothing; fail when a document differs from its results.")
def report(*, check: bool) -> None:
    """Write the tables and plots of docs/benchmarks.md from benchmarks/results/*.json."""
    try:
        if not check:
            for path in write_report():
                click.echo(f"written: {path}")
        elif stale := stale_files():
            names = ", ".join(map(str, stale))
            raise click.ClickException(
                f"not what the results say: {names}; run `python -m benchmarks report`"
            )
    except ReportError as error:
        raise click.ClickException(str(error)) from error
