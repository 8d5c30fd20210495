"""LightGBM's LambdaMART on the same log, beside the linear ranker: what it is worth is in docs/benchmarks.md (decision 78)."""

from collections.abc import Sequence

import lightgbm
import numpy as np

from gateway.retrieval.ranker import LinearRanker
from ranking.log import Floats, Judged
from ranking.propensity import PositionBias
from ranking.training import HELD_FROM, LEARNT_UNTIL

_TREES = 100
_PARAMETERS = {
    "objective": "lambdarank", "num_leaves": 7, "min_data_in_leaf": 100, "learning_rate": 0.1, "num_threads": 1,
    "deterministic": True, "seed": 1, "verbose": -1,
}  # fmt: skip


def scores(
    judged: Sequence[Judged], held: Sequence[Judged], ranker: LinearRanker, bias: PositionBias
) -> list[Floats]:
    """Return the scores of the held answers' hits by trees that were fitted on the part of the log that weights are fitted on.

    A chosen hit's lambdas are weighed by its inverse propensity.
    """
    fitted = judged[int(len(judged) * LEARNT_UNTIL) : int(len(judged) * HELD_FROM)]
    data = lightgbm.Dataset(
        np.concatenate([ranker.matrix(each.features, each.product_ids) for each in fitted]),
        label=np.concatenate([each.chosen.astype(int) for each in fitted]),
        weight=np.concatenate([np.where(each.chosen, bias.weights(each.positions), 1.0) for each in fitted]),
        group=[len(each.chosen) for each in fitted],
    )
    model = lightgbm.train(_PARAMETERS, data, num_boost_round=_TREES)
    return [np.asarray(model.predict(ranker.matrix(each.features, each.product_ids))) for each in held]
