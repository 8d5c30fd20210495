"""Structured logs: one JSON object a line on standard error, each with the request's id.

An event is a fixed name with keys and values. The shopper's words and pictures are never among them.
"""

import json
import logging
import sys
import time
from typing import Any

from gateway.calls import find_call

_FIELDS = "fields"


def configure_logs(level: str) -> None:
    """Send every logger's records, the libraries' too, through the JSON formatter."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # The libraries say at every level what our own events say better.
    for library in ("pymilvus", "grpc", "asyncio"):
        logging.getLogger(library).setLevel(logging.WARNING)


def log_event(logger: logging.Logger, level: int, event: str, *, failed: bool = False, **fields: Any) -> None:
    """Log the event with its fields; `failed` adds the traceback of the exception that is being handled."""
    logger.log(level, event, extra={_FIELDS: fields}, exc_info=failed)


class JsonFormatter(logging.Formatter):
    """Renders a record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Give the line; a value that JSON does not know is given as its text."""
        entry: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{record.msecs:03.0f}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        if (call := find_call()) is not None:
            entry["request_id"] = call.request_id
            entry["method"] = call.method
        entry.update(getattr(record, _FIELDS, {}))
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str, ensure_ascii=False)
