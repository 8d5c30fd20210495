"""`vitrine schema PATH`: looks at a catalogue and proposes its schema."""

from pathlib import Path
from typing import Literal

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from catalogue.proposal.profiling import MAX_DISTINCT, Profile
from catalogue.proposal.proposing import Proposal, propose
from catalogue.readers.opening import open_table, read_head
from catalogue.readers.rows import CatalogueError
from vitrine.commands.connection import Failure
from vitrine.commands.tables import printable
from vitrine.domain.schema import Field, SchemaError
from vitrine.domain.schema_files import format_schema

_FLAGS = {"filter": "f", "facet": "c", "sort": "s", "lexical": "w", "encoded": "e"}
_LEGEND = "f: filters, c: counted as a facet, s: sorts, w: its words are matched exactly, e: encoded"
_WIDTH = 80
_SAMPLE = 60
"""Characters of the samples of a column."""


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--toml", "want_toml", is_flag=True, help="Write the schema as TOML instead of the table.")
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the TOML into this file, a new one."
)
def schema(*, path: Path, want_toml: bool, out: Path | None) -> None:
    """Propose a schema for the catalogue at PATH.

    Looks at the first rows, no more than 5,000, and writes which columns would be which fields. `vitrine index PATH
    --schema FILE` takes the TOML as it is; better names, labels and question words are yours to write.
    """
    try:
        proposal = propose(read_head(open_table(path)))
        text = _toml(path, proposal)
        if out is not None:
            with out.open("x", encoding="utf-8") as file:
                file.write(text)
    except (CatalogueError, SchemaError) as error:
        raise Failure(str(error)) from error
    except FileExistsError as error:
        raise Failure(f"{out}: is there already; choose another name, or remove it") from error
    except OSError as error:
        raise Failure(f"{error.filename or path}: {error.strerror}") from error
    if want_toml:
        click.echo(text, nl=False)
    else:
        _print(proposal)
    if out is not None:
        click.echo(printable(f"written to {out}: vitrine index {path} --schema {out}"), err=want_toml)


def _describe(proposal: Proposal) -> str:
    rows = f"all {proposal.rows:,} rows" if proposal.complete else f"the first {proposal.rows:,} rows"
    return f"looks like {proposal.feed}; seen in {rows}"


def _toml(path: Path, proposal: Proposal) -> str:
    head = printable(f"Proposed for {path.name}, which {_describe(proposal)}.").replace("\n", " ")
    return f"# {head}\n{format_schema(proposal.schema)}"


def _print(proposal: Proposal) -> None:
    console = Console(width=_WIDTH, highlight=False)
    console.print(Text(printable(_describe(proposal)), style="bold"))
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0))
    for name in ("column", "field", "kind", "role", "flags", "values", "filled", "samples"):
        right = name in {"values", "filled"}
        whole = name not in {"column", "field"}
        overflow: Literal["fold", "ellipsis"] = "ellipsis" if name == "samples" else "fold"
        table.add_column(name, justify="right" if right else "left", no_wrap=whole, overflow=overflow)
    for column in proposal.columns:
        table.add_row(*map(_cell, _row(proposal, column)))
    console.print(table)
    currency = f"; prices in {proposal.schema.currency}" if proposal.schema.currency else ""
    console.print(Text(printable(f"{_LEGEND}{currency}"), style="dim"))


def _cell(text: str) -> Text:
    return Text(printable(text))


def _row(proposal: Proposal, column: Profile) -> tuple[str, ...]:
    each = proposal.field_of(column)
    values = (
        f"{column.distinct:,}+" if column.more or column.distinct >= MAX_DISTINCT else f"{column.distinct:,}"
    )
    samples = " | ".join(column.samples) if not column.embedded else "(pictures)"
    return (
        column.name,
        each.name if each is not None else "-",
        each.kind.value if each is not None else "attribute",
        each.role.value if each is not None and each.role is not None else "",
        _flags(each),
        values,
        f"{column.filled / proposal.rows:.0%}",
        samples if len(samples) <= _SAMPLE else f"{samples[: _SAMPLE - 3]}...",
    )


def _flags(each: Field | None) -> str:
    return "".join(sign for flag, sign in _FLAGS.items() if getattr(each, flag)) if each is not None else ""
