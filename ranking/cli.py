"""`python -m ranking`: learns the order of hits from the events of a gateway."""

import asyncio
import importlib.util
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import click

from catalogue.readers.rows import CatalogueError
from gateway.adapters.redis_events import open_redis_events
from gateway.adapters.sqlite_events import UnreadableEvents, open_sqlite_events
from gateway.ports import EventStore
from gateway.retrieval.ranker_file import write_ranker
from gateway.settings import REDIS, Settings
from ranking.cost import measure_cost
from ranking.log import Judged, read_log
from ranking.onnx_file import export_onnx
from ranking.propensity import PositionBias
from ranking.training import TooLittle, bias_of, route_weights, train
from vitrine.commands.connection import Failure

_RESULT = Path("benchmarks/results/ranking.json")
_events = click.option(
    "--events",
    envvar="GATEWAY_EVENTS",
    required=True,
    metavar="PLACE",
    help="As GATEWAY_EVENTS: the gateway's file, or its Redis.",
)
_eta = click.option(
    "--eta",
    type=click.FloatRange(0, 5),
    help="Position bias: a place k is looked at k^-eta as often as the first.  [default: by answers with exchanged places]",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Learn from what shoppers did how hits should be ordered."""


@main.command(name="train")
@_events
@_eta
@click.option(
    "--share",
    type=click.FloatRange(0, 1),
    default=Settings().learnt_share,
    show_default=True,
    help="The signal's share, as GATEWAY_LEARNT_SHARE; it is judged with it.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("build/ranker.json"),
    show_default=True,
    help="For GATEWAY_RANKER.",
)
def train_command(*, events: str, eta: float | None, share: float, out: Path) -> None:
    """Train a ranker, and judge it on the last fifth of the log.

    It is written with all figures either way; one that does not beat the default order is marked as refused, which no gateway
    loads, and the exit status is 1. Beside it lies the graph as ONNX, where onnx is installed.
    """
    try:
        trained = train(_log(events), share=share, eta=eta)
    except TooLittle as error:
        raise Failure(str(error)) from error
    out.parent.mkdir(parents=True, exist_ok=True)
    write_ranker(out, trained.ranker, trained.card)
    if importlib.util.find_spec("onnx") is not None:
        export_onnx(trained.ranker, out.with_suffix(".onnx"))
    for name, weight in zip(trained.ranker.features, trained.ranker.weights, strict=True):
        click.echo(f"{name:12} {weight:+.3f}")
    worth = trained.comparison
    click.echo(
        f"NDCG@10 of {trained.card['held_out']['answers']:,} held-out answers: {worth.ndcg:.3f}, by default {worth.default:.3f}"
        f" (95 % of the difference: {worth.lowest_gain:+.3f} to {worth.highest_gain:+.3f})"
    )
    if not worth.wins:
        click.echo(f"{out}: refused, since it does not beat the default order", err=True)
        raise click.exceptions.Exit(1)
    click.echo(f"{out}: for GATEWAY_RANKER")


@main.command()
@_events
@_eta
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="A file of settings to write, a line a route.  [default: shown alone]",
)
def weights(*, events: str, eta: float | None, out: Path | None) -> None:
    """Learn by route what the image half of a score should weigh; the text half has the rest.

    A weight is written as the setting that it is for, where it beats the one in use on the last fifth of the route's answers.
    """
    judged = _log(events)
    try:
        bias = PositionBias(eta=eta) if eta is not None else bias_of(judged)
    except TooLittle as error:
        raise Failure(str(error)) from error
    lines = []
    for route, (weight, worth) in route_weights(judged, bias).items():
        outcome = "" if worth.wins else ": not better, left as it is"
        click.echo(f"{route}: {weight:.3f}, NDCG@10 {worth.ndcg:.3f} instead of {worth.default:.3f}{outcome}")
        if worth.wins:
            lines.append(f"GATEWAY_{route.upper()}_IMAGE_WEIGHT={weight:.3f}\n")
    if not lines:
        raise Failure("no route's weight is better than the one in use, or too few hits were chosen")
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text("".join(lines))


@main.command()
@click.option(
    "--data",
    type=click.Path(path_type=Path, exists=True),
    help="A catalogue as `vitrine index` reads it; its first products with words are offered.  [default: drawn ones]",
)
@click.option("--products", type=click.IntRange(50, 20_000), default=300, show_default=True)
@click.option("--searches", type=click.IntRange(100, 100_000), default=3_000, show_default=True)
@click.option(
    "--queries", type=click.IntRange(10, 10_000), default=300, show_default=True, help="That judge, unseen."
)
@click.option("--seeds", type=click.IntRange(1, 100), default=5, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=_RESULT, show_default=True)
def simulate(*, data: Path | None, products: int, searches: int, queries: int, seeds: int, out: Path) -> None:
    """Let simulated shoppers search, click and be learnt from, and write what came of it."""
    from ranking.simulation import Plan, measure  # noqa: PLC0415 - a gateway with fakes, for this alone

    if not out.parent.is_dir():
        raise Failure(f"{out.parent}: no such folder")
    plan = Plan(data=data, products=products, searches=searches, queries=queries, seeds=seeds)
    try:
        result = asyncio.run(measure(plan, say=click.echo))
    except (CatalogueError, TooLittle) as error:
        raise Failure(str(error)) from error
    out.write_text(json.dumps(result, indent=1) + "\n")


@main.command()
@click.option("--repeats", type=click.IntRange(10, 10_000), default=200, show_default=True)
@click.option(
    "--shoppers",
    type=click.IntRange(100, 100_000),
    multiple=True,
    default=(1_000, 4_000, 10_000),
    show_default=True,
    help="Of an experiment; each number is tried.",
)
@click.option("--products", type=click.IntRange(50, 20_000), default=300, show_default=True)
@click.option(
    "--taught-by", type=click.IntRange(100, 100_000), default=2_000, show_default=True, help="Searches."
)
@click.option(
    "--searches",
    type=click.IntRange(100, 100_000),
    default=4_000,
    show_default=True,
    help="Through a gateway with an experiment, whose report is read.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=_RESULT.with_name("experiment.json"),
    show_default=True,
)
def experiment(
    *, repeats: int, shoppers: tuple[int, ...], products: int, taught_by: int, searches: int, out: Path
) -> None:
    """Let simulated shoppers take part in experiments, and write how often a report finds what is there, and what is not."""
    from ranking.experiment import Trial, measure_experiments  # noqa: PLC0415 - as above
    from ranking.simulation import Plan  # noqa: PLC0415

    if not out.parent.is_dir():
        raise Failure(f"{out.parent}: no such folder")
    plan = Plan(products=products, searches=taught_by, queries=300, seeds=1)
    trial = Trial(repeats=repeats, shoppers=shoppers, searches=searches)
    try:
        result = asyncio.run(measure_experiments(trial, plan, say=click.echo))
    except TooLittle as error:
        raise Failure(str(error)) from error
    out.write_text(json.dumps(result, indent=1) + "\n")


@main.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=_RESULT.with_name("ranking-cost.json"),
    show_default=True,
)
def cost(*, out: Path) -> None:
    """Measure what a ranker costs a search, by NumPy and by ONNX Runtime."""
    result = measure_cost()
    for name, microseconds in result["results"].items():
        click.echo(f"{name:30} {microseconds:8.2f} us")
    out.write_text(json.dumps(result, indent=1) + "\n")


def _log(place: str) -> Sequence[Judged]:
    if not place.startswith(REDIS) and not Path(place).is_file():
        raise Failure(f"{place}: no such file; it is what GATEWAY_EVENTS names")

    async def read() -> Sequence[Judged]:
        async with _opened(place) as store:
            return await read_log(store)

    return asyncio.run(read())


@asynccontextmanager
async def _opened(place: str) -> AsyncIterator[EventStore]:
    if place.startswith(REDIS):
        async with open_redis_events(place, retention_days=Settings().event_retention_days) as shared:
            yield shared
        return
    try:
        async with open_sqlite_events(Path(place)) as events:
            yield events
    except UnreadableEvents as error:
        raise Failure(str(error)) from error
