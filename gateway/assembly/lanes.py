"""The lanes that searches and ingests take to the encoders and the index, from the settings."""

from collections.abc import Callable

from gateway.indexing.pacing import PacedEncoder
from gateway.metrics import Metrics
from gateway.ports import Encoder
from gateway.retrieval.admission import AimdLimit, BatchLane, Lanes, Limiter, QueueBounds
from gateway.settings import Settings


def open_lanes(settings: Settings, metrics: Metrics) -> tuple[Lanes, Callable[[Encoder], Encoder]]:
    """Return the lanes of searches, and what puts the encoders of ingests behind theirs."""
    lanes = _lanes(settings, metrics)
    batches = _batch_lane(settings, lanes, metrics)
    return lanes, lambda encoder: PacedEncoder(encoder, batches)


def _lanes(settings: Settings, metrics: Metrics) -> Lanes:
    def lane(name: str, *, maximum: int, target_ms: int) -> Limiter:
        limiter = Limiter(
            AimdLimit(maximum=maximum),
            QueueBounds(length=settings.max_queue, wait_s=settings.max_queue_wait_ms / 1e3),
            initial=settings.initial_concurrency,
            latency_target_s=target_ms / 1e3,
            on_shed=lambda reason: metrics.shed.labels(name, reason).inc(),
        )
        metrics.concurrency_limit.labels(name).set_function(lambda: limiter.limit)
        metrics.searches_running.labels(name).set_function(lambda: limiter.in_flight)
        metrics.searches_queued.labels(name).set_function(lambda: limiter.queued)
        return limiter

    return Lanes(
        words=lane("words", maximum=settings.max_concurrency, target_ms=settings.latency_target_ms),
        pictures=lane(
            "pictures",
            maximum=settings.max_picture_concurrency,
            target_ms=settings.picture_latency_target_ms,
        ),
    )


def _batch_lane(settings: Settings, lanes: Lanes, metrics: Metrics) -> BatchLane:
    lane = BatchLane(lanes, slots=max(1, settings.max_batch_concurrency), share=settings.batch_share)
    metrics.batches_running.set_function(lambda: lane.in_flight)
    metrics.batches_queued.set_function(lambda: lane.queued)
    return lane
