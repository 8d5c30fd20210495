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
    hop_metadata,
    limit_work,
    require_own_page,
    trace_requests,
    translate_errors,
)
from storefront.settings import PREFIX, Settings
from vitrine.client import VitrineClient
from vitrine.process.logs import log_event
from vitrine.process.tls import RotatedContext, server_tls
from vitrine.process.tracing import UNTRACED, Tracer, open_tracer

KEEPALIVE_S = 30.0
"""After which a connection without a request is closed."""

SHUTDOWN_S = 5.0
"""For requests at work when the process is told to end."""

CERTIFICATE_S = 2.0
"""Between two looks at the files of the certificate."""

LOGGER = logging.getLogger("storefront")


async def application(settings: Settings, *, tracer: Tracer = UNTRACED) -> web.Application:
    """Make the application, with a client of the gateway that closes with it."""
    answer_malformed_requests()
    client = VitrineClient(
        settings.gateway,
        timeout_s=settings.call_timeout_s,
        metadata=hop_metadata,
        ca=settings.gateway_ca,
        cert=settings.gateway_cert,
        key=settings.gateway_key,
        token_file=settings.gateway_token_file,
    )

    async def close(_: web.Application) -> None:
        await client.__aexit__()

    app = web.Application(
        client_max_size=MAX_BODY_BYTES,
        middlewares=[
            trace_requests(tracer),
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
            web.post("/recommend", bridge.recommend),
            web.post("/events", bridge.record),
        ]
    )
    return app


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        OSError: the address cannot be had.
        InvalidAccess: a certificate, key or token cannot be used.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with open_tracer(settings.traces, service="vitrine-storefront", share=settings.trace_share) as tracer:
        await _serve_until(stop, settings, tracer)


async def _serve_until(stop: asyncio.Event, settings: Settings, tracer: Tracer) -> None:
    runner = web.AppRunner(
        await application(settings, tracer=tracer),
        access_log=None,
        auto_decompress=False,  # the page compresses nothing, and bombs do
        handler_cancellation=True,  # a browser that went away wants no answer
        keepalive_timeout=KEEPALIVE_S,
        shutdown_timeout=SHUTDOWN_S,
    )
    await runner.setup()
    try:
        host, port = settings.address
        tls = server_tls(settings.tls_cert, settings.tls_key, prefix=PREFIX)
        certificate = RotatedContext(tls) if tls is not None else None
        context = certificate.context if certificate is not None else None
        await web.TCPSite(runner, host, port, ssl_context=context).start()
        scheme = "https" if certificate is not None else "http"
        log_event(
            LOGGER,
            logging.INFO,
            "serving",
            address=f"{scheme}://{settings.listen}",
            gateway=settings.gateway,
        )
        while certificate is not None and not await _told(stop, within_s=CERTIFICATE_S):
            certificate.refresh()
        await stop.wait()
    finally:
        await runner.cleanup()


async def _told(event: asyncio.Event, *, within_s: float) -> bool:
    """Return whether the event is set, or comes in so many seconds."""
    try:
        async with asyncio.timeout(within_s):
            return await event.wait()
    except TimeoutError:
        return False
