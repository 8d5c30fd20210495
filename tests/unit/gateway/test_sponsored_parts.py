"""What sponsored places are decided by: the auction, the pace, the roster and the page, each by itself."""

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.campaigns import Campaign, Pacing
from gateway.model import Hit, Weights
from gateway.retrieval.query import Query, SearchResult, Timings, Versions
from gateway.sponsoring.auction import Bid, hold_auction
from gateway.sponsoring.pacing import allowance
from gateway.sponsoring.placing import arranged
from gateway.sponsoring.roster import Roster
from gateway.sponsoring.wallet import lease_size
from gateway.testing import product
from vitrine.domain.filters import AllOf, AnyOf, Equals, Filter, Not, OneOf, Range, matches
from vitrine.domain.schema_files import shipped_schema

SCHEMA = shipped_schema()
PRODUCTS = [
    product(f"p{number}", f"dress {number}", brand="AB"[number % 2], colour=("red", "navy")[number // 2 % 2], price=10.0 * number)
    for number in range(1, 9)
]  # fmt: skip


def campaign(name: str, bid: int = 100, **changes: Any) -> Campaign:
    """Return a campaign of a day."""
    usual = Campaign(
        id=name, key=name, advertiser="Ada", bid_micros=bid, budget_micros=100 * bid, currency="EUR", starts_ms=1_000,
        ends_ms=87_400_000,
    )  # fmt: skip
    return replace(usual, **changes)


def hit(place: int, score: float = 0.5) -> Hit:
    """Return a hit."""
    return Hit(product=PRODUCTS[place], score=score, text_score=score, image_score=score)


BIDS = st.lists(
    st.builds(
        lambda owner, amount, relevance, place: Bid(
            campaign=campaign(f"c{owner}", amount), hit=hit(place), relevance=relevance
        ),
        st.integers(0, 4), st.integers(1, 10**9), st.floats(0.01, 1.0), st.integers(0, 7),
    ),
    max_size=12,
    unique_by=lambda bid: (bid.campaign.id, bid.hit.product.id),
)  # fmt: skip


@given(bids=BIDS, places=st.integers(1, 4), reserve=st.integers(1, 1_000))
def test_an_auction_gives_the_best_the_places_at_the_least_that_wins(
    bids: list[Bid], places: int, reserve: int
) -> None:
    """Nobody wins twice or pays more than they bid; at the price they still beat whom they were ranked before, and not a micro less."""
    won = hold_auction(bids, places=places, reserve_micros=reserve)
    taking_part = [bid for bid in bids if bid.campaign.bid_micros >= reserve]
    assert bool(won) is bool(taking_part)
    assert (
        len({each.bid.campaign.key for each in won})
        == len({each.bid.hit.product.id for each in won})
        == len(won)
    )
    values = [each.bid.value for each in won]
    assert values == sorted(values, reverse=True)
    left = sorted(taking_part, key=lambda bid: bid.place)
    for each in won:
        best = left[0]
        assert each.bid is best
        left = [bid for bid in left if bid.campaign.key != best.campaign.key]
        next_value = left[0].value if left else 0.0
        assert reserve <= each.price_micros <= best.campaign.bid_micros
        enough = each.price_micros * best.relevance
        assert enough >= next_value * (1 - 1e-12) or each.price_micros == best.campaign.bid_micros
        assert each.price_micros == reserve or (each.price_micros - 1) * best.relevance < next_value
        left = [bid for bid in left if bid.hit.product.id != best.hit.product.id]


@given(moment=st.integers(0, 10**8), later=st.integers(0, 10**8))
def test_the_pace_never_falls_and_ends_at_the_budget(moment: int, later: int) -> None:
    """Nothing before the start, a bid at once, the budget at the end; in between no more than is due."""
    even = campaign("even")
    assert allowance(even, moment) <= allowance(even, moment + later) <= even.budget_micros
    assert (allowance(even, 999), allowance(even, 1_000), allowance(even, 87_400_000)) == (0, 100, 10_000)
    assert allowance(even, 43_700_500) == pytest.approx((100 + 10_000) / 2, abs=2)
    assert allowance(replace(even, pacing=Pacing.ASAP), 1_000) == 10_000


def test_a_lease_is_a_small_part_of_a_budget() -> None:
    """At most a hundredth or four bids, twenty bids at most, and never more than there is."""
    sizes = {
        budget: lease_size(campaign("c", budget_micros=budget)) for budget in (150, 10_000, 100_000, 10**9)
    }
    assert sizes == {150: 150, 10_000: 400, 100_000: 1_000, 10**9: 2_000}


FILTERS: list[Filter] = [
    Equals("brand", "a"),
    OneOf("colour", ("RED", "teal")),
    AllOf((Range(field="price", maximum=30.0), Equals("brand", "B"))),
    Range(field="price", minimum=50.0),
    Not(Equals("brand", "A")),
    AnyOf((Equals("brand", "A"), Equals("colour", "navy"))),
    AllOf((Not(Equals("colour", "red")), OneOf("brand", ("A", "B")))),
]


def test_a_roster_finds_the_campaigns_that_a_look_at_each_would() -> None:
    """By products and by any filter; one that the schema does not know fits nothing and is counted."""
    of_filters = [campaign(f"f{number}", filters=each) for number, each in enumerate(FILTERS)]
    of_products = [campaign("p", products=("p1", "p3")), campaign("q", 7, products=("p3", "p3"))]
    roster = Roster([*of_filters, *of_products, campaign("x", filters=Equals("wings", "2"))], SCHEMA)
    assert roster.unknown == 1
    assert [each.bid_micros for each in roster.by_bid][-1] == 7
    for each in (stored.product for stored in PRODUCTS):
        expected = [one.key for one in of_filters if one.filters is not None and matches(one.filters, each)]
        expected += [one.key for one in of_products if each.id in one.products]
        assert sorted(one.key for one in roster.of(each)) == sorted(expected)


def result(places: range, limit: int, *, more: bool = False) -> SearchResult:
    """Return a page of hits."""
    return SearchResult(
        hits=tuple(map(hit, places)), searched=Query(text="dress", limit=limit), weights=Weights(text=1.0, image=0.0),
        degraded=(), timings=Timings(total_s=0.0, stages_s={}), versions=Versions(model="m", index="i", schema=SCHEMA), more=more,
    )  # fmt: skip


def test_a_page_keeps_its_length_and_tells_how_much_of_the_order_it_used() -> None:
    """What gives way begins the next page, which there is then; a product of the page is moved, and counts as shown."""
    cases = (
        # hits, limit, sponsored by position -> the page, of the order, whether there is more
        (range(4), 4, {1: 7}, (7, 0, 1, 2), 3, True),
        (range(4), 4, {1: 2}, (2, 0, 1, 3), 4, False),
        (range(4), 4, {1: 3, 3: 7}, (3, 0, 7, 1), 2, True),
        (range(4), 4, {1: 7, 2: 3}, (7, 3, 0, 1), 2, True),
        (range(2), 4, {1: 7, 4: 6}, (7, 0, 1, 6), 2, False),
    )
    for places, limit, sponsored, page, used, more in cases:
        shown = arranged(
            result(places, limit), [(position, hit(place)) for position, place in sponsored.items()]
        )
        assert [each.product.id for each in shown.hits] == [PRODUCTS[place].id for place in page]
        assert (shown.organic, shown.more) == (used, more)


def test_prices_are_whole_micros() -> None:
    """A price is rounded up, so that it would have won."""
    bids = [
        Bid(campaign=campaign("a", 100), hit=hit(0), relevance=0.9),
        Bid(campaign=campaign("b", 70), hit=hit(1), relevance=0.8),
    ]
    (won,) = hold_auction(bids, places=1, reserve_micros=1)
    assert won.price_micros == math.ceil(70 * 0.8 / 0.9) == 63
