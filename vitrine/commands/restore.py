"""`vitrine restore`: the index before the one in use, put back."""

import click
import grpc
from rich.table import Table

from vitrine.client import VitrineClient, VitrineError
from vitrine.commands.connection import Connection, connected, waits
from vitrine.commands.tables import as_json, cell, print_json
from vitrine.terminal import console
from vitrine.v1.catalogue_pb2 import KeptIndex, ListIndexesResponse

_STATES = {
    KeptIndex.STATE_IN_USE: "in use",
    KeptIndex.STATE_BEFORE: "before: `vitrine restore` puts it back",
    KeptIndex.STATE_UNFINISHED: "unfinished: the same `vitrine index --rebuild` goes on with it",
}


@click.command()
@click.option("--list", "want_list", is_flag=True, help="Only show which indexes are kept.")
@click.option("--index", default="", metavar="NAME", help="Put this one back, or none.")
@click.option(
    "--if-unserved",
    is_flag=True,
    help="Only where the encoders that serve made the index before and not the one in use, as after a roll-back.",
)
@waits
@click.option("--json", "want_json", is_flag=True, help="Write the service's answer as JSON.")
@connected
def restore(
    *,
    connection: Connection,
    want_list: bool,
    index: str,
    if_unserved: bool,
    wait_s: float,
    want_json: bool,
) -> None:
    """Put the index before the one in use back.

    Every rebuild keeps the index that it replaces. Readers use the old one at once; the one that was in use is kept
    in its place, so that the same command undoes itself. Products that were written since are in the other one.

    With --json it writes vitrine.v1.RestoreIndexResponse, with --list vitrine.v1.ListIndexesResponse.
    """
    connection.wait(wait_s)
    if want_list:
        listed = connection.run(lambda client: client.list_indexes())
        if want_json:
            print_json(as_json(listed))
        else:
            console().print(_table(listed))
        return
    if if_unserved and (reason := connection.run(reason_to_stay)):
        click.echo(reason, err=True)
        return
    answer = connection.run(lambda client: client.restore_index(index))
    if want_json:
        print_json(as_json(answer))
        return
    replaced = answer.replaced
    console().print(
        cell(
            f"{answer.index} with {replaced.products_now:,} products is in use again, in the place of"
            f" {replaced.index} with {replaced.products:,}"
        )
    )


async def reason_to_stay(client: VitrineClient) -> str:
    """Return why the index in use stays; empty where the one before is to be put back."""
    kept = {each.state: each for each in (await client.list_indexes()).indexes}
    in_use, before = kept.get(KeptIndex.STATE_IN_USE), kept.get(KeptIndex.STATE_BEFORE)
    if in_use is None:
        return "there is no index yet"
    try:
        serving = (await client.describe()).encoders
    except VitrineError as error:
        if error.code is not grpc.StatusCode.FAILED_PRECONDITION:
            raise
        return str(error)
    if in_use.model in serving:
        return f"{in_use.index} is of encoders that serve: it stays"
    if before is None or before.model not in serving:
        return f"{in_use.index} stays: no index before it is of encoders that serve"
    return ""


def _table(listed: ListIndexesResponse) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("index", "products", "encoders", "state"):
        table.add_column(name, overflow="fold")
    for each in listed.indexes:
        row = (each.index, f"{each.products:,}", each.model[:12], _STATES.get(each.state, "?"))
        table.add_row(*map(cell, row))
    return table
