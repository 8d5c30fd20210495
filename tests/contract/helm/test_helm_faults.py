"""Faults put into a good rendering: the rules that guard the chart must see every one of them."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

VALUES = {
    "access": {"callers": {"name": "callers"}, "tls": {"secret": "tls"}},
    "milvus": {"enabled": True},
    "index": {"enabled": True, "catalogue": {"existingClaim": "catalogue"}, "tokenSecret": {"name": "token"}},
    "podMonitor": {"enabled": True},
    "gateway": {"autoscaling": {"enabled": True}},
    "triton": {"autoscaling": {"enabled": True}},
    "test": {"enabled": True, "tokenSecret": {"name": "token"}},
}
SCALED = {"keda": {"enabled": True, "prometheus": "http://prometheus:9090"}}

Object = dict[str, Any]
Mutation = Callable[[Object], None]


def pod(found: Object) -> Object:
    """Give the pod's spec of a workload, or of a Pod."""
    spec: Object = found["spec"] if found["kind"] == "Pod" else found["spec"]["template"]["spec"]
    return spec


def container(found: Object) -> Object:
    """Give the only container of a workload."""
    only: Object = pod(found)["containers"][0]
    return only


FAULTS: dict[str, tuple[str, str, Mutation]] = {
    "a field with a typo": ("Deployment", "gateway", lambda o: container(o).update(imagePolicy="Always")),
    "a number as text": ("Deployment", "triton", lambda o: o["spec"].update(replicas="two")),
    "a field that is missing": ("Deployment", "gateway", lambda o: container(o).pop("name")),
    "an unknown policy": ("Job", "index", lambda o: pod(o).update(restartPolicy="Sometimes")),
    "a selector of other pods": ("Service", "gateway", lambda o: o["spec"]["selector"].update(tier="web")),
    "a selector that misses its own pods": (
        "Deployment", "gateway", lambda o: o["spec"]["selector"]["matchLabels"].update(tier="web"),
    ),
    "a policy of no pods": ("NetworkPolicy", "triton", lambda o: o["spec"]["podSelector"]["matchLabels"].update(a="b")),
    "a peer of no pods": (
        "NetworkPolicy", "triton",
        lambda o: o["spec"]["ingress"][0]["from"][0]["podSelector"]["matchLabels"].update(a="b"),
    ),
    "a policy's port of no pod": ("NetworkPolicy", "triton", lambda o: o["spec"]["ingress"][0]["ports"][0].update(port="grcp")),
    "a target port of no pod": ("Service", "triton", lambda o: o["spec"]["ports"][0].update(targetPort="http")),
    "a port's name too long": ("Deployment", "gateway", lambda o: container(o)["ports"][0].update(name="grpc-for-everyone")),
    "a port's name twice": ("Deployment", "gateway", lambda o: container(o)["ports"][1].update(name="grpc")),
    "a probe of another port": ("Deployment", "gateway", lambda o: container(o)["readinessProbe"]["grpc"].update(port=7799)),
    "no readiness probe": ("Deployment", "rewriter", lambda o: container(o).pop("readinessProbe")),
    "a quantity of no unit": ("Deployment", "gateway", lambda o: container(o)["resources"]["limits"].update(memory="1Gib")),
    "a request above its limit": (
        "Deployment", "gateway", lambda o: container(o)["resources"]["requests"].update(memory="9Gi"),
    ),
    "no limit of memory": ("Deployment", "gateway", lambda o: container(o)["resources"].pop("limits")),
    "a mount without a volume": ("Deployment", "triton", lambda o: pod(o)["volumes"].pop()),
    "a name of capitals": ("Service", "gateway", lambda o: o["metadata"].update(name="Gateway")),
    "a label too long": ("Deployment", "gateway", lambda o: o["metadata"]["labels"].update(a="x" * 64)),
    "more at least than at most": ("HorizontalPodAutoscaler", "gateway", lambda o: o["spec"].update(minReplicas=99)),
    "an autoscaler of nothing": (
        "HorizontalPodAutoscaler", "gateway", lambda o: o["spec"]["scaleTargetRef"].update(name="gatewy"),
    ),
    "replicas beside an autoscaler": ("Deployment", "gateway", lambda o: o["spec"].update(replicas=3)),
    "a budget with both bounds": ("PodDisruptionBudget", "gateway", lambda o: o["spec"].update(minAvailable=1)),
    "a secret in clear": (
        "ConfigMap", "gateway", lambda o: o.update(kind="Secret", data={"key": "not base64!"}),
    ),
    "an account that is not there": ("Deployment", "gateway", lambda o: pod(o).update(serviceAccountName="root")),
    "a configuration that is not there": (
        "Deployment", "gateway", lambda o: container(o)["envFrom"][0]["configMapRef"].update(name="other"),
    ),
    "a container that may become root": (
        "Deployment", "triton", lambda o: container(o)["securityContext"].update(allowPrivilegeEscalation=True),
    ),
    "a root file system to write to": (
        "StatefulSet", "milvus", lambda o: container(o)["securityContext"].pop("readOnlyRootFilesystem"),
    ),
    "capabilities that stay": ("Job", "index", lambda o: container(o)["securityContext"].pop("capabilities")),
    "a pod of root": ("Deployment", "rewriter", lambda o: pod(o)["securityContext"].update(runAsNonRoot=False)),
    "variables of services": ("Deployment", "gateway", lambda o: pod(o).pop("enableServiceLinks")),
    "an image of no version": ("Deployment", "gateway", lambda o: container(o).update(image="vitrine/gateway")),
    "a hook that may become root": ("Pod", "test", lambda o: container(o).pop("securityContext")),
    "a hook with a token of the cluster": ("Pod", "test", lambda o: o["spec"].pop("automountServiceAccountToken")),
    "a hook without its volume": ("Pod", "test", lambda o: pod(o)["volumes"].pop()),
    "a way in for nobody": (
        "NetworkPolicy", "test", lambda o: o["spec"]["podSelector"]["matchLabels"].update(a="b"),
    ),
    "a monitor of no port": (
        "PodMonitor", "gateway", lambda o: o["spec"]["podMetricsEndpoints"][0].update(port="stats"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_seen(render: Any, problems: Any, fault: str) -> None:
    """The rules reject a rendering with this one fault, and pass it without."""
    kind, component, mutate = FAULTS[fault]
    objects = copy.deepcopy(render(VALUES))
    faulty = next(
        found
        for found in objects
        if (found["kind"], found["metadata"]["labels"]["app.kubernetes.io/component"]) == (kind, component)
    )
    mutate(faulty)
    assert problems(objects) != []


def test_an_object_twice_is_seen(render: Any, problems: Any) -> None:
    """Two objects of one kind and name are one too many, and without the second nothing is wrong."""
    objects = render(VALUES)
    assert problems(objects) == []
    assert problems([*objects, objects[0]]) != []


@pytest.mark.parametrize("component", ["gateway", "triton"])
def test_a_scaled_object_of_nothing_or_beside_replicas_is_seen(
    render: Any, problems: Any, component: str
) -> None:
    """It must mean a Deployment that is there, and whose number nobody else sets."""
    objects = render(VALUES | SCALED)
    assert problems(objects) == []
    for kind, fault in (
        ("ScaledObject", {"scaleTargetRef": {"name": "other"}}),
        ("Deployment", {"replicas": 3}),
    ):
        faulty = copy.deepcopy(objects)
        name = f"demo-vitrine-{component}"
        (found,) = [each for each in faulty if (each["kind"], each["metadata"]["name"]) == (kind, name)]
        found["spec"].update(fault)
        assert problems(faulty) != []
