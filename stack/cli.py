"""The command line: `python -m stack up|down|status|logs|run`."""

import json
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from textwrap import indent
from typing import Any

import click

from stack import log_lines, logs, record, status
from stack.settings import HANDED_OVER, MAX_GATEWAYS, SUPERVISOR, Settings, StackError, gateway_name
from vitrine.terminal import console, echo

# What starts and probes services imports the clients of all of them, which takes most of a second: only the commands
# that need it do so, and `status` and `logs` stay quick.

NAMES = (
    *("triton", "milvus", "rewriter", "speech"),
    *map(gateway_name, range(1, MAX_GATEWAYS + 1)),
    *("storefront", SUPERVISOR),
)

Command = Callable[..., Any]


class _Group(click.Group):
    """Ends with one plain line where a command cannot do what it was asked."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except StackError as error:
            raise click.ClickException(str(error)) from error


def _state_option(command: Command) -> Command:
    return click.option(
        "--state",
        type=click.Path(path_type=Path, resolve_path=True, file_okay=False),
        default="build/stack",
        show_default=True,
        help="Folder of the data, the logs, the sockets and the record of what runs.",
    )(command)


def _start_options(command: Command) -> Command:
    for option in (
        click.option(
            "--set",
            "overrides",
            metavar="NAME=VALUE",
            multiple=True,
            callback=_parse_overrides,
            help="Set a GATEWAY_*, REWRITER_*, SPEECH_* or STOREFRONT_* environment variable; may be repeated. Export a secret"
            " instead, which the stack inherits, or name its file: a command line is no secret.",
        ),
        click.option(
            "--repository",
            type=click.Path(path_type=Path, resolve_path=True, file_okay=False),
            default="build/model_repository",
            show_default=True,
            help="Triton's model repository.",
        ),
        click.option(
            "--port-base",
            type=int,
            default=7700,
            show_default=True,
            help="N: gateway N, its metrics N+1, Triton N+11 and N+12, rewriter N+20, page N+30, speech N+40; of several gateways"
            " each has N+21 and up to itself, and metrics at N+1, N+13 and up.",
        ),
        click.option(
            "--gateways",
            type=int,
            default=1,
            show_default=True,
            help=f"Processes of the gateway behind the one address, at most {MAX_GATEWAYS}: one a core that is to spare.",
        ),
        click.option(
            "--page/--no-page", default=True, show_default=True, help="Serve the page to look at, too."
        ),
        click.option(
            "--speech/--no-speech",
            default=False,
            show_default=True,
            help="Hear what is said, too: `make setup-speech` installs what that needs.",
        ),
        _state_option,
    ):
        command = option(command)
    return command


def _parse_overrides(
    _: click.Context, __: click.Parameter, values: tuple[str, ...]
) -> tuple[tuple[str, str], ...]:
    for each in values:
        if "=" not in each:
            raise click.BadParameter(f"{each!r} is not NAME=VALUE")
    return tuple((name, value) for name, _, value in (each.partition("=") for each in values))


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Run Vitrine's processes on this machine: Triton, Milvus Lite, the rewriter, the speech service, the gateway, the storefront."""


@main.command()
@_start_options
def up(**options: Any) -> None:
    """Start the stack in the background and wait until it is ready."""
    from stack import control  # noqa: PLC0415 - see above

    settings = Settings(**options)
    control.up(settings, click.echo)
    page = f", page http://{settings.storefront}/" if settings.page else ""
    metrics = ", ".join(f"http://{worker.metrics}/metrics" for worker in settings.workers)
    click.echo(f"the stack is up: gateway {settings.gateway}, metrics {metrics}{page}")
    if settings.gateways > 1:
        each = ",".join(worker.own for worker in settings.workers)
        click.echo(f"connections are spread over the gateways; ipv4:{each} spreads the calls of one client")
    if settings.sticky:
        click.echo(
            "each gateway keeps its sessions in memory, where only the same connection finds them:"
            " --set GATEWAY_SESSIONS=redis://HOST:PORT shares them"
        )


@main.command()
@_start_options
def run(**options: Any) -> None:
    """Run the stack in the foreground until Ctrl-C; a second Ctrl-C ends it without grace."""
    from stack import control  # noqa: PLC0415 - see above

    # Taken out of the environment, which the services inherit.
    handed_over = json.loads(os.environ.pop(HANDED_OVER, "[]"))
    options["overrides"] += tuple((name, value) for name, value in handed_over)
    if not control.run(Settings(**options)):
        sys.exit(1)


@main.command()
@_state_option
def down(state: Path) -> None:
    """Stop the stack and leave nothing behind."""
    from stack import control  # noqa: PLC0415 - see above

    stopped = control.down(Settings(state=state))
    click.echo("the stack is down" if stopped else "the stack was down already")


@main.command("status")
@_state_option
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def show_status(state: Path, *, as_json: bool) -> None:
    """Show what is up, since when, and why not; exits with 1 unless all of it is ready."""
    current = record.read(Settings(state=state).record)
    if as_json:
        click.echo(json.dumps(status.document(current), indent=1))
    else:
        click.echo(status.headline(current))
        if current:
            console(status.WIDTH_OF_A_PIPE).print(status.table(current))
            for line in status.reasons(current):
                click.echo(line)
    sys.exit(0 if status.is_up(current) else 1)


@main.command("logs")
@click.argument("name", type=click.Choice(NAMES), required=False)
@_state_option
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written from now on.")
@click.option("-n", "--lines", type=click.IntRange(min=0), default=20, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="For programs: an object a line, with its process.")
def show_logs(name: str | None, state: Path, *, follow: bool, lines: int, as_json: bool) -> None:
    """Show the end of one process's log, or of every one."""
    settings = Settings(state=state)
    paths = [settings.log(each) for each in ([name] if name else NAMES)]
    show = _show_json if as_json else partial(_show_line, alone=bool(name))
    for path in paths:
        for line in logs.tail(path, lines):
            show(path, line)
    if follow:
        for path, line in logs.follow(paths):
            show(path, line)


def _show_line(path: Path, line: str, *, alone: bool) -> None:
    shown = log_lines.for_people(line)
    echo(shown if alone else indent(shown, f"{path.stem:10} "))


def _show_json(path: Path, line: str) -> None:
    click.echo(log_lines.for_programs(path.stem, line))
