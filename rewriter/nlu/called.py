"""What people call a catalogue's values: the words of everyday things of which one word is a value."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Generic, TypeVar

from rewriter.languages.files import ENGLISH
from rewriter.nlu.words import fold, key_of
from rewriter.things.files import LANGUAGES, Thing, facets, products, properties, things

Key = tuple[str, ...]
T = TypeVar("T")

_MAX_FAMILY = 6
"""Values of one last word that the word alone means."""


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

    A value is the thing that it names in the language of most values: the "hose" of an English catalogue is for the garden. A
    thing that several values are, or a word of several things that the catalogue has, means none of them.
    """
    places = _places()
    spoken = Counter(
        language for key in values for language in {place.language for place in places.get(key, ())}
    )
    own = max(LANGUAGES, key=lambda language: spoken[language])
    meant: dict[int, set[T]] = {}
    for key, value in values.items():
        of_key = places.get(key, ())
        sure = [place for place in of_key if place.language == own]
        for place in sure or [place for place in of_key if not place.apart]:
            meant.setdefault(place.thing, set()).add(value)
    found: dict[tuple[str, Key], list[Name[T]]] = {}
    for number, held in meant.items():
        if len(held) == 1:
            value = next(iter(held))
            for phrase, key, language, narrower in _names()[number]:
                found.setdefault((language, key), []).append(Name(phrase, key, value, language, narrower))
    return [each[0] for each in found.values() if len({name.value for name in each}) == 1]


def families_of(values: Mapping[Key, T]) -> Mapping[Key, tuple[T, ...]]:
    """Return the values whose last word is the same, by that word and what it is called: "wine" of red wine and white wine.

    Of very many values the word tells nothing, and what is a value itself means that.
    """
    heads: dict[str, list[T]] = {}
    for key, value in values.items():
        if len(key) > 1 and key[-1:] not in values:
            heads.setdefault(key[-1], []).append(value)
    families = {(head,): tuple(each) for head, each in heads.items() if 1 < len(each) <= _MAX_FAMILY}
    called = names_for({key: key for key in families})
    return families | {name.key: families[name.value] for name in called if not name.language}


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a word stands in the files."""

    thing: int
    language: str
    apart: bool


@cache
def properties_called() -> Mapping[str, frozenset[str]]:
    """Return by each folded word for a property all words for it."""
    return _called(properties())


@cache
def facets_called() -> Mapping[str, frozenset[str]]:
    """Return by each folded word for a field of keywords, or for the price, all words for it."""
    return _called(facets())


def _called(fields: Iterable[Thing]) -> Mapping[str, frozenset[str]]:
    called: dict[str, frozenset[str]] = {}
    for thing in fields:
        words = frozenset(fold(word) for each in thing.words.values() for word in each)
        called |= {word: called.get(word, frozenset()) | words for word in words}
    return called


@cache
def called_things() -> frozenset[Key]:
    """Return what things are called in turns of any language, whether a catalogue has them or not."""
    return frozenset(key for names in _names() for _, key, language, _ in names if not language)


@cache
def called_products() -> frozenset[Key]:
    """Return what the things that shops sell are called in turns of any language: no leather, and nothing from Italy."""
    return frozenset(key for thing in products() for _, key, language, _ in _names_of(thing) if not language)


@cache
def _places() -> Mapping[Key, tuple[_Place, ...]]:
    places: dict[Key, list[_Place]] = {}
    for number, thing in enumerate(things()):
        for apart, words in ((False, thing.words), (True, thing.apart)):
            for language in LANGUAGES:
                for word in words[language]:
                    places.setdefault(key_of(word), []).append(_Place(number, language, apart))
    return {key: tuple(each) for key, each in places.items()}


@cache
def _names() -> tuple[tuple[tuple[str, Key, str, bool], ...], ...]:
    """Return what each thing is called: the phrase, its stems, the language that it needs, and whether it tells more."""
    return tuple(tuple(_names_of(thing)) for thing in things())


def _names_of(thing: Thing) -> Iterator[tuple[str, Key, str, bool]]:
    for language, words in thing.words.items():
        yield from ((word, key_of(word), "", language == ENGLISH) for word in words)
    for language, words in thing.apart.items():
        yield from ((word, key_of(word), language, False) for word in words)
    yield from ((word, key_of(word), "", True) for word in thing.kinds)
