"""The chart where it looks at what runs: the pods behind an autoscaler, the volume of the Milvus inside."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import helm_python
import pytest
import yaml

CHART = Path(__file__).parents[3] / "helm/vitrine"
LEAST: dict[str, Any] = {
    "milvus": {"uri": "http://milvus.search.svc:19530"},
    "access": {"callers": {"name": "callers"}, "tls": {"secret": "gateway-tls"}},
}
KINDS = {
    "v1": ("ConfigMap", "Service", "ServiceAccount"),
    "apps/v1": ("Deployment", "StatefulSet"),
    "autoscaling/v2": ("HorizontalPodAutoscaler",),
    "networking.k8s.io/v1": ("NetworkPolicy",),
    "policy/v1": ("PodDisruptionBudget",),
}
OPENAPI = "/openapi/v2"


def discovery() -> dict[str, Any]:
    """Return what an API server says of itself, by path."""
    verbs = ["get", "list", "create", "patch", "delete"]
    lists = {
        version: {
            "kind": "APIResourceList",
            "groupVersion": version,
            "resources": [
                {"name": f"{kind.lower().removesuffix('y')}{'ie' * kind.endswith('y')}s", "kind": kind, "namespaced": True, "verbs": verbs}
                for kind in kinds
            ],
        }
        for version, kinds in KINDS.items()
    }  # fmt: skip
    groups = [
        {
            "name": version.partition("/")[0],
            "versions": [{"groupVersion": version, "version": version.partition("/")[2]}],
            "preferredVersion": {"groupVersion": version, "version": version.partition("/")[2]},
        }
        for version in KINDS
        if "/" in version
    ]
    return {
        "/version": {"major": "1", "minor": "34", "gitVersion": "v1.34.0"},
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/apis": {"kind": "APIGroupList", "groups": groups},
        **{f"/{'apis' if '/' in version else 'api'}/{version}": found for version, found in lists.items()},
    }


ANSWERS = discovery()


class Api(BaseHTTPRequestHandler):
    """What Helm asks of a cluster to look up what the release runs; everything else is not found."""

    protocol_version = "HTTP/1.1"
    live: dict[str, Any]

    def do_GET(self) -> None:
        """Answer by the path."""
        path = self.path.partition("?")[0]
        name = path.removeprefix("/apis/apps/v1/namespaces/prod/").partition("/")[2]
        found = ANSWERS.get(path) or self.live.get(name)
        missing = {"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404}
        kind = "application/json"
        body = json.dumps(found or missing).encode()
        if path == OPENAPI:  # an empty document: nothing is checked against it
            kind, body = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf", b""
        self.send_response(200 if found or path == OPENAPI else 404)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def api() -> Iterator[tuple[str, dict[str, Any]]]:
    """An API server's address, and the workloads that it has."""
    live: dict[str, Any] = {}
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Live", (Api,), {"live": live}))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", live
    server.shutdown()
    server.server_close()
    thread.join(timeout=5)


def deployment(component: str, replicas: int, owner: str) -> dict[str, Any]:
    """Return a Deployment as the API shows it, with the manager that set the number of its pods last."""
    fields = {"f:spec": {"f:replicas": {}}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": f"demo-vitrine-{component}",
            "namespace": "prod",
            "labels": {"app.kubernetes.io/managed-by": "Helm"},
            "annotations": {"meta.helm.sh/release-name": "demo", "meta.helm.sh/release-namespace": "prod"},
            "managedFields": [
                {"manager": "helm", "operation": "Apply", "fieldsV1": {"f:spec": {"f:template": {}}}},
                {"manager": owner, "operation": "Update", "fieldsV1": fields},
            ],
        },
        "spec": {"replicas": replicas},
    }


LIVE = {
    "gateway": deployment("gateway", 6, "helm"),
    "speech": deployment("speech", 6, "helm-controller"),
    "triton": deployment("triton", 1, "helm"),
    "rewriter": deployment("rewriter", 5, "kube-controller-manager"),
}


def rendered_replicas(api: str, values: dict[str, Any]) -> dict[str, int | None]:
    """Return the number of pods that the chart names for each component, asked on that cluster."""
    cluster: dict[str, Any] = {"kube_apiserver": api, "namespace": "prod", "storage_driver": "memory"}
    with helm_python.Config(**cluster, qps=1_000, burst_limit=1_000) as config:
        release = config.install(str(CHART), "demo", LEAST | values, dry_run="server")
    manifest = [each for each in yaml.safe_load_all(release["manifest"]) if each]
    return {
        each["metadata"]["name"].removeprefix("demo-vitrine-"): each["spec"].get("replicas")
        for each in manifest
        if each["kind"] == "Deployment"
    }


def test_switching_an_autoscaler_on_stops_no_pod(api: tuple[str, dict[str, Any]]) -> None:
    """The number stays what it is, at least the autoscaler's own, until that has set it; from then on the chart names none.

    Left out at once it would fall to Kubernetes' default, one pod, before the autoscaler raises it again.
    """
    address, live = api
    on = {"autoscaling": {"enabled": True, "minReplicas": 3}}
    values = {"gateway": on, "rewriter": on, "triton": on, "speech": on | {"enabled": True}}
    assert set(rendered_replicas(address, values).values()) == {None}, "nothing runs yet"
    live.update({f"demo-vitrine-{name}": found for name, found in LIVE.items()})
    assert rendered_replicas(address, values) == {"gateway": 6, "speech": 6, "triton": 3, "rewriter": None}


def milvus(size: str, storage_class: str | None = None) -> dict[str, Any]:
    """Return the StatefulSet of the Milvus inside, as the API shows it."""
    spec: dict[str, Any] = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}
    if storage_class is not None:
        spec["storageClassName"] = storage_class
    found = deployment("milvus", 1, "helm")
    return found | {"kind": "StatefulSet", "spec": {"replicas": 1, "volumeClaimTemplates": [{"spec": spec}]}}


@pytest.mark.parametrize(
    ("runs", "refused"),
    [
        (milvus("20Gi"), ""),
        (milvus("20480Mi"), ""),
        (None, ""),
        (milvus("10Gi"), "milvus.persistence.size is 20Gi, and the volume was made with 10Gi"),
        (milvus("20Gi", "fast"), 'storageClassName is "", and the volume was made with "fast"'),
    ],
    ids=["the same", "the same in other units", "none yet", "another size", "another class"],
)
def test_a_volume_that_cannot_change_is_refused_before_anything_is_applied(
    api: tuple[str, dict[str, Any]], runs: dict[str, Any] | None, refused: str
) -> None:
    """The size in other units is no change."""
    address, live = api
    live.clear()
    if runs is not None:
        live["demo-vitrine-milvus"] = runs
    values = {"milvus": {"enabled": True, "uri": "", "persistence": {"size": "20Gi"}}}
    if not refused:
        rendered_replicas(address, values)
        return
    with pytest.raises(helm_python.HelmError, match=refused):
        rendered_replicas(address, values)
