"""What the chart promises of a gateway's memory and of its probes."""

import dataclasses
from pathlib import Path
from typing import Any

import helm_python
import pytest
import yaml

import gateway.assembly.footprint
import gateway.readiness
import gateway.settings

CHART = Path(__file__).parents[3] / "helm/vitrine"
LEAST: dict[str, Any] = {
    "milvus": {"uri": "http://milvus.search.svc:19530"},
    "access": {"callers": {"name": "callers"}, "tls": {"secret": "gateway-tls"}},
}


def test_a_gateway_that_hangs_is_seen_and_one_without_its_services_stays(render: Any) -> None:
    """Liveness asks the event loop; readiness asks nothing of what all gateways share."""
    pod = next(
        o
        for o in render(LEAST)
        if o["kind"] == "Deployment" and o["metadata"]["name"] == "demo-vitrine-gateway"
    )
    container = pod["spec"]["template"]["spec"]["containers"][0]
    assert container["livenessProbe"]["httpGet"] == {"path": "/livez", "port": "metrics"}
    assert container["readinessProbe"]["grpc"]["service"] == gateway.readiness.STARTED


@pytest.mark.parametrize(
    "settings",
    [{}, {"max_session_bytes": 0, "max_receiving": 24}, {"max_request_bytes": 40_000_000, "max_concurrent_calls": 64},
     {"max_ingest_bytes": 12_000_000, "embedding_cache_entries": 1, "product_cache_entries": 20_000},
     {"rewrite_cache_entries": 7, "max_message_bytes": 11_000_000},
     {"campaigns": "redis://host", "result_cache_entries": 100}],
)  # fmt: skip
def test_settings_that_need_more_memory_than_the_pod_has_are_refused(
    render: Any, settings: dict[str, Any]
) -> None:
    """The chart and the gateway come to the same sum: with a byte less the chart is refused and says so, else it is rendered."""
    meant = dataclasses.replace(gateway.settings.Settings(), **settings)
    needed = sum(gateway.assembly.footprint.parts(meant).values())
    settings = dict(settings)
    campaigns = {"urlSecret": {"name": "campaigns"}} if settings.pop("campaigns", "") else {}

    def rendered(memory: str) -> object:
        resources = {"limits": {"memory": memory}}
        own = {"settings": settings, "resources": resources, "campaigns": campaigns}
        policy = {"egress": {"redis": [{"ipBlock": {"cidr": "203.0.113.7/32"}}]}}
        return render(LEAST | {"gateway": own, "networkPolicy": policy})

    assert rendered(str(needed))
    with pytest.raises(helm_python.HelmError, match=f"may come to {needed} bytes of memory"):
        rendered(str(needed - 1))


def test_the_charts_own_limit_fits_the_gateways_own_settings() -> None:
    """The default settings fit into the default limit."""
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    assert values["gateway"]["resources"]["limits"]["memory"] == "1Gi"
    gateway.assembly.footprint.check_memory(gateway.settings.Settings(), 1 << 30)
