"""What campaigns offer for a page, as a search finds it: products with their own scores for the query.

Who gets a place is decided when the answer is given (`gateway.sponsoring`), so that a search whose answer nobody sees
costs nobody anything, and an answer that is given twice is decided twice.
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from gateway.errors import DeadlineExceeded, DependencyError, IndexSwapped
from gateway.model import Hit, Offer
from gateway.retrieval.query import Query
from vitrine.domain.filters import Filter
from vitrine.domain.schema import Schema

SPONSORED = "sponsored"
"""In `degraded`: what campaigns offer was not known in time. The name of the stage, and of the reason in a score's parts."""


class LookUp(Protocol):
    """Scores products of the index for the query."""

    async def __call__(
        self, own: Filter | None, *, limit: int, products: Sequence[str] = ()
    ) -> tuple[Hit, ...]:
        """Return the best products under a condition beside the query's own; with ids, of those alone."""
        ...


class Sponsors(Protocol):
    """Knows the campaigns."""

    @property
    def budget_s(self) -> float:
        """Longest that a search waits."""
        ...

    @property
    def version(self) -> int:
        """A number that grows with each change to a campaign."""
        ...

    def asks(self, query: Query) -> bool:
        """Whether a search may have sponsored places, and a campaign runs."""
        ...

    async def offers(
        self, query: Query, schema: Schema, hits: Sequence[Hit], look_up: LookUp
    ) -> tuple[Offer, ...]:
        """Return what campaigns offer for a page, of which the pool's `hits` are the organic order.

        Raises:
            DeadlineExceeded, DependencyError, IndexSwapped: the index or the store of campaigns did not answer.
        """
        ...


async def offers_in_time(
    sponsors: Sponsors,
    query: Query,
    schema: Schema,
    hits: Sequence[Hit],
    *,
    look_up: LookUp,
    timeout_s: float,
) -> tuple[Offer, ...] | None:
    """Return what campaigns offer; None where it is not known in time."""
    try:
        async with asyncio.timeout(timeout_s):
            return await sponsors.offers(query, schema, hits, look_up)
    except (TimeoutError, DeadlineExceeded, DependencyError, IndexSwapped):
        return None
