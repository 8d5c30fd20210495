"""The page on security names tests, settings, metrics and pages that there are."""

import dataclasses
import re
from pathlib import Path

import gateway.metrics
import gateway.settings
import rewriter.settings
import storefront.settings

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/security.md"
TEXT = PAGE.read_text(encoding="utf-8")
SERVICES = {"GATEWAY": gateway.settings, "REWRITER": rewriter.settings, "STOREFRONT": storefront.settings}


def test_every_test_that_it_names_is_there() -> None:
    """A defence is shown by a test that exists, named by its path or, after a path of its kind, by its name."""
    tests = {path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("*")}
    names = {path.rpartition("/")[2] for path in tests}
    cells = re.findall(r"`((?:tests/[\w/.]+)|(?:test_\w+\.py))`", TEXT)
    assert len(cells) > 40
    assert [each for each in cells if each.rstrip("/") not in tests | names] == []


def test_every_defence_names_where_it_is_shown() -> None:
    """No row of the table is a promise alone."""
    table = TEXT.partition("## What is defended against what")[2].partition("\n## ")[0]
    rows = [row for row in table.splitlines() if row.startswith("| ")][1:]
    assert len(rows) > 20
    assert [row for row in rows if "`test" not in row.split("|")[3]] == []


def test_every_setting_and_metric_that_it_names_is_there() -> None:
    """Names in the page are those of the code."""
    settings = {
        f"{prefix}_{field.name.upper()}"
        for prefix, room in SERVICES.items()
        for field in dataclasses.fields(room.Settings)
    }
    named = set(re.findall(r"\b((?:GATEWAY|REWRITER|STOREFRONT)_[A-Z_]+[A-Z])\b", TEXT))
    assert named - settings == set()
    metrics = {metric.name for metric in gateway.metrics.Metrics().registry.collect()}
    told = {name.removesuffix("_total") for name in re.findall(r"vitrine_gateway_\w+", TEXT)}
    assert told - metrics == set()


def test_its_links_lead_somewhere() -> None:
    """Every link of the page, and those of the file that leads to it, names a file."""
    for page in (PAGE, ROOT / "SECURITY.md"):
        links = re.findall(r"\]\(([^)#]+)(?:#[\w-]+)?\)", page.read_text(encoding="utf-8"))
        assert links
        assert [link for link in links if not (page.parent / link).exists()] == []
    assert "docs/security.md" in (ROOT / "README.md").read_text(encoding="utf-8")
