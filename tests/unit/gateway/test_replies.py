"""What is said after a search, a comparison and a question: true, short, and in the shopper's language."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from gateway.conversation.catalogue_qa import Fact
from gateway.conversation.comparison import compare
from gateway.conversation.replies.answers import comparison_sentences, fact_sentences
from gateway.conversation.replies.searches import Searched, count_of, sentences
from gateway.conversation.replies.templates import shipped_languages
from gateway.conversation.replies.wording import Wording, quote
from gateway.model import FieldSummary, Hit, Sort, Weights
from gateway.retrieval.query import Query, SearchResult, Timings, Versions
from gateway.testing import product
from vitrine.domain.filters import AllOf, AnyOf, Equals, Filter, Not, OneOf, Range, Says
from vitrine.domain.routes import ANYTHING
from vitrine.domain.schema import Schema
from vitrine.domain.schema_files import parse_schema, shipped_schema

RED, DRESS = Equals("colour", "red"), Equals("category", "dress")
CHEAP = Range(field="price", maximum=50.0, exclusive_maximum=True)

MARKET = parse_schema(
    """
    name = "market"
    currency = "EUR"
    [fields.id]
    kind = "keyword"
    role = "id"
    [fields.title]
    kind = "text"
    role = "title"
    [fields.price]
    kind = "money"
    role = "price"
    labels = { en = "price", de = "Preis" }
    [fields.weight]
    kind = "number"
    labels = { en = "weight in grams" }
    [fields.organic]
    kind = "boolean"
    labels = { en = "organic", de = "bio" }
    """
)


def wording(code: str = "en", schema: Schema | None = None) -> Wording:
    return Wording(shipped_languages().of(code), schema or shipped_schema())


def answered(
    query: Query,
    *,
    hits: int = 3,
    more: bool = False,
    degraded: Sequence[str] = (),
    asked: Query | None = None,
) -> Searched:
    """Return a search that found red dresses."""
    found = [
        Hit(
            product=product(f"p{i}", f"red dress {i}", category="dress"),
            score=1.0,
            text_score=1.0,
            image_score=0.0,
        )
        for i in range(hits)
    ]
    result = SearchResult(
        hits=tuple(found),
        searched=query,
        weights=Weights(text=0.5, image=0.5),
        degraded=tuple(degraded),
        timings=Timings(total_s=0.0, stages_s={}),
        versions=Versions(model="m", index="i", schema=shipped_schema()),
        more=more,
    )
    return Searched(result=result, asked=asked or query, found=count_of(result))


def said(searched: Searched, code: str = "en") -> list[str]:
    return [*sentences(searched, wording(code))]


@pytest.mark.parametrize(
    ("count", "code", "lead"),
    [
        (1, "en", "One product fits: category dress."),
        (2, "en", "2 products fit: category dress."),
        (1234, "en", "1,234 products fit: category dress."),
        (1, "es", "Encontré un producto: categoría dress."),
        (1234, "de", "1.234 Produkte passen: Kategorie dress."),
        (2, "zh", "有 2 件商品符合：类别为 dress。"),  # noqa: RUF001 - as Chinese writes it
        (2, "ko", "상품 2개를 찾았어요: 종류 dress."),
        (2, "fr", "2 produits conviennent : catégorie dress."),
    ],
)
def test_it_says_how_many_products_fit_which_conditions(count: int, code: str, lead: str) -> None:
    """The number has the form that the language gives it, and so has the noun."""
    searched = replace(answered(Query(text="dress", soft_filters=DRESS), hits=min(count, 10)), found=count)
    assert said(searched, code)[0] == lead


def test_a_field_without_a_word_of_the_language_is_called_as_people_call_it() -> None:
    """Where the schema says nothing: by its role, or by its name where every shop has such a field; else as it is."""
    bare = parse_schema(
        """
        name = "bare"
        currency = "EUR"
        [fields.sku]
        kind = "keyword"
        role = "id"
        [fields.name]
        kind = "text"
        role = "title"
        [fields.kind]
        kind = "keyword"
        role = "category"
        [fields.colour]
        kind = "keyword"
        labels = { de = "Farbton" }
        [fields.amount]
        kind = "money"
        role = "price"
        [fields.room]
        kind = "keyword"
        """
    )
    names = ("kind", "colour", "amount", "room", "none")
    assert [wording("de", bare).label(name) for name in names] == [
        "Kategorie",
        "Farbton",
        "Preis",
        "room",
        "none",
    ]
    assert [wording("es", bare).label(name) for name in names[:3]] == ["categoría", "color", "precio"]
    assert [wording("en", bare).label(name) for name in names[:3]] == ["kind", "colour", "amount"]


def test_the_hits_tell_their_number_only_where_they_are_all() -> None:
    """A first page that is the last one; and of its hits, those that satisfy what is said."""
    query = Query(text="dress", soft_filters=DRESS)
    assert answered(query).found == 3
    assert answered(query, more=True).found is None
    assert answered(replace(query, offset=10)).found is None
    assert answered(replace(query, soft_filters=Equals("category", "shoes"))).found == 0


def test_without_a_number_none_is_said() -> None:
    """Where nobody counted in time the reply names the conditions alone."""
    searched = answered(Query(text="dress", soft_filters=DRESS), more=True)
    assert said(searched) == ["All of these fit: category dress.", "Say “show me more” to see the next ones."]


def test_words_are_quoted_where_no_condition_says_them() -> None:
    """What the vectors are asked is told as what the hits are near to, and is no condition."""
    assert said(answered(Query(text="something for a wedding")))[0] == (
        "Closest to your words: “something for a wedding”."
    )
    both = said(answered(Query(text="red dresses for a wedding", soft_filters=AllOf((RED, DRESS)))))
    assert both == [
        "3 products fit: colour red; category dress.",
        "Closest to your words: “red dresses for a wedding”.",
    ]
    assert len(said(answered(Query(text="red dresses", soft_filters=AllOf((RED, DRESS)))))) == 1


def test_what_no_product_satisfies_is_said_with_the_catalogues_own_bound() -> None:
    """A budget below the cheapest product gets the cheapest one's price."""
    query = Query(text="dress", filters=Range(field="price", maximum=5.0))
    prices = FieldSummary(name="price", minimum=12.5, maximum=90.0)
    searched = replace(answered(query, hits=0), fields=(prices,))
    assert said(searched) == [
        "No product fits: price at most 5.00.",
        "The lowest in the catalogue is 12.50 (price).",
        "Try other words.",
    ]
    dear = replace(
        searched,
        result=replace(searched.result, searched=replace(query, filters=Range(field="price", minimum=100.0))),
    )
    assert said(dear)[1] == "The highest in the catalogue is 90.00 (price)."


