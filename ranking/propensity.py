"""How likely a place is looked at, whatever stands there: the position-based model, P(click at k) = theta_k * relevance.

theta_k = k^-eta, as in Joachims, Swaminathan and Schnabel, "Unbiased Learning-to-Rank with Biased Feedback" (WSDM 2017).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ranking.log import Floats, Judged

LEAST_CLICKS = 100
"""On exchanged places, below which nothing is said of eta."""
MAX_WEIGHT = 20.0
"""Of one click: rarer places would make a few clicks decide everything. It biases towards the default order."""
_STEPS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionBias:
    """The exponent, and how sure it is."""

    eta: float
    error: float = 0.0
    """Standard error; 0 where it was given."""
    clicks: int = 0
    """On exchanged places, from which it was estimated; 0 where it was given."""

    def propensities(self, positions: Floats) -> Floats:
        """Return the chance that each place is looked at, of the first one's, (n,)."""
        chances: Floats = positions**-self.eta
        return chances

    def weights(self, positions: Floats) -> Floats:
        """Return what a click at each place counts, (n,): the inverse propensity, bounded."""
        weights: Floats = np.minimum(1 / self.propensities(positions), MAX_WEIGHT)
        return weights


def estimate_bias(judged: Sequence[Judged]) -> PositionBias | None:
    """Estimate eta from answers whose first place was exchanged with another, or drawn for it; None for too few clicks.

    Both products stood at both places equally often, so that clicks at place k and at the first one are as theta_k to 1,
    whatever the products are worth (Wang et al., WSDM 2018). Given a click at one of the two, it was at k with the chance
    1 / (1 + k^eta): one parameter, whose likelihood is concave.
    """
    counts: dict[int, tuple[int, int]] = {}
    for each in judged:
        place = each.answer.swap
        if 1 < place <= len(each.chosen):
            first, other = counts.get(place, (0, 0))
            counts[place] = first + int(each.chosen[0]), other + int(each.chosen[place - 1])
    if sum(map(sum, counts.values())) < LEAST_CLICKS:
        return None
    logs = np.log(np.array(list(counts), dtype=np.float64))
    first, other = np.array(list(counts.values()), dtype=np.float64).T
    eta = 1.0
    for _ in range(_STEPS):
        chance = 1 / (1 + np.exp(eta * logs))
        slope = float(np.sum(logs * ((first + other) * chance - other)))
        curvature = float(np.sum(logs**2 * (first + other) * chance * (1 - chance)))
        step = slope / max(curvature, 1e-9)
        eta = float(np.clip(eta + step, 0.0, 5.0))
        if abs(step) < 1e-9:  # noqa: PLR2004 - converged
            break
    return PositionBias(
        eta=eta, error=1 / math.sqrt(max(curvature, 1e-9)), clicks=int(first.sum() + other.sum())
    )
