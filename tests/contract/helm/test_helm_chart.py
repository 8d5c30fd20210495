"""What the chart promises: valid objects, strict values, nothing when disabled, and settings that exist."""

import dataclasses
import itertools
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import helm_python
import pytest
import yaml

import gateway.settings
import rewriter.settings
import speech.settings

CHART = Path(__file__).parents[3] / "helm/vitrine"
SCHEMA = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
ACCESS = {"access": {"callers": {"name": "callers"}, "tls": {"secret": "gateway-tls"}}}
LEAST: dict[str, Any] = {"milvus": {"uri": "http://milvus.search.svc:19530"}, **ACCESS}
EVERYTHING: dict[str, Any] = {
    "access": {
        "callers": {"name": "callers", "key": "callers.toml"},
        "tls": {"secret": "gateway-tls", "clientCertificates": True},
        "trust": {
            "secret": "trust",
            "triton": "triton.crt",
            "rewriter": "ca.crt",
            "speech": "ca.crt",
            "milvus": "m.crt",
            "sessions": "s.crt",
        },
        "clientSecret": "gateway-client",
    },
    "milvus": {
        "enabled": True,
        "persistence": {"size": "5Gi", "storageClassName": "fast"},
        "tokenSecret": {"name": "milvus"},
    },
    "index": {
        "enabled": True,
        "rebuild": True,
        "tokenSecret": {"name": "index-token"},
        "clientSecret": "index-client",
        "catalogue": {"existingClaim": "catalogue", "path": "products.parquet"},
    },
    "podMonitor": {"enabled": True, "interval": "5s", "labels": {"release": "prometheus"}},
    "prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}},
    "dashboards": {"enabled": True, "annotations": {"grafana_folder": "Vitrine"}},
    "imagePullSecrets": [{"name": "registry"}],
    "traces": {"endpoint": "http://collector.monitoring.svc:4318/v1/traces", "share": 0.5},
    "gateway": {
        "autoscaling": {"enabled": True},
        "settings": {"max_message_bytes": 12_000_000, "drain_s": 7.5, "log_level": "debug"},
        "service": {"type": "LoadBalancer", "annotations": {"a": "b"}},
        "sessions": {"urlSecret": {"name": "redis"}, "port": 6380},
        "events": {"urlSecret": {"name": "events"}, "port": 6381},
        "campaigns": {"urlSecret": {"name": "campaigns"}, "port": 6382},
        "podAnnotations": {"a": "b"},
        "nodeSelector": {"pool": "cpu"},
        "tolerations": [{"key": "search", "operator": "Exists"}],
        "affinity": {"podAntiAffinity": {}},
        "priorityClassName": "high",
    },
    "rewriter": {
        "engine": "openai",
        "openai": {
            "url": "https://vllm.ai.svc/v1",
            "model": "tiny",
            "apiKeySecret": {"name": "vllm"},
            "caSecret": "ai-ca",
        },
        "tls": {"secret": "rewriter-tls", "clientCertificates": True},
        "autoscaling": {"enabled": True},
    },
    "speech": {
        "enabled": True,
        "engine": "openai",
        "openai": {
            "url": "https://speaches.ai.svc/v1",
            "model": "tiny",
            "apiKeySecret": {"name": "speaches"},
            "caSecret": "ai-ca",
        },
        "settings": {"languages": "en,es", "max_waiting": 0},
        "tls": {"secret": "speech-tls", "clientCertificates": True},
        "autoscaling": {"enabled": True},
    },
    "triton": {
        "autoscaling": {"enabled": True},
        "modelRepository": {"existingClaim": "plans"},
        "image": {"digest": "sha256:" + "0" * 64},
        "resources": {"requests": {"nvidia.com/gpu": 1}, "limits": {"nvidia.com/gpu": 1, "memory": "16Gi"}},
        "next": {
            "enabled": True,
            "image": {"tag": "next"},
            "modelRepository": {"existingClaim": "next-plans"},
        },
    },
    "networkPolicy": {
        "clients": [{"namespaceSelector": {"matchLabels": {"team": "shop"}}}],
        "egress": {"redis": [{"ipBlock": {"cidr": "203.0.113.7/32"}}]},
        "writers": [{"namespaceSelector": {"matchLabels": {"team": "merchandising"}}}],
    },
}
NOTHING_OPTIONAL = LEAST | {"rewriter": {"enabled": False}, "networkPolicy": {"enabled": False}}
SPOKEN = LEAST | {"speech": {"enabled": True}}
SETTINGS = {
    "gateway": gateway.settings.Settings,
    "rewriter": rewriter.settings.Settings,
    "speech": speech.settings.Settings,
}
COMPONENTS = ("gateway", "rewriter", "speech", "triton", "triton-next", "index", "milvus", "monitoring")
CHART_OWNED = {
    "gateway": {
        "listen", "own_listen", "catalogue_listen", "health_listen", "metrics_listen", "triton", "triton_next", "milvus", "rewriter",
        "speech", "sessions", "events", "events_file", "campaigns", "campaigns_file",
        "open", "callers", "tls_cert", "tls_key", "tls_client_ca", "client_cert", "client_key",
        "triton_ca", "rewriter_ca", "speech_ca", "milvus_ca", "milvus_token", "milvus_token_file", "sessions_ca", "sessions_file",
        "traces", "trace_share", "memory_limit_bytes",
    },
    "rewriter": {
        "listen", "health_listen", "metrics_listen", "tls_cert", "tls_key", "tls_client_ca", "traces", "trace_share",
        "engine", "openai_url", "openai_model", "openai_api_key", "openai_api_key_file", "openai_ca",
    },
    "speech": {
        "listen", "health_listen", "metrics_listen", "tls_cert", "tls_key", "tls_client_ca", "traces", "trace_share",
        "engine", "openai_url", "openai_model", "openai_api_key", "openai_api_key_file", "openai_ca",
    },
}  # fmt: skip
"""Settings that the chart makes itself of its other values; the key comes from a file."""


