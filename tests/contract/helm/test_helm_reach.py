"""Who reaches whom: the network policies are evaluated as Kubernetes does, between every two, and held against a table."""

import ipaddress
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from .conftest import pod_of
from .test_helm_safety import ACCESS

RELEASE = "prod"
VALUES: dict[str, Any] = {
    **ACCESS,
    "milvus": {"enabled": True},
    "speech": {"enabled": True},
    "triton": {"next": {"enabled": True}},
    "index": {"enabled": True, "catalogue": {"existingClaim": "c"}, "tokenSecret": {"name": "t"}},
    "gateway": {"sessions": {"urlSecret": {"name": "redis"}}},
    "traces": {"endpoint": "http://collector.monitoring.svc:4318/v1/traces"},
    "networkPolicy": {
        "clients": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}}}],
        "writers": [
            {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}},
                "podSelector": {"matchLabels": {"app": "feed"}},
            }
        ],
        "egress": {"redis": [{"ipBlock": {"cidr": "203.0.113.7/32"}}]},
    },
}


@dataclass(frozen=True)
class Place:
    """A pod, or with an address something else that calls or is called."""

    name: str
    namespace: str = ""
    labels: frozenset[tuple[str, str]] = frozenset()
    address: str = "10.244.0.1"
    ports: tuple[tuple[str, int], ...] = ()


def pod(name: str, namespace: str, ports: tuple[tuple[str, int], ...] = (), **labels: str) -> Place:
    """Return a pod that is not the release's."""
    return Place(name, namespace, frozenset(labels.items()), ports=ports)


STRANGERS = [
    pod("shop", "shop", app="web"),
    pod("feed", "shop", app="feed"),
    pod("neighbour", RELEASE, app="other"),
    Place("prometheus", "monitoring", frozenset({("app.kubernetes.io/name", "prometheus")})),
    pod("collector", "monitoring", (("otlp", 4318),), app="collector"),
    pod("dns", "kube-system", (("dns", 53),), app="dns"),
    Place("node dns", address="169.254.20.10", ports=(("dns", 53),)),
    Place("redis", address="203.0.113.7", ports=(("redis", 6379),)),
    Place("internet", address="198.51.100.1", ports=(("https", 443), ("dns", 53))),
]


def release_pods(objects: Sequence[dict[str, Any]]) -> Iterator[Place]:
    """Return a pod of each workload of the release."""
    for found in objects:
        template = pod_of(found)
        if template and found["kind"] != "CronJob":
            labels = template["metadata"]["labels"]
            ports = tuple(
                (port["name"], port["containerPort"])
                for container in template["spec"]["containers"]
                for port in container.get("ports", [])
            )
            name = labels["app.kubernetes.io/component"]
            yield Place(name, RELEASE, frozenset((str(k), str(v)) for k, v in labels.items()), ports=ports)


def selected(selector: dict[str, Any], labels: frozenset[tuple[str, str]]) -> bool:
    """Whether a selector, which here matches labels alone, means these labels."""
    assert selector.keys() <= {"matchLabels"}
    return set(selector.get("matchLabels", {}).items()) <= labels


def is_peer(peer: dict[str, Any], place: Place) -> bool:
    """Whether a peer of a rule means the place."""
    if "ipBlock" in peer:
        return ipaddress.ip_address(place.address) in ipaddress.ip_network(peer["ipBlock"]["cidr"])
    if not place.namespace:
        return False
    space = frozenset({("kubernetes.io/metadata.name", place.namespace)})
    there = (
        selected(peer["namespaceSelector"], space)
        if "namespaceSelector" in peer
        else place.namespace == RELEASE
    )
    return there and selected(peer.get("podSelector", {}), place.labels)


def lets(rules: Sequence[dict[str, Any]], side: str, place: Place, port: tuple[str, int]) -> bool:
    """Whether a rule lets the place through on the port."""
    return any(
        ("ports" not in rule or any(each["port"] in port for each in rule["ports"]))
        and (not rule.get(side) or any(is_peer(peer, place) for peer in rule[side]))
        for rule in rules
    )


