"""Campaigns: what somebody pays for being shown, and the books of it.

All amounts are whole millionths of the gateway's one currency, so that sums are exact.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from gateway.model import Intent
from vitrine.domain.filters import Filter


class Pacing(Enum):
    """How a budget is spent over the time of a campaign; the numbers are those of the proto."""

    EVEN = 1
    """Never more than the share of the time that has passed."""
    ASAP = 2
    """As soon as there are searches that it suits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """What somebody pays for being shown; every field was checked at the door."""

    id: str
    key: str
    """Made at random with the campaign: the books of an id that is used again are other books."""
    advertiser: str
    products: tuple[str, ...] = ()
    filters: Filter | None = None
    """Instead of products: the condition that they fulfil."""
    intents: frozenset[Intent] = frozenset()
    """Empty: any."""
    locales: tuple[str, ...] = ()
    """What a search's locale begins with; empty: any."""
    bid_micros: int
    budget_micros: int
    currency: str
    pacing: Pacing = Pacing.EVEN
    starts_ms: int
    """Since 1970, UTC."""
    ends_ms: int
    daily_cap: int = 0
    """Impressions of one shopper a day; 0: no cap."""
    paused: bool = False
    revision: int = 0
    """0 before it is kept."""

    def runs(self, now_ms: float) -> bool:
        """Whether it may be shown at a moment, as far as its dates and its owner say."""
        return not self.paused and self.starts_ms <= now_ms < self.ends_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseRequest:
    """What a gateway tells of a campaign's budget, and what it asks of it.

    Spend and impressions are those of this holder since it began, so that telling them twice changes nothing.
    """

    key: str
    """Of the campaign."""
    holder: str
    """Of the gateway's process, made at random."""
    spent_micros: int
    impressions: int
    wanted_micros: int
    """What the holder wants to have unspent. Less than it has gives the rest back: it must not spend that any more."""
    least_micros: int
    """With less than this unspent a lease is of no use, and nothing is added."""
    ceiling_micros: int
    """What all holders together may have spent or hold at this moment, by the campaign's pace."""
    now_ms: int
    lapses_ms: int
    """When the holder counts as gone if it has not been heard of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """What a campaign spent."""

    spent_micros: int = 0
    impressions: int = 0
    leased_micros: int = 0
    """Held by gateways and not spent."""
    lost_micros: int = 0
    """Of it, held by gateways that have not been heard of."""
    days: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    """Spend and impressions by the day, in days since 1970."""
