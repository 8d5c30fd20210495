"""Sponsored places put together: the store of campaigns, what takes them in, and what is done beside the calls."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from gateway.api.campaign_servicer import CampaignServicer
from gateway.background import repeated
from gateway.errors import SearchError
from gateway.logs import log_event
from gateway.metrics import Metrics
from gateway.ports import VectorIndex
from gateway.settings import Settings
from gateway.sponsoring.rules import read_rules
from gateway.sponsoring.sponsors import Sponsoring
from gateway.sponsoring.store import CampaignStore

_ROUND_S = 1.0
"""Between two looks for changed campaigns; so long what was spent may be untold."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class SponsoredPlaces:
    """What decides who is shown, and what takes campaigns in; None for the first: there are no sponsored places."""

    sponsoring: Sponsoring | None
    servicer: CampaignServicer

    @asynccontextmanager
    async def kept_up(self) -> AsyncIterator[None]:
        """Follow the store until the block is left, and give the leases back then."""
        if (sponsoring := self.sponsoring) is None:
            yield
            return
        async with repeated("campaigns", sponsoring.refresh, interval_s=_ROUND_S):
            yield
        try:
            await sponsoring.close()
        except SearchError as error:
            log_event(_logger, logging.WARNING, "leases_not_given_back", error=type(error).__name__)


def open_sponsoring(
    settings: Settings, store: CampaignStore | None, index: VectorIndex, metrics: Metrics
) -> SponsoredPlaces:
    """Return what shows sponsored places; without a store there are none."""
    margin_s = settings.deadline_margin_ms / 1e3
    if store is None:
        off = CampaignServicer(None, index, currency=settings.campaign_currency, margin_s=margin_s)
        return SponsoredPlaces(sponsoring=None, servicer=off)
    sponsoring = Sponsoring(store, metrics, read_rules(settings))
    servicer = CampaignServicer(
        store,
        index,
        currency=settings.campaign_currency,
        margin_s=margin_s,
        on_change=sponsoring.refresh,
    )
    return SponsoredPlaces(sponsoring=sponsoring, servicer=servicer)
