"""What an operator says of sponsored places."""

import re
from dataclasses import dataclass
from itertools import pairwise

from vitrine.domain import limits
from vitrine.process.settings import InvalidSettings

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


def read_positions(name: str, text: str) -> tuple[int, ...]:
    """Read positions with commas between; raises InvalidSettings, which names the variable."""
    try:
        positions = tuple(int(each) for each in text.split(","))
    except ValueError:
        positions = ()
    rising = all(left < right for left, right in pairwise(positions))
    if not 1 <= len(positions) <= limits.MAX_SPONSORED_PLACES or not rising or not _on_a_page(positions):
        raise InvalidSettings(
            f"{name} must be 1 to {limits.MAX_SPONSORED_PLACES} rising positions of a page, 1 to {limits.MAX_HITS},"
            f" such as 1,5; got {text[:64]!r}"
        )
    return positions


def check_currency(name: str, currency: str) -> None:
    """Raise InvalidSettings where it is no code of ISO 4217 by its form."""
    if not _CURRENCY.fullmatch(currency):
        raise InvalidSettings(f"{name} must be a currency of ISO 4217, such as EUR; got {currency[:64]!r}")


def check_floor(name: str, floor: float) -> None:
    """Raise InvalidSettings where it is no share."""
    if not 0 < floor <= 1:
        raise InvalidSettings(f"{name} must be over 0 and at most 1, got {floor}")


def _on_a_page(positions: tuple[int, ...]) -> bool:
    return all(1 <= each <= limits.MAX_HITS for each in positions)
