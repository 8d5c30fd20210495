"""The tutorial about catalogues is read as it says."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from catalogue.schema_command import schema
from vitrine.domain.schema import Schema, changes
from vitrine.domain.schema_files import parse_schema

DOCS = Path(__file__).parents[2] / "docs"
TUTORIAL = (DOCS / "tutorials" / "catalogue.md").read_text(encoding="utf-8")


def blocks(kind: str) -> list[str]:
    """Return the tutorial's fenced blocks of a kind."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", TUTORIAL, re.MULTILINE | re.DOTALL)
    return [text for named, text in fenced if named == kind]


@pytest.fixture
def proposed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """Propose a schema for the page's table; return what is printed, and the TOML."""
    monkeypatch.chdir(tmp_path)
    (table,) = blocks("csv")
    Path("books.csv").write_text(table, encoding="utf-8")
    result = CliRunner().invoke(schema, ["books.csv", "--out", "books.toml"])
    assert result.exit_code == 0
    return result.output, Path("books.toml").read_text(encoding="utf-8")


def edited(toml: str, table: str) -> str:
    """Put a field's table in the place of the one of that name, or at the end."""
    heading = table.partition("\n")[0]
    before, found, after = toml.partition(heading)
    _, rest_found, rest = after.partition("\n\n[")
    return f"{before}{table}\n{'[' * bool(rest_found)}{rest}" if found else f"{toml}\n{table}"


def example(proposal: str) -> tuple[Schema, Schema]:
    """Return the schema of the page's third step and that of its fifth."""
    first, added = blocks("toml")
    for table in first.split("\n\n"):
        proposal = edited(proposal, table)
    return parse_schema(proposal), parse_schema(edited(proposal, added))


def test_the_proposed_schema_is_the_one_that_the_page_shows(proposed: tuple[str, str]) -> None:
    """`vitrine schema` prints what the page says that it prints."""
    (shown,) = (block for block in blocks("") if block.startswith("$ vitrine schema"))
    assert proposed[0] == shown.partition("\n")[2]


def test_the_edits_make_the_schema_that_the_page_uses(proposed: tuple[str, str]) -> None:
    """The edited schema has the fields of the page's searches, and the field of its fifth step needs no rebuild."""
    before, after = example(proposed[1])
    assert [*before.filtered] == ["author", "genre", "pages", "price", "availability", "rating"]
    assert changes(before, after).added == ("language",)
    assert not changes(before, after).breaking
