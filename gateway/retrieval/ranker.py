"""A ranker that was learnt from events, and what else a search is told of learning."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.retrieval.features import POPULARITY

LEARNT = "learnt"
"""The signal's name."""

_FAR = 30.0
"""Logits beyond which the sigmoid is 0 or 1 to thirteen digits."""

Features = Sequence[Mapping[str, float]]
"""By product: features by name, those that are known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearRanker:
    """A trained model: sigmoid(sum of weights * (feature - mean) / scale); an unknown feature counts as its mean."""

    features: tuple[str, ...]
    weights: NDArray[np.float64]
    """(f,), as `mean` and `scale`."""
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    popularity: Mapping[str, float]
    """By product's id."""
    usual_popularity: float = 0.0
    """Of a product that the table lacks."""

    def values(self, told: Features, product_ids: Sequence[str]) -> NDArray[np.float64]:
        """Return the signal of products by their features, (n,), each from 0 to 1."""
        logits = np.clip(self.matrix(told, product_ids) @ self.weights, -_FAR, _FAR)
        values: NDArray[np.float64] = 1 / (1 + np.exp(-logits))
        return values

    def matrix(self, told: Features, product_ids: Sequence[str]) -> NDArray[np.float64]:
        """Return the standardised features, (n, f)."""
        rows = np.array([[features.get(name, math.nan) for name in self.features] for features in told])
        if POPULARITY in self.features:
            known, usual = self.popularity, self.usual_popularity
            rows[:, self.features.index(POPULARITY)] = [known.get(each, usual) for each in product_ids]
        return np.nan_to_num((rows - self.mean) / self.scale)


@dataclass(frozen=True, slots=True, kw_only=True)
class Learning:
    """What ranking is learnt from and by; held where either is switched on."""

    ranker: LinearRanker | None = None
    keeps_features: bool = False
    """Whether answers are kept for training."""
    freshness_field: str = ""
    exploration_share: float = 0.0
    """Share of the answers in which places are exchanged."""
