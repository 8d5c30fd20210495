"""Renders the chart with the real Helm SDK, and holds what comes out against Kubernetes' schemas and rules of our own.

The schemas do not see what only fits together: selectors, ports, mounts, quantities. Each rule says in words what is
wrong with an object, so that an empty list means that none was broken.
"""

import base64
import functools
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import helm_python
import kubernetes_validate
import pytest
import yaml
from helm_python import _native
from kubernetes_validate import utils as schemas

CHART = Path(__file__).parents[3] / "helm/vitrine"
KUBE_VERSIONS = ("1.29", "1.34", "1.37")

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast where the wheel has it

Object = dict[str, Any]
Render = Callable[..., list[Object]]
Problems = Callable[[Sequence[Object]], list[str]]

CUSTOM = {"monitoring.coreos.com", "keda.sh", "gateway.networking.k8s.io", "cert-manager.io"}
"""Groups of custom resources, of which Kubernetes has no schema."""
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_LABEL = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)(m|k|M|G|T|Ki|Mi|Gi|Ti)?")
_UNITS = {"m": Decimal("0.001")} | {
    f"{letter}{suffix}": Decimal(base) ** power
    for suffix, base in (("", 1000), ("i", 1024))
    for power, letter in enumerate("kMGT" if not suffix else "KMGT", start=1)
}
_ENUMS = {
    "restartPolicy": {"Always", "OnFailure", "Never"},
    "imagePullPolicy": {"Always", "IfNotPresent", "Never"},
    "protocol": {"TCP", "UDP", "SCTP"},
    "sessionAffinity": {"None", "ClientIP"},
    "whenUnsatisfiable": {"ScheduleAnyway", "DoNotSchedule"},
    "medium": {"Memory", ""},
}


@pytest.fixture(scope="session")
def render() -> Iterator[Render]:
    """Give a function of values that renders the chart as Helm would install it and gives its objects."""
    with helm_python.Chart.load(str(CHART)) as chart:

        def rendered(
            values: Mapping[str, Any], *, kube_version: str = "1.34", api_versions: Sequence[str] = ()
        ) -> list[Object]:
            options: Object = {"name": "demo", "namespace": "prod", "kube_version": f"v{kube_version}.0"}
            options["api_versions"] = list(api_versions)
            call = (chart._raw(), json.dumps(values), json.dumps(options))
            files: dict[str, str] = json.loads(_native.call_string("helm_render", *call))
            texts = (text for name, text in files.items() if name.endswith(".yaml"))
            return [found for text in texts for found in yaml.load_all(text, _LOADER) if found]

        yield rendered


@pytest.fixture(scope="session")
def problems() -> Iterator[Problems]:
    """Give the function that says what is wrong with rendered objects."""
    with pytest.MonkeyPatch.context() as patch:
        # It reads megabytes of schemas anew for every object otherwise.
        patch.setattr(schemas, "schema_contents", functools.cache(schemas.schema_contents))
        patch.setattr(schemas, "all_versions", functools.cache(schemas.all_versions))
        yield lambda objects: [*_each(objects), *_together(objects)]


def _each(objects: Sequence[Object]) -> Iterator[str]:
    for found in objects:
        name = f"{found['kind']}/{found['metadata']['name']}"
        for version in KUBE_VERSIONS if found["apiVersion"].partition("/")[0] not in CUSTOM else ():
            if complaint := schema_complaint(json.dumps(found), version):
                yield f"{name}: not of Kubernetes {version}: {complaint}"
        rules = (_naming, _enums, _quantities, _workload, _disruption, _scaling, _secret)
        yield from (f"{name}: {problem}" for rule in rules for problem in rule(found))


@functools.cache
def schema_complaint(found: str, version: str) -> str:
    """Say what the strict schema of the version refuses in the object; empty for nothing."""
    try:
        kubernetes_validate.validate(json.loads(found), version, strict=True)
    except kubernetes_validate.ValidationError as error:
        return str(error.message)
    return ""


def _together(objects: Sequence[Object]) -> Iterator[str]:
    names = [(found["kind"], found["metadata"]["name"]) for found in objects]
    yield from (f"{name}: twice" for name in set(names) if names.count(name) > 1)
    pods = [pod_of(found) for found in objects if pod_of(found)]
    for found in objects:
        rules = (_selects, _ports_exist, _references)
        yield from (
            f"{found['kind']}/{found['metadata']['name']}: {p}"
            for rule in rules
            for p in rule(found, objects, pods)
        )


