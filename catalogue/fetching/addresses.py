"""Connections to public addresses alone, or to hosts that are allowed by name.

A host's addresses are resolved once, all of them are checked, and the connection is made to one that was checked: a
name that resolves to something else a moment later changes nothing.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Iterable

import httpcore

_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class FetchError(Exception):
    """A picture cannot be fetched; the message says why."""


class PublicBackend(httpcore.AsyncNetworkBackend):
    """Opens connections for httpcore, to addresses that are public or to hosts that are allowed by name."""

    def __init__(self, allowed_hosts: frozenset[str]) -> None:
        self._allowed = allowed_hosts
        self._backend = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first of the host's addresses that answers; refuse all of them where one is not public."""
        try:
            async with asyncio.timeout(timeout):
                addresses = await _resolve(host, port)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(f"{host} is not resolved in time") from error
        if host.casefold() not in self._allowed:
            for address in addresses:
                check_public(host, address)
        failure: Exception | None = None
        for address in addresses:
            try:
                return await self._backend.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure or httpcore.ConnectError(f"{host} has no address")

    async def sleep(self, seconds: float) -> None:
        """Wait, between httpcore's own tries."""
        await self._backend.sleep(seconds)


def check_public(host: str, address: str) -> None:
    """Raise FetchError for an address that is private, loopback, link-local, multicast or reserved."""
    if not is_public(address):
        raise FetchError(
            f"{host} has the address {address}, which is not public; --allow-host {host} allows it"
        )


def is_public(address: str) -> bool:
    """Whether an address belongs to the public Internet, and so does the one inside it that it stands for."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified)


async def _resolve(host: str, port: int) -> list[str]:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise FetchError(f"{host} is not known") from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))
