"""Conditions in the many ways that shoppers say them: exclusions, budgets, and numbers that are no prices."""

from collections.abc import Sequence

import pytest

from rewriter.catalogues import schema_of
from rewriter.engines.rules.decide import decide, settled
from rewriter.nlu.bounds import Interval, moved
from rewriter.nlu.lexicon import build_lexicon
from rewriter.nlu.phrasings import names_pattern
from rewriter.nlu.prices import take_price
from rewriter.nlu.words import fold
from rewriter.quality.turns import Expected, condition_set, state_request
from vitrine.domain.filters import Range
from vitrine.filter_text import format_filter
from vitrine.v1 import query_pb2, rewrite_pb2

Facets = Sequence[rewrite_pb2.Facet]


def said(text: str, facets: Facets) -> str:
    """Return the conditions of a first turn, joined."""
    rewrite = decide(rewrite_pb2.RewriteRequest(text=text, facets=facets), build_lexicon(facets))
    return "; ".join(sorted(Expected.of(rewrite).conditions))


@pytest.mark.parametrize(
    ("text", "conditions"),
    [
        ("anything except red dresses", "category=dress; not colour=red"),
        ("neither red nor black dress", "category=dress; not colour in (red, black)"),
        ("dress that is neither red nor black", "category=dress; not colour in (red, black)"),
        ("dress in any colour but red", "category=dress; not colour=red"),
        ("dress, anything but floral", "category=dress; not pattern=floral"),
        ("everything but hats", "not category=hat"),
        ("dress minus stripes", "category=dress; not pattern=striped"),
        ("dress free of stripes", "category=dress; not pattern=striped"),
        ("skip the floral dresses", "category=dress; not pattern=floral"),
        ("either red or blue dress", "category=dress; colour in (red, blue)"),
        ("不要红色的裙子", "category=skirt; not colour=red"),
        ("빨간색 말고 원피스", "category=dress; not colour=red"),
        ("weder rote noch schwarze Kleider", "category=dress; not colour in (red, black)"),
        ("Kleider, aber nicht rot", "category=dress; not colour=red"),
        ("une robe sauf rouge", "category=dress; not colour=red"),
        ("faldas, ni rojas ni azules", "category=skirt; not colour in (red, blue)"),
        ("Kleider, nicht teurer als 60 Euro", "category=dress; price ..60"),
        ("une robe ni rouge ni noire", "category=dress; not colour in (red, black)"),
    ],
)
def test_exclusions_are_read_however_they_are_said(text: str, conditions: str, facets: Facets) -> None:
    """What is excluded is never wanted."""
    assert condition_set(said(text, facets)) == condition_set(conditions)


@pytest.mark.parametrize(("text", "kind"), [("top 10 red dresses", "dress"), ("top 10 shoes", "shoes")])
def test_the_top_ten_are_no_tops(text: str, kind: str, facets: Facets) -> None:
    """A count of the best names no category."""
    assert f"category={kind}" in said(text, facets)


@pytest.mark.parametrize(
    ("text", "price"),
    [
        ("under 1.000 €", Interval(maximum=1000, exclusive_maximum=True)),
        ("up to 1 000", Interval(maximum=1000)),
        ("between 50 and 1.299,50 €", Interval(minimum=50, maximum=1299.5)),
        ("at most fifty dollars", Interval(maximum=50)),
        ("under two hundred and fifty", Interval(maximum=250, exclusive_maximum=True)),
        ("30-50€", Interval(minimum=30, maximum=50)),
        ("50 or less", Interval(maximum=50)),
        ("for under 2,5 k", Interval(maximum=2500, exclusive_maximum=True)),
        ("menos de cincuenta euros", Interval(maximum=50, exclusive_maximum=True)),
        ("100元以下", Interval(maximum=100)),
        ("二百五十以内", Interval(maximum=250)),
        ("5유로 이하", Interval(maximum=5)),
        ("under 5 inches", None),
        ("less than 1 kg", None),
        ("from 2023", None),
        ("size 12 or more", None),
        ("sofa for 3 people", None),
        ("one dress", None),
    ],
)
def test_budgets_are_read_and_other_numbers_are_no_prices(text: str, price: Interval | None) -> None:
    """Separators, words and currencies of any language; a measure, a year and a size are left in the words."""
    found, left = take_price(fold(text))
    assert found == price
    if price is None:
        assert " ".join(left.split()) == text


def test_one_korean_syllable_is_a_word_only_where_one_begins() -> None:
    """A mirror (거울) is no wool (울); a longer name may follow another within a word."""
    pattern = names_pattern({"울": "wool", "가죽": "leather"})
    assert pattern.findall("거울") == []
    assert pattern.findall("울로 된 코트") == ["울"]
    assert pattern.findall("검은가죽 가방") == ["가죽"]


