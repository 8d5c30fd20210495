"""`vitrine campaigns`: what it sends, what it shows, and which amounts and dates it refuses before anything is sent."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from click.testing import CliRunner, Result

from vitrine.cli import main
from vitrine.v1 import campaigns_pb2, campaigns_pb2_grpc


class _Campaigns(campaigns_pb2_grpc.CampaignServiceServicer):
    """Keeps what was asked, and answers with it."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.address = ""

    def CreateCampaign(self, request: Any, context: object) -> Any:  # noqa: N802 - gRPC's name
        del context
        self.asked.append(request)
        return campaigns_pb2.CreateCampaignResponse(campaign=request.campaign)

    def UpdateCampaign(self, request: Any, context: object) -> Any:  # noqa: N802
        del context
        self.asked.append(request)
        return campaigns_pb2.UpdateCampaignResponse(campaign=request.campaign)

    def ListCampaigns(self, request: Any, context: object) -> Any:  # noqa: N802
        del context
        page = 0 if not request.page_token else int(request.page_token)
        campaigns = [campaigns_pb2.Campaign(id=f"c{page}", advertiser="Ada", currency="EUR", paused=True)]
        return campaigns_pb2.ListCampaignsResponse(
            campaigns=campaigns, next_page_token="1" if not page else ""
        )

    def ReportSpend(self, request: Any, context: object) -> Any:  # noqa: N802
        del request, context
        spend = campaigns_pb2.Spend(
            budget_micros=5_000_000, spent_micros=1_234_567, impressions=1_200, leased_micros=20_000,
            lost_micros=10_000, currency="EUR",
        )  # fmt: skip
        day = campaigns_pb2.DailySpend(spent_micros=1_234_567, impressions=1_200)
        day.day.FromJsonString("2027-01-31T00:00:00Z")
        return campaigns_pb2.ReportSpendResponse(spend=spend, days=[day])


@pytest.fixture
def service() -> Iterator[_Campaigns]:
    """A service on loopback."""
    servicer = _Campaigns()
    server = grpc.server(ThreadPoolExecutor(max_workers=2))
    campaigns_pb2_grpc.add_CampaignServiceServicer_to_server(servicer, server)
    servicer.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield servicer
    server.stop(grace=None).wait(timeout=5)


def run(service: _Campaigns, *arguments: str) -> Result:
    """Run `vitrine campaigns`."""
    return CliRunner(env={"VITRINE_ADDRESS": service.address}).invoke(main, ["campaigns", *arguments])


def test_a_campaign_is_described_by_options(service: _Campaigns) -> None:
    """Amounts are exact, moments are UTC unless they say otherwise, and an update names what its options say."""
    made = run(
        service, "create", "spring", "--advertiser", "Ada & Co", "--filter", "brand=Ada", "--intent", "buy", "--locale", "de",
        "--bid", "0.020001", "--budget", "1234.5", "--currency", "EUR", "--pacing", "asap", "--starts", "2027-01-31T08:00+01:00",
        "--ends", "2027-03-01", "--daily-cap", "3",
    )  # fmt: skip
    assert made.exit_code == 0, made.output
    assert "1,234.50 EUR" in made.output
    sent = service.asked[0].campaign
    assert (sent.id, sent.advertiser, sent.bid_micros, sent.budget_micros) == (
        "spring", "Ada & Co", 20_001, 1_234_500_000,
    )  # fmt: skip
    assert (sent.starts.ToJsonString(), sent.ends.ToJsonString()) == (
        "2027-01-31T07:00:00Z", "2027-03-01T00:00:00Z",
    )  # fmt: skip
    assert (sent.filter.equals.field, list(sent.intents), sent.daily_cap) == ("brand", [1], 3)
    assert run(service, "update", "spring", "--product", "p1", "--paused").exit_code == 0
    assert list(service.asked[1].fields.paths) == ["filter", "paused", "products"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--bid", "0"], "must be a number over 0"),
        (["--bid", "-1"], "must be a number over 0"),
        (["--bid", "nan"], "must be a number over 0"),
        (["--bid", "inf"], "must be a number over 0"),
        (["--bid", "much"], "must be a number over 0"),
        (["--bid", "0.0000001"], "may have 6 decimals"),
        (["--budget", "1e300"], "is too large"),
        (["--ends", "tomorrow"], "write it as 2027-01-31"),
        (["--filter", "brand"], "filter"),
        ([], "say what to change"),
    ],
)
def test_what_is_no_amount_or_moment_is_refused(service: _Campaigns, options: list[str], told: str) -> None:
    """In a line that says how to write it; nothing is sent."""
    refused = run(service, "update", "spring", *options)
    assert (refused.exit_code, told in refused.output) == (2, True), refused.output
    assert service.asked == []


def test_spend_and_lists_are_shown(service: _Campaigns) -> None:
    """In all, by day, and what gateways hold; every page of a list."""
    shown = " ".join(run(service, "spend", "spring").output.split())
    assert shown == (
        "spent 1.234567 EUR of 5.00 EUR on 1,200 impressions; 0.02 EUR is held by gateways, of it 0.01 EUR by some that are"
        " gone 2027-01-31 1.234567 EUR 1,200 impressions"
    )
    listed = run(service, "list").output
    assert [name in listed for name in ("c0", "c1", "paused")] == [True] * 3
