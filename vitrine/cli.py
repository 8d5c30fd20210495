"""The command line. Commands are loaded when they are called for, so that `vitrine --help` stays quick."""

import importlib
from importlib.metadata import EntryPoint, entry_points
from typing import Any, NoReturn

import click

PLUGINS = "vitrine.commands"
"""The entry-point group by which packages above this one add commands."""

_OWN = {
    "search": "vitrine.commands.search:search",
    "recommend": "vitrine.commands.recommend:recommend",
    "chat": "vitrine.commands.chat:chat",
    "status": "vitrine.commands.status:status",
    "check": "vitrine.commands.check:check",
    "restore": "vitrine.commands.restore:restore",
    "documents": "vitrine.commands.documents:documents",
    "campaigns": "vitrine.commands.campaigns:campaigns",
    "moderation": "vitrine.commands.moderation:moderation",
    "record": "vitrine.commands.record:record",
    "report": "vitrine.commands.report:report",
    "tour": "vitrine.commands.tour:tour",
    "token": "vitrine.commands.token:token",
}


class _Commands(click.Group):
    """The client's own commands and those of the entry points."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return [*_OWN, *sorted(entry_points(group=PLUGINS).names - _OWN.keys())]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name in _OWN:
            return _load(EntryPoint(cmd_name, _OWN[cmd_name], PLUGINS))
        for plugin in entry_points(group=PLUGINS, name=cmd_name):
            return _load_plugin(plugin)
        return None

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; wrong usage is said in one line instead of click's three."""
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            command = error.ctx.command_path if error.ctx is not None else ctx.command_path
            raise click.UsageError(f"{error.format_message()} (see `{command} --help`)") from error


def _load(entry: EntryPoint) -> click.Command:
    command = getattr(importlib.import_module(entry.module), entry.attr)
    if not isinstance(command, click.Command):
        raise TypeError(f"{entry.value} is no command")
    return command


def _load_plugin(plugin: EntryPoint) -> click.Command:
    """Load a command of another package; one that cannot be loaded says so instead of breaking the rest."""
    try:
        return _load(plugin)
    except (ImportError, AttributeError, TypeError, SyntaxError) as error:
        reason = f"{type(error).__name__}: {error}"
        if isinstance(error, ModuleNotFoundError) and plugin.extras:
            reason += f"; the way out: pip install 'vitrine-search[{','.join(plugin.extras)}]'"
        return _broken(plugin, reason)


def _broken(plugin: EntryPoint, reason: str) -> click.Command:
    def fail(**_: object) -> NoReturn:
        raise click.ClickException(
            f"the command {plugin.name!r} cannot be loaded from {plugin.value}: {reason}"
        )

    return click.Command(
        plugin.name,
        callback=fail,
        params=[click.Argument(["anything"], nargs=-1, type=click.UNPROCESSED)],
        context_settings={"ignore_unknown_options": True},
        short_help=f"(cannot be loaded: {reason})",
        add_help_option=False,
    )


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit status: 0 done, 1 refused or failed, 2 wrong usage, 3 no service at the address, "
    "4 busy or late: worth another try.",
)
@click.version_option(package_name="vitrine-search")
def main() -> None:
    """Search products by words, a picture, or both."""
