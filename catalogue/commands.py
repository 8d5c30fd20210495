"""`vitrine index PATH`: puts a catalogue into the index."""

import time
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from catalogue.indexing import Report, send_catalogue
from catalogue.readers.opening import OpenCatalogue, open_catalogue
from catalogue.readers.rows import CatalogueError
from vitrine.client import DEFAULT_ADDRESS, UPSERT_TIMEOUT_S, VitrineClient
from vitrine.commands.connection import Connection, Failure
from vitrine.commands.tables import print_json, printable


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--rebuild", is_flag=True, help="Build a new index of this catalogue alone and swap it in at the end."
)
@click.option(
    "--rebuild-if-stale", is_flag=True, help="Do so only where other encoders made the index that is there."
)
@click.option("--json", "want_json", is_flag=True, help="Write the counts and the first errors as JSON.")
@click.option(
    "--address", default=DEFAULT_ADDRESS, envvar="VITRINE_ADDRESS", show_default=True, show_envvar=True
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=UPSERT_TIMEOUT_S,
    show_default=True,
    help="Seconds that the whole may take.",
)
def index(
    *, path: Path, rebuild: bool, rebuild_if_stale: bool, want_json: bool, address: str, timeout: float
) -> None:
    """Index the catalogue at PATH.

    PATH is a CSV, TSV, JSONL or Parquet file beside its pictures, the folder of one, or a folder in Fashion200K's
    layout. Columns: title, category, image (a path relative to the file), and optionally id, price, colour,
    pattern, brand; every other column becomes an attribute. A bad row is reported and left out. Products that the
    index holds already, unchanged, cost next to nothing, so the command may be repeated after a failure.
    """
    start = time.monotonic()
    report = Report()
    try:
        catalogue = open_catalogue(path)
        _send(
            Connection(address, timeout),
            catalogue,
            report,
            rebuild=rebuild,
            rebuild_if_stale=rebuild_if_stale,
        )
    except CatalogueError as error:
        raise Failure(str(error)) from error
    except OSError as error:
        raise Failure(f"{error.filename or path}: {error.strerror}") from error
    finally:
        if want_json:
            print_json(_as_json(path, report, time.monotonic() - start))
        elif report.indexed or report.rejected:
            _print_report(path, report, time.monotonic() - start)
    if not report.indexed:
        raise Failure(f"{path}: no product could be indexed")


def _send(
    connection: Connection,
    catalogue: OpenCatalogue,
    report: Report,
    *,
    rebuild: bool,
    rebuild_if_stale: bool,
) -> None:
    columns = (TextColumn("indexing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(
        *columns, console=Console(stderr=True), disable=not Console(stderr=True).is_terminal
    ) as bar:
        task = bar.add_task("", total=catalogue.estimate)

        async def send(client: VitrineClient) -> None:
            await send_catalogue(
                client,
                catalogue,
                report,
                rebuild=rebuild,
                rebuild_if_stale=rebuild_if_stale,
                timeout_s=connection.timeout_s,
                progress=lambda done: bar.update(task, completed=done),
            )

        connection.run(send)


def _print_report(path: Path, report: Report, seconds: float) -> None:
    done = f"{report.written:,} written, {report.unchanged:,} unchanged, {report.rejected:,} rejected"
    where = f"in {report.index}" if report.ended else "before it stopped; the same command goes on from there"
    click.echo(printable(f"{path}: {done} {where} ({seconds:.1f} s)"))
    for refusal in report.refusals:
        click.echo(printable(f"  {refusal}"), err=True)
    if report.rejected > len(report.refusals):
        click.echo(f"  and {report.rejected - len(report.refusals):,} more", err=True)


def _as_json(path: Path, report: Report, seconds: float) -> dict[str, object]:
    return {
        "path": str(path),
        "index": report.index,
        "ended": report.ended,
        "written": report.written,
        "unchanged": report.unchanged,
        "rejected": report.rejected,
        "seconds": round(seconds, 3),
        "errors": [asdict(refusal) for refusal in report.refusals],
    }