def reached(policies: Sequence[dict[str, Any]], caller: Place, called: Place, port: tuple[str, int]) -> bool:
    """Whether the caller reaches the port: a place that no policy selects is open on that side."""
    for place, other, kind, side in ((caller, called, "egress", "to"), (called, caller, "ingress", "from")):
        specs = [
            spec
            for spec in policies
            if place.namespace == RELEASE
            and selected(spec["podSelector"], place.labels)
            and kind.capitalize() in spec["policyTypes"]
        ]
        if specs and not any(lets(spec.get(kind, []), side, other, port) for spec in specs):
            return False
    return True


def arrows(objects: Sequence[dict[str, Any]]) -> set[tuple[str, str, str]]:
    """Return every (caller, called, port) that the policies allow and that begins or ends at a pod of the release."""
    policies = [each["spec"] for each in objects if each["kind"] == "NetworkPolicy"]
    own = list(release_pods(objects))
    return {
        (caller.name, called.name, port[0])
        for caller, called in itertools.product([*own, *STRANGERS], repeat=2)
        if caller is not called and (caller in own or called in own)
        for port in called.ports
        if reached(policies, caller, called, port)
    }


def many(caller: str, called: str, port: str) -> set[tuple[str, str, str]]:
    """Return the arrows from some to some, parted by spaces."""
    return {(a, b, port) for a in caller.split() for b in called.split()}


TABLE = (
    many("shop feed", "gateway", "grpc")
    | many("index feed", "gateway", "catalogue")
    | many("gateway", "triton triton-next rewriter speech milvus", "grpc")
    # Not Milvus's, which takes commands too.
    | many("prometheus", "gateway triton triton-next rewriter speech", "metrics")
    | many("gateway rewriter speech triton triton-next", "collector", "otlp")
    | many("gateway rewriter speech triton triton-next index", "dns", "dns")
    | {
        (name, "node dns", "dns")
        for name in ("gateway", "rewriter", "speech", "triton", "triton-next", "index")
    }
    | {("gateway", "redis", "redis")}
)
"""The arrows of docs/architecture.md's picture, with those who watch, and no others."""


def test_the_policies_allow_the_arrows_of_the_picture_and_no_others(render: Any) -> None:
    """Searches, the catalogue, metrics, spans, names: each caller at its own port; health is the kubelet's alone."""
    assert arrows(render(VALUES)) == TABLE


def test_without_named_clients_whoever_is_there_may_search_and_no_more(render: Any) -> None:
    """The port of searches is open then; the catalogue, metrics and the engines stay as they are."""
    policy = VALUES["networkPolicy"] | {"clients": []}
    more = arrows(render(VALUES | {"networkPolicy": policy})) - TABLE
    assert {(called, port) for _, called, port in more} == {("gateway", "grpc")}
    # Pods of the release have no egress to it, whatever it lets in.
    assert {caller for caller, _, _ in more} == {
        "neighbour", "prometheus", "collector", "dns", "node dns", "redis", "internet",
    }  # fmt: skip


def test_rules_of_the_operators_own_add_up(render: Any) -> None:
    """An extra rule opens what it says, and closes nothing."""
    policy = VALUES["networkPolicy"] | {
        "extraEgress": {"index": [{"to": [{"ipBlock": {"cidr": "198.51.100.0/24"}}], "ports": [{"port": 443}]}]},
        "extraIngress": {"triton": [{"from": [{"podSelector": {"matchLabels": {"app": "other"}}}], "ports": [{"port": "grpc"}]}]},
    }  # fmt: skip
    added = {("index", "internet", "https"), *many("neighbour", "triton triton-next", "grpc")}
    assert arrows(render(VALUES | {"networkPolicy": policy})) == TABLE | added


@pytest.mark.parametrize(
    ("policy", "gone"),
    [("triton", ("neighbour", "triton", "grpc")), ("milvus", ("neighbour", "milvus", "metrics")),
     ("gateway", ("neighbour", "gateway", "catalogue")), ("index", ("index", "internet", "https"))],
)  # fmt: skip
def test_the_evaluation_sees_a_policy_that_is_missing(
    render: Any, policy: str, gone: tuple[str, str, str]
) -> None:
    """Without a component's policy something is open that must not be."""
    objects = [
        each
        for each in render(VALUES)
        if (each["kind"], each["metadata"]["name"]) != ("NetworkPolicy", f"demo-vitrine-{policy}")
    ]
    assert gone in arrows(objects) - TABLE
