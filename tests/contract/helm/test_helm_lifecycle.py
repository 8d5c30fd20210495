"""A release's life by Helm itself, on an API that keeps objects: install, upgrade, rollback, uninstall."""

import copy
from collections.abc import Iterator
from typing import Any

import helm_python
import pytest

from .conftest import CHART
from .fake_api import FakeApi, fake_api
from .test_helm_matrix import SETS

KUBECONFIG = """
apiVersion: v1
kind: Config
clusters: [{{name: fake, cluster: {{server: "{url}"}}}}]
contexts: [{{name: fake, context: {{cluster: fake, user: nobody, namespace: prod}}}}]
current-context: fake
users: [{{name: nobody, user: {{}}}}]
"""


@pytest.fixture
def api() -> Iterator[FakeApi]:
    """Serve an API without an object."""
    with fake_api() as served:
        yield served


@pytest.fixture
def helm(api: FakeApi) -> Iterator[helm_python.Config]:
    """Return a Helm for it, which keeps its releases in memory."""
    config = helm_python.Config(
        kubeconfig_content=KUBECONFIG.format(url=api.url), namespace="prod", storage_driver="memory"
    )
    with config:
        yield config


def rendered(render: Any, values: dict[str, Any]) -> set[tuple[str, str]]:
    """Return the objects of a release, but for those of hooks."""
    return {
        (each["kind"], each["metadata"]["name"])
        for each in render(values)
        if "helm.sh/hook" not in each["metadata"].get("annotations", {})
    }


@pytest.mark.parametrize("name", ["least", "operated"])
def test_a_release_lives(render: Any, api: FakeApi, helm: helm_python.Config, name: str) -> None:
    """It installs, takes an upgrade that does nothing and one that changes much, goes back, and leaves nothing behind."""
    values, changed = SETS[name], copy.deepcopy(SETS[name])
    changed |= {
        "podMonitor": {"enabled": False},
        "prometheusRule": {"enabled": False},
        "rewriter": {"enabled": False},
    }
    helm.install(str(CHART), "demo", values, timeout=120)
    assert api.objects.keys() == rendered(render, values)
    installed = copy.deepcopy(api.objects)
    helm.upgrade(str(CHART), "demo", values, timeout=120)
    assert api.objects == installed
    helm.upgrade(str(CHART), "demo", changed, timeout=120)
    assert api.objects.keys() == rendered(render, changed)
    helm.rollback("demo", version=2, timeout=120)
    assert api.objects == installed
    helm.uninstall("demo", timeout=120)
    assert api.objects == {}


def test_an_upgrade_that_fails_leaves_no_second_of_anything(
    render: Any, api: FakeApi, helm: helm_python.Config
) -> None:
    """Where the cluster refuses one object, no other is doubled, and the next upgrade ends well."""
    values = SETS["least"]
    helm.install(str(CHART), "demo", values, timeout=120)
    api.refused.add(("Deployment", "demo-vitrine-triton"))
    with pytest.raises(helm_python.HelmError):
        helm.upgrade(str(CHART), "demo", values | {"triton": {"replicas": 5}}, timeout=120)
    assert api.objects.keys() == rendered(render, values)
    api.refused.clear()
    helm.upgrade(str(CHART), "demo", values | {"triton": {"replicas": 5}}, timeout=120)
    assert api.objects["Deployment", "demo-vitrine-triton"]["spec"]["replicas"] == 5
    helm.uninstall("demo", timeout=120)
    assert api.objects == {}
