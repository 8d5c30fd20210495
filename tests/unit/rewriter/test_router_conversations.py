"""The router's readings, turn by turn: words and state on the left, the rewrite on the right."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from rewriter.checks import violation
from rewriter.engines.rules.decide import decide
from rewriter.nlu.lexicon import build_lexicon
from vitrine.filter_text import format_filter
from vitrine.v1 import query_pb2, rewrite_pb2

Facets = Sequence[rewrite_pb2.Facet]
Products = Sequence[query_pb2.Product]


@dataclass(frozen=True)
class Turn:
    """A turn's words and what they are expected to mean; conditions are joined by " & ", references by a space."""

    text: str
    route: str
    query: str = ""
    conditions: str = ""
    references: str = ""
    modification: str = ""
    sort: str = ""


FIRST_TURNS = (
    Turn(
        "red floral midi dress",
        "TEXT",
        "red floral midi dress",
        "category=dress & colour=red & pattern=floral",
    ),
    Turn("Show me RED DRESSES, please!", "TEXT", "red dress", "category=dress & colour=red"),
    Turn("i'm looking for a crimson gown", "TEXT", "red dress", "category=dress & colour=red"),
    Turn("plaid pants", "TEXT", "checked trousers", "category=trousers & pattern=checked"),
    Turn("polka dots", "TEXT", "polka-dot", "pattern=polka-dot"),
    Turn("dress with long sleeves in red", "TEXT", "long-sleeve red dress", "category=dress & colour=red"),
    Turn("a dress for a wedding", "TEXT", "dress for a wedding", "category=dress"),
    Turn("black or white shoes", "TEXT", "black white shoes", "category=shoes & colour in (black, white)"),
    Turn(
        "navy dress with yellow accents",
        "TEXT",
        "navy dress with yellow accents",
        "category=dress & colour=navy",
    ),
    Turn("leather boots", "TEXT", "leather boots", "category=shoes"),
    Turn("shirts by next", "TEXT", "shirt", "category=top & brand=Next"),
    Turn("Harbour and Sons hats", "TEXT", "hat", 'category=hat & brand="Harbour and Sons"'),
    Turn("my only dress", "TEXT", "dress", "category=dress"),
    Turn("dresses by only", "TEXT", "dress", "category=dress & brand=Only"),
    Turn("red fox bag", "TEXT", "bag", 'category=bag & brand="Red Fox"'),
    Turn("dress not striped", "TEXT", "dress", "category=dress & not pattern=striped"),
    Turn("bags, no black or beige", "TEXT", "bag", "category=bag & not colour in (black, beige)"),
    Turn(
        "skirts that aren't floral, in blue",
        "TEXT",
        "blue skirt",
        "category=skirt & colour=blue & not pattern=floral",
    ),
    Turn("dress under 50", "TEXT", "dress", "category=dress & price<50"),
    Turn("dress less than £30", "TEXT", "dress", "category=dress & price<30"),
    Turn("dress between 20 and 40", "TEXT", "dress", "category=dress & price 20..40"),
    Turn("dress from $20 to $40.50", "TEXT", "dress", "category=dress & price 20..40.5"),
    Turn("bag up to 1,200 euros", "TEXT", "bag", "category=bag & price ..1200"),
    Turn("bag over 2k", "TEXT", "bag", "category=bag & price>2000"),
    Turn("hats, my budget is 25", "TEXT", "hat", "category=hat & price ..25"),
    Turn("hats around 50", "TEXT", "hat", "category=hat & price 40..60"),
    Turn("hat price<=80", "TEXT", "hat", "category=hat & price ..80"),
    Turn("the cheapest hats", "TEXT", "hat", "category=hat", sort="price"),
    Turn("most expensive bag", "TEXT", "bag", "category=bag", sort="-price"),
    Turn("a purple sofa", "TEXT", "purple sofa"),  # neither is in the facets
    Turn("same but in red", "TEXT", "red", "colour=red"),  # nothing that it could be the same as
    Turn("hello", "CHAT"),
    Turn("hello, i need a red dress", "TEXT", "red dress", "category=dress & colour=red"),
    Turn("what is a midi?", "CHAT"),
    Turn("what's the difference between midi and maxi", "CHAT"),
    Turn("compare the first two", "CHAT"),
    Turn("where is my order", "CHAT"),
    Turn("", "CHAT"),
    Turn("?!", "CHAT"),
)

