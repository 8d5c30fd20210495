"""Feedback put together: the store of events, the keys of its pseudonyms, and what takes events in."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from gateway.api.data_servicer import DataServicer, KeptEvents
from gateway.api.feedback_servicer import FeedbackServicer
from gateway.api.report_servicer import ReportServicer
from gateway.background import repeated
from gateway.conversation.sessions import SessionStore
from gateway.events import DAY_MS
from gateway.feedback.answers import AnswerLog
from gateway.feedback.experiments import Experiment, read_experiment
from gateway.feedback.intake import Intake
from gateway.feedback.pseudonyms import Keys
from gateway.feedback.reports import Reports
from gateway.feedback.tastes import ShopperTastes
from gateway.feedback.trends import TrendKeeper
from gateway.feedback.words import WordCounts
from gateway.metrics import Metrics
from gateway.ports import EventStore, VectorIndex
from gateway.retrieval.query import SearchResult
from gateway.settings import Settings

_STORE_S = 5.0
"""How long the store may take for what nobody waits for."""
_FLUSH_S = 1.0
"""Between two writes of the answers that are kept for training: of more together the store writes fewer pages."""
_EXPIRE_S = 3_600.0
"""Between two looks for events that have passed their age."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """What takes events, and what is done beside the calls."""

    store: EventStore | None
    keys: Keys | None
    tastes: ShopperTastes | None
    answers: AnswerLog | None
    experiment: Experiment
    words: WordCounts
    reports: Reports | None
    trends: TrendKeeper | None
    servicer: FeedbackServicer
    retention_ms: int
    margin_s: float

    def data_servicer(self, sessions: SessionStore) -> DataServicer:
        """Return what tells and erases what is kept of a shopper."""
        kept = None
        if self.store is not None and self.keys is not None and self.tastes is not None:
            kept = KeptEvents(store=self.store, keys=self.keys, forget=self.tastes.forget_shoppers)
        return DataServicer(sessions, kept, margin_s=self.margin_s)

    def report_servicer(self) -> ReportServicer:
        """Return what tells counts of what is kept."""
        return ReportServicer(self.reports, self.words, margin_s=self.margin_s)

    def answer_token(self, request_id: str) -> str:
        """Return the token of an answer; empty where no events are taken, or the store has not told its keys yet."""
        keyring = self.keys.known if self.keys is not None else None
        return keyring.answer_token(request_id, time.time()) if keyring is not None else ""

    def answered(self, result: SearchResult, request_id: str, bucket: str) -> str:
        """Return the token of a search's answer, which is kept for training where it has one."""
        token = self.answer_token(request_id)
        if token:
            self.words.note(result)
            if self.answers is not None:
                self.answers.note(result, request_id, bucket)
        return token

    @asynccontextmanager
    async def kept_up(self, interval_s: float) -> AsyncIterator[None]:
        """Know the keys before they are asked for, and delete what has passed its age, until the block is left."""
        store, keys, answers = self.store, self.keys, self.answers
        if store is None or keys is None:
            yield
            return

        async def know_keys() -> None:
            if keys.known is None:
                await keys.refresh(timeout_s=_STORE_S)

        async def expire() -> None:
            before_ms = int(time.time() * 1e3) - self.retention_ms
            await store.expire(before_ms=before_ms, timeout_s=_STORE_S)
            await keys.refresh(timeout_s=_STORE_S)  # those that no event needs any more are destroyed

        async def flush() -> None:
            if answers is not None:
                await answers.flush()

        async with (
            repeated("answers", flush, interval_s=_FLUSH_S),
            repeated("keys", know_keys, interval_s=interval_s),
            repeated("expiry", expire, interval_s=_EXPIRE_S),
        ):
            try:
                yield
            finally:
                if self.trends is not None:
                    await self.trends.close()
        await flush()


def open_feedback(
    settings: Settings, store: EventStore | None, index: VectorIndex, metrics: Metrics
) -> Feedback:
    """Return what takes events; without a store it takes none."""
    keys = intake = tastes = answers = reports = trends = None
    margin_s = settings.deadline_margin_ms / 1e3
    if store is not None:
        keys = Keys(store, key_days=settings.event_key_days, retention_days=settings.event_retention_days)
        tastes = ShopperTastes(store, keys, index, metrics, entries=settings.taste_cache_entries)
        if settings.answer_log_entries:
            answers = AnswerLog(store, metrics, entries=settings.answer_log_entries)
        reports = Reports(store, epsilon=settings.report_epsilon, budget=settings.report_budget)
        trends = TrendKeeper(store, metrics, shoppers=settings.recommend_shoppers)
        intake = Intake(store, keys, index, metrics, on_recorded=tastes.forget)
    return Feedback(
        store=store,
        keys=keys,
        tastes=tastes,
        answers=answers,
        experiment=read_experiment(settings.experiment),
        words=WordCounts(least=settings.report_least_shoppers),
        reports=reports,
        trends=trends,
        servicer=FeedbackServicer(intake, margin_s=margin_s),
        margin_s=margin_s,
        retention_ms=settings.event_retention_days * DAY_MS,
    )
