"""The commands about size: more cores, hours of service, large indexes, and what a load takes."""

import secrets
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import click

from benchmarks.bulk import BulkBenchError, measure_bulk
from benchmarks.capacity import USUAL, CapacityError, Load
from benchmarks.capacity_page import answer, read_mix
from benchmarks.cores import measure_cores
from benchmarks.index import measure_indexes
from benchmarks.report import RESULTS
from benchmarks.uptime import measure_uptime
from benchmarks.writing import SMALL, measure_on_own_stack, write_result


@click.command()
@click.option("--seconds", type=float, default=3.0, show_default=True, help="Of a run.")
@click.option("--repeats", type=click.IntRange(min=1), default=5, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=RESULTS / "cores.json", show_default=True)
def cores(*, seconds: float, repeats: int, out: Path) -> None:
    """Measure what a second core brings: one gateway on one core, two on two, and all that serves with them."""
    measuring = partial(
        measure_cores, seconds=seconds, repeats=repeats, salt=secrets.token_hex(4), say=click.echo
    )
    measure_on_own_stack(SMALL, measuring, out, gateways=2)


@click.command()
@click.option("--minutes", type=float, default=1.0, show_default=True, help="Of load in between, at least.")
@click.option("--rebuilds", type=click.IntRange(min=0), default=12, show_default=True)
@click.option("--seconds", type=float, default=1.5, show_default=True, help="Of a run.")
@click.option("--repeats", type=click.IntRange(min=1), default=5, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=RESULTS / "uptime.json", show_default=True)
def uptime(*, minutes: float, rebuilds: int, seconds: float, repeats: int, out: Path) -> None:
    """Measure what a search costs after a start, and again after rebuilds under load."""
    measuring = partial(
        measure_uptime, minutes=minutes, rebuilds=rebuilds, seconds=seconds, repeats=repeats,
        salt=secrets.token_hex(4), say=click.echo,
    )  # fmt: skip
    measure_on_own_stack(SMALL, measuring, out)


@click.command()
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
@click.option("--files", "by_files", is_flag=True, help="Milvus takes files in; it runs on this machine.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="[default: among the results, by the engine and the way]",
)
def bulk(*, rows: int, repository: Path, milvus: str, folder: Path, by_files: bool, out: Path | None) -> None:
    """Measure bulk indexing while a worker, and then the whole run, is killed."""
    begun = datetime.now(UTC)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        result = measure_bulk(
            folder, rows=rows, repository=repository, milvus=milvus, by_files=by_files, say=click.echo
        )
    except BulkBenchError as error:
        raise click.ClickException(str(error)) from error
    of = "" if milvus.startswith("unix:") else "-server"
    write_result(out or RESULTS / f"bulk{of}{'-files' if by_files else ''}.json", result, begun)


@click.command()
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
@click.option("--kind", "only", multiple=True, help="Only these, such as HNSW.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="[default: index-KIND-ROWS.json among the results]"
)
def index(
    *, rows: int, repository: Path, milvus: str, lite: bool, only: tuple[str, ...], out: Path | None
) -> None:
    """Measure kinds of vector index: recall, latency, CPU and memory, with and without filters."""
    begun = datetime.now(UTC)
    out = out or RESULTS / f"index-{'lite' if lite else 'server'}-{rows}.json"
    for result in measure_indexes(
        milvus, rows=rows, repository=repository, lite=lite, only=only, say=click.echo
    ):
        write_result(out, result, begun)


def _mix(_: click.Context, __: click.Parameter, told: str | None) -> dict[str, float] | None:
    try:
        return None if told is None else read_mix(told)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.command()
@click.option(
    "--searches", type=float, default=USUAL.searches, show_default=True, help="A second, at the peak."
)
@click.option("--products", type=int, default=USUAL.products, show_default=True)
@click.option(
    "--mix", callback=_mix, metavar="KIND=SHARE,...", help="Shares of the kinds of search, adding up to 1."
)
@click.option(
    "--filtered",
    type=float,
    default=USUAL.filtered,
    show_default=True,
    help="Share of the look-ups with a condition.",
)
@click.option(
    "--pictures", type=float, default=USUAL.pictures, show_default=True, help="Of a product; each is a row."
)
@click.option(
    "--use",
    type=float,
    default=USUAL.use,
    show_default=True,
    help="Share of a core in use at the peak; the rest is headroom.",
)
@click.option(
    "--replicas", type=int, default=USUAL.replicas, show_default=True, help="Copies of the index in memory."
)
@click.option(
    "--segment-gib",
    type=float,
    default=USUAL.segment_gib,
    show_default=True,
    help="Of a segment: Milvus's dataCoord.segment.maxSize.",
)
@click.option(
    "--node-cores", type=int, default=USUAL.node_cores, show_default=True, help="Of a query node of Milvus."
)
@click.option("--node-gib", type=float, default=USUAL.node_gib, show_default=True, help="Its memory.")
def capacity(*, mix: dict[str, float] | None, **told: Any) -> None:
    """Compute what a load takes from the committed results: cores, memory, nodes (docs/capacity.md)."""
    try:
        load = Load(**told, mix=USUAL.mix if mix is None else mix)
        click.echo("\n".join(answer(load, RESULTS)))
    except CapacityError as error:
        raise click.ClickException(str(error)) from error
