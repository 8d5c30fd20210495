"""Replies put together: the languages that ship, and the model that may phrase."""

from gateway.conversation.replies.phrasing import Phrasing
from gateway.conversation.replies.replying import Replies
from gateway.conversation.replies.templates import shipped_languages
from gateway.metrics import Metrics
from gateway.model import Deadline, FieldSummary
from gateway.ports import Phraser
from gateway.retrieval.pipeline import Retrieval
from gateway.settings import Settings
from gateway.understanding.breaker import CircuitBreaker


def open_replies(
    settings: Settings, phraser: Phraser | None, retrieval: Retrieval, metrics: Metrics
) -> Replies:
    """Return what writes replies: templates, in a model's words where the settings give it time."""

    async def fields(deadline: Deadline) -> tuple[FieldSummary, ...]:
        return (await retrieval.catalogue(deadline)).fields

    phrasing = None
    if settings.reply_budget_ms and phraser is not None:
        breaker = CircuitBreaker(
            failures=settings.breaker_failures, cooldown_s=settings.breaker_cooldown_ms / 1e3
        )
        metrics.breaker_state.labels("phraser", "reply").set_function(lambda: breaker.state)
        phrasing = Phrasing(
            phraser,
            fields,
            budget_s=settings.reply_budget_ms / 1e3,
            margin_s=settings.deadline_margin_ms / 1e3,
            breaker=breaker,
            metrics=metrics,
        )
    return Replies(retrieval, shipped_languages(), metrics, phrasing=phrasing)
