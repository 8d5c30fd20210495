"""Recommendations: products without a query, from the vectors of the index and from what shoppers did.

    for you          nearest to what the shopper liked, ranked by their taste; popular, where nothing is known of them
    more like this   nearest to the mean of the products' vectors, half by half
    goes well with   of other categories: what shoppers had in one basket with them, then the nearest
    popular now      what most shoppers did most with of late

Each runs as stages of the retrieval: in the same lanes, under the same deadline, of one index.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np

from gateway.errors import DeadlineExceeded, DependencyError, NotFound
from gateway.feedback.intake import off
from gateway.feedback.trends import NOTHING, Told, TrendKeeper, Trends
from gateway.model import Deadline, Embedding, Hit, Pool, StoredProduct, Weights
from gateway.ports import MAX_POOL
from gateway.retrieval import stages
from gateway.retrieval.pipeline import Retrieval
from gateway.retrieval.query import Query, SearchResult
from gateway.retrieval.signals import with_signals
from gateway.retrieval.stages import Search, Tools
from gateway.retrieval.taste import CANDIDATES as RANKED
from gateway.retrieval.taste import Taste
from vitrine.domain.filters import Equals, Not, OneOf, both, matches
from vitrine.domain.product import Product
from vitrine.domain.schema import Kind, Role, Schema
from vitrine.domain.values import fold

POPULAR, TOGETHER = "popular", "together"
"""Names of the signals; `together` is in `degraded` where what shoppers did cannot be had."""
SHARES: Mapping[str, float] = {POPULAR: 1.0, TOGETHER: 1.0}
SIMILAR = "similar"

TRENDS_WAIT_S = 0.1
"""Longest wait for what goes together; without it nearness decides."""
POPULAR_WAIT_S = 1.0
"""Longest wait, in a search's place, for what is popular; it is learnt on beside, for who asks again."""
_AT_ONCE = 100
"""Products that are looked up by one call."""


class Recommendation(Enum):
    """What is recommended; the numbers are those of the proto."""

    FOR_YOU = 1
    MORE_LIKE_THIS = 2
    GOES_WELL_WITH = 3
    POPULAR_NOW = 4

    @property
    def has_seeds(self) -> bool:
        """Whether it starts from products."""
        return self in {Recommendation.MORE_LIKE_THIS, Recommendation.GOES_WELL_WITH}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A recommendation that may be answered."""

    kind: Recommendation
    seeds: tuple[str, ...]
    """Ids of the products that it starts from."""
    query: Query
    """Conditions, limit, shopper."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommended:
    """The hits, and what they are."""

    kind: Recommendation
    result: SearchResult


class Recommender:
    """Answers recommendations; without trends, where no events are taken, those alone that need none."""

    def __init__(self, retrieval: Retrieval, trends: TrendKeeper | None) -> None:
        self._retrieval = retrieval
        self._trends = trends

    async def recommend(self, ask: Ask, deadline: Deadline) -> Recommended:
        """Return what is asked for.

        Raises:
            NotFound: a product that it starts from is not in the index; names it.
            FailedPrecondition: it needs events, and none are taken; or as `Retrieval.search`.
            SearchError: as `Retrieval.search`.
        """
        if self._trends is None and not ask.kind.has_seeds:
            raise off()
        answered = ask.kind

        async def choose(search: Search, tools: Tools) -> Search:
            nonlocal answered
            taste = search.taste
            answered = ask.kind
            match ask.kind:
                case Recommendation.MORE_LIKE_THIS:
                    return await _more_like(search, tools, await _seeds(ask, search, tools))
                case Recommendation.GOES_WELL_WITH:
                    return await self._with(search, tools, await _seeds(ask, search, tools))
                case Recommendation.FOR_YOU if taste is not None and _is_known(taste):
                    return await _for_taste(search, tools, taste)
            answered = Recommendation.POPULAR_NOW
            return await self._popular(search, tools)

        known = (stages.compatible, stages.know_shopper, choose)
        result = await self._retrieval.recommend(ask.query, known, deadline)
        return Recommended(kind=answered, result=result)

    async def _popular(self, search: Search, tools: Tools) -> Search:
        """Take the most popular products that satisfy the conditions."""
        assert self._trends is not None, "the door says so"
        with search.clock.stage(POPULAR):
            trends = await self._trends.now(timeout_s=min(POPULAR_WAIT_S, stages.hop(search, tools)))
        chosen = await _chosen(search, tools, trends.popular, _hidden(search))
        hits = [_told(_bare(each), POPULAR, trends.popular[each.id]) for each in chosen]
        return _answered(search, hits)

    async def _with(self, search: Search, tools: Tools, seeds: Sequence[StoredProduct]) -> Search:
        """Take what was in baskets with the seeds, then what is nearest to them, in other categories both."""
        search, trends = await self._trends_soon(search)
        left_out = _hidden(search) | {each.id for each in seeds}
        image, text = _mean_halves(seeds)
        companions = _companions(trends, seeds)
        search = _elsewhere(search, seeds)
        hits = [
            _told(_near_hit(each, image, text, search.weights), TOGETHER, companions[each.id])
            for each in await _chosen(search, tools, companions, left_out)
            if _is_another_kind(each.product, seeds, search.schema)
        ]
        hits.sort(key=stages.rank)
        if len(hits) < search.query.limit and search.schema.role(Role.CATEGORY) is not None:
            left_out |= {hit.product.id for hit in hits}
            hits += (
                _told(hit, TOGETHER, Told(0.0, SIMILAR))
                for hit in await _nearest(search, tools, image, text, left_out)
                if _is_another_kind(hit.product.product, seeds, search.schema)
            )
        return _answered(search, hits)

    async def _trends_soon(self, search: Search) -> tuple[Search, Trends]:
        """Return what is known of everybody; without a store nothing, and without one that answers it is told."""
        if self._trends is None:
            return search, NOTHING
        timeout_s = min(TRENDS_WAIT_S, search.deadline.remaining_s())
        try:
            with search.clock.stage(TOGETHER):
                return search, await self._trends.now(timeout_s=timeout_s)
        except (DeadlineExceeded, DependencyError):
            return replace(search, degraded=(*search.degraded, TOGETHER)), NOTHING


