"""What answers showed, kept for training beside the events and off the path of requests."""

import time
from collections import deque
from dataclasses import dataclass

from gateway.caches import LruCache
from gateway.errors import SearchError
from gateway.events import MAX_SHOWN, PackedAnswer, pack_answer
from gateway.feedback.folds import fold_of
from gateway.metrics import Metrics
from gateway.ports import EventStore
from gateway.retrieval.query import SearchResult
from gateway.retrieval.results import MAX_KEPT_HITS

MAX_WAITING = 10_000
"""Answers that wait to be written, some 20 MB where each has as many hits as are kept; what is more is dropped and counted."""
MAX_GROUP = 500
"""Answers that are written together."""
MAX_REPEATED = 64
"""Answers that are kept as they were packed, should they be given again."""
_STORE_S = 5.0


@dataclass(frozen=True, slots=True)
class _Packed:
    result: SearchResult
    bucket: str
    body: str


class AnswerLog:
    """Takes answers from the path of requests, where they are packed once and cost an append, and writes them beside it."""

    def __init__(self, store: EventStore, metrics: Metrics, *, entries: int) -> None:
        self._store = store
        self._metrics = metrics
        self._entries = entries
        self._waiting: deque[PackedAnswer] = deque()
        self._packed = LruCache[int, _Packed](MAX_REPEATED)
        """By the id of the tuple of hits, with the tuple itself: an answer that is given again has the same one."""

    def note(self, result: SearchResult, request_id: str, bucket: str) -> None:
        """Remember an answer; those ordered by a field, of later pages or without hits teach nothing of ranking."""
        searched = result.searched
        if searched.sort is not None or searched.offset or not result.hits:
            return
        if len(self._waiting) >= MAX_WAITING:
            self._metrics.logged_answers.labels("dropped").inc()
            return
        # Without the products, whose vectors would wait with them.
        self._waiting.append(PackedAnswer(request_id, int(time.time() * 1e3), self._body(result, bucket)))

    async def flush(self) -> None:
        """Write what waits; what the store does not take is dropped and counted."""
        while self._waiting:
            some = [self._waiting.popleft() for _ in range(min(MAX_GROUP, len(self._waiting)))]
            outcome = "kept"
            try:
                await self._store.log_answers(some, most=self._entries, timeout_s=_STORE_S)
            except SearchError:
                outcome = "dropped"
            self._metrics.logged_answers.labels(outcome).inc(len(some))

    def _body(self, result: SearchResult, bucket: str) -> str:
        known = self._packed.get(id(result.hits))
        if known is not None and _says_the_same(known, result, bucket):
            return known.body
        body = packed_answer(result, bucket)
        # As those that are given again have; of a shopper nothing is kept that need not be, nor any picture.
        searched = result.searched
        if len(result.hits) <= MAX_KEPT_HITS and not (searched.user_id or searched.image):
            self._packed.put(id(result.hits), _Packed(result, bucket, body))
        return body


def packed_answer(result: SearchResult, bucket: str) -> str:
    """Return what is kept of an answer, as JSON."""
    shown = (
        (hit.product.id, position, hit.features)
        for position, hit in enumerate(result.hits[:MAX_SHOWN], start=1)
        if hit.sponsored is None  # its place was paid for
    )
    return pack_answer(
        shown,
        route=result.searched.route.value,
        score_weights=(result.weights.text, result.weights.image),
        bucket=bucket,
        fold=fold_of(bucket, user_id) if (user_id := result.searched.user_id) else None,
        swap=result.swap,
    )


def _says_the_same(known: _Packed, result: SearchResult, bucket: str) -> bool:
    before = known.result
    return (
        before.hits is result.hits
        and before.searched is result.searched
        and before.weights is result.weights
        and before.swap == result.swap
        and known.bucket == bucket
    )
