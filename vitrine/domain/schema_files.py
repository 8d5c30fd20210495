"""Schemas as TOML files, and those that ship."""

import json
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from vitrine.domain import limits
from vitrine.domain.schema import Field, Kind, Role, Schema, SchemaError, default_flags

_SCHEMA_KEYS = frozenset({"name", "currency", "fields"})
_FLAGS = ("filter", "facet", "sort", "lexical", "encoded")
_FIELD_KEYS = frozenset({"kind", "role", "columns", "labels", "questions", *_FLAGS})
_SHIPPED = resources.files("vitrine.domain") / "schemas"

FASHION = "fashion"
"""The schema of the drawn catalogue, and of an index whose maker named none."""


@cache
def shipped_schema(name: str = FASHION) -> Schema:
    """Return a schema that ships with Vitrine; SchemaError when there is none of that name."""
    file = _SHIPPED / f"{name}.toml"
    if not file.is_file():
        raise SchemaError("schema", f"none is called {name!r}; these ship: {', '.join(shipped_names())}")
    return parse_schema(file.read_text(encoding="utf-8"))


def shipped_names() -> tuple[str, ...]:
    """Return the names of the schemas that ship."""
    return tuple(sorted(Path(file.name).stem for file in _SHIPPED.iterdir() if file.name.endswith(".toml")))


def read_schema(path: Path) -> Schema:
    """Read a schema file; SchemaError says what is wrong, with the file and the field."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SchemaError(str(path), error.strerror or "cannot be read") from error
    except UnicodeDecodeError:
        raise SchemaError(str(path), "is not UTF-8") from None
    try:
        return parse_schema(text)
    except SchemaError as error:
        raise SchemaError(f"{path}: {error.field}" if error.field else str(path), error.reason) from None


def parse_schema(text: str) -> Schema:
    """Read a schema from the text of a TOML file; SchemaError names the field that breaks a rule."""
    if len(text.encode()) > limits.MAX_SCHEMA_BYTES:
        raise SchemaError("", f"at most {limits.MAX_SCHEMA_BYTES:,} bytes")
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise SchemaError("", f"is no TOML: {error}") from None
    return schema_from_document(document)


def schema_from_document(document: Mapping[str, Any]) -> Schema:
    """Read a schema from a TOML table; SchemaError names the field that breaks a rule."""
    _check_keys("", document, _SCHEMA_KEYS)
    fields = document.get("fields", {})
    if not isinstance(fields, dict):
        raise SchemaError("fields", "must be tables: [fields.colour]")
    return Schema(
        name=_text("name", document.get("name", "")),
        currency=_text("currency", document.get("currency", "")),
        fields=tuple(_field(name, table) for name, table in fields.items()),
    )


def format_schema(schema: Schema) -> str:
    """Write a schema as the TOML that `parse_schema` reads; what the kind decides by itself is left out."""
    lines = [f"name = {_quoted(schema.name)}"]
    if schema.currency:
        lines.append(f"currency = {_quoted(schema.currency)}")
    for each in schema:
        lines += ["", f"[fields.{each.name}]", f"kind = {_quoted(each.kind)}"]
        if each.role is not None:
            lines.append(f"role = {_quoted(each.role)}")
        if each.columns:
            lines.append(f"columns = {_listed(each.columns)}")
        defaults = default_flags(each.kind, each.role)
        lines += (
            f"{flag} = {str(said).lower()}"
            for flag in _FLAGS
            if (said := getattr(each, flag)) != defaults[flag]
        )
        if each.labels:
            pairs = (f"{language} = {_quoted(label)}" for language, label in each.labels.items())
            lines.append(f"labels = {{ {', '.join(pairs)} }}")
        if each.questions:
            listed = (f"{language} = {_listed(words)}" for language, words in each.questions.items())
            lines.append(f"questions = {{ {', '.join(listed)} }}")
    return "\n".join(lines) + "\n"


def _field(name: str, table: object) -> Field:
    path = f"fields.{name[: limits.MAX_FIELD_NAME_LENGTH]}"
    if not isinstance(table, dict):
        raise SchemaError(path, f"must be a table: [fields.{name[: limits.MAX_FIELD_NAME_LENGTH]}]")
    _check_keys(path, table, _FIELD_KEYS)
    kind = Kind(_choice(f"{path}.kind", table.get("kind"), [*Kind]))
    role = Role(_choice(f"{path}.role", table["role"], [*Role])) if "role" in table else None
    flags = dict(default_flags(kind, role))
    for flag in _FLAGS:
        if flag in table:
            if not isinstance(table[flag], bool):
                raise SchemaError(f"{path}.{flag}", "must be true or false")
            flags[flag] = table[flag]
    return Field(
        name=name,
        kind=kind,
        role=role,
        columns=_texts(f"{path}.columns", table.get("columns", [])),
        labels={
            language: _text(f"{path}.labels.{language}", label)
            for language, label in _table(f"{path}.labels", table.get("labels", {})).items()
        },
        questions={
            language: _texts(f"{path}.questions.{language}", words)
            for language, words in _table(f"{path}.questions", table.get("questions", {})).items()
        },
        **flags,
    )


def _check_keys(path: str, table: Mapping[str, Any], known: frozenset[str]) -> None:
    if unknown := sorted(table.keys() - known):
        name = f"{path}.{unknown[0]}" if path else unknown[0]
        raise SchemaError(name[:128], f"is unknown here; these are known: {', '.join(sorted(known))}")


def _choice(path: str, value: object, known: list[str]) -> str:
    if value not in known:
        raise SchemaError(path, f"must be one of {', '.join(known)}, got {_cut(value)}")
    return str(value)


def _text(path: str, value: object) -> str:
    if not isinstance(value, str):
        raise SchemaError(path, f"must be a text, got {_cut(value)}")
    return value


def _texts(path: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise SchemaError(path, f"must be a list of texts, got {_cut(value)}")
    return tuple(_text(f"{path}[{i}]", each) for i, each in enumerate(value))


def _table(path: str, value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise SchemaError(path, f"must be a table by language, got {_cut(value)}")
    return value


def _cut(value: object) -> str:
    return "nothing" if value is None else repr(value)[:64]


def _quoted(text: str) -> str:
    # A JSON string is a basic string of TOML, but for DEL, which no name or label holds.
    return json.dumps(text, ensure_ascii=False)


def _listed(texts: tuple[str, ...]) -> str:
    return f"[{', '.join(map(_quoted, texts))}]"
