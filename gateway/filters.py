"""Filters at the door: messages to typed trees, each refusal naming the field by its path and the limit."""

import math
from typing import assert_never

from catalogue.product import FILTER_FIELDS, MAX_VALUE_LENGTH, NUMBER_FIELDS, TEXT_FIELDS
from gateway.errors import InvalidQuery
from gateway.model import AllOf, AnyOf, Equals, Filter, Not, OneOf, Range
from vitrine.v1 import query_pb2

MAX_LEVELS = 8
"""Height of the tree; a single condition has one level."""

MAX_VALUES = 256
"""Values and bounds of the whole tree. Every condition has one at least, so this bounds the conditions too."""

MAX_FILTER_BYTES = 100_000
"""MAX_VALUES values of the greatest length take about 70,000; more is refused before it is walked."""

_QUOTED = 64
"""Characters of a caller's own text that a refusal may quote."""


def to_model(message: query_pb2.Filter) -> Filter:
    """Read a filter.

    Raises:
        InvalidQuery: it has an empty node, an unknown field, a value of the wrong type, a range upside down or a
            number that is not finite, or breaks a limit.
    """
    if (size := message.ByteSize()) > MAX_FILTER_BYTES:
        raise InvalidQuery(
            "filter", f"at most {MAX_VALUES} values and {MAX_FILTER_BYTES:,} bytes, got {size:,} bytes"
        )
    node = _read(message, "filter")
    check_filter(node)
    return node


def check_filter(node: Filter) -> None:
    """Hold a tree against every rule that `to_model` names; raises InvalidQuery."""
    values = _check(node, "filter", level=1)
    if values > MAX_VALUES:
        raise InvalidQuery("filter", f"at most {MAX_VALUES} values, got {values:,}")


def to_proto(node: Filter) -> query_pb2.Filter:
    """Give the message that reads as the tree."""
    match node:
        case Equals(field, value):
            return query_pb2.Filter(equals=query_pb2.Equals(field=field, value=_value_message(value)))
        case OneOf(field, values):
            listed = [_value_message(value) for value in values]
            return query_pb2.Filter(one_of=query_pb2.OneOf(field=field, values=listed))
        case Range():
            return query_pb2.Filter(
                range=query_pb2.Range(
                    field=node.field,
                    minimum=node.minimum,
                    maximum=node.maximum,
                    exclusive_minimum=node.exclusive_minimum,
                    exclusive_maximum=node.exclusive_maximum,
                )
            )
        case AllOf(parts):
            return query_pb2.Filter(all_of=query_pb2.FilterList(filters=map(to_proto, parts)))
        case AnyOf(parts):
            return query_pb2.Filter(any_of=query_pb2.FilterList(filters=map(to_proto, parts)))
        case Not(part):
            return query_pb2.Filter(negation=to_proto(part))
        case _:
            assert_never(node)


def _read(message: query_pb2.Filter, path: str) -> Filter:
    kind = message.WhichOneof("node")
    match kind:
        case "equals":
            equals = message.equals
            return Equals(equals.field, _read_value(equals.value, f"{path}.equals.value"))
        case "one_of":
            values = enumerate(message.one_of.values)
            return OneOf(
                message.one_of.field,
                tuple(_read_value(value, f"{path}.one_of.values[{i}]") for i, value in values),
            )
        case "range":
            return _read_range(message.range)
        case "all_of":
            return AllOf(_read_list(message.all_of, f"{path}.all_of"))
        case "any_of":
            return AnyOf(_read_list(message.any_of, f"{path}.any_of"))
        case "negation":
            return Not(_read(message.negation, f"{path}.negation"))
        case None:
            raise InvalidQuery(path, "must hold a condition")
        case _:
            assert_never(kind)


def _read_list(message: query_pb2.FilterList, path: str) -> tuple[Filter, ...]:
    return tuple(_read(part, f"{path}.filters[{i}]") for i, part in enumerate(message.filters))


def _read_value(message: query_pb2.FieldValue, path: str) -> str | float:
    match message.WhichOneof("kind"):
        case "text":
            return message.text
        case "number":
            return message.number
        case _:
            raise InvalidQuery(path, "must hold a text or a number")


