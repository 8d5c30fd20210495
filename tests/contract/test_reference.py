"""docs/reference is what the code says now, and no other page names what there is not."""

import re
from pathlib import Path

import pytest

from reference.pages import FOLDER, out_of_date, pages, written

ROOT = Path(__file__).parents[2]
NOT_OF_TODAY = (ROOT / FOLDER, ROOT / "docs" / "decisions")
"""Folders of pages that are made, or that tell of what was."""
PAGES = [path for path in (ROOT / "docs").rglob("*.md") if not any(map(path.is_relative_to, NOT_OF_TODAY))]
SETTING = re.compile(r"\b(?:GATEWAY|REWRITER|SPEECH|STOREFRONT)_[A-Z_]*[A-Z]\b(?![_*])")
METRIC = re.compile(r"\bvitrine_(?:gateway|rewriter|speech)_[a-z_]*[a-z]\b(?![_*.])")


def test_what_differs_is_told(tmp_path: Path) -> None:
    """A page that is missing, that differs, or that is no longer made is out of date."""
    for name, text in written().items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert out_of_date(tmp_path) == []
    (tmp_path / FOLDER / "settings.md").unlink()
    (tmp_path / FOLDER / "metrics.md").write_text("# Metrics\n")
    (tmp_path / FOLDER / "api" / "feedback.md").write_text("# What was removed\n")
    assert out_of_date(tmp_path) == [
        f"docs/reference/{name}" for name in ("api/feedback.md", "metrics.md", "settings.md")
    ]


@pytest.mark.parametrize(("name", "pattern"), [("settings.md", SETTING), ("metrics.md", METRIC)])
def test_no_page_names_what_there_is_not(name: str, pattern: re.Pattern[str]) -> None:
    """A setting or a metric that any page of docs/ names is one of the reference."""
    known = set(pattern.findall(pages()[name]))
    assert known
    named = {each for path in PAGES for each in pattern.findall(path.read_text(encoding="utf-8"))}
    suffixes = ("_bucket", "_sum", "_count")
    assert {each for each in named if not (each in known or each.endswith(suffixes))} == set()


@pytest.mark.parametrize("name", ["settings.md", "metrics.md"])
def test_every_setting_and_metric_is_explained(name: str) -> None:
    """The last cell of each row has words."""
    rows = [line for line in pages()[name].splitlines() if line.startswith("| `")]
    assert len(rows) > 40
    assert [row for row in rows if not row.rstrip("| ").endswith((".", ")"))] == []
