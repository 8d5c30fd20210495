"""Values that are wrong, odd, or do not go together: refused before anything is installed, by the name of the value."""

import json
import re
from typing import Any

import helm_python
import pytest

from .test_helm_chart import LEAST, SPOKEN

INDEX: dict[str, Any] = {
    "enabled": True,
    "catalogue": {"existingClaim": "catalogue"},
    "tokenSecret": {"name": "index-token"},
}
COMPONENTS = ("gateway", "rewriter", "speech", "storefront", "triton", "plans", "index", "milvus")


def settings(**values: Any) -> dict[str, Any]:
    """Return settings of the gateway."""
    return {"gateway": {"settings": values}}


ODD: list[tuple[dict[str, Any], str]] = [
    # Names, labels, annotations.
    ({"fullnameOverride": "shop.search"}, "/fullnameOverride"),
    ({"fullnameOverride": "1shop"}, "/fullnameOverride"),
    ({"fullnameOverride": "a" * 41}, "/fullnameOverride"),
    ({"nameOverride": "Shop"}, "/nameOverride"),
    ({"commonLabels": {"app.kubernetes.io/name": "other"}}, "commonLabels: app.kubernetes.io/name is the chart's own"),
    ({"commonLabels": {"team": "a b"}}, "/commonLabels/team"),
    ({"gateway": {"podLabels": {"app.kubernetes.io/component": "x"}}}, "gateway.podLabels: app.kubernetes.io/component is"),
    ({"gateway": {"podAnnotations": {"checksum/config": "constant"}}}, "gateway.podAnnotations: checksum/config is"),
    ({"gateway": {"podAnnotations": {"a b": "c"}}}, "/gateway/podAnnotations"),
    ({"gateway": {"nodeSelector": {"a b": "c"}}}, "/gateway/nodeSelector"),
    ({"podMonitor": {"labels": {"app.kubernetes.io/name": "x"}}}, "podMonitor.labels: app.kubernetes.io/name is"),
    ({"podMonitor": {"interval": "0s"}}, "/podMonitor/interval"),
    # Where pods run, and who calls them.
    ({"gateway": {"tolerations": [{"key": "a", "operater": "Exists"}]}}, "/gateway/tolerations/0"),
    ({"gateway": {"affinity": {"podAntiAfinity": {}}}}, "/gateway/affinity"),
    ({"gateway": {"affinity": {"podAntiAffinity": {"required": []}}}}, "/gateway/affinity/podAntiAffinity"),
    ({"gateway": {"topologySpreadConstraints": [{"topologyKey": "zone"}]}}, "/gateway/topologySpreadConstraints/0"),
    ({"networkPolicy": {"clients": [{"podSelecter": {}}]}}, "/networkPolicy/clients/0"),
    ({"networkPolicy": {"clients": [{"podSelector": {"matchLabel": {}}}]}}, "/networkPolicy/clients/0/podSelector"),
    ({"networkPolicy": {"clients": [{"ipBlock": {"cidr": "10.0.0.0"}}]}}, "/networkPolicy/clients/0/ipBlock/cidr"),
    ({"networkPolicy": {"clients": [{"ipBlock": {"cidr": "10.0.0.300/8"}}]}}, "/networkPolicy/clients/0/ipBlock/cidr"),
    ({"networkPolicy": {"extraEgress": {"gatewy": []}}}, "/networkPolicy/extraEgress"),
    # Quantities.
    ({"gateway": {"resources": {"requests": {"memory": "2Gi"}, "limits": {"memory": "1Gi"}}}},
     "gateway.resources: requests.memory 2Gi is above limits.memory 1Gi"),
    ({"gateway": {"resources": {"requests": {"cpu": 3}, "limits": {"cpu": "2500m"}}}},
     "gateway.resources: requests.cpu 3 is above limits.cpu 2500m"),
    ({"gateway": {"resources": {"requests": {"ephemeral-storage": "2Gi"}, "limits": {"ephemeral-storage": "1Gi"}}}},
     "gateway.resources: requests.ephemeral-storage 2Gi is above"),
    ({"triton": {"resources": {"requests": {"nvidia.com/gpu": 1}}}},
     "triton.resources: requests.nvidia.com/gpu 1 must be limits.nvidia.com/gpu too"),
    ({"gateway": {"resources": {"limits": {"memory": 1}}}}, "/gateway/resources/limits/memory"),
    ({"gateway": {"resources": {"limits": {"memory": "5m"}}}}, "/gateway/resources/limits/memory"),
    ({"triton": {"sharedMemory": "5m"}}, "/triton/sharedMemory"),
    ({"triton": {"sharedMemory": "64Gi"}}, "triton.sharedMemory 64Gi counts as memory of the pod"),
    ({"milvus": {"enabled": True, "persistence": {"size": "5m"}}}, "/milvus/persistence/size"),
    ({"milvus": {"enabled": True, "persistence": {"size": "0"}}}, "/milvus/persistence/size"),
    # Roll-outs, probes, ports, addresses.
    ({"triton": {"strategy": {"maxSurge": 0, "maxUnavailable": 0}}}, "triton.strategy: with maxSurge 0 and maxUnavailable 0"),
    ({"triton": {"strategy": {"maxSurge": "0%", "maxUnavailable": 0}}}, "triton.strategy: with maxSurge 0"),
    ({"triton": {"strategy": {"maxSurge": "200%"}}}, "/triton/strategy/maxSurge"),
    ({"triton": {"terminationGracePeriodSeconds": 10}}, "triton.terminationGracePeriodSeconds 10 is too short"),
    ({"gateway": {"terminationGracePeriodSeconds": 24}}, "gateway.terminationGracePeriodSeconds 24 is too short"),
    ({"gateway": {"probes": {"liveness": {"periodSeconds": 0}}}}, "/gateway/probes/liveness/periodSeconds"),
    ({"gateway": {"probes": {"liveness": {"httpGet": {}}}}}, "/gateway/probes/liveness"),
    ({"triton": {"extraArgs": ["model-repository=/x"]}}, "/triton/extraArgs/0"),
    ({"milvus": {"uri": "http://milvus.search.svc:99999"}}, "/milvus/uri"),
    ({"milvus": {"uri": "http://milvus.search.svc:0"}}, "/milvus/uri"),
    ({"milvus": {"uri": "http://milvus.search.svc:19530", "enabled": True}}, "milvus.uri and milvus.enabled exclude each other"),
    ({"gateway": {"service": {"nodePort": 30700}}}, "gateway.service.externalTrafficPolicy and nodePort are for"),
    ({"gateway": {"service": {"loadBalancerClass": "nlb"}}}, "gateway.service.loadBalancerClass and loadBalancerSourceRanges"),
    ({"gateway": {"service": {"type": "NodePort", "nodePort": 80}}}, "/gateway/service/nodePort"),
    ({"gateway": {"serviceAccount": {"create": False, "name": ""}}}, "gateway.serviceAccount.name is needed"),
    ({"gateway": {"ingress": {"enabled": True, "host": "search.example.com"}}}, "gateway.ingress.host and tlsSecret are needed"),
    ({"gateway": {"ingress": {"host": "search_1.example.com"}}}, "/gateway/ingress/host"),
    ({"gateway": {"route": {"enabled": True}}}, "gateway.route.parents is needed"),
    ({"access": {"open": ["anybody-may-call"], "tls": {"issuer": {"name": "ca"}}}}, "access.tls.secret is needed: the Secret that"),
    # Engines and the index Job.
    ({"rewriter": {"openai": {"url": "http://vllm.ai.svc/v1"}}}, "rewriter.openai is for engine=openai, and rewriter.engine is model"),
    ({"speech": {"enabled": True, "openai": {"model": "m"}}}, "speech.openai is for engine=openai"),
    ({"index": INDEX | {"rebuild": True, "rebuildIfStale": True}}, "index.rebuild and index.rebuildIfStale exclude"),
    ({"index": {"schedule": "@daily"}}, "index.schedule needs index.enabled"),
    ({"plans": {"path": "../x"}}, "/plans/path"),
    ({"triton": {"modelRepository": {"path": "l4"}}}, "triton.modelRepository.path is a folder on existingClaim"),
    ({"index": INDEX | {"schedule": "at night"}}, "/index/schedule"),
    *(({"index": {"catalogue": {"existingClaim": "c", "path": path}}}, "/index/catalogue/path")
      for path in ("../etc/passwd", "a/../../b", "..", "/etc", "", "a//b")),
    ({"index": {"catalogue": {"existingClaim": "c", "path": "a", "schema": "../a.toml"}}}, "/index/catalogue/schema"),
    # Settings that the service would refuse, or that would break it.
    (settings(text_image_weight=7), "/gateway/settings/text_image_weight"),
    (settings(history_last_turns=40, history_similar_turns=20), "are 60 together, and may be 50"),
    (settings(history_last_turns=46), "are 51 together, and may be 50"),
    (settings(max_concurrent_calls=0), "/gateway/settings/max_concurrent_calls"),
    (settings(max_message_bytes=0), "/gateway/settings/max_message_bytes"),
    (settings(max_message_bytes=12_500_000, max_request_bytes=12_000_000), "max_message_bytes 12500000 is above max_request_bytes"),
    (settings(probe_interval_ms=0), "/gateway/settings/probe_interval_ms"),
    (settings(reflection=7), "/gateway/settings/reflection"),
    (settings(default_deadline_ms=31_000), "gateway.settings: default_deadline_ms 31000 is above max_deadline_ms 30000"),
    (settings(max_deadline_ms=4_000), "gateway.settings: default_deadline_ms 5000 is above max_deadline_ms 4000"),
    (settings(rewrite_budget_ms=40), "rewrite_budget_floor_ms 50 is above rewrite_budget_ms 40"),
    (settings(converse_budget_floor_ms=900), "converse_budget_floor_ms 900 is above converse_budget_ms 800"),
    (settings(picture_category_precision=0.4), "/gateway/settings/picture_category_precision"),
    (settings(mesh_proxies="everybody"), "/gateway/settings/mesh_proxies"),
    ({"rewriter": {"settings": {"default_timeout_ms": 11_000}}}, "rewriter.settings: default_timeout_ms 11000 is above"),
    # Secrets in clear.
    ({"gateway": {"extraEnv": [{"name": "GATEWAY_MILVUS_TOKEN", "value": "x"}]}},
     "gateway.extraEnv: GATEWAY_MILVUS_TOKEN would hold a secret in clear"),
    ({"rewriter": {"extraEnv": [{"name": "REWRITER_OPENAI_API_KEY", "value": "x"}]}}, "would hold a secret in clear"),
    ({"gateway": {"extraEnv": [{"name": "GATEWAY_SESSIONS", "value": "redis://u:p@h:6379"}]}}, "would hold a secret in clear"),
    ({"milvus": {"uri": "http://root:Milvus@milvus.search.svc:19530"}}, "/milvus/uri"),
    *(({name: {"enabled": True, "engine": "openai", "openai": {"url": url, "model": "m"}}}, f"/{name}/openai/url")
      for name in ("rewriter", "speech") for url in ("https://u:p@host/v1", "https://host/v1?key=secret")),
    ({"traces": {"endpoint": "https://host/v1/traces?token=secret"}}, "/traces/endpoint"),
]  # fmt: skip


