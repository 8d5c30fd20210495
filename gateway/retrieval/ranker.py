"""A ranker that was learnt from events, and what else a search is told of learning."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.retrieval.features import POPULARITY

LEARNT = "learnt"
"""The signal's name."""

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
        values: NDArray[np.float64] = 1 / (1 + np.exp(-self.matrix(told, product_ids) @ self.weights))
        return values

    def matrix(self, told: Features, product_ids: Sequence[str]) -> NDArray[np.float64]:
        """Return the standardised features, (n, f)."""
        rows = np.empty((len(told), len(self.features)))
        for row, (features, product_id) in enumerate(zip(told, product_ids, strict=True)):
            for column, name in enumerate(self.features):
                rows[row, column] = features.get(name, np.nan)
                if name == POPULARITY:
                    rows[row, column] = self.popularity.get(product_id, self.usual_popularity)
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
