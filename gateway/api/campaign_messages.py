"""Campaigns as messages of vitrine.v1, checked on their way in; stores keep the same message."""

from collections.abc import Collection
from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from gateway.api.requests import LOCALE
from gateway.campaigns import Books, Campaign, Pacing
from gateway.errors import InvalidQuery, as_invalid_query
from gateway.events import DAY_MS
from gateway.texts import check_text
from gateway.understanding.validation import INTENT_NUMBERS, INTENTS
from vitrine.domain import limits
from vitrine.domain.filters import check_limits
from vitrine.domain.messages import filter_message, read_filter
from vitrine.domain.product import check_id, check_identifier
from vitrine.v1 import campaigns_pb2, query_pb2

CHANGEABLE = tuple(
    each.name for each in campaigns_pb2.Campaign.DESCRIPTOR.fields if each.name not in {"id", "revision"}
)
"""Fields that an update may name."""

_NANOS = 1_000_000_000
_LAST_S = int(datetime(9999, 12, 31, tzinfo=UTC).timestamp())
_PACINGS = {
    campaigns_pb2.Campaign.PACING_UNSPECIFIED: Pacing.EVEN,
    campaigns_pb2.Campaign.PACING_EVEN: Pacing.EVEN,
    campaigns_pb2.Campaign.PACING_ASAP: Pacing.ASAP,
}


def campaign_message(campaign: Campaign) -> campaigns_pb2.Campaign:
    """Return the message of a campaign."""
    message = campaigns_pb2.Campaign(
        id=campaign.id,
        advertiser=campaign.advertiser,
        products=campaign.products,
        filter=None if campaign.filters is None else filter_message(campaign.filters),
        intents=sorted(INTENT_NUMBERS[each] for each in campaign.intents),
        locales=campaign.locales,
        bid_micros=campaign.bid_micros,
        budget_micros=campaign.budget_micros,
        currency=campaign.currency,
        daily_cap=campaign.daily_cap,
        paused=campaign.paused,
        revision=campaign.revision,
    )
    message.pacing = campaign.pacing.value  # type: ignore[assignment] # the numbers are the proto's
    message.starts.FromMilliseconds(campaign.starts_ms)
    message.ends.FromMilliseconds(campaign.ends_ms)
    return message


def stored_campaign(document: bytes, *, key: str, revision: int) -> Campaign:
    """Return the campaign that a store keeps as its message; it was checked when it came."""
    message = campaigns_pb2.Campaign.FromString(document)
    return Campaign(
        id=message.id,
        key=key,
        advertiser=message.advertiser,
        products=tuple(message.products),
        filters=read_filter(message.filter) if message.HasField("filter") else None,
        intents=frozenset(INTENTS[each] for each in message.intents),
        locales=tuple(message.locales),
        bid_micros=message.bid_micros,
        budget_micros=message.budget_micros,
        currency=message.currency,
        pacing=_PACINGS[message.pacing],
        starts_ms=message.starts.ToMilliseconds(),
        ends_ms=message.ends.ToMilliseconds(),
        daily_cap=message.daily_cap,
        paused=message.paused,
        revision=revision,
    )


def check_campaign(message: campaigns_pb2.Campaign, *, currency: str, now_ms: int | None) -> None:
    """Hold a campaign to every rule that needs no index; with `now_ms` it must end after that.

    Raises:
        InvalidQuery: names the field by its path in the request, and the limit.
    """
    with as_invalid_query():
        check_campaign_id("campaign.id", message.id)
        if not check_text("campaign.advertiser", message.advertiser, limit=limits.MAX_ADVERTISER_LENGTH):
            raise InvalidQuery("campaign.advertiser", "must say who pays")
        _check_choice(message)
        _check_audience(message)
    _number("campaign.bid_micros", message.bid_micros, 1, limits.MAX_BID_MICROS)
    _number("campaign.budget_micros", message.budget_micros, message.bid_micros, limits.MAX_BUDGET_MICROS)
    _number("campaign.daily_cap", message.daily_cap, 0, limits.MAX_DAILY_CAP)
    if message.currency != currency:
        raise InvalidQuery("campaign.currency", f"must be {currency}, this gateway's one")
    if message.pacing not in _PACINGS:
        raise InvalidQuery("campaign.pacing", f"{message.pacing} is no Pacing")
    _check_dates(message, now_ms)


def check_campaign_id(field: str, campaign_id: str) -> None:
    """Refuse an id that is empty, too long or has control characters; raises InvalidValue."""
    if not campaign_id:
        raise InvalidQuery(field, "must not be empty")
    check_identifier(field, campaign_id, limit=limits.MAX_CAMPAIGN_ID_LENGTH)


