"""Photographs with their captions and the changes between them, as arrays that training draws from."""

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from encoders.pair.captions import (
    attribute,
    changes,
    changes_in_other_languages,
    changes_with_capitals,
    said_of,
    whole_of,
)
from encoders.pair.pieces import load_tokenizer
from encoders.pair.sentences import Sentences
from encoders.photographs.products import Photograph

_ROWS = 256
NONE = -1
_KIND = ("category", "colour", "audience")
_CHANGING = (1, 0)
"""Places in _KIND of what changes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """Texts with the features of the frozen text tower."""

    numbers: Mapping[str, int]
    features: Tensor
    """float32 (t, 512)."""

    @classmethod
    @torch.inference_mode()
    def of(cls, texts: Sequence[str], tower: Sentences) -> "Texts":
        """Embed each text once."""
        tokenizer = load_tokenizer()
        encoded = {text: tokenizer.encode(text) for text in set(texts)}
        # Short ones together, cut behind the longest: padding changes nothing, and most of it would be computed.
        distinct = sorted(encoded, key=lambda text: (sum(encoded[text].attention_mask), text))
        features = []
        for start in range(0, len(distinct), _ROWS):
            batch = [encoded[text] for text in distinct[start : start + _ROWS]]
            longest = max(sum(each.attention_mask) for each in batch)
            features.append(tower(torch.tensor([each.ids[:longest] for each in batch])))
        numbers = {text: number for number, text in enumerate(distinct)}
        return cls(numbers=numbers, features=torch.cat(features).clone())

    def rows(self, texts: Sequence[str]) -> list[int]:
        """Return the numbers of texts."""
        return [self.numbers[text] for text in texts]


@dataclass(frozen=True, slots=True, kw_only=True)
class Captions:
    """Which texts fit which picture."""

    texts: Texts
    fitting: NDArray[np.int64]
    """(n, k) numbers of texts, the title first; NONE where a picture has fewer."""

    @classmethod
    def of(cls, photographs: Sequence[Photograph], tower: Sentences) -> "Captions":
        """Say what is said of each photograph."""
        said = [said_of(photograph) for photograph in photographs]
        texts = Texts.of([text for each in said for text in each], tower)
        fitting = np.full((len(said), max(map(len, said))), NONE)
        for row, each in enumerate(said):
            fitting[row, : len(each)] = texts.rows(each)
        return cls(texts=texts, fitting=fitting)

    def draw(self, rows: NDArray[np.int64], rng: np.random.Generator, *, titles: float) -> NDArray[np.int64]:
        """Return a text for each picture: its title for that share of them, another for the rest."""
        counts = (self.fitting[rows] != NONE).sum(1)
        others = 1 + rng.integers(np.maximum(counts - 1, 1))
        column = np.where((rng.random(len(rows)) < titles) | (counts == 1), 0, others)
        drawn: NDArray[np.int64] = self.fitting[rows, column]
        return drawn

    def positives(self, rows: NDArray[np.int64], texts: NDArray[np.int64]) -> Tensor:
        """Return which text fits which picture, bool (pictures, texts)."""
        return torch.from_numpy((self.fitting[rows][:, :, None] == texts[None, None]).any(1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A picture, and another value of one of its attributes."""

    source: int
    target: int
    """The kind of pictures that have it and are like the source otherwise; see `Changes.kinds`."""
    place: int
    """In _KIND, of the attribute that changes."""
    new: int
    """The number of the new value's text."""
    texts: tuple[int, ...]
    """Ways to ask for it, in the order of `captions.CHANGES`."""

    @property
    def is_of_colour(self) -> bool:
        """Whether the colour changes, and not the category."""
        return _is_colour(self.place)


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """All changes between pictures of the data."""

    texts: Texts
    all: tuple[Change, ...]
    kinds: NDArray[np.int64]
    """(n,), equal for pictures of equal category, colour and audience."""
    captions: NDArray[np.int64]
    """(kinds,) numbers of the texts that say what pictures of a kind are."""
    titles: NDArray[np.int64]
    """(n,) numbers of texts; NONE where a picture has no title."""
    other_ways: tuple[NDArray[np.int64], ...]
    """(m, 2) numbers of a new colour's text and of a sentence that asks for it: with capitals, and in other languages."""
    written: Mapping[int, NDArray[np.int64]]
    """Numbers of sentences that people wrote, by the number of the new colour that they ask for."""

    @classmethod
    def of(
        cls,
        photographs: Sequence[Photograph],
        tower: Sentences,
        written: Mapping[str, Sequence[str]] = MappingProxyType({}),
    ) -> "Changes":
        """Find the pictures that differ in their colour alone, and those that differ in their category alone.

        Args:
            photographs: with what is said of them.
            tower: embeds the texts.
            written: sentences by the colour that they ask for; of colours that no change leads to none is kept.
        """
        described = [tuple(attribute(each, name) for name in _KIND) for each in photographs]
        numbers = {kind: number for number, kind in enumerate(dict.fromkeys(described))}
        others = {
            kind: [
                (numbers[other], changed, (kind[changed], other[changed]))
                for changed in _CHANGING
                for other in numbers
                if _differs_in(kind, other, changed)
            ]
            for kind in numbers
        }
        asked = {values: changes(*values) for each in others.values() for _, _, values in each}
        titles = [each.title for each in photographs]
        wholes = [whole_of(*kind) for kind in numbers]
        said = [text for values, each in asked.items() for text in (values[1], *each)]
        colours = {values[1] for each in others.values() for _, place, values in each if _is_colour(place)}
        kept = {colour: sentences for colour, sentences in written.items() if sentences and colour in colours}
        people = [text for sentences in kept.values() for text in sentences]
        other_ways = _other_ways(colours)
        ways_said = [text for each in other_ways for _, text in each]
        texts = Texts.of([*said, *wholes, *filter(None, titles), *people, *ways_said], tower)
        rows = {values: tuple(texts.rows(said)) for values, said in asked.items()}
        return cls(
            texts=texts,
            all=tuple(
                Change(
                    source=source,
                    target=target,
                    place=place,
                    new=texts.numbers[values[1]],
                    texts=rows[values],
                )
                for source, kind in enumerate(described)
                for target, place, values in others[kind]
            ),
            kinds=np.array([numbers[kind] for kind in described]),
            captions=np.array(texts.rows(wholes)),
            titles=np.array([texts.numbers[title] if title else NONE for title in titles]),
            other_ways=tuple(
                np.array([(texts.numbers[new], texts.numbers[text]) for new, text in each])
                for each in other_ways
                if each
            ),
            written={
                texts.numbers[colour]: np.array(texts.rows(sentences)) for colour, sentences in kept.items()
            },
        )


def _other_ways(colours: Collection[str]) -> list[list[tuple[str, str]]]:
    """Return new colours with sentences that ask for them: with capitals, and in other languages."""
    pairs = list(itertools.permutations(sorted(colours), 2))
    return [
        [(new, text) for old, new in pairs for text in ways(old, new)]
        for ways in (changes_with_capitals, changes_in_other_languages)
    ]


def _is_colour(place: int) -> bool:
    return _KIND[place] == "colour"


def _differs_in(kind: tuple[str, ...], other: tuple[str, ...], place: int) -> bool:
    return bool(kind[place] and other[place] and kind[place] != other[place]) and all(
        mine == its for number, (mine, its) in enumerate(zip(kind, other, strict=True)) if number != place
    )
