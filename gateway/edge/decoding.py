"""Bytes of the wire to messages, with an error that names the field.

    bytes -- check_bytes --> small enough to be parsed -- parse --> message -- check_counts --> short enough to be walked

Nothing before the parser looks at more than a few hundred fields, and nothing after it walks a list before it was
counted. gRPC's generated code would answer UNKNOWN for bytes that are no message. The commonest case is text in another
encoding, which the parser refuses without saying where: only then is the message taken apart, and no further than
_MAX_SEARCHED fields.
"""

from collections.abc import Callable, Iterator

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message

from gateway.edge.bounds import check_bytes
from gateway.edge.wire import LENGTH_DELIMITED, NotWire, parts
from gateway.errors import InvalidQuery, as_invalid_query
from vitrine.domain.counts import check_counts

_MAX_SEARCHED = 1_000
"""Fields that are looked at to name the one that is no UTF-8."""
_MAX_DEPTH = 32


def decode(data: bytes, parse: Callable[[bytes], Message], descriptor: Descriptor) -> Message:
    """Parse a request.

    Raises:
        InvalidQuery: it is too large, or a list in it too long; a string is no UTF-8, with its field; or it is no message.
    """
    check_bytes(data, descriptor)
    message = _parse(data, parse, descriptor)
    with as_invalid_query():
        check_counts(message)
    return message


def _parse(data: bytes, parse: Callable[[bytes], Message], descriptor: Descriptor) -> Message:
    try:
        return parse(data)
    except DecodeError:
        search = _fields_not_utf8(data, descriptor, (0, len(data)), left=iter(range(_MAX_SEARCHED)))
        field = next(search, None)
    if field is not None:
        raise InvalidQuery(field, "must be valid UTF-8")
    raise InvalidQuery("request", f"is no {descriptor.full_name} message")


def _fields_not_utf8(
    data: bytes, descriptor: Descriptor, place: tuple[int, int], *, left: Iterator[int], depth: int = 0
) -> Iterator[str]:
    """Yield the paths of strings that are no UTF-8, of the message that stands between two places of the data."""
    try:
        for part in parts(data, *place):
            if next(left, None) is None:
                return
            field = descriptor.fields_by_number.get(part.number)
            if field is None or part.kind != LENGTH_DELIMITED:
                continue
            if field.type == FieldDescriptor.TYPE_STRING and not _is_utf8(data[part.start : part.end]):
                yield field.name
            elif field.message_type is not None and depth < _MAX_DEPTH:
                inner = (part.start, part.end)
                for path in _fields_not_utf8(data, field.message_type, inner, left=left, depth=depth + 1):
                    yield f"{field.name}.{path}"
    except NotWire:
        return


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
