"""A pool of connections to a Redis: bounded, each step in its time, TLS where the URL asks for it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from vitrine.channels import Tls

_CONNECTIONS = 64


@asynccontextmanager
async def open_redis(url: str, *, timeout_s: float, tls: Tls | None) -> AsyncIterator["Redis"]:
    """Open a Redis at redis://, rediss:// or unix://; one that is not there yet may come.

    rediss:// is TLS; `tls` says whom to trust. `timeout_s` bounds each wait of a step.
    """
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=_CONNECTIONS,
        timeout=timeout_s,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        **_tls_options(url, tls),
        retry=Retry(NoBackoff(), 1),  # a connection that a restarted server forgot is made anew, once
    )
    async with Redis.from_pool(pool) as client:
        yield client


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
