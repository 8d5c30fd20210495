"""The campaigns of a moment, so that those of a product are found without asking every one of them.

A campaign with products is found by their ids. One with a filter is found by a keyword that its filter asks for in any case,
and then held against the whole filter, as in Whang and others, "Indexing Boolean Expressions" (VLDB 2009); only filters
without such a keyword are held against every product.
"""

from collections.abc import Iterable, Iterator, Mapping

from gateway.campaigns import Campaign
from vitrine.domain.errors import InvalidValue
from vitrine.domain.filters import Equals, Filter, OneOf, conjuncts, fitted, matches
from vitrine.domain.product import Product
from vitrine.domain.schema import Schema
from vitrine.domain.values import fold

_Key = tuple[str, str]
"""A field and a folded keyword of it."""


class Roster:
    """Campaigns, with their filters as one schema knows them; a filter that it does not know any more fits nothing."""

    def __init__(self, campaigns: Iterable[Campaign] = (), schema: Schema | None = None) -> None:
        self.schema = schema
        self.by_bid = sorted(campaigns, key=lambda each: (-each.bid_micros, each.id))
        """The highest bidders first."""
        self.bids = {each.key: each.bid_micros for each in self.by_bid}
        self.filters: Mapping[str, Filter] = {} if schema is None else _filters(self.by_bid, schema)
        """By the campaigns' keys."""
        self._of_products: dict[str, list[Campaign]] = {}
        self._of_keywords: dict[_Key, list[Campaign]] = {}
        self._of_others: list[Campaign] = []
        for campaign in self.by_bid:
            for product_id in dict.fromkeys(campaign.products):
                self._of_products.setdefault(product_id, []).append(campaign)
            if (condition := self.filters.get(campaign.key)) is not None:
                keys = _keys(condition)
                for key in keys:
                    self._of_keywords.setdefault(key, []).append(campaign)
                if not keys:
                    self._of_others.append(campaign)
        self._fields = {field for field, _ in self._of_keywords}

    @property
    def unknown(self) -> int:
        """Return how many campaigns have a filter that the schema does not know."""
        return sum(each.filters is not None for each in self.by_bid) - len(self.filters)

    def of(self, product: Product) -> Iterator[Campaign]:
        """Yield the campaigns of a product, each once."""
        yield from self._of_products.get(product.id, ())
        asked = {
            campaign.key: campaign
            for field in self._fields
            for word in _keywords(product, field)
            for campaign in self._of_keywords.get((field, fold(word)), ())
        }
        for campaign in (*asked.values(), *self._of_others):
            if matches(self.filters[campaign.key], product):
                yield campaign


def _filters(campaigns: Iterable[Campaign], schema: Schema) -> dict[str, Filter]:
    known = {}
    for campaign in campaigns:
        if campaign.filters is not None:
            try:
                known[campaign.key] = fitted(campaign.filters, schema)
            except InvalidValue:
                continue
    return known


def _keys(condition: Filter) -> list[_Key]:
    """Return keywords one of which every product has that fulfils the condition; none where there are no such."""
    for part in conjuncts(condition):
        match part:
            case Equals(field, str(value)):
                return [(field, fold(value))]
            case OneOf(field, values) if all(isinstance(value, str) for value in values):
                return list(dict.fromkeys((field, fold(str(value))) for value in values))
    return []


def _keywords(product: Product, field: str) -> tuple[str, ...]:
    value = product.values.get(field)
    return (value,) if isinstance(value, str) else value if isinstance(value, tuple) else ()
