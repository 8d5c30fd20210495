"""Trains a ranker on the log, and holds it against the default order on answers that it has not seen."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from gateway.retrieval.features import FEATURES, IMAGE, POPULARITY, SCORE, TEXT
from gateway.retrieval.ranker import LinearRanker
from ranking.judging import Comparison, compare
from ranking.log import Floats, Judged
from ranking.pairwise import fit, pairs_of
from ranking.popularity import Popularity, popularity
from ranking.propensity import PositionBias, estimate_bias

LEAST_CHOSEN = 200
"""Chosen hits without which nothing is trained."""
LEARNT_UNTIL, HELD_FROM = 0.4, 0.8
"""Of the log, by time: popularity is counted in the first part, weights are fitted in the second by that popularity, so that no
click is its own reason, and the third is held out. What serves has the popularity of both parts before it."""
LEAST_KNOWN = 0.01
"""Share of the hits that a feature must be known of."""


class TooLittle(ValueError):  # noqa: N818 - read by operators as a sentence
    """The log does not suffice; the message says of what there is too little."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A ranker, and what it was worth."""

    ranker: LinearRanker
    comparison: Comparison
    card: Mapping[str, Any]


def train(judged: Sequence[Judged], *, share: float, eta: float | None = None) -> Trained:
    """Train a ranker whose signal is added with a share.

    Without `eta` the position bias is estimated from answers with exchanged places.

    Raises:
        TooLittle: too few hits were chosen, or too few on exchanged places.
    """
    chosen = int(sum(each.chosen.sum() for each in judged))
    if chosen < LEAST_CHOSEN:
        raise TooLittle(
            f"{chosen:,} hits were chosen in {len(judged):,} answers; training needs {LEAST_CHOSEN:,}"
        )
    bias = PositionBias(eta=eta) if eta is not None else bias_of(judged)
    first, last = int(len(judged) * LEARNT_UNTIL), int(len(judged) * HELD_FROM)
    fitted, held = judged[first:last], judged[last:]
    ranker = _fitted(fitted, popularity(judged[:first], bias), bias)
    known = popularity(judged[:last], bias)
    ranker = replace(ranker, popularity=known.rates, usual_popularity=known.usual)
    defaults = [each.feature(SCORE) for each in held]
    scores = [
        default + share * ranker.values(each.features, each.product_ids)
        for each, default in zip(held, defaults, strict=True)
    ]
    comparison = compare(held, scores, defaults, bias)
    card = {
        "kind": "linear, pairwise logistic loss, inverse propensities",
        "refused": not comparison.wins,
        "share": share,
        "trained": {
            "answers": len(judged),
            "chosen": chosen,
            "from": _day(judged[0]),
            "to": _day(judged[-1]),
            "position_bias": asdict(bias),
        },
        "held_out": {"answers": len(held), **asdict(comparison)},
    }
    return Trained(ranker=ranker, comparison=comparison, card=card)


def bias_of(judged: Sequence[Judged]) -> PositionBias:
    """Return the position bias by exchanged places; raises TooLittle."""
    bias = estimate_bias(judged)
    if bias is None:
        raise TooLittle(
            "too few hits were chosen on exchanged places to tell the position bias: set GATEWAY_EXPLORATION_SHARE for a while, or"
            " give --eta (1 is usual)"
        )
    return bias


def route_weights(judged: Sequence[Judged], bias: PositionBias) -> dict[str, tuple[float, Comparison]]:
    """Return by route the weight of the image half, and what it was worth on held-out answers beside the one that was in use.

    The two cosines are the features, so that weight : 1 - weight is as their fitted weights are; one that is against its sign
    counts as 0. A route with too few chosen hits is left out, as are answers without words or pictures to weigh.
    """
    routes: defaultdict[str, list[Judged]] = defaultdict(list)
    for each in judged:
        routes[each.answer.route].append(each)
    found = {}
    for route, answers in sorted(routes.items()):
        last = int(len(answers) * HELD_FROM)
        if sum(each.chosen.sum() for each in answers[:last]) < LEAST_CHOSEN:
            continue
        cosines = [np.stack([each.feature(TEXT), each.feature(IMAGE)], axis=1) for each in answers]
        scale = np.concatenate(cosines).std(axis=0)
        if not (scale > 0).all():
            continue
        differences, worth = pairs_of(answers[:last], [each / scale for each in cosines[:last]], bias)
        text, image = np.maximum(fit(differences, worth) / scale, 0)
        if text + image <= 0:
            continue
        weight = round(float(image / (text + image)), 3)
        held = answers[last:]
        defaults = [each.feature(SCORE) for each in held]
        scores = [
            default + matrix @ (np.array([1 - weight, weight]) - np.array(each.answer.score_weights))
            for each, matrix, default in zip(held, cosines[last:], defaults, strict=True)
        ]
        found[route] = weight, compare(held, scores, defaults, bias)
    return found


def _fitted(judged: Sequence[Judged], known: Popularity, bias: PositionBias) -> LinearRanker:
    """Return the ranker of features that are known often enough and differ."""
    raw = LinearRanker(
        features=FEATURES,
        weights=np.zeros(len(FEATURES)),
        mean=np.zeros(len(FEATURES)),
        scale=np.ones(len(FEATURES)),
        popularity=known.rates,
        usual_popularity=known.usual,
    )
    rows = np.concatenate([_raw(raw, each) for each in judged])
    told = ~np.isnan(rows)
    mean = np.array(
        [column[there].mean() if there.any() else 0.0 for column, there in zip(rows.T, told.T, strict=True)]
    )
    scale = np.array(
        [column[there].std() if there.any() else 0.0 for column, there in zip(rows.T, told.T, strict=True)]
    )
    kept = np.flatnonzero((told.mean(axis=0) >= LEAST_KNOWN) & (scale > 1e-9))  # noqa: PLR2004 - not all equal
    standing = replace(
        raw,
        features=tuple(FEATURES[column] for column in kept),
        weights=np.zeros(len(kept)),
        mean=mean[kept],
        scale=scale[kept],
    )
    matrices = [standing.matrix(each.features, each.product_ids) for each in judged]
    return replace(standing, weights=fit(*pairs_of(judged, matrices, bias)))


def _raw(ranker: LinearRanker, judged: Judged) -> Floats:
    """Return the features as they are, (n, f); nan where one is not known."""
    rows = np.array(
        [[features.get(name, math.nan) for name in ranker.features] for features in judged.features]
    )
    column = ranker.features.index(POPULARITY)
    rows[:, column] = [ranker.popularity.get(name, ranker.usual_popularity) for name in judged.product_ids]
    return rows


def _day(judged: Judged) -> str:
    return datetime.fromtimestamp(judged.answer.at_ms / 1e3, UTC).date().isoformat()
