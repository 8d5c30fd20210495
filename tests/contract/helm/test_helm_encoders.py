"""Where models come from, and how encoders change together with their index."""

import shlex
from typing import Any

import click
import helm_python
import pytest
from click.testing import CliRunner

import export.cli
import vitrine.cli
from vitrine.repository_fetch import main

from .test_helm_chart import EVERYTHING, LEAST
from .test_helm_safety import container, egress, named

SUM = "0123456789abcdef" * 4
STORE = {
    "url": "http://minio.storage.svc:9000/models/2026-11",
    "sha256": SUM,
    "size": "2Gi",
    "tokenSecret": {"name": "store", "key": "token"},
    "caSecret": "store-ca",
}


def test_models_are_fetched_from_a_store_before_triton_starts(render: Any, problems: Any) -> None:
    """An init container of Triton's own image fetches them by their manifest's sum; Triton reads them and writes nothing."""
    objects = render(LEAST | {"triton": {"modelRepository": STORE}})
    assert problems(objects) == []
    pod = named(objects, "Deployment", "triton")["spec"]["template"]["spec"]
    (fetch,) = pod["initContainers"]
    assert fetch["image"] == container(objects, "triton")["image"]
    assert fetch["command"] == ["python3", "-m", "vitrine.repository_fetch"]
    assert fetch["args"] == [
        STORE["url"], "/store/models", f"--sha256={SUM}", f"--max-bytes={2 << 30}", "--token-file=/etc/vitrine/models-token/token",
    ]  # fmt: skip
    assert {"name": "models", "mountPath": "/models", "subPath": "models", "readOnly": True} in container(objects, "triton")[
        "volumeMounts"
    ]  # fmt: skip
    assert {"name": "models", "emptyDir": {"sizeLimit": "2Gi"}} in pod["volumes"]
    assert egress(objects, "triton")[9000] == [
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "storage"}}}
    ]


def test_the_command_knows_the_arguments_of_the_chart(render: Any) -> None:
    """With nobody at the address it fails there, and not over its arguments."""
    unreachable = STORE | {"url": "http://127.0.0.1:1/models", "tokenSecret": {"name": "", "key": "token"}}
    values = LEAST | {"triton": {"modelRepository": unreachable}, "networkPolicy": {"enabled": False}}
    (fetch,) = named(render(values), "Deployment", "triton")["spec"]["template"]["spec"]["initContainers"]
    args = ["/dev/null/models" if each == "/store/models" else each for each in fetch["args"]]
    run = CliRunner().invoke(main, args)
    assert (run.exit_code, "Not a directory" in run.output) == (1, True)


