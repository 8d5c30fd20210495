"""Asking the rewriter: within a budget, behind a breaker and a cache, and never at the cost of the search."""

import asyncio
import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from gateway.caches import LruCache, SingleFlight
from gateway.context import time_for_hop
from gateway.errors import DeadlineExceeded, SearchError
from gateway.metrics import Metrics
from gateway.model import Deadline, FieldSummary
from gateway.ports import Rewriter, RewriterUnavailable
from gateway.understanding.breaker import BreakerOpen, BreakerState, CircuitBreaker
from gateway.understanding.budget import AdaptiveBudget
from gateway.understanding.validation import InvalidRewrite, Understanding, understand
from gateway.understanding.vocabulary import Describe, Vocabularies
from vitrine.domain.messages import schema_message
from vitrine.domain.schema import KEYWORD_KINDS, Schema
from vitrine.domain.schema_files import shipped_schema
from vitrine.v1 import rewrite_pb2

PART = "rewrite"
"""The name of this work in `degraded`."""

CACHE_TTL_S = 300.0
"""Cached answers of a replaced rewriter may be served for this long."""

WARM_S = 5.0
"""For the rewriter to prepare for a catalogue that it has not seen."""
WARM_EVERY_S = 30.0
"""Between two catalogues that it is asked to prepare for: values come and go while products are written."""
_WARMING = "red dress under 50"

_SHARE = 0.5
"""Of a caller's time at most: after the rewriter the search must still fit, also where the caller is in a hurry."""

_Key = tuple[str, str, str, bytes]
"""The model's version, the words, the locale, and the digest of what they were read in the light of."""


@dataclass(frozen=True, slots=True)
class _Catalogue:
    """What a rewrite is held against, and what the rewriter is told of it."""

    schema: Schema
    fields: tuple[FieldSummary, ...]
    message: rewrite_pb2.RewriteRequest
    """The schema and the facets, made once for all turns."""
    digest: bytes

    @classmethod
    def of(cls, schema: Schema, fields: tuple[FieldSummary, ...]) -> "_Catalogue":
        """Describe the catalogue to the rewriter."""
        message = rewrite_pb2.RewriteRequest(schema=schema_message(schema), facets=_facets(schema, fields))
        digest = hashlib.sha256(message.SerializeToString(deterministic=True)).digest()
        return cls(schema, fields, message, digest)

    def is_of(self, schema: Schema, fields: tuple[FieldSummary, ...]) -> bool:
        """Whether this describes that very catalogue."""
        return self.schema is schema and self.fields is fields


@dataclass(frozen=True, slots=True, kw_only=True)
class RewriteUse:
    """What one use of the rewriter may cost."""

    name: str
    """Names it in the metrics: "search" or "converse"."""
    budget: AdaptiveBudget
    margin_s: float
    cache_entries: int = 1_000


