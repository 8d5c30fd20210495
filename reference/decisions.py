"""The page of decisions: each with its title."""

import re
from pathlib import Path

from reference.markdown import MADE_BY

_FOLDER = Path("docs/decisions")
_TITLE = re.compile(r"# (\d+)\. (.+)")


def page() -> list[str]:
    """Return the page's lines."""
    return [
        "# Decisions",
        "",
        MADE_BY,
        "",
        "Where the code departs from the [architecture](../architecture.md) that was drawn first, a page says why.",
        "",
        *(_entry(path) for path in sorted(_FOLDER.glob("*.md"))),
    ]


def _entry(path: Path) -> str:
    first = path.read_text(encoding="utf-8").partition("\n")[0]
    if (title := _TITLE.fullmatch(first)) is None:
        raise ValueError(f"{path} begins with {first!r}, and not with its number and title")
    return f"- [{title[1]}. {title[2]}](../{_FOLDER.name}/{path.name})"
