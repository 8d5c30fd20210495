"""The gateway's logs: JSON lines, each with the request's id and method."""

from typing import Any

from gateway.context import find_call
from vitrine.process import logs
from vitrine.process.logs import log_event

__all__ = ["call_fields", "configure_logs", "log_event"]


def configure_logs(level: str) -> None:
    """Log every record with the call that it belongs to."""
    logs.configure_logs(level, context=call_fields)


def call_fields() -> dict[str, Any]:
    """Return the id, the method and the caller of the call that this task answers; nothing outside of one."""
    call = find_call()
    if call is None:
        return {}
    return {"request_id": call.request_id, "method": call.method, "caller": call.caller.name}
