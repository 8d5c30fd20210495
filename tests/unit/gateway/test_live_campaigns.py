"""Which campaigns run: found anew when one begins or ends, and by no search in between."""

from dataclasses import replace

from gateway.campaigns import Campaign
from gateway.sponsoring.live import NOTHING_LIVE, find_live, spoken_by

SOON = Campaign(
    id="a", key="a", advertiser="Ann", products=("p1",), bid_micros=1, budget_micros=10, currency="EUR", starts_ms=100, ends_ms=200,
    locales=("de", "pt-BR"),
)  # fmt: skip
ANYWHERE = replace(SOON, key="b", locales=(), starts_ms=150, ends_ms=300)


def test_what_runs_holds_until_one_begins_or_ends() -> None:
    """Each moment has its own campaigns, and says from when until when that is so, also for a clock that is set back."""
    both = (SOON, ANYWHERE)
    spans = {now: find_live(both, now) for now in (50, 120, 160, 250, 400)}
    assert [sorted(live.locales) for live in spans.values()] == [[], ["a"], ["a", "b"], ["b"], []]
    assert [(live.since_ms, live.until_ms) for live in spans.values()][1:4] == [
        (100, 150),
        (150, 200),
        (200, 300),
    ]
    assert spans[120].holds(100)
    assert not spans[120].holds(150)
    assert not spans[120].holds(99)
    assert spans[50].holds(-1e18)
    assert spans[400].holds(1e18)
    assert not find_live([replace(SOON, paused=True)], 120).locales


def test_a_locale_is_a_campaigns_by_what_it_begins_with() -> None:
    """German of Austria is German, Portuguese of Portugal is not that of Brazil; who names no locale is everywhere."""
    live = find_live([SOON], 120)
    asked = {
        "de": True,
        "de-AT": True,
        "DE-at-1996": True,
        "den": False,
        "pt": False,
        "pt-br": True,
        "": False,
    }
    assert {locale: live.speaks(spoken_by(locale)) for locale in asked} == asked
    assert {locale: live.suits(SOON, spoken_by(locale)) for locale in asked} == asked
    everywhere = find_live([SOON, ANYWHERE], 160)
    assert everywhere.speaks(spoken_by("fr"))
    assert not everywhere.suits(SOON, spoken_by("fr"))
    assert everywhere.suits(ANYWHERE, spoken_by("fr"))
    assert not NOTHING_LIVE.speaks(spoken_by("de"))
