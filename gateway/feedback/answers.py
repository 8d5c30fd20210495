"""What answers showed, kept for training beside the events and off the path of requests."""

import time
from collections import deque

from gateway.errors import SearchError
from gateway.events import MAX_SHOWN, Answer, Shown
from gateway.feedback.folds import fold_of
from gateway.metrics import Metrics
from gateway.ports import EventStore
from gateway.retrieval.query import SearchResult

MAX_WAITING = 1_000
"""Answers that wait to be written, some 20 MB where each has as many hits as are kept; what is more is dropped and counted."""
MAX_GROUP = 500
"""Answers that are written together."""
_STORE_S = 5.0


class AnswerLog:
    """Takes answers from the path of requests, where they cost an append, and writes them beside it."""

    def __init__(self, store: EventStore, metrics: Metrics, *, entries: int) -> None:
        self._store = store
        self._metrics = metrics
        self._entries = entries
        self._waiting: deque[Answer] = deque()

    def note(self, result: SearchResult, request_id: str, bucket: str) -> None:
        """Remember an answer; those ordered by a field, of later pages or without hits teach nothing of ranking."""
        searched = result.searched
        if searched.sort is not None or searched.offset or not result.hits:
            return
        if len(self._waiting) >= MAX_WAITING:
            self._metrics.logged_answers.labels("dropped").inc()
            return
        # Without the products, whose vectors would wait with them.
        self._waiting.append(answer_of(result, request_id, bucket, int(time.time() * 1e3)))

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


def answer_of(result: SearchResult, request_id: str, bucket: str, at_ms: int) -> Answer:
    """Return what is kept of an answer."""
    return Answer(
        request_id=request_id,
        at_ms=at_ms,
        route=result.searched.route.value,
        score_weights=(result.weights.text, result.weights.image),
        bucket=bucket,
        fold=fold_of(bucket, result.searched.user_id, request_id),
        swap=result.swap,
        shown=tuple(
            Shown(product_id=hit.product.id, position=position, features=hit.features)
            for position, hit in enumerate(result.hits[:MAX_SHOWN], start=1)
            if hit.sponsored is None  # its place was paid for
        ),
    )
