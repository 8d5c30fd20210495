"""What operators rely on: upgrades that roll only what changed, Jobs that run once, values that reach the pods."""

import copy
import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import helm_python
import pytest
import yaml

from .test_helm_chart import EVERYTHING, LEAST, SCHEMA, SETTINGS, SPOKEN
from .test_helm_safety import container, named

CHART = Path(__file__).parents[3] / "helm/vitrine"
WORKLOADS = {"Deployment", "StatefulSet", "Job", "CronJob"}
COMPONENTS = ("gateway", "rewriter", "speech", "storefront", "triton", "plans", "index", "milvus")
INDEX: dict[str, Any] = {
    "enabled": True,
    "catalogue": {"existingClaim": "catalogue"},
    "tokenSecret": {"name": "index-token"},
}
ALL = SPOKEN | {
    "milvus": {"enabled": True},
    "index": INDEX | {"schedule": "0 3 * * *"},
    "plans": {"enabled": True, "existingClaim": "plans", "path": "l4"},
    "storefront": {"enabled": True, "hosts": ["shop.example.com"], "tokenSecret": {"name": "page"}},
}


def job(objects: Any) -> Any:
    """Return the index Job."""
    (found,) = [each for each in objects if each["kind"] == "Job" and "-index-" in each["metadata"]["name"]]
    return found


def template(found: Any) -> Any:
    """Return the pod template of a workload."""
    spec = found["spec"].get("jobTemplate", found)["spec"]
    return spec["template"]


def with_index(**values: Any) -> dict[str, Any]:
    """Return values with an index Job."""
    return LEAST | {"index": INDEX | values}


def test_another_version_of_the_chart_alone_rolls_nothing(render: Any, tmp_path: Path) -> None:
    """Pods carry the labels that select them and a sum of their settings: nothing of the chart's own version."""
    changed = tmp_path / "vitrine"
    for path in CHART.rglob("*"):
        if path.is_file():
            target = changed / path.relative_to(CHART)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    text = (CHART / "Chart.yaml").read_text(encoding="utf-8")
    (changed / "Chart.yaml").write_text(re.sub(r"(?m)^version: .*", "version: 99.0.0", text))
    with helm_python.Chart.load(str(changed)) as chart:
        files = chart.render(ALL, name="demo", namespace="prod")
    texts = (text for name, text in files.items() if name.endswith(".yaml"))
    after = [each for text in texts for each in yaml.safe_load_all(text) if each]
    labels = {each["metadata"]["labels"]["helm.sh/chart"] for each in after}
    assert labels == {"vitrine-99.0.0"}

    def templates(objects: Any) -> dict[str, Any]:
        return {each["metadata"]["name"]: template(each) for each in objects if each["kind"] in WORKLOADS}

    assert templates(after) == templates(render(ALL))


@pytest.mark.parametrize(
    ("change", "renamed"),
    [
        ({}, "same"),
        ({"annotations": {"argocd.argoproj.io/sync-options": "Replace=true"}}, "same"),
        ({"schedule": "@daily"}, "same"),
        ({"rebuild": True}, "another"),
        ({"image": {"tag": "0.2.0"}}, "another"),
        ({"revision": "spring"}, "another"),
        ({"catalogue": {"existingClaim": "catalogue", "path": "other.csv", "schema": "own.toml"}}, "another"),
    ],
    ids=lambda value: json.dumps(value)[:60],
)
def test_the_job_has_another_name_when_it_runs_something_else(
    render: Any, problems: Any, change: dict[str, Any], renamed: str
) -> None:
    """A Job's pods cannot be changed: the same name means the same pods, whatever the revision and who renders."""
    before, after = job(render(with_index())), render(with_index(**change))
    assert problems(after) == []
    assert (before["metadata"]["name"] != job(after)["metadata"]["name"]) is (renamed == "another")
    assert (before["spec"] != job(after)["spec"]) is (renamed == "another")
    assert "helm.sh/hook" not in job(after)["metadata"].get("annotations", {}), "a hook would wait for itself"


