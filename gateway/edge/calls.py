"""What gRPC tells of a call before anything of it is read: its deadline, its id, and whose share of the places it takes."""

import os
import re
from collections.abc import Iterable
from typing import Any

from grpc import aio

from gateway.callers import LOCAL, Caller
from gateway.context import REQUEST_ID_HEADER, current_call
from gateway.model import Deadline

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_ID_BYTES = 16
"""Of a request's id where the caller sends none, drawn at random."""

Context = aio.ServicerContext[Any, Any]


def deadline_of(context: Context, *, default_s: float, maximum_s: float) -> Deadline:
    """Return the caller's deadline, or the default, and no later than the maximum allows."""
    remaining_s: float | None = context.time_remaining()
    return Deadline.after(min(default_s if remaining_s is None else remaining_s, maximum_s))


def share(context: Context) -> str:
    """Return whose share of the places a call takes: its caller's, or its connection's."""
    return share_of(current_call().caller, context)


def share_of(caller: Caller, context: Context) -> str:
    """Return whose share a call of that caller takes."""
    return str(context.peer()) if caller is LOCAL else caller.name


def request_id_in(metadata: Iterable[tuple[str, str | bytes]]) -> str:
    """Return the id that the caller sent, or a new one."""
    for key, value in metadata:
        if key == REQUEST_ID_HEADER and isinstance(value, str) and _REQUEST_ID.fullmatch(value):
            return value
    return os.urandom(_ID_BYTES).hex()
