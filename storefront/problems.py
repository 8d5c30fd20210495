"""What a browser is told when something went wrong: a status and one sentence, with the field where there is one."""

import re
from typing import Any

import grpc
from aiohttp import web

from vitrine.client import VitrineError

_STATUSES = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.FAILED_PRECONDITION: 409,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}
_BAD_GATEWAY = 502

_NAMED_FIELD = re.compile(r"((?:session|product)_id): (.+)", re.DOTALL)
"""How the gateway begins what it says of something that is not there, or not the caller's."""


class Refused(Exception):  # noqa: N818 - read as "the request was refused"
    """The request is not passed on; says which part of it is wrong and why."""

    def __init__(self, status: int, message: str, *, field: str = "", retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.status = status
        self.field = field
        self.retry_after_s = retry_after_s


def problem(error: Refused | VitrineError) -> dict[str, Any]:
    """Return the error as the page reads it: `message`, and `field`, `code` and `retry_after_s` where known."""
    if isinstance(error, Refused):
        known = {"message": str(error), "field": error.field, "retry_after_s": error.retry_after_s}
    else:
        known = _of_gateway(error)
    return {"error": {name: value for name, value in known.items() if value}}


def problem_response(error: Refused | VitrineError) -> web.Response:
    """Answer with the error as JSON under its HTTP status."""
    status = error.status if isinstance(error, Refused) else _STATUSES.get(error.code, _BAD_GATEWAY)
    headers = {"Retry-After": f"{error.retry_after_s:.0f}"} if error.retry_after_s else None
    return web.json_response(problem(error), status=status, headers=headers)


def _of_gateway(error: VitrineError) -> dict[str, Any]:
    message, field = str(error), ""
    if error.unreachable:
        message = "The search service does not answer."
    elif error.code is grpc.StatusCode.UNAUTHENTICATED:
        # It is the page that the gateway does not know, and no browser that could say who it is.
        message = "The search service does not know this page."
    elif error.violations:
        first = error.violations[0]
        message, field = first.reason, first.field
    elif named := _NAMED_FIELD.fullmatch(message):
        field, message = named.groups()
    return {
        "message": message,
        "field": field,
        "code": error.code.name,
        "retry_after_s": error.retry_after_s,
    }
