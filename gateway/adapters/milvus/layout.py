"""Which field of a product is kept in which column of a collection.

id           primary key: the product's id, encoded; of its second picture `<id>%/1`, of the third `<id>%/2`
part         0 for a product's main row, 1 and up for the rows of its further pictures
embedding    image half | text half
f_<field>    keywords folded, booleans "true" or "false", numbers; each with a scalar index
lists        {"<field>": {"<folded keyword>": 1}} of the fields that hold several keywords
extra        what else conditions name: fields that were added later, and those that the columns do not suffice for
tokens       words that are matched exactly
values       the fields of the product that conditions, counts or orders may name, as the catalogue writes them
texts        its other fields
attributes, digest, vectors_digest
pictures     {"count": how many, "uris": where they can be had, and what was read in them: "inferred", "caption",
             "caption_by"}
"""

import json
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

from pymilvus import CollectionSchema, DataType, MilvusClient
from pymilvus.milvus_client.index import IndexParams

from gateway.adapters.milvus.vector_indexes import FLAT, VectorIndex
from gateway.errors import FailedPrecondition
from gateway.model import IndexVersion
from vitrine.domain import limits
from vitrine.domain.lexical import MAX_TOKEN_LENGTH, MAX_TOKENS
from vitrine.domain.schema import NUMBER_KINDS, Field, Kind, Schema, SchemaError
from vitrine.domain.schema_files import format_schema, parse_schema

ID = "id"
PART = "part"
VECTOR = "embedding"
TOKENS = "tokens"
WORDS = "words"
VALUES = "values"
PICTURES = "pictures"

JSON_COLUMNS = ("lists", "extra", VALUES, "texts", "attributes", PICTURES, WORDS)

DOCUMENT = (VALUES, "texts", "attributes", PICTURES, "digest", "vectors_digest")
"""The columns that make a product, without its vectors."""

PRODUCTS = f"{PART} == 0"
"""The expression of the main rows: one a product."""

MAX_JSON_BYTES = 65_536
"""Bytes that Milvus keeps in one JSON column."""

# Milvus counts bytes. A character takes four at most, encoded or not.
_BYTES_PER_CHARACTER = 4
_KEYWORD_BYTES = 512
_DIGEST_BYTES = 128

_MAX_COLUMNS = 48
"""Columns of fields; a server takes 64 columns in all by default."""


class NoLayoutError(ValueError):
    """A collection's description is not one of ours; the message is the end of a sentence about it."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A collection's identity, and where it keeps the fields of its schema."""

    version: IndexVersion
    """With the schema that the collection has now."""
    source: str
    created_with: Schema
    """The schema whose fields have columns; fields that were added since have none."""
    exact: bool = True
    """Whether its searches find every row that satisfies their condition; see vector_indexes.py."""

    def with_schema(self, schema: Schema) -> "Layout":
        """Return the layout after the schema has become the collection's."""
        return replace(self, version=replace(self.version, schema=schema))

    @property
    def collection(self) -> str:
        """Return the collection's name."""
        return self.version.collection

    @cached_property
    def columns(self) -> frozenset[str]:
        """Return the names of the fields that have a column of their own."""
        return frozenset(each.name for each in column_fields(self.created_with))

    def field(self, name: str) -> Field:
        """Return the field of that name.

        Raises:
            FailedPrecondition: there is none, since the index was swapped after the caller had read its schema.
        """
        owner = self.version.schema.by_name.get(name)
        if owner is None:
            raise FailedPrecondition(f"the index has no field {name!r} any more: ask again by its new schema")
        return owner

    def has_column(self, owner: Field) -> bool:
        """Whether the field has a column of its own."""
        return owner.name in self.columns

    def operand(self, owner: Field) -> str:
        """Return what stands for the field in an expression."""
        if owner.kind is Kind.KEYWORDS:
            return f'lists["{owner.name}"]'
        return column_name(owner) if self.has_column(owner) else f'extra["{owner.name}"]'

    def presence(self, owner: Field) -> str:
        """Return what is 1 in `extra` where a product has a number that has no column."""
        return f'extra["{presence_key(owner)}"]'


def column_name(owner: Field) -> str:
    """Return the name of a field's column: none collides with another column or with a word of Milvus."""
    return f"f_{owner.name}"


