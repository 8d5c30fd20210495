"""The gateway's logs: JSON lines, each with the request's id and method."""

from collections.abc import Mapping
from typing import Any

import orjson

from gateway.context import find_call
from vitrine.process import logs
from vitrine.process.logs import log_event

__all__ = ["call_fields", "configure_logs", "encode", "log_event"]


def configure_logs(level: str) -> None:
    """Log every record with the call that it belongs to."""
    logs.configure_logs(level, context=call_fields, encode=encode)


def call_fields() -> dict[str, Any]:
    """Return the id, the method and the caller of the call that this task answers; nothing outside of one."""
    call = find_call()
    if call is None:
        return {}
    return {"request_id": call.request_id, "method": call.method, "caller": call.caller.name}


def encode(entry: Mapping[str, Any]) -> str:
    """Return a line of JSON, in a twentieth of the standard library's time; of a member of an enumeration it writes the value."""
    try:
        return orjson.dumps(entry, default=str).decode()
    except TypeError:  # text that is no Unicode, or a whole number beyond 64 bits
        return logs.encode(entry)
