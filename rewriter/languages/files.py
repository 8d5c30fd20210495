"""Reads the language files.

A list of phrases is one text with bars between its entries. A pattern is a regular expression, which may be broken into
lines at its bars.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

ENGLISH = "en"

COMPULSORY = frozenset(
    {"positions", "money", "sentiment", "bounds", "bounds_after", "measures", "sorting", "more", "stock"}
    | {"free", "replies"}
)
"""Tables that every language has."""

_NOTHING: Mapping[str, Any] = MappingProxyType({})
_FILES = resources.files("rewriter.languages")
_SPOKEN = (
    "cues", "actions", "positions", "money", "sentiment", "small_talk", "fillers", "bounds", "bounds_after", "numbers", "measures",
    "prices", "sorting", "compared", "more", "stock", "phrasings", "shorthand", "service", "lifting", "joining",
)  # fmt: skip
"""Tables of what turns do; the others name what is sold."""
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W_]+)?")
_ADJECTIVE = ("o", "a", "os", "as")


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """One language file."""

    code: str
    spaced: bool
    """Whether words stand apart."""
    tables: Mapping[str, Any]

    def table(self, name: str) -> Mapping[str, Any]:
        """Return a table; an empty one where the file has none."""
        found: Mapping[str, Any] = self.tables.get(name, _NOTHING)
        return found

    def phrases(self, table: str, name: str) -> tuple[str, ...]:
        """Return a list of phrases; an empty one where the file has none."""
        return listed(self.table(table).get(name, ""))

    def pattern(self, table: str, name: str) -> str:
        """Return a pattern; an empty one where the file has none."""
        return str(self.table(table).get(name, "")).replace("\n", "")

    def words(self, table: str) -> frozenset[str]:
        """Return the single words that a table lists."""
        return frozenset(str(self.table(table).get("words", "")).split())

    def names(self) -> Iterator[tuple[str, str]]:
        """Yield each name of this language with the English value that it stands for."""
        for value in self.table("names"):
            yield from ((name, value) for name in self.names_of(value))
        if self.code != ENGLISH:
            for value in self.table("features"):
                yield from (
                    (name, value)
                    for entry in self.phrases("features", value)
                    for name in _with_endings(entry)
                )

    def names_of(self, value: str) -> list[str]:
        """Return every name of an English value, its endings written out; none for a value without any."""
        return [name for entry in self.phrases("names", value) for name in _with_endings(entry)]


@cache
def languages() -> Mapping[str, Language]:
    """Return the languages that the rewriter knows, English first."""
    codes = sorted(
        file.name.removesuffix(".toml") for file in _FILES.iterdir() if file.name.endswith(".toml")
    )
    known = {code: _read(code) for code in sorted(codes, key=lambda code: (code != ENGLISH, code))}
    return MappingProxyType(known)


def english() -> Language:
    """Return the language whose values the others name."""
    return languages()[ENGLISH]


def listed(phrases: str) -> tuple[str, ...]:
    """Read a list of phrases."""
    return tuple(" ".join(phrase.split()) for phrase in phrases.split("|")) if phrases else ()


def either(alternatives: Sequence[str], *, spaced: bool) -> str:
    """Return the pattern of any of the patterns; where words stand apart, no letter stands at its ends."""
    joined = f"(?:{'|'.join(filter(None, alternatives))})"
    return rf"(?<![^\W\d_]){joined}(?![^\W\d_])" if spaced else joined


def any_language(table: str, name: str) -> str:
    """Return the pattern of that name in any language; one that matches nothing where none has it."""
    known = [
        either([pattern], spaced=language.spaced)
        for language in languages().values()
        if (pattern := language.pattern(table, name))
    ]
    return f"(?:{'|'.join(known)})" if known else r"(?!)"


def any_phrases(table: str, name: str) -> frozenset[str]:
    """Return the phrases of that list in every language."""
    return frozenset(phrase for each in languages().values() for phrase in each.phrases(table, name))


@cache
def spoken_words() -> frozenset[str]:
    """Return every word by which a language file says what turns do, whatever the catalogue sells."""
    texts = (
        text for each in languages().values() for name in _SPOKEN for text in _texts(each.tables.get(name))
    )
    return frozenset(word for text in texts for word in _WORD.findall(text))


def _texts(table: Any) -> Iterator[str]:
    """Yield the texts of a table, those of its lists and tables too."""
    if isinstance(table, str):
        yield table
    elif isinstance(table, Mapping):
        yield from (text for part in table.values() for text in _texts(part))
    elif isinstance(table, Sequence):
        yield from (text for part in table for text in _texts(part))


def _read(code: str) -> Language:
    tables = tomllib.loads((_FILES / f"{code}.toml").read_text(encoding="utf-8"))
    return Language(code=code, spaced=tables.pop("spaced"), tables=MappingProxyType(tables))


def _with_endings(name: str) -> Iterator[str]:
    if name.endswith("*"):
        yield from (name[:-2] + ending for ending in _ADJECTIVE)
    elif name.endswith("+"):
        yield from (name[:-1], name[:-1] + ("s" if re.search(r"[aeiou]\+$", name) else "es"))
    else:
        yield name
