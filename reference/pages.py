"""All pages of the reference, and which of them are not what they would be."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from reference import api, commands, decisions, metrics, schemas, settings, values

FOLDER = Path("docs/reference")


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
    """Return the names of pages that are missing, differ, or are no longer made."""
    folder = root / FOLDER
    there = {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in folder.rglob("*.md")
    }
    made = pages()
    return sorted(name for name in made.keys() | there.keys() if made.get(name) != there.get(name))