@pytest.mark.parametrize(
    "values",
    [LEAST, SPOKEN, EVERYTHING, NOTHING_OPTIONAL],
    ids=["least", "spoken", "everything", "nothing optional"],
)
def test_what_is_rendered_breaks_no_rule(render: Any, problems: Any, values: Mapping[str, Any]) -> None:
    """Every object is strictly valid for several versions of Kubernetes and fits together with the others."""
    assert problems(render(values)) == []


def test_helm_lints_the_chart() -> None:
    """Helm's own lint, strict, finds no error and no warning."""
    found = helm_python.lint(str(CHART), EVERYTHING, strict=True, kube_version="v1.34.0")
    assert (found["errors"], found["messages"]) == ([], [])


def test_a_component_has_its_objects(render: Any) -> None:
    """Each component brings its workload, its service, its account, its policy and its budget."""
    kinds = {component: set[str]() for component in COMPONENTS}
    for found in render(EVERYTHING):
        kinds[found["metadata"]["labels"]["app.kubernetes.io/component"]].add(found["kind"])
    common = {"ServiceAccount", "NetworkPolicy"}
    scaled = {"PodDisruptionBudget", "HorizontalPodAutoscaler", "PodMonitor"}
    served = common | scaled | {"Deployment", "Service"}
    assert kinds == {
        "gateway": served | {"ConfigMap"},
        "rewriter": served | {"ConfigMap"},
        "speech": served | {"ConfigMap"},
        "triton": served,
        "triton-next": served - {"HorizontalPodAutoscaler"},
        "index": common | {"Job", "Service"},
        "milvus": common | {"StatefulSet", "Service", "ConfigMap"},
        "monitoring": {"PrometheusRule", "ConfigMap"},
    }


