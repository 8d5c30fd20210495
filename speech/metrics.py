"""Every metric of the speech service, named once."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

PREFIX = "vitrine_speech"

# Seconds: what is refused takes milliseconds, what is heard a second or two, and what waits longer.
_BUCKETS = (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0)


class Metrics:
    """The metrics of one speech service, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            f"{PREFIX}_requests_total", "Calls by status.", ("code",), registry=self.registry
        )
        self.request_seconds = Histogram(
            f"{PREFIX}_request_seconds", "Duration of calls.", buckets=_BUCKETS, registry=self.registry
        )
        self.transcripts = Counter(
            f"{PREFIX}_transcripts_total",
            "Recordings that were heard: understood, or nothing.",
            ("outcome",),
            registry=self.registry,
        )
        self.audio_seconds = Counter(
            f"{PREFIX}_audio_seconds_total", "Length of what was heard.", registry=self.registry
        )
        self.hearing = Gauge(f"{PREFIX}_hearing", "Recordings being heard.", registry=self.registry)
        self.waiting = Gauge(f"{PREFIX}_waiting", "Recordings that wait.", registry=self.registry)
        self.certificate_expiry = Gauge(
            f"{PREFIX}_certificate_expiry_timestamp_seconds",
            "When the certificate in use ends, as Unix time.",
            ("use",),
            registry=self.registry,
        )

    def certificate_expires(self, at: float) -> None:
        """Tell when the certificate in use ends, as Unix time in seconds; without a certificate there is no series."""
        self.certificate_expiry.labels("server").set(at)
