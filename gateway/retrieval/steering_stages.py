"""The stages that find out what steers a search, and order its best products by it (`steering.py`)."""

import asyncio
from collections.abc import Sequence

from gateway.copying import changed
from gateway.errors import DeadlineExceeded, DependencyError, NotFound
from gateway.model import Intent, StoredProduct
from gateway.retrieval.stages import Search, Tools, rank
from gateway.retrieval.steering import (
    INTENT,
    MAX_DISLIKED,
    UNLIKE,
    Steering,
    says_something,
    steered,
)
from gateway.retrieval.taste import CANDIDATES as RANKED


async def know(search: Search, tools: Tools) -> Search:
    """Find out what steers the order: the intent, and what was disliked, within the budget of what is known of shoppers."""
    query, shares = search.query, tools.shares
    intent = query.intent if shares.get(INTENT, 0.0) > 0 else Intent.OTHER
    dislikes = shares.get(UNLIKE, 0.0) > 0
    disliked = query.disliked[-MAX_DISLIKED:] if dislikes else ()
    hid = dislikes and search.taste is not None and bool(search.taste.hidden)
    popularity = tools.popularity.popularity() if intent is not Intent.OTHER and tools.popularity else {}
    if not says_something(intent, popularity, search.taste, search.schema):
        intent = Intent.OTHER
    if query.sort is not None or (intent is Intent.OTHER and not disliked and not hid):
        return search
    products: tuple[StoredProduct, ...] = ()
    if disliked:
        try:
            products = await _known_products(search, tools, disliked)
        except (TimeoutError, DeadlineExceeded, DependencyError):
            search = changed(search, degraded=(*search.degraded, UNLIKE))
    return changed(search, steering=Steering(intent=intent, disliked=products, popularity=popularity))


async def _known_products(search: Search, tools: Tools, ids: Sequence[str]) -> tuple[StoredProduct, ...]:
    """Return those of the products that the index still has, with their vectors."""
    versions = search.versions
    assert versions is not None, "compatible comes first"
    with search.clock.stage(UNLIKE):
        async with asyncio.timeout(tools.personal_budget_s):
            lookups = (tools.products.product(each, versions, search.deadline) for each in ids)
            found = await asyncio.gather(*lookups, return_exceptions=True)
    failures = [each for each in found if isinstance(each, BaseException) and not isinstance(each, NotFound)]
    if failures:
        raise failures[0]
    return tuple(each for each in found if isinstance(each, StoredProduct))


async def steer(search: Search, tools: Tools) -> Search:
    """Rank the best products by why the shopper asks and by what they disliked; those after them keep their places."""
    steering, pool = search.steering, search.pool
    assert pool is not None, "the pool is looked up first"
    if steering is None or not pool.hits:
        return search
    hits = steered(pool.hits[:RANKED], steering, search.taste, search.schema, tools.shares)
    return changed(search, pool=changed(pool, hits=(*sorted(hits, key=rank), *pool.hits[RANKED:])))
