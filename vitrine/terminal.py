"""What is shown to people: on a terminal of any width, in a pipe, with colours or without."""

import os
import sys

import click
from rich.console import Console

_WIDTH_OF_A_PIPE = 120


def console(width_of_a_pipe: int = _WIDTH_OF_A_PIPE) -> Console:
    """Return a console on standard output, without colours where NO_COLOR is set or no terminal is.

    A pipe gets lines of a fixed width.
    """
    return Console(width=None if sys.stdout.isatty() else width_of_a_pipe, highlight=False)


def echo(line: str) -> None:
    """Print a line that may be styled, in colours where `console` has them."""
    click.echo(line, color=False if os.environ.get("NO_COLOR") else None)


def printable(text: str) -> str:
    """Replace what could steer a terminal: the words of others reach it."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)
