"""Photographs with their captions and the changes between them, as arrays that training draws from."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from encoders.pair.captions import attribute, changes, said_of
from encoders.pair.pieces import load_tokenizer
from encoders.pair.sentences import Sentences
from encoders.photographs.products import Photograph

_ROWS = 256
_NONE = -1


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
        distinct = sorted(set(texts))
        tokenizer = load_tokenizer()
        features = [
            tower(
                torch.tensor([each.ids for each in tokenizer.encode_batch(distinct[start : start + _ROWS])])
            )
            for start in range(0, len(distinct), _ROWS)
        ]
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
    """(n, k) numbers of texts, the title first; _NONE where a picture has fewer."""

    @classmethod
    def of(cls, photographs: Sequence[Photograph], tower: Sentences) -> "Captions":
        """Say what is said of each photograph."""
        said = [said_of(photograph) for photograph in photographs]
        texts = Texts.of([text for each in said for text in each], tower)
        fitting = np.full((len(said), max(map(len, said))), _NONE)
        for row, each in enumerate(said):
            fitting[row, : len(each)] = texts.rows(each)
        return cls(texts=texts, fitting=fitting)

    def draw(self, rows: NDArray[np.int64], rng: np.random.Generator, *, titles: float) -> NDArray[np.int64]:
        """Return a text for each picture: its title for that share of them, another for the rest."""
        counts = (self.fitting[rows] != _NONE).sum(1)
        others = 1 + rng.integers(np.maximum(counts - 1, 1))
        column = np.where((rng.random(len(rows)) < titles) | (counts == 1), 0, others)
        drawn: NDArray[np.int64] = self.fitting[rows, column]
        return drawn

    def positives(self, rows: NDArray[np.int64], texts: NDArray[np.int64]) -> Tensor:
        """Return which text fits which picture, bool (pictures, texts)."""
        return torch.from_numpy((self.fitting[rows][:, :, None] == texts[None, None]).any(1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A picture, another value of one of its attributes, and the pictures that have it and are alike in the others."""

    source: int
    targets: tuple[int, ...]
    texts: tuple[int, ...]
    """Ways to ask for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """All changes between pictures of the data."""

    texts: Texts
    all: tuple[Change, ...]

    @classmethod
    def of(cls, photographs: Sequence[Photograph], tower: Sentences) -> "Changes":
        """Find the pictures that differ in their colour alone, and those that differ in their category alone."""
        found: list[tuple[int, tuple[int, ...], Sequence[str]]] = []
        for changed, kept in (("colour", ("category", "audience")), ("category", ("colour", "audience"))):
            alike: defaultdict[tuple[str, ...], defaultdict[str, list[int]]] = defaultdict(
                lambda: defaultdict(list)
            )
            for row, photograph in enumerate(photographs):
                if value := attribute(photograph, changed):
                    alike[tuple(attribute(photograph, each) for each in kept)][value].append(row)
            for values in alike.values():
                for old, sources in values.items():
                    for new, targets in values.items():
                        if old != new:
                            said = changes(old, new)
                            found += [(source, tuple(targets), said) for source in sources]
        texts = Texts.of([text for _, _, said in found for text in said] or [""], tower)
        return cls(
            texts=texts,
            all=tuple(
                Change(source=source, targets=targets, texts=tuple(texts.rows(said)))
                for source, targets, said in found
            ),
        )