AFTER_DRESSES = (  # the turn before was "dresses under 100" and showed b1 (blue, 60), r2 (red, 45), n3 (navy, 80)
    Turn("same but in red", "REFINE", "red striped long-sleeve midi dress", "category=dress & colour=red & price<100", "b1", "replace blue with red"),
    Turn("in navy", "REFINE", "navy striped long-sleeve midi dress", "category=dress & colour=navy & price<100", "b1", "replace blue with navy"),
    Turn("make it floral", "REFINE", "blue floral long-sleeve midi dress", "category=dress & pattern=floral & price<100", "b1", "replace striped with floral"),
    Turn("without sleeves", "REFINE", "blue striped sleeveless midi dress", "category=dress & price<100", "b1", "replace long-sleeve with sleeveless"),
    Turn("with short sleeves", "REFINE", "blue striped short-sleeve midi dress", "category=dress & price<100", "b1", "replace long-sleeve with short-sleeve"),
    Turn("longer", "REFINE", "blue striped long-sleeve maxi dress", "category=dress & price<100", "b1", "replace midi with maxi"),
    Turn("but shorter", "REFINE", "blue striped long-sleeve mini dress", "category=dress & price<100", "b1", "replace midi with mini"),
    Turn("with shorter sleeves", "REFINE", "blue striped short-sleeve midi dress", "category=dress & price<100", "b1", "replace long-sleeve with short-sleeve"),
    Turn("replace blue with red", "REFINE", "red striped long-sleeve midi dress", "category=dress & colour=red & price<100", "b1", "replace blue with red"),
    Turn("red instead of blue", "REFINE", "red striped long-sleeve midi dress", "category=dress & colour=red & price<100", "b1", "replace blue with red"),
    Turn("change the stripes to polka dots", "REFINE", "blue polka-dot long-sleeve midi dress", "category=dress & pattern=polka-dot & price<100", "b1", "replace striped with polka-dot"),
    Turn("make it red and floral", "REFINE", "red floral long-sleeve midi dress", "category=dress & colour=red & pattern=floral & price<100", "b1", "replace blue with red and replace striped with floral"),
    Turn("with yellow accents", "REFINE", "blue striped long-sleeve midi dress with yellow accents", "category=dress & price<100", "b1", "with yellow accents"),
    Turn("more formal", "REFINE", "blue striped long-sleeve midi dress more formal", "category=dress & price<100", "b1", "make it more formal"),
    Turn("same with pockets", "REFINE", "blue striped long-sleeve midi dress with pockets", "category=dress & price<100", "b1", "with pockets"),
    Turn("the same in a skirt", "REFINE", "blue striped long-sleeve midi skirt", "category=skirt & price<100", "b1", "replace dress with skirt"),
    Turn("the second one but in blue", "REFINE", "blue floral sleeveless mini dress", "category=dress & colour=blue & price<100", "r2", "replace red with blue"),
    Turn("the red dress but longer", "REFINE", "red floral sleeveless midi dress", "category=dress & price<100", "r2", "replace mini with midi"),
    Turn("the last one, but striped", "REFINE", "navy striped short-sleeve maxi dress", "category=dress & pattern=striped & price<100", "n3", "replace plain with striped"),
    Turn("number 2 in white", "REFINE", "white floral sleeveless mini dress", "category=dress & colour=white & price<100", "r2", "replace red with white"),
    Turn("the second one", "SIMILAR", "red floral sleeveless mini dress", "category=dress & price<100", "r2"),
    Turn("more like the 3rd", "SIMILAR", "navy plain short-sleeve maxi dress", "category=dress & price<100", "n3"),
    Turn("i like the blue dress", "SIMILAR", "blue striped long-sleeve midi dress", "category=dress & price<100", "b1"),
    Turn("not that, the third one", "SIMILAR", "navy plain short-sleeve maxi dress", "category=dress & price<100", "n3"),
    Turn("this one", "SIMILAR", "blue striped long-sleeve midi dress", "category=dress & price<100", "b1"),
    Turn("anything similar?", "SIMILAR", "blue striped long-sleeve midi dress", "category=dress & price<100", "b1"),
    Turn("cheaper", "TEXT", "dress", "category=dress & price<60"),
    Turn("these are too expensive", "TEXT", "dress", "category=dress & price<60"),
    Turn("cheaper than the second one", "SIMILAR", "red floral sleeveless mini dress", "category=dress & price<45", "r2"),
    Turn("something more expensive", "TEXT", "dress", "category=dress & (price>60 and price<=100)"),
    Turn("cheapest first", "TEXT", "dress", "category=dress & price<100", sort="price"),
    Turn("under 50", "TEXT", "dress", "category=dress & price<50"),
    Turn("only red ones", "TEXT", "red dress", "category=dress & colour=red & price<100"),
    Turn("sleeveless ones", "TEXT", "sleeveless dress", "category=dress & price<100"),
    Turn("by acme", "TEXT", "dress", "category=dress & brand=Acme & price<100"),
    Turn("no stripes", "TEXT", "dress", "category=dress & price<100 & not pattern=striped"),
    Turn("nothing striped or floral", "TEXT", "dress", "category=dress & price<100 & not pattern in (striped, floral)"),
    Turn("no, the skirt", "TEXT", "skirt", "category=skirt & price<100"),
    Turn("sorry, i meant tops", "TEXT", "top", "category=top & price<100"),
    Turn("show me hats instead", "TEXT", "hat", "category=hat"),
    Turn("forget that, i need a black bag", "TEXT", "black bag", "category=bag & colour=black"),
    Turn("forget that", "CHAT"),
    Turn("sneakers", "TEXT", "sneakers", "category=shoes"),
    Turn("red dresses", "TEXT", "red dress", "category=dress & colour=red & price<100"),
    Turn("a sofa for the garden", "TEXT", "sofa for the garden"),
    Turn("compare the first two", "COMPARE", references="b1 r2"),
    Turn("compare 1 and 3", "COMPARE", references="b1 n3"),
    Turn("the last two", "COMPARE", references="r2 n3"),
    Turn("which is cheaper, the first or the third?", "COMPARE", references="b1 n3"),
    Turn("which one is longer", "COMPARE", references="b1 r2"),
    Turn("what is this", "CHAT", references="b1"),
    Turn("thanks", "CHAT"),
    Turn("thanks, now show me red bags", "TEXT", "red bag", "category=bag & colour=red"),
    Turn("do you ship to Canada?", "CHAT"),
)  # fmt: skip

