"""The page of the chart: off by default, and with it the arrows, the access and the settings that it needs."""

import dataclasses
from typing import Any

import helm_python
import pytest

from storefront.settings import Settings

from .test_helm_chart import LEAST, SCHEMA
from .test_helm_reach import TABLE, VALUES, arrows, many
from .test_helm_safety import container, named

PAGE: dict[str, Any] = {
    "enabled": True,
    "hosts": ["shop.example.com", "www.example.com"],
    "tokenSecret": {"name": "page", "key": "token"},
    "pictures": {"existingClaim": "catalogue", "path": "spring"},
}
TLS = {
    "access": {"callers": {"name": "callers"}, "tls": {"secret": "gateway-tls", "clientCertificates": True}}
}
CHART_OWNED = {
    "listen", "gateway", "gateway_ca", "gateway_cert", "gateway_key", "gateway_token_file", "tls_cert", "tls_key", "pictures", "hosts",
    "traces", "trace_share",
}  # fmt: skip


def rendered(render: Any, **page: Any) -> Any:
    """Return the objects of a release with TLS and the page."""
    return render(LEAST | TLS | {"storefront": PAGE | page})


def settings_of(objects: Any) -> Settings:
    """Return what the page reads in its environment."""
    return Settings.from_env(named(objects, "ConfigMap", "storefront")["data"])


def test_without_it_nothing_of_it_is_there(render: Any) -> None:
    """Neither an object nor a word of it in one."""
    assert "storefront" not in str(render(LEAST))


def test_the_page_fits_together(render: Any, problems: Any) -> None:
    """Every object is valid, with an ingress for each name, and the claim of pictures is mounted where the page looks."""
    objects = rendered(render, ingress={"enabled": True, "tlsSecret": "page-tls"}, clientSecret="page-client")
    assert problems(objects) == []
    read = settings_of(objects)
    assert read.host_names == {"shop.example.com", "www.example.com"}
    assert (read.listen, str(read.pictures)) == ("0.0.0.0:7730", "/pictures/spring")
    mounts = {each["mountPath"]: each for each in container(objects, "storefront")["volumeMounts"]}
    assert mounts["/pictures"]["readOnly"] is True
    for file in (read.gateway_token_file, read.gateway_ca, read.gateway_cert, read.gateway_key):
        assert file.rpartition("/")[0] in mounts, file
    assert read.gateway == "demo-vitrine-gateway:7700"
    ingress = named(objects, "Ingress", "storefront")["spec"]
    assert {rule["host"] for rule in ingress["rules"]} == read.host_names


@pytest.mark.parametrize(("secret", "scheme"), [("", "HTTP"), ("page-tls", "HTTPS")])
def test_probes_ask_for_the_page_by_a_name_that_it_answers(render: Any, secret: str, scheme: str) -> None:
    """By the address of the pod it would be refused, and over the wrong protocol not understood."""
    objects = rendered(render, tls={"secret": secret})
    for kind in ("readiness", "liveness"):
        asked = container(objects, "storefront")[f"{kind}Probe"]["httpGet"]
        (header,) = asked["httpHeaders"]
        assert (asked["path"], asked["scheme"], header["name"]) == ("/", scheme, "Host")
        assert header["value"] in settings_of(objects).host_names
    assert bool(settings_of(objects).tls_cert) is bool(secret)


def test_the_page_reaches_the_gateways_searches_and_no_more(render: Any) -> None:
    """Who may reach the page is said, as for the gateway; the page never reaches the catalogue or the engines."""
    ingress = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}}}]
    policy = VALUES["networkPolicy"] | {"browsers": ingress}
    added = (
        many("shop feed", "storefront", "http")
        | many("storefront", "gateway", "grpc")
        | many("storefront", "collector", "otlp")
        | {("storefront", "dns", "dns"), ("storefront", "node dns", "dns")}
    )
    values = VALUES | {"storefront": PAGE, "networkPolicy": policy}
    assert arrows(render(values)) == TABLE | added
    opened = arrows(render(values | {"networkPolicy": policy | {"browsers": []}})) - TABLE - added
    assert {(called, port) for _, called, port in opened} == {("storefront", "http")}


def test_the_schema_knows_the_pages_settings(render: Any) -> None:
    """Those that values may carry are those of its Settings that the chart does not make itself, with their types."""
    kinds: dict[Any, str] = {int: "integer", float: "number"}
    described = SCHEMA["properties"]["storefront"]["properties"]["settings"]["properties"]
    fields = {each.name: kinds.get(each.type) for each in dataclasses.fields(Settings)}
    assert {name: node["type"] for name, node in described.items()} == {
        name: kind for name, kind in fields.items() if name not in CHART_OWNED
    }
    assert settings_of(rendered(render, settings={"max_uploads": 3})).max_uploads == 3


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (TLS | {"storefront": PAGE | {"hosts": []}}, r"storefront\.hosts is needed"),
        (TLS | {"storefront": PAGE | {"tokenSecret": {"name": ""}}}, r"storefront\.tokenSecret\.name is needed"),
        (TLS | {"storefront": PAGE | {"replicas": 2}}, r"storefront\.replicas above 1 needs gateway\.sessions"),
        (TLS | {"storefront": PAGE | {"ingress": {"enabled": True}}}, r"storefront\.ingress\.tlsSecret is needed"),
        (
            {"access": {"callers": {"name": "c"}, "open": ["tokens-in-clear"]}, "storefront": PAGE},
            r"storefront\.tokenSecret and clientSecret need access\.tls\.secret",
        ),
        (TLS | {"storefront": PAGE | {"hosts": ["shop.example.com:443"]}}, "/storefront/hosts"),
        (TLS | {"storefront": PAGE | {"pictures": {"path": "../x"}}}, "/storefront/pictures/path"),
        (TLS | {"storefront": PAGE | {"settings": {"listen": "x"}}}, "/storefront/settings"),
    ],
)  # fmt: skip
def test_what_would_fail_later_is_refused_with_the_way_out(render: Any, values: Any, said: str) -> None:
    """Names, a token, where it goes, where conversations are kept."""
    with pytest.raises(helm_python.HelmError, match=said):
        render(LEAST | values)
