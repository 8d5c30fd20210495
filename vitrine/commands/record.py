"""`vitrine record`: what shoppers did, from a file of events."""

import json
from pathlib import Path

import click
from google.protobuf import json_format

from vitrine.commands.connection import Connection, connected
from vitrine.commands.tables import as_json, cell, print_json
from vitrine.domain import limits
from vitrine.terminal import console
from vitrine.v1.feedback_pb2 import Event, RecordResponse

_MAX_BYTES = limits.MAX_EVENTS_BYTES * limits.MAX_STREAM_EVENTS // limits.MAX_EVENTS


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--json", "want_json", is_flag=True, help="Write the service's answer as JSON.")
@connected
def record(*, connection: Connection, file: Path, want_json: bool) -> None:
    """Record the events of FILE: a line each, as JSON of vitrine.v1.Event.

    An event is recorded once, so that a file may be sent again. Exit status 1 where one was refused; the others are recorded.
    """
    events = read_events(file)
    answer = connection.run(lambda client: client.record(events))
    if want_json:
        print_json(as_json(answer))
    else:
        _tell(answer)
    if answer.rejected:
        raise click.exceptions.Exit(1)


def read_events(file: Path) -> list[Event]:
    """Read the events of a file; raises click.UsageError, naming the line."""
    if (size := file.stat().st_size) > _MAX_BYTES:
        raise click.UsageError(f"{file}: may have {_MAX_BYTES:,} bytes, this one has {size:,}")
    events = []
    for number, line in enumerate(file.read_bytes().splitlines(), start=1):
        if not line.strip():
            continue
        try:
            events.append(json_format.Parse(line, Event(), max_recursion_depth=8))
        except (json_format.ParseError, json.JSONDecodeError, UnicodeDecodeError) as error:
            raise click.UsageError(f"{file}: line {number} is no event: {error}") from error
        if len(events) > limits.MAX_STREAM_EVENTS:
            raise click.UsageError(f"{file}: may have {limits.MAX_STREAM_EVENTS:,} events; split it")
    return events


def _tell(answer: RecordResponse) -> None:
    console().print(
        cell(
            f"{answer.recorded:,} recorded, {answer.duplicates:,} known already, {answer.capped:,} beyond the caps,"
            f" {answer.rejected:,} refused"
        )
    )
    for error in answer.errors:
        console().print(cell(f"{error.id or '(no id)'}: {error.field}: {error.reason}"))