@pytest.mark.parametrize("next_too", [False, True])
def test_models_come_from_one_place(render: Any, next_too: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """A claim and a URL exclude each other, and a URL without a sum could mean anything tomorrow."""

    def rendered(models: dict[str, Any]) -> object:
        triton = (
            {"next": {"enabled": True, "modelRepository": models}}
            if next_too
            else {"modelRepository": models}
        )
        return render(LEAST | {"triton": triton})

    where = "triton.next" if next_too else "triton"
    with pytest.raises(
        helm_python.HelmError, match=f"{where}.modelRepository: url and existingClaim exclude"
    ):
        rendered(STORE | {"existingClaim": "plans"})
    with pytest.raises(helm_python.HelmError, match=f"{where}.modelRepository.sha256 is needed"):
        rendered(STORE | {"sha256": ""})


def test_other_encoders_take_no_models_of_the_first(render: Any) -> None:
    """With models of its image alone, the second Triton does not mount the first one's; an account of one name is made once."""
    triton = {
        "modelRepository": {"existingClaim": "plans"},
        "serviceAccount": {"create": True, "name": "robot"},
        "next": {"enabled": True, "image": {"tag": "next"}},
    }
    objects = render(LEAST | {"triton": triton})
    first, second = (
        named(objects, "Deployment", name)["spec"]["template"]["spec"] for name in ("triton", "triton-next")
    )
    assert "models" in {volume["name"] for volume in first["volumes"]}
    assert "models" not in {volume["name"] for volume in second["volumes"]}
    accounts = [each["metadata"]["name"] for each in objects if each["kind"] == "ServiceAccount"]
    assert accounts.count("robot") == 1
    assert first["serviceAccountName"] == second["serviceAccountName"] == "robot"


def test_other_encoders_serve_beside_those_of_the_index(render: Any) -> None:
    """A second Triton with models and a number of its own, otherwise as the first; the gateway knows and reaches both."""
    objects = {(each["kind"], each["metadata"]["name"]): each for each in render(EVERYTHING)}
    first, second = (
        objects["Deployment", f"demo-vitrine-{name}"]["spec"] for name in ("triton", "triton-next")
    )
    ours, theirs = (each["template"]["spec"]["containers"][0] for each in (first, second))
    assert theirs["image"] == "vitrine/triton:next"
    assert {name: theirs[name] for name in theirs if name != "image"} == {
        name: ours[name] for name in ours if name != "image"
    }
    claims = [volume.get("persistentVolumeClaim") for volume in second["template"]["spec"]["volumes"]]
    assert {"claimName": "next-plans", "readOnly": True} in claims
    assert second["replicas"] == 2
    labels = second["template"]["metadata"]["labels"].items()
    assert not objects["Service", "demo-vitrine-triton"]["spec"]["selector"].items() <= labels
    assert objects["Service", "demo-vitrine-triton-next"]["spec"]["selector"].items() <= labels
    known = objects["ConfigMap", "demo-vitrine-gateway"]["data"]
    assert known["GATEWAY_TRITON_NEXT"] == "demo-vitrine-triton-next:8001"
    egress = objects["NetworkPolicy", "demo-vitrine-gateway"]["spec"]["egress"]
    peers = [
        peer["podSelector"]["matchLabels"] for rule in egress for peer in rule["to"] if "podSelector" in peer
    ]
    assert "triton-next" in {peer["app.kubernetes.io/component"] for peer in peers}


def test_without_other_encoders_there_is_no_second_triton(render: Any) -> None:
    """Nothing of it is rendered, and the gateway knows of none."""
    rendered = render(LEAST)
    assert not [each for each in rendered if "triton-next" in each["metadata"]["name"]]
    (config,) = [
        each for each in rendered if each["kind"] == "ConfigMap" and "GATEWAY_TRITON" in each["data"]
    ]
    assert "GATEWAY_TRITON_NEXT" not in config["data"]


def test_a_roll_back_to_other_encoders_puts_their_index_back(render: Any, problems: Any) -> None:
    """The Job of the older revision asks for it before it writes, by the same way and as the same caller.

    Encoders are built for, swapped in and rolled back by one Job: its name tells the encoders, and an older revision's is
    made again.
    """
    index = {"enabled": True, "catalogue": {"existingClaim": "c"}, "tokenSecret": {"name": "t"}}
    old = LEAST | {"index": index | {"rebuildIfStale": True}}
    new = old | {"triton": {"next": {"enabled": True, "image": {"tag": "next"}}}}

    def job(values: dict[str, Any]) -> Any:
        objects = render(values)
        assert problems(objects) == []
        (found,) = [each for each in objects if each["kind"] == "Job"]
        return found

    assert job(old)["metadata"]["name"] != job(new)["metadata"]["name"]
    assert job(old) == job(old)
    pod = job(old)["spec"]["template"]["spec"]
    (restore,), (index_container,) = pod["initContainers"], pod["containers"]
    assert restore["args"][:2] == ["restore", "--if-unserved"]
    shared = ("image", "env", "volumeMounts", "securityContext")
    assert {name: restore[name] for name in shared} == {name: index_container[name] for name in shared}
    assert "initContainers" not in job(LEAST | {"index": index})["spec"]["template"]["spec"]


@pytest.mark.parametrize("name", ["restore", "index"])
def test_the_command_line_knows_the_arguments_of_the_job(render: Any, name: str) -> None:
    """With nobody at the address it waits, and fails there, and not over its arguments or its environment."""
    values = LEAST | {"index": {"enabled": True, "rebuildIfStale": True, "catalogue": {"existingClaim": "c"},
                                "tokenSecret": {"name": "t"}, "waitSeconds": 1}, "access": {"open": ["anybody-may-call"]}}  # fmt: skip
    (job,) = [each for each in render(values) if each["kind"] == "Job"]
    pod = job["spec"]["template"]["spec"]
    (container_of_it,) = [
        each for each in [*pod["initContainers"], *pod["containers"]] if each["name"] == name
    ]
    args = [
        "--address=127.0.0.1:1"
        if each.startswith("--address")
        else "--wait=0.01"
        if each.startswith("--wait")
        else each
        for each in container_of_it["args"]
    ]
    run = CliRunner(env={"VITRINE_TOKEN_FILE": "", "VITRINE_TOKEN_IN_CLEAR": "1"}).invoke(
        vitrine.cli.main, args
    )
    assert (run.exit_code, "no service at 127.0.0.1:1" in run.stderr) == (3, True)


def test_plans_are_built_on_the_gpu_and_served_from_the_claim(render: Any, problems: Any) -> None:
    """One Job with a GPU writes where Triton reads; it calls nobody."""
    plans = {"enabled": True, "existingClaim": "plans", "path": "l4/26.07"}
    there = {"existingClaim": "plans", "path": "l4/26.07"}
    objects = render(
        LEAST | {"plans": plans, "triton": {"next": {"enabled": True, "modelRepository": there}}}
    )
    assert problems(objects) == []
    (job,) = [each for each in objects if each["kind"] == "Job"]
    pod = job["spec"]["template"]["spec"]
    (builder,) = pod["containers"]
    assert builder["resources"]["limits"]["nvidia.com/gpu"] == 1
    environment = {each["name"]: each["value"] for each in builder["env"]}
    assert environment["REPOSITORY"] == "/models/l4/26.07"
    assert {"name": "models", "persistentVolumeClaim": {"claimName": "plans"}} in pod["volumes"]
    mounts = container(objects, "triton-next")["volumeMounts"]
    assert {"name": "models", "mountPath": "/models", "subPath": "l4/26.07", "readOnly": True} in mounts
    assert egress(objects, "plans") == {}
    other = render(LEAST | {"plans": plans | {"precision": "fp32"}})
    assert [each["metadata"]["name"] for each in other if each["kind"] == "Job"] != [job["metadata"]["name"]]
    with pytest.raises(helm_python.HelmError, match=r"plans\.existingClaim and plans.path are needed"):
        render(LEAST | {"plans": {"enabled": True}})


@pytest.mark.parametrize("precision", ["fp16", "fp32"])
def test_the_export_knows_the_arguments_of_the_plans(render: Any, precision: str) -> None:
    """Every line of the Job's script is a command of the export, with options that it has."""
    plans = {"enabled": True, "existingClaim": "plans", "path": "l4", "precision": precision}
    (job,) = [each for each in render(LEAST | {"plans": plans}) if each["kind"] == "Job"]
    (script,) = job["spec"]["template"]["spec"]["containers"][0]["args"]
    commands = [shlex.split(line)[3:] for line in script.splitlines()]
    assert [command[0] for command in commands] == [
        "onnx", *(["quantize"] if precision == "fp16" else []), "tensorrt", "publish",
    ]  # fmt: skip
    for name, *options in commands:
        command = export.cli.main.commands[name]
        command.make_parser(click.Context(command)).parse_args(options)
    graphs = {command[0]: dict(zip(command[1::2], command[2::2], strict=True)) for command in commands}
    made = graphs["quantize"]["--out"] if precision == "fp16" else graphs["onnx"]["--graphs"]
    assert graphs["tensorrt"]["--graphs"] == made
    assert graphs["tensorrt"]["--plans"] == graphs["publish"]["--plans"]
