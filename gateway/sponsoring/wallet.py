"""A gateway's own part of the campaigns' budgets: leased from the store, spent here, told to the store.

Money is spent without asking anybody, out of what was leased; what is leased is out of reach of everybody else. A process
that is killed takes at most its leases along, which are then neither spent twice nor spent at all.
"""

import asyncio
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from gateway.campaigns import Campaign, LeaseRequest
from gateway.metrics import Metrics
from gateway.sponsoring.pacing import allowance
from gateway.sponsoring.store import CampaignStore

LEASE_BIDS = 20
"""Bids that one lease pays for, unless that is more than LEASE_SHARE of the budget."""
LEASE_SHARE = 100
"""A lease is at most the budget over this, or LEAST_BIDS where that is more: what a killed process may take along."""
LEAST_BIDS = 4
"""Bids that a lease of a small budget pays for, so that searches at the same moment find enough of it."""
IDLE_S = 60.0
"""After so long without a search for the campaign a lease is given back."""
RETRY_S = 1.0
"""After an answer without enough money nobody asks again for so long."""
LAPSE_MS = 300_000
"""A holder that was not heard of for so long counts as gone in reports. One that lives is heard of within IDLE_S."""


@dataclass(slots=True)
class _Line:
    """What this process leased and spent of one campaign since it began, in micros."""

    granted: int = 0
    spent: int = 0
    impressions: int = 0
    told: int = 0
    """Impressions that the store knows of."""
    wanted_at: float = 0.0
    refused_until: float = 0.0

    @property
    def left(self) -> int:
        return self.granted - self.spent


class Wallet:
    """Holds the leases of one process."""

    def __init__(
        self,
        store: CampaignStore,
        metrics: Metrics,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._metrics = metrics
        self._clock = clock
        self._monotonic = monotonic
        self._holder = secrets.token_hex(8)
        self._lines: dict[str, _Line] = {}
        self._exchanging = asyncio.Lock()

    def left(self, campaign: Campaign) -> int:
        """Return what may be spent of a campaign at once, in micros."""
        line = self._lines.get(campaign.key)
        return line.left if line is not None else 0

    def charge(self, campaign: Campaign, price_micros: int) -> bool:
        """Pay for an impression; False, and nothing is paid, where less is left."""
        line = self._lines.get(campaign.key)
        if line is None or line.left < price_micros:
            return False
        line.spent += price_micros
        line.impressions += 1
        return True

    async def fill(self, campaigns: Iterable[Campaign], *, timeout_s: float) -> None:
        """Lease budget of those campaigns of which less than a bid is left.

        Raises:
            DeadlineExceeded, CampaignStoreError: the store did not answer.
        """
        now = self._monotonic()
        asked = list(campaigns)
        for campaign in asked:
            self._lines.setdefault(campaign.key, _Line()).wanted_at = now
        if self._lacking(asked):
            async with self._exchanging:
                # Another search may have asked for them meanwhile.
                await self._exchange(self._lacking(asked), timeout_s=timeout_s)

    async def keep_up(self, campaigns: Mapping[str, Campaign], *, timeout_s: float) -> None:
        """Tell the store what was spent, lease anew where there is demand, and give back what nobody asks for.

        `campaigns`: those that exist, by the keys of their books; of others nothing is kept.

        Raises:
            DeadlineExceeded, CampaignStoreError: the store did not answer; the next round tells it.
        """
        async with self._exchanging:
            for key in self._lines.keys() - campaigns.keys():
                del self._lines[key]
            now = self._monotonic()
            due = []
            for key, line in self._lines.items():
                campaign = campaigns[key]
                runs = campaign.runs(self._clock() * 1e3)
                idle = now - line.wanted_at > IDLE_S or not runs
                wanting = (
                    not idle
                    and line.left < max(campaign.bid_micros, lease_size(campaign) // 2)
                    and line.refused_until <= now
                )
                if line.impressions > line.told or wanting or (idle and line.left):
                    due.append((campaign, idle))
            await self._exchange([each for each, idle in due if not idle], timeout_s=timeout_s)
            await self._give_back([each for each, idle in due if idle], timeout_s=timeout_s)

    async def close(self, campaigns: Mapping[str, Campaign], *, timeout_s: float) -> None:
        """Tell the store everything, and give all leases back."""
        async with self._exchanging:
            held = [campaigns[key] for key in self._lines if key in campaigns]
            await self._give_back(held, timeout_s=timeout_s)

    def _lacking(self, campaigns: Iterable[Campaign]) -> list[Campaign]:
        now = self._monotonic()
        lacking = []
        for campaign in campaigns:
            line = self._lines.get(campaign.key)
            if line is not None and line.left < campaign.bid_micros and line.refused_until <= now:
                lacking.append(campaign)
        return lacking

    async def _give_back(self, campaigns: Sequence[Campaign], *, timeout_s: float) -> None:
        for campaign in campaigns:
            line = self._lines[campaign.key]
            line.granted = line.spent  # from here on nothing of it can be spent
        await self._exchange(campaigns, timeout_s=timeout_s, give_back=True)

    async def _exchange(
        self, campaigns: Sequence[Campaign], *, timeout_s: float, give_back: bool = False
    ) -> None:
        if not campaigns:
            return
        requests = [self._request(each, give_back=give_back) for each in campaigns]
        with self._metrics.dependency("campaigns"):
            granted = await self._store.lease(requests, timeout_s=timeout_s)
        now = self._monotonic()
        for campaign, request, may_spend in zip(campaigns, requests, granted, strict=True):
            line = self._lines[campaign.key]
            line.granted = max(line.spent, may_spend)
            line.told = request.impressions
            if not give_back and line.left < campaign.bid_micros:
                line.refused_until = now + RETRY_S

    def _request(self, campaign: Campaign, *, give_back: bool) -> LeaseRequest:
        line = self._lines[campaign.key]
        now_ms = int(self._clock() * 1e3)
        return LeaseRequest(
            key=campaign.key,
            holder=self._holder,
            spent_micros=line.spent,
            impressions=line.impressions,
            wanted_micros=0 if give_back else max(line.left, lease_size(campaign)),
            least_micros=campaign.bid_micros,
            ceiling_micros=allowance(campaign, now_ms),
            now_ms=now_ms,
            lapses_ms=now_ms + LAPSE_MS,
        )


def lease_size(campaign: Campaign) -> int:
    """Return what one process leases of a budget at once, in micros."""
    bid, budget = campaign.bid_micros, campaign.budget_micros
    return min(budget, max(LEAST_BIDS * bid, min(LEASE_BIDS * bid, budget // LEASE_SHARE)))
