"""A pool of connections to a Redis: bounded, each step in its time, TLS where the URL asks for it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypedDict, Unpack

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import SSLConnection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.credentials import CredentialProvider

from vitrine.channels import Tls
from vitrine.process.secrets import Secret

_CONNECTIONS = 64


class RedisAccess(TypedDict, total=False):
    """How a Redis is spoken to; each may be left out."""

    tls: Tls | None
    """Whom to trust, where the URL is rediss://, which is TLS."""
    current: Secret
    """Gives the URL as it is now: each new connection takes user and password from it, and nothing else."""


@asynccontextmanager
async def open_redis(url: str, *, timeout_s: float, **access: Unpack[RedisAccess]) -> AsyncIterator["Redis"]:
    """Open a Redis at redis://, rediss:// or unix://; one that is not there yet may come. `timeout_s` bounds each wait of a step."""
    current = access.get("current")
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=_CONNECTIONS,
        timeout=timeout_s,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        **_tls_options(url, access.get("tls")),
        retry=Retry(NoBackoff(), 1),  # a connection that a restarted server forgot is made anew, once
    )
    if pool.connection_class is SSLConnection:
        pool.connection_class = _Followed
    if current is not None and pool.connection_kwargs.pop("password", ""):
        pool.connection_kwargs.pop("username", "")
        pool.connection_kwargs["credential_provider"] = _Credentials(current)
    async with Redis.from_pool(pool) as client:
        yield client


class _Followed(SSLConnection):
    """Reads the files of TLS whenever it connects, and not once for all time."""

    def _connection_arguments(self) -> Any:
        self.ssl_context.context = None
        return super()._connection_arguments()


class _Credentials(CredentialProvider):
    """User and password of the URL as it is now."""

    def __init__(self, url: Secret) -> None:
        self._url = url

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        """Return the password alone where the URL names no user."""
        named: dict[str, Any] = dict(parse_url(self._url()))
        password = str(named.get("password", ""))
        return (str(named["username"]), password) if named.get("username") else (password,)

    async def get_credentials_async(self) -> tuple[str] | tuple[str, str]:
        """As above."""
        return self.get_credentials()


def _tls_options(url: str, tls: Tls | None) -> dict[str, Any]:
    if not url.startswith("rediss://"):
        return {}
    files = Tls() if tls is None else tls
    options: dict[str, Any] = {
        "ssl_ca_certs": files.ca,
        "ssl_certfile": files.cert,
        "ssl_keyfile": files.key,
        "ssl_cert_reqs": "required",
        "ssl_check_hostname": True,
    }
    return {name: str(value) if isinstance(value, Path) else value for name, value in options.items()}
