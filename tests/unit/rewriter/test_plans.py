"""Plans: what a model may answer, and the rewrites that come of it."""

import json
from collections.abc import Sequence

import jsonschema
import pytest

from rewriter.checks import violation
from rewriter.engines.model.placeholders import mark_turn
from rewriter.engines.model.plan import Act, Money, Plan, Use, plan_schema, read_plan
from rewriter.engines.model.resolve import resolve
from rewriter.engines.rules.decide import decide
from rewriter.nlu.dialogue_state import remember
from rewriter.nlu.lexicon import build_lexicon
from vitrine.filter_text import format_filter
from vitrine.v1 import query_pb2, rewrite_pb2

Facets = Sequence[rewrite_pb2.Facet]
Products = Sequence[query_pb2.Product]


def resolved(plan: Plan, request: rewrite_pb2.RewriteRequest) -> rewrite_pb2.Rewrite:
    """Resolve a plan of the request's own words."""
    lexicon = build_lexicon(request.facets)
    turn = mark_turn(request.text, lexicon)
    rewrite = resolve(plan, turn, request, memory=remember(request.history), lexicon=lexicon)
    assert violation(rewrite, request) == ""
    return rewrite


def after_dresses(text: str, facets: Facets, shown: Products) -> rewrite_pb2.RewriteRequest:
    """Give a turn after "dresses under 100", which showed b1 (blue), r2 (red) and n3 (navy)."""
    first = rewrite_pb2.RewriteRequest(text="dresses under 100", facets=facets)
    turn = rewrite_pb2.Turn(text=first.text, rewrite=decide(first, build_lexicon(facets)), shown=shown)
    return rewrite_pb2.RewriteRequest(text=text, facets=facets, history=[turn])


def test_a_plan_survives_its_json() -> None:
    """What is written is what is read, and keeps to the schema."""
    plan = Plan(act=Act.CHANGE, positions=(2, -1), uses={"C1": Use.WANT, "C2": Use.OLD}, money=Money.CHEAPER)
    assert read_plan(plan.to_json()) == plan
    jsonschema.validate(json.loads(plan.to_json()), plan_schema(["C1", "C2"]))


@pytest.mark.parametrize(
    "answer", ['{"act":"fly","refs":[],"uses":{},"money":"none"}', '{"act":"chat"}', "{}", "[]"]
)
def test_what_is_no_plan_breaks_the_schema(answer: str) -> None:
    """The grammar of guided decoding is made of this schema, so none of these can be said."""
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(json.loads(answer), plan_schema([]))


def test_a_described_product_is_found(facets: Facets, shown: Products) -> None:
    """Names that fit a shown product make it the reference, and are no wish."""
    request = after_dresses("the red dress, please in navy", facets, shown)
    uses = {"C1": Use.NAME, "N1": Use.NAME, "C2": Use.WANT}
    rewrite = resolved(Plan(act=Act.CHANGE, uses=uses), request)
    assert (rewrite.route, list(rewrite.references)) == (query_pb2.ROUTE_REFINE, ["r2"])
    assert rewrite.query == "navy floral sleeveless mini dress"


def test_names_of_nothing_shown_are_wishes(facets: Facets, shown: Products) -> None:
    """A description that fits no product asks for it."""
    request = after_dresses("the green dress", facets, shown)
    rewrite = resolved(Plan(act=Act.SEARCH, uses={"C1": Use.NAME, "N1": Use.NAME}), request)
    assert (rewrite.route, rewrite.query) == (query_pb2.ROUTE_TEXT, "green dress")


def test_positions_that_were_not_shown_name_nothing(facets: Facets, shown: Products) -> None:
    """The tenth of three products is none; the change falls to the product in mind."""
    request = after_dresses("the tenth in red", facets, shown)
    rewrite = resolved(Plan(act=Act.CHANGE, positions=(10,), uses={"C1": Use.WANT}), request)
    assert list(rewrite.references) == ["b1"]


def test_a_change_without_anything_to_change_is_a_search(facets: Facets) -> None:
    """What the plan cannot do, words can be searched for."""
    request = rewrite_pb2.RewriteRequest(text="same but in red", facets=facets)
    rewrite = resolved(Plan(act=Act.CHANGE, uses={"C1": Use.WANT}), request)
    assert (rewrite.route, rewrite.query) == (query_pb2.ROUTE_TEXT, "red")