@pytest.mark.parametrize(
    ("values", "gone"),
    [
        ({"rewriter": {"enabled": False}}, {"component": "rewriter"}),
        ({"speech": {"enabled": False}}, {"component": "speech"}),
        ({"index": {"enabled": False}}, {"component": "index"}),
        (LEAST | {"milvus": {"uri": "http://m:19530", "enabled": False}}, {"component": "milvus"}),
        ({"podMonitor": {"enabled": False}, "prometheusRule": {}}, {"kind": "PodMonitor"}),
        ({"networkPolicy": {"enabled": False}}, {"kind": "NetworkPolicy"}),
        ({"gateway": {}}, {"kind": "HorizontalPodAutoscaler", "component": "gateway"}),
    ],
    ids=lambda value: json.dumps(value)[:50],
)
def test_nothing_is_rendered_of_what_is_disabled(
    render: Any, problems: Any, values: dict[str, Any], gone: dict[str, str]
) -> None:
    """A part that is switched off leaves no object behind, and the rest still fits together."""
    objects = render(EVERYTHING | values)
    assert problems(objects) == []
    assert [found for found in objects if _is(found, gone)] == []
    assert [found for found in render(EVERYTHING) if _is(found, gone)] != []


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        (ACCESS, "milvus.uri is needed"),
        ({"milvus": {"uri": "milvus:19530"}}, "/milvus/uri"),
        (LEAST | {"gatewy": {}}, "'gatewy' not allowed"),
        (LEAST | {"gateway": {"settings": {"rewrite_budget": 80}}}, "'rewrite_budget' not allowed"),
        (LEAST | {"gateway": {"settings": {"rewrite_budget_ms": "80"}}}, "want integer"),
        (LEAST | {"gateway": {"settings": {"listen": "0.0.0.0:1"}}}, "'listen' not allowed"),
        (LEAST | {"gateway": {"replicas": 0}}, "/gateway/replicas"),
        (LEAST | {"gateway": {"image": {"repository": ""}}}, "/gateway/image/repository"),
        (
            LEAST | {"gateway": {"resources": {"limits": {"memory": "1Gib"}}}},
            "/gateway/resources/limits/memory",
        ),
        (LEAST | {"rewriter": {"engine": "openai"}}, "/rewriter/openai"),
        (LEAST | {"speech": {"enabled": True, "engine": "openai"}}, "/speech/openai"),
        (LEAST | {"rewriter": {"engine": "magic"}}, "/rewriter/engine"),
        (
            LEAST | {"index": {"enabled": True, "tokenSecret": {"name": "t"}}},
            "index.catalogue.existingClaim is needed",
        ),
        (LEAST | {"index": {"catalogue": {"path": "/etc"}}}, "/index/catalogue/path"),
        (LEAST | {"networkPolicy": {"scrapers": []}}, "/networkPolicy/scrapers"),
        (LEAST | {"access": {}}, "access.callers.name is needed"),
        (LEAST | {"access": {"callers": {"name": "c"}}}, "access.tls.secret is needed"),
        (LEAST | {"access": {"open": ["everything"]}}, "/access/open"),
        (
            LEAST | {"index": {"enabled": True, "catalogue": {"existingClaim": "c"}}},
            "index.tokenSecret.name is needed",
        ),
        (LEAST | {"milvus": {"uri": "https://root:pass@milvus"}}, "/milvus/uri"),
    ],
    ids=lambda value: json.dumps(value)[:60],
)
def test_wrong_values_are_refused_by_name(render: Any, values: dict[str, Any], complaint: str) -> None:
    """A typo, a wrong type or a missing address stops the installation and says where it is."""
    with pytest.raises(helm_python.HelmError, match=re.escape(complaint)):
        render(values)


def test_every_value_is_described_and_every_description_has_a_value() -> None:
    """values.yaml and its schema name the same keys, and no object of the schema lets unknown ones in."""
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    properties = {name for name in SCHEMA["properties"] if name != "global"}
    assert properties == values.keys()
    for name in properties:
        if SCHEMA["properties"][name].get("properties"):
            assert SCHEMA["properties"][name]["properties"].keys() == values[name].keys(), name
    nodes = [SCHEMA]
    for node in nodes:
        if "properties" in node and "if" not in node and node.get("type") == "object":
            assert node["additionalProperties"] is False
        children = itertools.chain(node.get("properties", {}).values(), node.get("$defs", {}).values())
        nodes += [
            child
            for child in children
            if isinstance(child, dict) and child is not SCHEMA["properties"]["global"]
        ]


@pytest.mark.parametrize("room", SETTINGS)
def test_the_schema_knows_every_setting(room: str) -> None:
    """The settings that values may carry are those of the room's Settings, each with its type."""
    kinds: dict[Any, str] = {int: "integer", float: "number", str: "string"}
    fields = {field.name: field.type for field in dataclasses.fields(SETTINGS[room])}
    described = SCHEMA["properties"][room]["properties"]["settings"]["properties"]
    assert described.keys() == fields.keys() - CHART_OWNED[room]
    typed = {name: kinds[kind] for name, kind in fields.items() if name in described and name != "log_level"}
    assert {name: node["type"] for name, node in described.items() if name != "log_level"} == typed


@pytest.mark.parametrize("values", [SPOKEN, EVERYTHING], ids=["spoken", "everything"])
@pytest.mark.parametrize("room", SETTINGS)
def test_every_variable_that_the_chart_sets_is_a_setting(
    render: Any, room: str, values: dict[str, Any]
) -> None:
    """What the chart puts into a container's environment is what the room reads, and it accepts the values."""
    environment = next(
        found["data"]
        for found in render(values)
        if found["kind"] == "ConfigMap" and _is(found, {"component": room})
    )
    settings = SETTINGS[room].from_env(environment)  # type: ignore[attr-defined]
    assert settings.listen.startswith("0.0.0.0:")
    assert (settings.traces, settings.trace_share) == (
        ("http://collector.monitoring.svc:4318/v1/traces", 0.5) if values is EVERYTHING else ("", 1.0)
    )
    if room == "gateway" and values is EVERYTHING:
        assert (settings.max_message_bytes, settings.drain_s) == (12_000_000, 7.5)