async def _seeds(ask: Ask, search: Search, tools: Tools) -> list[StoredProduct]:
    """Return the products that the recommendation starts from; raises NotFound with the field of one that is not there."""
    versions = search.versions
    assert versions is not None, "compatible comes first"

    async def product(position: int, product_id: str) -> StoredProduct:
        try:
            return await tools.products.product(product_id, versions, search.deadline)
        except NotFound:
            raise NotFound(f"product_ids[{position}]", f"product {product_id!r}") from None

    with search.clock.stage("lookup"):
        return list(await asyncio.gather(*(product(*each) for each in enumerate(ask.seeds))))


async def _more_like(search: Search, tools: Tools, seeds: Sequence[StoredProduct]) -> Search:
    image, text = _mean_halves(seeds)
    search = _without_variants(search, seeds)
    left_out = _hidden(search) | {each.id for each in seeds}
    return await _ranked_by_taste(search, tools, await _nearest(search, tools, image, text, left_out))


async def _for_taste(search: Search, tools: Tools, taste: Taste) -> Search:
    image, text = taste.image, taste.text
    either = image if image is not None else text
    assert either is not None, "the taste is known"
    left_out = _hidden(search) | taste.liked
    hits = await _nearest(
        search,
        tools,
        either if image is None else image,
        either if text is None else text,
        left_out,
    )
    return await _ranked_by_taste(search, tools, hits)


async def _ranked_by_taste(search: Search, tools: Tools, hits: Sequence[Hit]) -> Search:
    pool = Pool(hits=tuple(hits), complete=False)
    search = await stages.rank_by_taste(replace(search, pool=pool), tools)
    assert search.pool is not None, "it was just put there"
    return _answered(search, search.pool.hits)


async def _nearest(
    search: Search, tools: Tools, image: Embedding, text: Embedding, left_out: frozenset[str] | set[str]
) -> list[Hit]:
    """Look up the nearest products that satisfy the conditions, enough of them without those that are left out."""
    assert search.versions is not None, "compatible comes first"
    wanted = max(RANKED, search.query.limit) + len(left_out)
    with search.clock.stage("search"), tools.asking("index"):
        pool = await tools.index.search(
            image,
            text_embedding=text,
            weights=search.weights,
            filters=search.query.conditions,
            limit=min(wanted, MAX_POOL),
            manifest=search.versions.model,
            timeout_s=stages.hop(search, tools),
        )
    return [hit for hit in pool.hits if hit.product.id not in left_out]


async def _chosen(
    search: Search, tools: Tools, ids: Mapping[str, Told], left_out: frozenset[str] | set[str]
) -> list[StoredProduct]:
    """Return products by their ids, in that order, as many as are asked for of those that satisfy the conditions."""
    assert search.versions is not None, "compatible comes first"
    wanted, conditions = search.query.limit, search.query.conditions
    candidates = [each for each in ids if each not in left_out]
    chosen: list[StoredProduct] = []
    with search.clock.stage("lookup"):
        for first in range(0, len(candidates), _AT_ONCE):
            found = await tools.products.products(
                candidates[first : first + _AT_ONCE], search.deadline, manifest=search.versions.model
            )
            chosen += (each for each in found if conditions is None or matches(conditions, each.product))
            if len(chosen) >= wanted:
                break
    return chosen[:wanted]