class Rewriting:
    """Gives what a turn means, or nothing when the rewriter is late, broken or wrong.

    Each use has its own, and so its own breaker: too late for a search may be early for a conversation.
    Equal turns in equal conversations are read once: turns at the same time share one call, and later ones are
    answered from memory, unless the rewriter says that its engine had failed.
    """

    def __init__(
        self,
        rewriter: Rewriter | None,
        describe: Describe,
        *,
        use: RewriteUse,
        breaker: CircuitBreaker,
        metrics: Metrics,
        vocabularies: Vocabularies | None = None,
    ) -> None:
        self._rewriter = rewriter
        self._describe = describe
        self._vocabularies = vocabularies or Vocabularies(rewriter, describe)
        self._breaker = breaker
        self._metrics = metrics
        self._use = use
        self._catalogue = _Catalogue.of(shipped_schema(), ())
        self._warmed_for = b""
        self._warmed_at = float("-inf")
        self._version = ""
        """Of the model that answered last; only its own readings are quoted."""
        self._readings = LruCache[_Key, Understanding](use.cache_entries, ttl_s=CACHE_TTL_S)
        self._flights = SingleFlight[_Key, Understanding]()
        metrics.breaker_state.labels("rewriter", use.name).set_function(lambda: breaker.state)
        metrics.rewrite_budget.labels(use.name).set_function(use.budget.seconds)

    @property
    def offered(self) -> bool:
        """Whether there is a rewriter at all; where there is none, nothing is degraded by its absence."""
        return self._rewriter is not None

    async def warm(self) -> None:
        """Have the rewriter read words by the catalogue as it is now, which it prepares for: no search should wait for that.

        Once for each catalogue, and not again for WARM_EVERY_S. It counts in no budget, breaker or metric, and a rewriter that
        fails is asked again the next time.
        """
        if self._rewriter is None or time.monotonic() - self._warmed_at < WARM_EVERY_S:
            return
        deadline = Deadline.after(WARM_S)
        catalogue = self._described(*await self._describe(deadline))
        if catalogue.digest == self._warmed_for:
            return
        request = rewrite_pb2.RewriteRequest(text=_WARMING)
        request.MergeFrom(catalogue.message)
        with suppress(RewriterUnavailable, DeadlineExceeded):
            await self._rewriter.rewrite(request, timeout_s=deadline.remaining_s())
            self._warmed_for, self._warmed_at = catalogue.digest, time.monotonic()

    async def teach(self) -> None:
        """Have the rewriter learn the values that are too many for requests, where it has not."""
        await self._vocabularies.keep()

    def _described(self, schema: Schema, fields: tuple[FieldSummary, ...]) -> _Catalogue:
        """Return the description of a catalogue, the last one where it is that."""
        if not self._catalogue.is_of(schema, fields):
            self._catalogue = _Catalogue.of(schema, fields)
        return self._catalogue

    async def read(self, request: rewrite_pb2.RewriteRequest, *, deadline: Deadline) -> Understanding | None:
        """Return the understanding of a turn, or None, counted with its reason; fills in the facets where the rewriter is asked."""
        try:
            left_s = time_for_hop(deadline, margin_s=self._use.margin_s)
            budget = Deadline.after(min(self._use.budget.seconds(), left_s * _SHARE))
            catalogue = self._described(*await self._describe(budget))
            return await self._remembered(request, catalogue, budget)
        except (TimeoutError, DeadlineExceeded):
            reason = "late"
        except BreakerOpen:
            reason = "breaker"
        except (RewriterUnavailable, SearchError):
            reason = "unavailable"
        except InvalidRewrite:
            reason = "invalid"
        self._count(reason)
        return None

    def remembers(self, request: rewrite_pb2.RewriteRequest) -> bool:
        """Return whether such a turn was read before by the catalogue that was last looked at, so that nobody is asked."""
        return self._readings.get(self._key(request, self._catalogue)) is not None

    def refuse(self, request: rewrite_pb2.RewriteRequest) -> None:
        """Count an understanding that turned out to be of no use for its turn, and forget it."""
        self._readings.forget(self._key(request, self._catalogue))
        self._count("invalid")

    def _count(self, reason: str) -> None:
        self._metrics.degraded.labels(PART, reason).inc()

    async def _remembered(
        self, request: rewrite_pb2.RewriteRequest, catalogue: _Catalogue, budget: Deadline
    ) -> Understanding:
        """Return the understanding from memory, from a call under way for an equal turn, or by a call."""
        key = self._key(request, catalogue)
        reading = self._readings.get(key)
        outcome = "hit" if reading is not None else "shared" if key in self._flights else "miss"
        self._metrics.cache_lookups.labels(PART, outcome).inc()
        if reading is not None:
            return reading
        # Who made the call gives it up in time, so that its lateness is noted; who joined one waits no longer either.
        async with asyncio.timeout(budget.remaining_s() if outcome == "shared" else None):
            return await self._flights.run(key, lambda: self._ask(request, catalogue, budget.remaining_s()))

    async def _ask(
        self, request: rewrite_pb2.RewriteRequest, catalogue: _Catalogue, timeout_s: float
    ) -> Understanding:
        request.MergeFrom(catalogue.message)
        request.vocabulary = self._vocabularies.named(catalogue.schema)
        enough = self._enough(timeout_s)
        if not enough and self._breaker.state is not BreakerState.CLOSED:
            raise BreakerOpen  # its lateness would prove nothing: the trial is for one with time
        with (
            self._breaker.attempt(RewriterUnavailable, *((DeadlineExceeded,) if enough else ())),
            self._metrics.dependency("rewriter"),
            self._timed(timeout_s),
        ):
            response = await self._rewrite(request, timeout_s)
        understanding = understand(
            response.rewrite,
            shown=referable(request),
            fields=catalogue.fields,
            schema=catalogue.schema,
        )
        self._version = response.model_version
        if response.unknown_vocabulary:
            self._vocabularies.missed()
        elif response.model_version and not response.rewrite.failure:
            self._readings.put(
                _key(response.model_version, request, catalogue, request.vocabulary), understanding
            )
        return understanding

    def _key(self, request: rewrite_pb2.RewriteRequest, catalogue: _Catalogue) -> _Key:
        """Return the key of a turn that is to be read now."""
        return _key(self._version, request, catalogue, self._vocabularies.named(catalogue.schema))

    async def _rewrite(
        self, request: rewrite_pb2.RewriteRequest, timeout_s: float
    ) -> rewrite_pb2.RewriteResponse:
        """Ask within the time; the budget is kept here too: what is optional may not cost more because an adapter dawdles."""
        assert self._rewriter is not None, "the caller asks `offered` first"
        try:
            async with asyncio.timeout(timeout_s):
                return await self._rewriter.rewrite(request, timeout_s=timeout_s)
        except TimeoutError:
            raise DeadlineExceeded("the rewriter did not answer in time") from None

    def _enough(self, timeout_s: float) -> bool:
        """Whether a call that had this long and was not answered tells something of the rewriter, not of its caller."""
        return 2 * timeout_s >= self._use.budget.seconds()

    @contextmanager
    def _timed(self, timeout_s: float) -> Iterator[None]:
        """Report to the budget how long a call took; ignore timeouts caused by a deadline shorter than half the budget."""
        started = time.perf_counter()
        try:
            yield
        except DeadlineExceeded:
            if self._enough(timeout_s):
                self._use.budget.observe(timeout_s, late=True)
            raise
        else:
            self._use.budget.observe(time.perf_counter() - started)


