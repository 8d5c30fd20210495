"""Reads what people call everyday things: the files beside this one, a trade each.

A line is one thing: its words in six languages, the order of LANGUAGES, then the narrower kinds of it in any language, with bars
between the columns and commas within them. A word after "~" is another one in another language, "Rock" or "pain", and counts only
in a turn of its own. None of it says what a catalogue has: a thing matters where one of its words is a value of the catalogue.
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType

LANGUAGES = ("en", "de", "es", "fr", "zh", "ko")
"""The languages of the columns."""

_APART = "~"
_FILES = resources.files("rewriter.things")


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """One thing, and what it is called."""

    words: Mapping[str, tuple[str, ...]]
    """By language; those that mean it in a turn of any language."""
    apart: Mapping[str, tuple[str, ...]]
    """By language; those that mean it in a turn of that language alone."""
    kinds: tuple[str, ...]
    """Narrower kinds, and makers' names that people use for it."""


@cache
def things() -> tuple[Thing, ...]:
    """Return the things of every file, those that shops sell first, then what is said of them."""
    return (*products(), *_listed("qualities"))


@cache
def products() -> tuple[Thing, ...]:
    """Return the things that shops sell."""
    return _listed("things")


@cache
def properties() -> tuple[Thing, ...]:
    """Return what things are filtered by, such as how many stars or pages they have."""
    return _listed("fields")


@cache
def facets() -> tuple[Thing, ...]:
    """Return the fields whose values are keywords, and the price."""
    return _listed("facets")


def thing_of(line: str) -> Thing:
    """Read one line.

    Raises:
        ValueError: it has not a column for each language and one for the kinds.
    """
    columns = line.split("|")
    if len(columns) != len(LANGUAGES) + 1:
        raise ValueError(f"{len(LANGUAGES) + 1} columns, got {len(columns)}: {line}")
    *said, kinds = (tuple(_words(column)) for column in columns)
    by_language = dict(zip(LANGUAGES, said, strict=True))
    words = {code: tuple(word for word in each if word[0] != _APART) for code, each in by_language.items()}
    apart = {
        code: tuple(word.removeprefix(_APART) for word in each if word[0] == _APART)
        for code, each in by_language.items()
    }
    return Thing(words=MappingProxyType(words), apart=MappingProxyType(apart), kinds=kinds)


def _listed(table: str) -> tuple[Thing, ...]:
    names = sorted(file.name for file in _FILES.iterdir() if file.name.endswith(".toml"))
    texts = ((_FILES / name).read_text(encoding="utf-8") for name in names)
    return tuple(thing_of(line) for text in texts for line in tomllib.loads(text).get(table, ()))


def _words(column: str) -> Iterator[str]:
    """Yield the words and phrases of a column; none of one with "~" alone, nor of an empty one."""
    for word in column.split(","):
        said = " ".join(word.split())
        if said.removeprefix(_APART).strip():
            yield said
