"""`vitrine status`: whether the service answers, and what it serves."""

import asyncio

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from vitrine.client import VitrineClient, VitrineError
from vitrine.commands.connection import Connection, Failure, connected
from vitrine.commands.tables import as_json, console, print_json, printable
from vitrine.v1.catalogue_pb2 import DescribeResponse, FieldDescription

_VALUES_SHOWN = 8


@click.command()
@click.option("--json", "want_json", is_flag=True, help='Write {"address", "health", "index"} as JSON.')
@connected
def status(*, connection: Connection, want_json: bool) -> None:
    """Show the health, the versions and the index.

    With --json, `index` is vitrine.v1.DescribeResponse, or null beside an `error`.
    """
    health, index = connection.run(_inspect)
    described = index if isinstance(index, DescribeResponse) else None
    if want_json:
        error = {} if described else {"error": str(index)}
        shown = as_json(described) if described else None
        print_json({"address": connection.address, "health": health, "index": shown} | error)
    else:
        _print(console(), connection.address, health, described)
    if isinstance(index, VitrineError):
        raise connection.failure(index)
    if health != "SERVING":
        raise Failure(f"the service says {health}: see `make status`")


async def _inspect(client: VitrineClient) -> tuple[str, DescribeResponse | VitrineError]:
    """Ask for both at once; a service without an index is worth showing too."""
    health = asyncio.create_task(client.health())
    try:
        index: DescribeResponse | VitrineError = await client.describe()
    except VitrineError as error:
        index = error
    return await health, index


def _print(out: Console, address: str, health: str, index: DescribeResponse | None) -> None:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    rows = [("service", address), ("health", health)]
    if index is not None:
        rows += [
            ("model", index.versions.model),
            ("index", index.versions.index),
            ("products", f"{index.products:,}"),
            ("embedding", f"2 x {index.embedding_dim}"),
            *((field.name, _describe_field(field)) for field in index.fields),
        ]
    for name, value in rows:
        table.add_row(Text(printable(name)), Text(printable(value)))
    out.print(table)


def _describe_field(field: FieldDescription) -> str:
    if field.type == FieldDescription.TYPE_NUMBER:
        return f"{field.minimum:g} to {field.maximum:g}"
    more = len(field.values) - _VALUES_SHOWN
    return ", ".join(field.values[:_VALUES_SHOWN]) + (f", and {more} more" if more > 0 else "")
