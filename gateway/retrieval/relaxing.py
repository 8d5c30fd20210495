"""What of a search gives way where no product satisfies it."""

from collections.abc import Iterator
from dataclasses import replace

from gateway.retrieval.query import Query
from vitrine.domain.filters import only
from vitrine.domain.schema import Role, Schema

SOFT_FILTERS = "soft_filters"
"""In `degraded`: no product satisfies what the rewriter read of keywords, so the hits are the nearest without it."""

EXCLUSIONS = "exclusions"
"""In `degraded`: every product has something that the shopper found fault with."""


def relaxations(query: Query, schema: Schema) -> Iterator[tuple[Query, str]]:
    """Yield what to search where nothing is found, each with what it leaves out.

    Of the soft filters the category goes last, since another kind of thing is the worst answer; then the exclusions.
    """
    if query.soft_filters is not None:
        category = schema.role(Role.CATEGORY)
        kind = only(query.soft_filters, {category.name}) if category is not None else None
        if kind not in (None, query.soft_filters):
            yield replace(query, soft_filters=kind), SOFT_FILTERS
        query = replace(query, soft_filters=None)
        yield query, SOFT_FILTERS
    if query.excluded:
        yield replace(query, excluded=()), EXCLUSIONS
