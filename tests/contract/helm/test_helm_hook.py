"""`helm test`: the Pod that it runs, whom it reaches, and that it runs a command that there is."""

from typing import Any

import click
import helm_python
import pytest

from vitrine.commands.check import check

LEAST: dict[str, Any] = {
    "milvus": {"uri": "http://milvus.search.svc:19530"},
    "access": {"callers": {"name": "callers"}, "tls": {"secret": "gateway-tls"}},
    "test": {"enabled": True, "tokenSecret": {"name": "test-token"}},
}


def hook(objects: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the Pod of the hook."""
    (found,) = [each for each in objects if each["kind"] == "Pod"]
    assert found["metadata"]["annotations"]["helm.sh/hook"] == "test"
    return found


@pytest.mark.parametrize("write", [True, False])
def test_the_hook_runs_a_command_of_the_client(render: Any, problems: Any, *, write: bool) -> None:
    """Its arguments and its environment are what `vitrine check` takes, at the two Services of the gateway."""
    values = {"write": write, "timeoutSeconds": 7, "clientSecret": "test-client"}
    objects = render(LEAST | {"test": LEAST["test"] | values})
    assert problems(objects) == []
    (container,) = hook(objects)["spec"]["containers"]
    name, *arguments = container["args"]
    assert name == "check"
    parsed = check.make_context(name, arguments).params
    services = {
        each["metadata"]["name"]: each["spec"]["ports"] for each in objects if each["kind"] == "Service"
    }
    for option, port in (("address", 7700), ("catalogue_address", 7702)):
        host, _, asked = parsed[option].partition(":")
        assert int(asked) == port
        assert port in {each["port"] for each in services[host]}
    assert (parsed["write"], parsed["timeout"]) == (write, 7)
    variables = {each["name"] for each in container["env"]} - {"HOME"}
    assert variables == {"VITRINE_TOKEN_FILE", "VITRINE_CA", "VITRINE_CERT", "VITRINE_KEY"}
    assert variables <= {each.envvar for each in check.params if isinstance(each, click.Option)}


def test_the_hook_is_let_through_and_nobody_else_with_it(render: Any) -> None:
    """The gateway lets it in at both ports whatever its own policy says; nobody calls it, and it calls nobody else."""
    objects = render(
        LEAST | {"networkPolicy": {"clients": [{"podSelector": {"matchLabels": {"app": "shop"}}}]}}
    )
    policies = {each["metadata"]["name"]: each["spec"] for each in objects if each["kind"] == "NetworkPolicy"}
    own, gateways = policies["demo-vitrine-test"], policies["demo-vitrine-gateway-from-test"]
    labels = hook(objects)["metadata"]["labels"].items()
    assert own["podSelector"]["matchLabels"].items() <= labels
    assert own["ingress"] == []
    assert [port["port"] for rule in own["egress"] for port in rule["ports"] if port["port"] != 53] == [
        7700,
        7702,
    ]
    (rule,) = gateways["ingress"]
    (peer,) = rule["from"]
    assert peer["podSelector"]["matchLabels"].items() <= labels
    gateway = next(
        each
        for each in objects
        if each["metadata"]["name"] == "demo-vitrine-gateway" and each["kind"] == "Deployment"
    )
    assert (
        gateways["podSelector"]["matchLabels"].items()
        <= gateway["spec"]["template"]["metadata"]["labels"].items()
    )


def test_a_token_is_asked_for_where_callers_are(render: Any) -> None:
    """A hook that cannot pass is not installed."""
    with pytest.raises(helm_python.HelmError, match=r"test\.tokenSecret\.name is needed"):
        render(LEAST | {"test": {"enabled": True}})
    objects = render(LEAST | {"access": {"open": ["anybody-may-call"]}, "test": {"enabled": True}})
    (container,) = hook(objects)["spec"]["containers"]
    assert [each["name"] for each in container["env"]] == ["HOME"]