@pytest.mark.parametrize(
    ("state", "text", "conditions"),
    [
        ("cheeses", "make that 5", "category=cheese; price<5"),
        ("sofas", "make it 500 instead", "kind=sofa; price<500"),
        ("sofas", "mach lieber 500", "kind=sofa; price<500"),
        ("dresses", "disons 40", "category=dress; price<40"),
        ("dresses", "say 1,000", "category=dress; price<1000"),
    ],
)
def test_another_amount_changes_the_price_that_stands(state: str, text: str, conditions: str) -> None:
    """The bound stays of its kind, and so does the search; no model is asked."""
    request = state_request(state)
    request.text = text
    rewrite = settled(request, build_lexicon(request.facets, schema_of(request)))
    assert rewrite is not None
    assert "; ".join(sorted(Expected.of(rewrite).conditions)) == conditions
    assert rewrite.query == request.history[-1].rewrite.query


def test_an_amount_alone_changes_nothing_where_no_price_stands() -> None:
    """The search before had no budget."""
    request = state_request("bags")
    request.text = "make that 40"
    assert settled(request, build_lexicon(request.facets)) is None


@pytest.mark.parametrize(
    ("earlier", "moved_to"),
    [
        (
            Range(field="price", maximum=50.0, exclusive_maximum=True),
            Interval(maximum=40, exclusive_maximum=True),
        ),
        (Range(field="price", minimum=50.0), Interval(minimum=40)),
        (Range(field="price", minimum=20.0, maximum=50.0), Interval(minimum=20, maximum=40)),
        (Range(field="price", minimum=45.0, maximum=50.0), Interval(maximum=40)),
    ],
)
def test_the_bound_that_moves_is_the_upper_one(earlier: Range, moved_to: Interval) -> None:
    """A lower bound moves where there is no other, and goes where it would leave nothing."""
    assert moved(earlier, 40) == moved_to


@pytest.mark.parametrize(
    ("state", "text", "conditions"),
    [
        ("dresses", "what price range?", "category=dress; price<100"),
        ("dresses", "what is the price range of the red ones?", "category=dress; colour=red; price<100"),
        ("first", "what is the price range of bags?", "category=bag"),
        ("dresses", "价格范围是多少", "category=dress; price<100"),
        ("dresses", "was ist die Preisspanne?", "category=dress; price<100"),
    ],
)
def test_a_question_for_the_range_of_prices_is_about_what_stands(
    state: str, text: str, conditions: str
) -> None:
    """Or about the kind that it names; the index answers it, and nothing is searched."""
    request = state_request(state)
    request.text = text
    rewrite = settled(request, build_lexicon(request.facets, schema_of(request)))
    assert rewrite is not None
    assert (rewrite.route, rewrite.intent) == (query_pb2.ROUTE_CHAT, query_pb2.INTENT_CONSULT)
    parts = [part.strip() for part in format_filter(rewrite.filter).split(" and ")]
    assert "; ".join(sorted(parts)) == conditions


@pytest.mark.parametrize(
    "text", ["मुझे लाल जूते चाहिए", "nataka viatu vyekundu", "κόκκινα παπούτσια", "รองเท้าสีแดง", "червени обувки"]
)
def test_a_tongue_that_nobody_taught_is_searched_in_its_own_words(text: str, facets: Facets) -> None:
    """Whole words, with the signs that belong to their letters, and no condition."""
    rewrite = decide(rewrite_pb2.RewriteRequest(text=text, facets=facets), build_lexicon(facets))
    assert (rewrite.route, rewrite.query) == (query_pb2.ROUTE_TEXT, fold(text))
    assert not rewrite.HasField("filter")


@pytest.mark.parametrize(
    ("text", "conditions"),
    [
        ("show me the red shoes", "category=Shoes; colour=Red"),
        ("no shoes", "not category=Shoes"),
        ("shoes but not red", "category=Shoes; not colour=Red"),
        ("any shoes for me, and with laces", "category=Shoes"),
        ("category No", "category=No"),
        ("shoes by And", 'brand="And"; category=Shoes'),
    ],
)
def test_values_that_are_common_words_are_meant_only_where_they_are_named(text: str, conditions: str) -> None:
    """A catalogue of "Me", "The" and "No" is searched like any other."""
    values = {
        "category": ["Me", "The", "No", "Shoes"],
        "colour": ["Red", "Not", "Any"],
        "brand": ["And", "With", "Show"],
    }
    facets = [rewrite_pb2.Facet(field=name, values=each) for name, each in values.items()]
    assert said(text, facets) == conditions
