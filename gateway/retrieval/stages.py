"""The stages of a search, in the order of `gateway.retrieval.pipeline`.

    compatible -> encode -> know the shopper -> look up a pool -> relax -> offers -> rerank -> page -> count facets

Each is a function that takes the search as it stands and returns it one step further; what a stage needs of the world
is in `Tools`. A new ranking signal is one more rerank stage.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from gateway.context import time_for_hop
from gateway.copying import changed
from gateway.errors import DeadlineExceeded, DependencyError, IndexSwapped, InvalidQuery, as_invalid_query
from gateway.model import Deadline, Embedding, FieldSummary, Hit, Offer, Pool, StoredProduct, Weights
from gateway.ports import MAX_POOL, VectorIndex
from gateway.retrieval.category import (
    CATEGORY,
    Readers,
    asks_for_category,
    category_in,
    category_of,
    with_category,
)
from gateway.retrieval.clock import StageClock
from gateway.retrieval.compatibility import Compatibility
from gateway.retrieval.embeddings import QueryEmbedding, QueryEmbeddings
from gateway.retrieval.products import ProductLookup
from gateway.retrieval.query import Query, Versions
from gateway.retrieval.ranker import Learning
from gateway.retrieval.relaxing import relaxations
from gateway.retrieval.signals import CANDIDATES, LEXICAL, RareWord, rare_words, with_lexical, with_signals
from gateway.retrieval.sponsored import SPONSORED, Sponsors, offers_in_time
from gateway.retrieval.steering import Popularity, Steering
from gateway.retrieval.summary import CatalogueSummary
from gateway.retrieval.taste import CANDIDATES as RANKED
from gateway.retrieval.taste import PERSONAL, Taste, Tastes, personal
from vitrine.domain import limits
from vitrine.domain.filters import Filter, both, exclusion, fitted
from vitrine.domain.lexical import matched_share
from vitrine.domain.routes import ROUTES, Route
from vitrine.domain.schema import Role, Schema

WORDS = "words"
"""In `degraded`: the words are longer than what the encoder reads."""

POOL = "pool"
"""In `degraded`: more products satisfy the conditions than were put into order."""

CATEGORY_WAIT_S = 0.05
"""Longest wait for what is known of the catalogue's categories; without it the reference's is not kept."""

LEXICAL_WAIT_S = 0.05
"""Longest wait for what is known of the catalogue's words; without it exact matches are left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """A search on its way."""

    query: Query
    deadline: Deadline
    clock: StageClock
    versions: Versions | None = None
    weights: Weights
    image_target: Embedding | None = None
    """What the image half of the products' vectors is asked, (d,)."""
    text_target: Embedding | None = None
    """What the text half is asked, (d,)."""
    taste: Taste | None = None
    """What the shopper likes; None where nothing is known or may be."""
    steering: Steering | None = None
    """Why the shopper asks and what they disliked; None where neither orders the hits."""
    pool: Pool | None = None
    hits: tuple[Hit, ...] = ()
    """Of the page."""
    more: bool = False
    swap: int = 0
    """The place that an exploring answer exchanged with the first one, or drew and left; 0: none."""
    offers: tuple[Offer, ...] = ()
    degraded: tuple[str, ...] = ()
    facets: tuple[FieldSummary, ...] = ()

    @property
    def schema(self) -> Schema:
        """Return the schema of the index."""
        assert self.versions is not None, "compatible comes first"
        return self.versions.schema


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What the stages need."""

    index: VectorIndex
    compatibility: Compatibility
    embeddings: QueryEmbeddings
    products: ProductLookup
    summary: CatalogueSummary
    asking: Callable[[str], AbstractContextManager[None]]
    """Times a call to a dependency by its name and notes its failure."""
    readers: Readers | None
    """None: no category is kept."""
    shares: Mapping[str, float]
    """Shares of the ranking signals by name."""
    margin_s: float
    tastes: Tastes | None = None
    """None: shoppers are not known."""
    personal_budget_s: float = 0.0
    learning: Learning | None = None
    """None: nothing is learnt, nor ranked by what was."""
    sponsors: Sponsors | None = None
    """None: there are no sponsored places."""
    popularity: Popularity | None = None
    """None: what is popular is not known."""


async def compatible(search: Search, tools: Tools) -> Search:
    """Find out which index answers, by which encoders, and hold the query against the index's schema.

    Raises:
        FailedPrecondition: there is no index.
        InvalidQuery: a condition, sort or facet names what the schema lacks.
    """
    versions = await tools.compatibility.versions(timeout_s=hop(search, tools))
    return changed(search, versions=versions, query=fit_query(search.query, versions.schema))


def fit_query(query: Query, schema: Schema) -> Query:
    """Return the query with its conditions of the schema's kinds; InvalidQuery where the schema lacks what it names."""
    if query.sort is not None and query.sort.field not in schema.sorted_by:
        known = ", ".join(schema.sorted_by) or "none"
        raise InvalidQuery("sort.field", f"{query.sort.field[:64]!r} cannot be sorted by; these can: {known}")
    for position, name in enumerate(query.facets):
        if name not in schema.facets:
            known = ", ".join(schema.facets) or "none"
            raise InvalidQuery(f"facets[{position}]", f"{name[:64]!r} is no facet; these are: {known}")
    if query.filters is None:
        return query
    with as_invalid_query():
        return changed(query, filters=fitted(query.filters, schema))


