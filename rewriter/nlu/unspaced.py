"""Values of scripts that set no spaces, found in a text wherever they stand: the longest one first."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rewriter.nlu.words import CJK


@dataclass(frozen=True, slots=True)
class Unspaced:
    """Folded values; looking them up takes a time that does not grow with their number."""

    values: frozenset[str]
    lengths: Mapping[str, Sequence[int]]
    """How long the values are that begin with a sign, the longest first."""

    @classmethod
    def of(cls, values: Iterable[str]) -> "Unspaced":
        """Take those of the values that have such a script."""
        found = frozenset(value for value in values if CJK.search(value))
        lengths: dict[str, set[int]] = {}
        for value in found:
            lengths.setdefault(value[0], set()).add(len(value))
        return cls(found, {sign: sorted(each, reverse=True) for sign, each in lengths.items()})

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Return where values stand in folded text, in order; none lies in another."""
        if not self.values:
            return []
        found: list[tuple[int, int]] = []
        position = 0
        while position < len(text):
            lengths = self.lengths.get(text[position], ())
            ends = (position + length for length in lengths)
            end = next((end for end in ends if text[position:end] in self.values), position)
            if end > position:
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
