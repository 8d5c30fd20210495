"""What every request passes: who may ask, how many at once, and what the browser may do with the answer."""

import asyncio
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Middleware

from storefront.problems import Refused, problem_response
from vitrine.client import VitrineError

HEADERS = {
    # The page is made of its own files alone, and no string of anybody becomes markup or code.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_RETRY_S = 1.0

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def add_headers(_: web.Request, response: web.StreamResponse) -> None:
    """Put the security headers on an answer; a signal, so that no answer goes without."""
    response.headers.update(HEADERS)


@web.middleware
async def translate_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn what was refused, failed or not found into one sentence of JSON."""
    try:
        return await handler(request)
    except (Refused, VitrineError) as error:
        return problem_response(error)
    except web.HTTPException as error:
        return problem_response(Refused(error.status, error.reason))


def require_own_page(host_names: frozenset[str]) -> Middleware:
    """Refuse what another site's page asks: by a name of its own that resolves to here, or by posting across."""

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if _host_name(f"//{request.host}") not in host_names:
            raise Refused(421, "is asked for by a name that STOREFRONT_HOSTS does not list", field="Host")
        origin = request.headers.get("Origin")
        if origin and urlsplit(origin).netloc != request.host:
            raise Refused(403, "another site's page may not ask here", field="Origin")
        return await handler(request)

    return guard


def limit_work(most: int, *, longest_s: float) -> Middleware:
    """Refuse a request when so many are at work; end one that works for longer than it may."""
    at_work = 0

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        nonlocal at_work
        if at_work >= most:
            raise Refused(503, "too many requests at once", retry_after_s=_RETRY_S)
        at_work += 1
        try:
            async with asyncio.timeout(longest_s):
                return await handler(request)
        except TimeoutError:
            # What is left is a browser that does not read its answer: nothing can be told to it.
            if request.transport is not None:
                request.transport.abort()
            raise Refused(408, f"took longer than {longest_s:g} s") from None
        finally:
            at_work -= 1

    return guard


def _host_name(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