async def encode(search: Search, tools: Tools) -> Search:
    """Embed what the query is made of; the look-alikes of a product need no embedding but its own."""
    query, versions = search.query, search.versions
    assert versions is not None, "compatible comes first"
    reference = None
    product = None
    if query.product_id:
        with search.clock.stage("lookup"):
            product = await tools.products.product(query.product_id, versions, search.deadline)
        assert product.image_embeddings is not None, "products come with their vectors"
        assert product.text_embedding is not None, "products come with their vectors"
        # A product without a picture is compared by its words alone, one without words by its picture.
        reference = product.image_embeddings[0] if len(product.image_embeddings) else product.text_embedding
        if ROUTES[query.route].ensemble is None:
            words = product.text_embedding if product.text_embedding.any() else reference
            return changed(search, image_target=reference, text_target=words)
    with search.clock.stage("encode"):
        search, embedding = await _encode_words(search, tools, product, reference)
    return changed(
        search,
        image_target=embedding.vector,
        text_target=embedding.vector,
        degraded=(*search.degraded, WORDS) if embedding.cut else search.degraded,
    )


async def _encode_words(
    search: Search, tools: Tools, product: StoredProduct | None, reference: Embedding | None
) -> tuple[Search, QueryEmbedding]:
    """Embed the query, and keep the category of what its words change where that is asked for and known."""
    query, versions = search.query, search.versions
    assert versions is not None, "compatible comes first"
    category = ""
    known: tuple[str, ...] = ()
    if tools.readers is not None and asks_for_category(query, search.schema):
        known = await _categories(search, tools)
        if product is not None:
            category = category_of(product.product, search.schema)
        else:
            reader = await tools.readers.of(versions, timeout_s=min(CATEGORY_WAIT_S, hop(search, tools)))
            if reader is None:
                search = changed(search, degraded=(*search.degraded, CATEGORY))
            elif reader.fields:
                # The picture is encoded by itself and then changed: one ensemble does both at once, and costs the same.
                alone = Query(image=query.image)
                reference = (await tools.embeddings.embed(alone, versions.model, search.deadline)).vector
                category = category_in(reference, reader, search.schema)
    if category:
        query = with_category(query, category, known, search.schema)
        search = changed(search, query=query)
    return search, await tools.embeddings.embed(query, versions.model, search.deadline, reference)


async def _categories(search: Search, tools: Tools) -> tuple[str, ...]:
    """Return the categories that the index has, as far as they are known in time."""
    assert search.versions is not None, "compatible comes first"
    owner = search.schema.role(Role.CATEGORY)
    summary = await tools.summary.of(
        search.versions.index, timeout_s=min(CATEGORY_WAIT_S, hop(search, tools))
    )
    fields = () if summary is None else summary.fields
    return next((each.values for each in fields if owner is not None and each.name == owner.name), ())


