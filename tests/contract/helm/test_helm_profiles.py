"""The ready value files: each renders as it is or with what its own first lines ask for, and is what it says."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from .conftest import containers_of, quantity
from .test_helm_safety import container, named

PROFILES = Path(__file__).parents[3] / "helm/vitrine/profiles"
GIB = Decimal(1 << 30)
ASKED_FOR: dict[str, dict[str, Any]] = {
    "laptop": {},
    "gpu": {"milvus": {"uri": "http://milvus.search.svc:19530"}},
    "large": {},
}
"""What the command in a file's first lines sets besides."""


def values_of(profile: str) -> dict[str, Any]:
    """Return the values of a profile, with what its command sets."""
    values: dict[str, Any] = yaml.safe_load((PROFILES / f"{profile}.yaml").read_text(encoding="utf-8"))
    return values | ASKED_FOR[profile]


def requested(objects: Any, resource: str) -> Decimal:
    """Return what all pods request together."""
    total = Decimal(0)
    for found in objects:
        for each in containers_of(found):
            total += (quantity(each["resources"]["requests"].get(resource, 0)) or 0) * found["spec"].get(
                "replicas", 1
            )
    return total


def test_every_profile_is_tested() -> None:
    """The files are those that are known here."""
    assert {path.stem for path in PROFILES.glob("*.yaml")} == ASKED_FOR.keys()


@pytest.mark.parametrize("profile", ASKED_FOR)
def test_a_profile_renders_and_says_how(render: Any, problems: Any, profile: str) -> None:
    """What it gives breaks no rule, and its first lines have the command."""
    assert problems(render(values_of(profile))) == []
    text = (PROFILES / f"{profile}.yaml").read_text(encoding="utf-8")
    assert f"helm install shop helm/vitrine -f helm/vitrine/profiles/{profile}.yaml" in text
    assert all(f"--set {key}.{name}=" in text for key, given in ASKED_FOR[profile].items() for name in given)


def test_a_laptop_has_room_for_its_profile(render: Any) -> None:
    """Everything runs, once, on the cores and the memory that the file's first line names, without a GPU."""
    objects = render(values_of("laptop"))
    assert requested(objects, "cpu") == Decimal("2.5")
    assert requested(objects, "memory") / GIB == 5
    assert requested(objects, "nvidia.com/gpu") == 0
    assert {
        each["spec"]["replicas"] for each in objects if each["kind"] in {"Deployment", "StatefulSet"}
    } == {1}


def test_the_gpu_is_triton_s_and_is_given_up_before_it_is_asked_for(render: Any) -> None:
    """One GPU, requested and limited, and a roll-out that does not wait for a second one."""
    objects = render(values_of("gpu"))
    assert requested(objects, "nvidia.com/gpu") == 1
    triton = named(objects, "Deployment", "triton")["spec"]
    assert container(objects, "triton")["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert triton["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}
    patience = container(objects, "triton")["startupProbe"]
    assert patience["periodSeconds"] * patience["failureThreshold"] == 600


def test_the_large_one_outlives_a_zone(render: Any) -> None:
    """Three of each at least over the zones, sessions that all gateways share, and nothing secret in its objects."""
    objects = render(values_of("large"))
    scaled = {
        each["metadata"]["name"]: each["spec"]
        for each in objects
        if each["kind"] == "HorizontalPodAutoscaler"
    }
    assert {spec["minReplicas"] for spec in scaled.values()} == {3}
    assert len(scaled) == 3
    settings = named(objects, "ConfigMap", "gateway")["data"]
    assert settings["GATEWAY_SESSIONS_FILE"].startswith("/etc/vitrine/")
    assert settings["GATEWAY_MILVUS_TOKEN_FILE"].startswith("/etc/vitrine/")
    assert named(objects, "Service", "gateway")["spec"]["sessionAffinity"] == "None"
    assert {each["kind"] for each in objects} >= {"Job", "CronJob", "PodMonitor"}
    assert not [each for each in objects if each["kind"] == "Secret"]
