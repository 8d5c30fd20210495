"""What the chart does for a release that others call: values that do not go together, who reaches whom, roll-outs, pins."""

import itertools
import json
import re
from pathlib import Path
from typing import Any

import helm_python
import pytest
import yaml

CHART = Path(__file__).parents[3] / "helm/vitrine"
PROBE = Path(__file__).parents[3] / "docker/triton_probe.py"
ACCESS = {"access": {"callers": {"name": "callers"}, "tls": {"secret": "gateway-tls"}}}
# With speech, which is off by default: what holds of a component holds of it too.
LEAST: dict[str, Any] = {
    "milvus": {"uri": "http://milvus.search.svc:19530"},
    "speech": {"enabled": True},
    **ACCESS,
}
OUTSIDE: dict[str, Any] = {
    **ACCESS,
    "milvus": {"uri": "https://milvus.example.com:443"},
    "traces": {"endpoint": "http://collector.monitoring.svc.cluster.local:4318/v1/traces", "share": 1},
    "gateway": {"sessions": {"urlSecret": {"name": "redis"}}},
    "rewriter": {"engine": "openai", "openai": {"url": "https://api.example.com/v1", "model": "m"}},
    "speech": {"enabled": True},
    "index": {
        "enabled": True,
        "catalogue": {"existingClaim": "catalogue"},
        "tokenSecret": {"name": "index-token"},
    },
    "networkPolicy": {
        "egress": {name: [{"ipBlock": {"cidr": "203.0.113.0/28"}}] for name in ("milvus", "redis", "openai")}
    },
}
COMPONENTS = ("gateway", "rewriter", "speech", "triton")
HEADLESS = {"triton": "GATEWAY_TRITON", "rewriter": "GATEWAY_REWRITER", "speech": "GATEWAY_SPEECH"}


def named(objects: Any, kind: str, component: str) -> Any:
    """Return the one object of a kind that a component has."""
    (found,) = [
        each
        for each in objects
        if each["kind"] == kind and each["metadata"]["name"] == f"demo-vitrine-{component}"
    ]
    return found


def container(objects: Any, component: str) -> Any:
    """Return the container of a component's deployment."""
    return named(objects, "Deployment", component)["spec"]["template"]["spec"]["containers"][0]


def egress(objects: Any, component: str) -> dict[Any, Any]:
    """Return the peers of a component's egress rules by their port."""
    rules = named(objects, "NetworkPolicy", component)["spec"]["egress"]
    return {rule["ports"][0]["port"]: rule.get("to") for rule in rules}


def scaled(component: str, **changes: int) -> dict[str, Any]:
    """Return values that scale a component."""
    return LEAST | {component: {**LEAST.get(component, {}), "autoscaling": {"enabled": True, **changes}}}


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        *((scaled(name, minReplicas=5, maxReplicas=2), f"{name}.autoscaling: minReplicas 5 is above maxReplicas 2")
          for name in COMPONENTS),
        *((LEAST | {name: {"autoscaling": {"enabled": True}, "resources": {"requests": {"cpu": None}}}},
           f"{name}.resources.requests.cpu is needed") for name in COMPONENTS),
        *((LEAST | {name: {"pdb": {"maxUnavailable": value}}}, f"/{name}/pdb/maxUnavailable")
          for name in COMPONENTS for value in (0, "0%", "999%")),
        *((LEAST | {name: {"image": {"tag": "latest"}}}, f"/{name}/image/tag") for name in (*COMPONENTS, "index")),
        *((LEAST | {"gateway": {"image": {"repository": value}}}, "/gateway/image/repository")
          for value in ("vitrine/gateway:latest", "vitrine/gateway:1.0", "registry:5000/vitrine/gateway:1.0")),
        (LEAST | {"gateway": {"image": {"tag": "-x"}}}, "/gateway/image/tag"),
        *((LEAST | {"gateway": {"settings": {"max_session_bytes": size}, "resources": {"limits": {"memory": limit}}}},
           "gateway.settings may come to ")
          for size, limit in ((900_000_000, "1Gi"), (536_870_913, "1Gi"), (600_000_000, "1.0G"), (256_000_001, 512_000_000))),
        (LEAST | {"gateway": {"resources": {"limits": {"memory": "500M"}}}}, "gateway.settings may come to "),
        (LEAST | {"milvus": {"uri": "https://milvus.example.com:443"}}, "networkPolicy.egress.milvus is needed"),
        (LEAST | {"gateway": {"sessions": {"urlSecret": {"name": "redis"}}}}, "networkPolicy.egress.redis is needed"),
        (LEAST | {"rewriter": {"engine": "openai", "openai": {"url": "https://api.example.com/v1", "model": "m"}}},
         "networkPolicy.egress.openai is needed"),
        (LEAST | {"traces": {"endpoint": "https://otlp.example.com/v1/traces"}}, "networkPolicy.egress.traces is needed"),
        (LEAST | {"traces": {"endpoint": "collector:4317"}}, "/traces/endpoint"),
        (LEAST | {"traces": {"endpoint": "http://user:secret@collector:4318"}}, "/traces/endpoint"),
        (LEAST | {"traces": {"share": 1.5}}, "/traces/share"),
        (LEAST | {"networkPolicy": {"dns": {"peers": []}}}, "/networkPolicy/dns/peers"),
    ],
    ids=lambda value: json.dumps(value)[:90],
)  # fmt: skip
def test_values_that_would_fail_later_are_refused_now(
    render: Any, values: dict[str, Any], complaint: str
) -> None:
    """Each is right for Kubernetes and wrong for a release; Helm says which value it is and installs nothing."""
    with pytest.raises(helm_python.HelmError, match=re.escape(complaint)):
        render(values)


