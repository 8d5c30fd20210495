"""Whole answers that are given again for a moment, to whoever asks exactly the same (decision 39)."""

from gateway.caches import LruCache
from gateway.copying import changed
from gateway.metrics import Metrics
from gateway.model import Weights
from gateway.retrieval.clock import StageClock
from gateway.retrieval.query import Query, SearchResult, Versions
from gateway.retrieval.relaxing import EXCLUSIONS, SOFT_FILTERS
from gateway.retrieval.stages import POOL, WORDS

MAX_KEPT_HITS = 20
"""Hits of an answer that is kept, at most; a page is rarely longer, and their number bounds the memory."""

SETTLED = frozenset({SOFT_FILTERS, EXCLUSIONS, WORDS, POOL})
"""What query and index alone leave out of an answer: whoever asks again would be told the same. All else is a fault of the moment."""

Key = tuple[Query, Weights, str, str, str, tuple[int, int]]
"""The query as a whole, what it is weighted by, the encoders, the collection, its schema, and what this process wrote: products, campaigns."""


class Results:
    """Keeps answers for `ttl_s` at most, and none that this process wrote after."""

    def __init__(self, *, entries: int, ttl_s: float, metrics: Metrics) -> None:
        self._metrics = metrics
        self._cache = LruCache[Key, SearchResult](entries, ttl_s=ttl_s)
        self.offered = bool(entries and ttl_s)

    def get(self, key: Key, clock: StageClock) -> SearchResult | None:
        """Return the answer as of now, or None."""
        known = self._cache.get(key)
        self._metrics.cache("result", hit=known is not None)
        return None if known is None else changed(known, timings=clock.timings())

    def keep(self, key: Key, result: SearchResult) -> None:
        """Keep an answer, unless it is large, places were exchanged in it, or a fault left something out of it."""
        settled = SETTLED.issuperset(result.degraded) and not result.swap
        if settled and len(result.hits) <= MAX_KEPT_HITS:
            self._cache.put(key, result)


def result_key(query: Query, weights: Weights, versions: Versions, *, writes: tuple[int, int]) -> Key:
    """Return what two searches have in common that have the same answer."""
    return query, weights, versions.model, versions.index, versions.schema.digest, writes