def test_a_turns_own_picture_is_its_reference(facets: Facets) -> None:
    """However the plan calls it, a search with a picture starts from the picture."""
    request = rewrite_pb2.RewriteRequest(text="in red", facets=facets, has_image=True)
    for act in (Act.SEARCH, Act.CHANGE, Act.NARROW):
        assert resolved(Plan(act=act, uses={"C1": Use.WANT}), request).route == query_pb2.ROUTE_COMPOSED


def test_words_beside_the_point_leave_the_query(facets: Facets) -> None:
    """What the plan drops is neither searched nor filtered."""
    request = rewrite_pb2.RewriteRequest(text="my sister left, red dress for a wedding", facets=facets)
    uses = {"W1": Use.DROP, "W2": Use.DROP, "C1": Use.WANT, "N1": Use.WANT, "W3": Use.WANT}
    assert resolved(Plan(act=Act.SEARCH, uses=uses), request).query == "red dress for a wedding"


@pytest.mark.parametrize(
    ("money", "expected"),
    [
        (Money.UNDER, "price<50"),
        (Money.UP_TO, "price ..50"),
        (Money.OVER, "price>50"),
        (Money.FROM, "price 50.."),
        (Money.ABOUT, "price 40..60"),
    ],
)
def test_the_plan_says_what_a_number_bounds(
    money: Money, expected: str, facets: Facets, shown: Products
) -> None:
    """The model judges the relation, the number comes from the words."""
    request = after_dresses("qwert £50", facets, shown)
    rewrite = resolved(Plan(act=Act.NARROW, uses={"W1": Use.DROP}, money=money), request)
    assert format_filter(rewrite.filter.all_of.filters[-1]) == expected


def test_what_is_welcome_again_is_no_longer_excluded(facets: Facets, shown: Products) -> None:
    """After "no stripes", "stripes are fine after all" lifts the exclusion, asks for no stripes, and praises them."""
    lexicon = build_lexicon(facets)
    request = after_dresses("no stripes", facets, shown)
    without = decide(request, lexicon)
    assert "not pattern=striped" in format_filter(without.filter)
    request.history.append(rewrite_pb2.Turn(text=request.text, rewrite=without, shown=shown))
    request.text = "stripes are fine after all"
    uses = dict.fromkeys(mark_turn(request.text, lexicon).marks, Use.DROP) | {"P1": Use.ALLOW}
    plan = Plan(act=Act.NARROW, uses=uses)
    rewrite = resolved(plan, request)
    assert format_filter(rewrite.filter) == "category=dress and price<100"
    assert [(remark.value, remark.polarity) for remark in rewrite.remarks] == [
        ("striped", query_pb2.SENTIMENT_POSITIVE)
    ]


@pytest.mark.parametrize("named", [Use.NAME, Use.WANT])
def test_positions_count_among_the_category_that_is_named(
    named: Use, facets: Facets, shown: Products
) -> None:
    """After dresses and then shoes, "the first dress" is the first of the dresses, whatever the plan takes "dress" for."""
    request = after_dresses("go back to the first dress and show boots that go with it", facets, shown)
    boots = query_pb2.Product(
        id="s1", title="brown leather boots", category="shoes", colour="brown", price=90
    )
    searched = rewrite_pb2.Rewrite(route=query_pb2.ROUTE_TEXT, query="boots")
    request.history.append(rewrite_pb2.Turn(text="boots", rewrite=searched, shown=[boots]))
    turn = mark_turn(request.text, build_lexicon(facets))
    uses = dict.fromkeys(turn.marks, Use.DROP) | {"N1": named, "K1": Use.WANT}
    rewrite = resolved(Plan(act=Act.SEARCH, positions=(1,), uses=uses, intent="buy"), request)
    assert (rewrite.route, rewrite.query) == (query_pb2.ROUTE_TEXT, "boots")
    assert format_filter(rewrite.filter) == "category=shoes"
    assert list(rewrite.references) == ["b1"], "what the boots are to go with"


