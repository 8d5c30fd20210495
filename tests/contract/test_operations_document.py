"""The operators' document names every metric that there is, and no other."""

import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

import gateway.metrics
import rewriter.metrics
import speech.metrics

DOCUMENT = (Path(__file__).parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")


def _names(registry: CollectorRegistry) -> set[str]:
    return {metric.name + ("_total" if metric.type == "counter" else "") for metric in registry.collect()}


@pytest.mark.parametrize(
    ("prefix", "registry"),
    [
        (gateway.metrics.PREFIX, gateway.metrics.Metrics().registry),
        (rewriter.metrics.PREFIX, rewriter.metrics.Metrics().registry),
        (speech.metrics.PREFIX, speech.metrics.Metrics().registry),
    ],
)
def test_every_metric_is_in_the_document(prefix: str, registry: CollectorRegistry) -> None:
    """The tables of docs/operations.md and the registries hold the same names."""
    documented = set(re.findall(rf"^\| `({prefix}_\w+)`", DOCUMENT, re.MULTILINE))
    assert documented == _names(registry)
