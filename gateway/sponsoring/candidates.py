"""Which products campaigns offer for a query, and how relevant each is."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from gateway.campaigns import Campaign
from gateway.model import Hit, Offer
from gateway.retrieval.query import Query
from gateway.retrieval.sponsored import LookUp
from gateway.sponsoring.roster import Roster
from vitrine.domain import limits
from vitrine.domain.filters import AllOf, AnyOf, Filter, Not, OneOf, Range
from vitrine.domain.schema import Role, Schema
from vitrine.domain.values import fold

BY_PRODUCT, BY_FILTER = "product", "filter"

FILTERED = 30
"""Products that fulfil campaigns' filters and are looked up, the best of all filters together."""

CONTESTANTS = 16
"""Campaigns that take part in one auction, those of the highest bid times relevance: far more than there are places."""

MAX_OFFERS = CONTESTANTS * limits.MAX_SPONSORED_PLACES
"""Offers that come with one answer."""

_GONE = frozenset(map(fold, ("out of stock", "out_of_stock", "OutOfStock")))
"""What merchant feeds and schema.org write where a keyword says the availability."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """Who may offer what."""

    roster: Roster
    suits: Callable[[Campaign], bool]
    """Whether a campaign may be shown with this query."""
    schema: Schema
    floor: float
    """The least score, as a share of the best one's on the page."""
    lookups: int
    """Products that campaigns name and that are looked up, at most."""


async def find_offers(
    contest: Contest, query: Query, hits: Sequence[Hit], look_up: LookUp
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
    known = {hit.product.id for hit in organic} | {query.product_id}
    ids, filters = _to_look_up(contest, offers.keys(), known)
    found: list[Hit] = []
    if ids:
        found += await look_up(None, limit=len(ids), products=ids)
    if filters:
        joined = AnyOf(tuple(filters)) if len(filters) > 1 else filters[0]
        found += await look_up(joined, limit=FILTERED)
    unique = {hit.product.id: hit for hit in found if hit.product.id not in known}
    for key, more in _of(contest, unique.values(), best).items():
        offers.setdefault(key, more)
    bids = contest.roster.bids
    strongest = sorted(offers.values(), key=lambda own: -bids[own[0].key] * own[0].relevance)
    return tuple(offer for own in strongest[:CONTESTANTS] for offer in own)


def _of(contest: Contest, hits: Iterable[Hit], best: float) -> dict[str, list[Offer]]:
    """Return what campaigns offer of some hits, by their keys: the most relevant ones, as many as a page may have places."""
    offers: dict[str, list[Offer]] = {}
    for hit in sorted(hits, key=lambda hit: (-hit.score, hit.product.id)):
        if hit.score < contest.floor * best or not _available(hit, contest.schema):
            continue
        for campaign in contest.roster.of(hit.product.product):
            own = offers.get(campaign.key, [])
            if len(own) < limits.MAX_SPONSORED_PLACES and contest.suits(campaign):
                chosen_by = BY_PRODUCT if campaign.products else BY_FILTER
                relevance = min(1.0, hit.score / best)
                offer = Offer(key=campaign.key, hit=hit, relevance=relevance, chosen_by=chosen_by)
                offers[campaign.key] = [*own, offer]
    return offers


def _available(hit: Hit, schema: Schema) -> bool:
    """Whether a product can be had, as far as the catalogue says."""
    owner = schema.role(Role.AVAILABILITY)
    value = hit.product.product.values.get(owner.name) if owner is not None else None
    return value is not False and not (isinstance(value, str) and fold(value) in _GONE)


def _to_look_up(
    contest: Contest, offering: Collection[str], known: Collection[str]
) -> tuple[list[str], list[Filter]]:
    """Return ids and filters of campaigns that offer nothing yet, the highest bidders', within what one look-up takes."""
    ids: dict[str, None] = {}
    filters: dict[Filter, None] = {}
    values = 0
    for campaign in contest.roster.by_bid:
        if len(ids) >= contest.lookups and values >= limits.MAX_FILTER_VALUES:
            break
        if campaign.key in offering or not contest.suits(campaign):
            continue
        room = max(0, contest.lookups - len(ids))
        ids |= dict.fromkeys([each for each in campaign.products if each not in known][:room])
        condition = contest.roster.filters.get(campaign.key)
        if condition is not None and condition not in filters:
            values += _values(condition)
            if values <= limits.MAX_FILTER_VALUES:
                filters[condition] = None
    return list(ids), list(filters)


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
