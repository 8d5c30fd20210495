"""A gateway that others may reach asks who they are, or was told in words not to."""

import pytest

from gateway.edge.methods import NEEDS
from gateway.settings import Settings
from vitrine.addresses import is_local
from vitrine.process.settings import InvalidSettings
from vitrine.v1 import (
    campaigns_pb2,
    catalogue_pb2,
    data_pb2,
    documents_pb2,
    feedback_pb2,
    moderation_pb2,
    report_pb2,
    search_pb2,
)

EVERYWHERE = "0.0.0.0:7700"
SAFE = {
    "listen": EVERYWHERE,
    "catalogue_listen": "0.0.0.0:7702",
    "callers": "callers.toml",
    "tls_cert": "tls.crt",
    "tls_key": "tls.key",
}


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("127.0.0.1:7700", True),
        ("127.8.0.1:0", True),
        ("localhost:7700", True),
        ("[::1]:7700", True),
        ("ipv4:127.0.0.1:7700", True),
        ("dns:///localhost:7700", True),
        ("unix:/run/vitrine.sock", True),
        ("0.0.0.0:7700", False),
        ("[::]:7700", False),
        (":7700", False),
        ("7700", False),
        ("", False),
        ("10.0.0.1:7700", False),
        ("127.0.0.1.example.com:7700", False),
        ("localhost.example.com:7700", False),
        ("gateway:7700", False),
        ("ipv4:127.0.0.1:7700,127.0.0.1:7701", True),
        ("ipv4:127.0.0.1:7700,10.0.0.1:7700", False),
        ("127.0.0.1", False),
    ],
)
def test_loopback_is_told_from_everywhere_else(address: str, *, local: bool) -> None:
    """What is not plainly this machine's own counts as reachable."""
    assert is_local(address) is local


def test_loopback_needs_nobodys_word() -> None:
    """The defaults start, and so does a gateway that others reach safely."""
    assert Settings().callers == ""
    assert Settings(**SAFE).listen == EVERYWHERE
    assert Settings(**SAFE | {"catalogue_listen": "127.0.0.1:7702"}).listen == EVERYWHERE


@pytest.mark.parametrize(
    ("less", "more", "complaint"),
    [
        (
            ["callers"],
            {},
            "GATEWAY_CALLERS must name the file of callers, since 0.0.0.0:7700 and 0.0.0.0:7702 can be",
        ),
        (["catalogue_listen"], {}, "GATEWAY_CATALOGUE_LISTEN must be an address of its own"),
        (["tls_cert", "tls_key"], {}, "GATEWAY_TLS_CERT and GATEWAY_TLS_KEY must be set"),
        (["tls_key"], {}, "GATEWAY_TLS_CERT and GATEWAY_TLS_KEY go together"),
        ([], {"open": "yes"}, "GATEWAY_OPEN does not know yes"),
        ([], {"open": "anybody-may-call;tokens-in-clear"}, "GATEWAY_OPEN does not know"),
        (["callers"], {"listen": "127.0.0.1:1"}, "since 0.0.0.0:7702 can be reached"),
        (["callers"], {"open": "tokens-in-clear"}, "GATEWAY_CALLERS must name the file of callers"),
        ([], {"client_cert": "c"}, "GATEWAY_CLIENT_CERT and GATEWAY_CLIENT_KEY go together"),
        ([], {"mesh_proxies": "127.0.0.1/8"}, "GATEWAY_MESH_PROXIES must be networks"),
        (
            [],
            {"milvus": "http://root:s3cret@milvus:19530"},
            "GATEWAY_MILVUS must hold no user and no password",
        ),
        ([], {"milvus_token": "s3cret", "milvus_token_file": "f"}, "exclude each other"),
        ([], {"sessions": "redis://:s3cret@r", "sessions_file": "f"}, "exclude each other"),
    ],
)
def test_what_would_be_open_by_mistake_does_not_start(
    less: list[str], more: dict[str, str], complaint: str
) -> None:
    """Each opening is refused by name; no message holds a secret."""
    values = {name: value for name, value in SAFE.items() if name not in less} | more
    with pytest.raises(InvalidSettings) as refused:
        Settings(**values)
    assert complaint in str(refused.value)
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize("name", ["tls_client_ca", "mesh_header"])
def test_who_says_who_calls_needs_the_file_that_says_what_they_may(name: str) -> None:
    """A certificate or a mesh alone gives a name and no scopes."""
    values = {"tls_cert": "c", "tls_key": "k", name: "x"}
    with pytest.raises(InvalidSettings, match=f"GATEWAY_{name.upper()} needs GATEWAY_CALLERS"):
        Settings(**values)


def test_what_is_said_in_words_starts() -> None:
    """Each word opens what it names, and a mesh that encrypts needs no TLS of the gateway's own."""
    Settings(listen=EVERYWHERE, open="anybody-may-call,writes-beside-searches")
    Settings(listen=EVERYWHERE, catalogue_listen="0.0.0.0:7702", callers="c", open="tokens-in-clear")
    Settings(listen=EVERYWHERE, catalogue_listen="0.0.0.0:7702", callers="c", mesh_header="l5d-client-id")


def test_secrets_are_in_no_settings_text() -> None:
    """What a traceback or a log would show of the settings holds no token and no password."""
    shown = repr(Settings(milvus_token="s3cret", sessions="redis://:s3cret@host"))
    assert "s3cret" not in shown


def test_every_method_says_what_it_needs() -> None:
    """The table of scopes has every method of the API and no other."""
    methods = {
        method.full_name
        for module in (
            search_pb2,
            catalogue_pb2,
            data_pb2,
            documents_pb2,
            feedback_pb2,
            report_pb2,
            moderation_pb2,
            campaigns_pb2,
        )
        for service in module.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }
    assert methods == NEEDS.keys()
