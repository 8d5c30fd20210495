"""The one error of the client, and what it reads of a gRPC status."""

from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped] # it has no py.typed
from grpc import aio
from grpc_status import rpc_status


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """A field of the request and what is wrong with it."""

    field: str
    reason: str


class VitrineError(Exception):
    """The call failed; `str(error)` is a sentence for people.

    Attributes:
        code: the gRPC status.
        violations: the fields that the service refused, with their limits.
        retry_after_s: how long to wait before another try, where the service says so.
        unreachable: nothing answers at the address.
    """

    def __init__(
        self,
        code: grpc.StatusCode,
        message: str,
        *,
        violations: tuple[FieldViolation, ...] = (),
        retry_after_s: float | None = None,
        unreachable: bool = False,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.violations = violations
        self.retry_after_s = retry_after_s
        self.unreachable = unreachable


def vitrine_error(error: aio.AioRpcError | grpc.Call, *, unreachable: bool) -> VitrineError:
    """Return the error that a call's status amounts to."""
    bad_request = error_details_pb2.BadRequest()
    retry = error_details_pb2.RetryInfo()
    for detail in _details(error):
        if not detail.Unpack(bad_request):
            detail.Unpack(retry)
    return VitrineError(
        error.code(),
        error.details() or error.code().name,
        violations=tuple(FieldViolation(v.field, v.description) for v in bad_request.field_violations),
        retry_after_s=retry.retry_delay.ToTimedelta().total_seconds()
        if retry.HasField("retry_delay")
        else None,
        unreachable=unreachable,
    )


def _details(error: aio.AioRpcError | grpc.Call) -> list[Any]:
    """Return the google.rpc details; a proxy on the way may have left none, or none that can be read."""
    try:
        status: status_pb2.Status | None = rpc_status.from_call(error)  # type: ignore[arg-type]
    except (ValueError, DecodeError):
        return []
    return list(status.details) if status is not None else []