def pod_of(found: Object) -> Object:
    """Give the pod template of a workload, or the Pod itself; empty for what is none."""
    if found["kind"] == "Pod":
        return found
    template: Object = found.get("spec", {}).get("template", {})
    return template


def _naming(found: Object) -> Iterator[str]:
    metadata = found["metadata"]
    if not _NAME.fullmatch(metadata["name"]):
        yield f"name {metadata['name']!r} is no DNS label"
    labels = metadata.get("labels", {}) | pod_of(found).get("metadata", {}).get("labels", {})
    yield from (f"label {key}={value!r}" for key, value in labels.items() if not _LABEL.fullmatch(str(value)))


def _enums(found: Any) -> Iterator[str]:
    if isinstance(found, dict):
        for key, value in found.items():
            if key in _ENUMS and isinstance(value, str) and value not in _ENUMS[key]:
                yield f"{key}: {value!r}"
            yield from _enums(value)
    elif isinstance(found, list):
        for value in found:
            yield from _enums(value)


def quantity(text: object) -> Decimal | None:
    """Read a quantity such as 500m or 2Gi; None where it is none."""
    match = _QUANTITY.fullmatch(str(text))
    return Decimal(match[1]) * _UNITS.get(match[2], Decimal(1)) if match else None


def _quantities(found: Object) -> Iterator[str]:
    for container in containers_of(found):
        resources = container.get("resources", {})
        read = {
            part: {k: quantity(v) for k, v in resources.get(part, {}).items()}
            for part in ("requests", "limits")
        }
        yield from (f"{part} {k}" for part, named in read.items() for k, v in named.items() if v is None)
        if "memory" not in read["limits"] or not {"cpu", "memory"} <= read["requests"].keys():
            yield f"container {container['name']} lacks a request or the limit of memory"
        for k, limit in read["limits"].items():
            if limit is not None and (read["requests"].get(k) or 0) > limit:
                yield f"{k}: request above limit"


def containers_of(found: Object) -> list[Object]:
    """Give the containers of a workload."""
    spec = pod_of(found).get("spec", {})
    return [*spec.get("initContainers", []), *spec.get("containers", [])]


def _workload(found: Object) -> Iterator[str]:
    if not (spec := pod_of(found).get("spec")):
        return
    security = spec.get("securityContext", {})
    if (
        not security.get("runAsNonRoot")
        or not security.get("runAsUser")
        or not security.get("seccompProfile")
    ):
        yield "pod may run as root or without seccomp"
    if spec.get("automountServiceAccountToken") is not False or spec.get("enableServiceLinks") is not False:
        yield "pod gets a token or service variables that it does not need"
    if any(spec.get(name) for name in ("hostNetwork", "hostPID", "hostIPC")):
        yield "pod shares the host's namespaces"
    volumes = {volume["name"] for volume in spec.get("volumes", [])}
    volumes |= {claim["metadata"]["name"] for claim in found["spec"].get("volumeClaimTemplates", [])}
    mounts = {
        mount["name"] for container in containers_of(found) for mount in container.get("volumeMounts", [])
    }
    yield from (f"volume {name} is mounted or declared, not both" for name in volumes ^ mounts)
    ports = [port["name"] for container in containers_of(found) for port in container.get("ports", [])]
    yield from (f"port name {name}" for name in ports if len(name) > 15 or ports.count(name) > 1)
    for container in containers_of(found):
        served = found["kind"] not in {"Job", "Pod"} and container in spec["containers"]
        yield from _container(container, served=served)


def _container(container: Object, *, served: bool) -> Iterator[str]:
    security = container.get("securityContext", {})
    confined = security.get("readOnlyRootFilesystem") and security.get("allowPrivilegeEscalation") is False
    if not confined or security.get("capabilities", {}).get("drop") != ["ALL"] or security.get("privileged"):
        yield f"container {container['name']} is not confined"
    if served and not {"readinessProbe", "livenessProbe"} <= container.keys():
        yield f"container {container['name']} lacks a probe"
    ports = {port["name"]: port["containerPort"] for port in container.get("ports", [])}
    for probe in (container.get(f"{kind}Probe", {}) for kind in ("startup", "readiness", "liveness")):
        for action in ("grpc", "tcpSocket", "httpGet"):
            port = probe.get(action, {}).get("port")
            if port is not None and port not in (ports if isinstance(port, str) else ports.values()):
                yield f"a probe asks port {port}"
    if container["image"].rpartition(":")[2] in {"latest", container["image"]}:
        yield f"image {container['image']} is not pinned"


