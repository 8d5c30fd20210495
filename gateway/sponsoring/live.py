"""The campaigns that run, found out anew only when one of them changes, begins or ends."""

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from gateway.campaigns import Campaign


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """Those that run from one moment until another one."""

    since_ms: float
    until_ms: float
    locales: dict[str, frozenset[str]]
    """By the campaigns' keys, in small letters; empty: any."""
    everywhere: bool
    """Whether one of them is for any locale."""
    somewhere: frozenset[str]
    """The locales of the others."""

    def holds(self, now_ms: float) -> bool:
        """Whether it still is as it was found."""
        return self.since_ms <= now_ms < self.until_ms

    def speaks(self, spoken: Collection[str]) -> bool:
        """Whether one of them is for one of these locales."""
        return self.everywhere or not self.somewhere.isdisjoint(spoken)

    def suits(self, campaign: Campaign, spoken: Collection[str]) -> bool:
        """Whether a campaign runs and is for one of these locales."""
        own = self.locales.get(campaign.key)
        return own is not None and (not own or not own.isdisjoint(spoken))


def find_live(campaigns: Iterable[Campaign], now_ms: float) -> Live:
    """Return which of the campaigns run now, and for how long that is so."""
    known = [each for each in campaigns if not each.paused]
    moments = [moment for each in known for moment in (each.starts_ms, each.ends_ms)]
    locales = {each.key: frozenset(map(str.lower, each.locales)) for each in known if each.runs(now_ms)}
    return Live(
        since_ms=max((each for each in moments if each <= now_ms), default=-math.inf),
        until_ms=min((each for each in moments if each > now_ms), default=math.inf),
        locales=locales,
        everywhere=not all(locales.values()),
        somewhere=frozenset[str]().union(*locales.values()),
    )


NOTHING_LIVE = find_live((), 0.0)


def spoken_by(locale: str) -> list[str]:
    """Return what campaigns may call a locale, in small letters: itself and what it begins with, as "de" for "de-AT"."""
    parts = locale.lower().split("-")
    return ["-".join(parts[:count]) for count in range(1, len(parts) + 1)]