@pytest.mark.parametrize(
    "values",
    [
        *(scaled(name, minReplicas=2, maxReplicas=2) for name in COMPONENTS),
        LEAST | {"gateway": {"pdb": {"maxUnavailable": "100%"}, "image": {"repository": "registry:5000/a/b"}}},
        LEAST | {"gateway": {"settings": {"max_session_bytes": 260_000_000}}},
        LEAST | {"gateway": {"resources": {"limits": {"memory": "2Gi"}}, "settings": {"max_session_bytes": 900_000_000}}},
        OUTSIDE | {"gateway": OUTSIDE["gateway"] | {"settings": {"max_session_bytes": 900_000_000}}},
        OUTSIDE,
    ],
    ids=lambda value: json.dumps(value)[:90],
)  # fmt: skip
def test_values_at_the_limits_are_taken(render: Any, problems: Any, values: dict[str, Any]) -> None:
    """What goes together renders valid objects; with a Redis no session is in the pod's memory."""
    assert problems(render(values)) == []


@pytest.mark.parametrize("values", [LEAST, OUTSIDE], ids=["least", "outside"])
def test_no_way_out_is_open_to_everybody(render: Any, values: dict[str, Any]) -> None:
    """Every rule of egress names its peers, and no port is without one."""
    policies = [each for each in render(values) if each["kind"] == "NetworkPolicy"]
    assert len(policies) >= len(COMPONENTS)
    for policy in policies:
        assert "Egress" in policy["spec"]["policyTypes"]
        for rule in policy["spec"]["egress"]:
            assert rule["to"] and rule["ports"], policy["metadata"]["name"]  # noqa: PT018 - one rule
            assert {} not in rule["to"]


@pytest.mark.parametrize(
    ("uri", "peer"),
    [
        ("http://milvus.search.svc:19530", {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "search"}}}),
        ("http://a.milvus.search.svc.cluster.local:19530",
         {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "search"}}}),
        ("http://milvus:19530", {"podSelector": {}}),
        ("http://10.1.2.3:19530", {"ipBlock": {"cidr": "10.1.2.3/32"}}),
    ],
)  # fmt: skip
def test_the_peers_of_an_address_are_read_from_it(render: Any, uri: str, peer: dict[str, Any]) -> None:
    """A Service's namespace, the release's own one, or one address: nothing wider."""
    assert egress(render(LEAST | {"milvus": {"uri": uri}}), "gateway")[19530] == [peer]


def test_names_are_looked_up_in_the_cluster_and_on_the_node(render: Any) -> None:
    """By default kube-system and NodeLocal DNSCache answer; other clusters give their own peers and ports."""
    policy = named(render(LEAST), "NetworkPolicy", "gateway")["spec"]["egress"][0]
    assert {"ipBlock": {"cidr": "169.254.20.10/32"}} in policy["to"]
    assert {(port["protocol"], port["port"]) for port in policy["ports"]} == {("UDP", 53), ("TCP", 53)}
    openshift = {
        "ports": [5353],
        "peers": [{"namespaceSelector": {"matchLabels": {"name": "openshift-dns"}}}],
    }
    changed = named(render(LEAST | {"networkPolicy": {"dns": openshift}}), "NetworkPolicy", "gateway")
    assert changed["spec"]["egress"][0]["to"] == openshift["peers"]
    assert {port["port"] for port in changed["spec"]["egress"][0]["ports"]} == {5353}


def test_metrics_ports_are_prometheuss_alone(render: Any) -> None:
    """A namespace alone would let in all its pods, and no Service leads to that port; Milvus's takes commands and is nobody's."""
    objects = render(LEAST | {"milvus": {"enabled": True}})
    (only,) = named(objects, "NetworkPolicy", "milvus")["spec"]["ingress"]
    assert only["ports"] == [{"port": "grpc"}]
    for component in COMPONENTS:
        rules = named(objects, "NetworkPolicy", component)["spec"]["ingress"]
        (metrics,) = [rule for rule in rules if rule["ports"] == [{"port": "metrics"}]]
        assert all(peer.keys() == {"namespaceSelector", "podSelector"} for peer in metrics["from"])
    ports = {
        port["targetPort"] for each in objects if each["kind"] == "Service" for port in each["spec"]["ports"]
    }
    assert "metrics" not in ports


