"""Every word of the protocols is there in every language, and agrees."""

import pytest

from encoders.photographs import vocabulary
from encoders.photographs.vocabulary import (
    LANGUAGES,
    OTHER_LANGUAGES,
    PHRASINGS,
    label_text,
    query,
    query_in_other_words,
)

_TABLES = vocabulary._TABLES


@pytest.mark.parametrize("table", ["colours", "articles", "audiences"])
def test_every_word_is_there_in_every_language(table: str) -> None:
    for key, words in _TABLES[table].items():
        assert key == key.casefold()
        assert set(words) - {"form"} == set(LANGUAGES), key
    assert {"en", "es", "zh", "ko"} <= set(LANGUAGES)


def test_spanish_forms_are_four_and_every_article_has_one() -> None:
    assert {len(words["es"]) for words in _TABLES["colours"].values()} == {4}
    assert {words["form"] for words in _TABLES["articles"].values()} == {0, 1, 2, 3}


def test_every_language_has_every_phrasing() -> None:
    assert all(set(_TABLES["phrasings"][language]) == set(PHRASINGS) for language in LANGUAGES)


def test_queries_read_as_people_write_them() -> None:
    asked = {"colour": "black", "audience": "women"}
    assert query("es", "audience", article="handbags", **asked) == "bolso negro de mujer"
    assert query("es", "words", article="sports shoes", **asked) == "zapatillas deportivas negras"
    assert query("zh", "words", article="sports shoes", **asked) == "黑色运动鞋"
    assert query("ko", "words", article="belts", colour="brown", audience=None) == "갈색 벨트"
    assert query("en", "audience", article="belts", colour="brown", audience=None) is None
    assert query("en", "words", article="spaceships", **asked) is None


def test_other_words_are_words_that_training_never_asks_with() -> None:
    """No language calls an article the same in both tables, and each query is put in its language."""
    others = _TABLES["other_articles"]
    for article, words in others.items():
        for language in OTHER_LANGUAGES:
            assert words[language] != _TABLES["articles"][article][language], (article, language)
    assert query_in_other_words("es", colour="red", article="sports shoes") == "tenis rojos"
    assert query_in_other_words("ko", colour="brown", article="belts") == "갈색 허리띠"
    assert query_in_other_words("en", colour="red", article="socks") is None
    assert OTHER_LANGUAGES == ("en", "es", "zh", "ko")


def test_a_label_is_said_in_words_where_it_is_none() -> None:
    assert (label_text("outwear"), label_text("hat")) == ("jacket", "hat")