async def know_shopper(search: Search, tools: Tools) -> Search:
    """Find out what the shopper likes, if they agreed to it, within its own budget."""
    tastes, query = tools.tastes, search.query
    wanted = query.sort is None and tools.shares.get(PERSONAL, 0.0) > 0
    if tastes is None or not wanted or not tastes.asks(query):
        return search
    assert search.versions is not None, "compatible comes first"
    with search.clock.stage(PERSONAL):
        try:
            timeout_s = min(tools.personal_budget_s, hop(search, tools))
            taste = await tastes.of(query.user_id, search.versions, timeout_s=timeout_s)
        except (DeadlineExceeded, DependencyError, IndexSwapped):
            return changed(search, degraded=(*search.degraded, PERSONAL))
    return changed(search, taste=taste)


async def look_up(search: Search, tools: Tools) -> Search:
    """Take the best products of the index that satisfy every condition, as many as the page needs."""
    query = search.query
    # One more than the page has, to know of a next one; one more where the reference itself is no answer.
    wanted = query.offset + query.limit + 1 + bool(query.product_id)
    learns = tools.learning is not None and tools.learning.ranker is not None
    if search.taste is not None or search.steering is not None or learns:
        wanted = max(wanted, RANKED + bool(query.product_id))
    pool = await _ask(search, tools, query.conditions, limit=min(wanted, MAX_POOL))
    return changed(search, pool=pool)


async def add_exact_matches(search: Search, tools: Tools) -> Search:
    """Bring products with a rare word of the query into the pool, and rank by how many of those words each has."""
    query = search.query
    share = tools.shares[LEXICAL]
    if not query.text or query.route is not Route.TEXT or query.sort is not None or share <= 0:
        return search
    assert search.versions is not None, "compatible comes first"
    assert search.pool is not None, "the pool is looked up first"
    summary = await tools.summary.of(search.versions.index, timeout_s=min(LEXICAL_WAIT_S, hop(search, tools)))
    if summary is None:
        return changed(search, degraded=(*search.degraded, LEXICAL))
    words = rare_words(query, summary)
    if not words:
        return search
    matching = await _having(search, tools, query.conditions, words)
    named = tuple(word for word in words if word.names)
    if named and query.soft_filters is not None:
        # What a rewriter read of the words must not hide the product that they name.
        conditions = both(query.filters, exclusion(query.excluded))
        matching = (*matching, *await _having(search, tools, conditions, named))
    # Others in the pool may have one of the words too, where very many products do. Their signal is 0: a larger pool
    # then only appends, so that a smaller page is the beginning of a larger one.
    hits = {hit.product.id: with_lexical(hit, 0.0, share) for hit in search.pool.hits}
    weighted = [(word.token, word.weight) for word in words]
    for hit in matching:
        matched = matched_share(weighted, hit.product.product, search.schema)
        hits[hit.product.id] = with_lexical(hit, matched, share)
    return changed(
        search, pool=Pool(hits=tuple(sorted(hits.values(), key=rank)), complete=search.pool.complete)
    )


async def _having(
    search: Search, tools: Tools, conditions: Filter | None, words: tuple[RareWord, ...]
) -> tuple[Hit, ...]:
    """Look up the nearest products that have one of the words."""
    tokens = tuple(word.token for word in words)
    return (await _ask(search, tools, conditions, limit=CANDIDATES, words=tokens)).hits


async def relax(search: Search, tools: Tools) -> Search:
    """Return soft filters up, and then exclusions, where no product satisfies them."""
    for query, left_out in relaxations(search.query, search.schema):
        if _found(search):
            break
        degraded = tuple(dict.fromkeys((*search.degraded, left_out)))
        search = await look_up(changed(search, query=query, degraded=degraded), tools)
    return search


