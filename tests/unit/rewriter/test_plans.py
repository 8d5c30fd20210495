"""Plans: what a model may answer, and the rewrites that come of it."""

import json
from collections.abc import Sequence

import jsonschema
import pytest

from rewriter.checks import violation
from rewriter.language.marks import mark_turn
from rewriter.language.plan import Act, Money, Plan, Use, plan_schema, read_plan
from rewriter.language.resolve import resolve
from rewriter.router.decide import decide
from rewriter.router.lexicon import build_lexicon
from rewriter.router.memory import remember
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
