"""Bytes and counts of requests, before and right after they are parsed."""

from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from gateway.edge.bounds import BOUNDS
from gateway.edge.decoding import decode
from gateway.errors import InvalidQuery
from vitrine.domain import limits
from vitrine.domain.counts import COUNTED_APART, LONGEST, check_counts
from vitrine.domain.errors import InvalidValue
from vitrine.preprocess import MAX_IMAGE_BYTES
from vitrine.v1 import catalogue_pb2, search_pb2

REQUESTS = {
    method.input_type.full_name: method.input_type
    for module in (search_pb2, catalogue_pb2)
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}


def varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(encoded) + bytes([value])


def field(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


def refusal(data: bytes, kind: Any) -> InvalidQuery:
    with pytest.raises(InvalidQuery) as refused:
        decode(data, _never_parsed, kind.DESCRIPTOR)
    return refused.value


def _never_parsed(data: bytes) -> Message:
    raise AssertionError(f"{len(data)} bytes were parsed")


@pytest.mark.parametrize(
    ("kind", "data", "name"),
    [
        # 17 s of the event loop once: unknown fields before a text that is no UTF-8.
        (search_pb2.SearchRequest, b"\xa8\x06\x01" * 3_966_666 + field(1, b"\xff"), "request"),
        (search_pb2.SearchRequest, field(1, b"a") * 300, "text"),
        (search_pb2.SearchRequest, field(1, b"a" * 64_001), "text"),
        (search_pb2.SearchRequest, field(100, b"a" * 64_001), "request"),
        (search_pb2.SearchRequest, field(7, b"\x0a\x02id" * 3_000_000), "fields"),
        (search_pb2.SearchRequest, field(4, field(6, b"\xa8\x06\x01" * 200_001)), "filter"),
        (search_pb2.SearchRequest, field(2, bytes(MAX_IMAGE_BYTES + 1)), "image"),
        (search_pb2.SearchRequest, field(2, bytes(5_000_000)) * 2, "image"),
        (search_pb2.ConverseRequest, b"\x52\x00" * 5_900_000, "history"),
        (search_pb2.ConverseRequest, field(10, b"\x2a\x00" * 130_000), "history"),
        (catalogue_pb2.DeleteProductsRequest, b"\x0a\x00" * 3_900_000, "product_ids"),
        (catalogue_pb2.DeleteProductsRequest, field(1, b"a" * 520_001), "product_ids"),
        (catalogue_pb2.GetProductRequest, field(1, b"a" * 1_025), "product_id"),
        (catalogue_pb2.DescribeRequest, field(1, b"a" * 1_025), "request"),
        (catalogue_pb2.UpsertProductsRequest, field(2, field(1, b"\x4a\x00" * 200_001)), "product"),
        (catalogue_pb2.UpsertProductsRequest, field(2, b"\xaa\x06\x00" * 300), "request"),
        (catalogue_pb2.UpsertProductsRequest, field(1, field(4, b"\x1a\x00" * 70_000)), "options"),
    ],
)  # fmt: skip
def test_what_is_too_large_is_refused_before_it_is_parsed(kind: Any, data: bytes, name: str) -> None:
    """The refusal names the field or the request; the parser never sees it."""
    assert refusal(data, kind).field == name


def test_the_limit_is_told() -> None:
    """A refusal says how much there was and how much there may be."""
    refused = refusal(field(1, b"a" * 70_000), search_pb2.SearchRequest)
    assert refused.reason == "has 70,000 bytes; the limit of all fields beside image, audio, filter is 64,000"


def test_a_picture_of_the_largest_size_has_room() -> None:
    """The largest picture comes with the longest words, filter and history that are allowed."""
    assert limits.MAX_PICTURE_BYTES == MAX_IMAGE_BYTES
    request = search_pb2.SearchRequest(text="x" * 2_000, image=bytes(MAX_IMAGE_BYTES))
    data = request.SerializeToString()
    assert decode(data, search_pb2.SearchRequest.FromString, search_pb2.SearchRequest.DESCRIPTOR) == request


def test_every_request_has_bounds() -> None:
    """No method of the API is held to bounds that were made for another."""
    small = {name for name, kind in REQUESTS.items() if not kind.fields}
    assert REQUESTS.keys() - small <= BOUNDS.keys()


def test_the_field_that_is_no_utf8_is_looked_for_in_a_few_fields_only() -> None:
    """A message that hides it behind a thousand others is no message, and that is enough."""
    hidden = field(4, b"\xa8\x06\x01" * 1_000 + field(1, field(1, b"\xff")))
    with pytest.raises(InvalidQuery) as refused:
        decode(hidden, search_pb2.SearchRequest.FromString, search_pb2.SearchRequest.DESCRIPTOR)
    assert refused.value.field == "request"


def lists(
    kind: Descriptor, seen: frozenset[str] = frozenset()
) -> Iterator[tuple[tuple[FieldDescriptor, ...], int]]:
    """Yield the way to each list of a message, with the longest that it may be."""
    if kind.full_name in seen:
        return
    for each in kind.fields:
        inner = each.message_type
        if each.is_repeated:
            yield (each,), LONGEST.get(each.full_name, 0)
        if inner is not None and inner.GetOptions().map_entry:
            inner = inner.fields_by_name["value"].message_type
        if inner is not None:
            for way, longest in lists(inner, seen | {kind.full_name}):
                yield (each, *way), longest


WAYS = [
    pytest.param(name, way, longest, id=".".join([name.rpartition(".")[2], *(each.name for each in way)]))
    for name, kind in REQUESTS.items()
    for way, longest in lists(kind)
]


@pytest.mark.parametrize(("name", "way", "longest"), WAYS)
def test_every_list_of_every_request_is_counted(
    name: str, way: tuple[FieldDescriptor, ...], longest: int
) -> None:
    """One value more than a list may have is refused by name; a list that nobody thought of has no limit and fails here."""
    assert longest, f"{way[-1].full_name} has no limit in vitrine/domain/counts.py"
    request: Any = message_factory.GetMessageClass(REQUESTS[name])()
    holder = request
    for each in way[:-1]:
        holder = _inner(holder, each)
    _fill(holder, way[-1], longest + 1)
    counted = request.product.product if way[0].full_name in COUNTED_APART and len(way) > 2 else request
    if way[0].full_name in COUNTED_APART and len(way) == 2:
        counted = request.product
    with pytest.raises(InvalidValue) as refused:
        check_counts(counted)
    assert refused.value.field.endswith(way[-1].name)
    assert f"at most {longest:,}, got {longest + 1:,}" in refused.value.reason


def _inner(holder: Any, each: FieldDescriptor) -> Any:
    value: Any = getattr(holder, each.name)
    kind: Any = each.message_type
    if not each.is_repeated:
        value.SetInParent()
        return value
    return value["a"] if kind.GetOptions().map_entry else value.add()


def _fill(holder: Any, each: FieldDescriptor, number: int) -> None:
    values = getattr(holder, each.name)
    kind = each.message_type
    if kind is None:
        values.extend([b"a" if each.type == FieldDescriptor.TYPE_BYTES else "a"] * number)
    elif not kind.GetOptions().map_entry:
        for _ in range(number):
            values.add()
    else:
        for i in range(number):
            if kind.fields_by_name["value"].message_type is not None:
                values[str(i)].SetInParent()
            elif kind.fields_by_name["value"].type == FieldDescriptor.TYPE_STRING:
                values[str(i)] = "a"
            else:
                values[str(i)] = 1.0


def test_messages_in_lists_are_counted_together() -> None:
    """Lists within lists, each within its limit, are too many together."""
    request = search_pb2.ConverseRequest()
    for _ in range(limits.MAX_HISTORY_TURNS):
        turn = request.history.add()
        for _ in range(limits.MAX_SHOWN):
            shown = turn.shown.add()
            for name in range(9):
                shown.fields[str(name)].boolean = True
    with pytest.raises(InvalidValue, match="request: at most 8,192"):
        check_counts(request)
