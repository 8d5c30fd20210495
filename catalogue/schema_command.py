"""`vitrine schema PATH`: looks at a catalogue and proposes its schema."""

from collections.abc import Iterable
from pathlib import Path

import click
from rich.cells import cell_len, set_cell_size

from catalogue.proposal.profiling import Profile
from catalogue.proposal.proposing import Proposal, propose
from catalogue.readers.opening import open_table, read_head
from catalogue.readers.rows import CatalogueError
from vitrine.commands.connection import Failure
from vitrine.domain.schema import Field, Role, SchemaError
from vitrine.domain.schema_files import format_schema
from vitrine.terminal import printable

_FLAGS = {"filter": "f", "facet": "c", "sort": "s", "lexical": "w", "encoded": "e"}
_LEGEND = "f: filters, c: counts, s: sorts, w: words matched exactly, e: encoded"
_WIDTHS = {"column": 18, "field": 16, "kind": 9, "role": 12, "flags": 5, " values": 7, "filled": 6}
"""Headings of the table, and their widths in a terminal's cells."""
_SAMPLES = 74
_NO_CATEGORY = (
    'no field is the category: say role = "category" for the one that says what kind\n'
    "of thing a product is, so that a turn that names another kind begins anew"
)


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
    """Print two lines a column, no wider than 80 cells: what it would be, and samples of its values."""
    click.echo(printable(_describe(proposal)))
    click.echo(_line(_WIDTHS))
    for column in proposal.columns:
        click.echo(_line(_row(proposal, column)))
        samples = " | ".join(column.samples) if not column.embedded else "(pictures)"
        click.echo(f"    {_fitted(samples, _SAMPLES).rstrip()}")
    click.echo(_LEGEND)
    if proposal.schema.currency:
        click.echo(f"prices in {proposal.schema.currency}")
    if proposal.schema.role(Role.CATEGORY) is None:
        click.echo(_NO_CATEGORY)


def _line(cells: Iterable[str]) -> str:
    return " ".join(map(_fitted, cells, _WIDTHS.values())).rstrip()


def _fitted(text: str, width: int) -> str:
    """Cut or pad a text to a width in a terminal's cells, of which some letters take two."""
    plain = printable(text)
    if cell_len(plain) > width:
        plain = f"{set_cell_size(plain, width - 1)}\u2026"
    return set_cell_size(plain, width)


def _row(proposal: Proposal, column: Profile) -> tuple[str, ...]:
    each = proposal.field_of(column)
    values = f"{column.distinct:,}{'+' if column.more else ''}"
    return (
        column.name,
        each.name if each is not None else "-",
        each.kind.value if each is not None else "attribute",
        each.role.value if each is not None and each.role is not None else "",
        _flags(each),
        f"{values:>7}",
        f"{column.filled / proposal.rows:>6.0%}",
    )


def _flags(each: Field | None) -> str:
    return "".join(sign for flag, sign in _FLAGS.items() if getattr(each, flag)) if each is not None else ""
