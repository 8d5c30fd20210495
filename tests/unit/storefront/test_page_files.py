"""The page's own files, read as text: what they name is there, and nothing becomes markup."""

import re
from pathlib import Path

import pytest

from storefront.bridge import PAGE

ROOT = Path(__file__).parents[3]
SCRIPTS = sorted(PAGE.glob("*.js"))
MAX_FILE_LINES = 400


@pytest.mark.parametrize("path", [*SCRIPTS, *sorted(PAGE.glob("*.css"))], ids=lambda path: path.name)
def test_files_of_the_page_stay_small(path: Path) -> None:
    """No file of the page has more than 400 lines."""
    assert path.read_text().count("\n") <= MAX_FILE_LINES


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_name_elements_that_are_there(path: Path) -> None:
    """Each id that a script asks for is one of the page's."""
    known = set(re.findall(r'\bid="([\w-]+)"', (PAGE / "index.html").read_text()))
    assert set(re.findall(r'byId\("([\w-]+)"\)', path.read_text())) <= known


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_import_what_is_served(path: Path) -> None:
    """Each module that a script imports is a file of the page, and exports what is imported."""
    for names, module in re.findall(
        r'^import \{ ([^}]+) \} from "\./([\w.]+)";', path.read_text(), re.MULTILINE
    ):
        exported = re.findall(
            r"^export (?:async )?(?:function\*? |const |class )(\w+)",
            (PAGE / module).read_text(),
            re.MULTILINE,
        )
        assert set(names.split(", ")) <= set(exported)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_make_no_markup(path: Path) -> None:
    """No text of anybody is parsed as HTML."""
    assert (
        re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", path.read_text()) == []
    )


def test_every_entry_of_degraded_has_words() -> None:
    """What the proto documents is what the page can explain to a shopper."""
    proto = (ROOT / "vitrine/v1/search.proto").read_text()
    comment = proto.partition("// What was left out:")[2].partition("repeated string degraded")[0]
    table = (PAGE / "window.js").read_text().partition("const LEFT_OUT = {")[2].partition("};")[0]
    assert set(re.findall(r"^  (\w+):", table, re.MULTILINE)) == set(re.findall(r'"(\w+)"', comment))
