"""Bytes of the wire to messages, with an error that names the field.

gRPC's generated code would answer UNKNOWN for bytes that are no message. The commonest case is text in another
encoding, which the parser refuses without saying where: only then is the message taken apart field by field.
"""

from collections.abc import Callable, Iterator
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet

from gateway.errors import InvalidQuery

_LENGTH_DELIMITED = 2
_MAX_DEPTH = 32


def decode(data: bytes, parse: Callable[[bytes], Message], descriptor: Descriptor) -> Message:
    """Parse a request.

    Raises:
        InvalidQuery: a string that is no UTF-8, with its field; or no message at all.
    """
    try:
        return parse(data)
    except DecodeError:
        field = next(_fields_not_utf8(data, descriptor), None)
    if field is not None:
        raise InvalidQuery(field, "must be valid UTF-8")
    raise InvalidQuery("request", f"is no {descriptor.full_name} message")


def _fields_not_utf8(data: bytes, descriptor: Descriptor, depth: int = 0) -> Iterator[str]:
    """Yield the paths of strings that are no UTF-8. A message without fields of its own keeps all as unknown ones."""
    try:
        unknown: Any = UnknownFieldSet(Empty.FromString(data))
    except DecodeError:
        return
    for part in unknown:
        field = descriptor.fields_by_number.get(part.field_number)
        if field is None or part.wire_type != _LENGTH_DELIMITED:
            continue
        if field.type == FieldDescriptor.TYPE_STRING and not _is_utf8(part.data):
            yield field.name
        elif field.message_type is not None and depth < _MAX_DEPTH:
            for inner in _fields_not_utf8(part.data, field.message_type, depth + 1):
                yield f"{field.name}.{inner}"


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