def _disruption(found: Object) -> Iterator[str]:
    if (
        found["kind"] == "PodDisruptionBudget"
        and len(found["spec"].keys() & {"minAvailable", "maxUnavailable"}) != 1
    ):
        yield "exactly one of minAvailable and maxUnavailable"


def _scaling(found: Object) -> Iterator[str]:
    if (
        found["kind"] == "HorizontalPodAutoscaler"
        and found["spec"]["minReplicas"] > found["spec"]["maxReplicas"]
    ):
        yield "minReplicas above maxReplicas"


def _secret(found: Object) -> Iterator[str]:
    for key, value in found.get("data", {}).items() if found["kind"] == "Secret" else ():
        try:
            base64.b64decode(value, validate=True)
        except ValueError:
            yield f"data {key} is not base64"


def _matches(selector: Object, pods: Sequence[Object]) -> list[Object]:
    """Give the pods that a selector means."""
    wanted = selector.get("matchLabels", selector).items()
    return [pod for pod in pods if wanted <= pod["metadata"]["labels"].items()]


def _selects(found: Object, _: Sequence[Object], pods: Sequence[Object]) -> Iterator[str]:
    """Say which selectors mean no pod, or a workload that does not select its own."""
    spec = found.get("spec", {})
    for key in ("selector", "podSelector"):
        if key in spec and not _matches(spec[key], pods):
            yield f"{key} means no pod"
    if found["kind"] in {"Deployment", "StatefulSet"} and not _matches(spec["selector"], [spec["template"]]):
        yield "the selector does not mean its own pods"
    rules = [*spec.get("ingress", []), *spec.get("egress", [])] if found["kind"] == "NetworkPolicy" else []
    peers = [peer for rule in rules for peer in (*rule.get("from", []), *rule.get("to", []))]
    for peer in peers:
        if (
            peer.get("podSelector")
            and "namespaceSelector" not in peer
            and not _matches(peer["podSelector"], pods)
        ):
            yield "a peer means no pod"


def _ports_exist(found: Object, _: Sequence[Object], pods: Sequence[Object]) -> Iterator[str]:
    """Say which named ports the selected pods do not have."""
    spec = found.get("spec", {})
    selector = spec.get("selector", spec.get("podSelector", {}))
    chosen = _matches(selector, pods)
    known = {port["name"] for pod in chosen for c in pod["spec"]["containers"] for port in c.get("ports", [])}
    named: list[object] = []
    if found["kind"] == "Service":
        named = [port.get("targetPort") for port in spec["ports"]]
    elif found["kind"] == "NetworkPolicy":
        named = [port["port"] for rule in spec.get("ingress", []) for port in rule.get("ports", [])]
    elif found["kind"] == "PodMonitor":
        named = [endpoint["port"] for endpoint in spec["podMetricsEndpoints"]]
    yield from (f"port {name} is no port of its pods" for name in named if name not in known)


def _references(found: Object, objects: Sequence[Object], _: Sequence[Object]) -> Iterator[str]:
    """Say which objects of the release are named and not there."""
    there = {(other["kind"], other["metadata"]["name"]) for other in objects}
    spec = found.get("spec", {})
    pod = pod_of(found).get("spec", {})
    named = [("ServiceAccount", pod["serviceAccountName"])] if "serviceAccountName" in pod else []
    for container in pod.get("containers", []):
        named += [("ConfigMap", source["configMapRef"]["name"]) for source in container.get("envFrom", [])]
    named += [
        ("ConfigMap", volume["configMap"]["name"])
        for volume in pod.get("volumes", [])
        if "configMap" in volume
    ]
    if "scaleTargetRef" in spec:
        target = spec["scaleTargetRef"]
        named.append((target.get("kind", "Deployment"), target["name"]))
        scaled = [other for other in objects if (other["kind"], other["metadata"]["name"]) == named[-1]]
        yield from (
            "replicas are set beside the autoscaler" for other in scaled if "replicas" in other["spec"]
        )
    yield from (f"{kind}/{name} is not there" for kind, name in named if (kind, name) not in there)
