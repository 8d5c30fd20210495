"""A Kubernetes API that is just large enough for Helm's lifecycle: discovery, and objects by name; nothing runs on it."""

import copy
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import yaml

KINDS: Mapping[str, tuple[str, ...]] = {
    "v1": ("ConfigMap", "Pod", "Service", "ServiceAccount"),
    "apps/v1": ("Deployment", "StatefulSet"),
    "autoscaling/v2": ("HorizontalPodAutoscaler",),
    "batch/v1": ("CronJob", "Job"),
    "cert-manager.io/v1": ("Certificate",),
    "gateway.networking.k8s.io/v1": ("GRPCRoute",),
    "keda.sh/v1alpha1": ("ScaledObject",),
    "monitoring.coreos.com/v1": ("PodMonitor", "PrometheusRule"),
    "networking.k8s.io/v1": ("Ingress", "NetworkPolicy"),
    "policy/v1": ("PodDisruptionBudget",),
}
_VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]
_OPENAPI = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
_PATH = re.compile(r"/apis?/(v1|[^/]+/[^/]+)(?:/namespaces/([^/]+))?(?:/([^/]+))?(?:/([^/]+))?")

Key = tuple[str, str]
"""Kind and name."""


def plural(kind: str) -> str:
    """Return the name of a kind's objects in a path."""
    lower = kind.lower()
    return f"{lower[:-1]}ies" if lower.endswith("y") else f"{lower}s"


class FakeApi(ThreadingHTTPServer):
    """Holds the objects of one namespace."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.objects: dict[Key, dict[str, Any]] = {}
        self.guard = threading.Lock()
        self.refused: set[Key] = set()
        """What is answered 422 when it is written, as a field that cannot change."""

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def fake_api() -> Iterator[FakeApi]:
    """Serve one until the block is left."""
    with FakeApi() as api:
        thread = threading.Thread(target=api.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield api
        finally:
            api.shutdown()
            thread.join()


def _discovery(path: str) -> dict[str, Any] | None:
    if path == "/version":
        return {"major": "1", "minor": "34", "gitVersion": "v1.34.0"}
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"]}
    if path == "/apis":
        groups = [
            {"name": version.partition("/")[0], "versions": [known], "preferredVersion": known}
            for version in KINDS
            if "/" in version
            for known in [{"groupVersion": version, "version": version.partition("/")[2]}]
        ]
        return {"kind": "APIGroupList", "groups": groups}
    version = re.sub("^/apis?/", "", path)
    if version not in KINDS:
        return None
    resources = [
        {"name": plural(kind), "kind": kind, "namespaced": True, "verbs": _VERBS} for kind in KINDS[version]
    ]
    return {"kind": "APIResourceList", "groupVersion": version, "resources": resources}


def merged(old: Any, new: Any) -> Any:
    """Return old with what new says; None removes."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return new
    both = {key: merged(old.get(key), value) for key, value in new.items() if value is not None}
    return {key: value for key, value in old.items() if key not in new} | both


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeApi

    def _serve(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.partition("?")[0]
        if path == "/openapi/v2":  # an empty document: nothing is checked against it
            self._answer(200, b"", _OPENAPI)
        elif (found := _discovery(path)) is not None:
            self._answer(200, json.dumps(found).encode())
        else:
            with self.server.guard:
                code, body = self._object(path, yaml.safe_load(raw) if raw else {})
            self._answer(code, json.dumps(body).encode())

    def _object(self, path: str, sent: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        match = _PATH.fullmatch(path)
        kinds = {plural(kind): kind for kind in KINDS.get(match[1], ())} if match else {}
        if match is None or match[3] not in kinds:
            return _status(404, "NotFound")
        kind, objects = kinds[match[3]], self.server.objects
        key = (kind, match[4] or sent.get("metadata", {}).get("name", ""))
        if self.command == "GET" and not match[4]:
            items = [held for (of, _), held in objects.items() if of == kind]
            return 200, {"kind": f"{kind}List", "apiVersion": match[1], "metadata": {}, "items": items}
        if key not in objects and not self._applies and self.command != "POST":
            return _status(404, "NotFound")
        if self.command == "GET":
            return 200, objects[key]
        if self.command == "DELETE":
            del objects[key]
            return 200, {"kind": "Status", "status": "Success"}
        return self._written(key, {"apiVersion": match[1], "kind": kind} | sent, match[2])

    @property
    def _applies(self) -> bool:
        return "apply-patch" in (self.headers.get("Content-Type") or "")

    def _written(self, key: Key, sent: dict[str, Any], namespace: str) -> tuple[int, dict[str, Any]]:
        if key in self.server.refused:
            return _status(422, "Invalid")
        # Whoever applies gives up what is not in it any more; there is no other manager here.
        patched = self.command == "PATCH" and not self._applies
        stored = copy.deepcopy(merged(self.server.objects[key], sent) if patched else sent)
        stored["metadata"] |= {"namespace": namespace, "uid": "-".join(key), "resourceVersion": "1"}
        if "dryRun" not in self.path:
            self.server.objects[key] = stored
        return 200, stored

    def _answer(self, code: int, body: bytes, kind: str = "application/json") -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 - http.server's names


def _status(code: int, reason: str) -> tuple[int, dict[str, Any]]:
    return code, {"kind": "Status", "status": "Failure", "reason": reason, "message": reason, "code": code}
