"""Weights of a linear ranker from pairs of a chosen hit and each other one of its answer."""

from collections.abc import Sequence

import numpy as np

from ranking.log import Floats, Judged
from ranking.propensity import PositionBias

RIDGE = 1.0
"""Half of the penalty on the squares of the weights, in pairs."""
_STEPS = 30


def pairs_of(
    judged: Sequence[Judged], matrices: Sequence[Floats], bias: PositionBias
) -> tuple[Floats, Floats]:
    """Return the differences of chosen hits to every other hit of the answer, (p, f), and their weights, (p,).

    The sum over all others bounds the rank of the chosen one, and its weight, the inverse propensity, makes up for the places
    that are looked at less: Propensity SVM-Rank of Joachims, Swaminathan and Schnabel (WSDM 2017).
    """
    differences, weights = [], []
    for each, matrix in zip(judged, matrices, strict=True):
        worth = bias.weights(each.positions)
        for row in np.flatnonzero(each.chosen):
            others = np.delete(matrix, row, axis=0)
            differences.append(matrix[row] - others)
            weights.append(np.full(len(others), worth[row]))
    if not differences:
        return np.empty((0, matrices[0].shape[1] if matrices else 0)), np.empty(0)
    return np.concatenate(differences), np.concatenate(weights)


def fit(differences: Floats, weights: Floats) -> Floats:
    """Return the weights w, (f,), of the least sum of weight * log(1 + exp(-w.d)) with a ridge, by Newton's method.

    The logistic loss of a pair is that of RankNet (Burges et al., ICML 2005), for a linear model: it is convex.
    """
    found = np.zeros(differences.shape[1])
    for _ in range(_STEPS):
        chance = 1 / (1 + np.exp(np.clip(differences @ found, -30, 30)))
        slope = differences.T @ (weights * chance) - RIDGE * found
        curved = (weights * chance * (1 - chance))[:, None] * differences
        step = np.linalg.solve(differences.T @ curved + RIDGE * np.eye(len(found)), slope)
        found = found + step
        if float(np.abs(step).max(initial=0.0)) < 1e-8:  # noqa: PLR2004 - converged
            break
    return found
