"""Every metric of the rewriter, named once."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

PREFIX = "vitrine_rewriter"

# Seconds: the rules answer in parts of a millisecond, a model within the callers' budgets.
_BUCKETS = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Metrics:
    """The metrics of one rewriter, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            f"{PREFIX}_requests_total", "Calls by status.", ("code",), registry=self.registry
        )
        self.request_seconds = Histogram(
            f"{PREFIX}_request_seconds", "Duration of calls.", buckets=_BUCKETS, registry=self.registry
        )
        self.rewrites = Counter(
            f"{PREFIX}_rewrites_total", "Rewrites by route.", ("route",), registry=self.registry
        )
        self.engine_failures = Counter(
            f"{PREFIX}_engine_failures_total",
            "Turns that the engine left to the rules.",
            ("reason",),
            registry=self.registry,
        )
        self.in_flight = Gauge(f"{PREFIX}_in_flight", "Calls being answered.", registry=self.registry)
        self.certificate_expiry = Gauge(
            f"{PREFIX}_certificate_expiry_timestamp_seconds",
            "When the certificate in use ends, as Unix time.",
            ("use",),
            registry=self.registry,
        )

    def certificate_expires(self, at: float) -> None:
        """Tell when the certificate in use ends, as Unix time in seconds; without a certificate there is no series."""
        self.certificate_expiry.labels("server").set(at)
