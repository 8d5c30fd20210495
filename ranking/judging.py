"""What an order would have been worth to those who saw another one, from their clicks by inverse propensities."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ranking.log import Floats, Judged
from ranking.propensity import PositionBias

CUT = 10
"""NDCG@10."""
_RESAMPLES = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two orders on the same held-out answers, by their NDCG@10."""

    ndcg: float
    default: float
    lowest_gain: float
    """Lower bound of the 95 % interval of the difference, by resampling answers."""
    highest_gain: float
    clicks: int

    @property
    def wins(self) -> bool:
        """Whether the order beats the default one, and not by luck."""
        return self.lowest_gain > 0


def compare(
    judged: Sequence[Judged],
    scores: Sequence[Floats],
    defaults: Sequence[Floats],
    bias: PositionBias,
    *,
    seed: int = 0,
) -> Comparison:
    """Compare an order by scores with the default one, each list as the answers stand.

    The discounted gain of an order is the sum over chosen hits of 1 / log2(1 + their rank in it), each divided by the propensity
    of the place where it was chosen: unbiased for the gain under full knowledge (Agarwal et al., "A General Framework for
    Counterfactual Learning-to-Rank", SIGIR 2019). It is divided by what the best order of the same hits would have.
    """
    rows = np.array(
        [
            (
                _gain(score, each, bias),
                _gain(default, each, bias),
                _gain(each.chosen * bias.weights(each.positions), each, bias),
            )
            for each, score, default in zip(judged, scores, defaults, strict=True)
        ]
    ).reshape(-1, 3)
    new, old, ideal = rows.T
    whole = max(float(ideal.sum()), 1e-12)
    drawn = np.random.default_rng(seed).multinomial(
        len(rows), np.full(len(rows), 1 / max(1, len(rows))), _RESAMPLES
    )
    gains = (drawn @ (new - old)) / np.maximum(drawn @ ideal, 1e-12)
    lowest, highest = np.quantile(gains, (0.025, 0.975)) if len(rows) else (0.0, 0.0)
    return Comparison(
        ndcg=float(new.sum()) / whole,
        default=float(old.sum()) / whole,
        lowest_gain=float(lowest),
        highest_gain=float(highest),
        clicks=int(sum(each.chosen.sum() for each in judged)),
    )


def ndcg(scores: Floats, relevance: Floats, *, cut: int = CUT) -> float:
    """Return the NDCG at a cut of an order by scores, with the relevance of every hit known, (n,) each."""
    discounts = 1 / np.log2(2 + np.arange(min(cut, len(relevance))))
    best = np.sort(relevance)[::-1][: len(discounts)] @ discounts
    found = relevance[np.argsort(-scores, kind="stable")][: len(discounts)] @ discounts
    return float(found / best) if best > 0 else 1.0


def _gain(scores: Floats, judged: Judged, bias: PositionBias) -> float:
    ranks = np.empty(len(scores))
    ranks[np.argsort(-scores, kind="stable")] = np.arange(1, len(scores) + 1)
    worth = judged.chosen * bias.weights(judged.positions)
    return float(np.sum(worth * (ranks <= CUT) / np.log2(1 + ranks)))