def referable(request: rewrite_pb2.RewriteRequest) -> frozenset[str]:
    """Return the ids that an answer to this request may refer to: what the conversation showed or brought."""
    ids = {request.product_id}
    for turn in request.history:
        ids.update((turn.image_id, turn.product_id))
        ids.update(product.id for product in turn.shown)
    return frozenset(ids - {""})


def _key(version: str, request: rewrite_pb2.RewriteRequest, catalogue: _Catalogue, vocabulary: bytes) -> _Key:
    """Return the key of a turn: equal keys are read alike."""
    state = rewrite_pb2.RewriteRequest(
        has_image=request.has_image,
        product_id=request.product_id,
        history=request.history,
        vocabulary=vocabulary,
    )
    digest = hashlib.sha256(catalogue.digest + state.SerializeToString(deterministic=True)).digest()
    return version, request.text.casefold(), request.locale.casefold(), digest


def _facets(schema: Schema, fields: tuple[FieldSummary, ...]) -> Iterator[rewrite_pb2.Facet]:
    """Yield the keywords that conditions may name."""
    for field in fields:
        owner = schema.filtered.get(field.name)
        if owner is not None and owner.kind in KEYWORD_KINDS and field.values:
            yield rewrite_pb2.Facet(field=field.name, values=field.values)
