"""The kind of thing that a reference shows, kept as a soft filter: a change to a dress is looked for among dresses.

A product of the index says its category itself; a picture's is read by what was learnt of the index's own pictures,
where that is sure. The wish gives way like the soft filters that the rewriter reads, the last of them (`relaxations`), and
stands in the query as it was searched like them. Words that name a category themselves decide.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Protocol

import numpy as np

from gateway.model import Embedding
from gateway.retrieval.query import Query, Versions
from vitrine.attributes.reader import PictureReader
from vitrine.domain.filters import Equals, both, names
from vitrine.domain.lexical import query_tokens
from vitrine.domain.product import Product
from vitrine.domain.routes import Route
from vitrine.domain.schema import Kind, Role, Schema
from vitrine.domain.values import fold

CATEGORY = "category"
"""In `degraded`: what the index's pictures tell is not learnt yet, so the picture's category is not kept."""

_ENDING = 2
"""Letters by which two forms of a word may differ at the end: dress and dresses."""
_LEAST_STEM = 3


class Readers(Protocol):
    """Knows what reads the category in pictures like those of an index."""

    async def of(self, versions: Versions, *, timeout_s: float) -> PictureReader | None:
        """Return it; None where it is not learnt within the time, which goes on beside the searches."""
        ...


def asks_for_category(query: Query, schema: Schema) -> bool:
    """Whether the reference's category is to be kept: words change it, no condition names one, nobody forbids it."""
    owner = schema.role(Role.CATEGORY)
    if query.route not in {Route.COMPOSED, Route.REFINE} or owner is None or not owner.filter:
        return False
    # A later page has what the first one was searched by.
    if query.literal or query.page_token or owner.kind is not Kind.KEYWORD:
        return False
    conditions = query.conditions
    return conditions is None or owner.name not in names(conditions)


def category_of(product: Product, schema: Schema) -> str:
    """Return the product's category; empty where it has none."""
    return product.text(schema, Role.CATEGORY)


def category_in(picture: Embedding, reader: PictureReader, schema: Schema) -> str:
    """Return the category that a picture, (d,), surely shows; empty where none is sure."""
    owner = schema.role(Role.CATEGORY)
    assert owner is not None, "it is asked for"
    (found,) = reader.read(picture[np.newaxis])
    reading = found.get(owner.name)
    return "" if reading is None else reading.value


def with_category(query: Query, category: str, known: Iterable[str], schema: Schema) -> Query:
    """Return the query with the wish for the category, unless its words name another of those that are known."""
    owner = schema.role(Role.CATEGORY)
    assert owner is not None, "it is asked for"
    if not category or any(fold(each) != fold(category) and _names(query, each) for each in known):
        return query
    return replace(query, soft_filters=both(query.soft_filters, Equals(owner.name, category)))


def _names(query: Query, value: str) -> bool:
    """Whether the query's words, or the caller's own, name the value: each of its words in some form."""
    said = {*query_tokens(query.text), *query_tokens(query.typed)}
    wanted = query_tokens(value)
    words = [word for word in wanted if " " not in word]
    return bool(words) and all(any(_are_forms(word, other) for other in said) for word in words)


def _are_forms(left: str, right: str) -> bool:
    short, long = sorted((left, right), key=len)
    return long == short or (
        len(short) >= _LEAST_STEM and long.startswith(short) and len(long) - len(short) <= _ENDING
    )
