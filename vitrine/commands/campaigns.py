"""`vitrine campaigns`: what somebody pays for sponsored places, and what it spent."""

import functools
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import click
from rich.table import Table

from vitrine.client import VitrineClient
from vitrine.commands.connection import Connection, connected, valid_text
from vitrine.commands.search import FilterType
from vitrine.commands.tables import as_json, cell, print_json
from vitrine.terminal import console, printable
from vitrine.v1.campaigns_pb2 import Campaign, ReportSpendResponse, Spend
from vitrine.v1.query_pb2 import Filter, Intent

_MICROS = 1_000_000
_DIGITS = 6
"""Decimals of an amount: a millionth of the currency is the least."""
_LARGEST = 11
"""Digits of an amount before the point, less one: its millionths fit into an int64, which is more than any service takes."""

_INTENTS = {"buy": Intent.INTENT_BUY, "compare": Intent.INTENT_COMPARE, "consult": Intent.INTENT_CONSULT}
_PACINGS = {"even": Campaign.PACING_EVEN, "asap": Campaign.PACING_ASAP}

_JSON = click.option("--json", "want_json", is_flag=True, help="Write the service's answer as JSON.")


class AmountType(click.ParamType[int, int]):
    """An amount of money such as `0.05`, in millionths."""

    name = "amount"

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read it exactly; whether it is within the limits is the service's to say."""
        if isinstance(value, int):
            return value
        try:
            amount = Decimal(value)
        except InvalidOperation:
            amount = Decimal("nan")
        if not amount.is_finite() or amount <= 0:
            self.fail(f"must be a number over 0 such as 0.05, not {printable(value)!r}", param, ctx)
        if amount.adjusted() > _LARGEST:
            self.fail(f"{printable(value)} is too large", param, ctx)
        micros = amount.scaleb(_DIGITS)
        if micros != micros.to_integral_value():
            self.fail(f"may have {_DIGITS} decimals, {printable(value)} has more", param, ctx)
        return int(micros)


class MomentType(click.ParamType[datetime, datetime]):
    """A day or a moment of ISO 8601; without an offset it is UTC."""

    name = "moment"

    def convert(
        self, value: str | datetime, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """Read it."""
        if isinstance(value, datetime):
            return value
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"write it as 2027-01-31 or 2027-01-31T08:00, not {printable(value)!r}", param, ctx)
        return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


_FIELDS: dict[str, tuple[str, ...]] = {
    "advertiser": ("advertiser",),
    "products": ("products", "filter"),
    "filters": ("products", "filter"),
    "intents": ("intents",),
    "locales": ("locales",),
    "bid": ("bid_micros",),
    "budget": ("budget_micros",),
    "currency": ("currency",),
    "pacing": ("pacing",),
    "starts": ("starts",),
    "ends": ("ends",),
    "daily_cap": ("daily_cap",),
    "paused": ("paused",),
}
"""What each option sets: those that exclude each other are set together."""

_OPTIONS = (
    click.option("--advertiser", help="Who pays, as shoppers read it."),
    click.option("--product", "products", multiple=True, metavar="PRODUCT_ID", help="What is shown."),
    click.option("--filter", "filters", type=FilterType(), help="Instead: what fulfils it is shown."),
    click.option(
        "--intent",
        "intents",
        multiple=True,
        type=click.Choice(list(_INTENTS)),
        help="Why a shopper must ask.",
    ),
    click.option("--locale", "locales", multiple=True, metavar="TAG", help="Such as de or en-GB."),
    click.option("--bid", type=AmountType(), help="The most that one impression may cost."),
    click.option("--budget", type=AmountType(), help="The most that all of them may cost."),
    click.option("--currency", help="The service's one, by ISO 4217."),
    click.option("--pacing", type=click.Choice(list(_PACINGS)), help="How fast the budget is spent."),
    click.option("--starts", type=MomentType()),
    click.option("--ends", type=MomentType()),
    click.option("--daily-cap", type=int, help="Impressions of one shopper a day; 0: no cap."),
    click.option("--paused/--running", "paused", default=None, help="Whether nothing is shown for now."),
)


