"""Autoscaling: what is rendered, and that a day of load, and other days, make pods come and go without flapping."""

import math
import random
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import helm_python
import pytest

from .autoscaler import DAY, STEP_S, Rules, Service, replay

VALUES: dict[str, Any] = {
    "access": {"callers": {"name": "callers"}, "tls": {"secret": "gateway-tls"}},
    "milvus": {"uri": "http://milvus.search.svc:19530"},
    "podMonitor": {"enabled": True},
    "keda": {"enabled": True, "prometheus": "http://prometheus-operated.monitoring.svc:9090"},
    "gateway": {"autoscaling": {"enabled": True, "minReplicas": 2, "maxReplicas": 20}},
    "triton": {"autoscaling": {"enabled": True, "minReplicas": 2, "maxReplicas": 20}},
}
SERVICES = {
    "gateway": Service(pod_rate=100, starts_s=45),
    # Batches wait for companions: some share of a request is in the queue also when nothing else is.
    "triton": Service(pod_rate=100, starts_s=240, idle=0.2),
}
SOON_S = 900
SEED = 20261129
DAYS = 40


@pytest.fixture(scope="module")
def scaled(render: Any) -> dict[str, dict[str, Any]]:
    """Return the spec of each ScaledObject by its component."""
    found = [each for each in render(VALUES) if each["kind"] == "ScaledObject"]
    return {each["metadata"]["labels"]["app.kubernetes.io/component"]: each["spec"] for each in found}


def rules_of(spec: dict[str, Any]) -> Rules:
    """Read a ScaledObject."""
    behavior = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    return Rules(
        wanted=float(spec["triggers"][0]["metadata"]["threshold"]),
        fewest=spec["minReplicaCount"],
        most=spec["maxReplicaCount"],
        up=behavior["scaleUp"],
        down=behavior["scaleDown"],
    )


def a_day(
    peaks: Sequence[tuple[float, float, float]], *, night: float, noise: float, seed: int
) -> list[float]:
    """Return a load a step: a night, peaks (hour, height, hours wide) and noise around them."""
    chance = random.Random(seed)
    hours = [at * STEP_S / 3600 for at in range(DAY)]
    smooth = [
        night + sum(height * math.exp(-(((hour - when) / wide) ** 2)) for when, height, wide in peaks)
        for hour in hours
    ]
    return [max(0.0, load * (1 + chance.uniform(-noise, noise))) for load in smooth]


SHOP = [(12.5, 350.0, 1.5), (20.5, 900.0, 1.8)]
"""Of a shop: lunch, and the evening."""


@pytest.mark.parametrize("component", SERVICES)
def test_a_day_of_a_shop_is_followed_without_flapping(
    scaled: dict[str, dict[str, Any]], component: str
) -> None:
    """Up before the evening's peak and down after it; hardly ever too few pods, never a pod that goes and comes back."""
    service, rules = SERVICES[component], rules_of(scaled[component])
    day = replay(a_day(SHOP, night=60, noise=0.1, seed=SEED), rules, service)
    assert day.flaps(within_s=SOON_S) == []
    assert day.overloaded(service) == 0
    needed = math.ceil(max(day.load) / service.pod_rate)
    assert needed < max(day.pods) <= 3 * needed
    assert day.pods[-1] < max(day.pods)
    turns = [more > 0 for _, more in day.changes()]
    assert sum(now != before for before, now in pairwise(turns)) <= 2 * len(SHOP)


@pytest.mark.parametrize("component", SERVICES)
def test_a_rush_is_caught_up_with(scaled: dict[str, dict[str, Any]], component: str) -> None:
    """Five times the load from one step to the next: enough pods within what two doublings and their start take."""
    service, rules = SERVICES[component], rules_of(scaled[component])
    calm, rush = [150.0] * 120, [750.0] * 240
    day = replay([*calm, *rush], rules, service)
    enough = next(at for at, ready in enumerate(day.ready) if ready * service.pod_rate >= 750)
    assert (enough - len(calm)) * STEP_S <= 300 + 2 * service.starts_s


