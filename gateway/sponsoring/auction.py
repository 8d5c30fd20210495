"""Who gets the places of a page, and for what price: a generalized second-price auction with quality.

Offers are ranked by bid times relevance, and whoever wins a place pays the least with which it would still have won it:
the next one's bid times relevance, over its own relevance (Edelman, Ostrovsky and Schwarz, "Internet Advertising and the
Generalized Second-Price Auction", AER 2007; with quality as in Varian, "Position auctions", IJIO 2007).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.campaigns import Campaign
from gateway.model import Hit


@dataclass(frozen=True, slots=True, kw_only=True)
class Bid:
    """A campaign's wish to have one of its products shown."""

    campaign: Campaign
    hit: Hit
    relevance: float
    """More than 0, at most 1."""

    @property
    def value(self) -> float:
        """Return what bids are ranked by, in micros."""
        return self.campaign.bid_micros * self.relevance

    @property
    def place(self) -> tuple[float, float, str, str]:
        """Return what orders bids, the best first: equal values by relevance, then by the ids."""
        return -self.value, -self.relevance, self.campaign.id, self.hit.product.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Won:
    """A bid that won a place, and what it costs."""

    bid: Bid
    price_micros: int


def hold_auction(bids: Sequence[Bid], *, places: int, reserve_micros: int) -> list[Won]:
    """Return the winners of the places, the best first; each campaign and each product wins one at most.

    A price is at least the reserve, and never above the winner's bid.
    """
    left = sorted(
        (bid for bid in bids if bid.campaign.bid_micros >= reserve_micros), key=lambda bid: bid.place
    )
    winners: list[Won] = []
    while left and len(winners) < places:
        best, *_ = left
        rivals = [bid for bid in left if bid.campaign.key != best.campaign.key]
        least = math.ceil(rivals[0].value / best.relevance) if rivals else 0
        price = min(best.campaign.bid_micros, max(reserve_micros, least))
        winners.append(Won(bid=best, price_micros=price))
        left = [bid for bid in rivals if bid.hit.product.id != best.hit.product.id]
    return winners
