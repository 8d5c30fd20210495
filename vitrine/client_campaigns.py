"""The calls of CampaignService, as `VitrineClient.campaigns` has them."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask
from grpc import aio

from vitrine.v1 import campaigns_pb2, campaigns_pb2_grpc

Call = Callable[[Any, Any, float | None], Awaitable[Any]]
"""Sends a request by a method of a stub, within a time, and raises VitrineError when it fails."""


class CampaignCalls:
    """Keeps campaigns. Every method takes `timeout_s` and raises VitrineError, as those of the client do."""

    def __init__(self, channel: aio.Channel, call: Call) -> None:
        self._stub = campaigns_pb2_grpc.CampaignServiceStub(channel)
        self._call = call

    async def create(
        self, campaign: campaigns_pb2.Campaign, *, timeout_s: float | None = None
    ) -> campaigns_pb2.Campaign:
        """Keep a new campaign; return it as it is kept."""
        request = campaigns_pb2.CreateCampaignRequest(campaign=campaign)
        answer: campaigns_pb2.CreateCampaignResponse = await self._call(
            self._stub.CreateCampaign, request, timeout_s
        )
        return answer.campaign

    async def update(
        self, campaign: campaigns_pb2.Campaign, fields: Sequence[str], *, timeout_s: float | None = None
    ) -> campaigns_pb2.Campaign:
        """Change those fields of the campaign; with a revision in it, only that revision."""
        request = campaigns_pb2.UpdateCampaignRequest(campaign=campaign, fields=FieldMask(paths=fields))
        answer: campaigns_pb2.UpdateCampaignResponse = await self._call(
            self._stub.UpdateCampaign, request, timeout_s
        )
        return answer.campaign

    async def delete(self, campaign_id: str, *, timeout_s: float | None = None) -> campaigns_pb2.Spend:
        """Delete a campaign; return what it had spent."""
        request = campaigns_pb2.DeleteCampaignRequest(id=campaign_id)
        answer: campaigns_pb2.DeleteCampaignResponse = await self._call(
            self._stub.DeleteCampaign, request, timeout_s
        )
        return answer.spend

    async def get(self, campaign_id: str, *, timeout_s: float | None = None) -> campaigns_pb2.Campaign:
        """Return a campaign."""
        request = campaigns_pb2.GetCampaignRequest(id=campaign_id)
        answer: campaigns_pb2.GetCampaignResponse = await self._call(
            self._stub.GetCampaign, request, timeout_s
        )
        return answer.campaign

    async def list(self, *, timeout_s: float | None = None) -> AsyncIterator[campaigns_pb2.Campaign]:
        """Yield all campaigns in the order of their ids; each page is a call of its own."""
        token = ""
        while True:
            request = campaigns_pb2.ListCampaignsRequest(page_token=token)
            page: campaigns_pb2.ListCampaignsResponse = await self._call(
                self._stub.ListCampaigns, request, timeout_s
            )
            for campaign in page.campaigns:
                yield campaign
            if not (token := page.next_page_token):
                return

    async def spend(
        self, campaign_id: str, *, timeout_s: float | None = None
    ) -> campaigns_pb2.ReportSpendResponse:
        """Return what a campaign spent."""
        request = campaigns_pb2.ReportSpendRequest(id=campaign_id)
        answer: campaigns_pb2.ReportSpendResponse = await self._call(
            self._stub.ReportSpend, request, timeout_s
        )
        return answer
