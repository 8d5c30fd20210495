"""The alerts: what fires when, by Prometheus's own promtool, and that code, runbooks and alerts know the same names."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import helm_python
import pytest
import yaml
from prometheus_client import CollectorRegistry

import gateway.metrics
import rewriter.metrics
import speech.metrics
from reference import dashboards

HERE = Path(__file__).parent
CHART = HERE.parents[2] / "helm/vitrine"
RUNBOOKS = HERE.parents[2] / "docs/operations.md"
CASES = ("alerts.yaml", "alerts-slow.yaml")
VALUES: dict[str, Any] = {
    "access": {"callers": {"name": "callers"}, "tls": {"secret": "gateway-tls"}},
    "milvus": {"uri": "http://milvus.search.svc:19530"},
    "podMonitor": {"enabled": True},
    "prometheusRule": {"enabled": True},
}


@pytest.fixture(scope="module")
def rule(render: Any) -> dict[str, Any]:
    """Return the PrometheusRule of a release."""
    (found,) = [each for each in render(VALUES) if each["kind"] == "PrometheusRule"]
    return dict(found)


@pytest.fixture(scope="module")
def promtool() -> str:
    """Return Prometheus's tool."""
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("no promtool on this machine: make setup-test")
    return found


def alerts_of(rule: dict[str, Any]) -> list[dict[str, Any]]:
    """Return its alerts."""
    return [each for group in rule["spec"]["groups"] for each in group["rules"] if "alert" in each]


def cases_of(name: str) -> list[dict[str, Any]]:
    """Return the cases of a file."""
    cases: list[dict[str, Any]] = yaml.safe_load((HERE / name).read_text(encoding="utf-8"))["tests"]
    return cases