def test_a_search_without_hits_offers_a_way_on() -> None:
    """With several conditions one can go; without any there are other words."""
    several = answered(Query(text="dress", filters=AllOf((RED, CHEAP))), hits=0)
    assert said(several)[-1] == "Try it without one of these conditions."
    assert said(answered(Query(text="dress"), hits=0)) == ["I found no product.", "Try other words."]


def test_what_was_left_out_is_named() -> None:
    """Of the conditions read in words, those that nothing satisfies; the others hold still."""
    asked = Query(text="red dress", soft_filters=AllOf((RED, DRESS)))
    relaxed = answered(replace(asked, soft_filters=DRESS), degraded=["soft_filters"], asked=asked)
    assert "No product has all you asked for, so I left this out: colour red." in said(relaxed)
    assert said(relaxed)[0] == "3 products fit: category dress."


def test_what_the_shopper_disliked_is_named() -> None:
    """Whether it was left out, or could not be."""
    query = Query(text="dress", excluded=(RED,))
    assert "Without what you did not like: colour red." in said(answered(query))
    gone = answered(replace(query, excluded=()), degraded=["exclusions"], asked=query)
    assert "Every product that fits has what you did not like: colour red." in said(gone)


@pytest.mark.parametrize("code", ["en", "es", "de", "fr", "zh", "ko"])
def test_words_that_were_left_out_are_named(code: str) -> None:
    """They are the shopper's own, whether products say them or all do; a search by nothing else is near to no words."""
    query = Query(text=ANYTHING, excluded=(Says(("pockets", "pocket"), ("title",)),))
    told = said(answered(query), code)
    assert len(told) == 1
    assert "pockets" in told[0]
    gone = said(answered(replace(query, excluded=()), degraded=["exclusions"], asked=query), code)
    assert "pockets" in gone[0]
    assert gone != told


def test_words_that_nobody_read_are_said_to_be_searched_as_they_are() -> None:
    """A shopper need not wonder why a budget was ignored."""
    assert "I searched your words just as they are." in said(answered(Query(text="x"), degraded=["rewrite"]))


def test_an_order_is_told_and_whether_it_is_one_of_all_products() -> None:
    """Sorted hits are near to no words."""
    query = Query(text="nice dress", sort=Sort(field="price"))
    assert said(answered(query)) == ["Sorted by price, lowest first."]
    down = replace(query, sort=Sort(field="price", descending=True))
    assert said(answered(down, degraded=["pool"])) == [
        "Sorted by price, highest first.",
        "Too many products fit to put them all in order; these are the nearest ones.",
    ]


def test_later_pages_tell_where_they_are_and_where_they_end() -> None:
    """Their hits are numbered through; after the last one there are no more."""
    query = Query(text="dress", soft_filters=DRESS, offset=10)
    assert said(replace(answered(query), found=13)) == ["These are numbers 11 to 13 of 13."]
    assert said(answered(query, more=True)) == [
        "These are numbers 11 to 13.",
        "Say “show me more” to see the next ones.",
    ]
    assert said(answered(query, hits=0)) == ["That was all; there are no more."]