WITH_PICTURE = (
    Turn("", "IMAGE"),
    Turn("find this", "IMAGE"),
    Turn("do you have something like this under 40", "IMAGE", "", "price<40"),
    Turn("a bag in this pattern", "IMAGE", "bag", "category=bag"),
    Turn("like this but red", "COMPOSED", "red", "colour=red", modification="make it red"),
    Turn("replace blue with red", "COMPOSED", "red", "colour=red", modification="replace blue with red"),
    Turn("this with long sleeves", "COMPOSED", "long-sleeve", modification="make it long-sleeve"),
    Turn("more elegant", "COMPOSED", "more elegant", modification="make it more elegant"),
    Turn("not striped", "IMAGE", "", "not pattern=striped"),
    Turn("cheaper", "IMAGE", sort="price"),
)

POINTING_AT_R2 = (
    Turn("", "SIMILAR", "red floral sleeveless mini dress", "category=dress & price<100", "r2"),
    Turn("in navy", "REFINE", "navy floral sleeveless mini dress", "category=dress & colour=navy & price<100", "r2", "replace red with navy"),
    Turn("cheaper", "SIMILAR", "red floral sleeveless mini dress", "category=dress & price<45", "r2"),
    Turn("with long sleeves", "REFINE", "red floral long-sleeve mini dress", "category=dress & price<100", "r2", "replace sleeveless with long-sleeve"),
)  # fmt: skip

