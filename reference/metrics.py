"""The page of metrics: what each service counts and times."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

import gateway.metrics
import rewriter.metrics
import speech.metrics
from benchmarks.tables import table
from reference.markdown import MADE_BY, cell

_SERVICES = (
    ("The gateway", "GATEWAY_METRICS_LISTEN", gateway.metrics.Metrics),
    ("The rewriter", "REWRITER_METRICS_LISTEN", rewriter.metrics.Metrics),
    ("The speech service", "SPEECH_METRICS_LISTEN", speech.metrics.Metrics),
)


def page() -> list[str]:
    """Return the page's lines."""
    lines = [
        "# Metrics",
        "",
        MADE_BY,
        "",
        "Prometheus reads them over HTTP, at `/metrics` of the address that a setting names. What to be woken by, and what to look",
        "at in the morning, is in [Operations](../operations.md#alerts).",
    ]
    for title, setting, metrics in _SERVICES:
        rows = list(_rows(metrics().registry))
        lines += ["", f"## {title}", "", f"At `{setting}`."]
        lines += ["", *table(["metric", "kind", "labels", "what it is"], rows)]
    return lines


def _rows(registry: CollectorRegistry) -> Iterator[list[str]]:
    for collector in list(registry._collector_to_names):  # noqa: SLF001 - labels are told nowhere else
        if isinstance(collector, MetricWrapperBase):
            (described,) = collector.describe()
            name = described.name + ("_total" if described.type == "counter" else "")
            labels = ", ".join(collector._labelnames)  # noqa: SLF001 - likewise
            yield [f"`{name}`", described.type, labels, cell(described.documentation)]
