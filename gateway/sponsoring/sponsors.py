"""Sponsored places put together: campaigns from the store, offers beside a search, and the page that is given."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from gateway.campaigns import Campaign
from gateway.errors import SearchError
from gateway.metrics import Metrics
from gateway.model import Hit, Intent, Offer, Sponsorship
from gateway.retrieval.query import Query, SearchResult
from gateway.retrieval.sponsored import SPONSORED, LookUp
from gateway.sponsoring.auction import Bid, hold_auction
from gateway.sponsoring.candidates import Contest, find_offers
from gateway.sponsoring.caps import Caps
from gateway.sponsoring.live import NOTHING_LIVE, Live, find_live, spoken_by
from gateway.sponsoring.placing import arranged
from gateway.sponsoring.roster import Roster
from gateway.sponsoring.rules import Rules
from gateway.sponsoring.store import CampaignStore
from gateway.sponsoring.wallet import Wallet
from vitrine.domain.schema import Schema

STORE_S = 5.0
"""How long the store may take for what nobody waits for."""


class Sponsoring:
    """Implements gateway.retrieval.sponsored.Sponsors, and decides who is shown."""

    def __init__(
        self,
        store: CampaignStore,
        metrics: Metrics,
        rules: Rules,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._metrics = metrics
        self._rules = rules
        self._clock = clock
        self._version = -1
        self._campaigns: Mapping[str, Campaign] = {}
        self._roster = Roster()
        self._live = NOTHING_LIVE
        self._caps = Caps(clock=clock)
        self._wallet = Wallet(store, metrics, clock=clock)
        self._refilling: asyncio.Task[None] | None = None

    @property
    def version(self) -> int:
        """As the protocol says."""
        return self._version

    @property
    def budget_s(self) -> float:
        """As the protocol says."""
        return self._rules.budget_s

    async def refresh(self) -> None:
        """Take over changed campaigns, and have the store and the wallet agree; raises CampaignStoreError."""
        with self._metrics.dependency("campaigns"):
            version = await self._store.version(timeout_s=STORE_S)
            if version != self._version:
                kept = await self._store.campaigns(timeout_s=STORE_S)
                self._campaigns = {each.key: each for each in kept}
                self._version = version
                self._roster = Roster()
                self._live = find_live(kept, self._clock() * 1e3)
        await self._wallet.keep_up(self._campaigns, timeout_s=STORE_S)

    async def close(self) -> None:
        """Tell the store everything that was spent, and give the leases back; raises CampaignStoreError."""
        if self._refilling is not None:
            await asyncio.wait([self._refilling])
        await self._wallet.close(self._campaigns, timeout_s=STORE_S)

    def asks(self, query: Query) -> bool:
        """As the protocol says."""
        if query.sort is not None or query.offset or query.no_sponsored:
            return False
        live = self._running()
        return bool(live.locales) and live.speaks(spoken_by(query.locale))

    async def offers(
        self, query: Query, schema: Schema, hits: Sequence[Hit], look_up: LookUp
    ) -> tuple[Offer, ...]:
        """As the protocol says; the budgets of those who offer are leased too."""
        live, spoken = self._running(), spoken_by(query.locale)
        contest = Contest(
            roster=self._roster_of(schema),
            suits=lambda each: live.suits(each, spoken),
            schema=schema,
            floor=self._rules.floor,
            lookups=self._rules.lookups,
        )
        offers = await find_offers(contest, query, hits, look_up)
        offering = [self._campaigns[key] for key in {offer.key for offer in offers} if key in self._campaigns]
        await self._wallet.fill(offering, timeout_s=self._rules.budget_s)
        return offers

    def show(self, result: SearchResult, *, who: str, intent: Intent) -> SearchResult:
        """Return the page with its sponsored places, each of which is paid for by now.

        `who`: of whom impressions are counted; empty for nobody in particular.
        """
        if not result.offers or not result.hits:
            return result
        positions = [
            each for each in self._rules.positions if each <= min(result.searched.limit, len(result.hits) + 1)
        ]
        if not positions:
            return result
        bids = [bid for offer in result.offers if (bid := self._bid(offer, who, intent)) is not None]
        self._refill(result.offers)
        won = hold_auction(bids, places=len(positions), reserve_micros=self._rules.reserve_micros)
        chosen_by = {(offer.key, offer.hit.product.id): offer.chosen_by for offer in result.offers}
        organic = {hit.product.id: hit for hit in result.hits}
        sponsored: list[tuple[int, Hit]] = []
        for position, each in zip(positions, won, strict=False):
            campaign, hit = each.bid.campaign, each.bid.hit
            if self._wallet.charge(campaign, each.price_micros):
                self._caps.count(campaign, who)
                self._metrics.sponsored_impressions.inc()
                self._metrics.sponsored_spend.inc(each.price_micros)
                reason = chosen_by[campaign.key, hit.product.id]
                sponsored.append((position, _marked(organic.get(hit.product.id, hit), campaign, reason)))
        return arranged(result, sponsored) if sponsored else result

    def _bid(self, offer: Offer, who: str, intent: Intent) -> Bid | None:
        """Return what an offer bids now; None where its campaign may not."""
        campaign = self._campaigns.get(offer.key)
        if campaign is None or not campaign.runs(self._clock() * 1e3):
            reason = "ended"
        elif campaign.intents and intent not in campaign.intents:
            reason = "intent"
        elif self._caps.reached(campaign, who):
            reason = "cap"
        elif self._wallet.left(campaign) < campaign.bid_micros:
            reason = "budget"
        else:  # a price is never above the bid: who has that much left can pay it
            return Bid(campaign=campaign, hit=offer.hit, relevance=offer.relevance)
        self._metrics.sponsored_refused.labels(reason).inc()
        return None

    def _refill(self, offers: Sequence[Offer]) -> None:
        """Lease beside the answer what its campaigns lack: an answer from memory found its offers without asking for it."""
        offering = {each.key: self._campaigns[each.key] for each in offers if each.key in self._campaigns}
        lacking = [each for each in offering.values() if self._wallet.left(each) < each.bid_micros]
        if lacking and (self._refilling is None or self._refilling.done()):
            self._refilling = asyncio.create_task(self._lease(lacking))

    async def _lease(self, campaigns: Sequence[Campaign]) -> None:
        with suppress(SearchError):  # the next round of `refresh` tries again
            await self._wallet.fill(campaigns, timeout_s=STORE_S)

    def _running(self) -> Live:
        """Return the campaigns that run now."""
        now_ms = self._clock() * 1e3
        if not self._live.holds(now_ms):
            self._live = find_live(self._campaigns.values(), now_ms)
        return self._live

    def _roster_of(self, schema: Schema) -> Roster:
        """Return the campaigns with their filters as the schema knows them."""
        if self._roster.schema is None or self._roster.schema.digest != schema.digest:
            self._roster = Roster(self._campaigns.values(), schema)
            self._metrics.sponsored_refused.labels("filter").inc(self._roster.unknown)
        return self._roster


def _marked(hit: Hit, campaign: Campaign, reason: str) -> Hit:
    return replace(
        hit,
        sponsored=Sponsorship(campaign_id=campaign.id, advertiser=campaign.advertiser),
        reasons={**hit.reasons, SPONSORED: reason},
    )
