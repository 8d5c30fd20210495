"""Puts the endpoints behind the guards and serves them until SIGTERM."""

import asyncio
import logging
import signal

from aiohttp import web

from storefront.bridge import Bridge, page_routes
from storefront.forms import MAX_BODY_BYTES
from storefront.guards import (
    add_headers,
    answer_malformed_requests,
    limit_work,
    require_own_page,
    translate_errors,
)
from storefront.settings import Settings
from vitrine.client import VitrineClient

KEEPALIVE_S = 30.0
"""After which a connection without a request is closed."""

SHUTDOWN_S = 5.0
"""For requests at work when the process is told to end."""

LOGGER = logging.getLogger("storefront")


async def application(settings: Settings) -> web.Application:
    """Make the application, with a client of the gateway that closes with it."""
    answer_malformed_requests()
    client = VitrineClient(settings.gateway, timeout_s=settings.call_timeout_s)

    async def close(_: web.Application) -> None:
        await client.__aexit__()

    app = web.Application(
        client_max_size=MAX_BODY_BYTES,
        middlewares=[
            translate_errors,
            require_own_page(settings.host_names),
            limit_work(
                settings.max_requests,
                most_uploads=settings.max_uploads,
                longest_s=settings.upload_timeout_s + 2 * settings.call_timeout_s,
            ),
        ],
    )
    app.on_response_prepare.append(add_headers)
    app.on_cleanup.append(close)
    bridge = Bridge(client, settings)
    app.add_routes(
        [
            *page_routes(),
            web.get("/healthz", bridge.health),
            web.get("/catalogue", bridge.describe),
            web.get("/products/{product_id}/picture", bridge.picture),
            web.post("/converse", bridge.converse),
            web.post("/search", bridge.search),
        ]
    )
    return app


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; raises OSError when the address cannot be had."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner = web.AppRunner(
        await application(settings),
        access_log=None,
        auto_decompress=False,  # the page compresses nothing, and bombs do
        handler_cancellation=True,  # a browser that went away wants no answer
        keepalive_timeout=KEEPALIVE_S,
        shutdown_timeout=SHUTDOWN_S,
    )
    await runner.setup()
    try:
        host, port = settings.address
        await web.TCPSite(runner, host, port).start()
        LOGGER.info("event=serving address=http://%s gateway=%s", settings.listen, settings.gateway)
        await stop.wait()
    finally:
        await runner.cleanup()
