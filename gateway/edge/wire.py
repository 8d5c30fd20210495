"""The wire format of protobuf, read without a parser: where the fields of a message stand, and nothing of what is in them.

A step costs the same however long its field is, so that a walk is as dear as the number of its steps, which whoever
walks bounds.
"""

from collections.abc import Iterator
from dataclasses import dataclass

LENGTH_DELIMITED = 2

_FIXED = {1: 8, 3: 0, 4: 0, 5: 4}
"""Bytes that follow the tag, by wire type; the two ends of a group have none."""
_VARINT = 0
_MAX_VARINT = 10


class NotWire(Exception):  # noqa: N818 - it says what the bytes are
    """The bytes are no message: a field is cut off, or its tag is none."""


@dataclass(frozen=True, slots=True)
class Part:
    """A field as it stands on the wire."""

    number: int
    kind: int
    """Its wire type."""
    start: int
    """Where its value begins, behind the tag and the length."""
    end: int

    @property
    def size(self) -> int:
        """Bytes of its value."""
        return self.end - self.start


def parts(data: bytes, start: int = 0, end: int | None = None) -> Iterator[Part]:
    """Yield the fields of the message between the two places; raises NotWire."""
    position, end = start, len(data) if end is None else end
    while position < end:
        tag, position = _varint(data, position, end)
        kind = tag & 7
        if kind == LENGTH_DELIMITED:
            length, begin = _varint(data, position, end)
            position = begin + length
        elif kind == _VARINT:
            begin = position
            _, position = _varint(data, position, end)
        elif kind in _FIXED:
            begin, position = position, position + _FIXED[kind]
        else:
            raise NotWire
        if position > end:
            raise NotWire
        yield Part(tag >> 3, kind, begin, position)


def _varint(data: bytes, position: int, end: int) -> tuple[int, int]:
    """Return the number that stands at a place, and the place behind it."""
    value = 0
    for shift in range(_MAX_VARINT):
        if position >= end:
            raise NotWire
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:  # noqa: PLR2004 - the bit that says that another byte follows
            return value, position
    raise NotWire
