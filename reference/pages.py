"""All pages of the reference and the chart's dashboards, and which of them are not what they would be."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from reference import api, commands, dashboards, decisions, metrics, schemas, settings, values

FOLDER = Path("docs/reference")


@cache
def written() -> Mapping[str, str]:
    """Return every file that is made, by its path."""
    charts = {(dashboards.FOLDER / name).as_posix(): text for name, text in dashboards.files().items()}
    return {(FOLDER / name).as_posix(): text for name, text in pages().items()} | charts


@cache
def pages() -> Mapping[str, str]:
    """Return every page by its name in the folder."""
    made = {
        "settings.md": settings.page(),
        "metrics.md": metrics.page(),
        "schemas.md": schemas.page(),
        "commands.md": commands.page(),
        "values.md": values.page(),
        "decisions.md": decisions.page(),
        **api.pages(),
    }
    return {name: "\n".join(lines) + "\n" for name, lines in made.items()}


def out_of_date(root: Path) -> list[str]:
    """Return the paths of files that are missing, differ, or are no longer made."""
    found = [*(root / FOLDER).rglob("*.md"), *(root / dashboards.FOLDER).glob("*.json")]
    there = {path.relative_to(root).as_posix(): path.read_text(encoding="utf-8") for path in found}
    made = written()
    return sorted(path for path in made.keys() | there.keys() if made.get(path) != there.get(path))
