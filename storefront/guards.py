"""What every request passes: who may ask, how many at once, and what the browser may do with the answer."""

import asyncio
import logging
import re
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from http import HTTPStatus
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Middleware
from aiohttp.web_protocol import RequestHandler

from storefront.problems import Refused, problem_response
from vitrine.client import VitrineError
from vitrine.process.logs import log_event
from vitrine.process.tracing import Tracer, hop_context, read_traceparent

HEADERS = {
    # The page is made of its own files alone, and no string of anybody becomes markup or code.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(self)",
    "Referrer-Policy": "no-referrer",
    "Server": "vitrine",  # a version is of use to nobody but who looks for its faults
    "X-Content-Type-Options": "nosniff",
}
REQUEST_ID_HEADER = "x-request-id"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_request_id: ContextVar[str] = ContextVar("request_id", default="")

_RETRY_S = 1.0
_SERVER_FAULT = 500
_BODILESS = {"GET", "HEAD", "OPTIONS"}

LOGGER = logging.getLogger("storefront")

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


def trace_requests(tracer: Tracer) -> Middleware:
    """Give each request an id, and make it a span under the browser's context where it sends one; the gateway's spans are below it."""

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        traceparent = read_traceparent((name.lower(), value) for name, value in request.headers.items())
        # The route as it is written: its parts that a shopper names are not in it.
        route = request.match_info.route
        name = f"{route.method} {route.resource.canonical}" if route.resource is not None else "no route"
        _request_id.set(_id_of(request))
        with tracer.served(name, traceparent) as span:
            response = await handler(request)
            fault = "failed" if response.status >= _SERVER_FAULT else ""
            span.end({"http.response.status_code": response.status}, fault=fault)
            return response

    return guard


def hop_metadata() -> tuple[tuple[str, str], ...]:
    """Return what a call to the gateway takes along: the request's id and its trace context."""
    return ((REQUEST_ID_HEADER, _request_id.get()), *hop_context()) if _request_id.get() else hop_context()


def _id_of(request: web.Request) -> str:
    """Return the request's id as its sender gave it, or a new one."""
    given = request.headers.get(REQUEST_ID_HEADER, "")
    return given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


def require_own_page(host_names: frozenset[str]) -> Middleware:
    """Refuse what another site's page asks: by a name of its own that resolves to here, or by posting across."""

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if _host_name(f"//{request.host}") not in host_names:
            raise Refused(421, "is asked for by a name that STOREFRONT_HOSTS does not list", field="Host")
        origin = request.headers.get("Origin")
        if origin and _netloc(origin) != request.host:
            raise Refused(403, "another site's page may not ask here", field="Origin")
        return await handler(request)

    return guard


def limit_work(most: int, *, most_uploads: int, longest_s: float) -> Middleware:
    """Refuse a request when so many are at work; end one that works for longer than it may.

    What has a body is counted apart: it is at work while its body trickles in, and the page must not wait for that.
    """
    at_work = Counter[bool]()

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        upload = request.method not in _BODILESS
        if at_work[upload] >= (most_uploads if upload else most):
            raise Refused(503, "too many requests at once", retry_after_s=_RETRY_S)
        at_work[upload] += 1
        try:
            async with asyncio.timeout(longest_s):
                return await handler(request)
        except TimeoutError:
            # What is left is a browser that does not read its answer: nothing can be told to it.
            if request.transport is not None:
                request.transport.abort()
            raise Refused(408, f"took longer than {longest_s:g} s") from None
        finally:
            at_work[upload] -= 1

    return guard


def answer_malformed_requests() -> None:
    """Answer what aiohttp cannot parse, and a handler's failure, as everything else is answered.

    There is no hook for it: its own answer has no security headers, quotes the request, and logs a traceback of each.
    """
    setattr(RequestHandler, "handle_error", _handle_error)  # noqa: B010 - its type would have to be ignored


def _handle_error(
    _: RequestHandler,
    request: web.BaseRequest,
    status: int = 500,
    exc: BaseException | None = None,
    message: str | None = None,
) -> web.StreamResponse:
    del message  # it quotes the request
    if request.writer.output_size > 0:
        raise ConnectionError("part of an answer is sent already")
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        LOGGER.error("internal_error", exc_info=exc)
        answer = problem_response(Refused(status, "internal error"))
    else:
        log_event(LOGGER, logging.INFO, "malformed_request", status=status, error=type(exc).__name__)
        answer = problem_response(Refused(status, "is no well-formed HTTP request"))
    answer.headers.update(HEADERS)
    answer.force_close()
    return answer


def _netloc(url: str) -> str:
    try:
        return urlsplit(url).netloc
    except ValueError:
        return ""


def _host_name(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
