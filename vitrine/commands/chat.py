"""`vitrine chat`: a conversation, typed or piped."""

import asyncio
import functools
import json
import readline  # noqa: F401 - gives input() its history and its arrow keys
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.text import Text

from vitrine.client import VitrineClient, VitrineError
from vitrine.commands.connection import Connection, connected, read_audio, read_image, valid_text
from vitrine.commands.tables import (
    as_json,
    comparison_table,
    describe_degraded,
    describe_fact,
    describe_rewrite,
    hits_table,
)
from vitrine.terminal import console, printable
from vitrine.v1.search_pb2 import ConverseRequest, ConverseResponse, Quote, SearchResponse

_MORE = 'there are more: say "show me more"'

_HELP = """Type what you look for, and then what should be different; "show me more" for the next page.
  /image PATH [words]   ask with a picture
  /say PATH [words]     ask with a recording of what you say
  /pick N [words]       ask about the Nth product shown
  /new                  begin another conversation
  /quit                 leave"""


@dataclass(slots=True)
class Conversation:
    """What the client keeps between turns: the session, and the ids of the products shown last."""

    session_id: str = ""
    shown: tuple[str, ...] = ()
    locale: str = ""

    def request(self, line: str, *, limit: int) -> ConverseRequest:
        """Read a line as a turn; raises click.UsageError for one that cannot be asked."""
        command, _, rest = line.partition(" ")
        turn = ConverseRequest(session_id=self.session_id, limit=limit, locale=self.locale)
        if command == "/image":
            path, _, words = rest.strip().partition(" ")
            turn.image = read_image(Path(path).expanduser())
        elif command == "/say":
            path, _, words = rest.strip().partition(" ")
            turn.audio = read_audio(Path(path).expanduser())
        elif command == "/pick":
            number, _, words = rest.strip().partition(" ")
            turn.product_id = self._pick(number)
        elif command.startswith("/"):
            raise click.UsageError(f"unknown command {command}: see /help")
        else:
            words = line
        turn.text = valid_text(words.strip())
        return turn

    def spoken(self, path: Path, *, limit: int) -> ConverseRequest:
        """Read a recording as a turn; raises click.UsageError for one that cannot be sent."""
        turn = ConverseRequest(session_id=self.session_id, limit=limit, locale=self.locale)
        turn.audio = read_audio(path)
        return turn

    def note(self, event: ConverseResponse) -> None:
        """Remember the session and what was shown."""
        self.session_id = event.session_id or self.session_id
        if event.WhichOneof("event") == "result":
            self.shown = tuple(hit.product_id for hit in event.result.hits)

    def _pick(self, number: str) -> str:
        if not self.shown:
            raise click.UsageError("nothing has been shown yet")
        if not number.isdecimal() or not 1 <= int(number) <= len(self.shown):
            raise click.UsageError(f"/pick takes a number from 1 to {len(self.shown)}")
        return self.shown[int(number) - 1]


@click.command()
@click.option("--limit", type=int, default=5, show_default=True, help="How many hits a turn shows.")
@click.option(
    "--audio",
    type=click.Path(path_type=Path),
    help="A spoken first turn: WAV, FLAC, Ogg or WebM, of 30 seconds.",
)
@click.option(
    "--locale", default="", metavar="TAG", help="The language that is written and spoken, such as en-GB."
)
@click.option(
    "--json",
    "want_json",
    is_flag=True,
    help="Write each event, a vitrine.v1.ConverseResponse, as a line of JSON.",
)
@connected
def chat(*, connection: Connection, limit: int, audio: Path | None, locale: str, want_json: bool) -> None:
    """Search in a conversation.

    Such as: "a red dress", "cheaper", "the second one in navy", "show me more".
    Reads a turn a line, from the keyboard or a pipe; /help lists the commands. Typed turns that fail may be
    tried again; a piped one ends the program.
    """
    out = console()
    conversation = Conversation(locale=valid_text(locale))
    show = _show_json if want_json else functools.partial(_show, out)
    with asyncio.Runner() as runner:
        client = runner.run(_open(connection))
        try:
            if audio is not None:
                with _forgiving():
                    turn = conversation.spoken(audio, limit=limit)
                    runner.run(_take(connection, client, turn, conversation, show))
            for line in _lines():
                if line == "/help":
                    out.print(Text(_HELP))
                elif line == "/new":
                    conversation = Conversation(locale=conversation.locale)
                else:
                    with _forgiving():
                        turn = conversation.request(line, limit=limit)
                        runner.run(_take(connection, client, turn, conversation, show))
        finally:
            runner.run(client.__aexit__())


async def _open(connection: Connection) -> VitrineClient:
    return connection.open()


async def _take(
    connection: Connection,
    client: VitrineClient,
    turn: ConverseRequest,
    conversation: Conversation,
    show: Callable[[ConverseResponse], None],
) -> None:
    try:
        async for event in client.converse(turn):
            conversation.note(event)
            show(event)
    except VitrineError as error:
        raise connection.failure(error) from error


def _lines() -> Iterator[str]:
    """Yield the lines that are not blank, until /quit or the end."""
    prompt = "> " if sys.stdin.isatty() else ""
    while True:
        try:
            line = input(prompt).strip()
        except EOFError:
            return
        except UnicodeDecodeError as error:
            raise click.UsageError("standard input is no UTF-8") from error
        if line == "/quit":
            return
        if line:
            yield line


@contextmanager
def _forgiving() -> Iterator[None]:
    """At a keyboard, show what went wrong and go on; in a pipe, let it end the program."""
    try:
        yield
    except click.ClickException as error:
        if not sys.stdin.isatty():
            raise
        print(error.format_message(), file=sys.stderr)


def _show(out: Console, event: ConverseResponse) -> None:
    match event.WhichOneof("event"):
        case "heard":
            out.print(Text(printable(f'heard: "{event.heard.text}"'), style="dim"))
        case "understood":
            out.print(Text(describe_rewrite(event.understood), style="dim"))
        case "result":
            _show_result(out, event.result)
        case "comparison":
            out.print(comparison_table(event.comparison))
        case "facts":
            for fact in event.facts.facts:
                out.print(Text(describe_fact(fact)))
        case "reply":
            out.print(Text(printable(event.reply)))
        case _:
            _show_quotes(out, event)


def _show_result(out: Console, result: SearchResponse) -> None:
    out.print(hits_table(result.hits) if result.hits else "nothing found")
    if result.searched.excluded:
        faults = ", ".join(each.value for each in result.searched.excluded)
        out.print(Text(printable(f"without what you found fault with: {faults}"), style="dim"))
    for line in describe_degraded(result):
        out.print(Text(line, style="yellow"))
    if result.more:
        out.print(Text(_MORE, style="dim"))


def _show_quotes(out: Console, event: ConverseResponse) -> None:
    for quote in _quotes(event):
        out.print(Text(printable(f"{quote.document}: {quote.heading}"), style="bold"))
        out.print(Text(printable(quote.text)))


def _quotes(event: ConverseResponse) -> list[Quote]:
    """Return the passages of the shop's documents that an event quotes."""
    if event.HasField("hand_over"):
        return [event.hand_over.contact] if event.hand_over.HasField("contact") else []
    return list(event.answer.quotes)


def _show_json(event: ConverseResponse) -> None:
    print(json.dumps(as_json(event), ensure_ascii=False), flush=True)
