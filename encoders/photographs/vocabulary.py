"""The words of the protocols' queries, read from vocabulary.toml: names of fields, classes, and other languages."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_TABLES: Mapping[str, Any] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))

FIELDS: Mapping[str, tuple[str, ...]] = {field: tuple(names) for field, names in _TABLES["fields"].items()}
"""Names of the attributes that a protocol reads, by what they mean; the first that a photograph has counts."""

LANGUAGES: tuple[str, ...] = tuple(_TABLES["phrasings"])
ENGLISH = "en"
OTHER_LANGUAGES: tuple[str, ...] = tuple(
    language
    for language in LANGUAGES
    if all(language in words for words in _TABLES["other_articles"].values())
)
"""The languages that have other words for articles."""
PHRASINGS: tuple[str, ...] = tuple(_TABLES["phrasings"][ENGLISH])

COLOUR_WORDS: Mapping[str, str] = _TABLES["relative"]["colours"]
"""How people write a colour in one word, and the catalogue's folded value."""
NEGATIONS = frozenset[str](_TABLES["relative"]["negations"])
RELATIVE_ARTICLES: Mapping[str, tuple[str, ...]] = {
    kind: tuple(articles) for kind, articles in _TABLES["relative"]["articles"].items()
}
"""The articles of a catalogue, folded, that sentences of each kind of garment are asked of."""


def label_text(label: str) -> str:
    """Return a class of customers' photographs as a shopper says it."""
    text: str = _TABLES["labels"].get(label, label)
    return text


def query(language: str, phrasing: str, *, colour: str, article: str, audience: str | None) -> str | None:
    """Return a query for folded values of a catalogue in a language; None where the table lacks a word of it."""
    return _filled(language, phrasing, _TABLES["articles"].get(article), colour, audience)


def colour_in(language: str, colour: str) -> str | None:
    """Return a folded colour of a catalogue in a language, in its first form; None where the table lacks it."""
    forms = _TABLES["colours"].get(colour, {}).get(language)
    word: str | None = forms[0] if isinstance(forms, list) else forms
    return word


def query_in_other_words(language: str, *, colour: str, article: str) -> str | None:
    """Return a query that calls the article by a word that `query` never uses; None where the table has none.

    For measuring: training must not ask for it.
    """
    return _filled(language, "words", _TABLES["other_articles"].get(article), colour, None)


def _filled(
    language: str, phrasing: str, words: Mapping[str, Any] | None, colour: str, audience: str | None
) -> str | None:
    shade = _TABLES["colours"].get(colour)
    whom = _TABLES["audiences"].get(audience)
    if words is None or shade is None or (whom is None and phrasing == "audience"):
        return None
    forms = shade[language]
    text: str = _TABLES["phrasings"][language][phrasing].format(
        article=words[language],
        colour=forms[words["form"]] if isinstance(forms, list) else forms,
        audience=whom[language] if whom else "",
    )
    return text