async def rank_by_taste(search: Search, tools: Tools) -> Search:
    """Rank the best products by what the shopper likes too; those after them keep their places."""
    taste, pool = search.taste, search.pool
    if taste is None:
        return search
    assert pool is not None, "the pool is looked up first"
    share = tools.shares[PERSONAL]
    hits = []
    for hit in pool.hits[:RANKED]:
        value, reason = personal(hit.product, taste, search.schema)
        told = {**hit.reasons, PERSONAL: reason} if reason else hit.reasons
        hits.append(changed(with_signals(hit, {PERSONAL: value}, {PERSONAL: share}), reasons=told))
    return changed(search, pool=changed(pool, hits=(*sorted(hits, key=rank), *pool.hits[RANKED:])))


async def find_offers(search: Search, tools: Tools) -> Search:
    """Find what campaigns would have shown on the page, within their own budget (`gateway.retrieval.sponsored`)."""
    sponsors, query = tools.sponsors, search.query
    if sponsors is None or not sponsors.asks(query):
        return search
    assert search.pool is not None, "the pool is looked up first"

    async def look_up(own: Filter | None, *, limit: int, products: Sequence[str] = ()) -> tuple[Hit, ...]:
        conditions = both(query.conditions, own)
        return (await _ask(search, tools, conditions, limit=limit, products=products)).hits

    with search.clock.stage(SPONSORED):
        try:
            timeout_s = min(sponsors.budget_s, hop(search, tools))
        except DeadlineExceeded:
            return changed(search, degraded=(*search.degraded, SPONSORED))
        offers = await offers_in_time(
            sponsors, query, search.schema, search.pool.hits, look_up=look_up, timeout_s=timeout_s
        )
    if offers is None:
        return changed(search, degraded=(*search.degraded, SPONSORED))
    return changed(search, offers=offers)


async def page(search: Search, tools: Tools) -> Search:  # noqa: ARG001 - every stage takes the tools
    """Cut the page out of the pool."""
    query, pool = search.query, search.pool
    assert pool is not None, "the pool is looked up first"
    # The first page's sponsored products stood before all others, so that those come so much sooner.
    left_out = {query.product_id, *query.sponsored}
    hits = [hit for hit in pool.hits if hit.product.id not in left_out]
    begin = max(0, query.offset - len(query.sponsored))
    end = begin + query.limit
    # Sorted by a field, products beyond the pool may come before some that are in it.
    degraded = () if pool.complete or query.sort is None else (POOL,)
    return changed(
        search,
        hits=tuple(hits[begin:end]),
        more=len(hits) > end and query.offset + query.limit < limits.MAX_POSITION,
        degraded=(*search.degraded, *degraded),
    )


async def count_facets(search: Search, tools: Tools) -> Search:
    """Count the values of the facets that the query asks for, over all products that satisfy its conditions."""
    if not search.query.facets:
        return search
    with search.clock.stage("facets"), tools.asking("index"):
        counted = await tools.index.facets(
            search.query.conditions, search.query.facets, timeout_s=hop(search, tools)
        )
    return changed(search, facets=counted)


def rank(hit: Hit) -> tuple[float, str]:
    """Return the key of the total order: the best score first, then the id."""
    return -round(hit.score, 9), hit.product.id


def _found(search: Search) -> bool:
    """Whether the pool has a hit; the reference itself is none."""
    hits = () if search.pool is None else search.pool.hits
    return any(hit.product.id != search.query.product_id for hit in hits)


async def _ask(
    search: Search,
    tools: Tools,
    conditions: Filter | None,
    *,
    limit: int,
    words: tuple[str, ...] = (),
    products: Sequence[str] = (),
) -> Pool:
    assert search.image_target is not None, "encode comes first"
    assert search.versions is not None, "compatible comes first"
    with search.clock.stage("lexical" if words else "search"), tools.asking("index"):
        return await tools.index.search(
            search.image_target,
            text_embedding=search.text_target,
            weights=search.weights,
            filters=conditions,
            limit=limit,
            words=words,
            products=products,
            sort=search.query.sort,
            manifest=search.versions.model,
            timeout_s=hop(search, tools),
        )


def hop(search: Search, tools: Tools) -> float:
    """Return the seconds that the next call of a search may take; raises DeadlineExceeded where none are left."""
    return time_for_hop(search.deadline, margin_s=tools.margin_s)
