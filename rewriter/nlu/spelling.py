"""Misspelt words, mended where one slip of the finger leads to one word of the lexicon."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from rewriter.languages.files import languages
from rewriter.nlu.lexicon import Lexicon
from rewriter.nlu.words import CJK, stem

_MIN_TYPO = 5
"""Letters of the shortest word whose spelling is mended, where nobody knows which words are right."""

_MIN_DOUBTED = 4
"""Letters of the shortest one where it is known to be no word of any language."""

_MIN_SWAPPED = 3
"""Letters of the shortest one of them of which two may have changed places."""

_MAX_TYPO = 24
"""Letters of the longest one: no word of a catalogue is longer."""

_MENDED_LETTERS = 160
"""Letters of all words of a turn that are mended."""

_PLAIN_WORD = re.compile(r"(?<![\w)?\\])[a-z]+(?![\w(?\[])")
"""A whole word of a pattern: no part of one, "max(?:imum)?"."""

_LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(slots=True)
class Speller:
    """Mends the words of one turn, of so many letters in all: each letter costs the look-up of some fifty edits."""

    lexicon: Lexicon
    left: int = _MENDED_LETTERS

    def mended(self, word: str, *, doubted: bool = False) -> str:
        """Return the one word of the lexicon that a single slip of the finger leads to; else the word itself.

        A word that is `doubted`, known to be none of any language, may be short, or a slip for one that bounds amounts: where
        nobody knows that, "bitter" is not "better".
        """
        least = _MIN_SWAPPED if doubted else _MIN_TYPO
        if not least <= len(word) <= _MAX_TYPO or not word.isascii() or not word.isalpha():
            return word
        right = self.lexicon.right
        if word in right or stem(word) in right or word in scaffolding() or len(word) > self.left:
            return word
        if stem(word) in self.lexicon.words:
            return word
        self.left -= len(word)
        edits = _swaps(word) if len(word) < _MIN_DOUBTED else _edits(word)
        least, mendable = min(len(word), _MIN_TYPO - 1), self.lexicon.mendable
        found = {
            edit
            for edit in edits
            if len(edit) >= least and (stem(edit) in mendable or (doubted and edit in _bounding_words()))
        }
        found = {edit for edit in found if stem(edit) not in self.lexicon.names} or found
        stems = {stem(edit) for edit in found}
        return min(found, key=lambda edit: (len(edit), edit)) if len(stems) == 1 else word


@cache
def scaffolding() -> frozenset[str]:
    """Return the words of other languages that carry no wish."""
    return frozenset(word for each in languages().values() for word in each.words("fillers"))


@cache
def _bounding_words() -> frozenset[str]:
    """Return the words that bound amounts and count money, those long enough to be mended into: "between", "under"."""
    texts = (
        str(text)
        for each in languages().values()
        for table in ("bounds", "bounds_after", "prices", "numbers")
        for text in each.table(table).values()
    )
    words = (word for text in texts for word in _PLAIN_WORD.findall(text))
    return frozenset(word for word in words if len(word) >= _MIN_TYPO)


def is_scaffolding(run: str) -> bool:
    """Return whether a run of a script without spaces is made of words that carry no wish."""
    return not unspaced_scaffolding().sub("", run)


@cache
def unspaced_scaffolding() -> re.Pattern[str]:
    """Return the pattern of the words of scripts without spaces that carry no wish, the longest first."""
    words = sorted(filter(CJK.search, scaffolding()), key=lambda word: (-len(word), word))
    return re.compile("|".join(map(re.escape, words)) or r"(?!)")


def _swaps(word: str) -> Iterator[str]:
    """Yield what one swap of neighbours makes of the word, but at its start."""
    for place in range(1, len(word) - 1):
        yield word[:place] + word[place + 1] + word[place] + word[place + 2 :]


def _edits(word: str) -> Iterator[str]:
    """Yield what one swap, one letter less, one other letter or one letter more makes of the word, but at its start."""
    yield from _swaps(word)
    for place in range(1, len(word) + 1):
        head, tail = word[:place], word[place:]
        if tail:
            yield head + tail[1:]
        for letter in _LETTERS:
            yield head + letter + tail
            if tail:
                yield head + letter + tail[1:]
