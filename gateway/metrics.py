"""Every metric of the gateway, named once."""

import asyncio
import math
import time
from collections.abc import Mapping
from functools import lru_cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from gateway.errors import DeadlineExceeded, InvalidQuery, Overloaded

PREFIX = "vitrine_gateway"

# Seconds; dense where searches are (5 to 100 ms), up to the longest deadline.
_BUCKETS = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.02,
    0.035,
    0.05,
    0.075,
    0.1,
    0.15,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
)

_CHILDREN = 256
"""Of a metric, that are found without their labels being checked again."""

_TEXTS: Mapping[str, str] = {
    "requests_total": "Calls by method and status.",
    "caller_requests_total": "Calls by caller and status; no name: nobody that is known.",
    "auth_failures_total": "Calls of nobody that is known, by what was wrong with what they showed.",
    "quota_refusals_total": "Calls that a caller made beyond its quota.",
    "callers_reloads_total": "Exchanges of the file of callers: taken, or refused (the one before holds).",
    "request_seconds": "Duration of calls.",
    "in_flight": "Calls being answered.",
    "slow_readers_total": "Calls cut off since their caller did not take the answer.",
    "stage_seconds": "Duration of a search's stages: rewrite (the wait for the rewriter), lookup (the product that it starts from), encode, search, lexical (exact matches), sponsored, facets.",
    "dependency_seconds": "Duration of calls to encoder, decoder and classifier (of moderation), index, rewriter, speech, events and campaigns.",
    "degraded_total": "What was left out of answers, by the words of degraded, with the reason; search is that of what a search itself leaves out.",
    "shed_total": "Searches refused at the door: queue_full (its caller has its share of the queue), queue_share (it gave its place to a caller with fewer), queue_wait.",
    "concurrency_limit": "Searches that may run at once, of words or with pictures; it adapts.",
    "searches_running": "Searches that hold a slot.",
    "searches_queued": "Searches that wait for one.",
    "batches_running": "Batches of ingests that are being encoded.",
    "batches_queued": "Batches that wait for the encoders.",
    "request_bytes": "Bytes of the requests that are being answered; GATEWAY_MAX_REQUEST_BYTES is their bound.",
    "ingest_bytes": "Bytes of the products that are being indexed; GATEWAY_MAX_INGEST_BYTES is their bound.",
    "ingest_lag_seconds": "Age of the oldest product that was received and is not acknowledged yet; 0 while there is none.",
    "receiving": "Requests that are still being sent, slowly.",
    "cache_lookups_total": "Look-ups of the embedding, product, result, taste and rewrite caches: hit, miss, or shared with an equal turn that was being read.",
    "breaker_state": "0 closed, 1 half-open, 2 open.",
    "rewrite_budget_seconds": "Time that the rewriter gets now: twice its own 95th percentile of the last minute, within the settings.",
    "sessions": "Conversations held in memory.",
    "session_bytes": "Bytes that they hold.",
    "sessions_evicted_total": "Conversations that made room: caller_bytes (of their caller's share), sessions or bytes (of all in memory).",
    "index_lease": "1 while this gateway holds the lease to exchange the index, for a rebuild or to put one back.",
    "index_swaps_total": "Indexes that this gateway put in use.",
    "index_outdated": "1 while the newest encoders that serve are not those that made the index in use.",
    "service_questions_total": "Turns that ask about the shop's service: quoted from its documents, or handed_over.",
    "events_total": "Events of shoppers by kind: recorded, duplicate, capped (too many of one shopper a day), erased (of a shopper erased since).",
    "logged_answers_total": "Answers whose features were to be kept for training: kept, or dropped since too many waited or the store failed.",
    "moderated_total": "What moderation found, by kind (copy, tile or crop of a blocked picture, nudity, words): refused or flagged.",
    "blocked_images": "Blocked pictures that searches are held against.",
    "sponsored_impressions_total": "Sponsored places that answers held.",
    "sponsored_spend_micros_total": "What they cost, in millionths of the gateway's currency.",
    "sponsored_refused_total": "Offers of campaigns that took no part: ended, intent, cap (the shopper saw it often enough today), budget (nothing is leased to this gateway now), filter (the schema does not know it).",
    "serving": "1 while health says SERVING.",
    "certificate_expiry_timestamp_seconds": "When a certificate in use ends, as Unix time: server (what callers see) or client (what Triton, Milvus and the others see).",
}
"""What each metric is, as Prometheus and the reference show it."""


