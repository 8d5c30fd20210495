"""Reads values of fields in the embeddings of pictures; numpy alone, made by `vitrine.attributes.fitting`."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Embedding = NDArray[np.float32]
"""(n, d) or (d,)."""
Scores = NDArray[np.float64]
"""(n, values)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a picture tells of one field."""

    field: str
    value: str
    confidence: float
    """The calibrated probability of the value, from 0 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """How well a field is read, on products that the reader had not seen."""

    labelled: int
    """Products whose value is known."""
    precision: float = 0.0
    """Share of the values read that are the product's own, from 0 to 1."""
    coverage: float = 0.0
    """Share of the products of which a value is read at that precision, from 0 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearScores:
    """One number for each value, linear in the embedding of a picture: (n, d) to (n, values)."""

    centre: Embedding
    """(d,), subtracted from the pictures."""
    weights: Embedding
    """(values, d)."""
    offsets: Embedding
    """(values,)."""

    def of(self, pictures: Embedding) -> Scores:
        """Return the scores as float64."""
        return (pictures - self.centre).astype(np.float64) @ self.weights.T.astype(np.float64) + self.offsets


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldReader:
    """Reads one field."""

    field: str
    values: tuple[str, ...]
    """As the catalogue writes them."""
    scores: LinearScores
    temperature: float
    """Divides the scores before the softmax, so that confidences are probabilities."""
    threshold: float
    """Confidence from which a value counts as read."""
    measured: Measured
    method: str
    """Which of the ways to score was best: "words" or "products"."""

    def read(self, pictures: Embedding) -> list[Reading | None]:
        """Return what each picture tells, (n, d); None where it is not sure enough."""
        shares = softmax(self.scores.of(pictures) / self.temperature)
        best = shares.argmax(axis=1)
        return [
            Reading(field=self.field, value=self.values[place], confidence=float(shares[row, place]))
            if shares[row, place] >= self.threshold
            else None
            for row, place in enumerate(best)
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Familiarity:
    """Tells pictures like those of the catalogue from others, by their Mahalanobis distance from its mean."""

    centre: Embedding
    """(d,)."""
    whitening: Embedding
    """(d, d); the squared length of a centred row times this is the distance."""
    limit: float
    """The largest distance of what counts as known."""

    def distances(self, pictures: Embedding) -> Scores:
        """Return the squared distance of each picture, (n,), as float64."""
        whitened = (pictures - self.centre).astype(np.float64) @ self.whitening.astype(np.float64)
        distances: Scores = (whitened * whitened).sum(axis=1)
        return distances

    def known(self, pictures: Embedding) -> NDArray[np.bool_]:
        """Return which pictures are like those of the catalogue, (n,)."""
        return self.distances(pictures) <= self.limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """A field that is left alone, and why, as a sentence's end."""

    field: str
    reason: str
    measured: Measured


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureReader:
    """Reads every field of a catalogue that its pictures tell."""

    familiarity: Familiarity | None = None
    fields: Mapping[str, FieldReader] = field(default_factory=dict)
    unread: tuple[Unread, ...] = ()

    def read(self, pictures: Embedding) -> list[dict[str, Reading]]:
        """Return what each picture tells, (n, d), by field; nothing of a picture unlike any of the catalogue."""
        found: list[dict[str, Reading]] = [{} for _ in pictures]
        if self.familiarity is None or not len(pictures):
            return found
        known = self.familiarity.known(pictures)
        for reader in self.fields.values():
            for row, reading in enumerate(reader.read(pictures)):
                if reading is not None and known[row]:
                    found[row][reader.field] = reading
        return found


def softmax(scores: Scores) -> Scores:
    """Return the softmax of each row."""
    shifted = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares: Scores = shifted / shifted.sum(axis=1, keepdims=True)
    return shares