def test_other_encoders_have_the_job_look_again(render: Any) -> None:
    """With rebuildIfStale the Job depends on what encodes; on nothing else of Triton's values."""
    name = lambda **values: job(render(with_index(rebuildIfStale=True) | values))["metadata"]["name"]  # noqa: E731
    before = name()
    assert before == name(triton={"replicas": 3}, gateway={"replicas": 5})
    assert before == name(triton={"next": {"replicas": 5}})
    assert before != name(triton={"next": {"enabled": True, "image": {"tag": "next"}}})
    assert before != name(triton={"image": {"tag": "0.2.0"}})
    assert "--rebuild-if-stale" in container_of_job(render(with_index(rebuildIfStale=True)))["args"]


def container_of_job(objects: Any) -> Any:
    """Return the container of the index Job."""
    return job(objects)["spec"]["template"]["spec"]["containers"][0]


def test_the_job_waits_and_finds_gateways_of_its_own_revision(render: Any) -> None:
    """It calls a Service of the pods that have this revision's settings, ready or not, and waits for them."""
    objects = render(with_index(waitSeconds=900, timeoutSeconds=60))
    args = container_of_job(objects)["args"]
    assert {"--address=demo-vitrine-index:7702", "--wait=900", "--timeout=60"} <= set(args)
    assert job(objects)["spec"]["activeDeadlineSeconds"] == 960
    assert "ttlSecondsAfterFinished" not in job(objects)["spec"], "a Job that is gone would run again"
    service = named(objects, "Service", "index")["spec"]
    gateway = named(objects, "Deployment", "gateway")
    assert service["publishNotReadyAddresses"] is True
    assert service["selector"].items() <= gateway["spec"]["template"]["metadata"]["labels"].items()
    changed = render(with_index() | {"gateway": {"settings": {"rewrite_budget_ms": 81}}})
    assert named(changed, "Service", "index")["spec"]["selector"] != service["selector"]
    assert (
        gateway["spec"]["selector"].items()
        == named(changed, "Deployment", "gateway")["spec"]["selector"].items()
    )
    environment = {each["name"]: each["value"] for each in container_of_job(objects)["env"]}
    assert environment["VITRINE_SERVER_NAME"] == "demo-vitrine-catalogue"


def test_a_schedule_runs_the_same_one_at_a_time(render: Any, problems: Any) -> None:
    """The CronJob runs what the Job runs, and never two at once."""
    objects = render(with_index(schedule="0 3 * * *", ttlSecondsAfterFinished=600))
    assert problems(objects) == []
    cron = named(objects, "CronJob", "index")["spec"]
    assert (cron["schedule"], cron["concurrencyPolicy"]) == ("0 3 * * *", "Forbid")
    assert cron["jobTemplate"]["spec"] == job(objects)["spec"]
    assert [each for each in render(with_index()) if each["kind"] == "CronJob"] == []


@pytest.mark.parametrize(
    ("gateway", "affinity"),
    [
        ({}, "ClientIP"),
        ({"service": {"type": "NodePort"}}, "ClientIP"),
        ({"service": {"type": "LoadBalancer"}}, "None"),
        ({"sessions": {"urlSecret": {"name": "redis"}}}, "None"),
        ({"service": {"type": "LoadBalancer", "sessionAffinity": "ClientIP"}}, "ClientIP"),
        ({"service": {"sessionAffinity": "None"}}, "None"),
    ],
    ids=json.dumps,
)
def test_clients_come_back_to_a_gateway_only_where_that_helps(
    render: Any, problems: Any, gateway: dict[str, Any], affinity: str
) -> None:
    """By its address where its session is in the gateway; not behind a load balancer, nor with a Redis."""
    egress = {"egress": {"redis": [{"ipBlock": {"cidr": "203.0.113.7/32"}}]}}
    objects = render(LEAST | {"gateway": gateway, "networkPolicy": egress})
    assert problems(objects) == []
    service = named(objects, "Service", "gateway")["spec"]
    assert service["sessionAffinity"] == affinity
    assert ("sessionAffinityConfig" in service) is (affinity == "ClientIP")


