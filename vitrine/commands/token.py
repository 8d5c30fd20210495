"""`vitrine token`: makes tokens, and the entries by which the gateway knows them."""

import os
import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from vitrine.commands.connection import Failure
from vitrine.tokens import NAME_RULE, digest, is_caller_name, new_token

_SCOPES = ("search", "catalogue", "feedback", "data", "campaigns", "admin")
_PRIVATE = 0o600


@click.group()
def token() -> None:
    """Make tokens, by which callers say who they are."""


@token.command()
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(_SCOPES),
    multiple=True,
    help="What the caller may do: search; catalogue: write and delete products; feedback: record what shoppers did; "
    "data: export and erase a shopper; admin: rebuild and put back an index. May be given several times; a caller that --callers has already keeps its own.",
)
@click.option(
    "--days",
    type=click.IntRange(min=1),
    help="Days after which the token is known no more; else it is for ever.",
)
@click.option(
    "--callers",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file of callers: the entry is written at its end. Without it the entry is shown.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A new file for the token, which nobody else may read. Without it the token is shown.",
)
def new(
    *, name: str, scopes: tuple[str, ...], days: int | None, callers: Path | None, out: Path | None
) -> None:
    """Make a token of the caller NAME, and its entry in the file of callers, which holds its digest alone.

    The token is shown this once. A caller may have several tokens: to exchange one, make the next one, hand it out, and take
    the entry of the one before out of the file. The gateway reads the file again by itself.
    """
    if not is_caller_name(name):
        raise click.UsageError(f"a name is {NAME_RULE}")
    before = _read(callers)
    if name in _callers(before, callers):
        if scopes:
            raise click.UsageError(
                f"{callers} has {name} already: change its scopes there, and leave --scope out"
            )
    elif not scopes:
        raise click.UsageError("a new caller needs a --scope")
    made = new_token(name)
    _hand_out(made, _entry(name, made, scopes=scopes, days=days), before=before, callers=callers, out=out)


def _hand_out(made: str, entry: str, *, before: str, callers: Path | None, out: Path | None) -> None:
    after = before.rstrip("\n") + ("\n\n" if before.strip() else "") + entry
    _callers(after, callers)
    try:
        if out is not None:
            _write_new(out, made + "\n")
        if callers is not None:
            _exchange(callers, after)
    except OSError as error:
        raise Failure(f"{error.filename}: {error.strerror}") from error
    if out is None:
        click.echo(made)
    if callers is None:
        click.echo(("\n" if out is None else "") + entry, nl=False)


def _entry(name: str, made: str, *, scopes: tuple[str, ...], days: int | None) -> str:
    lines = []
    if scopes:
        lines += [
            f"[callers.{name}]",
            "scopes = [" + ", ".join(f'"{scope}"' for scope in dict.fromkeys(scopes)) + "]",
            "",
        ]
    lines += [f"[[callers.{name}.tokens]]", f'sha256 = "{digest(made)}"']
    if days is not None:
        lines.append(f"expires = {datetime.now(UTC) + timedelta(days=days):%Y-%m-%dT%H:%M:%SZ}")
    return "\n".join(lines) + "\n"


def _read(path: Path | None) -> str:
    try:
        return path.read_text(encoding="utf-8") if path is not None else ""
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"{path}: {getattr(error, 'strerror', None) or 'is no UTF-8'}") from error


def _callers(text: str, path: Path | None) -> Mapping[str, object]:
    """Return the entries of a file of callers by name; raises Failure for one that is none."""
    try:
        callers = tomllib.loads(text).get("callers", {})
    except tomllib.TOMLDecodeError as error:
        raise Failure(f"{path}: the entry does not fit into it: {error}") from error
    if not isinstance(callers, dict):
        raise Failure(f"{path}: callers must be a table")
    return callers


def _exchange(path: Path, text: str) -> None:
    """Write the file anew beside the old one and put it in its place, so that a reader never sees a half of it."""
    mode = path.stat().st_mode & 0o777 if path.exists() else _PRIVATE
    beside = path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)
    _write_new(beside, text)
    beside.chmod(mode)
    beside.replace(path)


def _write_new(path: Path, text: str) -> None:
    """Write a file that nobody else may read; FileExistsError where there is one."""
    with os.fdopen(
        os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE), "w", encoding="utf-8"
    ) as file:
        file.write(text)
