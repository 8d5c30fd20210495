"""What a trace is made of what a collector got, and drawn as."""

import json
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from PIL import Image

from benchmarks.plots import draw_trace, drawn_from
from benchmarks.trace import spans_of, told

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
MS = 1_000_000


def as_protobuf(*spans: tuple[str, str, str, int, int]) -> bytes:
    """Return spans as the SDK of Python sends them: id, parent, name, start and end in ms."""
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    attribute = resource.resource.attributes.add(key="service.name")
    attribute.value.string_value = "gateway"
    scope = resource.scope_spans.add()
    for own, parent, name, start, end in spans:
        scope.spans.add(
            trace_id=bytes.fromhex(TRACE), span_id=bytes.fromhex(own), parent_span_id=bytes.fromhex(parent),
            name=name, start_time_unix_nano=start * MS, end_time_unix_nano=end * MS,
        )  # fmt: skip
    return request.SerializeToString()


def as_json(own: str, parent: str, name: str, start: int, end: int) -> bytes:
    """Return a span as Triton sends it."""
    span = {
        "traceId": TRACE, "spanId": own, "parentSpanId": parent, "name": name,
        "startTimeUnixNano": str(start * MS), "endTimeUnixNano": str(end * MS),
    }  # fmt: skip
    named = {"attributes": [{"key": "service.name", "value": {"stringValue": "triton"}}]}
    return json.dumps({"resourceSpans": [{"resource": named, "scopeSpans": [{"spans": [span]}]}]}).encode()


def test_spans_of_every_service_stand_below_what_called_them(tmp_path: Path) -> None:
    """In the order of their starts, in ms from the first one's; the picture carries the digest of its source."""
    payloads = [
        as_protobuf(("00000000000000b3", "00000000000000a1", "search", 1_009, 1_011)),
        as_json("00000000000000c4", "00000000000000b2", "embed", 1_003, 1_007),
        as_protobuf(
            ("00000000000000a1", "00000000000000ff", "Search", 1_000, 1_012),
            ("00000000000000b2", "00000000000000a1", "encode", 1_002, 1_008),
        ),
    ]
    spans = told(spans_of(payloads)[TRACE])
    assert [tuple(span.values()) for span in spans] == [
        ("gateway", "Search", 0, 0, 12),
        ("gateway", "encode", 1, 2, 6),
        ("triton", "embed", 2, 3, 4),
        ("gateway", "search", 1, 9, 2),
    ]
    picture = tmp_path / "trace.png"
    draw_trace({"results": {"spans": spans}}, picture, source="digest")
    assert drawn_from(picture) == "digest"
    with Image.open(picture) as drawn:
        assert drawn.width > drawn.height > 100
