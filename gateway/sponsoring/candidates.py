"""Which products campaigns offer for a query, and how relevant each is."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from gateway.campaigns import Campaign
from gateway.model import Hit, Offer
from gateway.retrieval.query import Query
from gateway.retrieval.sponsored import LookUp
from vitrine.domain import limits
from vitrine.domain.filters import AllOf, AnyOf, Filter, Not, OneOf, Range, matches
from vitrine.domain.schema import Role, Schema
from vitrine.domain.values import fold

BY_PRODUCT, BY_FILTER = "product", "filter"

FILTERED = 30
"""Products that fulfil campaigns' filters and are looked up, the best of all filters together."""

_GONE = frozenset(map(fold, ("out of stock", "out_of_stock", "OutOfStock")))
"""What merchant feeds and schema.org write where a keyword says the availability."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """Who may offer what."""

    campaigns: Sequence[Campaign]
    """The highest bidders first."""
    filters: Mapping[str, Filter]
    """Of campaigns that have one, by their keys, as far as the schema knows them."""
    schema: Schema
    floor: float
    """The least score, as a share of the best one's on the page."""


async def find_offers(
    contest: Contest, query: Query, hits: Sequence[Hit], look_up: LookUp, *, lookups: int
) -> tuple[Offer, ...]:
    """Return the offers of campaigns for a page of which `hits` are the organic order.

    A campaign offers the hits that are its own. Where none of them reaches the floor, the index is asked for its best
    products: at most `lookups` by their ids, and FILTERED by the filters, the highest bidders' where that is not all.
    """
    organic = [hit for hit in hits if hit.product.id != query.product_id]
    best = max((hit.score for hit in organic), default=0.0)
    if best <= 0:
        return ()
    offers = _of(contest, organic, best)
    offering = {offer.key for offer in offers}
    others = replace(contest, campaigns=[each for each in contest.campaigns if each.key not in offering])
    known = {hit.product.id for hit in organic} | {query.product_id}
    named = [each for campaign in others.campaigns for each in campaign.products if each not in known]
    found: list[Hit] = []
    if ids := list(dict.fromkeys(named))[:lookups]:
        found += await look_up(None, limit=len(ids), products=ids)
    if asked := _joined(
        contest.filters[each.key] for each in others.campaigns if each.key in contest.filters
    ):
        found += await look_up(asked, limit=FILTERED)
    unique = {hit.product.id: hit for hit in found if hit.product.id not in known}
    return (*offers, *_of(others, list(unique.values()), best))


def _of(contest: Contest, hits: Sequence[Hit], best: float) -> list[Offer]:
    """Return what campaigns offer of some hits: of each as many as a page may have places, the most relevant ones."""
    suited = sorted(
        (hit for hit in hits if hit.score >= contest.floor * best and _available(hit, contest.schema)),
        key=lambda hit: (-hit.score, hit.product.id),
    )
    offers = []
    for campaign in contest.campaigns:
        own = [hit for hit in suited if _owns(campaign, contest.filters, hit)]
        offers += [
            Offer(
                key=campaign.key,
                hit=hit,
                relevance=min(1.0, hit.score / best),
                chosen_by=BY_PRODUCT if campaign.products else BY_FILTER,
            )
            for hit in own[: limits.MAX_SPONSORED_PLACES]
        ]
    return offers


def _owns(campaign: Campaign, filters: Mapping[str, Filter], hit: Hit) -> bool:
    if campaign.products:
        return hit.product.id in campaign.products
    condition = filters.get(campaign.key)
    return condition is not None and matches(condition, hit.product.product)


def _available(hit: Hit, schema: Schema) -> bool:
    """Whether a product can be had, as far as the catalogue says."""
    owner = schema.role(Role.AVAILABILITY)
    value = hit.product.product.values.get(owner.name) if owner is not None else None
    return value is not False and not (isinstance(value, str) and fold(value) in _GONE)


def _joined(filters: Iterable[Filter]) -> Filter | None:
    """Return the condition that one of them holds, of the first ones that fit into one filter's limits."""
    parts: list[Filter] = []
    left = limits.MAX_FILTER_VALUES
    for each in dict.fromkeys(filters):
        left -= _values(each)
        if left < 0:
            break
        parts.append(each)
    return AnyOf(tuple(parts)) if len(parts) > 1 else parts[0] if parts else None


def _values(node: Filter) -> int:
    """Return how many values and bounds a condition has."""
    match node:
        case AllOf(parts) | AnyOf(parts):
            return sum(map(_values, parts))
        case Not(part):
            return _values(part)
        case OneOf(_, values):
            return len(values)
        case Range():
            return 2
        case _:
            return 1
