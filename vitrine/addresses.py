"""Addresses of gRPC: whether one can be reached from another machine."""

import ipaddress

_UNIX = ("unix:", "unix-abstract:")
_SCHEMES = ("ipv4:", "ipv6:", "dns:///", "dns:")


def is_local(address: str) -> bool:
    """Return whether an address is loopback or a unix socket; what cannot be read counts as reachable by anybody.

    Of a list of addresses, with commas between, each must be.
    """
    if address.startswith(_UNIX):
        return True
    for scheme in _SCHEMES:
        address = address.removeprefix(scheme)
    return all(map(_is_local, address.split(",")))


def is_local_host(host: str) -> bool:
    """Return whether a host's name or number is this machine's own."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_local(address: str) -> bool:
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal():
        return False
    return is_local_host(host.removeprefix("[").removesuffix("]"))
