"""How much may come in at once: the options of gRPC's core, the counters in front of every call, and what is told of them."""

from collections.abc import Callable
from pathlib import Path

from gateway.edge.interceptors import Crowding, DeadlineRules
from gateway.edge.reception import Crowd, Reception
from gateway.edge.saturation import Saturation
from gateway.edge.standard_calls import MAX_CHECKS, MAX_REFLECTIONS, MAX_WATCHES, StandardCalls
from gateway.memory import ByteBudget
from gateway.metrics import Metrics
from gateway.settings import Settings
from vitrine.process.certificates import followed_expiry

_DAY_S = 86_400
_REFUSED = 256
"""Calls that are being refused at the same time."""
_IDENTITY_ALONE = 1
"""The set of compressions of gRPC's core, a bit each; the lowest is none at all."""


def open_metrics(settings: Settings) -> Metrics:
    """Return the metrics, which tell already when the certificate that is shown to those behind ends."""
    metrics = Metrics()
    if settings.client_cert and (ends := followed_expiry(Path(settings.client_cert))) is not None:
        metrics.certificate_expiry.labels("client").set_function(ends)
    return metrics


def open_saturation(settings: Settings, metrics: Metrics) -> Saturation:
    """Return what bounds the searches of all listeners by the time that the process has."""
    saturation = Saturation(maximum=settings.max_concurrent_calls + 1)
    metrics.concurrency_limit.labels("door").set_function(lambda: saturation.limit)
    metrics.searches_running.labels("door").set_function(lambda: saturation.inside)
    return saturation


def open_crowding(settings: Settings, metrics: Metrics, saturation: Saturation) -> Callable[[], Crowding]:
    """Return what makes the counters of a listener: each counts its own calls, and all count their bytes together."""
    reception = Reception(places=settings.max_receiving, budget=ByteBudget(settings.max_request_bytes))
    metrics.request_bytes.set_function(lambda: reception.budget.used)
    metrics.receiving.set_function(lambda: reception.receiving_slowly)
    return lambda: Crowding(
        calls=Crowd("calls at once", settings.max_concurrent_calls),
        searches=saturation,
        reception=reception,
        standard=StandardCalls(reception, watch_s=settings.max_connection_age_s or _DAY_S),
    )


def most_calls(settings: Settings) -> int:
    """Return how many calls the server itself lets in: all that have a counter of their own, and those it refuses."""
    return settings.max_concurrent_calls + MAX_CHECKS + MAX_WATCHES + MAX_REFLECTIONS + _REFUSED


def server_options(settings: Settings) -> list[tuple[str, int]]:
    """Return the options of a server."""
    return [
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        # A few bytes would become a whole message in here, and pictures are compressed by themselves.
        ("grpc.compression_enabled_algorithms_bitset", _IDENTITY_ALONE),
        # Calls that the core holds before it hands them over are counted by it alone: see edge/saturation.py.
        ("grpc.enable_channelz", 1),
        # Of a call that is not read from yet the core takes no more than a window of 64 kB, however quick the line is.
        ("grpc.http2.bdp_probe", 0),
        # No bound on the calls of one connection: the core resets what exceeds it, also calls of clients that keep to it, since
        # it counts those that have just ended. The counters above refuse in words, with the time to come back.
        ("grpc.max_connection_age_ms", settings.max_connection_age_s * 1_000),
        # Calls under way, a long ingest above all, end on the old connection: none lasts longer than a day.
        ("grpc.max_connection_age_grace_ms", _DAY_S * 1_000),
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        # Clients that ping to keep idle connections open may do so every ten seconds.
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
        # Two gateways on one port is a mistake, to be told at once, unless each has an address of its own beside it.
        ("grpc.so_reuseport", int(bool(settings.own_listen))),
    ]


def ingest_memory(settings: Settings, metrics: Metrics) -> ByteBudget:
    """Return what bounds the bytes of all products that are being indexed together."""
    budget = ByteBudget(settings.max_ingest_bytes)
    metrics.ingest_bytes.set_function(lambda: budget.used)
    return budget


def deadline_rules(settings: Settings) -> DeadlineRules:
    """Return how long calls may last."""
    return DeadlineRules(
        default_s=settings.default_deadline_ms / 1e3,
        maximum_s=settings.max_deadline_ms / 1e3,
        unread_s=settings.unread_s,
    )