POINTING_AT_AN_UNSEEN_PRODUCT = (
    Turn("", "SIMILAR", references="x9"),
    Turn("in navy", "REFINE", "navy", "colour=navy", "x9", "make it navy"),
    Turn("cheaper", "SIMILAR", references="x9", sort="price"),
    Turn("longer", "REFINE", references="x9", modification="make it longer"),
)


def conditions_of(rewrite: rewrite_pb2.Rewrite) -> set[str]:
    """Give the conditions of a rewrite's filter, each as people write it."""
    node = rewrite.filter
    parts = node.all_of.filters if node.WhichOneof("node") == "all_of" else [node]
    return {format_filter(part) for part in parts} - {""}


def check(turn: Turn, request: rewrite_pb2.RewriteRequest) -> None:
    """Hold the router's reading of the request against the table's line."""
    rewrite = decide(request, build_lexicon(request.facets))
    assert violation(rewrite, request) == ""
    expected = Turn(
        text=turn.text,
        route=query_pb2.Route.Name(rewrite.route).removeprefix("ROUTE_"),
        query=rewrite.query,
        references=" ".join(rewrite.references),
        modification=rewrite.modification,
        sort=f"{'-' * rewrite.sort.descending}{rewrite.sort.field}",
        conditions=turn.conditions,
    )
    assert expected == turn
    assert conditions_of(rewrite) == {part for part in turn.conditions.split(" & ") if part}
    assert rewrite.source == "router"


def dresses(facets: Facets, shown: Products) -> rewrite_pb2.Turn:
    """Give the turn "dresses under 100" as a conversation's log keeps it."""
    request = rewrite_pb2.RewriteRequest(text="dresses under 100", facets=facets)
    return rewrite_pb2.Turn(text=request.text, rewrite=decide(request, build_lexicon(facets)), shown=shown)


@pytest.mark.parametrize("turn", FIRST_TURNS, ids=lambda turn: turn.text)
def test_a_first_turn_is_read_by_itself(turn: Turn, facets: Facets) -> None:
    """Words without a conversation become a search of their own, or small talk."""
    check(turn, rewrite_pb2.RewriteRequest(text=turn.text, facets=facets))


@pytest.mark.parametrize("turn", AFTER_DRESSES, ids=lambda turn: turn.text)
def test_a_later_turn_leans_on_what_was_shown(turn: Turn, facets: Facets, shown: Products) -> None:
    """References, changes and conditions are resolved against the turn before; a new topic drops it."""
    history = [dresses(facets, shown)]
    check(turn, rewrite_pb2.RewriteRequest(text=turn.text, facets=facets, history=history))


@pytest.mark.parametrize("turn", WITH_PICTURE, ids=lambda turn: turn.text)
def test_a_picture_is_searched_alone_or_changed_by_the_words(turn: Turn, facets: Facets) -> None:
    """A picture with words that change nothing stays a picture; with a change it is composed."""
    check(turn, rewrite_pb2.RewriteRequest(text=turn.text, facets=facets, has_image=True))


@pytest.mark.parametrize("turn", POINTING_AT_R2, ids=lambda turn: turn.text)
def test_pointing_at_a_shown_product_makes_it_the_reference(
    turn: Turn, facets: Facets, shown: Products
) -> None:
    """The product that the shopper pointed at comes before the first of the list."""
    history = [dresses(facets, shown)]
    request = rewrite_pb2.RewriteRequest(text=turn.text, facets=facets, history=history, product_id="r2")
    check(turn, request)


@pytest.mark.parametrize("turn", POINTING_AT_AN_UNSEEN_PRODUCT, ids=lambda turn: turn.text)
def test_of_an_unseen_product_no_old_value_is_known(turn: Turn, facets: Facets) -> None:
    """A change to a product that was never shown says only what it becomes."""
    check(turn, rewrite_pb2.RewriteRequest(text=turn.text, facets=facets, product_id="x9"))


