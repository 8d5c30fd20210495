"""Spans by OpenTelemetry, sent to a collector by OTLP over HTTP from a thread of their own.

Serving never waits for the collector: spans queue in a ring of bounded length, and what does not fit is dropped.
Headers and certificates for the collector are OpenTelemetry's own variables, such as OTEL_EXPORTER_OTLP_HEADERS.
"""

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import SpanContext, SpanKind, StatusCode, TraceFlags

from vitrine.process.tracing import Attribute, Span, Tracer, entered

MAX_QUEUE = 4_096
"""Spans that wait for the collector; further ones push the oldest out."""

MAX_CHILDREN = 512
"""Spans below one served call: an ingest of a day would have one for each batch."""

EXPORT_TIMEOUT_S = 5.0
DELAY_S = 1.0
"""At most so long does a span wait for others to be sent with."""

FLUSH_S = 2.0
"""What an ending process waits for its last spans to go out."""

_ATTRIBUTE_CHARACTERS = 256


@contextmanager
def otlp_tracer(endpoint: str, *, service: str, share: float) -> Iterator[Tracer]:
    """Send spans to the endpoint while the block runs, then those that wait, within FLUSH_S."""
    ratio = TraceIdRatioBased(share)
    provider = TracerProvider(
        # A caller may ask for its trace to be left out, and not for more of them than the share.
        sampler=ParentBased(ratio, remote_parent_sampled=ratio),
        resource=Resource.create({"service.name": service}),
        shutdown_on_exit=False,  # it would wait 30 s for a collector that hangs
        span_limits=SpanLimits(
            max_span_attributes=16,
            max_events=0,
            max_links=0,
            max_span_attribute_length=_ATTRIBUTE_CHARACTERS,
        ),
    )
    exporter = OTLPSpanExporter(endpoint=endpoint, timeout=EXPORT_TIMEOUT_S)
    provider.add_span_processor(
        BatchSpanProcessor(exporter, max_queue_size=MAX_QUEUE, schedule_delay_millis=DELAY_S * 1e3)
    )
    try:
        yield _OtlpTracer(provider.get_tracer(service))
    finally:
        flush = threading.Thread(target=provider.shutdown, daemon=True)
        flush.start()
        flush.join(FLUSH_S)


class _OtlpTracer:
    """Implements vitrine.process.tracing.Tracer."""

    def __init__(self, tracer: trace.Tracer) -> None:
        self._tracer = tracer

    @contextmanager
    def served(self, name: str, traceparent: str) -> Iterator[Span]:
        parent = trace.NonRecordingSpan(_remote(traceparent)) if traceparent else trace.INVALID_SPAN
        own = self._tracer.start_span(name, context=trace.set_span_in_context(parent), kind=SpanKind.SERVER)
        work = _Recorded(self._tracer, own, _Room())
        try:
            with entered(work):
                yield work
        finally:
            own.end()


@dataclass(slots=True)
class _Room:
    """Spans that a served call may still have below its own."""

    left: int = MAX_CHILDREN


class _Recorded:
    """Implements vitrine.process.tracing.Span."""

    def __init__(self, tracer: trace.Tracer, own: trace.Span, room: _Room) -> None:
        self._tracer = tracer
        self._own = own
        self._room = room

    @property
    def traceparent(self) -> str:
        context = self._own.get_span_context()
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"

    def child(self, name: str, attributes: dict[str, Attribute]) -> AbstractContextManager[Any]:
        if not self._own.is_recording() or not self._room.left:
            return nullcontext()
        self._room.left -= 1
        own = self._tracer.start_span(
            name,
            context=trace.set_span_in_context(self._own),
            kind=SpanKind.CLIENT if "peer.service" in attributes else SpanKind.INTERNAL,
            attributes=attributes,
        )
        return _Part(self._tracer, own, self._room)

    def end(self, attributes: dict[str, Attribute], *, fault: str = "") -> None:
        self._own.set_attributes(attributes)
        if fault:
            self._own.set_status(StatusCode.ERROR, fault)


class _Part:
    """A span below another while its block runs; for an exception it has the kind alone, for a message repeats words."""

    def __init__(self, tracer: trace.Tracer, own: trace.Span, room: _Room) -> None:
        self._own = own
        self._entered = entered(_Recorded(tracer, own, room))

    def __enter__(self) -> None:
        self._entered.__enter__()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._entered.__exit__(None, None, None)
        if kind is not None:
            self._own.set_status(StatusCode.ERROR, kind.__name__)
        self._own.end()


def _remote(traceparent: str) -> SpanContext:
    _, trace_id, span_id, flags = traceparent.split("-")
    return SpanContext(
        int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16))
    )
