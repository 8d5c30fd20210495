"""The signal `learnt`: what a model that was trained on shoppers' events makes of a product, from 0 to 1.

The model is linear over `gateway.retrieval.features`, standardised, and comes as a file that `python -m ranking train` writes
(docs/ranking.md, decision 78). It ranks the best 30 products; the signal never lowers a score, so that those after them stay
behind. Beside it stands what training needs: the features of what was shown, and exchanged places (`explore`).
"""

import hashlib
import time

import numpy as np

from gateway.context import find_call
from gateway.copying import changed
from gateway.retrieval.features import features_of
from gateway.retrieval.query import Bucket
from gateway.retrieval.ranker import LEARNT
from gateway.retrieval.signals import with_signals
from gateway.retrieval.stages import Search, Tools, rank
from gateway.retrieval.taste import CANDIDATES

SWAPPED = 10
"""Positions that take part in exchanges, the first ones."""


async def rank_learnt(search: Search, tools: Tools) -> Search:
    """Add the features of the best products, and rank them by the model where the search's bucket has it."""
    learning, pool = tools.learning, search.pool
    assert pool is not None, "the pool is looked up first"
    if learning is None or search.query.sort is not None or not pool.hits:
        return search
    hits = pool.hits[:CANDIDATES]
    told = features_of(hits, search.schema, freshness_field=learning.freshness_field, now_s=time.time())
    if learning.keeps_features:
        hits = tuple(changed(hit, features=features) for hit, features in zip(hits, told, strict=True))
    if learning.ranker is not None and search.query.bucket is not Bucket.DEFAULT:
        values = learning.ranker.values(told, [hit.product.id for hit in hits])
        ranked = [
            with_signals(hit, {LEARNT: float(value)}, {LEARNT: tools.shares[LEARNT]})
            for hit, value in zip(hits, values, strict=True)
        ]
        hits = tuple(sorted(ranked, key=rank))
    return changed(search, pool=changed(pool, hits=(*hits, *pool.hits[CANDIDATES:])))


async def explore(search: Search, tools: Tools) -> Search:
    """Exchange the first hit with one of the next nine, in a share of the answers, half of the times that one is drawn.

    Whoever sees both orders equally often shows how much a place alone is worth: randomised pairs, as in Wang et al.,
    "Position Bias Estimation for Unbiased Learning to Rank in Personal Search" (WSDM 2018). The request's id draws, so
    that every attempt at a request is answered alike. Such an answer has no sponsored places: they would move what was exchanged.
    """
    learning = tools.learning
    places = min(SWAPPED, len(search.hits))
    first_page = search.query.offset == 0 and search.query.sort is None
    call = find_call()
    if learning is None or not learning.exploration_share or not first_page or places < 2 or call is None:  # noqa: PLR2004
        return search
    drawn = np.random.default_rng(
        int.from_bytes(hashlib.blake2b(call.request_id.encode(), digest_size=8).digest(), "little")
    )
    if drawn.random() >= learning.exploration_share:
        return search
    place = int(drawn.integers(2, places + 1))
    hits = list(search.hits)
    if drawn.random() < 0.5:  # noqa: PLR2004 - a toss
        hits[0], hits[place - 1] = hits[place - 1], hits[0]
    return changed(search, hits=tuple(hits), swap=place, offers=())
