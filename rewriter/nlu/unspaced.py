"""Values of scripts that set no spaces, found in a text wherever they stand: the longest one first."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from rewriter.languages.files import languages
from rewriter.nlu.words import CJK

_HANGUL = re.compile("[\uac00-\ud7af]*")


@dataclass(frozen=True, slots=True)
class Unspaced:
    """Folded values; looking them up takes a time that does not grow with their number."""

    values: frozenset[str]
    lengths: Mapping[str, Sequence[int]]
    """How long the words are that begin with a sign, the longest first: the values, and others that hide them."""
    hiding: frozenset[str] = frozenset()
    """Longer words that are no values, in which one may stand: the sofa in 沙发床."""

    @classmethod
    def of(cls, values: Iterable[str], hiding: Iterable[str] = ()) -> "Unspaced":
        """Take those of the values, and of the words that may hide them, that have such a script."""
        found = frozenset(value for value in values if CJK.search(value))
        others = frozenset(word for word in hiding if CJK.search(word)) - found
        lengths: dict[str, set[int]] = {}
        for word in found | others:
            lengths.setdefault(word[0], set()).add(len(word))
        return cls(found, {sign: sorted(each, reverse=True) for sign, each in lengths.items()}, others)

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Return where values stand in folded text, in order; none lies in another, nor in a word that hides it."""
        if not self.values or CJK.search(text) is None:
            return []
        found: list[tuple[int, int]] = []
        position = 0
        while position < len(text):
            ends = (position + length for length in self.lengths.get(text[position], ()))
            end = next((end for end in ends if self._stands(text, position, end)), position)
            if text[position:end] in self.values:
                found.append((position, end))
            position = max(end, position + 1)
        return found

    def set_apart(self, text: str) -> str:
        """Return folded text with spaces around the values."""
        parts, position = [], 0
        for start, end in self.spans(text):
            parts += [text[position:start], f" {text[start:end]} "]
            position = end
        return "".join([*parts, text[position:]])

    def _stands(self, text: str, start: int, end: int) -> bool:
        """Return whether a word stands there; one Korean syllable is one where nothing but a particle is joined to it."""
        said = text[start:end]
        if said not in self.values and said not in self.hiding:
            return False
        if len(said) > 1 or not _HANGUL.fullmatch(said):
            return True
        after = _HANGUL.match(text, end)
        return not (start and _HANGUL.fullmatch(text[start - 1])) and (
            after is None or not after[0] or after[0] in _particles()
        )


@cache
def _particles() -> frozenset[str]:
    return frozenset(
        ending
        for each in languages().values()
        for ending in str(each.table("endings").get("words", "")).split()
    )
