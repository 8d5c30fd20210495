"""The page of schemas: kinds, roles, the keys of a field, the schema that ships, and every limit."""

from collections.abc import Iterator, Sequence

from benchmarks.tables import table
from catalogue.document import limit_groups
from reference.markdown import MADE_BY, attribute_texts, cell
from vitrine.domain.schema import KINDS_OF_ROLES, Field, Kind, Role, Schema
from vitrine.domain.schema_files import shipped_schema

_FLAGS = ("filter", "facet", "sort", "lexical", "encoded")


def page() -> list[str]:
    """Return the page's lines."""
    return [
        "# Schemas and limits",
        "",
        MADE_BY,
        "",
        "What a schema is and how to write one: [Your catalogue](../catalogue.md). As messages it is",
        "[`CatalogueSchema`](api/schema.md#catalogueschema).",
        "",
        "## Kinds",
        "",
        *table(["kind", "what it holds"], _kinds()),
        "",
        "## Roles",
        "",
        "What a field means, whatever the shop calls it; each role is one field's at most.",
        "",
        *table(["role", "kind of its field"], [[f"`{role}`", _either(role)] for role in Role]),
        "",
        "## Keys of a field",
        "",
        *table(["key", "what it says"], _keys()),
        "",
        "## The fashion schema",
        "",
        "That of the drawn catalogue, and of an index whose maker named none.",
        "",
        *table(["field", "kind", "role", *(f"`{flag}`" for flag in _FLAGS)], list(_fields(shipped_schema()))),
        "",
        "## Limits",
        "",
        "What breaks one is refused with the field and the limit.",
        *_limits(),
    ]


def _kinds() -> list[Sequence[str]]:
    texts = attribute_texts(Kind)
    return [[f"`{kind}`", cell(texts.get(kind.name, ""))] for kind in Kind]


def _either(role: Role) -> str:
    return " or ".join(f"`{kind}`" for kind in sorted(KINDS_OF_ROLES[role]))


def _keys() -> list[Sequence[str]]:
    return [[f"`{name}`", cell(text)] for name, text in attribute_texts(Field).items()]


def _fields(schema: Schema) -> Iterator[Sequence[str]]:
    for field in schema:
        flags = ("yes" if getattr(field, flag) else "" for flag in _FLAGS)
        yield [f"`{field.name}`", field.kind, field.role or "", *flags]


def _limits() -> Iterator[str]:
    for group, rows in limit_groups():
        yield from ["", f"### {group.partition(',')[0]}", ""]
        yield from table(["what", "at most"], [[cell(what), f"{limit:,.0f}"] for what, limit in rows])
