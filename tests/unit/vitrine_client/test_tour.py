import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from vitrine.cli import main
from vitrine.commands.tour import CHANGE, TEXT, TURNS


@pytest.fixture
def queries(tmp_path: Path) -> Path:
    """Two query pictures, one with a modification."""
    folder = tmp_path / "queries"
    folder.mkdir()
    for name in ("a.jpg", "b.jpg"):
        Image.new("RGB", (32, 32), "teal").save(folder / name)
    entries = [
        {"file": "a.jpg", "caption": "teal dress"},
        {"file": "b.jpg", "caption": "teal hat", "modification": "replace teal with red"},
    ]
    (folder / "queries.json").write_text(json.dumps(entries))
    return folder


def height(path: Path) -> int:
    with Image.open(path) as picture:
        return picture.height


def tour(script: Any, queries: Path, out: Path) -> Result:
    arguments = ["tour", "--queries", str(queries), "--out", str(out), "--address", script.address]
    result = CliRunner().invoke(main, arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_the_tour_asks_every_kind_of_query(script: Any, queries: Path, tmp_path: Path) -> None:
    """Words, a picture, both, a refinement of the first hit, then the turns of one session."""
    result = tour(script, queries, tmp_path / "demo")
    assert result.exit_code == 0, result.stderr
    text, image, composed, refined = [r for r in script.requests if hasattr(r, "rewrite")]
    assert (text.text, text.image) == (TEXT, b"")
    assert (image.text, image.image) == ("", (queries / "a.jpg").read_bytes())
    assert (composed.text, composed.image) == ("replace teal with red", (queries / "b.jpg").read_bytes())
    assert (refined.text, refined.product_id) == (CHANGE, "p1")
    turns = [r for r in script.requests if hasattr(r, "session_id")]
    assert [(t.session_id, t.text) for t in turns] == [("", TURNS[0]), ("s-1", TURNS[1]), ("s-1", TURNS[2])]


def test_the_tour_draws_a_sheet_of_each(script: Any, queries: Path, tmp_path: Path) -> None:
    """There is a sheet a query, one of the conversation, and one of them all, tall as its rows."""
    result = tour(script, queries, tmp_path / "demo")
    heights = {path.stem: height(path) for path in (tmp_path / "demo").iterdir()}
    assert heights.keys() == {"text", "image", "composed", "refined", "conversation", "all"}
    assert heights["text"] < heights["conversation"] < heights["all"]
    for name in heights:
        assert f"sheet: {tmp_path / 'demo' / name}.png" in result.stdout
    assert "vitrine search --like p1" in result.stdout


def test_the_tour_ends_with_commands_of_this_catalogue(script: Any, queries: Path, tmp_path: Path) -> None:
    """What people may type next names a field, a value and an order that the index has."""
    shown = tour(script, queries, tmp_path / "demo").stdout
    assert f'vitrine search "{TEXT}" --filter wood=oak --sort cost' in shown
    assert "category" not in shown


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file or directory: make it with `python -m catalogue build`"),
        ("{", "not a list of queries with file and caption"),
        ("[1]", "not a list of queries with file and caption"),
        ('[{"file": "a.jpg"}]', "not a list of queries with file and caption"),
        ('[{"file": "a.jpg", "caption": "x"}]', "the tour needs a query with a modification and one without"),
    ],
)
def test_queries_that_cannot_be_used_are_said_so(
    script: Any, queries: Path, tmp_path: Path, content: str | None, message: str
) -> None:
    """A missing or malformed queries.json ends with one line, before anything is asked."""
    if content is None:
        (queries / "queries.json").unlink()
    else:
        (queries / "queries.json").write_text(content)
    result = tour(script, queries, tmp_path / "demo")
    assert result.exit_code == 1
    assert message in result.stderr
    assert script.requests == []
