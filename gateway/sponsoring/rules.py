"""What an operator says of sponsored places."""

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from vitrine.domain import limits
from vitrine.process.settings import InvalidSettings

if TYPE_CHECKING:
    from gateway.settings import Settings

MAX_LOOKUPS = 1_000
"""Products that one search may look up: those of one look-up of the index."""

_CURRENCY = re.compile(r"[A-Z]{3}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Of all campaigns of a gateway."""

    positions: tuple[int, ...]
    """Of a page, from 1: where the places are, the best first."""
    floor: float
    """The least score of a product that is shown, as a share of the best one's on the page."""
    reserve_micros: int
    """The least price of an impression."""
    budget_s: float
    """Longest that a search waits for all of it."""
    lookups: int
    """Products of campaigns that one search looks up beside its own hits, at most."""


def read_rules(settings: "Settings") -> Rules:
    """Return what the settings say; raises InvalidSettings, which names the variable and its limit."""
    if not _CURRENCY.fullmatch(settings.campaign_currency):
        told = settings.campaign_currency[:64]
        raise InvalidSettings(f"GATEWAY_CAMPAIGN_CURRENCY must be of ISO 4217, such as EUR, got {told!r}")
    if not 0 < settings.sponsored_floor <= 1:
        raise InvalidSettings(
            f"GATEWAY_SPONSORED_FLOOR must be over 0 and at most 1, got {settings.sponsored_floor}"
        )
    if settings.sponsored_lookups > MAX_LOOKUPS:
        raise InvalidSettings(
            f"GATEWAY_SPONSORED_LOOKUPS must be at most {MAX_LOOKUPS:,}, got {settings.sponsored_lookups:,}"
        )
    return Rules(
        positions=_positions(settings.sponsored_positions),
        floor=settings.sponsored_floor,
        reserve_micros=settings.sponsored_reserve_micros,
        budget_s=settings.sponsored_budget_ms / 1e3,
        lookups=settings.sponsored_lookups,
    )


def _positions(text: str) -> tuple[int, ...]:
    """Read positions with commas between."""
    try:
        positions = tuple(int(each) for each in text.split(","))
    except ValueError:
        positions = ()
    rising = all(left < right for left, right in pairwise(positions))
    on_a_page = all(1 <= each <= limits.MAX_HITS for each in positions)
    if not 1 <= len(positions) <= limits.MAX_SPONSORED_PLACES or not rising or not on_a_page:
        raise InvalidSettings(
            f"GATEWAY_SPONSORED_POSITIONS must be 1 to {limits.MAX_SPONSORED_PLACES} rising positions of a page, from 1 to"
            f" {limits.MAX_HITS}, such as 1,5; got {text[:64]!r}"
        )
    return positions