def _described(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that describe a campaign; the command receives them as `said`, those that were given."""

    @functools.wraps(command)
    def wrapper(**arguments: Any) -> None:
        said = {name: arguments.pop(name) for name in _FIELDS}
        given = {name: value for name, value in said.items() if value not in (None, ())}
        command(said=given, **arguments)

    described: Callable[..., None] = wrapper
    for option in reversed(_OPTIONS):
        described = option(described)
    return described


@click.group()
def campaigns() -> None:
    """Keep campaigns for sponsored places, and read what they spent."""


@campaigns.command("create")
@click.argument("campaign_id", metavar="ID")
@_described
@_JSON
@connected
def create(*, connection: Connection, campaign_id: str, said: dict[str, Any], want_json: bool) -> None:
    """Keep a new campaign under an ID of yours. Without --starts it begins now; without --pacing it is even."""
    said.setdefault("starts", datetime.now(UTC))
    campaign = _campaign(campaign_id, said)
    _show(connection.run(lambda client: client.campaigns.create(campaign)), want_json=want_json)


@campaigns.command("update")
@click.argument("campaign_id", metavar="ID")
@_described
@_JSON
@connected
def update(*, connection: Connection, campaign_id: str, said: dict[str, Any], want_json: bool) -> None:
    """Change what the options say of the campaign ID, and nothing else."""
    fields = sorted({field for name in said for field in _FIELDS[name]})
    if not fields:
        raise click.UsageError("say what to change, such as --budget 200 or --paused")
    campaign = _campaign(campaign_id, said)
    _show(connection.run(lambda client: client.campaigns.update(campaign, fields)), want_json=want_json)


@campaigns.command("list")
@_JSON
@connected
def list_(*, connection: Connection, want_json: bool) -> None:
    """Show all campaigns."""

    async def read(client: VitrineClient) -> list[Campaign]:
        return [each async for each in client.campaigns.list()]

    kept = connection.run(read)
    if want_json:
        print_json([as_json(each) for each in kept])
    elif kept:
        console().print(_table(kept))
    else:
        console().print("there are no campaigns: `vitrine campaigns create` makes one")


@campaigns.command("show")
@click.argument("campaign_id", metavar="ID")
@_JSON
@connected
def show(*, connection: Connection, campaign_id: str, want_json: bool) -> None:
    """Show the campaign ID."""
    _show(connection.run(lambda client: client.campaigns.get(campaign_id)), want_json=want_json)


@campaigns.command("spend")
@click.argument("campaign_id", metavar="ID")
@_JSON
@connected
def spend(*, connection: Connection, campaign_id: str, want_json: bool) -> None:
    """Show what the campaign ID spent, in all and by day."""
    told: ReportSpendResponse = connection.run(lambda client: client.campaigns.spend(campaign_id))
    if want_json:
        print_json(as_json(told))
        return
    console().print(cell(_sentence(told.spend)))
    for day in told.days:
        amount = _amount(day.spent_micros, told.spend.currency)
        console().print(cell(f"{day.day.ToDatetime():%Y-%m-%d}  {amount}  {day.impressions:,} impressions"))


@campaigns.command("delete")
@click.argument("campaign_id", metavar="ID")
@_JSON
@connected
def delete(*, connection: Connection, campaign_id: str, want_json: bool) -> None:
    """Delete the campaign ID and its books; says what it had spent."""
    spent = connection.run(lambda client: client.campaigns.delete(campaign_id))
    if want_json:
        print_json(as_json(spent))
    else:
        console().print(cell(f"deleted; {_sentence(spent)}"))


def _campaign(campaign_id: str, said: dict[str, Any]) -> Campaign:
    """Return the message of what was said."""
    filters: Filter | None = said.get("filters")
    campaign = Campaign(
        id=valid_text(campaign_id),
        advertiser=valid_text(said.get("advertiser", "")),
        products=[valid_text(each) for each in said.get("products", ())],
        filter=filters,
        intents=[_INTENTS[each] for each in said.get("intents", ())],
        locales=[valid_text(each) for each in said.get("locales", ())],
        bid_micros=said.get("bid", 0),
        budget_micros=said.get("budget", 0),
        currency=valid_text(said.get("currency", "")),
        pacing=_PACINGS[said.get("pacing", "even")],
        daily_cap=said.get("daily_cap", 0),
        paused=said.get("paused", False),
    )
    for name in ("starts", "ends"):
        if name in said:
            getattr(campaign, name).FromDatetime(said[name])
    return campaign


def _show(campaign: Campaign, *, want_json: bool) -> None:
    if want_json:
        print_json(as_json(campaign))
    else:
        console().print(_table([campaign]))


def _table(kept: list[Campaign]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("campaign", "advertiser", "shows", "bid", "budget", "from", "to", ""):
        table.add_column(name, overflow="fold", justify="right" if name in {"bid", "budget"} else "left")
    for each in kept:
        shows = f"{len(each.products)} products" if each.products else "what fulfils a filter"
        table.add_row(
            *map(
                cell,
                (
                    each.id,
                    each.advertiser,
                    shows,
                    _amount(each.bid_micros, each.currency),
                    _amount(each.budget_micros, each.currency),
                    f"{each.starts.ToDatetime():%Y-%m-%d %H:%M}",
                    f"{each.ends.ToDatetime():%Y-%m-%d %H:%M}",
                    "paused" if each.paused else "",
                ),
            )
        )
    return table


def _sentence(spent: Spend) -> str:
    sentence = (
        f"spent {_amount(spent.spent_micros, spent.currency)} of {_amount(spent.budget_micros, spent.currency)}"
        f" on {spent.impressions:,} impressions"
    )
    held = (
        f"; {_amount(spent.leased_micros, spent.currency)} is held by gateways" if spent.leased_micros else ""
    )
    lost = (
        f", of it {_amount(spent.lost_micros, spent.currency)} by some that are gone"
        if spent.lost_micros
        else ""
    )
    return sentence + held + lost


def _amount(micros: int, currency: str) -> str:
    """Write an amount with all its digits, and two decimals at least."""
    whole, part = divmod(micros, _MICROS)
    digits = f"{part:06}".rstrip("0").ljust(2, "0")
    return f"{whole:,}.{digits} {currency}"