def test_advice_is_asked_about_what_was_shown(facets: Facets, shown: Products) -> None:
    """A question for advice searches nothing and names the products that it is about; without any, it is a search."""
    asked = Plan(act=Act.ADVISE, uses={"W1": Use.DROP}, intent="consult")
    rewrite = resolved(asked, after_dresses("recommend", facets, shown))
    assert (rewrite.route, list(rewrite.references)) == (query_pb2.ROUTE_CHAT, ["b1", "r2", "n3"])
    assert rewrite.intent == query_pb2.INTENT_CONSULT
    assert rewrite.reply == "", "the index describes them"
    first = rewrite_pb2.RewriteRequest(text="recommend", facets=facets)
    assert resolved(asked, first).route == query_pb2.ROUTE_TEXT


def test_a_question_about_the_stock_names_no_product(facets: Facets, shown: Products) -> None:
    """What the catalogue holds is the gateway's to say: nothing is searched and nothing referred to."""
    request = after_dresses("how many red dresses", facets, shown)
    turn = mark_turn(request.text, build_lexicon(facets))
    rewrite = resolved(
        Plan(act=Act.STOCK, uses=dict.fromkeys(turn.marks, Use.WANT), intent="consult"), request
    )
    assert (rewrite.route, list(rewrite.references)) == (query_pb2.ROUTE_CHAT, [])
    assert rewrite.intent == query_pb2.INTENT_CONSULT


def test_a_fault_is_blamed_on_what_the_reference_has(facets: Facets, shown: Products) -> None:
    """A turn of "too bright" keeps the search and its filter, and remarks on the colour of the first product."""
    request = after_dresses("too bright", facets, shown)
    rewrite = resolved(Plan(act=Act.NARROW, uses={}, intent="buy", sentiment="negative"), request)
    assert (rewrite.route, rewrite.query) == (query_pb2.ROUTE_TEXT, "dress")
    assert format_filter(rewrite.filter) == "category=dress and price<100"
    blamed = rewrite_pb2.Remark(field="colour", value="blue", polarity=query_pb2.SENTIMENT_NEGATIVE)
    assert list(rewrite.remarks) == [blamed]


def test_the_plans_opinions_are_the_rewrites() -> None:
    """The choices of intent and sentiment are those of the proto's enums, by name."""
    schema = plan_schema([])["properties"]
    assert schema["intent"]["enum"] == ["none", "buy", "compare", "consult"]
    assert schema["sentiment"]["enum"] == ["none", "positive", "negative"]


@pytest.mark.parametrize(
    ("text", "uses", "expected"),
    [
        ("checked skirt but no pink", {"P1": Use.WANT, "N1": Use.WANT, "C1": Use.WANT}, "not colour=pink"),
        ("checked skirt but no pink", {"P1": Use.WANT, "N1": Use.WANT, "C1": Use.DROP}, ""),
        ("the same except in red", {"C1": Use.WANT}, "colour=red"),
        ("dress in blue or red", {"N1": Use.WANT, "C1": Use.WANT, "C2": Use.OLD}, "colour in (blue, red)"),
    ],
)
def test_what_not_governs_is_no_wish(text: str, uses: dict[str, Use], expected: str, shown: Products) -> None:
    """The words overrule a plan that wishes for what they exclude; "except" alone excludes nothing."""
    facets = [
        rewrite_pb2.Facet(field="category", values=["skirt", "dress"]),
        rewrite_pb2.Facet(field="colour", values=["pink", "red", "blue"]),
        rewrite_pb2.Facet(field="pattern", values=["checked"]),
    ]
    rewrite = resolved(Plan(act=Act.SEARCH, uses=uses), after_dresses(text, facets, shown))
    colours = [part for part in format_filter(rewrite.filter).split(" and ") if "colour" in part]
    assert colours == ([expected] if expected else [])


@pytest.mark.parametrize(
    ("text", "route"),
    [("without sleeves", query_pb2.ROUTE_REFINE), ("sleeveless ones", query_pb2.ROUTE_TEXT)],
)
def test_a_style_alone_changes_the_product_in_mind(
    text: str, route: query_pb2.Route.ValueType, facets: Facets, shown: Products
) -> None:
    """No filter knows a style: it changes the first product, unless the turn speaks of ones that have it."""
    plan = Plan(act=Act.NARROW, uses={"S1": Use.WANT})
    rewrite = resolved(plan, after_dresses(text, facets, shown))
    assert rewrite.route == route
    assert "sleeveless" in rewrite.query