def drawn_days(number: int) -> Iterator[list[float]]:
    """Yield days of load that nobody chose, the same ones each time."""
    chance = random.Random(SEED)
    for _ in range(number):
        peaks = [
            (chance.uniform(1, 23), chance.uniform(50, 1_200), chance.uniform(0.7, 4))
            for _ in range(chance.randint(0, 4))
        ]
        yield a_day(
            peaks, night=chance.uniform(1, 300), noise=chance.uniform(0, 0.15), seed=chance.getrandbits(32)
        )


@pytest.mark.parametrize("component", SERVICES)
def test_other_days_do_not_make_it_flap(scaled: dict[str, dict[str, Any]], component: str) -> None:
    """Days that were drawn, not searched for: what goes is not missed, and the numbers stay within their bounds."""
    rules = rules_of(scaled[component])
    days = [replay(load, rules, SERVICES[component]) for load in drawn_days(DAYS)]
    assert [day.flaps(within_s=SOON_S) for day in days] == [[]] * DAYS
    assert rules.fewest <= min(min(day.pods) for day in days)
    assert max(max(day.pods) for day in days) <= rules.most


def test_the_simulation_sees_flapping(scaled: dict[str, dict[str, Any]]) -> None:
    """Without windows the same noise makes pods come and go: the test above could fail."""
    rules = rules_of(scaled["gateway"])
    hasty = {
        "stabilizationWindowSeconds": 0,
        "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}],
    }
    quick = Service(pod_rate=100, starts_s=240, averaged_s=15)
    nervous = Rules(wanted=rules.wanted, fewest=2, most=20, up=hasty, down=hasty)
    assert (
        len(replay(a_day(SHOP, night=60, noise=0.15, seed=SEED), nervous, quick).flaps(within_s=SOON_S)) > 20
    )


def test_keda_takes_the_place_of_the_two_autoscalers(render: Any, problems: Any) -> None:
    """Two autoscalers of one Deployment would pull it to and fro; the rewriter keeps its own."""
    objects = render(VALUES | {"rewriter": {"autoscaling": {"enabled": True}}})
    assert problems(objects) == []
    hpas = {
        each["spec"]["scaleTargetRef"]["name"]
        for each in objects
        if each["kind"] == "HorizontalPodAutoscaler"
    }
    assert hpas == {"demo-vitrine-rewriter"}
    deployments = {each["metadata"]["name"] for each in objects if each["kind"] == "Deployment"}
    keda = {each["spec"]["scaleTargetRef"]["name"] for each in objects if each["kind"] == "ScaledObject"}
    assert keda == {"demo-vitrine-gateway", "demo-vitrine-triton"} <= deployments


def test_keda_is_told_where_prometheus_is(render: Any) -> None:
    """Nothing is guessed."""
    with pytest.raises(helm_python.HelmError, match=r"keda\.prometheus is needed"):
        render(VALUES | {"keda": {"enabled": True}})


@pytest.mark.parametrize("component", ["gateway", "rewriter", "speech", "triton"])
def test_an_operators_own_scaling_is_laid_over_the_charts(render: Any, component: str) -> None:
    """What is not said stays; further metrics stand beside the CPU."""
    metric = {"type": "Pods", "pods": {"metric": {"name": "queue"}, "target": {"type": "AverageValue", "averageValue": "3"}}}  # fmt: skip
    behavior = {"scaleDown": {"stabilizationWindowSeconds": 60}}
    scaling = {
        "enabled": True,
        "minReplicas": 2,
        "maxReplicas": 4,
        "behavior": behavior,
        "metrics": [metric],
    }
    values = {key: VALUES[key] for key in ("access", "milvus")} | {
        component: {"enabled": True, "autoscaling": scaling}
        if component == "speech"
        else {"autoscaling": scaling}
    }
    (found,) = [each["spec"] for each in render(values) if each["kind"] == "HorizontalPodAutoscaler"]
    assert found["behavior"]["scaleDown"] == {
        "stabilizationWindowSeconds": 60,
        "policies": [{"type": "Pods", "value": 1, "periodSeconds": 120}],
    }
    assert found["behavior"]["scaleUp"]["stabilizationWindowSeconds"] == 30
    assert [each["type"] for each in found["metrics"]] == ["Resource", "Pods"]