@pytest.mark.parametrize(
    ("uri", "port"),
    [
        ("http://milvus.search.svc", 19530),
        ("http://milvus.search.svc/", 19530),
        ("http://milvus.search.svc:9091", 9091),
        ("https://milvus.search.svc", 443),
    ],
)
def test_the_policy_opens_the_port_that_is_dialled(render: Any, uri: str, port: int) -> None:
    """The client of Milvus dials 19530 where an http URL names no port, and 443 for https."""
    policy = named(render(LEAST | {"milvus": {"uri": uri}}), "NetworkPolicy", "gateway")
    peers = [rule for rule in policy["spec"]["egress"] if rule["ports"] == [{"port": port}]]
    assert [rule["to"][0]["namespaceSelector"] for rule in peers] == [
        {"matchLabels": {"kubernetes.io/metadata.name": "search"}}
    ]


def test_a_balancer_is_told_how_the_port_speaks(render: Any) -> None:
    """HTTP/2 in clear, or TLS where the component has a certificate."""
    clear = LEAST | {"access": {"open": ["anybody-may-call"]}}

    def protocols(values: dict[str, Any]) -> dict[str, str]:
        return {
            each["metadata"]["name"].removeprefix("demo-vitrine-"): each["spec"]["ports"][0]["appProtocol"]
            for each in render(values)
            if each["kind"] == "Service"
        }

    assert protocols(clear) == dict.fromkeys(
        ("catalogue", "gateway", "rewriter", "triton"), "kubernetes.io/h2c"
    )
    tls = protocols(EVERYTHING)
    assert {name for name, protocol in tls.items() if protocol == "https"} == {
        "catalogue", "gateway", "index", "rewriter", "speech",
    }  # fmt: skip


EXTRAS: dict[str, Any] = {
    "podLabels": {"team": "search"},
    "podAnnotations": {"sidecar.istio.io/inject": "true"},
    "priorityClassName": "high",
    "runtimeClassName": "nvidia",
    "nodeSelector": {"pool": "search"},
    "tolerations": [{"key": "search", "operator": "Exists", "effect": "NoSchedule"}],
    "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
    "serviceAccount": {"create": True, "name": "", "annotations": {"eks.amazonaws.com/role-arn": "arn"}},
    "image": {"repository": "own/image", "digest": "sha256:" + "a" * 64, "pullPolicy": "Always"},
    "extraEnv": [{"name": "HTTP_PROXY", "value": "http://proxy:3128"}],
    "extraEnvFrom": [{"configMapRef": {"name": "proxies", "optional": True}}],
    "extraVolumes": [{"name": "own", "emptyDir": {}}],
    "extraVolumeMounts": [{"name": "own", "mountPath": "/own"}],
    "extraInitContainers": [{"name": "first", "image": "own/first:1"}],
}