def presence_key(owner: Field) -> str:
    """Return the key beside a number in `extra`; no field is called like it."""
    return f"{owner.name}%"


def column_fields(schema: Schema) -> tuple[Field, ...]:
    """Return the fields that get a column of their own in a collection made with the schema."""
    return tuple(each for each in schema.columns if each.kind is not Kind.KEYWORDS)[:_MAX_COLUMNS]


def collection_schema(schema: Schema, *, manifest: str, source: str, embedding_dim: int) -> CollectionSchema:
    """Return the schema of a collection whose description carries its identity.

    Raises:
        SchemaError: the catalogue's schema is too long to be kept.
    """
    identity = {
        "manifest": manifest,
        "source": source,
        "embedding_dim": embedding_dim,
        "schema": write_schema(schema),
    }
    made = MilvusClient.create_schema(
        auto_id=False, enable_dynamic_field=False, description=json.dumps(identity, ensure_ascii=False)
    )
    made.add_field(
        ID, DataType.VARCHAR, is_primary=True, max_length=limits.MAX_ID_LENGTH * _BYTES_PER_CHARACTER + 8
    )
    made.add_field(PART, DataType.INT64)
    made.add_field(VECTOR, DataType.FLOAT_VECTOR, dim=2 * embedding_dim)
    for owner in column_fields(schema):
        if owner.kind in NUMBER_KINDS:
            made.add_field(column_name(owner), DataType.DOUBLE)
        else:
            made.add_field(column_name(owner), DataType.VARCHAR, max_length=_KEYWORD_BYTES)
    for name in JSON_COLUMNS:
        made.add_field(name, DataType.JSON)
    made.add_field(
        TOKENS,
        DataType.ARRAY,
        element_type=DataType.VARCHAR,
        max_capacity=MAX_TOKENS,
        max_length=MAX_TOKEN_LENGTH * _BYTES_PER_CHARACTER,
    )
    for name in ("digest", "vectors_digest"):
        made.add_field(name, DataType.VARCHAR, max_length=_DIGEST_BYTES)
    return made


def vector_index(index: VectorIndex = FLAT) -> IndexParams:
    """Return what Milvus is told to make the index of the vectors."""
    made = MilvusClient.prepare_index_params()
    made.add_index(
        VECTOR, index_type=index.kind, index_name=VECTOR, metric_type="IP", params=dict(index.build)
    )
    return made


def scalar_indexes(schema: Schema) -> dict[str, IndexParams]:
    """Return the indexes of the columns that conditions name, by column; an engine may refuse any of them.

    Without a type each engine takes its default; only newer servers have one for the tokens.
    """
    types = {PART: "", **{column_name(owner): "" for owner in column_fields(schema)}, TOKENS: "INVERTED"}
    indexes = {}
    for column, index_type in types.items():
        index = MilvusClient.prepare_index_params()
        index.add_index(column, index_type=index_type)
        indexes[column] = index
    return indexes


def read_description(collection: str, description: str) -> Layout:
    """Return the layout that a collection's description carries.

    Raises:
        NoLayoutError: it carries none, or one of an earlier layout.
    """
    try:
        identity = json.loads(description)
        manifest, source, dim = (identity[name] for name in ("manifest", "source", "embedding_dim"))
    except (KeyError, TypeError, ValueError):
        raise NoLayoutError("is none of Vitrine's") from None
    try:
        schema = read_schema_text(identity["schema"])
    except (KeyError, SchemaError):
        raise NoLayoutError("was made by another version of Vitrine, without a schema of today") from None
    version = IndexVersion(collection=collection, manifest=manifest, embedding_dim=dim, schema=schema)
    return Layout(version=version, source=source, created_with=schema)


def write_schema(schema: Schema) -> str:
    """Return the text by which a schema is kept; SchemaError where it is too long."""
    text = format_schema(schema)
    if (size := len(text.encode())) > limits.MAX_SCHEMA_BYTES:
        raise SchemaError("", f"at most {limits.MAX_SCHEMA_BYTES:,} bytes as TOML, got {size:,}")
    return text


@lru_cache(maxsize=16)
def read_schema_text(text: str) -> Schema:
    """Read a schema that `write_schema` wrote."""
    return parse_schema(text)
