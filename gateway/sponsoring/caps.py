"""How often a shopper was shown a campaign today: counted in memory, under names that only this process can make."""

import hashlib
import secrets
import time
from collections.abc import Callable

from gateway.caches import LruCache
from gateway.campaigns import Campaign

MAX_COUNTS = 100_000
"""Counts of a shopper, a campaign and a day; the least recently used ones make room."""

_DAY_S = 86_400


class Caps:
    """Counts impressions by shopper; nothing of it outlives the process."""

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._secret = secrets.token_bytes(32)
        self._counts = LruCache[bytes, int](MAX_COUNTS, ttl_s=_DAY_S, clock=clock)

    def reached(self, campaign: Campaign, who: str) -> bool:
        """Whether the shopper was shown the campaign as often as it may be today; never for nobody in particular."""
        if not campaign.daily_cap or not who:
            return False
        return (self._counts.get(self._name(campaign, who)) or 0) >= campaign.daily_cap

    def count(self, campaign: Campaign, who: str) -> None:
        """Count an impression."""
        if campaign.daily_cap and who:
            name = self._name(campaign, who)
            self._counts.put(name, (self._counts.get(name) or 0) + 1)

    def _name(self, campaign: Campaign, who: str) -> bytes:
        day = int(self._clock() // _DAY_S)
        named = f"{campaign.key}\0{day}\0{who}".encode()
        return hashlib.blake2b(named, key=self._secret, digest_size=16).digest()
