"""The command line: `python -m benchmarks COMMAND`; `--help` lists them, and those about size are in `cli_scale`."""

import asyncio
import secrets
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import click
import uvloop

from benchmarks.cli_peers import peers
from benchmarks.cli_scale import bulk, capacity, cores, index, uptime
from benchmarks.compare import changes_table, compare, regressions
from benchmarks.features import measure_features
from benchmarks.levers import WORKING_TREE, LeverPlan, measure_levers
from benchmarks.load import PLANS, measure
from benchmarks.moderation import measure_moderation
from benchmarks.personal import PersonalBenchError, measure_personal
from benchmarks.processes import service_pids
from benchmarks.report import BASELINE, RESULTS, ReportError, read_result, stale_files, write_report
from benchmarks.serving import Served, ServingError
from benchmarks.speech import SpeechBenchError, measure_speech
from benchmarks.stages import measure_stages
from benchmarks.sweep import VARIANTS, sweep
from benchmarks.trace import measure_trace
from benchmarks.workloads import WORKLOADS
from benchmarks.writing import SMALL, WEIGHTS, measure_on_own_stack, write_result
from vitrine.client import DEFAULT_ADDRESS, VitrineError

_families = click.option(
    "--weights",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    multiple=True,
    required=True,
    help="Families to serve on a stack of their own, one after the other.",
)


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
    "--plan",
    "size",
    type=click.Choice([*PLANS]),
    default="full",
    show_default=True,
    help="full takes 12 minutes, quick 4, short half a minute of CPU figures alone.",
)
@click.option("--workload", "workloads", type=click.Choice([*WORKLOADS]), multiple=True, help="Only these.")
@click.option(
    "--rate", "rates", type=float, multiple=True, help="Requests a second offered, instead of fractions."
)
@click.option("--arrivals", type=click.Choice(["poisson", "constant"]), default="poisson", show_default=True)
@click.option(
    "--loop",
    "loops",
    type=click.Choice(["closed", "open"]),
    multiple=True,
    help="Only these.",
)
@click.option("--repeats", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--salt", help="Seeds the requests; by default a new one, so that no cache knows them.")
@click.option("--name", default="load", show_default=True, help="Ends the result file's name.")
@click.option("--out", type=click.Path(path_type=Path), default=RESULTS, show_default=True)
def load(
    *,
    address: str,
    state: Path,
    queries: Path,
    size: str,
    workloads: tuple[str, ...],
    rates: tuple[float, ...],
    arrivals: str,
    loops: tuple[str, ...],
    repeats: int,
    salt: str | None,
    name: str,
    out: Path,
) -> None:
    """Measure latency and throughput: a closed loop for the ceiling, then an open loop at given rates."""
    salt = secrets.token_hex(4) if salt is None else salt
    plan = replace(PLANS[size], rates=rates, arrivals=arrivals, repeats=repeats, salt=salt)
    plan = replace(plan, loops=loops or plan.loops, workloads=workloads or plan.workloads)
    pids = service_pids(state)
    if not pids:
        click.echo(f"no stack in {state}: CPU is counted for the generator alone", err=True)
    begun = datetime.now(UTC)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            result = runner.run(measure(address, plan, queries=queries, pids=pids, say=click.echo))
    except (VitrineError, FileNotFoundError) as error:
        raise click.ClickException(f"{error} (`make demo` starts and fills a service)") from error
    write_result(out / f"{begun:%Y-%m-%d}-{name}.json", result, begun)


@main.command()
@click.option("--address", default=DEFAULT_ADDRESS, envvar="VITRINE_ADDRESS", show_default=True)
@click.option("--state", type=click.Path(path_type=Path), default=Path("build/stack"), show_default=True)
@click.option("--rounds", type=click.IntRange(min=1), default=12, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=RESULTS / "personal.json", show_default=True)
def personal(*, address: str, state: Path, rounds: int, out: Path) -> None:
    """Measure what ranking by taste and by intent adds to a search of the running stack."""
    begun = datetime.now(UTC)
    salt, pids = secrets.token_hex(4), service_pids(state)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            result = runner.run(
                measure_personal(address, rounds=rounds, salt=salt, pids=pids, say=click.echo)
            )
    except (VitrineError, PersonalBenchError) as error:
        raise click.ClickException(str(error)) from error
    write_result(out, result, begun)


@main.command()
@click.option("--out", type=click.Path(path_type=Path), default=RESULTS / "speech.json", show_default=True)
def speech(*, out: Path) -> None:
    """Measure how well speech is heard, and what that costs, on a speech service of its own."""
    begun = datetime.now(UTC)
    try:
        result = measure_speech(say=click.echo)
    except SpeechBenchError as error:
        raise click.ClickException(str(error)) from error
    write_result(out, result, begun)


@main.command()
@click.option(
    "--data",
    type=click.Path(exists=True, path_type=Path),
    multiple=True,
    required=True,
    help="Photographs: Parquet files with a column image, or folders of JPEGs. Nothing of them is kept.",
)
@click.option(
    "--repository",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path("build/model_repository"),
    show_default=True,
    help="The model repository whose image encoder embeds.",
)
@click.option("--blocked", type=click.IntRange(min=2), default=510, show_default=True)
@click.option("--others", type=click.IntRange(min=2), default=9000, show_default=True)
@click.option(
    "--out", type=click.Path(path_type=Path), default=RESULTS / "moderation.json", show_default=True
)
def moderation(*, data: tuple[Path, ...], repository: Path, blocked: int, others: int, out: Path) -> None:
    """Measure what a list of blocked pictures finds, and what it takes for one and is none."""
    begun = datetime.now(UTC)
    try:
        result = measure_moderation(data, repository, blocked=blocked, others=others, say=click.echo)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    write_result(out, result, begun)


@main.command()
@_families
@click.option("--repeats", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=RESULTS, show_default=True)
def stages(*, weights: tuple[Path, ...], repeats: int, out: Path) -> None:
    """Measure what an ensemble and a whole search cost over their stages run raw."""
    for family in weights:
        measuring = partial(measure_stages, repeats=repeats, salt=secrets.token_hex(4), say=click.echo)
        measure_on_own_stack(family, measuring, out / f"stages-{family.name}.json")


@main.command()
@click.option(
    "--weights",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=WEIGHTS / "pair",
    show_default=True,
    help="The family to serve.",
)
@click.option("--out", type=click.Path(path_type=Path), default=RESULTS / "trace.json", show_default=True)
def trace(*, weights: Path, out: Path) -> None:
    """Trace a search by a picture and words through every service, on a stack of its own."""
    begun = datetime.now(UTC)
    try:
        result = asyncio.run(measure_trace(weights))
    except (ServingError, VitrineError) as error:
        raise click.ClickException(str(error)) from error
    write_result(out, result, begun)


@main.command("sweep")
@_families
@click.option("--repeats", type=click.IntRange(min=1), default=5, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=RESULTS, show_default=True)
@click.option(
    "--variant",
    "chosen",
    type=click.Choice([variant.name for variant in VARIANTS]),
    multiple=True,
    help="Only these.",
)
def sweep_settings(*, weights: tuple[Path, ...], repeats: int, out: Path, chosen: tuple[str, ...]) -> None:
    """Measure settings of Triton's batcher and instances beside those that are served."""
    for family in weights:
        variants = [variant for variant in VARIANTS if not chosen or variant.name in chosen]
        measuring = partial(sweep, variants, repeats=repeats, salt=secrets.token_hex(4), say=click.echo)
        measure_on_own_stack(family, measuring, out / f"sweep-{family.name}.json")


def _on_stack(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of a measurement that runs gateways of its own before a stack."""
    for option in (
        click.option("--seconds", type=click.FloatRange(min=0.2, max=60), default=1.0, show_default=True),
        click.option("--pairs", type=click.IntRange(min=4), default=12, show_default=True),
        click.option(
            "--workload",
            "workloads",
            type=click.Choice([name for name in WORKLOADS if name != "refined"]),
            multiple=True,
            help="Only these.",
        ),
        click.option(
            "--state", type=click.Path(path_type=Path), help="A stack that runs, instead of one of its own."
        ),
        click.option(
            "--queries",
            type=click.Path(path_type=Path),
            default=Path("build/catalogue/queries"),
            show_default=True,
            help="Pictures that are asked for, where a stack runs already.",
        ),
        click.option(
            "--weights",
            type=click.Path(exists=True, file_okay=False, path_type=Path),
            default=SMALL,
            show_default=True,
        ),
    ):
        command = option(command)
    return command


def _measure_on_stack(
    measuring: Callable[..., Coroutine[Any, Any, dict[str, Any]]],
    *,
    weights: Path,
    state: Path | None,
    queries: Path,
    out: Path,
) -> None:
    """Measure on a stack of its own, or on the one of that state, and write the result."""
    if state is None:
        measure_on_own_stack(weights, lambda served: measuring(pids=served.pids, queries=served.queries), out)
        return
    begun = datetime.now(UTC)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        result = runner.run(measuring(pids=service_pids(state), queries=queries))
    write_result(out, result, begun)


@main.command()
@click.argument("revisions", nargs=-1, required=True)
@_on_stack
@click.option("--clients", type=click.IntRange(min=1), default=8, show_default=True)
@click.option(
    "--out", type=click.Path(path_type=Path), default=RESULTS / "gateway-levers.json", show_default=True
)
def levers(
    *,
    revisions: tuple[str, ...],
    workloads: tuple[str, ...],
    clients: int,
    pairs: int,
    seconds: float,
    **stack: Any,
) -> None:
    """Compare the gateway's CPU per search of each REVISION with the one before it; `.` is the working tree."""
    plan = LeverPlan(clients=clients, pairs=pairs, seconds=seconds, salt=secrets.token_hex(4))
    plan = replace(plan, workloads=workloads or plan.workloads)
    _measure_on_stack(partial(measure_levers, revisions, plan, say=click.echo), **stack)


@main.command()
@click.option("--revision", default=WORKING_TREE, show_default=True, help="The working tree, or a commit.")
@_on_stack
@click.option("--clients", type=click.IntRange(min=1), default=16, show_default=True)
@click.option(
    "--out", type=click.Path(path_type=Path), default=RESULTS / "gateway-features.json", show_default=True
)
def features(
    *, revision: str, workloads: tuple[str, ...], clients: int, pairs: int, seconds: float, **stack: Any
) -> None:
    """Compare the gateway's CPU per search with events, campaigns and moderation on, and off, and with a bare server's."""
    plan = LeverPlan(clients=clients, pairs=pairs, seconds=seconds, salt=secrets.token_hex(4))
    plan = replace(plan, workloads=workloads or ("text, repeated", "text"))
    _measure_on_stack(partial(measure_features, revision, plan, say=click.echo), **stack)


@main.command()
def baseline() -> None:
    """Measure the CPU per search that the tests compare with."""

    async def short(served: Served) -> dict[str, Any]:
        plan = replace(PLANS["short"], salt=secrets.token_hex(4))
        return await measure(served.address, plan, queries=served.queries, pids=served.pids, say=click.echo)

    measure_on_own_stack(SMALL, short, BASELINE)


@main.command("compare")
@click.argument("before", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("after", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--fail-above",
    type=float,
    help="Fail where a search's CPU over the bare server's rose to more than so many times.",
)
def compare_results(*, before: Path, after: Path, fail_above: float | None) -> None:
    """Say what changed between two results of `load`, with its noise."""
    try:
        old, new = read_result(before), read_result(after)
    except ReportError as error:
        raise click.ClickException(str(error)) from error
    changes = compare(old, new)
    if not changes:
        raise click.ClickException(f"{before} and {after} have no case in common")
    click.echo("\n".join(changes_table(changes)))
    if fail_above is not None and (risen := regressions(old, new, fail_above)):
        raise click.ClickException("; ".join(risen))


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


for command in (peers, cores, uptime, bulk, index, capacity):
    main.add_command(command)
