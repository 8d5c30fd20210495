"""What shoppers do with products, as the gateway keeps it: never who they are, but for a keyed hash."""

from dataclasses import dataclass
from enum import Enum

DAY_MS = 86_400_000

DAILY_SAME = 10
"""Events of one kind with one product that are kept of a shopper a day; a click farm's others count for nothing."""

DAILY_ALL = 5_000
"""Events of all kinds that are kept of a shopper a day; who clicks everything is a program."""


class EventKind(Enum):
    """What was done; the numbers are those of the proto."""

    IMPRESSION = 1
    CLICK = 2
    CART = 3
    PURCHASE = 4
    FAVOURITE = 5
    HIDE = 6


WEIGHTS = {
    EventKind.IMPRESSION: 0.0,
    EventKind.CLICK: 1.0,
    EventKind.CART: 3.0,
    EventKind.PURCHASE: 5.0,
    EventKind.FAVOURITE: 3.0,
    EventKind.HIDE: -3.0,
}
"""How much of a liking an event tells, a click being 1."""


class Outcome(Enum):
    """What became of an event that was handed to the store."""

    RECORDED = "recorded"
    DUPLICATE = "duplicate"
    """An event of its id was recorded before."""
    CAPPED = "capped"
    """Its shopper has had as many as are kept of that day."""
    ERASED = "erased"
    """Its shopper was erased after it happened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that a shopper did with one product."""

    id: str
    kind: EventKind
    product_id: str
    at_ms: int
    """Since 1970, UTC."""
    request_id: str = ""
    """Of the answer that showed the product."""
    position: int = 0
    """Where it stood there, from 1; 0: unknown."""
    shopper: str = ""
    """Pseudonym; empty where the shopper did not agree to be known again."""
    session: str = ""
    """Pseudonym of the visit; empty with that of the shopper."""

    @property
    def who(self) -> str:
        """Return whose events are counted together: the shopper's, or those of one answer."""
        return self.shopper or f"answer:{self.request_id}"

    @property
    def day(self) -> int:
        """Return the day, in days since 1970."""
        return self.at_ms // DAY_MS
