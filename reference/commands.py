"""The page of commands: the help of every one, as the terminal shows it."""

from collections.abc import Iterator

import click

import bulk.cli
import ranking.cli
import stack.cli
import vitrine.cli
from reference.markdown import MADE_BY

_WIDTH = 100


def page() -> list[str]:
    """Return the page's lines."""
    lines = ["# Commands", "", MADE_BY, "", "`-h` after any of them shows the same."]
    programs = {
        "vitrine": vitrine.cli.main,
        "python -m stack": stack.cli.main,
        "python -m bulk": bulk.cli.main,
        "python -m ranking": ranking.cli.main,
    }
    for name, command in programs.items():
        settings = {**command.context_settings, "terminal_width": _WIDTH, "max_content_width": _WIDTH}
        lines += _described(click.Context(command, info_name=name, **settings))
    return lines


def _described(context: click.Context) -> Iterator[str]:
    yield from ["", f"## {context.command_path}", "", "```text", context.get_help(), "```"]
    if isinstance(group := context.command, click.Group):
        for name in group.list_commands(context):
            below = group.get_command(context, name)
            if below is None:
                raise LookupError(f"{context.command_path} lists {name}, and has no such command")
            yield from _described(click.Context(below, info_name=name, parent=context, terminal_width=_WIDTH))
