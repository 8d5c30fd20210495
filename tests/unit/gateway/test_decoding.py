"""Bytes that are no request."""

import pytest

from gateway.edge.decoding import decode
from gateway.errors import InvalidQuery
from vitrine.v1 import query_pb2, search_pb2

DESCRIPTOR = search_pb2.SearchRequest.DESCRIPTOR
NOT_UTF8 = b"\xff\xfe"


def field(number: int, data: bytes) -> bytes:
    return bytes([number << 3 | 2, len(data)]) + data


def test_a_message_is_parsed() -> None:
    """What is well formed comes out as the message."""
    request = search_pb2.SearchRequest(text="red", limit=3)
    assert decode(request.SerializeToString(), search_pb2.SearchRequest.FromString, DESCRIPTOR) == request


@pytest.mark.parametrize(
    ("data", "path", "reason"),
    [
        (field(1, NOT_UTF8), "text", "must be valid UTF-8"),
        (field(1, b"ok") + field(10, NOT_UTF8), "user_id", "must be valid UTF-8"),
        (field(4, field(1, field(1, NOT_UTF8))), "filter.equals.field", "must be valid UTF-8"),
        (b"\xff\xff\xff", "request", "is no vitrine.v1.SearchRequest message"),
        (b"\x0a\x7f", "request", "is no vitrine.v1.SearchRequest message"),
    ],
)
def test_a_refusal_names_the_field(data: bytes, path: str, reason: str) -> None:
    """Text in another encoding is refused with its field's path, anything else as no message."""
    with pytest.raises(InvalidQuery) as refused:
        decode(data, search_pb2.SearchRequest.FromString, DESCRIPTOR)
    assert (refused.value.field, refused.value.reason) == (path, reason)


def test_a_deep_message_is_refused_without_a_crash() -> None:
    """A filter nested far beyond the parser's own limit is no message."""
    nested = query_pb2.Filter()
    for _ in range(90):
        nested = query_pb2.Filter(negation=nested)
    data = nested.SerializeToString()
    for _ in range(60):
        data = b"\x32" + _varint(len(data)) + data
    with pytest.raises(InvalidQuery):
        decode(b"\x22" + _varint(len(data)) + data, search_pb2.SearchRequest.FromString, DESCRIPTOR)


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(encoded) + bytes([value])
