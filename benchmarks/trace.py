"""`python -m benchmarks trace`: the spans of one search through every service, as a collector of OTLP gets them."""

import json
import secrets
import time
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import cycle
from pathlib import Path
from threading import Thread
from typing import Any

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from benchmarks.environment import describe_environment
from benchmarks.serving import ServingError, serving
from vitrine.client import VitrineClient
from vitrine.v1.search_pb2 import REWRITE_MODE_AUTO, SearchRequest

WORDS = ("red", "blue", "green", "black", "white", "yellow", "pink", "grey", "brown")
"""Of as many searches like each other but for what a cache would know, the first ones while everything is cold."""
COUNTED = 5
"""Of them, from the last: that of median length is shown."""
SERVED = "vitrine.v1.SearchService/Search"
_ARRIVES_S = 60.0
"""Exporters send what they have every few seconds."""
_TIMEOUT_S = 30.0
_NS_A_MS = 1e6

Span = dict[str, Any]


@contextmanager
def collecting() -> Iterator[tuple[str, list[bytes]]]:
    """Run a collector of OTLP over HTTP on loopback; yield its endpoint and what it gets."""
    payloads: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            payloads.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1/traces", payloads
        server.shutdown()


def spans_of(payloads: list[bytes]) -> dict[str, list[Span]]:
    """Return spans by trace, each with service, name, parent, start and length in ms; the start is of the clock of 1970."""
    found: dict[str, list[Span]] = {}
    for payload in tuple(payloads):
        # OTLP's JSON, which Triton sends, has the names of its protobuf, but ids in hex and times as strings.
        said = json.loads(payload) if payload.startswith(b"{") else _as_json(payload)
        for resource in said["resourceSpans"]:
            named = {each["key"]: each["value"] for each in resource["resource"]["attributes"]}
            for span in (each for scope in resource["scopeSpans"] for each in scope["spans"]):
                start, end = int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"])
                found.setdefault(span["traceId"], []).append(
                    {
                        "id": span["spanId"],
                        "parent": span.get("parentSpanId", ""),
                        "service": named["service.name"]["stringValue"],
                        "name": span["name"],
                        "start_ms": start / _NS_A_MS,
                        "length_ms": (end - start) / _NS_A_MS,
                    }
                )
    return found


def _as_json(payload: bytes) -> dict[str, Any]:
    said: dict[str, Any] = MessageToDict(ExportTraceServiceRequest.FromString(payload))
    for resource in said["resourceSpans"]:
        for span in (each for scope in resource["scopeSpans"] for each in scope["spans"]):
            for name in span.keys() & {"traceId", "spanId", "parentSpanId"}:
                span[name] = b64decode(span[name]).hex()
    return said


def told(spans: list[Span]) -> list[Span]:
    """Return spans as they are written down: each below its parent, in the order of their starts, counted from the first's."""
    numbers = {span["id"] for span in spans}
    below: dict[str, list[Span]] = {}
    for span in sorted(spans, key=lambda each: each["start_ms"]):
        below.setdefault(span["parent"] if span["parent"] in numbers else "", []).append(span)
    first = min(span["start_ms"] for span in spans)

    def under(parent: str, depth: int) -> Iterator[Span]:
        for span in below.get(parent, ()):
            yield {
                "service": span["service"],
                "name": span["name"],
                "depth": depth,
                "start_ms": round(span["start_ms"] - first, 3),
                "length_ms": round(span["length_ms"], 3),
            }
            yield from under(span["id"], depth + 1)

    return list(under("", 0))


async def measure_trace(weights: Path) -> dict[str, Any]:
    """Search by a picture and words, with the rewriter, on a stack of its own; return the result file.

    Raises:
        ServingError: the stack did not start, or the spans of a service did not arrive.
    """
    with (
        collecting() as (endpoint, payloads),
        serving(weights, GATEWAY_TRACES=endpoint, REWRITER_TRACES=endpoint) as stack,
    ):
        pictures = cycle(sorted(stack.queries.iterdir()))
        traces: list[str] = []
        for word, picture in zip(WORDS, pictures, strict=False):
            traces.append(secrets.token_hex(16))
            along = (("traceparent", f"00-{traces[-1]}-{secrets.token_hex(8)}-01"),)
            async with VitrineClient(stack.address, metadata=partial(tuple, along)) as client:
                request = SearchRequest(
                    text=f"like this, but {word} and under 80",
                    image=picture.read_bytes(),
                    rewrite=REWRITE_MODE_AUTO,
                )
                await client.search(request, timeout_s=_TIMEOUT_S)
        async with VitrineClient(stack.address) as client:
            described = await client.describe(timeout_s=_TIMEOUT_S)
        counted = traces[-COUNTED:]
        found = _arrived(payloads, counted)
        environment = describe_environment(described)
    lengths = {trace: _served(found[trace])["length_ms"] for trace in counted}
    median = sorted(lengths, key=lambda trace: lengths[trace])[len(lengths) // 2]
    return {
        "environment": environment,
        "params": {"weights": weights.name, "searches": len(WORDS), "counted": COUNTED, "shown": "median"},
        "results": {
            "lengths_ms": sorted(round(each, 3) for each in lengths.values()),
            "spans": told(found[median]),
        },
    }


def _arrived(payloads: list[bytes], traces: list[str]) -> dict[str, list[Span]]:
    """Wait for the spans of every service; the gateway's own is sent last of its process."""
    give_up = time.monotonic() + _ARRIVES_S
    while True:
        found = spans_of(payloads)
        services = [{span["service"] for span in found.get(trace, ())} for trace in traces]
        if all(each >= {"vitrine-gateway", "vitrine-rewriter", "triton"} for each in services):
            return found
        if time.monotonic() > give_up:
            raise ServingError(f"spans did not arrive: {services}")
        time.sleep(0.2)


def _served(spans: list[Span]) -> Span:
    """Return the gateway's span of the call."""
    return next(span for span in spans if span["name"] == SERVED)