@pytest.mark.parametrize(("values", "complaint"), ODD, ids=lambda value: json.dumps(value)[:80])
def test_an_odd_value_is_refused_by_name(render: Any, values: dict[str, Any], complaint: str) -> None:
    """Helm says which value it is, and for two that do not go together what to do; nothing is installed."""
    milvus = {"milvus": LEAST["milvus"] | values["milvus"]} if "milvus" in values else {}
    if values.get("milvus", {}).get("enabled") and "uri" not in values["milvus"]:
        milvus = values
    with pytest.raises(helm_python.HelmError, match=re.escape(complaint)):
        render(LEAST | values | milvus)


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_secret_in_clear_is_refused_everywhere(render: Any, component: str) -> None:
    """Every component's variables are looked through; those that come from a Secret pass."""
    plans = {"enabled": True, "existingClaim": "plans", "path": "l4"}
    values = SPOKEN | {"index": INDEX, "milvus": {"enabled": True}, "plans": plans}
    clear = [{"name": "SOME_PASSWORD", "value": "x"}]
    kept = [{"name": "SOME_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]
    assert render(values | {component: values.get(component, {}) | {"extraEnv": kept}})
    with pytest.raises(helm_python.HelmError, match=rf"{component}\.extraEnv: SOME_PASSWORD"):
        render(values | {component: values.get(component, {}) | {"extraEnv": clear}})


def test_a_release_whose_name_begins_with_a_digit_says_the_way_out() -> None:
    """Names of Services begin with a letter: the name of the objects is to be given."""
    with helm_python.Chart.load("helm/vitrine") as chart:
        with pytest.raises(helm_python.HelmError, match="fullnameOverride is needed"):
            chart.render(LEAST, name="1shop", namespace="prod")
        assert chart.render(LEAST | {"fullnameOverride": "shop"}, name="1shop", namespace="prod")
