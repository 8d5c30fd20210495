"""What the services' logs leave out, at every level."""

import io
import json
import logging
import os
from collections.abc import Iterator

import pytest

from vitrine.process.logs import JsonFormatter, configure_logs, log_event

ROOMS = ("gateway", "rewriter", "speech", "storefront", "vitrine")


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """Configure the logs as a service does at level debug, into a buffer."""
    root = logging.getLogger()
    before = root.level, root.handlers[:]
    written = io.StringIO()
    monkeypatch.setattr("sys.stderr", written)
    for told in (
        "logThreads",
        "logProcesses",
        "logMultiprocessing",
        "_srcfile",
    ):  # put back when the test ends
        monkeypatch.setattr(logging, told, getattr(logging, told))
    configure_logs("debug")
    yield written
    root.handlers[:] = before[1]
    root.setLevel(before[0])
    for room in ROOMS:
        logging.getLogger(room).setLevel(logging.NOTSET)


def test_of_an_exception_the_kinds_and_places_are_logged_and_no_message(log: io.StringIO) -> None:
    """A message repeats what a shopper said: ValueError does so of every text that it cannot read."""
    try:
        try:
            float("RED DRESS")
        except ValueError as error:
            raise ExceptionGroup("RED DRESS", [KeyError("RED DRESS")]) from error
    except ExceptionGroup:
        log_event(logging.getLogger("gateway"), logging.ERROR, "call_failed", failed=True)
    entry = json.loads(log.getvalue())
    assert "RED DRESS" not in log.getvalue().replace('float(\\"RED DRESS\\")', "").replace(
        'ExceptionGroup(\\"RED DRESS\\", [KeyError(\\"RED DRESS\\")])', ""
    )  # lines of the program itself aside
    for kind in ("ValueError", "then:", "ExceptionGroup", "KeyError", "test_logs.py"):
        assert kind in entry["traceback"]


def test_libraries_are_heard_from_warnings_on(log: io.StringIO) -> None:
    """At level debug a library would log what it is given; the rooms' own events are logged."""
    for library in ("PIL.TiffImagePlugin", "httpx", "h11", "urllib3.connectionpool", "anything"):
        logging.getLogger(library).debug("value: RED DRESS")
        logging.getLogger(library).info("value: RED DRESS")
        logging.getLogger(library).warning("trouble")
    log_event(logging.getLogger("gateway.server"), logging.DEBUG, "own")
    events = [json.loads(line)["event"] for line in log.getvalue().splitlines()]
    assert events == ["trouble"] * 5 + ["own"]


def test_an_exception_without_a_cause_is_one_traceback() -> None:
    """What was being handled and is suppressed stays out."""
    try:
        try:
            os.environ["NO SUCH VARIABLE"]
        except KeyError:
            raise RuntimeError("b") from None
    except RuntimeError as error:
        text = JsonFormatter().formatException((type(error), error, error.__traceback__))
    assert text.endswith("RuntimeError\n")
    assert "KeyError\n" not in text


def test_errors_that_lead_to_each_other_are_told_once() -> None:
    """A ring of causes ends where it began."""
    first, second = ValueError("a"), KeyError("b")
    first.__cause__, second.__cause__ = second, first
    told = JsonFormatter().formatException((ValueError, first, None))
    assert told.splitlines() == ["KeyError", "then:", "ValueError"]
