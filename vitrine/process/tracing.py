"""Trace context and spans: one span for each call that is served, and one for each stage and dependency below it.

The context is W3C's `traceparent`, taken over from the caller and passed on to every hop. Spans are recorded where an
endpoint is set; without one the context is passed on as it came, nothing is measured and OpenTelemetry is not imported.
A span holds names, counts and codes: never what a shopper said or showed, and no message of an exception.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any, Protocol

TRACEPARENT = "traceparent"
"""The metadata, or header, that carries the trace context."""

_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")

Attribute = str | int | float | bool


class Span(Protocol):
    """Work under way."""

    @property
    def traceparent(self) -> str:
        """The context for the hops of this work; empty where there is none."""

    def child(self, name: str, attributes: dict[str, Attribute]) -> AbstractContextManager[Any]:
        """Measure a part of this work while the block runs."""

    def end(self, attributes: dict[str, Attribute], *, fault: str = "") -> None:
        """Note how the work ended; `fault` names what went wrong on this side."""


class Tracer(Protocol):
    """Begins the spans of a process."""

    def served(self, name: str, traceparent: str) -> AbstractContextManager[Span]:
        """Make the block's work a call that is served, under the caller's context where it has one."""


_current: ContextVar[Span | None] = ContextVar("span", default=None)


class _Unrecorded:
    """Passes the caller's context on; records nothing."""

    __slots__ = ("traceparent",)

    def __init__(self, traceparent: str) -> None:
        self.traceparent = traceparent

    def child(self, name: str, attributes: dict[str, Attribute]) -> AbstractContextManager[Any]:
        del name, attributes
        return _NOTHING

    def end(self, attributes: dict[str, Attribute], *, fault: str = "") -> None:
        pass


class _Untraced:
    """The tracer of a process without an endpoint."""

    def served(self, name: str, traceparent: str) -> AbstractContextManager[Span]:
        del name
        return entered(_Unrecorded(traceparent)) if traceparent else _UNRECORDED


_NOTHING = nullcontext()
_UNRECORDED: AbstractContextManager[Span] = nullcontext(_Unrecorded(""))

UNTRACED: Tracer = _Untraced()


@contextmanager
def entered(work: Span) -> Iterator[Span]:
    """Make the span the current one while the block runs, for this task and those that it starts."""
    before = _current.get()
    _current.set(work)
    try:
        yield work
    finally:
        _current.set(before)


def span(name: str, **attributes: Attribute) -> AbstractContextManager[Any]:
    """Measure the block as a part of the call that this task serves; costs next to nothing where nobody traces."""
    current = _current.get()
    return _NOTHING if current is None else current.child(name, attributes)


def hop_context() -> tuple[tuple[str, str], ...]:
    """Return the metadata that a call to another service takes along: the trace context of the current span."""
    current = _current.get()
    return ((TRACEPARENT, current.traceparent),) if current is not None and current.traceparent else ()


def read_traceparent(metadata: Iterable[tuple[str, str | bytes]]) -> str:
    """Return the caller's trace context; empty where it sent none, or one that is none."""
    for key, value in metadata:
        if key == TRACEPARENT and isinstance(value, str) and _TRACEPARENT.fullmatch(value):
            return value
    return ""


@contextmanager
def open_tracer(endpoint: str, *, service: str, share: float) -> Iterator[Tracer]:
    """Open a tracer that sends a share of the calls to the endpoint, or none where the endpoint is empty.

    The endpoint is that of OTLP over HTTP, such as http://collector:4318/v1/traces.
    """
    if not endpoint:
        yield UNTRACED
        return
    # Loaded on demand: who does not trace does not wait for the import.
    from vitrine.process.otlp import otlp_tracer  # noqa: PLC0415

    with otlp_tracer(endpoint, service=service, share=share) as tracer:
        yield tracer
