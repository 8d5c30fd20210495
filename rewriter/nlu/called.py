"""What people call a catalogue's values: the words of everyday things of which one word is a value."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import Generic, TypeVar

from rewriter.languages.files import ENGLISH
from rewriter.nlu.words import key_of
from rewriter.things.files import Thing, things

Key = tuple[str, ...]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Name(Generic[T]):
    """A word or phrase that means a value."""

    phrase: str
    key: Key
    value: T
    language: str
    """That in which it means it; empty for a turn of any."""
    narrower: bool
    """Whether it is one of several kinds of the value, or another English word: what a shopper says tells more then."""


def names_for(values: Mapping[Key, T]) -> list[Name[T]]:
    """Return what the values are called beside what they are, each word with the one value that it means.

    A thing that several values are, or a word of several things that the catalogue has, means none of them.
    """
    found: dict[tuple[str, Key], list[Name[T]]] = {}
    for thing in _keyed():
        meant = {values[key] for key in thing.keys if key in values}
        if len(meant) == 1:
            value = meant.pop()
            for phrase, key, language, narrower in thing.names:
                name = Name(phrase, key, value, language, narrower)
                found.setdefault((language, key), []).append(name)
    return [each[0] for each in found.values() if len({name.value for name in each}) == 1]


@cache
def called_things() -> frozenset[Key]:
    """Return what things are called in turns of any language, whether a catalogue has them or not."""
    return frozenset(key for thing in _keyed() for _, key, language, _ in thing.names if not language)


@dataclass(frozen=True, slots=True)
class _Keyed:
    """A thing with the stems of its words."""

    keys: frozenset[Key]
    names: tuple[tuple[str, Key, str, bool], ...]


@cache
def _keyed() -> tuple[_Keyed, ...]:
    return tuple(
        _Keyed(frozenset(key_of(word) for word in _words(thing)), tuple(_names(thing))) for thing in things()
    )


def _words(thing: Thing) -> Iterator[str]:
    yield from chain(*thing.words.values(), *thing.apart.values())


def _names(thing: Thing) -> Iterator[tuple[str, Key, str, bool]]:
    for language, words in thing.words.items():
        yield from ((word, key_of(word), "", language == ENGLISH) for word in words)
    for language, words in thing.apart.items():
        yield from ((word, key_of(word), language, False) for word in words)
    yield from ((word, key_of(word), "", True) for word in thing.kinds)