def test_what_operators_add_reaches_every_pod(render: Any) -> None:
    """Labels, accounts, variables, volumes, containers and images of all components, each written once in the chart."""
    values = copy.deepcopy(ALL) | {
        "commonLabels": {"cost": "shop"},
        "nameOverride": "find",
        "global": {"imageRegistry": "registry.example.com:5000", "imagePullSecrets": [{"name": "shared"}]},
        "imagePullSecrets": [{"name": "own"}],
        "revisionHistoryLimit": 3,
    }
    for name in COMPONENTS:
        values[name] = values.get(name, {}) | EXTRAS
    objects = render(values)
    assert all(each["metadata"]["labels"]["cost"] == "shop" for each in objects)
    assert all(each["metadata"]["labels"]["app.kubernetes.io/name"] == "find" for each in objects)
    workloads = [each for each in objects if each["kind"] in WORKLOADS]
    assert len(workloads) == len(COMPONENTS) + 1
    for found in workloads:
        labels = template(found)["metadata"]["labels"]
        assert {"cost": "shop", "team": "search"}.items() <= labels.items()
        assert template(found)["metadata"]["annotations"]["sidecar.istio.io/inject"] == "true"
        pod = template(found)["spec"]
        assert pod["imagePullSecrets"] == [{"name": "own"}, {"name": "shared"}]
        assert [each["name"] for each in pod["initContainers"]] == ["first"]
        assert {name: pod[name] for name in ("priorityClassName", "runtimeClassName", "nodeSelector", "tolerations")} == {
            name: EXTRAS[name] for name in ("priorityClassName", "runtimeClassName", "nodeSelector", "tolerations")
        }  # fmt: skip
        main = pod["containers"][0]
        assert main["image"] == f"registry.example.com:5000/own/image@sha256:{'a' * 64}"
        assert main["imagePullPolicy"] == "Always"
        assert EXTRAS["extraEnv"][0] in main["env"]
        assert EXTRAS["extraEnvFrom"][0] in main["envFrom"]
        assert EXTRAS["extraVolumes"][0] in pod["volumes"]
        assert EXTRAS["extraVolumeMounts"][0] in main["volumeMounts"]
        if found["kind"] == "Deployment":
            assert found["spec"]["revisionHistoryLimit"] == 3
    accounts = [each for each in objects if each["kind"] == "ServiceAccount"]
    assert len(accounts) == len(COMPONENTS)
    assert all(each["metadata"]["annotations"] == {"eks.amazonaws.com/role-arn": "arn"} for each in accounts)
    assert all(each["automountServiceAccountToken"] is False for each in accounts)


def test_accounts_and_security_may_be_the_operators_own(render: Any) -> None:
    """An account that is there is named and not made; a key of the security context that is null is not rendered."""
    own = {"create": False, "name": "robot", "annotations": {}}
    null = {"runAsUser": None, "runAsGroup": None, "fsGroup": None}
    objects = render(
        SPOKEN | {name: SPOKEN.get(name, {}) | {"serviceAccount": own} for name in COMPONENTS} | {"podSecurityContext": null}
    )  # fmt: skip
    assert [each for each in objects if each["kind"] == "ServiceAccount"] == []
    pods = [template(each)["spec"] for each in objects if each["kind"] in WORKLOADS]
    assert {pod["serviceAccountName"] for pod in pods} == {"robot"}
    assert {frozenset(pod["securityContext"]) for pod in pods} == {
        frozenset({"runAsNonRoot", "seccompProfile"})
    }