@pytest.mark.parametrize("values", [SPOKEN, EVERYTHING], ids=["spoken", "everything"])
def test_a_pod_gets_the_time_that_its_drain_takes(render: Any, values: dict[str, Any]) -> None:
    """Kubernetes waits longer before it kills than the service takes to drain."""
    objects = render(values)
    for room, settings in SETTINGS.items():
        data = next(o["data"] for o in objects if o["kind"] == "ConfigMap" and _is(o, {"component": room}))
        read = settings.from_env(data)  # type: ignore[attr-defined]
        pod = next(o for o in objects if o["kind"] == "Deployment" and _is(o, {"component": room}))
        assert pod["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > read.drain_s + read.grace_s


def test_a_changed_setting_rolls_the_pods(render: Any) -> None:
    """The annotation of the pods changes with the configuration, and only then."""

    def checksum(values: dict[str, Any]) -> str:
        pod = next(
            o
            for o in render(values)
            if o["metadata"]["name"] == "demo-vitrine-gateway" and o["kind"] == "Deployment"
        )
        return str(pod["spec"]["template"]["metadata"]["annotations"]["checksum/config"])

    changed = LEAST | {"gateway": {"settings": {"rewrite_budget_ms": 81}}}
    assert checksum(LEAST) == checksum(LEAST) != checksum(changed)


def test_the_urls_of_the_stores_come_from_secrets(render: Any) -> None:
    """The gateway reads them from files of their Secrets, and its policy lets it reach the ports; by default none."""

    def gateway_objects(values: dict[str, Any]) -> tuple[list[str], list[Any]]:
        found = {o["kind"]: o for o in render(values) if _is(o, {"component": "gateway"})}
        ports = [rule["ports"][0]["port"] for rule in found["NetworkPolicy"]["spec"]["egress"]]
        settings = found["ConfigMap"]["data"]
        names = ("SESSIONS", "EVENTS", "CAMPAIGNS")
        return [settings.get(f"GATEWAY_{name}_FILE", "") for name in names], ports

    files, ports = gateway_objects(EVERYTHING)
    assert files == [f"/etc/vitrine/{name}/url" for name in ("sessions", "events", "campaigns")]
    assert {6380, 6381, 6382} <= set(ports)
    files, ports = gateway_objects(LEAST)
    assert files == ["", "", ""]
    assert 6379 not in ports


def test_nobody_but_the_gateway_reaches_the_engines(render: Any) -> None:
    """Triton, the rewriter and the speech service let in the gateway on their port and scrapers on the other; Milvus the gateway alone."""
    scraper = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}},
        "podSelector": {"matchLabels": {"app.kubernetes.io/name": "prometheus"}},
    }
    caller = {
        "podSelector": {
            "matchLabels": {
                "app.kubernetes.io/name": "vitrine",
                "app.kubernetes.io/instance": "demo",
                "app.kubernetes.io/component": "gateway",
            }
        }
    }
    policies = {o["metadata"]["name"]: o["spec"] for o in render(EVERYTHING) if o["kind"] == "NetworkPolicy"}
    asking = {"ports": [{"port": "grpc"}], "from": [caller]}
    scraping = {"ports": [{"port": "metrics"}], "from": [scraper]}
    for component in ("triton", "triton-next", "rewriter", "speech"):
        assert policies[f"demo-vitrine-{component}"]["ingress"] == [asking, scraping]
    assert policies["demo-vitrine-milvus"]["ingress"] == [asking]
    assert policies["demo-vitrine-milvus"]["egress"] == []


def test_two_releases_share_no_name(render: Any) -> None:
    """Names come from the release, or from what overrides it, whatever their length."""
    names = [found["metadata"]["name"] for found in render(EVERYTHING | {"fullnameOverride": "a" * 40})]
    assert all(name.startswith("a" * 40 + "-") and len(name) <= 63 for name in names)


def _is(found: dict[str, Any], wanted: dict[str, str]) -> bool:
    component = found["metadata"]["labels"]["app.kubernetes.io/component"]
    return {"kind": found["kind"], "component": component}.items() >= wanted.items()
