"""The catalogue's schema of a request."""

from functools import lru_cache

from vitrine.domain.messages import read_schema_message
from vitrine.domain.schema import Schema
from vitrine.domain.schema_files import shipped_schema
from vitrine.v1 import rewrite_pb2, schema_pb2

CATALOGUES = 32
"""Schemas that are kept, those asked for last."""


def schema_of(request: rewrite_pb2.RewriteRequest) -> Schema:
    """Return the schema of a request, or the one that ships where it names none.

    Raises:
        SchemaError: it breaks a rule; names the field.
    """
    key = schema_key(request)
    return _schema(key) if key else shipped_schema()


def schema_key(request: rewrite_pb2.RewriteRequest) -> bytes:
    """Return what tells the schemas of requests apart, their labels and words included; empty for the one that ships."""
    return request.schema.SerializeToString(deterministic=True) if request.HasField("schema") else b""


@lru_cache(maxsize=CATALOGUES)
def _schema(key: bytes) -> Schema:
    return read_schema_message(schema_pb2.CatalogueSchema.FromString(key))
