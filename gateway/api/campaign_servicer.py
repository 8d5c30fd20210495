"""vitrine.v1.CampaignService: keeps campaigns and tells what they spent."""

import secrets
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from grpc import aio

from gateway.api.campaign_messages import (
    campaign_message,
    changed,
    check_campaign,
    check_campaign_id,
    daily_messages,
    spend_message,
    stored_campaign,
)
from gateway.campaigns import Campaign
from gateway.context import current_call, time_for_hop
from gateway.errors import Aborted, FailedPrecondition, InvalidQuery, NotFound, SearchError, as_invalid_query
from gateway.ports import VectorIndex
from gateway.sponsoring.store import CampaignStore
from vitrine.domain import limits
from vitrine.domain.filters import fitted
from vitrine.domain.product import check_identifier
from vitrine.v1 import campaigns_pb2, campaigns_pb2_grpc

_OFF = "there are no sponsored places here: GATEWAY_CAMPAIGNS says where campaigns are kept"

_Context = aio.ServicerContext[Any, Any]


async def _nothing() -> None:
    """Do nothing."""


class CampaignServicer(campaigns_pb2_grpc.CampaignServiceServicer):
    """Answers CampaignService; without a store it refuses."""

    def __init__(
        self,
        store: CampaignStore | None,
        index: VectorIndex,
        *,
        currency: str,
        margin_s: float,
        on_change: Callable[[], Awaitable[None]] = _nothing,
    ) -> None:
        self._kept = store
        self._index = index
        self._currency = currency
        self._margin_s = margin_s
        self._on_change = on_change

    async def CreateCampaign(  # noqa: N802 - gRPC's name
        self, request: campaigns_pb2.CreateCampaignRequest, context: _Context
    ) -> campaigns_pb2.CreateCampaignResponse:
        """Keep a new campaign."""
        del context
        _note(request.campaign.id)
        kept = await self._put(
            request.campaign, key=secrets.token_hex(8), revision=0, now_ms=int(time.time() * 1e3)
        )
        return campaigns_pb2.CreateCampaignResponse(campaign=campaign_message(kept))

    async def UpdateCampaign(  # noqa: N802
        self, request: campaigns_pb2.UpdateCampaignRequest, context: _Context
    ) -> campaigns_pb2.UpdateCampaignResponse:
        """Change the fields of a campaign that the mask names."""
        del context
        _note(request.campaign.id)
        before = await self._find("campaign.id", request.campaign.id)
        revision = request.campaign.revision
        if revision and revision != before.revision:
            raise Aborted("campaign.revision", f"is {before.revision} now: read the campaign again")
        fields = tuple(dict.fromkeys(request.fields.paths))
        message = changed(campaign_message(before), request.campaign, fields)
        current_call().notes.update(fields=sorted(fields))
        now_ms = int(time.time() * 1e3) if "ends" in fields else None
        kept = await self._put(message, key=before.key, revision=before.revision, now_ms=now_ms)
        return campaigns_pb2.UpdateCampaignResponse(campaign=campaign_message(kept))

    async def DeleteCampaign(  # noqa: N802
        self, request: campaigns_pb2.DeleteCampaignRequest, context: _Context
    ) -> campaigns_pb2.DeleteCampaignResponse:
        """Delete a campaign and its books."""
        del context
        _note(request.id)
        campaign = await self._find("id", request.id)
        spend = await self._spend(campaign)
        await self._store().delete(campaign.id, timeout_s=self._left())
        await self._refresh()
        return campaigns_pb2.DeleteCampaignResponse(spend=spend.spend)

    async def GetCampaign(  # noqa: N802
        self, request: campaigns_pb2.GetCampaignRequest, context: _Context
    ) -> campaigns_pb2.GetCampaignResponse:
        """Return a campaign."""
        del context
        campaign = await self._find("id", request.id)
        return campaigns_pb2.GetCampaignResponse(campaign=campaign_message(campaign))

    async def ListCampaigns(  # noqa: N802
        self, request: campaigns_pb2.ListCampaignsRequest, context: _Context
    ) -> campaigns_pb2.ListCampaignsResponse:
        """Return campaigns in the order of their ids, those after the one that the token names."""
        del context
        size = request.page_size if request.HasField("page_size") else limits.DEFAULT_CAMPAIGN_PAGE
        if not 1 <= size <= limits.MAX_CAMPAIGN_PAGE:
            raise InvalidQuery("page_size", f"must be from 1 to {limits.MAX_CAMPAIGN_PAGE}, got {size}")
        with as_invalid_query():
            check_identifier("page_token", request.page_token, limit=limits.MAX_CAMPAIGN_ID_LENGTH)
        kept = await self._store().campaigns(timeout_s=self._left())
        after = [each for each in kept if each.id > request.page_token]
        return campaigns_pb2.ListCampaignsResponse(
            campaigns=map(campaign_message, after[:size]),
            next_page_token=after[size - 1].id if len(after) > size else "",
        )

    async def ReportSpend(  # noqa: N802
        self, request: campaigns_pb2.ReportSpendRequest, context: _Context
    ) -> campaigns_pb2.ReportSpendResponse:
        """Return what a campaign spent, what this gateway has not told the store yet among it."""
        del context
        await self._refresh()
        return await self._spend(await self._find("id", request.id))

    async def _put(
        self, message: campaigns_pb2.Campaign, *, key: str, revision: int, now_ms: int | None
    ) -> Campaign:
        store = self._store()
        check_campaign(message, currency=self._currency, now_ms=now_ms)
        if message.ByteSize() > limits.MAX_CAMPAIGN_BYTES:
            raise InvalidQuery(
                "campaign", f"has {message.ByteSize():,} bytes; the limit is {limits.MAX_CAMPAIGN_BYTES:,}"
            )
        campaign = stored_campaign(message.SerializeToString(), key=key, revision=revision)
        kept = await store.put(await self._fitted(campaign), timeout_s=self._left())
        await self._refresh()
        return kept

    async def _fitted(self, campaign: Campaign) -> Campaign:
        """Return the campaign with its filter of the schema's kinds; InvalidQuery for what the index does not know."""
        if campaign.filters is not None:
            schema = (await self._index.version(timeout_s=self._left())).schema
            with as_invalid_query():
                return replace(campaign, filters=fitted(campaign.filters, schema))
        found = await self._index.get(campaign.products, timeout_s=self._left())
        there = {product.id for product in found}
        for place, product_id in enumerate(campaign.products):
            if product_id not in there:
                raise InvalidQuery(f"campaign.products[{place}]", "is no product of the index")
        return campaign

    async def _find(self, field: str, campaign_id: str) -> Campaign:
        with as_invalid_query():
            check_campaign_id(field, campaign_id)
        kept = await self._store().campaigns(timeout_s=self._left())
        for campaign in kept:
            if campaign.id == campaign_id:
                return campaign
        raise NotFound(field, f"campaign {campaign_id!r}")

    async def _spend(self, campaign: Campaign) -> campaigns_pb2.ReportSpendResponse:
        books = await self._store().books(campaign.key, now_ms=int(time.time() * 1e3), timeout_s=self._left())
        return campaigns_pb2.ReportSpendResponse(
            spend=spend_message(campaign, books), days=daily_messages(books)
        )

    async def _refresh(self) -> None:
        """Have this gateway know of the change at once; if it cannot now, it does within its next round."""
        with suppress(SearchError):
            await self._on_change()

    def _store(self) -> CampaignStore:
        if self._kept is None:
            raise FailedPrecondition(_OFF)
        return self._kept

    def _left(self) -> float:
        return time_for_hop(current_call().deadline, margin_s=self._margin_s)


def _note(campaign_id: str) -> None:
    """Name the campaign in the audit line."""
    current_call().notes.update(campaign=campaign_id[: limits.MAX_CAMPAIGN_ID_LENGTH])
