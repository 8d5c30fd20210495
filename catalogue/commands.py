"""`vitrine index PATH`: puts a catalogue into the index."""

import os
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import click
import grpc
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from catalogue.captioning import KEY_VARIABLE, CaptionSettings, open_captions
from catalogue.fetching.fetcher import FetchCounts, FetchSettings, open_fetcher
from catalogue.indexing import send_catalogue
from catalogue.inference import ALL_FIELDS, caption_settings, inference_options
from catalogue.readers.opening import OpenCatalogue, open_catalogue
from catalogue.readers.rows import CatalogueError
from catalogue.report import Report
from catalogue.summary import as_json, print_report
from vitrine.client import DEFAULT_TIMEOUT_S, UPSERT_TIMEOUT_S, VitrineClient, VitrineError
from vitrine.commands.connection import Connection, Failure, Place, reached, waits
from vitrine.commands.tables import print_json
from vitrine.domain.messages import read_schema_message
from vitrine.domain.schema import Schema, SchemaError
from vitrine.domain.schema_files import read_schema
from vitrine.v1 import catalogue_pb2

_NO_INDEX = {
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.UNIMPLEMENTED,
}
"""How a service answers that has no index to describe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Options:
    rebuild: bool
    rebuild_if_stale: bool
    confirmed: bool
    fetch: FetchSettings | None
    inference: catalogue_pb2.InferenceOptions | None
    captions: CaptionSettings | None


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--schema",
    "schema_file",
    type=click.Path(path_type=Path),
    help="The catalogue's schema, a TOML file: `vitrine schema PATH` proposes one. A feed that is known needs none.",
)
@click.option(
    "--rebuild", is_flag=True, help="Build a new index of this catalogue alone and swap it in at the end."
)
@click.option(
    "--rebuild-if-stale",
    is_flag=True,
    help="Do so only where other encoders made the index that is there, or another schema.",
)
@click.option(
    "--yes",
    "confirmed",
    is_flag=True,
    help="Let a rebuild leave less than half of the products that there are.",
)
@click.option("--fetch-pictures", is_flag=True, help="Fetch the pictures that are named by URL.")
@click.option(
    "--pictures-cache",
    type=click.Path(path_type=Path, file_okay=False),
    help="The folder that keeps fetched pictures; what is there is not fetched again.  [default:"
    " ~/.cache/vitrine/pictures]",
)
@click.option(
    "--allow-host",
    "allowed_hosts",
    multiple=True,
    metavar="NAME",
    help="Fetch from this host although its address is private; may be given several times.",
)
@click.option(
    "--allow-outside",
    is_flag=True,
    help="Read pictures outside the catalogue's folder too, where its rows name them by such paths or by links.",
)
@click.option(
    "--infer-fields",
    is_flag=False,
    flag_value=ALL_FIELDS,
    metavar="[=NAMES]",
    help="Fill empty fields of keywords with what the products' pictures tell; NAMES parts some by commas. Never over what"
    " the shop says; only where it is right often enough on products whose value is known.",
)
@click.option(
    "--precision",
    type=click.FloatRange(min=0.5, max=1, min_open=True, max_open=True),
    help="The share of values read in pictures that must be right.  [default: 0.9]",
)
@click.option(
    "--captions", is_flag=True, help="Write a caption, made from its fields, for each product with a picture."
)
@click.option(
    "--captions-url",
    default="",
    metavar="URL",
    help="Have them written by a vision server with OpenAI's API, which is sent the first picture of each product; its"
    f" key is in {KEY_VARIABLE}.",
)
@click.option("--captions-model", default="", metavar="NAME", help="The name of that server's model.")
@waits
@click.option("--json", "want_json", is_flag=True, help="Write the counts and the first errors as JSON.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=UPSERT_TIMEOUT_S,
    show_default=True,
    help="Seconds that the whole may take.",
)
@reached
def index(
    *,
    path: Path,
    schema_file: Path | None,
    rebuild: bool,
    rebuild_if_stale: bool,
    confirmed: bool,
    fetch_pictures: bool,
    pictures_cache: Path | None,
    allowed_hosts: tuple[str, ...],
    allow_outside: bool,
    infer_fields: str | None,
    precision: float | None,
    captions: bool,
    captions_url: str,
    captions_model: str,
    wait_s: float,
    want_json: bool,
    place: Place,
    timeout: float,
) -> None:
    """Index the catalogue at PATH.

    PATH is a CSV, TSV, JSON, JSONL, Parquet or XML file (as it is or packed as .gz) beside its pictures, the folder of one, a folder of pictures,
    or a data set in a layout that is known. Feeds that are known, such as those of Shopify, Google Merchant and
    WooCommerce, are read by their own columns; any other table by the schema's. Only an id, and a title or a
    picture, are compulsory; a column that is no field becomes an attribute. A bad row is reported and left out.
    Products that the index holds already, unchanged, cost next to nothing, so the command may be repeated.
    """
    start = time.monotonic()
    report = Report()
    fetch = _fetch_settings(pictures_cache, allowed_hosts, wanted=fetch_pictures)
    options = _Options(
        rebuild=rebuild,
        rebuild_if_stale=rebuild_if_stale,
        confirmed=confirmed,
        fetch=fetch,
        inference=inference_options(infer_fields, precision, captions=captions),
        captions=caption_settings(captions_url, captions_model, captions=captions),
    )
    connection = place.connection(timeout)
    connection.wait(wait_s)
    try:
        schema = read_schema(schema_file) if schema_file is not None else None
        catalogue = open_catalogue(
            path, schema, usual=lambda: _schema_of_index(place), allow_outside=allow_outside
        )
        _send(connection, catalogue, report, options)
    except (CatalogueError, SchemaError) as error:
        raise Failure(str(error)) from error
    except OSError as error:
        raise Failure(f"{error.filename or path}: {error.strerror}") from error
    finally:
        seconds = time.monotonic() - start
        if want_json:
            print_json(as_json(path, report, seconds))
        elif report.indexed or report.rejected:
            print_report(path, report, seconds)
    if not report.indexed:
        raise Failure(f"{path}: no product could be indexed")


def _fetch_settings(
    cache: Path | None, allowed_hosts: tuple[str, ...], *, wanted: bool
) -> FetchSettings | None:
    if not wanted:
        if cache is not None or allowed_hosts:
            raise click.UsageError("--pictures-cache and --allow-host go with --fetch-pictures")
        return None
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return FetchSettings(
        cache=cache or home / "vitrine" / "pictures",
        allowed_hosts=frozenset(name.casefold() for name in allowed_hosts),
    )


def _schema_of_index(place: Place) -> Schema | None:
    """Return the schema of the index that is there; None where there is none."""
    connection = place.connection(DEFAULT_TIMEOUT_S)

    async def describe(client: VitrineClient) -> Schema | None:
        try:
            described = await client.describe()
        except VitrineError as error:
            if error.code in _NO_INDEX:
                return None
            raise
        return read_schema_message(described.schema) if described.HasField("schema") else None

    return connection.run(describe)


def _send(connection: Connection, catalogue: OpenCatalogue, report: Report, options: _Options) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(
        *columns, console=Console(stderr=True), disable=not Console(stderr=True).is_terminal
    ) as bar:
        task = bar.add_task("indexing", total=catalogue.estimate)

        async def send(client: VitrineClient) -> None:
            async with AsyncExitStack() as stack:
                fetching = open_fetcher(options.fetch, _shown_on(bar)) if options.fetch else None
                fetcher = await stack.enter_async_context(fetching) if fetching else None
                writing = open_captions(options.captions) if options.captions else None
                captions = await stack.enter_async_context(writing) if writing else None
                await send_catalogue(
                    client,
                    catalogue,
                    report,
                    rebuild=options.rebuild,
                    rebuild_if_stale=options.rebuild_if_stale,
                    confirm_shrink=options.confirmed,
                    fetcher=fetcher,
                    inference=options.inference,
                    captions=captions,
                    timeout_s=connection.timeout_s,
                    progress=lambda done: bar.update(task, completed=done),
                )

        connection.run(send)


def _shown_on(bar: Progress) -> Callable[[FetchCounts], None]:
    """Show the pictures that are fetched on a line of their own, once there are some."""
    task: list[TaskID] = []

    def show(counts: FetchCounts) -> None:
        if not task:
            task.append(bar.add_task("fetching", total=None))
        done = counts.fetched + counts.cached
        failed = f", {counts.failed:,} failed" if counts.failed else ""
        bar.update(task[0], completed=done, description=f"fetching ({counts.bytes / 1e6:,.1f} MB{failed})")

    return show