def test_milvus_is_no_release_with_known_holes() -> None:
    """The Milvus of the chart is 2.6.16 or later."""
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    version = re.fullmatch(r"v(\d+)\.(\d+)\.(\d+)", values["milvus"]["image"]["tag"])
    assert version is not None
    assert tuple(map(int, version.groups())) >= (2, 6, 16)


@pytest.mark.parametrize("component", HEADLESS)
def test_the_gateway_sees_every_pod_of_what_it_calls(render: Any, component: str) -> None:
    """A headless Service gives all addresses, so its port must be the pods' own, and the one that the gateway dials."""
    objects = render(LEAST)
    service = named(objects, "Service", component)["spec"]
    assert service["clusterIP"] == "None"
    (port,) = service["ports"]
    own = {each["name"]: each["containerPort"] for each in container(objects, component)["ports"]}
    assert port["port"] == own[port["targetPort"]]
    dialled = named(objects, "ConfigMap", "gateway")["data"][HEADLESS[component]]
    assert dialled.removeprefix("dns:///") == f"demo-vitrine-{component}:{port['port']}"


@pytest.mark.parametrize("drain", [0, 10, 60])
def test_triton_ends_after_its_callers_have_left(render: Any, drain: int) -> None:
    """It serves on for the drain, and is not killed before its own exit timeout is over."""
    objects = render(LEAST | {"triton": {"drainSeconds": drain}})
    triton = container(objects, "triton")
    assert triton["lifecycle"]["preStop"]["exec"]["command"] == ["sleep", str(drain)]
    (exit_timeout,) = [each.partition("=")[2] for each in triton["args"] if each.startswith("--exit-timeout")]
    grace = named(objects, "Deployment", "triton")["spec"]["template"]["spec"][
        "terminationGracePeriodSeconds"
    ]
    assert grace > drain + int(exit_timeout)


def test_triton_is_ready_and_alive_by_an_inference(render: Any) -> None:
    """Its own health lies when a Python model has died; the probe of the image infers, within the kubelet's patience."""
    triton = container(render(LEAST), "triton")
    commands = [triton[probe]["exec"]["command"] for probe in ("readinessProbe", "livenessProbe")]
    assert commands == [["python3", "/opt/vitrine/probe.py", "127.0.0.1:8001"]] * 2
    waits = re.findall(r"^(?:LIVE_)?TIMEOUT_S = ([\d.]+)", PROBE.read_text(encoding="utf-8"), re.MULTILINE)
    patience = min(triton[probe]["timeoutSeconds"] for probe in ("readinessProbe", "livenessProbe"))
    assert sum(map(float, waits)) + 2 < patience, "the interpreter's start comes on top"


def test_one_drain_leaves_a_service(render: Any) -> None:
    """By default there are two pods of each, spread over zones and nodes; what is not ready never blocks a drain."""
    objects = render(LEAST)
    for component, scaled_too in itertools.product(COMPONENTS, (False, True)):
        found = render(scaled(component)) if scaled_too else objects
        if scaled_too:
            assert named(found, "HorizontalPodAutoscaler", component)["spec"]["minReplicas"] >= 2
        else:
            assert named(found, "Deployment", component)["spec"]["replicas"] >= 2
        budget = named(found, "PodDisruptionBudget", component)["spec"]
        assert (budget["maxUnavailable"], budget["unhealthyPodEvictionPolicy"]) == (1, "AlwaysAllow")
        pod = named(found, "Deployment", component)["spec"]["template"]["spec"]
        assert [each["topologyKey"] for each in pod["topologySpreadConstraints"]] == [
            "topology.kubernetes.io/zone",
            "kubernetes.io/hostname",
        ]


def test_spans_go_where_the_values_say(render: Any) -> None:
    """Gateway, rewriter and Triton send to one endpoint and may reach it; without one nobody sends, nor may."""
    objects = render(OUTSIDE)
    endpoint = OUTSIDE["traces"]["endpoint"]
    collector = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]
    assert named(objects, "ConfigMap", "gateway")["data"]["GATEWAY_TRACES"] == endpoint
    assert named(objects, "ConfigMap", "rewriter")["data"]["REWRITER_TRACES"] == endpoint
    assert f"--trace-config=opentelemetry,url={endpoint}" in container(objects, "triton")["args"]
    assert "--trace-config=level=TIMESTAMPS" in container(objects, "triton")["args"]
    assert all(egress(objects, component)[4318] == collector for component in COMPONENTS)
    without = render(LEAST)
    assert not any("trace-config" in each for each in container(without, "triton")["args"])
    assert all(4318 not in egress(without, component) for component in COMPONENTS)
    assert named(without, "NetworkPolicy", "triton")["spec"]["egress"] == []
