"""What the chart promises of access: ports of their own, policies between them, Secrets as files."""

from typing import Any

from .test_helm_chart import EVERYTHING, LEAST


def of_gateway(found: dict[str, Any]) -> bool:
    return bool(found["metadata"]["labels"]["app.kubernetes.io/component"] == "gateway")


def test_the_catalogue_has_a_port_of_its_own_that_the_job_alone_reaches(render: Any) -> None:
    """Clients reach the port of searches, the Job and the named writers that of the catalogue, each by its own Service."""

    def ingress(values: dict[str, Any]) -> dict[str, Any]:
        found = {o["metadata"]["name"]: o for o in render(values) if o["kind"] == "NetworkPolicy"}
        rules = found["demo-vitrine-gateway"]["spec"]["ingress"]
        return {rule["ports"][0]["port"]: rule.get("from") for rule in rules}

    job = {"app.kubernetes.io/component": "index"}
    writers = EVERYTHING["networkPolicy"]["writers"]
    open_ports = ingress(EVERYTHING)
    assert open_ports["grpc"] == EVERYTHING["networkPolicy"]["clients"]
    assert job.items() <= open_ports["catalogue"][0]["podSelector"]["matchLabels"].items()
    assert open_ports["catalogue"][1:] == writers
    assert ingress(LEAST).keys() == {"grpc", "metrics"}
    services = {
        o["metadata"]["name"]: o["spec"]["ports"] for o in render(EVERYTHING) if o["kind"] == "Service"
    }
    assert [port["port"] for port in services["demo-vitrine-gateway"]] == [7700]
    assert [port["port"] for port in services["demo-vitrine-catalogue"]] == [7702]


def test_secrets_are_mounted_and_never_in_a_configuration_or_a_command(render: Any) -> None:
    """Every Secret is a read-only volume; what a ConfigMap, an argument and a variable hold is its path."""
    objects = render(EVERYTHING)
    gateway_pod = next(
        o["spec"]["template"]["spec"] for o in objects if o["kind"] == "Deployment" and of_gateway(o)
    )
    mounted = {v["name"]: v["secret"]["secretName"] for v in gateway_pod["volumes"] if "secret" in v}
    assert mounted == {
        "callers": "callers", "campaigns": "campaigns", "client": "gateway-client", "events": "events", "milvus": "milvus", "sessions": "redis",
        "tls": "gateway-tls", "trust": "trust",
    }  # fmt: skip
    settings = next(o["data"] for o in objects if o["kind"] == "ConfigMap" and of_gateway(o))
    assert settings["GATEWAY_MILVUS_TOKEN_FILE"] == "/etc/vitrine/milvus/token"
    assert settings["GATEWAY_TLS_CLIENT_CA"] == "/etc/vitrine/tls/ca.crt"
    assert settings["GATEWAY_SESSIONS_CA"] == "/etc/vitrine/trust/s.crt"
    job = next(o["spec"]["template"]["spec"] for o in objects if o["kind"] == "Job")
    (container,) = job["containers"]
    assert {each["name"]: each["value"] for each in container["env"]} == {
        "HOME": "/tmp",
        "VITRINE_SERVER_NAME": "demo-vitrine-catalogue",
        "VITRINE_TOKEN_FILE": "/etc/vitrine/token/token",
        "VITRINE_CA": "/etc/vitrine/ca/ca.crt",
        "VITRINE_CERT": "/etc/vitrine/client/tls.crt",
        "VITRINE_KEY": "/etc/vitrine/client/tls.key",
    }
    (authority,) = [v for v in job["volumes"] if v["name"] == "ca"]
    assert authority["secret"]["items"] == [{"key": "ca.crt", "path": "ca.crt"}]


def test_searches_alone_are_opened_to_the_outside(render: Any, problems: Any) -> None:
    """An Ingress and a GRPCRoute lead to the port of searches; a controller is told how it speaks."""
    door = {
        "ingress": {"enabled": True, "host": "search.example.com", "tlsSecret": "web", "className": "nginx"},
        "route": {"enabled": True, "parents": [{"name": "public"}], "hostnames": ["search.example.com"]},
    }
    objects = render(LEAST | {"gateway": door})
    assert problems(objects) == []
    by_kind = {each["kind"]: each for each in objects}
    ingress = by_kind["Ingress"]
    assert ingress["metadata"]["annotations"] == {"nginx.ingress.kubernetes.io/backend-protocol": "GRPCS"}
    (path,) = ingress["spec"]["rules"][0]["http"]["paths"]
    assert path["backend"]["service"] == {"name": "demo-vitrine-gateway", "port": {"name": "grpc"}}
    (backend,) = by_kind["GRPCRoute"]["spec"]["rules"][0]["backendRefs"]
    assert backend == {"name": "demo-vitrine-gateway", "port": 7700}
    assert not {"Ingress", "GRPCRoute", "Certificate"} & {each["kind"] for each in render(LEAST)}


def test_cert_manager_fills_the_secret_that_the_gateway_mounts(render: Any) -> None:
    """The certificate has the names of both Services, and those that are asked for."""
    tls = {"secret": "gateway-tls", "issuer": {"name": "internal"}, "moreNames": ["search.example.com"]}
    objects = render(LEAST | {"access": {"callers": {"name": "callers"}, "tls": tls}})
    (certificate,) = [each["spec"] for each in objects if each["kind"] == "Certificate"]
    assert certificate["secretName"] == "gateway-tls"
    assert certificate["issuerRef"] == {
        "name": "internal",
        "kind": "ClusterIssuer",
        "group": "cert-manager.io",
    }
    services = {
        f"{each['metadata']['name']}.prod.svc"
        for each in objects
        if each["kind"] == "Service" and each["spec"].get("clusterIP") != "None"
    }
    assert services | {"search.example.com"} <= set(certificate["dnsNames"])
