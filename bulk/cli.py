"""`python -m bulk`: embeds and indexes a catalogue on many workers."""

import asyncio
import importlib.util
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # it tells of every process that Ray starts

import click

from bulk.errors import BulkError
from bulk.loading import Tally
from gateway.settings import PREFIX, Settings
from vitrine.commands.connection import Failure
from vitrine.domain.schema import SchemaError
from vitrine.domain.schema_files import read_schema
from vitrine.process.settings import InvalidSettings, read_settings

if TYPE_CHECKING:
    from bulk.run import Ended

LONG_LEASE_S = 90.0
"""Of who writes so much that a server may answer its beats late (docs/decisions/0070)."""
MIN_LEASE_S = 20.0
"""A gateway's."""
MAX_LEASE_S = 3600.0

_LINE_S = 5.0
"""Between two lines of progress."""


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Embed and index a catalogue that is too large for one machine."""


@main.command()
@click.argument("path")
@click.option("--schema", "schema_file", type=click.Path(path_type=Path), help="As `vitrine index` takes it.")
@click.option(
    "--address", default="", metavar="HOST:PORT", help="A Ray cluster's.  [default: a Ray of this run's own]"
)
@click.option(
    "--workers", type=click.IntRange(min=1), default=2, show_default=True, help="Workers that embed."
)
@click.option("--triton", metavar="HOST:PORT", help="The encoders.  [default: GATEWAY_TRITON]")
@click.option(
    "--repository",
    type=click.Path(path_type=Path),
    help="A published model repository whose graphs the workers run themselves, instead of asking Triton.",
)
@click.option("--milvus", metavar="URI", help="The index.  [default: GATEWAY_MILVUS]")
@click.option(
    "--work",
    default="build/bulk",
    show_default=True,
    metavar="PLACE",
    help="Where parts are kept: a folder that all workers see, or a bucket such as s3://bucket/bulk.",
)
@click.option(
    "--bad-rows",
    type=click.FloatRange(min=0, max=1),
    default=0.01,
    show_default=True,
    help="The share of rows that may be bad; with more the index in use stays.",
)
@click.option(
    "--insert-from",
    default="",
    metavar="PLACE",
    help="A folder or bucket that Milvus reads: it takes files in from there (bulk insert), where it can.  [default: upserts]",
)
@click.option(
    "--insert-as",
    default="",
    metavar="PATH",
    help="That place as Milvus sees it, where that is another path.",
)
@click.option(
    "--lease",
    "lease_s",
    type=click.FloatRange(min=MIN_LEASE_S, max=MAX_LEASE_S),
    default=LONG_LEASE_S,
    show_default=True,
    metavar="SECONDS",
    help="After how long others may go on where this run has died. A Milvus that answers late wants more of it.",
)
@click.option(
    "--yes", "confirmed", is_flag=True, help="Let it leave less than half of the products that there are."
)
@click.option("--allow-outside", is_flag=True, help="As `vitrine index` takes it.")
def index(
    *,
    path: str,
    schema_file: Path | None,
    address: str,
    workers: int,
    triton: str | None,
    repository: Path | None,
    milvus: str | None,
    work: str,
    bad_rows: float,
    lease_s: float,
    insert_from: str,
    insert_as: str,
    confirmed: bool,
    allow_outside: bool,
) -> None:
    """Make a new index of the catalogue at PATH, and swap it in at its end.

    PATH is whatever `vitrine index` reads, or such a file or folder in a bucket. Run it again after a kill: what was
    embedded is kept. It speaks to Triton and Milvus itself, by the gateway's settings (GATEWAY_MILVUS_TOKEN_FILE and so on).
    """
    if importlib.util.find_spec("ray") is None:
        raise Failure("Ray is not installed; the way out: make setup-bulk")
    # What Ray brings is loaded for a run alone.
    from bulk.remote import brought_here  # noqa: PLC0415
    from bulk.run import Plan, run  # noqa: PLC0415

    progress = _Progress()
    try:
        settings = read_settings(Settings, PREFIX, os.environ)
        settings = replace(settings, triton=triton or settings.triton, milvus=milvus or settings.milvus)
        plan = Plan(
            path=brought_here(path, work),
            schema=read_schema(schema_file) if schema_file is not None else None,
            work=_resolved(work),
            address=address,
            workers=workers,
            repository=str(repository.resolve()) if repository is not None else "",
            most_bad=bad_rows,
            confirm_shrink=confirmed,
            allow_outside=allow_outside,
            lease_s=lease_s,
            insert_from=_resolved(insert_from),
            insert_as=insert_as,
        )
        ended = asyncio.run(run(plan, settings, began=progress.begin, progress=progress.show))
    except (BulkError, InvalidSettings, SchemaError) as error:
        raise Failure(str(error)) from error
    except OSError as error:
        raise Failure(f"{error.filename or path}: {error.strerror or error}") from error
    progress.end(ended.tally)
    _tell(ended)


def _tell(ended: "Ended") -> None:
    """Say what a run has done."""
    tally = ended.tally
    click.echo(f"index {ended.index}: {tally.products:,} products of {tally.rows:,} rows, in use now")
    if ended.replaced is not None:
        click.echo(f"in the place of {ended.replaced.collection}, which `vitrine restore` puts back")
    if ended.files_refused:
        click.echo("this Milvus has no bulk insert: rows were upserted")
    if tally.lost_pictures:
        click.echo(f"{tally.lost_pictures:,} pictures could not be read; their products are there")
    if tally.bad:
        click.echo(f"{tally.bad:,} rows are not in it: {ended.bad_rows}")


def _resolved(place: str) -> str:
    """Return a place as every process finds it: a URI as it is, a path in full."""
    return place if "://" in place or not place else str(Path(place).resolve())


class _Progress:
    """Prints a line every few seconds: what is done, how fast it goes now, and how long the rest takes at that."""

    def __init__(self) -> None:
        self._estimate = 0
        self._began_at = self._said_at = time.monotonic()
        self._said_rows = 0

    def begin(self, estimate: int) -> None:
        """Take about how many rows there are."""
        self._estimate = estimate
        self._began_at = self._said_at = time.monotonic()

    def show(self, tally: Tally) -> None:
        """Print a line, unless one was printed a moment ago."""
        now = time.monotonic()
        if now - self._said_at < _LINE_S:
            return
        rate = (tally.rows - self._said_rows) / (now - self._said_at)
        self._said_at, self._said_rows = now, tally.rows
        of = f" of about {self._estimate:,}" if self._estimate > tally.rows else ""
        left = f"; about {(self._estimate - tally.rows) / rate / 60:,.0f} min left" if of and rate else ""
        click.echo(f"{tally.rows:,}{of} rows, {rate:,.0f} a second, {tally.bad:,} bad{left}", err=True)

    def end(self, tally: Tally) -> None:
        """Print what the whole run took."""
        seconds = time.monotonic() - self._began_at
        click.echo(
            f"{tally.rows:,} rows in {seconds:,.0f} s, {tally.resumed:,} of them embedded by a run before",
            err=True,
        )
