"""Asking the rewriter: within a budget, behind a breaker, and never at the cost of the search."""

import asyncio
from dataclasses import dataclass

from gateway.breaker import BreakerOpen, CircuitBreaker
from gateway.calls import time_for_hop
from gateway.errors import DeadlineExceeded
from gateway.facets import FacetCache
from gateway.metrics import Metrics
from gateway.model import Deadline, FieldSummary
from gateway.ports import Rewriter, RewriterUnavailable
from gateway.understanding import InvalidRewrite, Understanding, understand
from vitrine.v1 import rewrite_pb2

PART = "rewrite"
"""The name of this work in `degraded`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RewriteBudget:
    """What one use of the rewriter may cost."""

    use: str
    """Names it in the metrics: "search" or "converse"."""
    seconds: float
    margin_s: float


class Rewriting:
    """Gives what a turn means, or nothing when the rewriter is late, broken or wrong.

    Each use has its own, and so its own breaker: too late for a search may be early for a conversation.
    """

    def __init__(
        self,
        rewriter: Rewriter | None,
        facets: FacetCache,
        *,
        budget: RewriteBudget,
        breaker: CircuitBreaker,
        metrics: Metrics,
    ) -> None:
        self._rewriter = rewriter
        self._facets = facets
        self._breaker = breaker
        self._metrics = metrics
        self._budget = budget
        metrics.breaker_state.labels("rewriter", budget.use).set_function(lambda: breaker.state)

    @property
    def offered(self) -> bool:
        """Whether there is a rewriter at all; where there is none, nothing is degraded by its absence."""
        return self._rewriter is not None

    async def read(self, request: rewrite_pb2.RewriteRequest, *, deadline: Deadline) -> Understanding | None:
        """Give the understanding of a turn, or None, counted with its reason; fills in the request's facets."""
        assert self._rewriter is not None, "the caller asks `offered` first"
        try:
            left_s = time_for_hop(deadline, margin_s=self._budget.margin_s)
            budget = Deadline.after(min(self._budget.seconds, left_s))
            facets = await self._facets.fields(timeout_s=budget.remaining_s())
            request.facets.extend(_facet(field) for field in facets if field.values)
            rewrite = await self._ask(self._rewriter, request, budget.remaining_s())
            return understand(rewrite, shown=referable(request), facets=facets)
        except (TimeoutError, DeadlineExceeded):
            reason = "late"
        except BreakerOpen:
            reason = "breaker"
        except RewriterUnavailable:
            reason = "unavailable"
        except InvalidRewrite:
            reason = "invalid"
        self._count(reason)
        return None

    def refuse(self) -> None:
        """Count an understanding that turned out to be of no use for its turn."""
        self._count("invalid")

    def _count(self, reason: str) -> None:
        self._metrics.degraded.labels(PART, reason).inc()

    async def _ask(
        self, rewriter: Rewriter, request: rewrite_pb2.RewriteRequest, timeout_s: float
    ) -> rewrite_pb2.Rewrite:
        with (
            self._breaker.attempt(RewriterUnavailable, DeadlineExceeded, TimeoutError),
            self._metrics.dependency("rewriter"),
        ):
            # The budget is kept here too: what is optional may not cost more because an adapter dawdles.
            async with asyncio.timeout(timeout_s):
                return await rewriter.rewrite(request, timeout_s=timeout_s)


def referable(request: rewrite_pb2.RewriteRequest) -> frozenset[str]:
    """Give the ids that an answer to this request may refer to: what the conversation showed or brought."""
    ids = {request.product_id}
    for turn in request.history:
        ids.update((turn.image_id, turn.product_id))
        ids.update(product.id for product in turn.shown)
    return frozenset(ids - {""})


def _facet(field: FieldSummary) -> rewrite_pb2.Facet:
    return rewrite_pb2.Facet(field=field.name, values=field.values)