def _companions(trends: Trends, seeds: Sequence[StoredProduct]) -> dict[str, Told]:
    """Return what goes with the seeds, the best first: of several the one that it goes with best counts."""
    found: dict[str, Told] = {}
    for seed in seeds:
        for product, told in trends.together.get(seed.id, {}).items():
            if product not in found or told.value > found[product].value:
                found[product] = told
    return dict(sorted(found.items(), key=lambda each: (-each[1].value, each[0])))


def _elsewhere(search: Search, seeds: Sequence[StoredProduct]) -> Search:
    """Return the search among other categories than the seeds', as far as conditions may name them."""
    owner = search.schema.role(Role.CATEGORY)
    if owner is None or not owner.filter or owner.kind is not Kind.KEYWORD:
        return search
    return _without(search, owner.name, {each.product.text(search.schema, Role.CATEGORY) for each in seeds})


def _without_variants(search: Search, seeds: Sequence[StoredProduct]) -> Search:
    owner = search.schema.role(Role.GROUP)
    if owner is None or not owner.filter:
        return search
    return _without(search, owner.name, {each.product.text(search.schema, Role.GROUP) for each in seeds})


def _without(search: Search, field: str, values: set[str]) -> Search:
    known = sorted(values - {""})
    if not known:
        return search
    condition = Equals(field, known[0]) if len(known) == 1 else OneOf(field, tuple(known))
    query = replace(search.query, filters=both(search.query.filters, Not(condition)))
    return replace(search, query=query)


def _is_another_kind(product: Product, seeds: Sequence[StoredProduct], schema: Schema) -> bool:
    """Whether a product is of another category than every seed, and a variant of none, where that is known."""

    def values(of: Product) -> set[tuple[Role, str]]:
        return {
            (role, fold(value)) for role in (Role.CATEGORY, Role.GROUP) if (value := of.text(schema, role))
        }

    return all(values(product).isdisjoint(values(each.product)) for each in seeds)


def _is_known(taste: Taste) -> bool:
    return taste.image is not None or taste.text is not None


def _hidden(search: Search) -> frozenset[str]:
    return search.taste.hidden if search.taste is not None else frozenset()


def _mean_halves(products: Sequence[StoredProduct]) -> tuple[Embedding, Embedding]:
    """Return the L2-normalised means of the image and of the text halves; one that all lack is the other one's."""
    images = [each.image_embeddings[0] for each in products if _has_picture(each)]  # type: ignore[index] # it has one
    texts = [
        each.text_embedding
        for each in products
        if each.text_embedding is not None and each.text_embedding.any()
    ]
    image, text = _mean(images), _mean(texts)
    either = image if image is not None else text
    assert either is not None, "every product has a picture or words"
    return (either if image is None else image), (either if text is None else text)


def _has_picture(product: StoredProduct) -> bool:
    return product.image_embeddings is not None and len(product.image_embeddings) > 0


def _mean(vectors: Sequence[Embedding]) -> Embedding | None:
    if not vectors:
        return None
    mean: Embedding = np.mean(np.stack(vectors), axis=0, dtype=np.float32)
    length = float(np.linalg.norm(mean))
    return mean / length if length > 0 else vectors[0]


def _near_hit(product: StoredProduct, image: Embedding, text: Embedding, weights: Weights) -> Hit:
    """Return the hit that a look-up by these vectors would give."""
    text_score = 0.0 if product.text_embedding is None else float(product.text_embedding @ text)
    pictures = product.image_embeddings if _has_picture(product) else None
    scores = np.zeros(1) if pictures is None else pictures @ image
    best = int(np.argmax(scores))
    image_score = float(scores[best])
    score = weights.text * text_score + weights.image * image_score
    return Hit(product=product, score=score, text_score=text_score, image_score=image_score, image_index=best)


def _bare(product: StoredProduct) -> Hit:
    return Hit(product=product, score=0.0, text_score=0.0, image_score=0.0)


def _told(hit: Hit, signal: str, told: Told) -> Hit:
    """Return the hit with a signal and its reason."""
    signalled = with_signals(hit, {signal: told.value}, SHARES)
    return replace(signalled, reasons={**hit.reasons, signal: told.reason})


def _answered(search: Search, hits: Sequence[Hit]) -> Search:
    return replace(search, hits=tuple(hits[: search.query.limit]))
