"""The page's own files, read as text: what they name is there, and nothing becomes markup."""

import re
from pathlib import Path

import pytest

from storefront.bridge import PAGE

ROOT = Path(__file__).parents[3]
SCRIPTS = sorted(PAGE.glob("*.js"))
LANGUAGES = sorted(PAGE.glob("words-*.js"))
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


def words_of(path: Path) -> dict[str, set[str]]:
    """Return the messages of a language with the parts that each fills in, in all its forms."""
    lines = re.findall(r"^  (\w+): (.+),$", path.read_text("utf-8"), re.MULTILINE)
    return {name: set(re.findall(r"\{(\w+)\}", text)) for name, text in lines}


ENGLISH = words_of(PAGE / "words-en.js")


def test_every_entry_of_degraded_has_words() -> None:
    """What the proto documents is what the page can explain to a shopper."""
    proto = (ROOT / "vitrine/v1/search.proto").read_text()
    comment = proto.partition("// What was left out:")[2].partition("repeated string degraded")[0]
    told = {name.removeprefix("left_") for name in ENGLISH if name.startswith("left_")} - {"other"}
    assert told == set(re.findall(r'"(\w+)"', comment))


@pytest.mark.parametrize("path", LANGUAGES, ids=lambda path: path.name)
def test_every_language_says_what_english_does(path: Path) -> None:
    """No language lacks a message or one of its parts; a number may be written out where it is one."""
    said = words_of(path)
    assert said.keys() == ENGLISH.keys()
    assert {name: parts | {"count"} for name, parts in said.items()} == {
        name: parts | {"count"} for name, parts in ENGLISH.items()
    }


def test_the_menu_offers_the_languages_that_there_are() -> None:
    """A language is added by its words and a line of the menu."""
    page = (PAGE / "index.html").read_text("utf-8")
    offered = re.findall(r'<option value="(\w+)"', page)
    assert sorted(offered) == [path.stem.removeprefix("words-") for path in LANGUAGES]


def test_every_message_is_said_and_what_is_said_is_a_message() -> None:
    """Nothing on the page is left in English, and no language translates what nobody reads."""
    texts = [path.read_text("utf-8") for path in [*SCRIPTS, PAGE / "index.html"] if path not in LANGUAGES]
    named = {name for text in texts for name in re.findall(r'"(\w+)"', text)}
    asked = {name for text in texts for name in re.findall(r'(?:say\(|data-say[\w-]*=)"(\w+)"', text)}
    by_rule = {name for name in ENGLISH if name.startswith(("left_", "route_", "signal_"))}
    assert asked <= ENGLISH.keys()
    assert ENGLISH.keys() - by_rule <= named