def test_many_products_can_be_narrowed_down_by_fields_that_no_condition_names() -> None:
    """The next step is one that helps: not more pages of hundreds."""
    searched = replace(answered(Query(text="dress", soft_filters=DRESS), more=True), found=300)
    assert said(searched)[-1] == "You can narrow it down by colour, pattern, and brand."
    assert said(searched, "es")[-1] == "Puedes afinar la búsqueda por color, estampado y marca."


def test_a_reference_is_named_at_the_end_of_a_sentence() -> None:
    """A title of any words breaks none."""
    title = "What? A “red” dress; size: M."
    searched = replace(answered(Query(text="longer", product_id="p9")), title=title)
    assert said(searched) == [
        "These are like the product you chose, with this change: “longer”.",
        f"You chose: {title}.",
    ]
    assert said(answered(Query(image=b"x"))) == ["These look most like your picture."]


@pytest.mark.parametrize(
    ("condition", "text"),
    [
        (Not(RED), "colour not red"),
        (OneOf("colour", ("red", "navy", "white")), "colour red, navy, or white"),
        (AnyOf((RED, Equals("brand", "acme"))), "colour red or brand acme"),
        (Not(AnyOf((RED, Equals("brand", "acme")))), "colour not red and brand not acme"),
        (OneOf("brand", tuple("abcdefg")), "brand a, b, c, d, e, or …"),
        (Range(field="price", minimum=20.0, maximum=40.0), "price 20.00 to 40.00"),
        (Range(field="price", minimum=20.0, exclusive_minimum=True), "price over 20.00"),
        (Range(field="price", minimum=20.0), "price at least 20.00"),
        (AllOf((RED, CHEAP)), "colour red; price under 50.00"),
    ],
)
def test_conditions_are_worded(condition: Filter, text: str) -> None:
    """Each kind of condition is told as it is held."""
    assert wording().conditions([condition]) == text


def test_numbers_have_the_form_of_language_and_currency() -> None:
    """Money has its currency, a weight no decimals that it lacks, a boolean is yes or no."""
    fair = AllOf(
        (
            Range(field="price", maximum=2.5),
            Range(field="weight", minimum=1500.0),
            Not(Equals("organic", value=False)),
        )
    )
    assert wording("en", MARKET).conditions([fair]) == (
        "price at most €2.50; weight in grams at least 1,500; organic: yes"
    )
    assert wording("de", MARKET).conditions([fair]).startswith("Preis höchstens 2,50\xa0€; ")


def test_products_are_compared_by_price_and_by_what_differs() -> None:
    """The cheapest is named, then the fields that tell them apart."""
    products = [
        product("p1", "red dress", price=30.0),
        product("p2", "blue dress", price=20.0, colour="blue"),
    ]
    comparison = compare(products, shipped_schema())
    assert comparison is not None
    assert [*comparison_sentences(comparison, wording())] == [
        "Here are 2 products side by side.",
        "The cheapest costs 20.00: blue dress.",
        "They differ in colour and price.",
    ]
    same = compare([products[0], product("p3", "red dress", price=30.0)], shipped_schema())
    assert same is not None
    assert [*comparison_sentences(same, wording())] == [
        "Here are 2 products side by side.",
        "All of them cost 30.00.",
    ]


def test_one_product_is_described_by_its_price_first() -> None:
    """What a shopper asks for most stands before the rest."""
    comparison = compare([product("p1", "red dress", price=30.0, brand="")], shipped_schema())
    assert comparison is not None
    assert [*comparison_sentences(comparison, wording())] == [
        "This is: red dress.",
        "The catalogue says: price 30.00; category dress; colour red; pattern plain.",
    ]


def test_facts_answer_yes_or_no_first() -> None:
    """A value that no product has is a no."""
    facts = [
        Fact(field="colour", label="colour", value="red", products=12),
        Fact(field="colour", label="colour", value="teal", products=0),
        Fact(field="brand", label="brand", products=9, values=("acme", "next")),
        Fact(field="price", label="price", lowest=9.5, highest=120.0),
    ]
    assert [*fact_sentences(facts, wording())] == [
        "Yes, 12 products have colour red.",
        "No, no product has colour teal.",
        "The choices for brand: acme and next.",
        "From 9.50 to 120.00 (price).",
    ]
    organic = Fact(field="organic", label="organic", products=1)
    assert [*fact_sentences([organic], wording(schema=MARKET))] == ["One product has this: organic."]


def test_long_texts_are_cut() -> None:
    """A quotation is one line that fits a sentence."""
    assert quote("a\n b") == "a b"
    assert len(quote("word " * 100)) == 80
    assert quote("word " * 100).endswith("word…")
