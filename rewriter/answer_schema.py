"""The form of a model's answer, made of prompt.toml and a catalogue's schema: JSON schema, prompt text, names of choices.

A field of vitrine.v1.Rewrite that has a text in prompt.toml is one that a model fills, so it stands in the JSON schema and
in the prompt and cannot be forgotten in either.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import jsonschema
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from rewriter.catalogues import CATALOGUES, schema_key, schema_of
from rewriter.languages.files import ENGLISH
from vitrine.domain.schema import KEYWORD_KINDS, NUMBER_KINDS, Field, Kind, Schema
from vitrine.v1 import query_pb2, rewrite_pb2

NONE = "none"
"""How the value 0 of an enum is said."""

TEXTS: Mapping[str, Any] = tomllib.loads(Path(__file__).with_name("prompt.toml").read_text(encoding="utf-8"))
"""What a model is told."""

_TABLES = {
    rewrite_pb2.Rewrite.DESCRIPTOR: "rewrite",
    rewrite_pb2.Remark.DESCRIPTOR: "remark",
    query_pb2.Sort.DESCRIPTOR: "sort",
}
_MAX_WORDS = 3
"""Words by which a field is asked for that the prompt names, its label first."""

_STRING = {"type": "string"}
_BOUND = {"type": ["number", "null"]}
_BOOLEAN = {"type": "boolean"}


def choices(enum: EnumDescriptor) -> Mapping[str, int]:
    """Return an enum's values by the names that a model uses: ROUTE_TEXT is "text", the value 0 is "none"."""
    prefix = enum.values_by_number[0].name.removesuffix("UNSPECIFIED")
    return {
        value.name.removeprefix(prefix).lower() if value.number else NONE: value.number
        for value in enum.values
    }


ROUTES = {name: number for name, number in choices(query_pb2.Route.DESCRIPTOR).items() if number}
"""A turn always needs one of them."""


def asked(message: Descriptor) -> Mapping[str, FieldDescriptor]:
    """Return the fields of a message that a model fills, by name."""
    return {name: message.fields_by_name[name] for name in TEXTS[_TABLES[message]]}


@dataclass(frozen=True, slots=True)
class AnswerForm:
    """What a model is asked for under one catalogue's schema."""

    schema: Mapping[str, Any]
    """JSON schema of the answer."""
    prompt: str
    """The instructions."""
    validator: jsonschema.Draft202012Validator


def answer_form(request: rewrite_pb2.RewriteRequest) -> AnswerForm:
    """Return the form for the request's schema, made on first use; those asked for last are kept."""
    return _form(schema_key(request))


@lru_cache(maxsize=CATALOGUES)
def _form(key: bytes) -> AnswerForm:
    request = rewrite_pb2.RewriteRequest()
    if key:
        request.schema.ParseFromString(key)
    catalogue = schema_of(request)
    schema = _object(rewrite_pb2.Rewrite.DESCRIPTOR, catalogue)
    known = "; ".join(_described(owner) for owner in catalogue if owner.filter or owner.sort) or "none"
    opening = " ".join(TEXTS["system"].split()).replace("{fields}", known)
    lines = [opening, *_lines(rewrite_pb2.Rewrite.DESCRIPTOR, catalogue)]
    return AnswerForm(schema, "\n".join(lines), jsonschema.Draft202012Validator(schema))


def _described(owner: Field) -> str:
    """Return a field as the prompt names it: "rating (number, sorts; also: stars)"."""
    said = [owner.kind.value, *(["sorts"] if owner.sort else []), *([owner.role.value] if owner.role else [])]
    asked_by = dict.fromkeys((owner.label(), *owner.questions.get(ENGLISH, ())))
    words = [word for word in asked_by if word != owner.name][:_MAX_WORDS]
    return f"{owner.name} ({', '.join(dict.fromkeys(said))}{'; also: ' + ', '.join(words) if words else ''})"


def _object(message: Descriptor, catalogue: Schema) -> dict[str, Any]:
    """Return the JSON schema of a message's fields that a model fills, each of them required."""
    return _closed({name: _listed(field, catalogue) for name, field in asked(message).items()})


def _closed(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": [*properties],
        "additionalProperties": False,
    }


def _listed(field: FieldDescriptor, catalogue: Schema) -> Mapping[str, Any]:
    schema = _schema_of(field, catalogue)
    return {"type": "array", "items": schema} if field.is_repeated else schema


def _schema_of(field: FieldDescriptor, catalogue: Schema) -> Mapping[str, Any]:
    if field.message_type is query_pb2.Filter.DESCRIPTOR:
        return _filter(catalogue)
    if field.message_type is query_pb2.Sort.DESCRIPTOR:
        return _sort(catalogue)
    if field.message_type is not None:
        return _object(field.message_type, catalogue)
    if field.enum_type is not None:
        return {"enum": _names(field.enum_type)}
    assert field.type == FieldDescriptor.TYPE_STRING, field.full_name
    return _STRING


def _sort(catalogue: Schema) -> Mapping[str, Any]:
    if not catalogue.sorted_by:
        return {"type": "null"}
    order = _closed({"field": {"enum": [*catalogue.sorted_by]}, "descending": _BOOLEAN})
    return {"anyOf": [{"type": "null"}, order]}


def _filter(catalogue: Schema) -> Mapping[str, Any]:
    """Return the schema of a filter as a model says it: flat, for a tree is more than a small model keeps in order.

    What the catalogue has no field for is not asked for.
    """
    forms: Mapping[str, tuple[frozenset[Kind], Mapping[str, Any]]] = {
        "conditions": (KEYWORD_KINDS, {"values": {"type": "array", "items": _STRING}, "exclude": _BOOLEAN}),
        "numbers": (NUMBER_KINDS, {"min": _BOUND, "max": _BOUND}),
        "booleans": (frozenset({Kind.BOOLEAN}), {"value": _BOOLEAN}),
    }
    lists = {
        name: {"type": "array", "items": _closed({"field": {"enum": fields}, **properties})}
        for name, (kinds, properties) in forms.items()
        if (fields := [owner.name for owner in catalogue.filtered.values() if owner.kind in kinds])
    }
    return _closed(lists)


def _lines(message: Descriptor, catalogue: Schema, indent: str = "") -> Iterator[str]:
    """Yield the lines of a prompt that say what a message's fields mean."""
    for name, field in asked(message).items():
        yield f"{indent}- {name}: {TEXTS[_TABLES[message]][name]}"
        if field.message_type is query_pb2.Filter.DESCRIPTOR:
            lists = _filter(catalogue)["properties"]
            yield from (f"{indent}  - {part}: {TEXTS['filter'][part]}" for part in lists)
        elif field.message_type is not None:
            yield from _lines(field.message_type, catalogue, indent + "  ")


def _names(enum: EnumDescriptor) -> Sequence[str]:
    return [*ROUTES] if enum is query_pb2.Route.DESCRIPTOR else [*choices(enum)]