def test_roll_outs_probes_and_budgets_are_tuned_by_values(render: Any, problems: Any) -> None:
    """Where no GPU is free for one more pod the old one goes first; a probe keeps what it asks."""
    values = LEAST | {
        "triton": {
            "strategy": {"maxSurge": 0, "maxUnavailable": 1},
            "probes": {"startup": {"failureThreshold": 200}, "liveness": {"initialDelaySeconds": 30}},
            "pdb": {"enabled": False},
            "extraArgs": ["--log-verbose=1"],
            "terminationGracePeriodSeconds": 300,
            "topologySpreadConstraints": [
                {"maxSkew": 1, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {}}
            ],
        },
        "gateway": {"service": {"type": "LoadBalancer", "externalTrafficPolicy": "Local", "loadBalancerClass": "a.b/nlb",
                                "loadBalancerSourceRanges": ["203.0.113.0/24"], "nodePort": 30700, "labels": {"a": "b"}}},
    }  # fmt: skip
    objects = render(values)
    assert problems(objects) == []
    triton = named(objects, "Deployment", "triton")["spec"]
    assert triton["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}
    pod = triton["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] == 300
    assert [each["topologyKey"] for each in pod["topologySpreadConstraints"]] == ["rack"]
    main = container(objects, "triton")
    assert main["startupProbe"] == {
        "grpc": {"port": 8001},
        "periodSeconds": 5,
        "timeoutSeconds": 5,
        "failureThreshold": 200,
    }
    assert main["livenessProbe"]["initialDelaySeconds"] == 30
    assert main["args"][-1] == "--log-verbose=1"
    budgets = {each["metadata"]["name"] for each in objects if each["kind"] == "PodDisruptionBudget"}
    assert "demo-vitrine-triton" not in budgets
    service = named(objects, "Service", "gateway")
    assert service["spec"]["ports"][0]["nodePort"] == 30700
    assert service["spec"]["loadBalancerSourceRanges"] == ["203.0.113.0/24"]
    assert service["metadata"]["labels"]["a"] == "b"


def test_nobody_is_alive_by_a_connect(render: Any) -> None:
    """A kernel takes connections for a process that hangs: every liveness asks the process itself."""
    objects = render(SPOKEN | {"milvus": {"enabled": True}})
    probes = {
        each["metadata"]["name"]: template(each)["spec"]["containers"][0]["livenessProbe"]
        for each in objects
        if each["kind"] in {"Deployment", "StatefulSet"}
    }
    assert len(probes) == 5
    assert [name for name, probe in probes.items() if "tcpSocket" in probe] == []


def test_nobody_is_killed_while_it_starts(render: Any) -> None:
    """What loads a model has a startup probe: it asks what the liveness after it asks, for no shorter a time."""
    for found in render(SPOKEN | {"milvus": {"enabled": True}}):
        if found["kind"] not in {"Deployment", "StatefulSet"}:
            continue
        main = template(found)["spec"]["containers"][0]
        startup, liveness = main["startupProbe"], main["livenessProbe"]
        asked = [
            probe.keys() - {"periodSeconds", "timeoutSeconds", "failureThreshold"}
            for probe in (startup, liveness)
        ]
        # Triton's models are asked once they are loaded: until then the server itself.
        assert asked[0] == asked[1] or found["metadata"]["name"] == "demo-vitrine-triton"
        patience = [probe["periodSeconds"] * probe["failureThreshold"] for probe in (startup, liveness)]
        assert patience[0] >= patience[1], found["metadata"]["name"]


def test_long_releases_that_begin_alike_share_no_name() -> None:
    """What is cut away of a name stands in it as a sum."""
    with helm_python.Chart.load(str(CHART)) as chart:
        names = [
            {line for text in chart.render(LEAST, name="a" * 45 + end, namespace="prod").values()
             for line in text.splitlines() if line.startswith("  name: ")}
            for end in ("-blue", "-green")
        ]  # fmt: skip
    assert names[0]
    assert not names[0] & names[1]
    assert all(len(line.removeprefix("  name: ")) <= 63 for line in names[0] | names[1])


@pytest.mark.parametrize("room", SETTINGS)
def test_the_schemas_bounds_are_taken_by_the_service(room: str) -> None:
    """The least and the most that the schema lets through, one setting at a time, start the service."""
    described = SCHEMA["properties"][room]["properties"]["settings"]["properties"]
    defaults = SETTINGS[room]()
    for name, node in described.items():
        for bound in (node[word] for word in ("minimum", "maximum") if word in node):
            others = {"history_similar_turns": 0, "history_last_turns": 0} if "_turns" in name else {}
            dataclasses.replace(defaults, **(others | {name: type(getattr(defaults, name))(bound)}))  # type: ignore[type-var]


def test_the_charts_bounds_between_settings_start_from_the_services_defaults() -> None:
    """templates/_checks.tpl knows the defaults of the settings that bound each other."""
    text = (CHART / "templates/_checks.tpl").read_text(encoding="utf-8")
    block = text.partition('{{- define "vitrine.settingBounds" -}}')[2].partition("{{- end -}}")[0]
    for room, bounds in yaml.safe_load(block).items():
        defaults = SETTINGS[room]()
        for bound in bounds:
            assert bound["defaults"] == [getattr(defaults, bound["least"]), getattr(defaults, bound["most"])]
    gateway = SETTINGS["gateway"]()
    assert f'"history_last_turns" {gateway.history_last_turns} ' in text  # type: ignore[attr-defined]
    assert f'"history_similar_turns" {gateway.history_similar_turns} ' in text  # type: ignore[attr-defined]