class Metrics:
    """The metrics of one gateway, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._answers: dict[str, float] = {}
        self.requests = self._counter("requests_total", "method", "code")
        self.caller_requests = self._counter("caller_requests_total", "caller", "code")
        self.auth_failures = self._counter("auth_failures_total", "reason")
        self.quota_refusals = self._counter("quota_refusals_total", "caller", "quota")
        self.callers_reloads = self._counter("callers_reloads_total", "outcome")
        self.request_seconds = self._histogram("request_seconds", "method")
        self.in_flight = self._gauge("in_flight", "method")
        self.slow_readers = self._counter("slow_readers_total", "method")
        self.stage_seconds = self._histogram("stage_seconds", "route", "stage")
        self.dependency_seconds = self._histogram("dependency_seconds", "dependency", "outcome")
        self.degraded = self._counter("degraded_total", "part", "reason")
        self.shed = self._counter("shed_total", "lane", "reason")
        self.concurrency_limit = self._gauge("concurrency_limit", "lane")
        self.searches_running = self._gauge("searches_running", "lane")
        self.searches_queued = self._gauge("searches_queued", "lane")
        self.batches_running = self._gauge("batches_running")
        self.batches_queued = self._gauge("batches_queued")
        self.request_bytes = self._gauge("request_bytes")
        self.ingest_bytes = self._gauge("ingest_bytes")
        self.ingest_lag = self._gauge("ingest_lag_seconds")
        self.receiving = self._gauge("receiving")
        self.cache_lookups = self._counter("cache_lookups_total", "cache", "outcome")
        self.breaker_state = self._gauge("breaker_state", "dependency", "use")
        self.rewrite_budget = self._gauge("rewrite_budget_seconds", "use")
        self.sessions = self._gauge("sessions")
        self.session_bytes = self._gauge("session_bytes")
        self.sessions_evicted = self._counter("sessions_evicted_total", "reason")
        self.index_lease = self._gauge("index_lease", "kind")
        self.index_swaps = self._counter("index_swaps_total", "kind")
        self.index_outdated = self._gauge("index_outdated")
        self.service_questions = self._counter("service_questions_total", "outcome")
        self.serving = self._gauge("serving", "service")
        self.certificate_expiry = self._gauge("certificate_expiry_timestamp_seconds", "use")
        # Finding a labelled child costs more than counting; these are few, and asked for several times a search.
        self.stage = lru_cache(_CHILDREN)(self.stage_seconds.labels)
        self._dependency = lru_cache(_CHILDREN)(self.dependency_seconds.labels)
        self._lookup = lru_cache(_CHILDREN)(self.cache_lookups.labels)
        self._beside_search()

    def _beside_search(self) -> None:
        self.events = self._counter("events_total", "kind", "outcome")
        self.logged_answers = self._counter("logged_answers_total", "outcome")
        self.moderated = self._counter("moderated_total", "kind", "outcome")
        self.blocked_images = self._gauge("blocked_images")
        self.sponsored_impressions = self._counter("sponsored_impressions_total")
        self.sponsored_spend = self._counter("sponsored_spend_micros_total")
        self.sponsored_refused = self._counter("sponsored_refused_total", "reason")

    def last_answer(self, dependency: str) -> float:
        """Return when a dependency last answered a call, by the monotonic clock; minus infinity before it ever did."""
        return self._answers.get(dependency, -math.inf)

    def dependency(self, name: str) -> "_Asking":
        """Return what times one call to a dependency, with its outcome, while a block runs."""
        return _Asking(self, name)

    def asked(self, dependency: str, outcome: str, seconds: float) -> None:
        """Count one call to a dependency that has ended."""
        if outcome == _OK:
            self._answers[dependency] = time.monotonic()
        self._dependency(dependency, outcome).observe(seconds)

    def certificate_expires(self, use: str, at: float) -> None:
        """Tell when the certificate in use ends, as Unix time in seconds; without a certificate there is no series."""
        self.certificate_expiry.labels(use).set(at)

    def cache(self, name: str, *, hit: bool) -> None:
        """Count one look-up."""
        self._lookup(name, "hit" if hit else "miss").inc()

    def _counter(self, name: str, *labels: str) -> Counter:
        return Counter(f"{PREFIX}_{name}", _TEXTS[name], labels, registry=self.registry)

    def _gauge(self, name: str, *labels: str) -> Gauge:
        return Gauge(f"{PREFIX}_{name}", _TEXTS[name], labels, registry=self.registry)

    def _histogram(self, name: str, *labels: str) -> Histogram:
        return Histogram(f"{PREFIX}_{name}", _TEXTS[name], labels, buckets=_BUCKETS, registry=self.registry)


class _Asking:
    """A call to a dependency while its block runs."""

    __slots__ = ("_metrics", "_name", "_started")

    def __init__(self, metrics: Metrics, name: str) -> None:
        self._metrics = metrics
        self._name = name

    def __enter__(self) -> None:
        self._started = time.perf_counter()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        outcome = _OK if kind is None else _outcome(kind)
        self._metrics.asked(self._name, outcome, time.perf_counter() - self._started)


_OK = "ok"


def _outcome(kind: type[BaseException]) -> str:
    """Return what the metric calls a failure."""
    if issubclass(kind, asyncio.CancelledError):
        return "cancelled"
    if issubclass(kind, DeadlineExceeded | TimeoutError):
        return "deadline"
    if issubclass(kind, Overloaded):
        return "overloaded"
    return "rejected" if issubclass(kind, InvalidQuery) else "error"
