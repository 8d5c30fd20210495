"""Structured logs: one JSON object a line on standard error.

An event is a fixed name with keys and values. The shopper's words and pictures are never among them.
"""

import json
import logging
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

_FIELDS = "fields"


def configure_logs(
    level: str, *, quiet: Iterable[str], context: Callable[[], Mapping[str, Any]] = dict
) -> None:
    """Send every logger's records, the libraries' too, through the JSON formatter.

    `quiet` are libraries that say at lower levels what must not be logged, or what our own events say better.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(context))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for library in quiet:
        logging.getLogger(library).setLevel(logging.WARNING)


def log_event(logger: logging.Logger, level: int, event: str, *, failed: bool = False, **fields: Any) -> None:
    """Log the event with its fields; `failed` adds the traceback of the exception that is being handled."""
    logger.log(level, event, extra={_FIELDS: fields}, exc_info=failed)


class JsonFormatter(logging.Formatter):
    """Renders a record as one line of JSON, with what the context gives at that moment."""

    def __init__(self, context: Callable[[], Mapping[str, Any]] = dict) -> None:
        super().__init__()
        self._context = context

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; a value that JSON does not know is given as its text."""
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        entry: dict[str, Any] = {
            "time": f"{seconds}.{record.msecs:03.0f}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **self._context(),
            **getattr(record, _FIELDS, {}),
        }
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str, ensure_ascii=False)
