"""The form of a model's answer, derived from vitrine.v1.Rewrite: JSON schema, prompt text and the names of choices.

A field that bears the option `meaning` is one that a model fills; what the option says is what the prompt says. So a
field of the proto is a field of the schema and of the prompt, and cannot be forgotten in either.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from catalogue.product import TEXT_FIELDS
from vitrine.v1 import query_pb2, rewrite_pb2

NONE = "none"
"""How the value 0 of an enum is said."""

_PRICE = {"type": ["number", "null"]}
_STRING = {"type": "string"}
FILTER: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "conditions": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "field": {"enum": [*TEXT_FIELDS]},
                    "values": {"type": "array", "items": _STRING},
                    "exclude": {"type": "boolean"},
                },
                "required": ["field", "values", "exclude"],
                "additionalProperties": False,
            },
        },
        "price_over": _PRICE,
        "price_under": _PRICE,
    },
    "required": ["conditions", "price_over", "price_under"],
    "additionalProperties": False,
}
"""A filter as a model says it: flat, for the tree of vitrine.v1.Filter is more than a small model keeps in order."""


def choices(enum: EnumDescriptor) -> Mapping[str, int]:
    """Give an enum's values by the names that a model uses: ROUTE_TEXT is "text", the value 0 is "none"."""
    prefix = enum.values_by_number[0].name.removesuffix("UNSPECIFIED")
    return {
        value.name.removeprefix(prefix).lower() if value.number else NONE: value.number
        for value in enum.values
    }


ROUTES = {name: number for name, number in choices(query_pb2.Route.DESCRIPTOR).items() if number}
"""A turn always needs one of them."""


def asked(message: Descriptor) -> Mapping[str, FieldDescriptor]:
    """Give the fields of a message that a model fills, by name."""
    return {field.name: field for field in message.fields if meaning_of(field)}


def meaning_of(field: FieldDescriptor) -> str:
    """Give what a model is told of a field; empty for a field that code fills."""
    return str(field.GetOptions().Extensions[rewrite_pb2.meaning])


def schema_of(message: Descriptor) -> dict[str, Any]:
    """Give the JSON schema of a message's fields that a model fills, each of them required."""
    fields = asked(message)
    return {
        "type": "object",
        "properties": {name: _listed(field) for name, field in fields.items()},
        "required": [*fields],
        "additionalProperties": False,
    }


def lines_of(message: Descriptor, indent: str = "") -> Iterator[str]:
    """Give the lines of a prompt that say what a message's fields mean."""
    for name, field in asked(message).items():
        yield f"{indent}- {name}: {meaning_of(field)}"
        if field.message_type is not None:
            yield from lines_of(field.message_type, indent + "  ")


def _listed(field: FieldDescriptor) -> Mapping[str, Any]:
    schema = _schema_of(field)
    return {"type": "array", "items": schema} if field.is_repeated else schema


def _schema_of(field: FieldDescriptor) -> Mapping[str, Any]:
    if field.message_type is query_pb2.Filter.DESCRIPTOR:
        return FILTER
    if field.message_type is not None:
        return schema_of(field.message_type)
    if field.enum_type is not None:
        return {"enum": _names(field.enum_type)}
    assert field.type == FieldDescriptor.TYPE_STRING, field.full_name
    return _STRING


def _names(enum: EnumDescriptor) -> Sequence[str]:
    return [*ROUTES] if enum is query_pb2.Route.DESCRIPTOR else [*choices(enum)]
