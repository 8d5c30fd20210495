"""Structured logs: one JSON object a line on standard error.

An event is a fixed name with keys and values. The shopper's words and pictures are never among them, at no level:
libraries are heard from warnings on, for what they say below repeats what they are given, and of an exception the kinds
and the places are logged, for its message may do so too.
"""

import json
import logging
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

_FIELDS = "fields"
_ROOMS = ("gateway", "rewriter", "speech", "storefront", "vitrine")
"""Whose records are logged below the level of warnings."""

Encode = Callable[[Mapping[str, Any]], str]
"""Returns an object as one line of JSON; a value that JSON does not know is given as its text."""

encode: Encode = json.JSONEncoder(default=str, ensure_ascii=False).encode


def configure_logs(
    level: str, *, context: Callable[[], Mapping[str, Any]] = dict, encode: Encode = encode
) -> None:
    """Send every logger's records, the libraries' from warnings on, through the JSON formatter."""
    own = logging.getLevelNamesMapping()[level.upper()]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(context, encode=encode))
    # No line says in which thread, process or line of code it was written: that need not be found out for each.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None  # noqa: SLF001 - as the documentation of logging says, under "Optimization"
    logging.basicConfig(level=max(own, logging.WARNING), handlers=[handler], force=True)
    for room in _ROOMS:
        logging.getLogger(room).setLevel(own)


def log_event(logger: logging.Logger, level: int, event: str, *, failed: bool = False, **fields: Any) -> None:
    """Log the event with its fields; `failed` adds the traceback of the exception that is being handled."""
    logger.log(level, event, extra={_FIELDS: fields}, exc_info=failed)


class JsonFormatter(logging.Formatter):
    """Renders a record as one line of JSON, with what the context gives at that moment."""

    def __init__(self, context: Callable[[], Mapping[str, Any]] = dict, *, encode: Encode = encode) -> None:
        super().__init__()
        self._context = context
        self._encode = encode

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; a value that JSON does not know is given as its text."""
        entry: dict[str, Any] = {
            "time": f"{_moment(int(record.created))}.{record.msecs:03.0f}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **self._context(),
            **getattr(record, _FIELDS, {}),
        }
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return self._encode(entry)

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        """Return kinds and places of the exception and of those that led to it, oldest first, without their messages."""
        return "".join(_lines(ei[1], set())) if ei[1] is not None else ""


@lru_cache(1)
def _moment(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


def _lines(error: BaseException, seen: set[int]) -> Iterator[str]:
    """Yield the lines of an error after those of the one before it; `seen` has what was told, for errors may be in a ring."""
    seen.add(id(error))
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None and id(before) not in seen:
        yield from _lines(before, seen)
        yield "then:\n"
    yield from traceback.format_tb(error.__traceback__)
    yield f"{type(error).__qualname__}\n"
    parts = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    for part in parts:
        if id(part) not in seen:
            yield from _lines(part, seen)
