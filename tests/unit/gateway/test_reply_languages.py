"""The languages of replies are data: complete, checked when they are read, and joined by a file alone."""

import re
from pathlib import Path
from typing import Any

import pytest
from fluent.syntax import parse

from gateway.conversation.replies.templates import (
    InvalidLanguage,
    Language,
    read_languages,
    shipped_languages,
    variables,
)

SHIPPED = Path(__file__).parents[3] / "gateway/conversation/replies/languages"
LANGUAGES = ("de", "en", "es", "fr", "ko", "zh")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with English alone."""
    (tmp_path / "en.ftl").write_text((SHIPPED / "en.ftl").read_text("utf-8"), "utf-8")
    return tmp_path


def test_six_languages_ship_with_the_same_messages() -> None:
    """Reading them checks that."""
    assert tuple(language.code for language in shipped_languages()) == LANGUAGES


@pytest.mark.parametrize("code", LANGUAGES)
def test_every_language_uses_every_variable(code: str) -> None:
    """A reply in another language says no less than the English one."""
    english, other = (variables(parse((SHIPPED / f"{each}.ftl").read_text("utf-8"))) for each in ("en", code))
    assert other == english


@pytest.mark.parametrize("code", LANGUAGES)
@pytest.mark.parametrize("count", [0, 1, 2, 5, 21, 1_000_000])
def test_every_message_is_said_for_every_count(code: str, count: int) -> None:
    """No message holds a mistake that only one form of a number shows."""
    language = shipped_languages().of(code)
    for name in variables(parse((SHIPPED / "en.ftl").read_text("utf-8"))):
        said = language.say(name, **_parts(count))
        assert "{" not in said
        assert "???" not in said


def _parts(count: int) -> dict[str, Any]:
    texts = [
        "conditions",
        "words",
        "change",
        "title",
        "number",
        "label",
        "fields",
        "price",
        "details",
        "value",
        "values",
        "lowest",
        "highest",
    ]
    return {**dict.fromkeys(texts, "x"), "count": count, "first": 1, "last": 2}


def test_a_language_is_added_by_a_file(folder: Path) -> None:
    """Dutch, made of the English messages with one of its own, says numbers as Dutch does."""
    english = (folder / "en.ftl").read_text("utf-8")
    (folder / "nl.ftl").write_text(english.replace("I found no product.", "Niets gevonden."), "utf-8")
    dutch = read_languages(folder).of("nl")
    assert dutch.say("none-at-all") == "Niets gevonden."
    assert dutch.say("found", count=1234, conditions="rood").startswith("1.234 ")
    assert dutch.listed(["a", "b"]) == "a en b"


def test_an_unknown_language_is_answered_in_english() -> None:
    """Whoever asks in a language that nobody taught gets an answer."""
    assert shipped_languages().of("xx").code == "en"


@pytest.mark.parametrize(
    ("name", "change", "problem"),
    [
        ("nl", ("none-at-all = ", "no-product = "), "nl.ftl: has no-product, which English has not"),
        ("nl", ("none-at-all = I found no product.\n", ""), "nl.ftl: lacks none-at-all"),
        ("nl", ("{ $change }", "{ $chnage }"), "unknown variable $chnage"),
        ("nl", ("none-at-all = ", "none at all = "), "nl.ftl: not a message: none at all"),
        ("no-language", ("", ""), "no-language.ftl: the name is no code of a language"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(
    folder: Path, name: str, change: tuple[str, str], problem: str
) -> None:
    """Whoever adds a language reads what is wrong with it, before anything serves."""
    english = (folder / "en.ftl").read_text("utf-8")
    (folder / f"{name}.ftl").write_text(english.replace(*change), "utf-8")
    with pytest.raises(InvalidLanguage, match=re.escape(problem)):
        read_languages(folder)


def test_english_is_needed(tmp_path: Path) -> None:
    """What the others are held against has to be there."""
    with pytest.raises(InvalidLanguage, match=r"en\.ftl is missing"):
        read_languages(tmp_path)


def test_every_language_names_its_capital_nouns() -> None:
    """The one message that is read by this program and by no shopper."""

    def told(language: Language) -> str:
        return language.say("capital-nouns")

    assert {told(language) for language in shipped_languages()} == {"yes", "no"}
