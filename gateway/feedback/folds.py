"""Shares of the answers of a bucket, with intervals that hold though answers of one shopper are alike.

Shoppers are drawn into buckets, not answers: who searches twenty times counts twenty times, and an interval that takes the twenty for
independent is too narrow. So an answer is kept with the fold of its shopper, one of ten by a hash, and the spread of the
folds, whose shoppers have nothing in common, is that of the share: the noise of differential privacy is in it too. (Batch means with
a ratio estimator: Cochran, "Sampling Techniques", 3rd edition, 1977, 6.3; Deng, Knoblich and Lu, "Applying the Delta Method in
Metric Analytics", KDD 2018, for experiments.)
"""

import hashlib
import hmac
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.events import FOLDS

_STUDENT_95 = 2.262
"""Quantile .975 of Student's t of FOLDS - 1 degrees of freedom; for a difference, which has up to twice as many, it is a little wide."""
_NOISE_FREE = 4.0
"""An amount of answers that is less than so many standard deviations of its own noise tells nothing."""

Counts = NDArray[np.int64]
"""(FOLDS, k): by fold how many answers there were, and how many with each outcome."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """A share, or a difference of two, with its 95 % interval."""

    value: float
    lowest: float
    highest: float


def fold_of(bucket: str, user_id: str) -> int:
    """Return the fold of a shopper in the experiment that a bucket is of: 0 to FOLDS - 1.

    Of another experiment the same shopper has another fold, and of the hash nothing else is kept.
    """
    digest = hmac.digest(bucket.partition(":")[0].encode(), f"fold\0{user_id}".encode(), hashlib.sha256)
    return int.from_bytes(digest[:8], "big") % FOLDS


def share(counts: Counts, outcome: int, *, scale: float) -> Rate:
    """Return the share of the answers with an outcome, a column of the counts; `scale` is that of the noise in each count."""
    value, error = _estimate(counts, outcome, scale)
    if math.isinf(error):
        return Rate(value=0.0, lowest=0.0, highest=1.0)
    spread = _STUDENT_95 * error
    value = min(1.0, max(0.0, value))
    return Rate(value=value, lowest=max(0.0, value - spread), highest=min(1.0, value + spread))


def difference(counts: Counts, other: Counts, outcome: int, *, scale: float) -> Rate:
    """Return by how much the share of the first counts is above that of the other ones, from -1 to 1."""
    value, error = _estimate(counts, outcome, scale)
    before, other_error = _estimate(other, outcome, scale)
    if math.isinf(error) or math.isinf(other_error):
        return Rate(value=0.0, lowest=-1.0, highest=1.0)
    spread = _STUDENT_95 * math.hypot(error, other_error)
    value = min(1.0, max(-1.0, value - before))
    return Rate(value=value, lowest=max(-1.0, value - spread), highest=min(1.0, value + spread))


def _estimate(counts: Counts, outcome: int, scale: float) -> tuple[float, float]:
    """Return a share and its standard error; an infinite one where there are too few answers."""
    answers, chosen = counts[:, 0], counts[:, outcome]
    total = int(answers.sum())
    # A discrete Laplace of this scale has a variance of nearly 2 scale^2.
    if total < 1 or total < _NOISE_FREE * scale * math.sqrt(2 * FOLDS):
        return 0.0, math.inf
    value = float(chosen.sum() / total)
    residual = chosen - value * answers
    error = math.sqrt(FOLDS / (FOLDS - 1) * float(residual @ residual)) / total
    return value, error
