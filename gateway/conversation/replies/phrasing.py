"""Replies in a language model's own words, held to what was to be said; the draft itself wherever that fails."""

from collections.abc import Awaitable, Callable, Sequence

from gateway.context import time_for_hop
from gateway.conversation.replies.grounding import ungrounded
from gateway.conversation.replies.templates import Language
from gateway.errors import DeadlineExceeded, SearchError
from gateway.metrics import Metrics
from gateway.model import Deadline, FieldSummary
from gateway.ports import Phraser, RewriterUnavailable
from gateway.texts import check_text
from gateway.understanding.breaker import BreakerOpen, CircuitBreaker
from vitrine.domain import limits
from vitrine.domain.errors import InvalidValue
from vitrine.v1 import rewrite_pb2

PART = "reply"
"""The name of this work among what was degraded."""

Fields = Callable[[Deadline], Awaitable[Sequence[FieldSummary]]]
"""Returns what the catalogue holds, within the time."""


class Phrasing:
    """Asks for a phrasing, within a budget and behind a breaker; a reply is never worse than its draft for it."""

    def __init__(
        self,
        phraser: Phraser,
        fields: Fields,
        *,
        budget_s: float,
        margin_s: float,
        breaker: CircuitBreaker,
        metrics: Metrics,
    ) -> None:
        self._phraser = phraser
        self._fields = fields
        self._budget_s = budget_s
        self._margin_s = margin_s
        self._breaker = breaker
        self._metrics = metrics

    async def phrased(self, draft: str, words: str, language: Language, deadline: Deadline) -> str:
        """Return the draft in the model's words; the draft where they are late, say something else, or are none."""
        request = rewrite_pb2.PhraseRequest(reply=draft, text=words, locale=language.code)
        try:
            left_s = min(self._budget_s, time_for_hop(deadline, margin_s=self._margin_s))
            fields = await self._fields(Deadline.after(left_s))
            with (
                self._breaker.attempt(RewriterUnavailable, DeadlineExceeded),
                self._metrics.dependency("phraser"),
            ):
                said = await self._phraser.phrase(request, timeout_s=left_s)
            reply = check_text("reply", said, limit=limits.MAX_REPLY_LENGTH).strip()
        except InvalidValue:
            return self._draft(draft, "invalid")
        except DeadlineExceeded:
            return self._draft(draft, "late")
        except BreakerOpen:
            return self._draft(draft, "breaker")
        except (RewriterUnavailable, SearchError):
            return self._draft(draft, "unavailable")
        values = (value for field in fields for value in field.values)
        nouns = language.say("capital-nouns") == "yes"
        if not reply or ungrounded(reply, draft, values=values, capital_nouns=nouns):
            return self._draft(draft, "invalid")
        return reply

    def _draft(self, draft: str, reason: str) -> str:
        self._metrics.degraded.labels(PART, reason).inc()
        return draft
