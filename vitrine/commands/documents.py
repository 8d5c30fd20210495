"""`vitrine documents`: the shop's own documents, which answer what shoppers ask about shipping, returns, sizes and orders."""

from pathlib import Path

import click
from rich.table import Table

from vitrine.commands.connection import Connection, connected
from vitrine.commands.tables import as_json, cell, print_json
from vitrine.domain import limits
from vitrine.terminal import console
from vitrine.v1.documents_pb2 import (
    Document,
    ListDocumentsResponse,
    RemoveDocumentsRequest,
    ReplaceDocumentsRequest,
)

_JSON = click.option("--json", "want_json", is_flag=True, help="Write the service's answer as JSON.")


@click.group()
def documents() -> None:
    """Keep the shop's documents, which questions about the service are answered from."""


@documents.command("index")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@_JSON
@connected
def index(*, connection: Connection, folder: Path, want_json: bool) -> None:
    """Put the Markdown files of FOLDER in the place of all documents.

    Each passage, the text under a heading, is found by what it speaks of and quoted with its source. The documents are
    exchanged as a whole; those that have not changed are not embedded again.
    """
    request = ReplaceDocumentsRequest(documents=read_documents(folder))
    answer = connection.run(lambda client: client.replace_documents(request))
    if want_json:
        print_json(as_json(answer))
        return
    console().print(
        cell(
            f"{answer.documents} documents in use, {answer.passages} passages, {answer.embedded} of them embedded now"
        )
    )


@documents.command("list")
@_JSON
@connected
def list_(*, connection: Connection, want_json: bool) -> None:
    """Show which documents are in use."""
    listed = connection.run(lambda client: client.list_documents())
    if want_json:
        print_json(as_json(listed))
    elif listed.documents:
        console().print(_table(listed))
    else:
        console().print("there are no documents: `vitrine documents index FOLDER` brings some")


@documents.command("remove")
@click.argument("names", nargs=-1, required=True)
@_JSON
@connected
def remove(*, connection: Connection, names: tuple[str, ...], want_json: bool) -> None:
    """Remove the documents of these NAMES."""
    request = RemoveDocumentsRequest(names=names)
    answer = connection.run(lambda client: client.remove_documents(request))
    if want_json:
        print_json(as_json(answer))
        return
    console().print(cell(f"removed: {', '.join(answer.removed) or 'none, as none has such a name'}"))


def read_documents(folder: Path) -> list[Document]:
    """Read the Markdown files of a folder and of the folders in it; raises click.UsageError, naming the file."""
    files = sorted(path for path in folder.rglob("*.md") if path.is_file())
    if not 1 <= len(files) <= limits.MAX_DOCUMENTS:
        raise click.UsageError(
            f"{folder}: must hold 1 to {limits.MAX_DOCUMENTS} files that end in .md, has {len(files):,}"
        )
    return [Document(name=path.relative_to(folder).as_posix(), text=_text(path)) for path in files]


def _text(path: Path) -> str:
    try:
        size = path.stat().st_size
        if size > limits.MAX_DOCUMENT_BYTES:
            raise click.UsageError(
                f"{path}: a document may have {limits.MAX_DOCUMENT_BYTES:,} bytes, this one has {size:,}"
            )
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise click.UsageError(f"{path}: is no UTF-8 at byte {error.start:,}") from error
    except OSError as error:
        raise click.UsageError(f"{path}: {error.strerror}") from error


def _table(listed: ListDocumentsResponse) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("document", "title", "passages"):
        table.add_column(name, overflow="fold", justify="right" if name == "passages" else "left")
    for each in listed.documents:
        table.add_row(*map(cell, (each.name, each.title, f"{each.passages:,}")))
    return table