def _read_range(message: query_pb2.Range) -> Range:
    return Range(
        field=message.field,
        minimum=message.minimum if message.HasField("minimum") else None,
        maximum=message.maximum if message.HasField("maximum") else None,
        exclusive_minimum=message.exclusive_minimum,
        exclusive_maximum=message.exclusive_maximum,
    )


def _value_message(value: str | float) -> query_pb2.FieldValue:
    if isinstance(value, str):
        return query_pb2.FieldValue(text=value)
    return query_pb2.FieldValue(number=value)


def _check(node: Filter, path: str, *, level: int) -> int:
    """Check the tree below; give how many values it holds."""
    if level > MAX_LEVELS:
        raise InvalidQuery(path, f"at most {MAX_LEVELS} levels")
    match node:
        case Equals(field, value):
            _check_value(field, value, f"{path}.equals", "value")
            return 1
        case OneOf():
            return _check_one_of(node, f"{path}.one_of")
        case Range():
            return _check_range(node, f"{path}.range")
        case AllOf(parts):
            return _check_list(parts, f"{path}.all_of.filters", level)
        case AnyOf(parts):
            return _check_list(parts, f"{path}.any_of.filters", level)
        case Not(part):
            return _check(part, f"{path}.negation", level=level + 1)
        case _:
            assert_never(node)


def _check_list(parts: tuple[Filter, ...], path: str, level: int) -> int:
    if not parts:
        raise InvalidQuery(path, "must not be empty")
    return sum(_check(part, f"{path}[{i}]", level=level + 1) for i, part in enumerate(parts))


def _check_one_of(node: OneOf, path: str) -> int:
    if not node.values:
        raise InvalidQuery(f"{path}.values", "must not be empty")
    if len(node.values) > MAX_VALUES:
        raise InvalidQuery(f"{path}.values", f"at most {MAX_VALUES} values, got {len(node.values):,}")
    for i, value in enumerate(node.values):
        _check_value(node.field, value, path, f"values[{i}]")
    return len(node.values)


def _check_value(field: str, value: str | float, path: str, name: str) -> None:
    _check_field(field, path)
    if field in NUMBER_FIELDS:
        if isinstance(value, str):
            raise InvalidQuery(f"{path}.{name}", f"must be a number, since {field} is one")
        _check_finite(value, f"{path}.{name}")
        return
    if not isinstance(value, str):
        raise InvalidQuery(f"{path}.{name}", f"must be a text, since {field} is one")
    if len(value) > MAX_VALUE_LENGTH:
        raise InvalidQuery(f"{path}.{name}", f"at most {MAX_VALUE_LENGTH} characters, got {len(value):,}")


def _check_range(node: Range, path: str) -> int:
    _check_field(node.field, path)
    if node.field in TEXT_FIELDS:
        raise InvalidQuery(
            f"{path}.field", f"must be a number's field, and {node.field} is a text: use one_of"
        )
    bounds = {name: bound for name in ("minimum", "maximum") if (bound := getattr(node, name)) is not None}
    if not bounds:
        raise InvalidQuery(path, "must have a minimum or a maximum")
    for name, bound in bounds.items():
        _check_finite(bound, f"{path}.{name}")
    if node.minimum is not None and node.maximum is not None:
        open_ended = node.exclusive_minimum or node.exclusive_maximum
        if node.minimum > node.maximum or (open_ended and node.minimum == node.maximum):
            raise InvalidQuery(
                f"{path}.minimum", f"must lie below the maximum {node.maximum:g}, got {node.minimum:g}"
            )
    return len(bounds)


def _check_field(field: str, path: str) -> None:
    if field not in FILTER_FIELDS:
        raise InvalidQuery(
            f"{path}.field", f"{field[:_QUOTED]!r} is no filter field; these are: {', '.join(FILTER_FIELDS)}"
        )


def _check_finite(value: float, path: str) -> None:
    if not math.isfinite(value):
        raise InvalidQuery(path, f"must be a finite number, got {value}")
