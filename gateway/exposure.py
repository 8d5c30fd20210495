"""Whether a gateway may be reached as its settings say: what is open to others is so because somebody wrote it down."""

import ipaddress
from typing import TYPE_CHECKING

from vitrine.addresses import is_local
from vitrine.process.settings import InvalidSettings, check_no_password

if TYPE_CHECKING:
    from gateway.settings import Settings

ANYBODY_CALLS = "anybody-may-call"
"""Nobody is asked who they are beyond loopback."""
WRITES_WITH_SEARCHES = "writes-beside-searches"
"""The listener of searches takes writes beyond loopback."""
TOKENS_IN_CLEAR = "tokens-in-clear"
"""Tokens, and all else, cross the network without TLS of the gateway's own."""

WORDS = (ANYBODY_CALLS, WRITES_WITH_SEARCHES, TOKENS_IN_CLEAR)
"""What GATEWAY_OPEN may say, with commas between: each names what it opens, so that it cannot be said by mistake."""


def opened(settings: "Settings") -> frozenset[str]:
    """Return the words of the setting `open`; raises InvalidSettings for any other."""
    words = frozenset(word.strip() for word in settings.open.split(",") if word.strip())
    if unknown := sorted(words - set(WORDS)):
        raise InvalidSettings(f"GATEWAY_OPEN does not know {', '.join(unknown)}: it knows {', '.join(WORDS)}")
    return words


def check_access(settings: "Settings") -> None:
    """Hold the settings of who may call, and of secrets, against each other; raises InvalidSettings."""
    check_no_password("GATEWAY_MILVUS", settings.milvus, instead="GATEWAY_MILVUS_TOKEN_FILE")
    if settings.milvus_token and settings.milvus_token_file:
        raise InvalidSettings("GATEWAY_MILVUS_TOKEN and GATEWAY_MILVUS_TOKEN_FILE exclude each other")
    if settings.sessions != "memory" and settings.sessions_file:
        raise InvalidSettings("GATEWAY_SESSIONS and GATEWAY_SESSIONS_FILE exclude each other")
    for name in ("EVENTS", "CAMPAIGNS"):
        if getattr(settings, name.lower()) and getattr(settings, f"{name.lower()}_file"):
            raise InvalidSettings(f"GATEWAY_{name} and GATEWAY_{name}_FILE exclude each other")
    for pair in (("tls_cert", "tls_key"), ("client_cert", "client_key")):
        if len({bool(getattr(settings, name)) for name in pair}) > 1:
            raise InvalidSettings(" and ".join(f"GATEWAY_{name.upper()}" for name in pair) + " go together")
    if settings.tls_client_ca and not settings.tls_cert:
        raise InvalidSettings("GATEWAY_TLS_CLIENT_CA needs GATEWAY_TLS_CERT")
    _check_callers(settings)
    _check_exposure(settings)


def mesh_networks(text: str) -> "tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]":
    """Read networks with commas between; raises InvalidSettings."""
    try:
        return tuple(ipaddress.ip_network(each.strip()) for each in text.split(",") if each.strip())
    except ValueError as error:
        raise InvalidSettings(f"GATEWAY_MESH_PROXIES must be networks such as 127.0.0.0/8: {error}") from None


def _check_exposure(settings: "Settings") -> None:
    """Raise InvalidSettings where the gateway would be open to others and nobody said that it should."""
    words = opened(settings)
    addresses = (settings.listen, settings.own_listen, settings.catalogue_listen)
    reachable = [each for each in addresses if each and not is_local(each)]
    where = " and ".join(reachable)
    if reachable and not settings.callers and ANYBODY_CALLS not in words:
        raise InvalidSettings(
            f"GATEWAY_CALLERS must name the file of callers, since {where} can be reached from elsewhere: whoever reaches it could"
            f" search, write and delete. GATEWAY_OPEN={ANYBODY_CALLS} says that this is meant"
        )
    if not settings.catalogue_listen and reachable and WRITES_WITH_SEARCHES not in words:
        raise InvalidSettings(
            f"GATEWAY_CATALOGUE_LISTEN must be an address of its own, since {where} can be reached from elsewhere:"
            f" whoever may reach the search could try to write. GATEWAY_OPEN={WRITES_WITH_SEARCHES} says that this is meant"
        )
    in_clear = settings.callers and not settings.tls_cert and not settings.mesh_header
    if reachable and in_clear and TOKENS_IN_CLEAR not in words:
        raise InvalidSettings(
            f"GATEWAY_TLS_CERT and GATEWAY_TLS_KEY must be set, since {where} can be reached from elsewhere: tokens would go in clear."
            f" GATEWAY_OPEN={TOKENS_IN_CLEAR} says that this is meant, as where a mesh or a proxy encrypts"
        )


def _check_callers(settings: "Settings") -> None:
    """Raise InvalidSettings where something says who calls, and no file says what that caller may do."""
    for name in ("tls_client_ca", "mesh_header"):
        if getattr(settings, name) and not settings.callers:
            raise InvalidSettings(
                f"GATEWAY_{name.upper()} needs GATEWAY_CALLERS, which says what each caller may do"
            )
    mesh_networks(settings.mesh_proxies)
