"""The documents hold together: every link leads somewhere, every page is on the site, and the site builds."""

import importlib.util
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import click
import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

import vitrine.cli
from reference.site import on_page_markdown

ROOT = Path(__file__).parents[2]
BUILDER = ROOT / "build" / "docs"
BUILD_S = 240
ELSEWHERE = re.compile(r"(https?|mailto):")


def documents() -> list[Path]:
    """Return every Markdown file of the project."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [path for name in listed.stdout.splitlines() if (path := ROOT / name).exists()]


@cache
def tokens(path: Path) -> list[Token]:
    """Return what a file is made of, inline parts among it."""
    blocks = MarkdownIt().enable("table").parse(path.read_text(encoding="utf-8"))
    return [each for block in blocks for each in (block, *(block.children or ()))]


def links(path: Path) -> Iterator[str]:
    """Yield the target of each link and picture."""
    for token in tokens(path):
        yield from (str(token.attrs[name]) for name in ("href", "src") if name in token.attrs)


@cache
def anchors(path: Path) -> frozenset[str]:
    """Return the anchors of a file's headings, as those who show Markdown make them."""
    headings = [
        "".join(part.content for part in following.children or () if part.type in {"text", "code_inline"})
        for token, following in pairwise(tokens(path))
        if token.type == "heading_open"
    ]
    counts: Counter[str] = Counter()
    made = set()
    for heading in headings:
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        made.add(f"{slug}-{counts[slug]}" if counts[slug] else slug)
        counts[slug] += 1
    return frozenset(made)


def problem(path: Path, target: str) -> str:
    """Say what is wrong with a link of a file; empty for nothing."""
    if ELSEWHERE.match(target):
        return ""
    name, _, anchor = target.partition("#")
    found = (path.parent / name).resolve() if name else path
    if not found.exists():
        return "is not there"
    if not found.is_relative_to(ROOT):
        return "is outside the project"
    if anchor and found.suffix == ".md" and anchor not in anchors(found):
        return "has no such heading"
    return ""


def test_every_link_leads_somewhere() -> None:
    """A link of any Markdown file names a file of the project, and where it has an anchor, a heading of it."""
    paths = documents()
    assert sum(1 for path in paths for _ in links(path)) > 300
    broken = [
        f"{path.relative_to(ROOT)}: {target} {wrong}"
        for path in paths
        for target in links(path)
        if (wrong := problem(path, target))
    ]
    assert broken == []


@pytest.mark.parametrize(
    ("target", "wrong"),
    [
        ("there.md", ""),
        ("there.md#two-words", ""),
        ("there.md#two-words-1", ""),
        ("#here", ""),
        ("https://example.com/", ""),
        ("there.md#three", "has no such heading"),
        ("gone.md", "is not there"),
    ],
)
def test_a_broken_link_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, wrong: str
) -> None:
    """A file that is missing and a heading that is missing are told; a heading that stands twice has two anchors."""
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    (tmp_path / "there.md").write_text("# Two `words`\n\n# Two words\n")
    page = tmp_path / "page.md"
    page.write_text("# Here\n")
    assert problem(page, target) == wrong


COMMANDS = re.compile(
    r"(?:^|`|\$ |&& )(make|vitrine|python -m|\.venv/bin/python -m) ([a-z][a-z_.-]*)", re.MULTILINE
)


def test_every_command_of_a_page_is_there() -> None:
    """A target of make, a command of the command line and a module that a page of today calls are there."""
    targets = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    commands = vitrine.cli.main.list_commands(click.Context(vitrine.cli.main))
    named = {
        (path.relative_to(ROOT).as_posix(), *found)
        for path in documents()
        if "decisions" not in path.parts and path.name != "CHANGELOG.md"
        for found in COMMANDS.findall(path.read_text(encoding="utf-8"))
    }
    assert len(named) > 60
    there = {"make": lambda name: name in targets, "vitrine": lambda name: name in commands}
    assert [each for each in sorted(named) if not there.get(each[1], _is_module)(each[2])] == []


def _is_module(name: str) -> bool:
    return importlib.util.find_spec(name.split(".", maxsplit=1)[0]) is not None


def test_what_the_site_has_not_becomes_its_text() -> None:
    """A link within docs/ stays; one that leaves it, and a picture from outside, become what they say."""
    page = SimpleNamespace(file=SimpleNamespace(src_uri="tutorials/weights.md"))
    text = "[a](../export.md#x) [`b`](../../vitrine/client.py) ![c](../../encoders/loss.png) [d](https://e.org/f)"
    assert on_page_markdown(text, page=page) == "[a](../export.md#x) `b` c [d](https://e.org/f)"


def test_the_site_builds(tmp_path: Path) -> None:
    """Every page is in the menu, every link between pages and every anchor is found, and the front page is there."""
    if not (BUILDER / ".ready").exists():
        pytest.skip("no MkDocs: make setup-test")
    command = (sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path))
    built = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(BUILDER), "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=BUILD_S,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    front = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "tutorials/catalogue.html" in front
    assert not re.search(r"<(?:script|link)[^>]*(?:src|href)=\"https?://", front), (
        "the site needs nothing from elsewhere"
    )
