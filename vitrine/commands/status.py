"""`vitrine status`: whether the service answers, what it serves, and which fields the catalogue has."""

import asyncio
from collections.abc import Iterator

import click
from rich.console import Console
from rich.table import Table

from vitrine.client import VitrineClient, VitrineError
from vitrine.commands.connection import Connection, Failure, connected
from vitrine.commands.tables import and_more, as_json, cell, number, print_json
from vitrine.terminal import console
from vitrine.v1.catalogue_pb2 import DescribeResponse, FieldDescription
from vitrine.v1.schema_pb2 import FIELD_KIND_MONEY, CatalogueField, CatalogueSchema, FieldKind

_VALUES_SHOWN = 8
_LANGUAGE = "en"
"""Of what the command line says, and of the labels that it shows."""


@click.command()
@click.option("--json", "want_json", is_flag=True, help='Write {"address", "health", "index"} as JSON.')
@connected
def status(*, connection: Connection, want_json: bool) -> None:
    """Show the health, the versions, the index, and the fields of the catalogue.

    "used for" says what may be done with a field: `filter` (vitrine search --filter), `sort` (--sort), `facet`
    (--facets); `words`: its words are matched exactly; `encoded`: they are part of what the encoder reads.

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


def fields_table(index: DescribeResponse) -> Table:
    """Return a row a field of the schema: name, label, kind, what it is used for, and its values or range."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("field", "label", "kind", "used for", "values"):
        table.add_column(name, overflow="fold", no_wrap=False)
    held = {description.name: description for description in index.fields}
    for field in index.schema.fields:
        values = _describe_values(field, held.get(field.name), index.schema)
        cells = (field.name, _label(field), _kind(field), ", ".join(_uses(field)) or "-", values)
        table.add_row(*map(cell, cells))
    return table


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
    table.add_column(overflow="fold")
    rows = [("service", address), ("health", health)]
    if index is not None:
        rows += [
            ("model", index.versions.model),
            *(("beside it", other) for other in index.encoders if other != index.versions.model),
            ("index", index.versions.index),
            ("products", f"{index.products:,}"),
            ("embedding", f"2 x {index.embedding_dim}"),
        ]
    if index is not None and index.HasField("schema"):
        rows.append(("schema", index.schema.name))
        rows.append(("currency", index.schema.currency or "not said"))
    for name, value in rows:
        table.add_row(cell(name), cell(value))
    out.print(table)
    if index is not None and index.schema.fields:
        out.print()
        out.print(fields_table(index))


def _describe_values(field: CatalogueField, held: FieldDescription | None, schema: CatalogueSchema) -> str:
    if held is None:
        return ""
    if held.type == FieldDescription.TYPE_NUMBER:
        if not held.HasField("minimum"):
            return ""
        unit = f" {schema.currency}" if field.kind == FIELD_KIND_MONEY and schema.currency else ""
        return f"{number(held.minimum)} to {number(held.maximum)}{unit}"
    counts = [f" ({count:,})" for count in held.counts] or [""] * len(held.values)
    listed = [value + count for value, count in zip(held.values, counts, strict=False)]
    rest = and_more(len(listed) - _VALUES_SHOWN, unlisted=held.more_values)
    return ", ".join([*listed[:_VALUES_SHOWN], *([rest] if rest else [])])


def _label(field: CatalogueField) -> str:
    return field.labels.get(_LANGUAGE, "") or field.name.replace("_", " ")


def _kind(field: CatalogueField) -> str:
    known = field.kind in FieldKind.values()
    return FieldKind.Name(field.kind).removeprefix("FIELD_KIND_").lower() if known else str(field.kind)


def _uses(field: CatalogueField) -> Iterator[str]:
    flags = {
        "filter": field.filter,
        "facet": field.facet,
        "sort": field.sort,
        "words": field.lexical,
        "encoded": field.encoded,
    }
    return (name for name, said in flags.items() if said)
