"""Errors of the tree to rich statuses: google.rpc details that programs can read."""

from typing import Any, NoReturn

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped] # it has no py.typed
from grpc import aio
from grpc_status import rpc_status

from gateway.context import REQUEST_ID_HEADER
from gateway.errors import Aborted, DependencyError, InvalidQuery, NotFound, Overloaded, SearchError

DOMAIN = "vitrine"

MAX_MESSAGE_LENGTH = 500
"""Trailers must fit into 8 KB."""


def rich_status(error: SearchError, request_id: str) -> status_pb2.Status:
    """Return the status: always ErrorInfo and RequestInfo, and what the kind of error adds.

    InvalidQuery and Aborted add BadRequest with the field and its limit, Overloaded adds RetryInfo, DependencyError the
    dependency's name in the metadata of ErrorInfo.
    """
    status = status_pb2.Status(code=error.code.value[0], message=str(error)[:MAX_MESSAGE_LENGTH])
    for detail in (_error_info(error), error_details_pb2.RequestInfo(request_id=request_id), *_extra(error)):
        status.details.add().Pack(detail)
    return status


def internal_status(request_id: str) -> status_pb2.Status:
    """Return the status of a failure that callers must learn nothing of but the request's id."""
    status = status_pb2.Status(code=grpc.StatusCode.INTERNAL.value[0], message="internal error")
    status.details.add().Pack(error_details_pb2.RequestInfo(request_id=request_id))
    return status


def _error_info(error: SearchError) -> Message:
    info = error_details_pb2.ErrorInfo(reason=error.code.name, domain=DOMAIN)
    if isinstance(error, (InvalidQuery, Aborted, NotFound)):
        info.metadata["field"] = error.field
    if isinstance(error, DependencyError):
        info.metadata["dependency"] = error.dependency
    return info  # type: ignore[no-any-return] # untyped import


def _extra(error: SearchError) -> list[Message]:
    if isinstance(error, (InvalidQuery, Aborted)):
        violation = error_details_pb2.BadRequest.FieldViolation(
            field=error.field, description=error.reason[:MAX_MESSAGE_LENGTH]
        )
        return [error_details_pb2.BadRequest(field_violations=[violation])]
    if isinstance(error, Overloaded):
        delay = Duration()
        delay.FromNanoseconds(int(error.retry_after_s * 1e9))
        return [error_details_pb2.RetryInfo(retry_delay=delay)]
    return []


async def abort(
    context: aio.ServicerContext[Any, Any], code: grpc.StatusCode, status: status_pb2.Status
) -> NoReturn:
    """End the call with the status, its details and the request's id in the trailers."""
    trailers = rpc_status.to_status(status).trailing_metadata
    request_id = (
        (REQUEST_ID_HEADER, value) for key, value in context.trailing_metadata() if key == REQUEST_ID_HEADER
    )
    await context.abort(code, status.message, (*trailers, *request_id))
