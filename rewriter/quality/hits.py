"""Whether the hits of a turn fit what it said, judged by the catalogue's own fields and by the titles."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from rewriter.linking.tower import Encoder
from rewriter.nlu.vocabulary import STYLES
from rewriter.quality.assortment import FASHION, Assortment, assortments
from rewriter.quality.trades import trade_of
from rewriter.quality.turns import ANY, WITHOUT, Expected
from vitrine.domain.filters import Filter, Not, both, fitted, matches, words_excluded
from vitrine.domain.lexical import form_tokens
from vitrine.domain.messages import read_filter
from vitrine.domain.product import Product
from vitrine.domain.schema import Role
from vitrine.filter_text import parse_filter
from vitrine.v1 import query_pb2, rewrite_pb2

HITS = 5
"""Hits of a turn that are judged, the first ones."""

_JUDGED = frozenset({"text", "refine", "similar"})
"""Routes that are judged: those of pictures need pictures."""
_STYLES = frozenset(style for values in STYLES.values() for style in values)


@dataclass(frozen=True, slots=True)
class Fit:
    """Shares of a turn's first hits."""

    conditions: float
    """Of those that satisfy every condition that the turn sets, and say no word that it leaves out."""
    styles: float
    """Of those whose titles also say the styles that the turn names, which no field has: "maxi"."""


@dataclass(frozen=True, slots=True)
class Judge:
    """Searches the products of every catalogue, and judges what is found."""

    tower: Encoder
    by_catalogue: dict[str, Assortment]

    @classmethod
    def of(cls, tower: Encoder) -> "Judge":
        """Draw the products, and embed their titles."""
        return cls(tower, {**assortments(tower)})

    def search(
        self,
        catalogue: str,
        rewrite: rewrite_pb2.Rewrite,
        excluded: Sequence[Sequence[str]] = (),
        *,
        limit: int = HITS,
    ) -> list[Product]:
        """Return what a rewrite finds, without the words that this turn and those before exclude."""
        own = [(each.said, *each.forms) for each in rewrite.excluded_words]
        (words,) = self.tower.embed([rewrite.query or "anything"])
        return self.by_catalogue[catalogue].search(rewrite, np.asarray(words), [*excluded, *own], limit=limit)

    def fit(self, state: str, expected: Expected, rewrite: rewrite_pb2.Rewrite | None) -> Fit | None:
        """Return which shares of a turn's first hits fit what it said; None where nothing is to be judged.

        That is so where the turn searches nothing or by a picture, where it sets no condition, and where no product is as it
        says.
        """
        catalogue = trade_of(state) or FASHION
        wanted = self.wanted(catalogue, expected)
        if expected.route not in _JUDGED or wanted is None:
            return None
        assortment = self.by_catalogue[catalogue]
        styles = _styles_of(expected) if catalogue == FASHION else ()
        right = {each.id for each in assortment.products if matches(wanted, each)}
        styled = {
            each.id
            for each in assortment.products
            if each.id in right and _says_all(each, styles, assortment)
        }
        if not styled:
            return None
        route = "" if rewrite is None else query_pb2.Route.Name(rewrite.route).removeprefix("ROUTE_").lower()
        hits = self.search(catalogue, rewrite) if rewrite is not None and route in _JUDGED else []
        return Fit(_share(hits, right), _share(hits, styled))

    def wanted(self, catalogue: str, expected: Expected) -> Filter | None:
        """Return what the hits must satisfy; None for nothing."""
        schema = self.by_catalogue[catalogue].schema
        wanted: Filter | None = None
        for text in expected.conditions:
            if text.startswith(WITHOUT):
                said = text.removeprefix(WITHOUT)
                wanted = both(wanted, Not(words_excluded((said, f"{said}s"), schema)))
            else:
                wanted = both(wanted, fitted(read_filter(parse_filter(text)), schema))
        return wanted


def _styles_of(expected: Expected) -> tuple[str, ...]:
    """Return the styles that the words of a query name: the titles say them."""
    return () if expected.query == ANY else tuple(word for word in expected.query.split() if word in _STYLES)


def _says_all(product: Product, styles: Iterable[str], assortment: Assortment) -> bool:
    title = {*form_tokens(product.text(assortment.schema, Role.TITLE))}
    return all(title.issuperset(form_tokens(style)) for style in styles)


def _share(hits: Sequence[Product], right: Collection[str]) -> float:
    """Return the share of the hits that are right, of as many as there could be."""
    return sum(hit.id in right for hit in hits) / min(HITS, len(right))
