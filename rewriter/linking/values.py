"""A catalogue's values by what they mean: the nearest one to a word, of any language that the sentence encoder speaks."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rewriter.linking.tower import FEATURES, Encoder, Vectors
from rewriter.nlu.lexicon import PROPER, Lexicon, Meaning, Part
from rewriter.nlu.vocabulary import Role
from rewriter.nlu.words import fold

MAX_VALUES = 16_384
"""Phrases of one catalogue that words are held against; the values come before the language files' styles and kinds."""

_NEAR = 0.98
"""Share of the common words that are less near to a value than its floor."""
_ROWS = 256
"""Values that are held against common words at once."""

_MIN_LETTERS = 3
"""Letters of the shortest value in a script of letters: "M" and "No" mean too much."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """A phrase that words are held against, and what it means."""

    phrase: str
    meaning: Meaning


@dataclass(frozen=True, slots=True)
class ValueIndex:
    """The anchors of a catalogue with their vectors."""

    anchors: Sequence[Anchor]
    vectors: Vectors
    floors: Vectors
    """The cosine of each anchor to what words of any kind are near it: some values, often rare words, are near to very many."""
    free: "ValueIndex | None" = None
    """What values say that things are free of; None where none does."""

    def nearest(self, vectors: Vectors) -> list[tuple[Anchor, float]]:
        """Return the nearest anchor to each row, with how much nearer it is than common words are: 0 as they, 1 the same.

        There is at least one anchor.
        """
        similarities = (vectors @ self.vectors.T - self.floors) / (1 - self.floors)
        best = similarities.argmax(1)
        return [(self.anchors[place], float(similarities[row, place])) for row, place in enumerate(best)]


def anchors_of(lexicon: Lexicon) -> list[Anchor]:
    """Return what words may be linked to: values but proper names, then the styles and kinds where the catalogue has their categories."""
    values: dict[str, Meaning] = {}
    styles: dict[str, Meaning] = {}
    for key, meaning in lexicon.phrases.items():
        if meaning.said in lexicon.called and meaning.said != fold(meaning.value):
            continue  # what a value is called is linked as it is said, and means less by its vector
        if meaning.role is Role.VALUE and meaning.part not in PROPER:
            if len(meaning.said) >= _MIN_LETTERS or not meaning.said.isascii():
                values.setdefault(meaning.said, meaning)
        elif meaning.role is Role.STYLE and lexicon.kinds:
            styles.setdefault(" ".join(key), meaning)
    anchors = (Anchor(phrase, meaning) for phrase, meaning in {**styles, **values}.items())
    return sorted(anchors, key=lambda anchor: anchor.meaning.role is not Role.VALUE)[:MAX_VALUES]


def digest_of(anchors: Iterable[Anchor]) -> bytes:
    """Return what tells catalogues apart by what their values are, not by how frequent they are."""
    lines = sorted(f"{each.meaning.slot}\t{each.meaning.value}\t{each.phrase}" for each in anchors)
    return hashlib.blake2b("\n".join(lines).encode(), digest_size=16).digest()


def build_index(
    anchors: Sequence[Anchor], tower: Encoder, *, common: Vectors, known: Mapping[str, Vectors]
) -> ValueIndex:
    """Embed the anchors, but those whose vectors are known, and hold them against the vectors of common words."""
    vectors = np.zeros((len(anchors), FEATURES), np.float32)
    missing = []
    for row, anchor in enumerate(anchors):
        if anchor.phrase in known:
            vectors[row] = known[anchor.phrase]
        else:
            missing.append(row)
    if missing:
        vectors[missing] = tower.embed([anchors[row].phrase for row in missing])
    places = range(0, len(anchors), _ROWS)
    floors = [np.quantile(vectors[at : at + _ROWS] @ common.T, _NEAR, axis=1) for at in places]
    return ValueIndex(anchors, vectors, np.concatenate(floors).astype(np.float32))


def linked(said: str, anchor: Anchor) -> Meaning:
    """Return what a word means that stands for an anchor: a query keeps its own word for what the product is."""
    meaning = anchor.meaning
    return replace(meaning, said=said) if meaning.part is Part.CATEGORY else meaning