def changed(
    before: campaigns_pb2.Campaign, request: campaigns_pb2.Campaign, fields: Collection[str]
) -> campaigns_pb2.Campaign:
    """Return the message with those fields of the request; raises InvalidQuery for a field that cannot be changed."""
    if not fields:
        raise InvalidQuery("fields", f"must name what to change, of {', '.join(CHANGEABLE)}")
    for name in fields:
        if name not in CHANGEABLE:
            raise InvalidQuery(
                "fields", f"{name[:64]!r} cannot be changed; these can: {', '.join(CHANGEABLE)}"
            )
    merged, brought = campaigns_pb2.Campaign(), campaigns_pb2.Campaign()
    merged.CopyFrom(before)
    brought.CopyFrom(request)
    for name in (each.name for each in campaigns_pb2.Campaign.DESCRIPTOR.fields):
        (merged if name in fields else brought).ClearField(name)  # type: ignore[arg-type] # it is one of the message's names
    merged.MergeFrom(brought)
    return merged


def spend_message(campaign: Campaign, books: Books) -> campaigns_pb2.Spend:
    """Return the books of a campaign."""
    return campaigns_pb2.Spend(
        budget_micros=campaign.budget_micros,
        spent_micros=books.spent_micros,
        impressions=books.impressions,
        leased_micros=books.leased_micros,
        lost_micros=books.lost_micros,
        currency=campaign.currency,
    )


def daily_messages(books: Books) -> list[campaigns_pb2.DailySpend]:
    """Return the books by their days, oldest first."""
    messages = []
    for day, (spent, impressions) in sorted(books.days.items()):
        message = campaigns_pb2.DailySpend(spent_micros=spent, impressions=impressions)
        message.day.FromMilliseconds(day * DAY_MS)
        messages.append(message)
    return messages


def _check_choice(message: campaigns_pb2.Campaign) -> None:
    """Check what is shown: products, or what fulfils a filter."""
    if bool(message.products) is message.HasField("filter"):
        raise InvalidQuery("campaign.products", "either products or a filter, and not both")
    _count("campaign.products", len(message.products), limits.MAX_CAMPAIGN_PRODUCTS)
    for place, product_id in enumerate(message.products):
        check_id(f"campaign.products[{place}]", product_id)
    if message.HasField("filter"):
        check_limits(read_filter(message.filter))


def _check_audience(message: campaigns_pb2.Campaign) -> None:
    _count("campaign.locales", len(message.locales), limits.MAX_CAMPAIGN_LOCALES)
    for place, locale in enumerate(message.locales):
        if not LOCALE.fullmatch(locale):
            raise InvalidQuery(f"campaign.locales[{place}]", "must be a BCP 47 tag such as de or en-GB")
    for place, intent in enumerate(message.intents):
        if intent not in INTENTS or intent == query_pb2.INTENT_UNSPECIFIED:
            raise InvalidQuery(f"campaign.intents[{place}]", f"{intent} is no intent of a shopper")


def _check_dates(message: campaigns_pb2.Campaign, now_ms: int | None) -> None:
    for name in ("starts", "ends"):
        moment: Timestamp = getattr(message, name)
        if not message.HasField(name):
            raise InvalidQuery(f"campaign.{name}", "must be given")
        if not 0 <= moment.seconds < _LAST_S or not 0 <= moment.nanos < _NANOS:
            raise InvalidQuery(f"campaign.{name}", "must be a moment from 1970 to 9999")
    starts_ms, ends_ms = message.starts.ToMilliseconds(), message.ends.ToMilliseconds()
    if ends_ms <= starts_ms:
        raise InvalidQuery("campaign.ends", "must be after the start")
    if ends_ms - starts_ms > limits.MAX_CAMPAIGN_DAYS * DAY_MS:
        raise InvalidQuery(
            "campaign.ends", f"must be at most {limits.MAX_CAMPAIGN_DAYS} days after the start"
        )
    if now_ms is not None and ends_ms <= now_ms:
        raise InvalidQuery("campaign.ends", "must be in the future")


def _count(field: str, number: int, most: int) -> None:
    if number > most:
        raise InvalidQuery(field, f"at most {most}, got {number:,}")


def _number(field: str, number: int, least: int, most: int) -> None:
    if not least <= number <= most:
        raise InvalidQuery(field, f"must be from {least:,} to {most:,}, got {number:,}")