@pytest.mark.parametrize("cases", CASES)
def test_alerts_fire_when_they_should_and_at_no_other_time(
    rule: dict[str, Any], promtool: str, tmp_path: Path, cases: str
) -> None:
    """Prometheus evaluates the rendered rules over the series of the cases, and the texts are those that people read."""
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rule["spec"]), encoding="utf-8")
    # Without an order promtool evaluates the groups by that of a Go map, so that an alert of a later group sees this
    # minute's recorded value in one run and the value of the minute before in another.
    order = yaml.safe_dump({"group_eval_order": [group["name"] for group in rule["spec"]["groups"]]})
    # The text as it is: Python would read the values 0x30 (thirty samples of 0) as 48.
    (tmp_path / cases).write_text(order + (HERE / cases).read_text(encoding="utf-8"), encoding="utf-8")
    for command in (("check", "rules", "rules.yaml"), ("test", "rules", cases)):
        ran = subprocess.run(
            [promtool, *command], cwd=tmp_path, capture_output=True, text=True, timeout=280, check=False
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr


def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not(rule: dict[str, Any]) -> None:
    """No alert is without both, and no case is of an alert that is not there."""
    checks = [check for name in CASES for case in cases_of(name) for check in case["alert_rule_test"]]
    fired = {check["alertname"] for check in checks if check.get("exp_alerts")}
    quiet = {check["alertname"] for check in checks if not check.get("exp_alerts")}
    assert fired == quiet == {each["alert"] for each in alerts_of(rule)}


def test_every_alert_says_how_urgent_it_is_and_where_its_runbook_is(rule: dict[str, Any]) -> None:
    """The address leads to a heading of the operations page, which has a heading for nothing else."""
    headings = re.findall(r"^### (Vitrine\w+)$", RUNBOOKS.read_text(encoding="utf-8"), re.MULTILINE)
    alerts = alerts_of(rule)
    assert sorted(headings) == sorted({each["alert"] for each in alerts})
    for each in alerts:
        assert each["labels"]["severity"] in {"critical", "warning"}
        assert each["annotations"]["summary"]
        assert each["annotations"]["runbook_url"] == f"docs/operations.md#{each['alert'].lower()}"


def test_alerts_and_dashboards_ask_for_metrics_and_labels_that_the_services_have(
    rule: dict[str, Any],
) -> None:
    """Every series of ours in an expression is one of a registry, with its labels; Triton's own are held against a real one."""
    known = {name: labels for registry in registries() for name, labels in series_of(registry)}
    rules = [each["expr"] for group in rule["spec"]["groups"] for each in group["rules"]]
    text = "\n".join([*rules, *(each.expr for each in dashboards.queries())])
    asked = re.findall(r"\b(vitrine_\w+)(\{[^}]*\})", text)
    assert asked
    for name, matchers in asked:
        labels = set(re.findall(r"(\w+)[!=]", re.sub(r'"[^"]*"', "", matchers)))
        assert name in known, name
        assert labels - {"job", "namespace"} <= known[name], (name, labels)


def registries() -> list[CollectorRegistry]:
    """Return what each service counts in."""
    return [
        each.metrics.Metrics().registry  # type: ignore[attr-defined]
        for each in (gateway, rewriter, speech)
    ]


def series_of(registry: CollectorRegistry) -> list[tuple[str, set[str]]]:
    """Return the names of a registry's series, each with its labels."""
    return [
        (name, {*collector._labelnames, *(["le"] if name.endswith("_bucket") else [])})  # type: ignore[attr-defined]
        for collector, names in registry._collector_to_names.items()
        for name in names
    ]


def test_the_bound_of_the_latency_is_one_that_is_counted() -> None:
    """A bound between two buckets could not be asked for, so that the schema takes buckets alone."""
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    objectives = schema["properties"]["prometheusRule"]["properties"]["objectives"]["properties"]
    assert set(objectives["latencySeconds"]["enum"]) <= set(gateway.metrics._BUCKETS)


@pytest.mark.parametrize(("seconds", "bound"), [(1, "1.0"), (2.5, "2.5"), (0.075, "0.075")])
def test_the_bound_is_written_as_the_metrics_write_it(render: Any, seconds: float, bound: str) -> None:
    """A whole number has its decimal, as in the buckets of the client library."""
    values = VALUES | {"prometheusRule": {"enabled": True, "objectives": {"latencySeconds": seconds}}}
    assert f'le="{bound}"' in str(render(values))


def test_nothing_of_it_is_rendered_unless_it_is_switched_on(render: Any) -> None:
    """Alerts and dashboards need CRDs, or a Grafana, that not every cluster has."""
    objects = render(VALUES | {"prometheusRule": {}})
    assert [each for each in objects if each["metadata"]["name"].endswith(("monitoring", "dashboards"))] == []


def test_the_dashboards_are_those_of_the_code(render: Any) -> None:
    """Grafana's sidecar finds a ConfigMap by its label, and each file in it is a dashboard as it was made."""
    objects = render(VALUES | {"dashboards": {"enabled": True}})
    (found,) = [each for each in objects if each["metadata"]["name"].endswith("-dashboards")]
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
    made = {f"vitrine-{name}": json.loads(text) for name, text in dashboards.files().items()}
    assert {name: json.loads(text) for name, text in found["data"].items()} == made
    assert len({each["uid"] for each in made.values()}) == len(made)


def test_without_monitors_the_series_are_asked_for_by_name(render: Any) -> None:
    """Nothing is guessed: the installation is refused with the way out, which then stands in every expression."""
    values = VALUES | {"podMonitor": {"enabled": False}}
    with pytest.raises(helm_python.HelmError, match=r"prometheusRule\.series is needed"):
        render(values)
    series = 'namespace="search", job="kubernetes-pods"'
    objects = render(values | {"prometheusRule": {"enabled": True, "series": series}})
    (found,) = [each for each in objects if each["kind"] == "PrometheusRule"]
    asked = [each["expr"] for group in found["spec"]["groups"] for each in group["rules"]]
    assert all(series in expr for expr in asked if "vitrine:" not in expr)


@pytest.mark.parametrize("series", ["namespace=search", 'a="b"} or vector(1)', 'a="{}"'])
def test_matchers_that_are_none_are_refused(render: Any, series: str) -> None:
    """What would end the selector is no matcher."""
    with pytest.raises(helm_python.HelmError, match="series"):
        render(VALUES | {"prometheusRule": {"enabled": True, "series": series}})