def test_a_conversation_piles_up_conditions_until_its_topic_changes(facets: Facets, shown: Products) -> None:
    """Conditions of several turns hold together, later ones replace earlier ones of their field, and a topic ends all."""
    history: list[rewrite_pb2.Turn] = []
    seen = []
    for text in (
        "dresses", "under 100", "only red ones", "no stripes", "blue ones", "between 20 and 50", "show me bags", "thanks",
        "under 30",
    ):  # fmt: skip
        request = rewrite_pb2.RewriteRequest(text=text, facets=facets, history=history)
        rewrite = decide(request, build_lexicon(facets))
        seen.append((query_pb2.Route.Name(rewrite.route), conditions_of(rewrite)))
        history.append(rewrite_pb2.Turn(text=text, rewrite=rewrite, shown=shown if text == "dresses" else []))
    assert seen == [
        ("ROUTE_TEXT", {"category=dress"}),
        ("ROUTE_TEXT", {"category=dress", "price<100"}),
        ("ROUTE_TEXT", {"category=dress", "price<100", "colour=red"}),
        ("ROUTE_TEXT", {"category=dress", "price<100", "colour=red", "not pattern=striped"}),
        ("ROUTE_TEXT", {"category=dress", "price<100", "colour=blue", "not pattern=striped"}),
        ("ROUTE_TEXT", {"category=dress", "price 20..50", "colour=blue", "not pattern=striped"}),
        ("ROUTE_TEXT", {"category=bag"}),
        ("ROUTE_CHAT", set()),
        ("ROUTE_TEXT", {"category=bag", "price<30"}),
    ]


def test_a_refinement_is_refined_further(facets: Facets, shown: Products) -> None:
    """After a change the first product that it showed is the one in mind."""
    first = dresses(facets, shown)
    lexicon = build_lexicon(facets)
    changed = rewrite_pb2.RewriteRequest(text="same but in red", facets=facets, history=[first])
    second = rewrite_pb2.Turn(text=changed.text, rewrite=decide(changed, lexicon), shown=[shown[1]])
    again = rewrite_pb2.RewriteRequest(text="in black", facets=facets, history=[first, second])
    rewrite = decide(again, lexicon)
    assert (rewrite.route, list(rewrite.references)) == (query_pb2.ROUTE_REFINE, ["r2"])
    assert rewrite.modification == "replace red with black"
    assert conditions_of(rewrite) == {"category=dress", "colour=black", "price<100"}


def test_words_about_the_picture_return_to_it(facets: Facets, shown: Products) -> None:
    """A picture of an earlier turn is meant by "the picture", under the id that the session gave it."""
    turn = rewrite_pb2.Turn(
        image_id="img-1", shown=shown, rewrite=rewrite_pb2.Rewrite(route=query_pb2.ROUTE_IMAGE)
    )
    request = rewrite_pb2.RewriteRequest(text="like the picture but in green", facets=facets, history=[turn])
    rewrite = decide(request, build_lexicon(facets))
    assert (rewrite.route, list(rewrite.references)) == (query_pb2.ROUTE_COMPOSED, ["img-1"])
    assert rewrite.modification == "make it green"


def test_a_price_after_a_picture_keeps_the_picture(facets: Facets, shown: Products) -> None:
    """A condition more on a search by picture searches by the same picture."""
    turn = rewrite_pb2.Turn(
        image_id="img-1", shown=shown, rewrite=rewrite_pb2.Rewrite(route=query_pb2.ROUTE_IMAGE)
    )
    request = rewrite_pb2.RewriteRequest(text="under 50", facets=facets, history=[turn])
    rewrite = decide(request, build_lexicon(facets))
    assert (rewrite.route, list(rewrite.references)) == (query_pb2.ROUTE_IMAGE, ["img-1"])
    assert conditions_of(rewrite) == {"price<50"}
