"""Values that say what a thing is free of, and turns that ask for it: "sin lactosa" is the value "lactose-free", no lactose.

The forms are in the language files. Without this a negation before the word would leave out the very things that are wanted.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from rewriter.languages.files import languages
from rewriter.linking.forms import letters_of, without_endings
from rewriter.linking.values import Anchor
from rewriter.nlu.lexicon import Lexicon
from rewriter.nlu.vocabulary import Role
from rewriter.nlu.words import CJK, fold

MAX_MENTIONS = 4
"""Mentions of one turn that are read."""

_MAX_SIGNS = 4
"""Signs of the longest word in a script that sets no spaces."""
_SPACED = r"(?P<x>[^\W\d_]+)"
_UNSPACED = rf"(?P<x>[^\W\d_a-z]{{1,{_MAX_SIGNS}}})"


@dataclass(frozen=True, slots=True)
class Mention:
    """A part of a turn that asks for things without something."""

    start: int
    end: int
    words: tuple[str, ...]
    """What that something may be called, the likeliest first."""
    ends: tuple[int, ...]
    """Where the mention ends with each of the words."""


def free_anchors(lexicon: Lexicon) -> list[Anchor]:
    """Return what the catalogue's values say that things are free of, each with its value: "lactose" of "lactose-free"."""
    values = {meaning.value: meaning for meaning in lexicon.phrases.values() if meaning.role is Role.VALUE}
    return [
        Anchor(what, meaning)
        for value, meaning in values.items()
        for what in dict.fromkeys(_named(fold(value)))
    ]


def mentions_of(text: str) -> list[Mention]:
    """Return where folded text asks for things without something, in order."""
    found = sorted(
        (match for form in _forms() for match in form.finditer(text)),
        key=lambda match: (match.start(), -match.end()),
    )
    mentions: list[Mention] = []
    for match in found:
        if match["x"] and (not mentions or match.start() >= mentions[-1].end):
            mentions.append(_mention(match))
    return mentions[:MAX_MENTIONS]


def is_same_word(one: str, other: str) -> bool:
    """Return whether two words are one, whatever their accents and endings."""
    first, second = letters_of(one), letters_of(other)
    return not {first, *without_endings(first)}.isdisjoint({second, *without_endings(second)})


def _mention(match: re.Match[str]) -> Mention:
    """Return a mention; of signs that stand behind the form, as many as may belong to it."""
    word, (start, end) = match["x"], match.span()
    if not CJK.fullmatch(word) or match.end("x") != end:
        return Mention(start, end, (word,), (end,))
    lengths = range(len(word), 0, -1)
    words = tuple(word[:length] for length in lengths)
    return Mention(start, end, words, tuple(end - len(word) + length for length in lengths))


def _named(value: str) -> Iterator[str]:
    yield from (match["x"] for form in _forms() if (match := form.fullmatch(value)) is not None)


@cache
def _forms() -> tuple[re.Pattern[str], ...]:
    """Return the forms of every language; where words stand apart, each is of whole words."""
    return tuple(
        re.compile(
            rf"(?<![\w-]){form}(?![\w-])".replace("{x}", _SPACED)
            if language.spaced
            else form.replace("{x}", _UNSPACED)
        )
        for language in languages().values()
        for form in language.table("free").get("forms", ())
    )
